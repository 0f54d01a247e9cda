"""Maximum likelihood: textbook errors, devices counted and not points, directions that the data leave open.

Statistical tests state n; a bound of Z standard errors is exceeded with probability 6e-7.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from device_models.fit.likelihood import maximise, profile_interval

Z, US = 5.0, 1e-6


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
