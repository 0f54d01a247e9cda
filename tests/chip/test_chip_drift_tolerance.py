"""Drift that is computed anew only where it may have left a tolerance."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch

from analogsim.chip import Chip
from analogsim.network import Network
from analogsim.port import LayerPulses, LayerWrite, Pass
from device_models import Cells, DeviceProfile, load_profile
from device_models.faults import Faults

NETWORK = Network.mlp([6, 11, 4])
TOLERANCE = 1e-3
CONSTANT = {"kind": "constant", "t0": "20 s", "mean": 0.05}
SPREAD_OUT = {**CONSTANT, "sd": 0.02}
LOGARITHMIC = {"kind": "logarithmic", "mean": "-0.09 uS", "sd": "0.4 uS", "sd_slope": "0.04 uS", "t0": "1 s"}
FAILURE = {"kind": "retention_failure", "share": "30 %", "distribution": "exponential", "time": "10 min"}
TABLE = {
    "kind": "spread",
    "table": [
        {"after": f"{t} s", "law": {"kind": "polynomial", "coefficients": c, "reference": "25 uS"}}
        for t, c in ((1, ["0.1 uS", "1 uS"]), (100, ["0.3 uS", "3 uS"]), (1000, ["0.2 uS", "2 uS"]))
    ],
}
WANDERING = {"kind": "lorentzian", "sigma": "5 %", "tau": "30 s"}
TELEGRAPH = {"kind": "telegraph", "amplitude": "5 %", "tau": "30 s", "share": "40 %"}
IN_PROPORTION: dict[str, dict[str, Any]] = {
    "drift": {"drift": CONSTANT},
    "exponents of their own": {"drift": SPREAD_OUT},
    "fixed exponents": {"drift": {**SPREAD_OUT, "nu": "fixed"}},
    "pcm": {"drift": load_profile("pcm").to_data()["drift"]},
    "failing": {"drift": CONSTANT, "relaxation": FAILURE},
    "faults": {"drift": SPREAD_OUT, "faults": {"stuck_high": "20 %"}},
    "slices": {"drift": SPREAD_OUT, "slices": {"count": 2, "bits": 3}},
    "reference": {"drift": SPREAD_OUT, "cell": "reference"},
}
ADDING: dict[str, dict[str, Any]] = {
    "logarithmic": {"relaxation": LOGARITHMIC},
    "spread": {"relaxation": TABLE},
    "all": {"drift": SPREAD_OUT, "relaxation": [LOGARITHMIC, TABLE, FAILURE]},
}
ALL = {**IN_PROPORTION, **ADDING}


def _cells(chip: Chip) -> list[Cells]:
    return [cells for crossbar in chip.crossbars for cells in crossbar.array.cells]


def _settled(chip: Chip) -> int:
    return sum(crossbar.array.settled for crossbar in chip.crossbars)


def _times(n: int) -> list[float]:
    """Of reads, seconds: at random, from 5 s to an hour after the first programming."""
    shares = torch.rand(n, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return sorted((5 * 720**shares).tolist())


def _dense(n: int) -> list[float]:
    """Of reads, seconds: from 30 s to a minute, so close that most chips stand from one to the next."""
    return [30 * 2 ** (k / n) for k in range(n)]


def _pair(chip_of: Any, profile: DeviceProfile, population: Any = 2, **arguments: Any) -> tuple[Chip, Chip]:
    """The same chips with the tolerance and without."""
    given = {"population": population, **arguments}
    return chip_of(NETWORK, profile, drift_tolerance=TOLERANCE, **given), chip_of(NETWORK, profile, **given)


@pytest.mark.parametrize("name", ALL)
def test_conductances_are_within_the_tolerance_at_all_times(
    chip_of: Any, profile_of: Any, weights_of: Any, name: str
) -> None:
    """200 reads at random times, some devices written in between, so that ages differ."""
    rough, exact = _pair(chip_of, profile_of(**ALL[name]))
    weights, errors = weights_of(NETWORK, range(2), torch.float64), []
    for k, now in enumerate(_times(200)):
        for chip in (rough, exact):
            if k % 50 == 49:
                held = [crossbar.array.target for crossbar in chip.crossbars]
                some = [
                    torch.where(w.abs() > w.abs().mean(), w * 0.99**k, old)
                    for w, old in zip(weights, held, strict=True)
                ]
                chip.write([LayerWrite(w) for w in some], now=now)
            chip.settle(now)
        for ours, right in zip(_cells(rough), _cells(exact), strict=True):
            scale = right.drifted.clamp(min=25e-6 if name in ADDING else 1e-30)
            errors.append(((ours.drifted - right.drifted).abs() / scale).max().item())
    assert TOLERANCE / 20 < max(errors) <= TOLERANCE + 1e-9
    assert _settled(rough) < _settled(exact) * (1 if name in ADDING else 0.8)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-3, 1e-2])
def test_so_often_is_drift_computed(chip_of: Any, profile_of: Any, tolerance: float) -> None:
    """With one exponent: at t0 (1 + tolerance)^(1/nu), and whenever the age has grown by that factor since."""
    chip = chip_of(NETWORK, profile_of(drift=CONSTANT), drift_tolerance=tolerance)
    times, expected, until = _times(1000), 0, 20 * (1 + tolerance) ** 20
    for now in times:
        if now >= until:
            expected, until = expected + 1, now * (1 + tolerance) ** 20
    before = _settled(chip)
    for now in times:
        chip.settle(now)
    assert abs((_settled(chip) - before) / 2 - expected) <= 1
    law = math.log(times[-1] / 20) / math.log1p(tolerance) / 20
    assert expected < law, "no more often than the law says, and less often where reads are rare"
    assert tolerance < 1e-2 or expected > 0.8 * law


@pytest.mark.parametrize("name", [*ALL, "pcm-hermes", "sonos"])
def test_no_tolerance_changes_no_bit(chip_of: Any, profile_of: Any, weights_of: Any, inputs_of: Any, name: str) -> None:
    """As often as time has passed, and at each write."""
    profile = profile_of(**ALL[name]) if name in ALL else load_profile(name)
    plain, none = (chip_of(NETWORK, profile, 2, **tolerance) for tolerance in ({}, {"drift_tolerance": 0.0}))
    for now in (0.0, 5.0, 5.0, 40.0, 1e4):
        for chip in (plain, none):
            chip.write([LayerWrite(0.9 * w) for w in chip.oracle.weights], now=now)
        outputs = [chip.forward(inputs_of(2, 5, 6), now=now + 1).outputs for chip in (plain, none)]
        assert torch.equal(*outputs)
    assert _settled(none) == _settled(plain) > 2 * 5


@pytest.mark.parametrize("noise", [WANDERING, TELEGRAPH], ids=["relaxation", "telegraph"])
def test_what_wanders_does_not_stand_still(chip_of: Any, profile_of: Any, noise: dict[str, Any]) -> None:
    """It is moved as soon as a hundredth of its correlation time, 0.3 s, has passed, and only then."""
    chip = chip_of(NETWORK, profile_of(drift=CONSTANT, read_noise=noise), drift_tolerance=TOLERANCE)
    cells, seen = _cells(chip)[0], []
    for now in (0.0, 0.29, 0.31, 0.35, 0.6, 0.62):
        chip.settle(now)
        seen.append(cells.conductance.clone())
    moved = [not torch.equal(*both) for both in zip(seen, seen[1:], strict=False)]
    if noise is WANDERING:
        assert moved == [False, True, False, False, True]
    else:
        assert not moved[0] and not moved[2] and not moved[3]
        for now in range(1, 20):
            chip.settle(float(now))
        assert not torch.equal(cells.conductance, seen[0]), "nothing has drifted before 20 s"


@pytest.mark.parametrize("noise", [WANDERING, TELEGRAPH], ids=["relaxation", "telegraph"])
def test_a_chip_alone_is_the_chip_of_the_population(
    chip_of: Any, profile_of: Any, weights_of: Any, inputs_of: Any, noise: dict[str, Any]
) -> None:
    """Bit for bit: another chip's exponents do not decide when this one is looked at."""
    drift = {**CONSTANT, "mean": {"each": [0.02, 0.05, 0.11]}, "sd": 0.01}
    parts = {"relaxation": FAILURE, "read_noise": noise}
    x, kept = inputs_of(3, 5, 6), []
    for ids in ([0, 1, 2], [0], [1], [2]):
        own = drift if len(ids) == 3 else {**drift, "mean": drift["mean"]["each"][ids[0]]}
        chip = chip_of(NETWORK, profile_of(drift=own, **parts), ids, drift_tolerance=TOLERANCE)
        held = []
        for k, now in enumerate(_dense(80)):
            chip.forward(x[ids], now=now)
            if k == 40:
                weights = weights_of(NETWORK, ids, torch.float64)
                chip.write([LayerWrite(0.9 * w) for w in weights], now=now)
            held.append(torch.stack([cells.conductance[:, :4, :4].clone() for cells in _cells(chip)], 1))
        kept.append(torch.stack(held, 1))
    together, *alone = kept
    assert all(torch.equal(own[0], together[k]) for k, own in enumerate(alone))


