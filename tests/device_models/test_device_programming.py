"""Programming noise: the published spread, drawn anew at each write, and only where something is written.

Statistical tolerances: each test states n; a bound of Z standard errors is exceeded with probability 6e-7.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from device_models import Cells, Device, DeviceProfile, load_profile

Z = 5.0
US = 1e-6
PCM = {"kind": "polynomial", "coefficients": ["0.26348 uS", "1.9650 uS", "-1.1731 uS"], "reference": "25 uS"}
DRIFT = {"kind": "constant", "t0": "20 s", "mean": 0.05, "sd": 0.02}
FLICKER = {"kind": "flicker", "q": 0.01, "t_r": "250 ns", "t0": "20 s"}
TARGETS = [0.0, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 25.0]


def _build(chips: int = 1, g_max: str = "25 uS", dtype: torch.dtype = torch.float64, **parts: Any) -> Device:
    data = {"name": "x", "conductance": {"max": g_max}, **parts}
    return DeviceProfile.from_data(data).build(chips, torch.device("cpu"), dtype)


def _normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _published(g: float) -> float:
    """Nandakumar et al., ICECS 2019, microsiemens."""
    return 0.26348 + 1.9650 * (g / 25) - 1.1731 * (g / 25) ** 2


@pytest.mark.parametrize("target", TARGETS)
def test_the_spread_of_pcm_is_the_published_one(target: float) -> None:
    n = 200_000
    device = load_profile("pcm").build(1, torch.device("cpu"), torch.float64)
    assert device.programming is not None
    goal = torch.full((1, 1, n), target * US, dtype=torch.float64)
    got = device.programming.program(goal, [_normal(1, 1, n, seed=int(4 * target))]).flatten().numpy() / US
    # A normal variable X = m + s xi, clamped at zero, has
    # E = m Phi(m/s) + s phi(m/s) and E^2 = (m^2 + s^2) Phi(m/s) + m s phi(m/s).
    s = _published(target)
    a = target / s
    mean = target * stats.norm.cdf(a) + s * stats.norm.pdf(a)
    variance = (target**2 + s**2) * stats.norm.cdf(a) + target * s * stats.norm.pdf(a) - mean**2
    assert abs(got.mean() - mean) < Z * np.sqrt(variance / n)
    # The variance of a sample variance is (m4 - variance^2) / n.
    error = np.sqrt((((got - got.mean()) ** 4).mean() - variance**2) / n)
    assert abs(got.var() - variance) < Z * error
    assert got.min() >= 0


@pytest.mark.parametrize(("g", "sigma"), [(1, 0.340), (5, 0.610), (25, 1.055)])
def test_spot_values_of_pcm(g: float, sigma: float) -> None:
    programming = load_profile("pcm").build(1, torch.device("cpu"), torch.float64).programming
    assert programming is not None
    assert programming.sigma(torch.tensor(g * US)).item() == pytest.approx(sigma * US, abs=0.0005 * US)


@pytest.mark.parametrize("r", [0.0, 0.1, 0.35, 0.7, 1.0])
def test_the_spread_of_reram_is_the_published_one(r: float) -> None:
    programming = load_profile("reram").build(1, torch.device("cpu"), torch.float64).programming
    assert programming is not None
    published = np.polynomial.Polynomial([0.348, 16.030, -43.853, 45.393, -16.815])(r)  # Wan et al., Nature 2022
    got = programming.sigma(torch.tensor(r * 40 * US, dtype=torch.float64)).item()
    assert got == pytest.approx(published * US, rel=1e-12)


def test_the_spread_scales_with_g_max_and_with_each_chips_factor() -> None:
    small = _build(3, programming={**PCM, "scale": {"each": [0.0, 1.0, 2.5]}}).programming
    large = _build(3, "50 uS", programming=PCM).programming
    assert small is not None and large is not None
    g = torch.linspace(0, 25 * US, 11, dtype=torch.float64).expand(3, 1, 11)
    torch.testing.assert_close(small.sigma(g)[2], 2.5 * small.sigma(g)[1])
    assert (small.sigma(g)[0] == 0).all()
    torch.testing.assert_close(large.sigma(2 * g)[1], 2 * small.sigma(g)[1])


def test_a_negative_spread_counts_as_none() -> None:
    programming = _build(programming={**PCM, "coefficients": ["1 uS", "-2 uS"]}).programming
    assert programming is not None
    sigma = programming.sigma(torch.tensor([[[0.0, 12.5 * US, 25 * US]]], dtype=torch.float64))
    torch.testing.assert_close(sigma, torch.tensor([[[US, 0.0, 0.0]]], dtype=torch.float64), atol=1e-18, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cells_have_the_dtype_that_was_asked_for(dtype: torch.dtype) -> None:
    cells = Cells(_build(dtype=dtype, programming=PCM, drift=DRIFT, read_noise=FLICKER))
    target = torch.full((1, 3, 4), 10 * US, dtype=dtype)
    cells.program(target, _normal(1, 3, 3, 4).to(dtype), 0.0)
    cells.write(target * 1.1, _normal(1, 3, 3, 4).to(dtype), 1.0)
    cells.settle(1e5)
    assert {cells.programmed.dtype, cells.drifted.dtype, cells.conductance.dtype} == {dtype}


# Writes of many devices


def test_ten_thousand_writes_are_no_random_walk() -> None:
    n, writes = 1024, 10_000
    cells = Cells(_build(programming=PCM))
    targets = [torch.full((1, 1, n), g * US, dtype=torch.float64) for g in (10.0, 10.001)]
    generator = torch.Generator().manual_seed(3)
    numbers = torch.empty(1, 1, 1, n, dtype=torch.float64)
    cells.program(targets[0], numbers.normal_(generator=generator), 0.0)
    before = None
    for count in range(1, writes + 1):
        if count == writes:
            before = (cells.programmed - cells.target).flatten().numpy() / US
        cells.write(targets[count % 2], numbers.normal_(generator=generator), 0.0)
    errors = (cells.programmed - cells.target).flatten().numpy() / US
    # A sum of n squares of N(0, sigma^2) is chi-square; a walk of as many steps would be 10,000 times as large.
    low, high = stats.chi2.isf([1 - 3e-7, 3e-7], n)
    assert low < (errors**2).sum() / _published(10.0) ** 2 < high
    # r of n pairs of independent normals is N(0, 1 / n) to first order.
    assert before is not None
    assert abs(np.corrcoef(before, errors)[0, 1]) < Z / np.sqrt(n)


def _settled(cells: Cells, now: float) -> dict[str, Tensor]:
    cells.settle(now)
    assert cells.nu is not None and cells.written_at is not None
    names = ("target", "programmed", "conductance", "nu", "written_at")
    _, (_, slow) = cells.remembered
    return {name: getattr(cells, name).clone() for name in names} | {"slow": slow["sum"].clone()}


def test_devices_that_are_not_written_do_not_notice() -> None:
    cells = Cells(_build(2, programming=PCM, drift=DRIFT, read_noise=FLICKER))
    target = torch.linspace(2, 20, 2 * 5 * 7, dtype=torch.float64).reshape(2, 5, 7) * US
    cells.program(target, _normal(2, 3, 5, 7, seed=4), 3.0)
    before = _settled(cells, 500.0)
    changed = torch.rand(target.shape, generator=torch.Generator().manual_seed(5)) < 0.4
    written = cells.write(torch.where(changed, target + US, target), _normal(2, 3, 5, 7, seed=6), 400.0)
    assert torch.equal(written, changed)
    after = _settled(cells, 500.0)
    for name, old in before.items():
        assert torch.equal(after[name][~changed], old[~changed]), name
        assert (after[name][changed] != old[changed]).all(), name
    assert (after["written_at"][changed] == 400.0).all()
    assert (after["written_at"][~changed] == 3.0).all()


def test_changes_under_half_a_granularity_wait_until_they_add_up() -> None:
    cells = Cells(_build(programming=PCM, drift=DRIFT, granularity="1 uS"))
    start = torch.tensor([[[10.0, 10.0, 10.0, 0.0]]], dtype=torch.float64) * US
    cells.program(start, _normal(1, 2, 1, 4), 0.0)

    def write(*micro: float) -> list[bool]:
        target = torch.tensor([[micro]], dtype=torch.float64) * US
        return cells.write(target, _normal(1, 2, 1, 4, seed=9), 1.0).flatten().tolist()

    first = cells.programmed.clone()
    assert write(10.4, 9.6, 10.0, 0.49) == [False] * 4
    assert torch.equal(cells.programmed, first)
    assert write(10.51, 9.6, 8.0, 0.51) == [True, False, True, True], "compared with the last write"
    assert write(10.9, 9.4, 8.0, 0.0) == [False, True, False, True]
    assert cells.target.flatten().mul(1e6).tolist() == pytest.approx([10.51, 9.4, 8.0, 0.0])


def test_without_effects_a_write_is_exact() -> None:
    cells = Cells(_build())
    cells.program(torch.zeros(1, 2, 3, dtype=torch.float64), None, 0.0)
    target = torch.tensor([[[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]]], dtype=torch.float64) * US
    assert torch.equal(cells.write(target, None, 0.0), target > 0)
    cells.settle(1e9)
    assert torch.equal(cells.conductance, target)
    assert cells.written_at is None
