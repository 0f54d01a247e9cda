"""Read noise: fits against closed forms; which model, which amplitude, what is no noise at all.

Statistical tests state n; a bound of Z standard errors is exceeded with probability 6e-7.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import integrate, special

from device_models.fit import synthetic
from device_models.fit.contrasts import contrasts, flicker_factor
from device_models.fit.read_noise import fit_read_noise

Z, US = 5.0, 1e-6


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
    assert lab.flags(fit)["read_noise.q_max"] == "not determined"
    smallest = lab.named(fit)["read_noise.q_max"]
    assert smallest == pytest.approx(
        lab.named(fit)["read_noise.q"] * 0.12 ** -lab.named(fit)["read_noise.exponent"], rel=0.05
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
