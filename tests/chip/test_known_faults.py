"""Faults that simulators of analog hardware are known for: each has a test here, so that none is inherited."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import stats

from analogsim.chip import Chip
from analogsim.network import Dense, Identity, Network
from analogsim.port import LayerWrite, Pass
from analogsim.randomness import Streams
from device_models import DeviceProfile, load_profile, preset_names

FLICKER = {"kind": "flicker", "q": 0.01, "t_r": "250 ns", "t0": "20 s"}
NOISES = [
    {"kind": "additive", "sigma": "1 %"},
    {"kind": "proportional", "sigma": "1 %"},
    {"kind": "polynomial", "sigma": "1 %", "coefficients": [1.0, 0.3]},
    FLICKER,
    {"kind": "lorentzian", "sigma": "1 %", "tau": "5 us"},
    {"kind": "telegraph", "amplitude": "1 %", "tau": "5 us"},
]


def _layer(rows: int, columns: int) -> Network:
    return Network((Dense(rows, columns, Identity(), bias=False),))


def _profile(**parts: Any) -> DeviceProfile:
    return DeviceProfile.from_data({"name": "x", "conductance": {"max": "25 uS"}, **parts})


def _chip(profile: DeviceProfile, rows: int = 8, columns: int = 6, **arguments: Any) -> Chip:
    chip = Chip(_layer(rows, columns), profile, dtype=torch.float64, tile=4096, **arguments)
    weights = torch.empty(1, columns, rows, dtype=torch.float64)
    chip.program([weights.normal_(generator=torch.Generator().manual_seed(2))])
    return chip


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise["kind"])
def test_read_noise_needs_no_drift_and_no_advance_of_time(noise: dict[str, Any]) -> None:
    chip = _chip(_profile(read_noise=noise))
    x = torch.ones(1, 3, 8, dtype=torch.float64)
    assert (chip.forward(x).outputs != chip.forward(x, (Pass(clean=True),)).outputs).all()


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise["kind"])
@pytest.mark.parametrize("sampling", ["column", "device"])
def test_no_two_reads_are_alike(noise: dict[str, Any], sampling: Any) -> None:
    chip = _chip(_profile(read_noise=noise), sampling=sampling)
    x = torch.ones(1, 40, 8, dtype=torch.float64)
    reads = [chip.forward(x, (Pass(), Pass()), 2, now=now).outputs for now in (0.0, 0.0, 50.0)]
    values = torch.cat([each.flatten(1, 2) for each in reads], 1)[0]  # (reads, B, columns)
    for first in range(len(values)):
        for second in range(first):
            same = (values[first] == values[second]).double().mean().item()
            limit = 0.7 if sampling == "device" and noise["kind"] == "telegraph" else 0.0  # two levels a device
            assert same <= limit


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_works_at_time_zero(name: str) -> None:
    chip = _chip(load_profile(name))
    assert chip.forward(torch.ones(1, 3, 8, dtype=torch.float64), now=0.0).outputs.isfinite().all()


def test_the_normal_tail_does_not_end() -> None:
    """Four million reads of white noise: beyond 4.5 sigma lie a binomial number of them, 27 on average."""
    n = 4_000_000
    chip = Chip(_layer(1, 2_000), _profile(read_noise={"sigma": "1 %"}), dtype=torch.float32)
    chip.program([torch.ones(1, 2_000, 1)])
    y = chip.forward(torch.ones(1, n // 2_000, 1)).outputs
    w_max = chip.limits.weights[0]
    assert w_max is not None
    z = (y - 1) / (0.01 * 2**0.5 * w_max)
    beyond = int((z.abs() > 4.5).sum())
    low, high = stats.binom.ppf([1e-6, 1 - 1e-6], n, 2 * stats.norm.sf(4.5))
    assert low <= beyond <= high
    assert z.abs().max() > 4.8


@pytest.mark.parametrize("sampling", ["column", "device"])
def test_a_seed_repeats_the_noise_of_reads(sampling: Any) -> None:
    x = torch.ones(1, 3, 8, dtype=torch.float64)

    def outputs(seed: int) -> torch.Tensor:
        chip = _chip(_profile(read_noise=NOISES), seed=seed, sampling=sampling)
        return torch.stack([chip.forward(x, now=now).outputs for now in (0.0, 10.0, 1e5)])

    assert torch.equal(outputs(3), outputs(3))
    assert (outputs(3) != outputs(4)).all()


def test_reference_conductances_act() -> None:
    """The reference device drifts and reads with noise of its own."""
    parts = {"cell": "reference", "drift": {"kind": "constant", "t0": "1 s", "mean": 0.1}}
    chip = _chip(_profile(**parts))
    _, reference = chip.oracle.conductances[0]
    torch.testing.assert_close(reference, torch.full_like(reference, 12.5e-6))
    chip.settle(100.0)
    torch.testing.assert_close(chip.oracle.conductances[0][1], reference * 100**-0.1)


@pytest.mark.parametrize(
    "parts", [{"read_noise": NOISES, "column_noise": {"sigma": "1 %"}}, {"read_noise": FLICKER}, {}], ids=str
)
def test_no_read_draws_a_number_for_each_device(parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """B x out numbers for each kind of memory, never B x out x in."""
    chip = _chip(_profile(**parts), rows=64, columns=32)
    drawn = []
    draw = Streams.draw

    def counted(self: Streams, *arguments: Any, **named: Any) -> torch.Tensor:
        result = draw(self, *arguments, **named)
        drawn.append(result.numel())
        return result

    monkeypatch.setattr(Streams, "draw", counted)
    chip.forward(torch.ones(1, 100, 64, dtype=torch.float64))
    lanes = 1 + sum(len(noise.passing) for noise in chip.profile.build(1, chip.device, chip.dtype).read_noise)
    assert sum(drawn) <= 100 * 32 * lanes * bool(parts)
    assert lanes < 10


def test_writing_an_array_takes_no_loop_over_its_devices() -> None:
    """A write of 16 times the devices takes as many calls of torch, but for a few that depend on memory's layout."""
    calls = []
    for size in (32, 128):
        chip = _chip(load_profile("pcm"), rows=size, columns=size)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            chip.write([LayerWrite(0.9 * chip.oracle.weights[0])], now=1.0)
        calls.append(sum(event.count for event in profile.key_averages()))
    assert abs(calls[0] - calls[1]) < 0.02 * calls[0]
