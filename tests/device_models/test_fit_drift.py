"""Drift: fits against closed forms; read noise beside the spread, bounds that no data reach, wrong laws.

Statistical tests state n; a bound of Z standard errors is exceeded with probability 6e-7.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import integrate, stats

from device_models.fit import synthetic
from device_models.fit.drift import _clip, fit_drift
from device_models.fit.drift_law import Law, folded_density, inner, score
from device_models.fit.programming import fit_programming
from device_models.fit.read_noise import fit_read_noise
from device_models.fit.result import Estimate

Z, US = 5.0, 1e-6


def test_exponents_without_noise_are_returned_exactly(lab: SimpleNamespace) -> None:
    nu, elapsed = np.array([0.05, 0.055, 0.06, 0.065, 0.08]), np.geomspace(20, 1e5, 6)
    y = 10 * US * (elapsed / 20) ** -nu[:, None]
    columns = {"device": np.arange(5).repeat(6), "elapsed": np.tile(elapsed, 5), "conductance": y.ravel()}
    fit = fit_drift([lab.table("drift", columns)], 25 * US, t0=20.0)
    assert fit.picture is not None
    np.testing.assert_allclose(fit.picture.y, nu, rtol=1e-9)
    assert lab.named(fit)["drift.mean"] == pytest.approx(nu.mean(), rel=1e-3)
    assert lab.named(fit)["drift.sd"] == pytest.approx(nu.std(), rel=1e-3)
    assert any("5 device(s)" in warning for warning in fit.warnings)


@pytest.mark.parametrize(("m", "s", "w"), [(0.1, 0.05, 1e-4), (0.02, 0.05, 1e-6), (0.0, 0.03, 1e-3), (0.1, 1e-4, 1e-4)])
def test_the_density_of_a_folded_exponent_is_the_integral(m: float, s: float, w: float) -> None:
    for at in (-0.05, 0.001, 0.03, 0.2):

        def joint(u: float, at: float = at) -> float:
            return float(stats.norm.pdf(u, m, s) * stats.norm.pdf(at, abs(u), math.sqrt(w)))

        points = sorted({0.0, at, -at, m})
        whole, _ = integrate.quad(joint, m - 12 * s, m + 12 * s, points=points, limit=500, epsabs=1e-14)
        got = float(np.exp(folded_density(np.array([at]), np.array([m]), np.array([s]), np.array([w])))[0])
        assert got == pytest.approx(whole, rel=1e-6, abs=1e-9)


def test_read_noise_is_not_taken_for_a_spread_of_exponents(lab: SimpleNamespace) -> None:
    n = 400
    known = lab.profile(
        drift={"kind": "constant", "t0": "20 s", "mean": 0.06, "sd": 0.01},
        read_noise={"kind": "proportional", "sigma": "5 %"},
    )
    elapsed = np.geomspace(20, 1e4, 6)
    reads = synthetic.drift(known, np.full(n, 12 * US), elapsed, np.random.default_rng(17))
    fit = fit_drift([lab.table("drift", reads)], 25 * US, t0=20.0)
    found = {each.path: each for each in fit.estimates}
    assert found["drift.sd"].se is not None and fit.picture is not None
    assert abs(found["drift.sd"].value - 0.01) < Z * found["drift.sd"].se
    assert fit.picture.y.std() > 0.012, "the exponents of single devices scatter more"
    assert any("nu is taken as independent of conductance" in warning for warning in fit.warnings)


def test_bounds_that_no_data_reach_are_held_at_the_end_of_the_range(lab: SimpleNamespace) -> None:
    fit, _ = lab.drift(np.random.default_rng(18), 800)
    named, flags = lab.named(fit), lab.flags(fit)
    assert fit.data["kind"] == "logarithmic"
    assert flags["drift.mean.max"] == flags["drift.sd.max"] == "not determined"
    line = named["drift.mean.slope"] * math.log(0.06) + named["drift.mean.offset"]
    assert named["drift.mean.max"] == pytest.approx(line, rel=1e-6)
    assert flags["drift.t0"] == "given"
    assert "drift.mean.min" not in flags


def test_two_times_or_one_device_warn_and_no_time_is_refused(lab: SimpleNamespace) -> None:
    known = lab.profile(drift={"kind": "constant", "t0": "20 s", "mean": 0.06, "sd": 0.01})
    rng = np.random.default_rng(19)
    reads = synthetic.drift(known, np.full(30, 12 * US), np.array([20.0, 2000.0]), rng)
    fit = fit_drift([lab.table("drift", reads)], 25 * US)
    assert any("two times a device" in warning for warning in fit.warnings)
    assert lab.flags(fit)["drift.t0"] == "assumed"
    reads = synthetic.drift(known, np.full(30, 12 * US), np.array([10.0, 20.0]), rng)
    with pytest.raises(ValueError, match="no device has two conductances above zero at different times after t0"):
        fit_drift([lab.table("drift", reads)], 25 * US, t0=100.0)
    lone = synthetic.drift(known, np.full(1, 12 * US), np.geomspace(20, 1e5, 8), rng)
    noisy = {**lone, "conductance": lone["conductance"] * np.exp(0.01 * rng.standard_normal(8))}
    fit = fit_drift([lab.table("drift", noisy)], 25 * US)
    assert fit.picture is not None
    assert any("1 device(s)" in warning for warning in fit.warnings)
    assert lab.flags(fit)["drift.sd"] == lab.flags(fit)["drift.mean"] == "not determined"
    assert lab.named(fit)["drift.mean"] == pytest.approx(float(fit.picture.y[0]), rel=1e-3)


def test_tables_without_any_scatter_and_conductances_that_rise_are_told(lab: SimpleNamespace) -> None:
    still = {"device": [1, 1, 2, 2], "time": [0, 1, 0, 1], "conductance": [US, US, 2 * US, 2 * US]}
    with pytest.raises(ValueError, match="all reads of a device are equal"):
        fit_read_noise([lab.table("reads", still)], 25 * US)
    with pytest.raises(ValueError, match="all writes end at their targets"):
        fit_programming([lab.table("programmed", {"target": [US, US, US], "conductance": [US, US, US]})], 25 * US)
    elapsed = np.array([1.0, 10.0, 100.0])
    y = 5 * US * elapsed**0.02 * np.exp(0.001 * np.random.default_rng(21).standard_normal((12, 3)))
    columns = {"device": np.arange(12).repeat(3), "elapsed": np.tile(elapsed, 12), "conductance": y.ravel()}
    fit = fit_drift([lab.table("drift", columns)], 25 * US)
    assert any("conductances rise with time" in warning for warning in fit.warnings)


def test_a_decay_that_is_no_power_law_is_found_out(lab: SimpleNamespace) -> None:
    elapsed = np.geomspace(20, 1e5, 10)
    rng = np.random.default_rng(20)
    x = np.log(elapsed / 20)
    y = 10 * US * np.exp(-0.02 * x - 0.004 * x**2 + 0.01 * rng.standard_normal((40, 10)))
    columns = {"device": np.arange(40).repeat(10), "elapsed": np.tile(elapsed, 40), "conductance": y.ravel()}
    fit = fit_drift([lab.table("drift", columns)], 25 * US, t0=20.0)
    assert {check.name: check.p for check in fit.checks}["decay is a power law (z)"] < 1e-6
    fit, _ = lab.plain_drift(rng, 40)
    assert {check.name: check.p for check in fit.checks}["decay is a power law (z)"] > 1e-4


def test_a_bound_that_few_devices_reach_is_not_determined() -> None:
    theta, r = np.array([-0.02, 0.02, 0.05]), np.concatenate([np.full(20, 0.1), np.full(4, 0.5)])
    told = [Estimate(f"drift.mean.{key}", value) for key, value in zip(("slope", "offset", "min"), theta, strict=True)]
    for few, flag in ((r, "not determined"), (np.append(r, 0.5), "")):  # 4 devices lie beyond min, then 5
        part, found = _clip("mean", ("slope", "offset", "min"), theta, told, few)
        assert {each.path: each.flag for each in found}["drift.mean.min"] == flag
        assert part["min"] == 0.05
        assert part["max"] == pytest.approx(-0.02 * math.log(0.1) + 0.02)


def test_a_bound_costs_ln_devices_and_sets_in_away_from_the_ends() -> None:
    line, bent = Law(("slope", "offset"), ("value",)), Law(("slope", "offset", "min"), ("value",))
    assert score(bent, -7.0, 500) - score(line, -7.0, 500) == pytest.approx(math.log(500))
    assert score(line, -7.0, 500) == 2 * 5 + 14  # slope, offset, spread, and two of the read noise
    log_r = np.linspace(-2, 0, 100)
    for at, believed in ((-1.9, False), (-1.0, True), (-0.1, False)):  # min sets in at ln r = at
        assert inner(bent, np.array([-0.02, 0.05 - 0.02 * -at, 0.05, 0.01]), log_r) is believed
