"""1/f read noise: the published accumulated noise, and its split into what passes share and what they do not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, special

from device_models import Device, DeviceProfile, ProfileError, ReadNoise

US, T_R, HOUR = 1e-6, 250e-9, 3600.0
PCM = {"kind": "flicker", "q": 0.0088, "exponent": 0.65, "q_max": 0.2, "t_r": "250 ns", "t0": "20 s"}


def _device(**changes: Any) -> Device:
    data = {"name": "x", "conductance": {"max": "25 uS"}, "read_noise": {**PCM, **changes}}
    return DeviceProfile.from_data(data).build(1, torch.device("cpu"), torch.float64)


def _parts(noise: ReadNoise, g: float, t: float, programmed: float | None = None) -> tuple[float, float]:
    """Standard deviations (white, slow) of a device of g microsiemens, t seconds after its write, as shares of g."""
    value = torch.full((1, 1, 1), g * US, dtype=torch.float64)
    before = value if programmed is None else torch.full_like(value, programmed * US)
    assert noise.slow is not None
    shifted = noise.slow.apply(value, before, torch.full_like(value, 0.1), torch.full_like(value, t))
    white = noise.variance(value, before).sqrt()
    return (white / value).item(), ((shifted - value) / value / 0.1).item()


def _q(g: float) -> float:
    return min(0.0088 / (g / 25) ** 0.65, 0.2)


@pytest.mark.parametrize(
    ("g", "t", "share"),
    [(1, 21.0, 0.299), (5, 21.0, 0.105), (25, 21.0, 0.037), (1, HOUR, 0.340), (5, HOUR, 0.119), (25, HOUR, 0.042)],
)
def test_spot_values_of_the_accumulated_noise(g: float, t: float, share: float) -> None:
    (noise,) = _device().read_noise
    assert math.hypot(*_parts(noise, g, t)) == pytest.approx(share, abs=0.0006)


@pytest.mark.parametrize("pass_time", ["1 ns", "1 us", "37 us", "1 ms", "200 ms"])
@pytest.mark.parametrize("t", [20.0, HOUR, 1e7])
@pytest.mark.parametrize("g", [0.05, 0.3, 4.0, 25.0])
def test_both_parts_together_are_the_accumulated_noise(g: float, t: float, pass_time: str) -> None:
    (noise,) = _device(pass_time=pass_time).read_noise
    white, slow = _parts(noise, g, t)
    assert white**2 + slow**2 == pytest.approx(_q(g) ** 2 * math.log((t + T_R) / (2 * T_R)), rel=1e-9)


@pytest.mark.parametrize(("tau", "rho"), [(1e-6, 0.86), (1e-3, 0.56)])
def test_passes_share_what_the_spectrum_says(tau: float, rho: float) -> None:
    (noise,) = _device(pass_time=f"{tau} s").read_noise
    white, slow = _parts(noise, 5.0, HOUR)
    share = slow**2 / (slow**2 + white**2)
    assert share == pytest.approx(rho, abs=0.005)
    f_l, f_h = 1 / (HOUR + T_R), 1 / (2 * T_R)
    ci = special.sici(2 * np.pi * tau * np.array([f_h, f_l]))[1]
    assert share == pytest.approx((ci[0] - ci[1]) / math.log(f_h / f_l), rel=1e-6)


@pytest.mark.parametrize("tau", [1e-12, 3e-12, 1e-8, 1e-6])
def test_the_white_part_is_the_integral_of_the_spectrum(tau: float) -> None:
    """Half the variance of the difference of two passes: the integral of S(f) (1 - cos 2 pi f tau)."""
    (noise,) = _device(pass_time=f"{tau} s").read_noise

    def density(u: float) -> float:  # over u = ln f
        return 2 * math.sin(math.pi * math.exp(u) * tau) ** 2

    integral = integrate.quad(density, math.log(1e-12 / tau), math.log(1 / (2 * T_R)), epsrel=1e-10)[0]
    # The logarithm and Ci of a small argument cancel: digits are lost in proportion to its square.
    white = _parts(noise, 5.0, HOUR)[0]
    assert white**2 == pytest.approx(_q(5.0) ** 2 * integral, rel=1e-6)


def test_before_t0_noise_is_taken_as_of_then() -> None:
    (noise,) = _device().read_noise
    assert _parts(noise, 5.0, 0.0) == _parts(noise, 5.0, 20.0) != _parts(noise, 5.0, 21.0)


def test_the_amplitude_is_that_of_the_programmed_conductance() -> None:
    (noise,) = _device().read_noise
    assert _parts(noise, 2.0, HOUR, programmed=8.0) == pytest.approx(_parts(noise, 8.0, HOUR), rel=1e-12)


def test_slow_noise_does_not_turn_a_conductance_negative() -> None:
    (noise,) = _device().read_noise
    g = torch.full((1, 1, 3), 0.01 * US, dtype=torch.float64)
    xi = torch.tensor([[[-9.0, 0.0, 9.0]]], dtype=torch.float64)
    assert noise.slow is not None
    low, middle, high = noise.slow.apply(g, g, xi, torch.full_like(g, HOUR)).flatten().tolist()
    assert low == 0 < middle < high
    zero = torch.zeros_like(g)
    assert (noise.slow.apply(zero, zero, xi, g) == 0).all()
    assert (noise.variance(zero, zero) == 0).all()


@pytest.mark.parametrize("changes", [{"pass_time": "0.3 s"}, {"t_r": "1 s"}, {"t0": "10 us"}])
def test_a_split_that_would_not_hold_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(ProfileError, match=r"read_noise\.0: pass_time and t_r must be at most a hundredth of t0"):
        _device(**changes)
