"""Phase-change memory as packaged against its published formulas, device by device, from the first instant on.

Nandakumar et al., ICECS 2019; Joshi et al., Nat. Commun. 11:2473 (2020). Conductances in microsiemens, r = G / 25.
Each of the N devices of each conductance is one sample; a bound of Z standard errors is exceeded with probability
6e-7, and there are 117 of them.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from device_models import Cells, Device, load_profile

N = 40_000
Z = 5.0
US, T0, T_R = 1e-6, 20.0, 250e-9
ABOVE = [1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 16.0, 20.0, 25.0]
BELOW = [0.0, 0.1, 0.5]


def _sigma(g: float) -> float:
    r = g / 25
    return 0.26348 + 1.9650 * r - 1.1731 * r * r


def _nu(g: float) -> tuple[float, float]:
    """Mean and standard deviation before the absolute value."""
    log = math.log(max(g / 25, 1e-30))
    return float(np.clip(-0.0155 * log + 0.0244, 0.049, 0.1)), float(np.clip(-0.0125 * log - 0.0059, 0.008, 0.045))


def _q(g: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.minimum(0.0088 / (g / 25) ** 0.65, 0.2)


@pytest.fixture(scope="module")
def device() -> Device:
    return load_profile("pcm").build(1, torch.device("cpu"), torch.float64)


@pytest.fixture(scope="module", params=[*ABOVE, *BELOW])
def written(request: pytest.FixtureRequest, device: Device) -> tuple[float, Cells]:
    g = request.param
    cells = Cells(device)
    generator = torch.Generator().manual_seed(int(10 * g))
    numbers = torch.randn(1, device.numbers, 1, N, generator=generator, dtype=torch.float64)
    cells.program(torch.full((1, 1, N), g * US, dtype=torch.float64), numbers, 0.0)
    return g, cells


def _variance_error(x: np.ndarray) -> float:
    """Standard error of a sample variance: sqrt((m4 - variance^2) / n)."""
    return math.sqrt((((x - x.mean()) ** 4).mean() - x.var() ** 2) / len(x))


def test_programming(written: tuple[float, Cells]) -> None:
    g, cells = written
    x, s = cells.programmed.flatten().numpy() / US, _sigma(g)
    # N(g, s^2) clamped at zero; from 3.3 sigma on (G >= 1.5) as good as unclamped.
    a = g / s
    mean = g * stats.norm.cdf(a) + s * stats.norm.pdf(a)
    variance = (g * g + s * s) * stats.norm.cdf(a) + g * s * stats.norm.pdf(a) - mean * mean
    if g >= 1.5:
        assert mean == pytest.approx(g, rel=1e-4) and variance == pytest.approx(s * s, rel=2e-3)
    assert abs(x.mean() - mean) < Z * math.sqrt(variance / N)
    assert abs(x.var() - variance) < Z * _variance_error(x)
    at_zero = stats.norm.cdf(-a)
    assert abs((x == 0).mean() - at_zero) <= Z * math.sqrt(at_zero / N)


def test_drift_exponents(written: tuple[float, Cells]) -> None:
    g, cells = written
    assert cells.nu is not None
    nu, (mean, sd) = cells.nu.flatten().numpy(), _nu(g)
    law = stats.foldnorm(mean / sd, scale=sd)
    assert abs(nu.mean() - law.mean()) < Z * law.std() / math.sqrt(N)
    assert abs(nu.var() - law.var()) < Z * _variance_error(nu)


@pytest.mark.parametrize("t", [0.0, 3600.0])
def test_read_noise_with_drift_and_without(written: tuple[float, Cells], device: Device, t: float) -> None:
    """One read t after the write, each device against its own programmed conductance; at t = 0 as of t0.

    The published variance is (Q G)^2 ln((t + t_r) / (2 t_r)). Of it, (Q G)^2 ln(pi step_time / t_r) is faster than a
    step and drawn in the read; the rest is a state s1 xi of the device, which is clamped at zero with its conductance.
    """
    _, cells = written
    (noise,) = device.read_noise
    cells.settle(t)
    xi = torch.randn(1, 1, N, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    read = (cells.conductance + xi * (cells.variance(noise) * noise.in_a_read).sqrt()).flatten().numpy() / US
    g, programmed = (x.flatten().numpy() / US for x in (cells.drifted, cells.programmed))
    alive = programmed > 0  # the others read 0
    read, g, unit = read[alive], g[alive], (g * _q(programmed))[alive] ** 2
    published = unit * math.log((max(t, T0) + T_R) / (2 * T_R))
    fast = unit * math.log(math.pi * 1e-3 / T_R)
    s1 = np.sqrt(published - fast)
    a = g / s1
    mean = g * stats.norm.cdf(a) + s1 * stats.norm.pdf(a)
    variance = (g * g + s1 * s1) * stats.norm.cdf(a) + g * s1 * stats.norm.pdf(a) - mean * mean + fast
    error = read - mean
    assert abs(error.sum()) < Z * math.sqrt(variance.sum())
    # Mean squares in units of their expectation, one term for each device: a mean of n numbers of mean 1.
    share = error**2 / variance
    assert abs(share.mean() - 1) < Z * share.std() / math.sqrt(len(share))
    if cells.target.min() >= 5 * US:  # Q sqrt(nats) < 0.16: no clamp within 6 sigma, so as published
        np.testing.assert_allclose(variance, published, rtol=1e-9)


def test_everything_is_on_at_time_zero_without_drift_having_been_looked_at(device: Device) -> None:
    cells = Cells(device)
    numbers = torch.randn(1, device.numbers, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    cells.program(torch.full((1, 3, 4), 10 * US, dtype=torch.float64), numbers, 0.0)
    cells.settle(0.0)
    assert torch.equal(cells.drifted, cells.programmed), "nothing drifts before t0"
    assert (cells.conductance != cells.programmed).all(), "slow noise is on"
    assert (cells.variance(device.read_noise[0]) > 0).all(), "white noise is on"
