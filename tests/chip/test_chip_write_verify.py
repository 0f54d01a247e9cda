"""Chips whose writes are verified, relax and fail: counts, independence of chips, checkpoints."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from analogsim.chip import Chip
from analogsim.network import Network
from analogsim.port import LayerWrite, Pass
from device_models import load_profile

NETWORK = Network.mlp([6, 7, 3])
PARTS = {
    "programming": {"kind": "constant", "sigma": "1 uS"},
    "write_verify": {"iterations": 4, "tolerance": "0.5 uS"},
    "drift": {"kind": "constant", "t0": "1 s", "mean": 0.05, "sd": 0.02, "nu": "fixed"},
    "relaxation": [
        {"kind": "logarithmic", "mean": "-0.089 uS", "sd": "0.41 uS", "sd_slope": "0.042 uS", "t0": "1 s"},
        {"kind": "retention_failure", "share": "20 %", "distribution": "exponential", "time": "1 h"},
    ],
    "read_noise": [{"kind": "additive", "sigma": "1 %"}],
}
HOUR = 3600.0


def _live(chip: Chip, weights: Any) -> None:
    for count in range(3):
        chip.write([LayerWrite(w * (0.9 - 0.1 * count)) for w in weights], now=count * HOUR)


def test_mean_attempts_of_a_write(chip_of: Any, profile_of: Any, weights_of: Any) -> None:
    weights = weights_of(NETWORK, range(2), torch.float64)
    chip = chip_of(NETWORK, profile_of(**PARTS), 2)
    _live(chip, weights)
    devices = [cells for pair in chip.oracle.cells for cells in pair]
    attempts = sum(cells.attempts.sum(dim=(1, 2)) for cells in devices)
    # The first programming writes both devices of a pair, later ones the one that carries the magnitude.
    pairs = sum(w.shape[1] * w.shape[2] for w in weights)
    assert chip.device_writes.tolist() == [3 * sum(int((w[k] != 0).sum()) for w in weights) for k in (0, 1)]
    writes = 2 * pairs + chip.device_writes
    torch.testing.assert_close(chip.attempts, attempts / writes.double())
    assert ((chip.attempts > 1.5) & (chip.attempts < 4)).all()
    assert chip_of(NETWORK, profile_of(), 2).attempts.tolist() == [1.0, 1.0]


def test_attempts_are_those_of_all_slices_and_of_the_layers_that_verify(chip_of: Any, profile_of: Any) -> None:
    """Fine digits take as many attempts as coarse ones; a layer without a loop counts for nothing."""
    parts = {name: PARTS[name] for name in ("programming", "write_verify")}
    sliced = chip_of(NETWORK, profile_of(**parts, slices={"count": 3, "bits": 2}), 2)
    cells = [cells for crossbar in sliced.crossbars for cells in crossbar.array.cells]
    assert len(cells) == 2 * 3 * 2
    torch.testing.assert_close(
        sliced.attempts,
        sum(each.attempts.double().mean(dim=(1, 2)) * each.writes for each in cells)
        / sum(each.writes for each in cells),
    )
    mixed = Chip(NETWORK, (profile_of(**parts), profile_of()), 2, dtype=torch.float64)
    mixed.program([torch.full((2, w.columns, w.rows), 0.2, dtype=torch.float64) for w in NETWORK.layers])
    own = torch.stack([each.attempts.double().mean(dim=(1, 2)) for each in mixed.oracle.cells[0]]).mean(0)
    torch.testing.assert_close(mixed.attempts, own)
    assert (own > 1.1).all()


def test_a_chip_alone_is_the_chip_of_the_population(
    chip_of: Any, profile_of: Any, weights_of: Any, inputs_of: Any
) -> None:
    def live(ids: list[int]) -> Chip:
        chip = chip_of(NETWORK, profile_of(**PARTS), ids)
        _live(chip, weights_of(NETWORK, ids, torch.float64))
        chip.settle(9 * HOUR)
        return chip

    population = live([0, 1, 2])
    for k in range(3):
        alone = live([k])
        assert torch.equal(alone.oracle.weights[0][0], population.oracle.weights[0][k])
        assert alone.attempts[0] == population.attempts[k]


def test_a_saved_chip_goes_on(chip_of: Any, profile_of: Any, weights_of: Any, inputs_of: Any) -> None:
    weights = weights_of(NETWORK, range(2), torch.float64)
    first, second = (chip_of(NETWORK, profile_of(**PARTS), 2) for _ in range(2))
    _live(first, weights)
    second.load_state_dict(first.state_dict())
    for chip in (first, second):
        chip.write([LayerWrite(w * 0.4) for w in weights], now=9 * HOUR)
    outputs = [chip.forward(inputs_of(2, 5, 6), now=10 * HOUR).outputs for chip in (first, second)]
    assert torch.equal(*outputs) and torch.equal(first.attempts, second.attempts)


@pytest.mark.parametrize("name", ["pcm", "reram", "all"])
def test_a_fresh_chip_is_noisy_at_time_zero(chip_of: Any, profile_of: Any, inputs_of: Any, name: str) -> None:
    chip = chip_of(NETWORK, profile_of(**PARTS) if name == "all" else load_profile(name), 2)
    first, second = chip.forward(inputs_of(2, 5, 6), (Pass(), Pass()), now=0.0).outputs[:, 0].unbind(1)
    assert first.isfinite().all() and (first != second).any()
