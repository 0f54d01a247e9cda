"""1/f read noise: the published accumulated noise, and its division into what passes share and what they do not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special

from device_models import Device, DeviceProfile, ProfileError, ReadNoise

US, T_R, HOUR, DAY = 1e-6, 250e-9, 3600.0, 86_400.0
PCM = {"kind": "flicker", "q": 0.0088, "exponent": 0.65, "q_max": 0.2, "t_r": "250 ns", "t0": "20 s"}


def _device(pass_time: str = "1 us", step_time: str = "1 ms", **changes: Any) -> Device:
    timing = {"pass_time": pass_time, "step_time": step_time}
    data = {"name": "x", "conductance": {"max": "25 uS"}, "read_noise": {**PCM, **changes}, "timing": timing}
    return DeviceProfile.from_data(data).build(1, torch.device("cpu"), torch.float64)


def _slow(noise: ReadNoise, value: torch.Tensor, before: torch.Tensor, t: float, xi: float = 0.1) -> torch.Tensor:
    """Conductances t seconds after a write that drew xi, on a clock that has stood since."""
    assert noise.slow is not None
    state = noise.slow.write(value, [torch.full_like(value, xi)])
    noise.slow.touch(state, torch.ones_like(value, dtype=torch.bool), 0.0)
    return noise.slow.apply(value, before, state, torch.full_like(value, t))


def _parts(noise: ReadNoise, g: float, t: float, programmed: float | None = None) -> tuple[float, float]:
    """Standard deviations (in a read, slow) of a device of g microsiemens, t seconds after its write, shares of g."""
    value = torch.full((1, 1, 1), g * US, dtype=torch.float64)
    before = value if programmed is None else torch.full_like(value, programmed * US)
    slow = (_slow(noise, value, before, t) - value) / value / 0.1
    return (noise.variance(value, before) * noise.in_a_read).sqrt().item() / (g * US), slow.item()


def _q(g: float) -> float:
    return min(0.0088 / (g / 25) ** 0.65, 0.2)


@pytest.mark.parametrize(
    ("g", "t", "share"),
    [(1, 21.0, 0.299), (5, 21.0, 0.105), (25, 21.0, 0.037), (1, HOUR, 0.340), (5, HOUR, 0.119), (25, HOUR, 0.042)],
)
def test_spot_values_of_the_accumulated_noise(g: float, t: float, share: float) -> None:
    (noise,) = _device().read_noise
    assert math.hypot(*_parts(noise, g, t)) == pytest.approx(share, abs=0.0006)


@pytest.mark.parametrize(
    ("pass_time", "step_time"), [("250 ns", "250 ns"), ("1 us", "1 ms"), ("37 us", "10 ms"), ("1 ms", "1 s")]
)
@pytest.mark.parametrize("t", [20.0, HOUR, 1e7])
@pytest.mark.parametrize("g", [0.05, 0.3, 4.0, 25.0])
def test_all_parts_together_are_the_accumulated_noise(g: float, t: float, pass_time: str, step_time: str) -> None:
    (noise,) = _device(pass_time, step_time).read_noise
    fast, slow = _parts(noise, g, t)
    assert fast**2 + slow**2 == pytest.approx(_q(g) ** 2 * math.log((t + T_R) / (2 * T_R)), rel=1e-9)


@pytest.mark.parametrize("t", [30.0, HOUR, 1e7, 1e8])
@pytest.mark.parametrize("slope", [0.7, 1.0, 1.3])
def test_weights_of_slow_relaxations_add_up_and_grow_with_time(slope: float, t: float) -> None:
    (noise,) = _device(slope=slope).read_noise
    assert noise.slow is not None
    elapsed = torch.tensor([t], dtype=torch.float64)
    weights = torch.cat(list(noise.slow.weights(elapsed)))
    torch.testing.assert_close(weights.sum(), noise.slow.total(elapsed)[0])
    density = (2 * math.pi) ** (slope - 1) * math.sin(math.pi * slope / 2)
    tau = np.geomspace(T_R / math.pi, (t + T_R) / 2 / math.pi, 200_001)
    whole = np.trapezoid(density * tau ** (slope - 1), np.log(tau))
    assert noise.in_a_read + weights.sum().item() == pytest.approx(whole, rel=1e-6)
    assert (weights >= 0).all()
    assert all(low < high for low, high in zip(noise.slow.taus, noise.slow.taus[1:], strict=False))


def _rho(noise: ReadNoise, t: float, tau: float) -> float:
    """Autocorrelation that the parts have, by their weights and correlation times."""
    assert noise.slow is not None
    weights = [float(w) for w in noise.slow.weights(torch.tensor(t, dtype=torch.float64))]
    parts = [*((part.weight, part.tau) for part in noise.passing), *zip(weights, noise.slow.taus, strict=True)]
    return sum(w * math.exp(-tau / c) for w, c in parts) / (noise.white + sum(w for w, _ in parts))


@pytest.mark.parametrize(("tau", "rho"), [(1e-6, 0.863), (1e-3, 0.559), (1.0, 0.254)])
def test_published_autocorrelation_an_hour_after_the_write(tau: float, rho: float) -> None:
    (noise,) = _device().read_noise
    assert _rho(noise, HOUR, tau) == pytest.approx(rho, abs=0.003)


def test_autocorrelation_over_nine_decades() -> None:
    """Bins of a decade ripple by 0.04 of 26 nats; the closed form has a sharp end at f_l, see the module."""
    (noise,) = _device().read_noise
    t = 10 * DAY
    f_l, f_h = 1 / (t + T_R), 1 / (2 * T_R)
    for tau in np.geomspace(1e-6, 1e3, 91):
        ci = special.sici(2 * np.pi * tau * np.array([f_h, f_l]))[1]
        closed = (ci[0] - ci[1]) / math.log(f_h / f_l)
        assert abs(_rho(noise, t, tau) - closed) < 0.003, tau


def test_before_t0_noise_is_taken_as_of_then() -> None:
    (noise,) = _device().read_noise
    assert _parts(noise, 5.0, 0.0) == _parts(noise, 5.0, 20.0) != _parts(noise, 5.0, 21.0)


def test_the_amplitude_is_that_of_the_programmed_conductance() -> None:
    (noise,) = _device().read_noise
    assert _parts(noise, 2.0, HOUR, programmed=8.0) == pytest.approx(_parts(noise, 8.0, HOUR), rel=1e-12)


def test_an_amplitude_in_shares_of_g_max() -> None:
    """The analogue CMO/HfOx law: 0.02773 uS log10(G / 1 uS) times the root of the accumulated nats, G_max 88.2 uS."""
    per_nat = 0.02773 / math.log(10) / 25
    law = {"slope": per_nat, "offset": per_nat * math.log(25), "min": 0, "max": 1}
    (noise,) = _device(q=None, exponent=0, q_max=1, law=law, relative_to="g_max").read_noise
    for g in (2.0, 9.0, 25.0):
        nats = math.log((HOUR + T_R) / 2 / T_R)
        assert math.hypot(*_parts(noise, g, HOUR)) * g == pytest.approx(0.02773 * math.log10(g) * math.sqrt(nats))


def test_slow_noise_does_not_turn_a_conductance_negative() -> None:
    (noise,) = _device().read_noise
    g = torch.full((1, 1, 1), 0.01 * US, dtype=torch.float64)
    low, middle, high = (_slow(noise, g, g, HOUR, xi).item() for xi in (-9.0, 0.0, 9.0))
    assert low == 0 < middle < high
    zero = torch.zeros_like(g)
    assert (_slow(noise, zero, zero, HOUR) == 0).all()
    assert (noise.variance(zero, zero) == 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"t_r": "1 s"}, r"read_noise\.0: t_r must be at most a hundredth of t0"),
        ({"law": {"slope": 0, "offset": 1, "min": 0, "max": 1}}, r"read_noise\.0: give Q either by `q`"),
        ({"q": None}, r"read_noise\.0: give Q either by `q`"),
        ({"pass_time": "2 ms"}, r"timing: step_time must not be below pass_time"),
    ],
)
def test_settings_that_would_not_hold_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        _device(**changes)
