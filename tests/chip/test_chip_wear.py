"""Wear: pulses and writes of single devices, counted beside what moves them; and what a loss of power loses."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from analogsim.chip import Chip
from analogsim.network import Network
from analogsim.port import LayerPulses, LayerWrite, Pass
from device_models import load_profile, threads

NETWORK = Network.mlp([6, 11, 4])
SOFT = {"kind": "soft_bounds", "dw_min": 0.01}
VERIFIED = {
    "programming": {"kind": "constant", "sigma": "0.5 uS"},
    "write_verify": {"tolerance": "0.2 uS", "iterations": 4},
}
ABSOLUTE: dict[str, dict[str, Any]] = {
    "exact": {},
    "noisy": {"programming": {"kind": "constant", "sigma": "0.1 uS"}},
    "granular": {"granularity": "1 uS"},
    "slices": {"slices": {"count": 2, "bits": 4}},
    "reference": {"cell": "reference"},
    "endurance": {"endurance": {"cycles": 1e9, "counts": "writes"}},
}


def _counts(chip: Chip) -> list[Tensor]:
    found = [cells.wear for crossbar in chip.crossbars for cells in crossbar.array.cells]
    assert all(each is not None for each in found)
    return [each.clone() for each in found if each is not None]


def _held(chip: Chip) -> list[Tensor]:
    return [cells.target.clone() for crossbar in chip.crossbars for cells in crossbar.array.cells]


def _agree(chip: Chip, counts: list[Tensor]) -> None:
    """Peak and mean against counts of every device."""
    for found, expected in zip(_counts(chip), counts, strict=True):
        assert torch.equal(found.to(torch.int64), expected.to(torch.int64))
    whole = torch.cat([each.flatten(1) for each in counts], dim=1).to(torch.float64)
    assert chip.wear.dtype == torch.int64
    assert torch.equal(chip.wear, whole.amax(1).to(torch.int64))
    torch.testing.assert_close(chip.mean_wear, whole.mean(1), rtol=1e-12, atol=0)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", ABSOLUTE)
def test_writes_are_counted_device_by_device(
    chip_of: Any, profile_of: Any, weights_of: Any, name: str, dtype: Any, compiled: bool, monkeypatch: Any
) -> None:
    monkeypatch.setattr(threads, "available", compiled and threads.available)
    chip = chip_of(NETWORK, profile_of(**ABSOLUTE[name]), 2, dtype=dtype, count_wear=True)
    counts = [torch.ones_like(each, dtype=torch.int64) for each in _held(chip)]
    weights, before = weights_of(NETWORK, range(2), dtype), _held(chip)
    for k in range(1, 6):
        some = [torch.where(w > 0, w * (1 - 0.2 * k), w) for w in weights]
        chip.write([LayerWrite(w) for w in some], now=float(k))
        after = _held(chip)
        counts = [c + (a != b) for c, a, b in zip(counts, after, before, strict=True)]
        before = after
    _agree(chip, counts)
    assert chip.wear.tolist() == [6, 6] and (chip.mean_wear < 6).all()


def test_crossbars_of_r_wear_out_with_the_others(chip_of: Any, profile_of: Any) -> None:
    chip = chip_of(NETWORK, profile_of(), 2, count_wear=True)
    r = torch.eye(6, dtype=torch.float64).expand(2, 6, 6)
    for k in range(4):
        chip.write_decorrelation([r * (1 - 0.1 * k), None])
    assert chip.wear.tolist() == [4, 4]


@pytest.mark.parametrize("endurance", [None, {"cycles": 1e9}], ids=["own", "endurance"])
def test_pulses_are_counted_one_by_one(chip_of: Any, profile_of: Any, endurance: Any) -> None:
    profile = profile_of(update=SOFT, cell="reference", endurance=endurance)
    chip = chip_of(NETWORK, profile, 2, count_wear=True)
    counts = [torch.ones_like(each, dtype=torch.int64) for each in _held(chip)]
    for k in range(3):
        pulses = [torch.arange(w.numel(), dtype=w.dtype).view_as(w) % 5 - 2 + k for w in chip.oracle.weights]
        chip.write([LayerPulses(pulses=each) for each in pulses], now=float(k))
        for side, each in zip(counts[::2], pulses, strict=True):
            side += each.abs().to(torch.int64)
    _agree(chip, counts)


@pytest.mark.parametrize("update", [None, SOFT], ids=["writes", "pulses, too"])
def test_every_attempt_of_a_verified_write_counts(chip_of: Any, profile_of: Any, update: Any, weights_of: Any) -> None:
    chip = chip_of(NETWORK, profile_of(**VERIFIED, update=update), 2, count_wear=True)
    chip.write([LayerWrite(0.8 * w) for w in weights_of(NETWORK, range(2), torch.float64)])
    cells = [cells for crossbar in chip.crossbars for cells in crossbar.array.cells]
    _agree(chip, [each.attempts for each in cells if each.attempts is not None])
    assert chip.wear.min() > 4
    if update is not None:
        chip.write([LayerPulses(pulses=torch.ones_like(w)) for w in chip.oracle.weights])
        assert sum(each.sum() for each in _counts(chip)) > sum(each.attempts.sum() for each in cells)


def test_attempts_wear_a_device_out(chip_of: Any, profile_of: Any, weights_of: Any) -> None:
    """Each attempt is a pulse; what counts writes counts one."""
    for counts, attempts in (("pulses", True), ("writes", False)):
        endurance = {"cycles": 1e6, "counts": counts}
        chip = chip_of(NETWORK, profile_of(**VERIFIED, endurance=endurance), 2)
        chip.write([LayerWrite(0.8 * w) for w in weights_of(NETWORK, range(2), torch.float64)])
        cells = [cells for crossbar in chip.crossbars for cells in crossbar.array.cells]
        if attempts:
            _agree(chip, [each.attempts for each in cells if each.attempts is not None])
        else:
            assert chip.wear.tolist() == [2, 2]


@pytest.mark.parametrize("update", [None, {"kind": "constant_step", "dw_min": 0.01, "bounds": {"high_spread": 0.5}}])
@pytest.mark.parametrize("failure", ["low", "high"])
def test_dead_devices_stay_where_they_stick(
    chip_of: Any, profile_of: Any, weights_of: Any, failure: str, update: Any
) -> None:
    """At an end of their own range, whatever time does to the others."""
    drift = {"kind": "constant", "t0": "1 s", "mean": 0.1}
    endurance = {"cycles": 1, "counts": "writes", "failure": failure}
    parts = {"conductance": {"min": "1 uS", "max": "25 uS"}, "update": update, "cell": "reference"}
    chip = chip_of(NETWORK, profile_of(**parts, drift=drift, endurance=endurance), 2)
    chip.write([LayerWrite(0.8 * w) for w in weights_of(NETWORK, range(2), torch.float64)])
    chip.settle(1e7)
    (cells, reference), _ = chip.oracle.cells
    nominal = 1e-6 if failure == "low" else 25e-6
    ends = torch.full_like(cells.conductance, nominal)
    if cells.pulsed is not None:
        ends = cells.pulsed.ends[failure == "high"]
        assert failure == "low" or ends.std() > 1e-6
    torch.testing.assert_close(cells.conductance, ends)
    torch.testing.assert_close(reference.conductance, reference.programmed * 1e7**-0.1)


def test_a_checkpoint_goes_on_counting(chip_of: Any, profile_of: Any, weights_of: Any) -> None:
    chip, other = (chip_of(NETWORK, profile_of(), 2, dtype=torch.float32, count_wear=True) for _ in range(2))
    weights = weights_of(NETWORK, range(2), torch.float32)
    chip.write([LayerWrite(0.8 * w) for w in weights])
    held = copy.deepcopy(chip.state_dict())
    chip.write([LayerWrite(0.7 * w) for w in weights])
    other.load_state_dict(held)
    assert (other.wear == 2).all()
    other.write([LayerWrite(0.7 * w) for w in weights])
    assert all(torch.equal(*both) for both in zip(_counts(chip), _counts(other), strict=True))


def test_counting_changes_nothing_else(chip_of: Any, inputs_of: Any) -> None:
    outputs = []
    for count in (False, True):
        chip = chip_of(NETWORK, load_profile("pcm"), 2, count_wear=count)
        chip.write([LayerWrite(0.8 * w) for w in chip.oracle.weights], now=1.0)
        outputs.append(chip.forward(inputs_of(2, 5, 6), now=2.0).outputs)
    assert torch.equal(*outputs)


def test_nobody_counts_unless_asked_or_for_a_reason(chip_of: Any, profile_of: Any) -> None:
    with pytest.raises(RuntimeError, match="make the chip with count_wear=True"):
        _ = chip_of(NETWORK, profile_of()).wear
    for parts in (ABSOLUTE["endurance"], VERIFIED):
        assert (chip_of(NETWORK, profile_of(**parts)).wear >= 1).all()


# A loss of power


def test_forgotten_is_what_is_volatile(chip_of: Any, inputs_of: Any, profile_of: Any) -> None:
    adc = {"bits": 8, "range": "calibrated"}
    noise = {"kind": "lorentzian", "sigma": "5 %", "tau": "100 us"}
    profile = profile_of(adc=adc, read_noise=noise, drift={"kind": "constant", "t0": "1 s", "mean": 0.1})
    chip, whole = (chip_of(NETWORK, profile, 2) for _ in range(2))
    x = inputs_of(2, 5, 6)
    for each in (chip, whole):
        each.calibrate(x)
        each.take_reference(1.0)
        each.compensate(100.0)
        each.forward(x, now=100.0)
    chip.forget()
    assert chip.oracle.compensation == (None, None)
    with pytest.raises(RuntimeError, match="there is no reference"):
        chip.compensate(100.0)
    for ours, other in zip(chip.crossbars, whole.crossbars, strict=True):
        for bank, same in zip(ours.banks, other.banks, strict=True):
            assert bank.bounds is not None and same.bounds is not None and torch.equal(bank.bounds, same.bounds)
        assert torch.equal(ours.array.weights, other.array.weights)
    chip = chip_of(NETWORK, profile_of(read_noise=noise), 2)
    noises = []
    for lost in (False, True):
        reads = []
        for part in range(2):
            if part and lost:
                chip.forget()
            y = chip.forward(x.expand(2, 5, 6), (Pass(), Pass(clean=True)), now=0.0, go_on=part > 0).pre_activations[0]
            reads.append((y[:, 0, 0] - y[:, 0, 1]).flatten())
        noises.append(torch.corrcoef(torch.stack(reads))[0, 1].item())
    assert noises[0] > 0.95 and abs(noises[1]) < 5 / 110**0.5, "n = 110: correlations of independent numbers"