@pytest.mark.parametrize("name", ["all", "drift"])
@pytest.mark.parametrize("noise", [None, WANDERING], ids=["still", "wandering"])
def test_a_checkpoint_goes_on_bit_for_bit(
    chip_of: Any, profile_of: Any, inputs_of: Any, name: str, noise: dict[str, Any] | None
) -> None:
    parts = {**ALL[name], "drift": {**CONSTANT, "mean": {"each": [0.02, 0.05]}}}
    profile = profile_of(**parts, read_noise=noise)
    times, x = _dense(120), inputs_of(2, 5, 6)
    chip, other = (chip_of(NETWORK, profile, 2, drift_tolerance=TOLERANCE) for _ in range(2))
    for now in times[:60]:
        chip.forward(x, now=now)
    other.load_state_dict(copy.deepcopy(chip.state_dict()))
    counts = [_settled(each) for each in (chip, other)]
    for now in times[60:]:
        assert torch.equal(*(each.forward(x, now=now).outputs for each in (chip, other)))
    assert _settled(chip) - counts[0] == _settled(other) - counts[1] > 4


def test_pulses_act_on_what_devices_are(chip_of: Any, profile_of: Any) -> None:
    """Incremental writes take the present state, to the last bit."""
    update = {"kind": "soft_bounds", "dw_min": 0.01}
    rough, exact = _pair(chip_of, profile_of(drift=CONSTANT, update=update, cell="reference"))
    for now in (21.0, 21.0001, 25.0, 1e4):
        for chip in (rough, exact):
            chip.settle(now - 0.00005)
            chip.write([LayerPulses(pulses=torch.ones_like(w)) for w in chip.oracle.weights], now=now)
        for ours, right in zip(_cells(rough), _cells(exact), strict=True):
            assert torch.equal(ours.programmed, right.programmed)


