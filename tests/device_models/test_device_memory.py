"""Noise with memory as a state of devices: spectrum, relaxation, telegraph. `Cells` are moved through time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import signal, stats
from torch import Tensor

from device_models import Cells, Device, DeviceProfile, ProfileError

ALPHA = 1e-6
G_MAX = 25e-6


def _device(*noise: dict[str, Any], **parts: Any) -> Device:
    data = {"name": "x", "conductance": {"max": "25 uS"}, "read_noise": list(noise), **parts}
    return DeviceProfile.from_data(data).build(1, torch.device("cpu"), torch.float64)


class _Life:
    """n devices of half the range, and their random numbers."""

    def __init__(self, device: Device, n: int, now: float = 0.0) -> None:
        self.generator = torch.Generator().manual_seed(5)
        self.n, self.cells = n, Cells(device)
        target = torch.full((1, 1, n), G_MAX / 2, dtype=torch.float64)
        self.cells.program(target, self._numbers(device.numbers), now, self._numbers(device.fabricated))
        self.cells.settle(now)

    def _numbers(self, count: int) -> Tensor | None:
        if not count:
            return None
        return torch.empty(1, count, 1, self.n, dtype=torch.float64).normal_(generator=self.generator)

    def at(self, now: float) -> np.ndarray:
        """Conductances at a time, as shares of what was programmed, (n,)."""
        self.cells.settle(now, self._numbers(self.cells.remembered.moving(now)))
        return (self.cells.conductance / (G_MAX / 2)).flatten().numpy()


# 1/f


@pytest.mark.parametrize("slope", [0.8, 1.0, 1.2])
def test_the_spectrum_has_its_slope_and_height_over_three_decades(slope: float) -> None:
    """64 devices, a series of 2^13 values 20 ms apart; Welch's estimate from 0.01 to 10 Hz."""
    q, dt, length, n = 0.001, 0.02, 1 << 13, 64
    flicker = {"kind": "flicker", "q": q, "slope": slope, "t_r": "250 ns", "t0": "20 s"}
    life = _Life(_device(flicker, timing={"pass_time": "1 us", "step_time": "1 ms"}), n)
    start = 1e7
    series = np.stack([life.at(start + k * dt) for k in range(length)], axis=1)
    f, density = signal.welch(series, 1 / dt, nperseg=length, detrend="linear", axis=1)
    low, high = 0.01, 10.0
    chosen = (f >= low) & (f <= high)
    # Averages over bands of equal width in ln f, so that each decade counts the same.
    bands = np.digitize(np.log(f[chosen]), np.linspace(math.log(low), math.log(high), 13))
    # Sampling adds what lies beyond half its rate; slow states end at 1 / (2 pi step_time).
    lines = np.abs(f[chosen] + np.arange(-8, 9)[:, None] / dt)
    folded = np.where(lines < 1 / (2 * math.pi * 1e-3), lines**-slope, 0).sum(0) * f[chosen] ** slope
    mean = density.mean(0)[chosen] / folded
    x = np.array([np.log(f[chosen][bands == b]).mean() for b in np.unique(bands)])
    y = np.array([np.log(mean[bands == b]).mean() for b in np.unique(bands)])
    fitted, offset = np.polyfit(x, y, 1)
    assert abs(-fitted - slope) < 0.1
    middle = np.exp(np.polyval((fitted, offset), 0.5 * (x[0] + x[-1])))
    closed = q**2 * math.exp(-slope * 0.5 * (x[0] + x[-1]))
    assert middle == pytest.approx(closed, rel=0.25), "64 devices, relaxations a decade apart, aliases"


def test_a_rewritten_device_forgets_and_the_others_do_not() -> None:
    flicker = {"kind": "flicker", "q": 0.01, "t_r": "250 ns", "t0": "20 s"}
    life = _Life(_device(flicker), 20_000)
    before = life.at(100.0).copy()
    target = life.cells.target.clone()
    target[..., ::2] *= 1.0 + 1e-9
    life.cells.write(target, life._numbers(1), 100.0)
    after = life.at(100.0)
    n = 10_000
    assert np.array_equal(before[1::2], after[1::2])
    assert abs(stats.pearsonr(before[::2], after[::2]).statistic) < 4.9 / math.sqrt(n)
    later = life.at(100.0 + 1e-3)  # a step's time: nearly everything that is slower than a step is still there
    for half in (slice(0, None, 2), slice(1, None, 2)):
        assert stats.pearsonr(after[half], later[half]).statistic > 0.9


@pytest.mark.parametrize("steps", [1, 3, 40])
def test_the_variance_is_that_of_the_law_however_often_the_clock_moves(steps: int) -> None:
    """Moving relaxations one by one, when each is due, does not change what they add up to. n = 40,000."""
    q, n, now = 0.01, 40_000, 3600.0
    flicker = {"kind": "flicker", "q": q, "t_r": "250 ns", "t0": "20 s"}
    life = _Life(_device(flicker), n)
    for k in range(1, steps + 1):
        value = life.at(now * (k / steps) ** 3)
    law = q**2 * math.log(now / (2 * math.pi * 1e-3))
    low, high = stats.chi2.isf([1 - ALPHA / 2, ALPHA / 2], n)
    assert low < ((value - 1) ** 2).sum() / law < high
    assert stats.kstest((value - 1) / math.sqrt(law), "norm").pvalue > ALPHA


