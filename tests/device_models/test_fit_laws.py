"""Fits against closed forms, without and with sampling error; what the data leave open; wrong models.

Statistical tests state n; a bound of Z standard errors is exceeded with probability 6e-7.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from device_models.fit import Fit, synthetic
from device_models.fit.contrasts import contrasts, flicker_factor
from device_models.fit.drift import _clip, fit_drift
from device_models.fit.drift_law import Law, folded_density, inner, score
from device_models.fit.likelihood import maximise, profile_interval
from device_models.fit.programming import fit_programming
from device_models.fit.read_noise import fit_read_noise
from device_models.fit.result import Estimate

Z, US = 5.0, 1e-6


def _named(fit: Fit) -> dict[str, float]:
    return {each.path: each.value for each in fit.estimates}


def _flags(fit: Fit) -> dict[str, str]:
    return {each.path: each.flag for each in fit.estimates if each.flag}


# Likelihood


def test_a_gaussian_has_the_textbook_errors() -> None:
    x = np.random.default_rng(1).normal(3, 2, 400)

    def terms(theta: np.ndarray) -> np.ndarray:
        return stats.norm.logpdf(x, theta[0], theta[1]) if theta[1] > 0 else np.full(400, -np.inf)

    found = maximise(terms, [np.array([1.0, 1.0])], np.array([1.0, 1.0]), sandwich=False)
    np.testing.assert_allclose(found.theta, [x.mean(), x.std()], rtol=1e-5)
    np.testing.assert_allclose(found.se, [x.std() / math.sqrt(400), x.std() / math.sqrt(800)], rtol=5e-3)
    assert found.aic == pytest.approx(4 - 2 * stats.norm.logpdf(x, x.mean(), x.std()).sum(), abs=1e-5)
    # 2 ln L lost at mu is n ln(1 + d^2 / var): its interval has ends in closed form.
    low, high = profile_interval(terms, found, np.array([1.0, 1.0]), 0)
    half = x.std() * math.sqrt(math.exp(3.8414588 / 400) - 1)
    assert low == pytest.approx(x.mean() - half, abs=0.04 * half)
    assert high == pytest.approx(x.mean() + half, abs=0.04 * half)


def test_the_sandwich_counts_devices_not_points() -> None:
    rng = np.random.default_rng(2)
    devices, points = 50, 200
    x = (rng.normal(0, 1, devices)[:, None] + rng.normal(0, 0.1, (devices, points))).ravel()
    device = np.repeat(np.arange(devices), points)

    def terms(theta: np.ndarray) -> np.ndarray:
        return np.bincount(device, stats.norm.logpdf(x, theta[0], 1.0))

    robust = maximise(terms, [np.zeros(1)], np.ones(1), sandwich=True)
    plain = maximise(terms, [np.zeros(1)], np.ones(1), sandwich=False)
    means = x.reshape(devices, points).mean(1)
    assert robust.se[0] == pytest.approx(means.std(ddof=1) / math.sqrt(devices), rel=0.02)
    assert plain.se[0] == pytest.approx(1 / math.sqrt(devices * points), rel=1e-3)
    assert robust.degrees == devices - 1


def test_a_flat_direction_is_left_open() -> None:
    x = np.random.default_rng(3).normal(1, 1, 100)
    found = maximise(lambda t: stats.norm.logpdf(x, t[0] + t[1], 1.0), [np.zeros(2)], np.ones(2), sandwich=False)
    assert found.open.tolist() == [True, True]
    assert np.isnan(found.se).all()


# Programming


def test_a_constant_spread_is_the_root_mean_square(lab: SimpleNamespace) -> None:
    target = np.full(300, 10 * US)
    g = target + np.random.default_rng(4).normal(0, 0.7 * US, 300)
    (found,) = fit_programming([lab.table("programmed", {"target": target, "conductance": g})], 25 * US).estimates
    sigma = math.sqrt(np.mean((g - target) ** 2)) / US
    assert found.value == pytest.approx(sigma, rel=1e-5)
    assert found.se == pytest.approx(sigma / math.sqrt(600), rel=5e-3)
    assert found.unit == "uS"


def test_devices_clamped_at_zero_do_not_narrow_the_spread(lab: SimpleNamespace) -> None:
    n = 4000
    rng = np.random.default_rng(5)
    target = np.tile([0.2 * US, 0.5 * US], n // 2)
    g = np.maximum(0, target + 0.6 * US * rng.standard_normal(n))
    fit = fit_programming([lab.table("programmed", {"target": target, "conductance": g})], US, degree=0)
    (found,) = fit.estimates
    assert found.se is not None
    assert abs(found.value - 0.6) < Z * found.se
    naive = math.sqrt(np.mean((g - target) ** 2)) / US
    assert abs(naive - 0.6) > 10 * found.se, "taken at their face they would"


def test_half_of_the_devices_at_a_target_of_zero_say_it_all(lab: SimpleNamespace) -> None:
    # At T = 0 the likelihood is that of a half-normal of the positive ones: sigma^2 = their mean square.
    g = np.maximum(0, US * np.random.default_rng(6).standard_normal(500))
    (found,) = fit_programming([lab.table("programmed", {"target": 0 * g, "conductance": g})], US).estimates
    assert found.value == pytest.approx(math.sqrt(np.mean(g[g > 0] ** 2)) / US, rel=1e-5)


@pytest.mark.parametrize(("name", "degree"), [("pcm", 2), ("reram", 4)])
def test_the_degree_is_found_and_the_spread_is_the_known_one(name: str, degree: int, lab: SimpleNamespace) -> None:
    from device_models import load_profile

    known = load_profile(name)
    g_max = known.conductance.max
    target = np.repeat(np.linspace(0, g_max, 16), 600)
    written = synthetic.programmed(known, target, np.random.default_rng(8))
    fit = fit_programming([lab.table("programmed", written)], g_max)
    assert len(fit.estimates) in (degree + 1, degree + 2)  # AIC takes one more in about one case of six
    assert all(check.p > 1e-4 for check in fit.checks)
    assert fit.warnings == ()


def test_a_wrong_degree_and_wrong_errors_are_found_out(lab: SimpleNamespace) -> None:
    rng = np.random.default_rng(9)
    fit, _ = lab.programming("reram", rng, 60)
    assert all(check.p > 1e-4 for check in fit.checks)
    from device_models import load_profile

    target = np.repeat(np.linspace(0, 40 * US, 16), 60)
    written = synthetic.programmed(load_profile("reram"), target, rng)
    flat = fit_programming([lab.table("programmed", written)], 40 * US, degree=0)
    assert {check.name: check.p for check in flat.checks}["spread at each target (chi-square)"] < 1e-6
    heavy = {"target": target + 50 * US, "conductance": target + US * (50 + rng.standard_t(2, len(target)))}
    assert {c.name: c.p for c in fit_programming([lab.table("programmed", heavy)], 90 * US).checks}[
        "errors are Gaussian (KS)"
    ] < 1e-6
    shifted = {**written, "conductance": np.where(written["conductance"] > 0, written["conductance"] + 0.5 * US, 0)}
    assert {c.name: c.p for c in fit_programming([lab.table("programmed", shifted)], 40 * US).checks}[
        "mean error is zero (z)"
    ] < 1e-3


def test_repeated_writes_of_devices_that_differ_widen_the_error(lab: SimpleNamespace) -> None:
    rng = np.random.default_rng(10)
    devices, writes = 40, 25
    own = np.exp(rng.normal(0, 0.5, devices)).repeat(writes)
    columns = {
        "target": np.full(devices * writes, 10 * US),
        "conductance": 10 * US + 0.3 * US * own * rng.standard_normal(devices * writes),
        "device": np.arange(devices).repeat(writes),
    }
    clustered = fit_programming([lab.table("programmed", columns)], 25 * US, degree=0)
    del columns["device"]
    alone = fit_programming([lab.table("programmed", columns)], 25 * US, degree=0)
    assert clustered.devices == devices and alone.devices is None
    assert clustered.estimates[0].value == pytest.approx(alone.estimates[0].value, rel=1e-5)
    assert clustered.estimates[0].se is not None and alone.estimates[0].se is not None
    assert clustered.estimates[0].se > 2.5 * alone.estimates[0].se


def test_few_writes_warn(lab: SimpleNamespace) -> None:
    columns = {"target": [5 * US, 5 * US, 10 * US, 10 * US], "conductance": [4 * US, 6 * US, 9 * US, 12 * US]}
    fit = fit_programming([lab.table("programmed", columns)], 25 * US)
    assert any("4 writes are few" in warning for warning in fit.warnings)
    assert any("targets cover 5 to 10 uS only" in warning for warning in fit.warnings)
    assert fit.model == "constant"


# Read noise


def test_contrasts_are_orthonormal_and_blind_to_the_mean() -> None:
    for n in (2, 3, 17):
        c = contrasts(n)
        np.testing.assert_allclose(c @ c.T, np.eye(n - 1), atol=1e-14)
        np.testing.assert_allclose(c @ np.ones(n), 0, atol=1e-14)


@pytest.mark.parametrize("tau", [2.5e-7, 1e-6, 1e-3, 10.0])
def test_two_reads_of_flicker_noise_differ_as_the_spectrum_says(tau: float) -> None:
    # Integral of 2 (1 - cos 2 pi f tau) / f from 0 to f_h = 1 / (2 t_r), of which (y_2 - y_1)^2 / 2 is half.
    t_r = 250e-9
    top = math.pi * tau / t_r
    below, _ = integrate.quad(lambda u: (1 - math.cos(u)) / u, 0, min(top, 50.0), limit=400)
    rest = math.log(top / 50.0) - (special.sici(top)[1] - special.sici(50.0)[1]) if top > 50 else 0.0
    assert flicker_factor(np.array([0.0, tau]), t_r)[0, 0] ** 2 == pytest.approx(below + rest, rel=1e-8)


def _reads(y: np.ndarray) -> dict[str, np.ndarray]:
    devices, reads = y.shape
    return {
        "device": np.arange(devices).repeat(reads),
        "time": np.tile(np.arange(reads) * 1e-3, devices),
        "conductance": y.ravel(),
    }


def test_white_noise_is_the_pooled_variance_about_each_devices_mean(lab: SimpleNamespace) -> None:
    y = np.random.default_rng(11).normal(10 * US, 0.2 * US, (4, 30))
    fit = fit_read_noise([lab.table("reads", _reads(y))], 25 * US, model="additive")
    sigma = math.sqrt(((y - y.mean(1, keepdims=True)) ** 2).sum() / (4 * 29))
    assert fit.estimates[0].value == pytest.approx(100 * sigma / (25 * US), rel=1e-5)
    assert fit.estimates[0].se == pytest.approx(100 * sigma / (25 * US) / math.sqrt(2 * 4 * 29), rel=5e-3)
    assert any("4 device(s): what differs between devices is not known" in warning for warning in fit.warnings)
    assert any("how the noise grows with conductance is not determined" in warning for warning in fit.warnings)


@pytest.mark.parametrize(
    ("noise", "model"),
    [
        ({"kind": "additive", "sigma": "1 %"}, "additive"),
        ({"kind": "proportional", "sigma": "3 %"}, "proportional"),
        ([{"kind": "additive", "sigma": "1 %"}, {"kind": "proportional", "sigma": "3 %"}], "both"),
        ({"kind": "flicker", "q": 0.01, "t_r": "250 ns", "t0": "20 s"}, "flicker"),
    ],
)
def test_the_model_is_told_by_likelihood(noise: object, model: str, lab: SimpleNamespace) -> None:
    known = lab.profile(read_noise=noise)
    g = np.geomspace(3, 25, 60) * US
    reads = synthetic.reads(known, g, np.arange(64) * 1e-3, np.random.default_rng(12))
    fit = fit_read_noise([lab.table("reads", reads)], 25 * US, t_r=250e-9)
    scores = {candidate.name: candidate.score for candidate in fit.candidates}
    other = [value for name, value in scores.items() if not name.startswith(("both", model))]
    assert min(value for name, value in scores.items() if name.startswith(model)) < min(other) - 20
    assert fit.model.startswith((model, "both"))
    assert all(check.p > 1e-4 for check in fit.checks)
    built = lab.profile(read_noise=fit.data)
    assert len(built.read_noise) == (2 if fit.model.startswith("both") else 1)


def test_a_polynomial_is_fitted_where_it_is_asked_for(lab: SimpleNamespace) -> None:
    g = np.geomspace(3, 25, 80) * US
    r = (g / (25 * US))[:, None]
    sigma = 25 * US * (0.02 - 0.03 * r + 0.02 * r**2)
    y = g[:, None] + sigma * np.random.default_rng(22).standard_normal((80, 64))
    fit = fit_read_noise([lab.table("reads", _reads(y))], 25 * US, model="polynomial")
    for each, truth in zip(fit.estimates, (2.0, -3.0, 2.0), strict=True):
        assert each.se is not None and abs(each.value - truth) < Z * each.se
    assert all(check.p > 1e-4 for check in fit.checks)
    (built,) = lab.profile(read_noise=fit.data).build(1, torch.device("cpu"), torch.float64).read_noise
    variance = built.variance(torch.from_numpy(g)[None, None]).numpy().ravel()
    theta = [each.value / 100 for each in fit.estimates]
    np.testing.assert_allclose(np.sqrt(variance), 25 * US * np.polyval(theta[::-1], r.ravel()), rtol=1e-9)
    free = fit_read_noise([lab.table("reads", _reads(y))], 25 * US)
    assert "polynomial of degree 2" not in {candidate.name for candidate in free.candidates}


def test_the_largest_q_is_fitted_only_where_data_reach_it(lab: SimpleNamespace) -> None:
    fit, _ = lab.read_noise("pcm", np.random.default_rng(13), 60)
    assert _flags(fit)["read_noise.q_max"] == "not determined"
    smallest = _named(fit)["read_noise.q_max"]
    assert smallest == pytest.approx(
        _named(fit)["read_noise.q"] * 0.12 ** -_named(fit)["read_noise.exponent"], rel=0.05
    )
    known = lab.profile(
        read_noise={"kind": "flicker", "q": 0.005, "exponent": 0.7, "q_max": 0.01, "t_r": "250 ns", "t0": "20 s"}
    )
    reads = synthetic.reads(known, np.geomspace(1, 25, 120) * US, np.arange(64) * 1e-3, np.random.default_rng(14))
    fit = fit_read_noise([lab.table("reads", reads)], 25 * US, t_r=250e-9)
    found = {each.path: each for each in fit.estimates}["read_noise.q_max"]
    assert found.se is not None and abs(found.value - 0.01) < Z * found.se


def test_devices_that_differ_in_noise_and_devices_that_drift_are_found_out(lab: SimpleNamespace) -> None:
    rng = np.random.default_rng(15)
    sigma = 0.2 * US * np.exp(rng.normal(0, 0.5, (40, 1)))
    y = np.geomspace(5, 20, 40)[:, None] * US + sigma * rng.standard_normal((40, 50))
    fit = fit_read_noise([lab.table("reads", _reads(y))], 25 * US)
    assert {check.name: check.p for check in fit.checks}["spread from device to device (KS)"] < 1e-3
    y = np.geomspace(5, 20, 40)[:, None] * US + 0.2 * US * (rng.standard_normal((40, 50)) - np.linspace(0, 3, 50))
    fit = fit_read_noise([lab.table("reads", _reads(y))], 25 * US)
    assert {check.name: check.p for check in fit.checks}["devices rest (z)"] < 1e-6


def test_a_read_that_does_not_fit_between_reads_is_refused(lab: SimpleNamespace) -> None:
    y = np.random.default_rng(16).normal(10 * US, US, (4, 30))
    with pytest.raises(ValueError, match=r"a read of 0\.002 s does not fit between reads 0\.001 s apart"):
        fit_read_noise([lab.table("reads", _reads(y))], 25 * US, t_r=2e-3)


# Drift


def test_exponents_without_noise_are_returned_exactly(lab: SimpleNamespace) -> None:
    nu, elapsed = np.array([0.05, 0.055, 0.06, 0.065, 0.08]), np.geomspace(20, 1e5, 6)
    y = 10 * US * (elapsed / 20) ** -nu[:, None]
    columns = {"device": np.arange(5).repeat(6), "elapsed": np.tile(elapsed, 5), "conductance": y.ravel()}
    fit = fit_drift([lab.table("drift", columns)], 25 * US, t0=20.0)
    assert fit.picture is not None
    np.testing.assert_allclose(fit.picture.y, nu, rtol=1e-9)
    assert _named(fit)["drift.mean"] == pytest.approx(nu.mean(), rel=1e-3)
    assert _named(fit)["drift.sd"] == pytest.approx(nu.std(), rel=1e-3)
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
    named, flags = _named(fit), _flags(fit)
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
    assert _flags(fit)["drift.t0"] == "assumed"
    reads = synthetic.drift(known, np.full(30, 12 * US), np.array([10.0, 20.0]), rng)
    with pytest.raises(ValueError, match="no device has two conductances above zero at different times after t0"):
        fit_drift([lab.table("drift", reads)], 25 * US, t0=100.0)
    lone = synthetic.drift(known, np.full(1, 12 * US), np.geomspace(20, 1e5, 8), rng)
    noisy = {**lone, "conductance": lone["conductance"] * np.exp(0.01 * rng.standard_normal(8))}
    fit = fit_drift([lab.table("drift", noisy)], 25 * US)
    assert fit.picture is not None
    assert any("1 device(s)" in warning for warning in fit.warnings)
    assert _flags(fit)["drift.sd"] == _flags(fit)["drift.mean"] == "not determined"
    assert _named(fit)["drift.mean"] == pytest.approx(float(fit.picture.y[0]), rel=1e-3)


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