def test_failures_show_at_their_times(chip_of: Any, profile_of: Any) -> None:
    rough, exact = _pair(chip_of, profile_of(relaxation=FAILURE), 1)
    effect, state = next(iter(_cells(exact)[0].remembered))
    lives = sorted(effect.fails_after(state)[state["weak"]].tolist())  # type: ignore[attr-defined]
    for life in lives[:10]:
        for now in (life * (1 - 1e-12), life, life * (1 + 1e-12)):
            for chip in (rough, exact):
                chip.settle(now)
            assert torch.equal(_cells(rough)[0].conductance, _cells(exact)[0].conductance)


def test_looks_back_are_exact(chip_of: Any, profile_of: Any) -> None:
    rough, exact = _pair(chip_of, profile_of(drift=CONSTANT))
    for chip in (rough, exact):
        chip.settle(1000.0)
        chip.settle(999.0)
    assert torch.equal(_cells(rough)[0].conductance, _cells(exact)[0].conductance)


def test_events_are_seen_at_once(chip_of: Any, profile_of: Any) -> None:
    rough, exact = _pair(chip_of, profile_of(drift=CONSTANT, relaxation={**FAILURE, "activation_energy": "1 eV"}))
    for chip in (rough, exact):
        chip.settle(100.0)
        chip.fail(Faults.model_validate({"stuck_low": "50 %"}), 100.0)
    assert torch.equal(_cells(rough)[0].conductance, _cells(exact)[0].conductance)
    for chip in (rough, exact):
        chip.set_temperature(400.0, 101.0)
        chip.settle(110.0)
    failed = [cells.base == 0 for cells in (_cells(rough)[0], _cells(exact)[0])]
    assert torch.equal(*failed) and failed[0].any()


def test_read_disturb_is_not_put_off(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    disturbed = {"read_disturb": {"rate": 1e-3}, "drift": CONSTANT}
    rough, exact = _pair(chip_of, profile_of(**disturbed))
    for now in (1.0, 2.0, 3.0):
        outputs = [chip.forward(inputs_of(2, 5, 6), (Pass(), Pass()), now=now).outputs for chip in (rough, exact)]
        assert torch.equal(*outputs), "before t0 nothing drifts"
        for chip in (rough, exact):
            chip.settle(now + 0.5)
        assert torch.equal(rough.oracle.weights[0], exact.oracle.weights[0]), "nor is anybody disturbed later"


@pytest.mark.parametrize("tolerance", [-0.1, 1.0, math.nan])
def test_refused_tolerances(profile_of: Any, tolerance: float) -> None:
    with pytest.raises(ValueError, match="drift_tolerance must be a share from 0 to below 1"):
        Chip(NETWORK, profile_of(), drift_tolerance=tolerance)
