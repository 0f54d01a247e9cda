"""Corrupted inputs: the law, the same in all passes of a step, per chip, and after a resume."""

import math

import pytest
import torch
from scipy import stats

from analogsim.tasks import LOSSES, Corruption, DataSet, GaussianNoise, Masking, Task

CPU = torch.device("cpu")


def _task(corruption: Corruption | None, ids: tuple[int, ...] = (0, 1), features: int = 50, batch: int = 40) -> Task:
    x = torch.rand(200, features, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 1
    data = DataSet(x, x[:, :3], x[:20], x[:20, :3])
    return Task(data, LOSSES["squared"], batch, [7] * len(ids), ids, CPU, torch.float64, corruption)


def test_masking_drops_a_share_and_leaves_the_rest() -> None:
    """n = 5 steps x 2 chips x 2000 numbers; the share's z bound at 1e-4."""
    plain, masked, zeros, n = _task(None), _task(Masking(0.3)), 0, 0
    for _ in range(5):
        x, found = plain.next_batch(), masked.next_batch()
        assert torch.equal(x[1], found[1]), "targets stay clean"
        gone = found[0] == 0
        assert torch.equal(torch.where(gone, 0.0, x[0]), found[0])
        zeros, n = zeros + int(gone.sum()), n + gone.numel()
    assert abs(zeros / n - 0.3) < stats.norm.isf(5e-5) * math.sqrt(0.3 * 0.7 / n)


def test_gaussian_noise_has_its_standard_deviation() -> None:
    """n = 4000 numbers: mean and variance, z bounds at 1e-4 for the two of them."""
    x, found = _task(None).next_batch()[0], _task(GaussianNoise(0.4)).next_batch()[0]
    noise, bound = (found - x) / 0.4, stats.norm.isf(1e-4 / 4)
    assert abs(noise.mean()) < bound / math.sqrt(noise.numel())
    assert abs(noise.var() - 1) < bound * math.sqrt(2 / noise.numel())


def test_the_scale_is_exact() -> None:
    """The same numbers, ten times as large."""
    x = _task(None).next_batch()[0]
    small, large = (_task(GaussianNoise(sigma)).next_batch()[0] - x for sigma in (0.1, 1.0))
    torch.testing.assert_close(10 * small, large)


@pytest.mark.parametrize("corruption", [Masking(0.3), GaussianNoise(0.4)])
def test_each_chip_and_step_has_its_own(corruption: Corruption) -> None:
    together, alone = _task(corruption, (0, 1)), _task(corruption, (1,))
    plain, before = _task(None, (1,)), []
    for _ in range(3):
        x, found = together.next_batch()[0], alone.next_batch()[0]
        assert torch.equal(x[1], found[0]), "alone as in a population"
        before.append(found[0] - plain.next_batch()[0][0])
    assert not torch.equal(before[0] != 0, before[1] != 0) or not torch.equal(before[0], before[1])
    x = together.next_batch()[0]
    assert not torch.equal(x[0], x[1])


def test_the_order_of_data_does_not_depend_on_corruption() -> None:
    plain, masked = _task(None), _task(Masking(0.5))
    for _ in range(12):  # two epochs and more
        assert torch.equal(plain.next_batch()[1], masked.next_batch()[1])


def test_a_resumed_task_goes_on_with_the_same_corruption() -> None:
    first = _task(GaussianNoise(0.4))
    for _ in range(3):
        first.next_batch()
    state = first.state_dict()
    state = {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in state.items()}
    second = _task(GaussianNoise(0.4))
    second.load_state_dict(state)
    for _ in range(4):
        assert torch.equal(first.next_batch()[0], second.next_batch()[0])


def test_the_test_set_and_calibration_stay_clean() -> None:
    plain, masked = _task(None), _task(Masking(0.5))
    assert torch.equal(plain.first_inputs(9), masked.first_inputs(9))
    for a, b in zip(plain.looked_at(7), masked.looked_at(7), strict=True):
        assert torch.equal(a[0], b[0])


def test_an_autoencoder_is_to_give_its_inputs() -> None:
    x = torch.rand(30, 4, generator=torch.Generator().manual_seed(1))
    data = DataSet(x[:20], x[:20, :2], x[20:], x[20:, :2])
    found = data.standardised().autoencoding()
    assert found.outputs == found.features == 4
    assert torch.equal(found.train_targets, data.standardised().train_inputs)
    assert torch.equal(found.test_targets, data.standardised().test_inputs)
    assert data.classes and not found.classes
    assert not found.held_out(5).classes
    assert not found.standardised().classes
