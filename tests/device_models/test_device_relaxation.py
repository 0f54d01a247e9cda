"""Relaxation: laws with given numbers, then distributions.

Statistical tolerances: each test states n; bounds are Z standard errors, exceeded with probability 6e-7 each.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from device_models import Cells, DeviceProfile, ProfileError
from device_models.conductance_effect import ConductanceEffect, State

Z = 5.0
US = 1e-6
DAY = 86_400.0
# Falcone et al., arXiv 2502.04524
CMO = {"kind": "logarithmic", "mean": "-0.08900 uS", "sd": "0.41183 uS", "sd_slope": "0.04201 uS", "t0": "1 s"}
# Wan et al., Nature 608:504 (2022), microsiemens, polynomials in r = G / 40 uS
WAN = {
    1.0: [0.348, 16.030, -43.853, 45.393, -16.815],
    DAY: [0.701, 22.086, -50.773, 47.095, -16.458],
    2 * DAY: [0.782, 20.274, -43.507, 37.062, -11.934],
}


def _polynomial(coefficients: list[float]) -> dict[str, Any]:
    return {"kind": "polynomial", "coefficients": [f"{c} uS" for c in coefficients], "reference": "40 uS"}


TABLE = {"kind": "spread", "table": [{"after": f"{t:.0f} s", "law": _polynomial(c)} for t, c in WAN.items()]}


def _profile(**parts: Any) -> DeviceProfile:
    return DeviceProfile.from_data({"name": "x", "conductance": {"min": "1 uS", "max": "40 uS"}, **parts})


def _normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _cells(target: Tensor, seed: int = 1, now: float = 0.0, **parts: Any) -> Cells:
    """Devices of targets (C, out, rows), microsiemens."""
    device = _profile(**parts).build(target.shape[0], torch.device("cpu"), torch.float64)
    cells = Cells(device)
    shape = (target.shape[0], -1, *target.shape[1:])
    made = _normal(target.shape[0], device.fabricated, *target.shape[1:], seed=seed + 1000)
    numbers = _normal(target.shape[0], device.numbers, *target.shape[1:], seed=seed)
    cells.program(target * US, numbers.reshape(shape), now, made if device.fabricated else None)
    return cells


def _at(cells: Cells, now: float) -> Tensor:
    cells.settle(now)
    return cells.conductance.flatten() / US


# Laws with given numbers


@pytest.mark.parametrize("t", [1.0, 60.0, 3600.0, 10 * 365 * DAY])
def test_logarithmic_relaxation_is_a_line_in_ln_t(t: float) -> None:
    target = torch.linspace(5, 40, 7, dtype=torch.float64).reshape(1, 1, 7)
    xi = _normal(1, 1, 1, 7).flatten()
    law = target.flatten() - 0.08900 * math.log(t) + (0.41183 + 0.04201 * math.log(t)) * xi
    torch.testing.assert_close(_at(_cells(target, relaxation=CMO), t), law, rtol=1e-12, atol=0)


def test_shift_and_spread_an_hour_after_the_write_are_the_published_ones() -> None:
    n = 200_000
    shift = _at(_cells(torch.full((1, 1, n), 30.0, dtype=torch.float64), relaxation=CMO), 3600.0).numpy() - 30
    sd = 0.41183 + 0.04201 * math.log(3600)
    assert sd == pytest.approx(0.7558, abs=1e-4)
    assert abs(shift.mean() + 0.7288) < Z * sd / math.sqrt(n) + 5e-5
    assert abs(shift.std() / sd - 1) < Z / math.sqrt(2 * n)


def test_earlier_than_t0_is_taken_as_of_t0_and_time_zero_is_no_fault() -> None:
    target = torch.full((1, 1, 50), 20.0, dtype=torch.float64)
    relaxation = {**CMO, "t0": "10 s"}
    cells = _cells(target, now=500.0, relaxation=relaxation)
    begin = _at(cells, 500.0)
    assert begin.isfinite().all() and begin.std() > 0.3
    assert torch.equal(_at(cells, 510.0), begin)
    assert (_at(cells, 511.0) != begin).all()
    assert torch.equal(_at(cells, 500.0), begin), "a look back"


def test_a_relaxed_conductance_is_not_negative() -> None:
    n = 100_000
    left = _at(_cells(torch.full((1, 1, n), 1.0, dtype=torch.float64), relaxation=CMO), 3600.0).numpy()
    assert left.min() == 0
    # Clamped where 1 + mean + sd xi < 0.
    p = stats.norm.cdf(-(1 - 0.08900 * math.log(3600)) / (0.41183 + 0.04201 * math.log(3600)))
    assert abs((left == 0).mean() - p) < Z * math.sqrt(p * (1 - p) / n)


def test_a_spread_that_shrinks_ends_at_none() -> None:
    target = torch.full((1, 1, 5), 20.0, dtype=torch.float64)
    relaxation = {**CMO, "mean": "0 uS", "sd": "1 uS", "sd_slope": "-0.5 uS"}
    assert torch.equal(_at(_cells(target, relaxation=relaxation), 1e6), target.flatten())


@pytest.mark.parametrize("kind", [CMO, TABLE])
def test_each_chip_may_relax_by_its_own_factor(kind: dict[str, Any]) -> None:
    target = torch.full((3, 2, 4), 20.0, dtype=torch.float64)
    profile = _profile(relaxation={**kind, "scale": {"each": [0.0, 1.0, 2.0]}})
    cells = Cells(profile.build(3, torch.device("cpu"), torch.float64))
    cells.program(target * US, _normal(1, 1, 2, 4).expand(3, 1, 2, 4), 0.0)
    none, once, twice = (_at(cells, DAY).reshape(3, 8) - 20).unbind()
    assert (none.abs() < 1e-12).all()
    torch.testing.assert_close(twice, 2 * once)


def _extra(t: float, g: float) -> float:
    """Variance beyond the first spread, in microsiemens squared."""
    first, day, two = (np.polynomial.Polynomial(c)(g / 40) ** 2 for c in WAN.values())
    ends = [0.0, max(0.0, day - first), max(0.0, two - first)]
    return float(np.interp(math.log(t), np.log(list(WAN)), ends))


@pytest.mark.parametrize("t", [0.0, 0.5, 1.0, 60.0, 3600.0, DAY, 1.5 * DAY, 2 * DAY, 100 * DAY])
def test_the_spread_beyond_the_first_is_interpolated_in_ln_t(t: float) -> None:
    target = torch.linspace(15, 40, 6, dtype=torch.float64).reshape(1, 1, 6)
    cells = _cells(target, relaxation=TABLE)
    xi = _normal(1, 1, 1, 6).flatten().clamp(-2, 2)
    cells.remembered.of(cells._device.levels[0])["xi"] = xi.reshape(1, 1, 6)
    sd = torch.tensor([math.sqrt(_extra(max(t, 1.0), g)) for g in target.flatten().tolist()], dtype=torch.float64)
    torch.testing.assert_close(_at(cells, t), target.flatten() + sd * xi, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("t", [1.0, DAY, 2 * DAY])
def test_programmed_with_the_first_spread_an_array_has_the_published_one_at_each_time(t: float) -> None:
    n = 200_000
    cells = _cells(
        torch.full((1, 1, n), 30.0, dtype=torch.float64), programming=_polynomial(WAN[1.0]), relaxation=TABLE
    )
    published = np.polynomial.Polynomial(WAN[t])(30 / 40)
    assert abs(_at(cells, t).numpy().std() / published - 1) < Z / math.sqrt(2 * n)


def test_the_spread_is_that_of_the_target_not_of_what_was_programmed() -> None:
    target = torch.full((1, 1, 4), 30.0, dtype=torch.float64)
    cells = _cells(target, programming={"kind": "constant", "sigma": "5 uS"}, relaxation=TABLE)
    programmed, xi = cells.programmed.flatten() / US, _normal(1, 2, 1, 4)[0, 1].flatten()
    assert programmed.std() > 1
    torch.testing.assert_close(_at(cells, DAY), programmed + math.sqrt(_extra(DAY, 30.0)) * xi, rtol=1e-9, atol=0)


def test_saturating_spreads_of_charge_trap_memory_five_days_on() -> None:
    n = 100_000
    # Agrawal et al., IEDM 2022: sigma = A (1 - exp(-I / B)), nA, here as conductances under 0.1 V.
    first = {"kind": "saturating", "sigma": "0.19887 uS", "knee": "1.7631 uS"}
    later = {"kind": "saturating", "sigma": "0.34579 uS", "knee": "2.0734 uS"}
    table = [{"after": "1 s", "law": first}, {"after": "5 day", "law": later}]
    cells = _cells(
        torch.full((1, 1, n), 10.0, dtype=torch.float64),
        programming=first,
        relaxation={"kind": "spread", "table": table},
    )
    for t, amplitude, knee in ((1.0, 19.887, 176.31), (5 * DAY, 34.579, 207.34)):
        published = amplitude * (1 - math.exp(-1000 / knee)) / 100
        assert abs(_at(cells, t).numpy().std() / published - 1) < Z / math.sqrt(2 * n)


def test_a_narrower_spread_than_the_first_adds_none() -> None:
    law = [{"after": f"{t} s", "law": {"kind": "constant", "sigma": f"{s} uS"}} for t, s in ((1, 2), (9, 1), (81, 3))]
    target = torch.full((1, 1, 4), 20.0, dtype=torch.float64)
    cells = _cells(target, relaxation={"kind": "spread", "table": law})
    assert torch.equal(_at(cells, 9.0), target.flatten())
    xi = (_at(cells, 81.0) - 20) / math.sqrt(5)
    torch.testing.assert_close(_at(cells, 27.0) - 20, xi * math.sqrt(2.5), rtol=1e-9, atol=0)


def test_effects_act_one_after_the_other_after_the_drift_and_a_write_begins_anew() -> None:
    target = torch.full((1, 1, 3), 20.0, dtype=torch.float64)
    drift = {"kind": "constant", "t0": "1 s", "mean": 0.1}
    second = {**CMO, "mean": "1 uS", "sd": "0 uS", "sd_slope": "0 uS"}
    cells = _cells(target, drift=drift, relaxation=[CMO, second])
    xi = _normal(1, 3, 1, 3)[:, 1].flatten()

    def law(xi: Tensor, t: float) -> Tensor:
        nats = math.log(t)
        return 20 * t**-0.1 - 0.08900 * nats + (0.41183 + 0.04201 * nats) * xi + nats

    torch.testing.assert_close(_at(cells, 1000.0), law(xi, 1000.0))
    changed = torch.tensor([[[True, False, True]]])
    again = _normal(1, 3, 1, 3, seed=9)
    cells.write(cells.target, again, 500.0, changed)
    torch.testing.assert_close(_at(cells, 600.0)[[0, 2]], law(again[0, 1, 0], 100.0)[[0, 2]])
    torch.testing.assert_close(_at(cells, 600.0)[1], law(xi, 600.0)[1])


# What is refused

ENTRY = {"after": "1 s", "law": {"kind": "constant", "sigma": "1 uS"}}
REFUSED = [
    ({**CMO, "t0": "0 s"}, "relaxation.0.t0: "),
    ({**CMO, "sd": "-1 uS"}, "relaxation.0.sd: must not be below 0 uS"),
    ({"kind": "cubic"}, "relaxation.0.kind: not a known choice (got 'cubic')"),
    ({"kind": "spread", "table": [ENTRY]}, "relaxation.0.table: "),
    ({"kind": "spread", "table": [ENTRY, ENTRY]}, "relaxation.0.table: times must rise from entry to entry (got 1 s, "),
    (
        {"kind": "spread", "table": [ENTRY, {"after": "2 s", "law": {"kind": "saturating", "sigma": "1 uS"}}]},
        "relaxation.0.table.1.law.knee: is missing",
    ),
]


@pytest.mark.parametrize(("relaxation", "fault"), REFUSED, ids=[fault for _, fault in REFUSED])
def test_settings_that_would_not_hold_are_refused(relaxation: dict[str, Any], fault: str) -> None:
    with pytest.raises(ProfileError) as caught:
        _profile(relaxation=relaxation)
    assert str(caught.value).splitlines()[1].startswith(f"  - {fault}")


@pytest.mark.parametrize("relaxation", [CMO, TABLE, [CMO, TABLE], None])
def test_a_profile_is_read_back_from_its_own_data(relaxation: Any) -> None:
    profile = _profile(relaxation=relaxation, temperature="85 degC")
    assert profile.temperature == 358.15
    assert DeviceProfile.from_data(profile.to_data()) == profile
    assert len(profile.relaxation) == (0 if relaxation is None else 2 if isinstance(relaxation, list) else 1)


def test_each_in_a_law_of_the_table_is_refused_by_its_path() -> None:
    law = {"kind": "constant", "sigma": {"each": ["1 uS", "2 uS"]}}
    profile = _profile(relaxation={"kind": "spread", "table": [ENTRY, {"after": "2 s", "law": law}]})
    with pytest.raises(ProfileError, match=r"^relaxation\.table\.1\.law\.sigma: `each` gives 2 values for 3 chips"):
        profile.build(3, torch.device("cpu"), torch.float64)


# How long a tolerance holds


@pytest.mark.parametrize("name", ["logarithmic", "spread", "falling", "both", "twice"])
@pytest.mark.parametrize("now", [0.0, 1.0, 1990.0, DAY])
def test_no_conductance_leaves_a_tolerance_before_the_time_that_is_told(name: str, now: float) -> None:
    """Of G_max, 1000 devices from 2 to 40 uS, looked at ten times until then."""
    target = torch.linspace(2, 40, 1000, dtype=torch.float64).reshape(1, 1, -1)
    table = zip((1.0, 1e3, 2e3), ("0.1 uS", "2 uS", "0.1 uS"), strict=True)
    falling = [{"after": f"{t} s", "law": {"kind": "constant", "sigma": sigma}} for t, sigma in table]
    shift = {**CMO, "sd": "0 uS", "sd_slope": "0 uS"}
    laws = {
        "logarithmic": CMO,
        "spread": TABLE,
        "falling": {"kind": "spread", "table": falling},
        "both": [CMO, TABLE],
        "twice": [shift, shift],
    }
    cells, tolerance = _cells(target, relaxation=laws[name]), 2e-3
    before, left = _at(cells, now), float(cells.steady(now, tolerance))
    assert left > 0
    errors = [(_at(cells, now + share * left) - before).abs().max().item() / 40 for share in np.linspace(0.1, 1, 10)]
    assert max(errors) <= tolerance * (1 + 1e-9)
    ended = name == "falling" and now == DAY
    assert ended or max(errors) > tolerance / 20, "nor is it told far too early"
    assert name != "twice" or max(errors) > tolerance * (1 - 1e-9)


def test_an_effect_that_knows_nothing_of_tolerances_is_computed_at_all_times() -> None:
    class Ageing(ConductanceEffect):
        ages = True

        def apply(self, g: Tensor, programmed: Tensor, state: State, elapsed: Tensor | None) -> Tensor:
            return g

    assert Ageing().steady({}, torch.ones(3, 2, 2, dtype=torch.float64), 0.1).tolist() == [0, 0, 0]