# One relaxation


@pytest.mark.parametrize("tau", ["1 s", "40 ms"])
def test_a_single_relaxation_decays_exponentially(tau: str) -> None:
    n, seconds = 40_000, {"1 s": 1.0, "40 ms": 0.04}[tau]
    life = _Life(_device({"kind": "lorentzian", "sigma": "2 %", "tau": tau}), n)
    first = life.at(0.0).copy()
    low, high = stats.chi2.isf([1 - ALPHA / 2, ALPHA / 2], n)
    for share in (0.005, 0.02, 0.3, 1.0, 3.0):  # the first is not due yet: it stands still
        value = life.at(share * seconds)
        r = stats.pearsonr(first, value).statistic
        law = math.exp(-share)
        # Fisher: atanh(r) is normal about atanh(rho) with variance 1 / (n - 3).
        slack = 0.2 if share == 0.005 else 4.9 / math.sqrt(n - 3)
        if share == 0.005:
            np.testing.assert_allclose(value, first, rtol=1e-9)
        else:
            assert abs(math.atanh(r) - math.atanh(law)) < slack
        assert low < ((value - 1) ** 2).sum() / 0.02**2 < high


# Telegraph


@pytest.mark.parametrize("duty", [0.5, 0.2])
def test_telegraph_levels_and_dwell_times(duty: float) -> None:
    """200 devices, 3,000 moments a fifth of tau apart: dwell times are geometric, the exponential law at those."""
    n, dt, tau, amplitude = 200, 0.2, 1.0, 0.1
    telegraph = {"kind": "telegraph", "amplitude": "10 %", "tau": "1 s", "duty": duty}
    life = _Life(_device(telegraph), n)
    series = np.stack([life.at(k * dt) for k in range(3_000)], axis=1)
    levels = np.unique(np.round(series, 12))
    np.testing.assert_allclose(levels, [1 - amplitude * duty, 1 + amplitude * (1 - duty)], rtol=1e-9)
    up = series > 1
    kept = math.exp(-dt / tau)
    for state, leaving in ((True, (1 - duty) * (1 - kept)), (False, duty * (1 - kept))):
        dwell = []
        for device in up:
            change = np.flatnonzero(np.diff(device)) + 1
            ends = zip(change[:-1], change[1:], strict=True)  # the first and the last stay are cut off
            dwell += [b - a for a, b in ends if device[a] == state]
        counts = np.bincount(dwell, minlength=400)[1:]
        k = np.arange(1, len(counts) + 1)
        expected = len(dwell) * leaving * (1 - leaving) ** (k - 1)
        last = int(np.flatnonzero(expected >= 20)[-1])
        observed = [*counts[:last], counts[last:].sum()]
        law = [*expected[:last], len(dwell) * (1 - leaving) ** last]
        assert stats.chisquare(observed, np.array(law) * sum(observed) / sum(law)).pvalue > ALPHA


def test_only_some_devices_have_a_trap_and_keep_it() -> None:
    n = 20_000
    telegraph = {"kind": "telegraph", "amplitude": "10 %", "tau": "1 s", "share": "30 %"}
    life = _Life(_device(telegraph), n)
    quiet = life.at(0.0) == 1
    count = (~quiet).sum()
    low, high = stats.binom.ppf([ALPHA / 2, 1 - ALPHA / 2], n, 0.3)
    assert low <= count <= high
    for now in (1.0, 50.0, 1e4):
        assert np.array_equal(life.at(now) == 1, quiet)
    life.cells.write(life.cells.target * 0.5, life._numbers(0), 1e4)
    assert np.array_equal(life.at(2e4) == 0.5, quiet), "a write neither makes nor mends a trap"


def test_a_correlation_time_decides_where_noise_is_drawn() -> None:
    def parts(tau: str) -> tuple[float, int, bool]:
        (noise,) = _device({"kind": "lorentzian", "sigma": "2 %", "tau": tau}).read_noise
        return noise.white, len(noise.passing), noise.slow is not None

    assert parts("100 ns") == (1.0, 0, False)
    assert parts("3 us") == (0.0, 1, False)
    assert parts("900 us") == (0.0, 1, False)
    assert parts("1 ms") == (0.0, 0, True)


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        ({"kind": "telegraph", "amplitude": "10 %", "tau": "0 s"}, "read_noise.0.tau"),
        ({"kind": "telegraph", "amplitude": "10 %", "tau": "1 s", "duty": 1}, "read_noise.0.duty"),
        ({"kind": "lorentzian", "sigma": "200 %", "tau": "1 s"}, "read_noise.0.sigma"),
        ({"kind": "polynomial", "sigma": "1 %", "coefficients": []}, "read_noise.0.coefficients"),
    ],
)
def test_bad_settings_are_refused(noise: dict[str, Any], message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        _device(noise)
