"""Spreads of writes: fits against closed forms, the clamp at zero, wrong models and few writes.

Statistical tests state n; a bound of Z standard errors is exceeded with probability 6e-7.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from device_models.fit import synthetic
from device_models.fit.programming import fit_programming

Z, US = 5.0, 1e-6


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
