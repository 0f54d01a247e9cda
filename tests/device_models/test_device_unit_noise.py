"""Noise of units: its laws, and the memory of a stochastic magnetic tunnel junction.

Statistics over n values; every tolerance follows from n and ALPHA, the probability that a test fails by chance.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from device_models import DeviceProfile, UnitNoise

ALPHA = 1e-6
MTJ = {"kind": "telegraph", "mean": 0.042092104, "amplitude": 0.0059316154, "flip": "8.09 %", "sigma": 9.0841466e-4}


def _noise(chips: int = 1, **parts: Any) -> UnitNoise:
    data = {"name": "test", "conductance": {"max": "25 uS"}, "unit_noise": parts}
    noise = DeviceProfile.from_data(data).build(chips, torch.device("cpu"), torch.float64).unit_noise
    assert noise is not None
    return noise


def _numbers(noise: UnitNoise, passes: int, units: int, chips: int = 1) -> Tensor:
    shape = (chips, passes, noise.lanes, units)
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def test_gaussian_is_the_number_times_sigma() -> None:
    noise = _noise(2, kind="gaussian", sigma={"each": [0.1, 0.3]})
    numbers = _numbers(noise, 3, 5, 2)
    values, last = noise.values(numbers)
    torch.testing.assert_close(values, numbers[:, :, 0] * torch.tensor([0.1, 0.3], dtype=torch.float64)[:, None, None])
    assert last is None


def test_bernoulli_has_two_values_with_their_probabilities() -> None:
    noise, n = _noise(2, kind="bernoulli", low=-0.2, high={"each": [0.5, 0.6]}, probability="30 %"), 40_000
    values, last = noise.values(_numbers(noise, 40, n // 40, 2))
    assert last is None
    for chip, high in enumerate((0.5, 0.6)):
        assert sorted(values[chip].unique().tolist()) == [-0.2, high]
        ups = int((values[chip] == high).sum())
        assert stats.binomtest(ups, n, 0.3).pvalue > ALPHA / 4
        again = (values[chip, 1:] == high) & (values[chip, :-1] == high)
        assert stats.binomtest(int(again.sum()), n - n // 40, 0.09).pvalue > ALPHA / 4, "no memory"


def test_a_junction_has_its_mean_variance_and_memory() -> None:
    noise, passes, units = _noise(**MTJ), 4, 50_000
    values = noise.values(_numbers(noise, passes, units))[0][0]  # (passes, units)
    a, s, p = 0.0059316154, 9.0841466e-4, 0.0809
    variance = a * a + s * s
    # Independent units: the mean is normal; a square of known fourth moment, 4 a^2 s^2 + 2 s^4 above the square's mean.
    z = stats.norm.isf(ALPHA / 20)
    for each in values:
        assert abs(each.mean() - 0.042092104) < z * (variance / units) ** 0.5
        spread = 4 * a * a * s * s + 2 * s**4
        assert abs((each - 0.042092104).square().mean() - variance) < z * (spread / units) ** 0.5
    # Flips from one pass to the next, seen where the Gaussian part cannot hide the sign: 6.5 sigma, one in 10^10.
    signs = (values > 0.042092104).int()
    flips = int((signs[1:] != signs[:-1]).sum())
    assert stats.binomtest(flips, (passes - 1) * units, p).pvalue > ALPHA
    assert stats.binomtest(int(signs[0].sum()), units, 0.5).pvalue > ALPHA
    # Correlation k passes apart, (1 - 2p)^k of the telegraph: 0.838 after one. Fisher: atanh(r) is normal to
    # 1 / sqrt(n) for normal numbers; for two values r is a mean of signs, of less spread.
    for k in (1, 2, 3):
        expected = (1 - 2 * p) ** k * a * a / variance
        r = torch.corrcoef(torch.stack([values[0], values[k]]))[0, 1].item()
        assert abs(r - expected) < z / units**0.5
    assert (1 - 2 * p) == pytest.approx(0.8382)


def test_the_difference_of_two_passes_has_five_and_a_half_times_less_variance() -> None:
    noise, units = _noise(**MTJ), 100_000
    values = noise.values(_numbers(noise, 2, units))[0][0]
    apart = noise.values(_numbers(noise, 1, 2 * units))[0][0, 0].unflatten(0, (2, units))
    ratio = ((apart[1] - apart[0]).var() / (values[1] - values[0]).var()).item()
    a, s, p = 0.0059316154, 9.0841466e-4, 0.0809
    expected = (a * a + s * s) / (2 * p * a * a + s * s)
    assert expected == pytest.approx(5.525, abs=5e-4)
    # The squares of the difference: 4 a^2 with probability 2p.., so their mean errs by sqrt((kurtosis - 1) / n).
    error = 0.0
    for flip in (p, 0.5):
        second = 4 * a * a * flip + 2 * s * s
        fourth = 16 * a**4 * flip + 6 * 4 * a * a * flip * 2 * s * s + 3 * (2 * s * s) ** 2
        error += (fourth / second**2 - 1) / units
    assert abs(ratio / expected - 1) < stats.norm.isf(ALPHA / 2) * error**0.5


@pytest.mark.parametrize("cut", [1, 3, 7])
def test_a_sequence_may_be_run_in_parts(cut: int) -> None:
    noise = _noise(**MTJ)
    numbers = _numbers(noise, 8, 50)
    whole, end = noise.values(numbers)
    first, between = noise.values(numbers[:, :cut])
    second, last = noise.values(numbers[:, cut:], between)
    assert torch.equal(torch.cat([first, second], 1), whole)
    assert end is not None and last is not None
    assert torch.equal(last, end)


@pytest.mark.parametrize(("flip", "flips"), [("0 %", 0), ("100 %", 1)])
def test_a_level_stays_or_changes_for_certain(flip: str, flips: int) -> None:
    noise = _noise(kind="telegraph", amplitude=1.0, flip=flip)
    values = noise.values(_numbers(noise, 6, 40))[0][0]
    assert ((values[1:] != values[:-1]).int() == flips).all()
    assert values.abs().unique().tolist() == [1.0]
    assert len(values[0].unique()) == 2, "units begin on either level"
