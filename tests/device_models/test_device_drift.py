"""Drift of phase-change memory against the law and its integral over the exponents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from device_models import Cells, DeviceProfile, load_profile

N = 100_000  # devices of each conductance
Z = 5.0  # standard errors; exceeded with probability 6e-7
T0, G_MAX = 20.0, 25e-6
TIMES = {"1 h": 3600.0, "1 day": 86_400.0, "1 month": 30 * 86_400.0}
SHARES = [1.0, 0.5, 0.2, 0.04]


def _moments(r: float) -> tuple[float, float]:
    """Mean and sd of nu before the absolute value (Joshi et al., Nat. Commun. 2020)."""
    mean, sd = -0.0155 * np.log(r) + 0.0244, -0.0125 * np.log(r) - 0.0059
    return float(np.clip(mean, 0.049, 0.1)), float(np.clip(sd, 0.008, 0.045))


def _cells(r: float, n: int = N, seed: int = 1, written: float = 0.0) -> Cells:
    profile = load_profile("pcm").model_copy(update={"programming": None, "read_noise": ()})
    cells = Cells(profile.build(1, torch.device("cpu"), torch.float64))
    xi = torch.randn(1, 1, 1, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    cells.program(torch.full((1, 1, n), r * G_MAX, dtype=torch.float64), xi, written)
    return cells


def _left(cells: Cells, now: float) -> Tensor:
    cells.settle(now)
    return (cells.conductance / cells.programmed).flatten()


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("r", SHARES)
def test_medians_follow_the_power_law(r: float, time: str) -> None:
    left = np.sort(_left(_cells(r), TIMES[time]).numpy())
    mean, sd = _moments(r)
    nu = stats.foldnorm(mean / sd, scale=sd).median()  # of |mean + sd xi|; the mean itself but for small r
    assert nu == pytest.approx(mean, rel=0.03)
    law = (TIMES[time] / T0) ** -nu
    # The rank of the law's median among n numbers is binomial(n, 1/2), with sd sqrt(n) / 2.
    low, high = (left[int(N / 2 + sign * Z * np.sqrt(N) / 2)] for sign in (-1, 1))
    assert low < law < high


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("r", SHARES)
def test_means_follow_the_law_integrated_over_nu(r: float, time: str) -> None:
    left = _left(_cells(r), TIMES[time]).numpy()
    mean, sd = _moments(r)
    decades = np.log(TIMES[time] / T0)

    def integrand(xi: float) -> float:
        return float(np.exp(-abs(mean + sd * xi) * decades) * stats.norm.pdf(xi))

    law = integrate.quad(integrand, -10, 10, points=[-mean / sd])[0]
    assert abs(left.mean() - law) < Z * left.std() / np.sqrt(N)


@pytest.mark.parametrize(("r", "excess"), [(1.0, 0.004), (0.04, 0.075)])
def test_the_mean_lies_above_the_law_of_the_mean_exponent(r: float, excess: float) -> None:
    left = _left(_cells(r), TIMES["1 month"]).numpy()
    law = (TIMES["1 month"] / T0) ** -_moments(r)[0]
    # The figures are rounded to their last digit; beside it, the sampling error of n devices.
    assert left.mean() / law - 1 == pytest.approx(excess, abs=0.0005 + Z * left.std() / law / np.sqrt(N))


@pytest.mark.parametrize("elapsed", [0.0, 1e-6, 5.0, 20.0])
def test_nothing_is_known_before_t0(elapsed: float) -> None:
    cells = _cells(0.3, n=100, written=1000.0)
    assert (_left(cells, 1000.0 + elapsed) == 1).all()
    assert (_left(cells, 1000.0 + 20.1) < 1).all()


def test_time_runs_from_each_devices_own_write() -> None:
    cells = _cells(0.3, n=4)
    target = cells.target.clone()
    target[..., 1] *= 2
    cells.write(target, torch.zeros(1, 1, 1, 4, dtype=torch.float64), 5000.0)
    left = _left(cells, 5000.0 + 40)
    assert cells.nu is not None
    nu = cells.nu.flatten()
    torch.testing.assert_close(left[1], torch.tensor(2.0, dtype=torch.float64) ** -nu[1])
    torch.testing.assert_close(left[[0, 2, 3]], torch.tensor(5040 / T0, dtype=torch.float64) ** -nu[[0, 2, 3]])


def test_time_is_kept_in_double_precision() -> None:
    profile = load_profile("pcm").model_copy(update={"programming": None, "read_noise": ()})
    cells = Cells(profile.build(1, torch.device("cpu"), torch.float32))
    year = 3.2e8  # float32 knows such a time to 32 s
    cells.program(torch.full((1, 1, 1), 1e-5), torch.zeros(1, 1, 1, 1), year)
    assert cells.nu is not None
    assert _left(cells, year + 40).item() == pytest.approx(2.0 ** -cells.nu.item(), rel=1e-6)


def test_each_chip_may_drift_by_its_own_factor() -> None:
    drift = {**load_profile("pcm").to_data()["drift"], "scale": {"each": [0.0, 1.0, 2.0]}}
    data = {"name": "x", "conductance": {"max": "25 uS"}, "drift": drift}
    cells = Cells(DeviceProfile.from_data(data).build(3, torch.device("cpu"), torch.float64))
    xi = torch.randn(1, 1, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).expand(3, 1, 2, 3)
    cells.program(torch.full((3, 2, 3), 1e-5, dtype=torch.float64), xi, 0.0)
    assert cells.nu is not None
    cells.settle(1e6)
    assert torch.equal(cells.conductance[0], cells.programmed[0])
    torch.testing.assert_close(cells.nu[2], 2 * cells.nu[1])


# Exponents that belong to the device


def _fixed(r: float, n: int, drift: dict[str, Any] | None = None) -> tuple[Cells, Tensor]:
    """Devices with exponents of their own, and the numbers that they got at fabrication."""
    data = load_profile("pcm").to_data()
    data |= {"programming": None, "read_noise": [], "drift": {**(drift or data["drift"]), "nu": "fixed"}}
    device = DeviceProfile.from_data(data).build(1, torch.device("cpu"), torch.float64)
    assert (device.fabricated, device.numbers) == (1, 0)
    cells = Cells(device)
    xi = torch.randn(1, 1, 1, n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    cells.program(torch.full((1, 1, n), r * G_MAX, dtype=torch.float64), None, 0.0, xi)
    return cells, xi.flatten()


def test_fixed_exponents_outlive_writes_and_follow_the_target() -> None:
    cells, xi = _fixed(0.5, 100)
    redrawn = _cells(0.5, 100)
    assert cells.nu is not None and redrawn.nu is not None
    assert torch.equal(cells.nu, redrawn.nu), "the same law"
    first = cells.nu.clone()
    changed = torch.arange(100) % 3 == 0
    cells.write(cells.target, None, 10.0, changed)
    assert torch.equal(cells.nu, first), "a write of the same target changes nothing but the clock"
    target = torch.where(changed, 0.05 * G_MAX, cells.target)
    cells.write(target, None, 50.0)
    mean, sd = _moments(0.05)
    torch.testing.assert_close(cells.nu.flatten()[changed], (mean + sd * xi).abs()[changed])
    assert torch.equal(cells.nu.flatten()[~changed], first.flatten()[~changed])
    left = _left(cells, 50.0 + 400)
    torch.testing.assert_close(left[changed], 20.0 ** -cells.nu.flatten()[changed])


def test_fixed_exponents_of_one_law_for_all_conductances_never_change() -> None:
    cells, xi = _fixed(0.5, 50, {"kind": "constant", "t0": "20 s", "mean": 0.05, "sd": 0.02})
    assert cells.nu is not None
    torch.testing.assert_close(cells.nu.flatten(), (0.05 + 0.02 * xi).abs())
    before = cells.nu.clone()
    for count in range(5):
        cells.write(cells.target * 0.7, None, 10.0 * count)
        assert torch.equal(cells.nu, before)


def test_fixed_exponents_survive_a_checkpoint() -> None:
    cells, _ = _fixed(0.5, 20)
    other, _ = _fixed(0.2, 20)
    other.load_state_dict(cells.state_dict())
    for each in (cells, other):
        each.write(each.target * 0.5, None, 10.0)
        each.settle(1e5)
    assert torch.equal(cells.conductance, other.conductance)


# How long a tolerance holds


@pytest.mark.parametrize("now", [0.0, 5.0, 20.0, 21.0, 3600.0])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-2])
def test_no_conductance_leaves_a_tolerance_before_the_time_that_is_told(now: float, tolerance: float) -> None:
    """Devices written at three times; just before that time one of one age is as far off as it may be."""
    for ages in ([now], [now, now - 4, now + 15]):
        cells = _cells(0.5, 3000)
        assert cells.written_at is not None
        cells.written_at = (now - torch.tensor(ages, dtype=torch.float64)).repeat(3000)[:3000].view(1, 1, -1)
        cells.written_at.clamp_(max=now)
        cells.settle(now)
        before, left = cells.conductance, float(cells.steady(now, tolerance))
        assert 0 < left < 1e9
        errors = []
        for share in (0.3, 0.999999):
            cells.settle(now + share * left)
            errors.append((before / cells.conductance - 1).abs().max().item())
        assert errors[0] <= errors[1] <= tolerance
        assert len(ages) > 1 or errors[1] > 0.999 * tolerance


def test_what_does_not_drift_stands_for_ever() -> None:
    cells, _ = _fixed(0.5, 20, {"kind": "constant", "t0": "20 s", "mean": 0.0})
    assert float(cells.steady(0.0, 1e-6)) > 1e100
