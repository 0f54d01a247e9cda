"""Chips whose devices are programmed with noise, drift and fluctuate: writes, time, and what passes share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch import Tensor

from analogsim.chip import Chip, Mapping
from analogsim.network import Network
from analogsim.port import LayerWrite, Pass
from analogsim.randomness import Purpose
from device_models import DeviceProfile, load_profile
from device_models.compose import merge, preset_data

HOUR = 3600.0
CLEAN = (Pass(clean=True),)
PROGRAMMING = {"kind": "constant", "sigma": "0.5 uS"}
NETWORK = Network.mlp([6, 7, 3])


def _pcm(**overrides: Any) -> DeviceProfile:
    return DeviceProfile.from_data(merge(preset_data("pcm"), overrides))


def _targets(weights: tuple[Tensor, ...], factor: float = 0.9) -> list[LayerWrite]:
    return [LayerWrite(factor * w) for w in weights]


# Two passes, and many devices


@pytest.fixture(scope="module")
def flickering(linear: Any) -> tuple[Chip, float]:
    """40,000 devices of r = 0.2 with 1/f noise only, each read on its own, and Q of them."""
    profile = _pcm(programming=None, drift=None, dac=None, adc=None)
    chip = Chip(linear(1, 40_000, bias=False), profile, dtype=torch.float64, mapping=Mapping(headroom=5.0))
    chip.program([torch.ones(1, 40_000, 1, dtype=torch.float64)])
    return chip, 0.0088 / 0.2**0.65


@pytest.mark.parametrize("now", [21.0, HOUR, 1e6])
def test_passes_share_what_the_spectrum_says(flickering: tuple[Chip, float], now: float) -> None:
    chip, q = flickering
    y = chip.forward(torch.ones(1, 1, 1, dtype=torch.float64), (Pass(),) * 11, now=now).outputs
    first, second, eleventh = (y[0, 0, index, 0].numpy() for index in (0, 1, 10))  # shares of a conductance
    n, t_r = len(first), 250e-9
    f_l, f_h = 1 / (now + t_r), 1 / (2 * t_r)
    total = q**2 * math.log(f_h / f_l)
    # Sums of n squares of independent normals are chi-square with n degrees of freedom; bins ripple by 1 %.
    low, high = stats.chi2.isf([1 - 1e-6, 1e-6], n)
    assert low < ((first - 1) ** 2).sum() / total < high
    for later, tau in ((second, 1e-6), (eleventh, 1e-5)):
        shared = q**2 * float(special.sici(2 * np.pi * f_h * tau)[1] - special.sici(2 * np.pi * f_l * tau)[1])
        assert 0.99 * low < ((later - first) ** 2).sum() / (2 * (total - shared)) < 1.01 * high
    assert total / (total - shared) > 3


def test_slow_noise_outlives_passes_and_wanders_with_the_clock(linear: Any) -> None:
    profile = _pcm(programming=None, drift=None, dac=None, adc=None)
    chip = Chip(linear(1, 40_000, bias=False), profile, dtype=torch.float64, mapping=Mapping(headroom=5.0))
    chip.program([torch.ones(1, 40_000, 1, dtype=torch.float64)])
    x = torch.ones(1, 1, 1, dtype=torch.float64)
    start, tau, n, t_r = 86_400.0, (0.1, 1.0, 100.0), 40_000, 250e-9
    once, again = (chip.forward(x, CLEAN, now=start).outputs.flatten() for _ in range(2))
    assert torch.equal(once, again)
    nats = math.log(start / (2 * math.pi * 1e-3))  # correlation times from a step to (t + t_r) / 2 pi
    assert abs((once - 1).var().item() / (0.0088 / 0.2**0.65) ** 2 / nats - 1) < 5 * math.sqrt(2 / n)
    for step in tau:
        later = chip.forward(x, CLEAN, now=start + step).outputs.flatten()
        # What is slower than a step is all that is left of the closed form after many of them.
        closed = -float(special.sici(2 * np.pi * step / (start + t_r))[1]) / nats
        r = float(np.corrcoef(once.numpy(), later.numpy())[0, 1])
        assert abs(np.arctanh(r) - np.arctanh(closed)) < 4.9 / math.sqrt(n - 3) + 0.003, "bins ripple by 0.003"
    plus, _ = chip.oracle.cells[0]
    assert plus.written_at is not None and (plus.written_at == 0).all(), "wandering is no write"


@pytest.mark.parametrize("name", ["pcm", "reram"])
@pytest.mark.parametrize("sampling", ["column", "device"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_reads_differ_but_clean_ones_do_not(
    chip_of: Any, inputs_of: Any, name: str, sampling: Any, dtype: torch.dtype
) -> None:
    chip = chip_of(NETWORK, load_profile(name), 2, sampling=sampling, dtype=dtype)
    x = inputs_of(2, 5, 6, dtype=dtype)
    trace = chip.forward(x, (Pass(), Pass(), *CLEAN), now=HOUR)
    assert trace.outputs.dtype == dtype
    assert (trace.outputs[:, :, 0] != trace.outputs[:, :, 1]).any()
    assert torch.equal(chip.forward(x, CLEAN, now=HOUR).outputs, trace.outputs[:, :, 2:])


# Writes


def test_errors_of_a_write_stay_in_clean_passes_and_differ_between_writes(weights_of: Any, profile_of: Any) -> None:
    chip = Chip(NETWORK, profile_of(programming=PROGRAMMING), dtype=torch.float64)
    weights = weights_of(NETWORK, [0], torch.float64)
    chip.program(weights)
    first = chip.oracle.weights[0].clone()
    assert (first != weights[0]).all(), "both devices of a pair err, resting ones too"
    chip.write(_targets(weights, 1.0))
    assert torch.equal(chip.oracle.weights[0], first)
    assert chip.device_writes.tolist() == [0]
    chip.write(_targets(weights))
    chip.write(_targets(weights, 1.0))
    assert (chip.oracle.weights[0] != first).any(dim=2).all()


def test_a_resting_device_is_not_written_with_its_partner(weights_of: Any) -> None:
    chip = Chip(NETWORK, _pcm(), dtype=torch.float64)
    weights = weights_of(NETWORK, [0], torch.float64)
    chip.program(weights)
    chip.write(_targets(weights), now=100.0)
    plus, minus = chip.oracle.cells[0]
    assert plus.written_at is not None and minus.written_at is not None
    assert torch.equal(plus.written_at, 100.0 * (weights[0] > 0))
    assert torch.equal(minus.written_at, 100.0 * (weights[0] < 0))
    assert chip.device_writes.item() == sum(w.numel() for w in weights), "counted by pair"


def test_granularity_spares_writes(weights_of: Any) -> None:
    chip = Chip(NETWORK, _pcm(granularity="1 uS", read_noise=None, drift=None), dtype=torch.float64)
    weights = weights_of(NETWORK, [0], torch.float64)
    chip.program(weights)
    before = [w.clone() for w in chip.oracle.weights]
    step = [0.5e-6 / 25e-6 * w.abs().max() * 2 for w in weights]  # half a granularity in weights
    chip.write([LayerWrite(w + 0.99 * s * w.sign()) for w, s in zip(weights, step, strict=True)], now=9.0)
    assert chip.device_writes.item() == 0
    assert all(torch.equal(*pair) for pair in zip(chip.oracle.weights, before, strict=True))
    chip.write([LayerWrite(w + 1.01 * s * w.sign()) for w, s in zip(weights, step, strict=True)], now=9.0)
    assert chip.device_writes.item() == sum(w.numel() for w in weights)


def test_a_change_of_range_writes_every_device_of_the_layer(weights_of: Any) -> None:
    chip = Chip(NETWORK, _pcm(), mapping=Mapping("follow"), dtype=torch.float64)
    weights = weights_of(NETWORK, [0], torch.float64)
    chip.program(weights)
    chip.write([LayerWrite(1.5 * weights[0]), LayerWrite(weights[1])], now=7.0)
    (plus, minus), (still, _) = chip.oracle.cells
    assert plus.written_at is not None and minus.written_at is not None and still.written_at is not None
    assert (plus.written_at == 7.0).all()
    assert (minus.written_at == 7.0).all()
    assert (still.written_at == 0.0).all()


def test_numbers_of_a_write_do_not_depend_on_which_devices_changed(weights_of: Any, profile_of: Any) -> None:
    weights = weights_of(NETWORK, [0], torch.float64)
    ends = []
    for first in (0, 3):
        chip = Chip(NETWORK, profile_of(programming=PROGRAMMING), dtype=torch.float64)
        chip.program(weights)
        some = [w.clone() for w in weights]
        some[0][0, first] *= 0.8
        chip.write([LayerWrite(w) for w in some])
        chip.write(_targets(weights, 0.5))
        ends.append(chip.oracle.weights[0])
    assert torch.equal(*ends)


# Time


def test_weights_drift_and_a_write_starts_anew(chip_of: Any, weights_of: Any) -> None:
    chip = chip_of(NETWORK, _pcm(programming=None, read_noise=None), 2)
    weights = weights_of(NETWORK, range(2), torch.float64)
    torch.testing.assert_close(chip.oracle.weights[0], weights[0])
    chip.settle(86_400.0)
    (plus, minus), _ = chip.oracle.cells
    assert plus.nu is not None and minus.nu is not None
    scale = 2 * weights[0].abs().amax(dim=(1, 2), keepdim=True) / 25e-6
    law = [cells.programmed * (86_400.0 / 20.0) ** -cells.nu for cells in (plus, minus) if cells.nu is not None]
    torch.testing.assert_close(chip.oracle.weights[0], (law[0] - law[1]) * scale)
    chip.write(_targets(weights), now=86_400.0)
    torch.testing.assert_close(chip.oracle.weights[0], 0.9 * weights[0])


def test_forward_and_backward_see_the_same_time(chip_of: Any, inputs_of: Any, linear: Any) -> None:
    chip = chip_of(linear(4, 5, 3), _pcm(programming=None, read_noise=None, dac=None, adc=None))
    x, v = inputs_of(1, 2, 4), inputs_of(1, 2, 3)
    for now in (0.0, HOUR, 20 * HOUR):
        trace = chip.forward(x, now=now)
        forward = trace.pre_activations[1][:, 0, 0]
        drives = tuple(levels[:, 0, 0] for levels in trace.inputs)
        back = chip.backward(v, drives, tuple(a[:, 0, 0] for a in trace.pre_activations), now=now)[0]
        w = chip.oracle.weights[1]
        torch.testing.assert_close(forward, drives[1] @ w.transpose(1, 2))
        torch.testing.assert_close(back, v @ w[:, :, :5])


@pytest.mark.parametrize(("name", "times"), [("ideal", 0), ("noisy", 0), ("reram", 2), ("pcm", 2)])
def test_only_time_and_writes_cost_a_recomputation(
    chip_of: Any, inputs_of: Any, monkeypatch: pytest.MonkeyPatch, name: str, times: int
) -> None:
    chip = chip_of(NETWORK, load_profile(name))
    calls = []
    for crossbar in chip._layers:
        monkeypatch.setattr(
            crossbar.array, "_settle", lambda now, old=crossbar.array._settle: (calls.append(now), old(now))
        )
    for now in (0.0, 5.0, 5.0, HOUR, HOUR):
        chip.forward(inputs_of(1, 5, 6), (Pass(), Pass()), now=now)
    assert len(calls) == times * NETWORK.depth


def test_time_does_not_run_backwards_over_a_write(chip_of: Any, weights_of: Any, inputs_of: Any) -> None:
    chip = chip_of(NETWORK, load_profile("pcm"))
    weights, x = weights_of(NETWORK, [0], torch.float64), inputs_of(1, 5, 6)
    chip.write(_targets(weights), now=50.0)
    chip.forward(x, now=HOUR)
    chip.forward(x, now=60.0)  # a look back is no write
    for act in (lambda: chip.forward(x), lambda: chip.write(_targets(weights), now=49.0), lambda: chip.settle(0.0)):
        with pytest.raises(ValueError, match="now must not lie before the last write at 50 s"):
            act()
    with pytest.raises(ValueError, match="now must be a finite time"):
        chip.forward(x, now=math.nan)


# Populations


@pytest.mark.parametrize("name", ["pcm", "reram"])
def test_a_chip_alone_is_the_chip_of_the_population(chip_of: Any, weights_of: Any, inputs_of: Any, name: str) -> None:
    x = inputs_of(4, 5, 6)

    def live(ids: list[int]) -> tuple[Chip, Tensor]:
        chip = chip_of(NETWORK, load_profile(name), ids)
        weights = weights_of(NETWORK, ids, torch.float64)
        chip.forward(x[ids], now=30.0)
        chip.write(_targets(weights), now=30.0)
        chip.forward(x[ids], now=HOUR)
        chip.write(_targets(weights, 1.1), now=HOUR)
        return chip, chip.forward(x[ids], (Pass(), Pass()), now=2 * HOUR).outputs

    population, outputs = live([0, 1, 2, 3])
    for k in range(4):
        alone, output = live([k])
        for layer in range(NETWORK.depth):
            assert torch.equal(alone.oracle.weights[layer][0], population.oracle.weights[layer][k])
        torch.testing.assert_close(output[0], outputs[k])
    assert len(population.oracle.weights[0][:, 0, 0].unique()) == 4


def test_each_chip_may_have_its_own_spread(chip_of: Any, weights_of: Any) -> None:
    profile = _pcm(programming={"scale": {"each": [0.0, 1.0, 2.0]}}, read_noise=None)
    chip = Chip(NETWORK, profile, [0, 0, 0], dtype=torch.float64)  # one chip at three levels: the same numbers
    weights = tuple(w[:1].repeat(3, 1, 1) for w in weights_of(NETWORK, [0], torch.float64))
    chip.program(weights)
    errors = [cells.programmed - cells.target for cells in chip.oracle.cells[0]]
    for error, cells in zip(errors, chip.oracle.cells[0], strict=True):
        assert (error[0] == 0).all()
        free = cells.programmed[2] > 0
        torch.testing.assert_close(error[2][free], 2 * error[1][free], rtol=1e-9, atol=0)


def test_a_saved_stream_continues_with_the_same_writes(chip_of: Any, weights_of: Any) -> None:
    first, second = (chip_of(NETWORK, load_profile("pcm"), 2) for _ in range(2))
    weights = weights_of(NETWORK, range(2), torch.float64)
    first.streams.draw(Purpose.READ, 0, 3, (5,), torch.float64)
    for chip in (first, second):
        chip.write(_targets(weights), now=1.0)
    assert torch.equal(first.oracle.weights[0], second.oracle.weights[0]), "reads do not touch programming"
