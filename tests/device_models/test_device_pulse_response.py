"""Pulse responses: exact staircases, the moments of noisy ones, symmetry points, and what fabrication leaves.

Statistical tolerances: each test states n; a bound of Z standard errors is exceeded with probability 6e-7.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from scipy import stats
from torch import Tensor

from device_models.effect import Site
from device_models.errors import ProfileError
from device_models.linear_steps import SoftBounds
from device_models.pulse_response import PulseResponse
from device_models.pulsed_update import BASE_NUMBERS, Bounds
from device_models.registry import UpdateDescription

Z = 5.0
UPDATE = TypeAdapter(UpdateDescription)
GONG = {"a": -0.5, "b": -0.5, "gamma_up": 5.0, "gamma_down": 5.0, "a_up": -1.18445, "a_down": -0.081404}
BOUNDS = {"low": -0.75, "high": 1.25}

FAMILIES: dict[str, dict[str, Any]] = {
    "constant": {"kind": "constant_step", "dw_min": 0.013},
    "linear": {"kind": "linear_step", "dw_min": 0.02, "gamma_up": 0.4152, "gamma_down": 0.7342, "bounds": BOUNDS},
    "flat linear": {"kind": "linear_step", "dw_min": 0.02},
    "steep linear": {"kind": "linear_step", "dw_min": 0.02, "gamma_up": 1.7, "gamma_down": 1.4},
    "soft": {"kind": "soft_bounds", "dw_min": 0.02, "bounds": BOUNDS},
    "exponential": {"kind": "exponential_step", "dw_min": 0.004, **GONG},
    "saturating exponential": {
        "kind": "exponential_step",
        "dw_min": 0.01,
        "a": 0.244,
        "b": 0.2425,
        "gamma_up": 12.44625,
        "gamma_down": 12.78785,
        "a_up": 0.00081,
        "a_down": 0.36833,
    },
    "stopping exponential": {
        "kind": "exponential_step",
        "dw_min": 0.02,
        "gamma_up": 3.0,
        "gamma_down": 2.0,
        "a_up": 0.5,
        "a_down": 0.4,
    },
    "power": {"kind": "power_step", "dw_min": 0.03, "gamma_up": 1.6, "gamma_down": 0.7, "bounds": BOUNDS},
}
NOISELESS = {name: {**data, "asymmetry": 0.05} for name, data in FAMILIES.items()}


def _curve(data: dict[str, Any], u: float, up: bool) -> float:
    """The published step curves, in plain numbers."""
    bounds = data.get("bounds", {"low": -1.0, "high": 1.0})
    low, high = bounds["low"], bounds["high"]
    end = "up" if up else "down"
    match data["kind"]:
        case "constant_step":
            return 1.0
        case "linear_step":
            return max(0.0, 1 - data.get(f"gamma_{end}", 0.0) * u / (high if up else low))
        case "soft_bounds":
            return 1 - u / (high if up else low)
        case "exponential_step":
            z = 2 * data.get("a", 1.0) * u / (high - low) + data.get("b", 0.0)
            return max(0.0, 1 - data[f"a_{end}"] * math.exp((1 if up else -1) * data[f"gamma_{end}"] * z))
        case "power_step":
            return (((high - u) if up else (u - low)) / (high - low)) ** data[f"gamma_{end}"]
        case kind:
            raise AssertionError(kind)


def _staircase(data: dict[str, Any], u: float, ups: int, downs: int) -> float:
    bounds = data.get("bounds", {"low": -1.0, "high": 1.0})
    for count, up in ((ups, True), (downs, False)):
        dw = data["dw_min"] * (1 + data["asymmetry"] * (1 if up else -1)) * (1 if up else -1)
        for _ in range(count):
            u = min(max(u + dw * _curve(data, u, up), bounds["low"]), bounds["high"])
    return u


def _site(chips: int = 1, dtype: torch.dtype = torch.float64) -> Site:
    return Site(chips, 0.0, 25e-6, torch.device("cpu"), dtype)


def _normal(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _build(
    data: dict[str, Any], out: int = 1, rows: int = 1, chips: int = 1, seed: int | None = None, **changes: Any
) -> PulseResponse:
    """Seed None: average devices."""
    update = UPDATE.validate_python({**data, **changes})
    shape = (chips, update.fabricated, out, rows)
    numbers = torch.zeros(shape, dtype=torch.float64) if seed is None else _normal(*shape, seed=seed)
    return update.build(_site(chips), numbers)


def _full(value: float, n: int) -> Tensor:
    return torch.full((1, 1, n), value, dtype=torch.float64)


def _source(n: int, seed: int) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(1, 1, n, generator=generator, dtype=torch.float64)


# Without noise


@pytest.mark.parametrize("name", NOISELESS)
def test_the_staircase_is_the_recursion(name: str) -> None:
    data = NOISELESS[name]
    cases = [(n, m) for n in (0, 1, 2, 7, 60, 300) for m in (0, 1, 120)]
    starts = np.linspace(-0.75, 1.0, 8)
    expected = torch.tensor([[[_staircase(data, u, n, m) for n, m in cases] for u in starts]], dtype=torch.float64)
    response = _build(data, len(starts), len(cases))
    u = torch.tensor(starts)[None, :, None].expand(1, len(starts), len(cases))
    ups, downs = (torch.tensor(counts).expand(1, len(starts), -1) for counts in zip(*cases, strict=True))
    torch.testing.assert_close(response.advance(u, ups, downs), expected, rtol=0, atol=2e-13)
    torch.testing.assert_close(response.train(u, ups, downs), expected, rtol=0, atol=2e-13)


@pytest.mark.parametrize("name", NOISELESS)
def test_in_single_precision_the_two_ways_agree_to_rounding(name: str) -> None:
    update = UPDATE.validate_python(NOISELESS[name])
    response = update.build(_site(dtype=torch.float32), torch.zeros(1, update.fabricated, 1, 40))
    u = torch.linspace(-0.7, 0.9, 40).reshape(1, 1, 40)
    counts = torch.arange(40).mul(5).reshape(1, 1, 40)
    fast, slow = response.advance(u, counts, counts.flip(2)), response.train(u, counts, counts.flip(2))
    assert fast.dtype is slow.dtype is torch.float32
    torch.testing.assert_close(fast, slow, rtol=0, atol=400 * 6e-8)


@pytest.mark.parametrize("name", NOISELESS)
def test_varied_devices_follow_their_own_staircase(name: str) -> None:
    spread = {"device_to_device": 0.3, "asymmetry_spread": 0.1, "corrupt": "10 %"}
    spread["bounds"] = {**FAMILIES[name].get("bounds", {}), "low_spread": 0.3, "high_spread": 0.3}
    if FAMILIES[name]["kind"] in ("linear_step", "power_step"):
        spread |= {"gamma_up_spread": 0.2, "gamma_down_spread": 0.2}
    response = _build(FAMILIES[name], 20, 30, chips=2, seed=3, **spread)
    counts = torch.randint(0, 60, (2, 2, 20, 30), generator=torch.Generator().manual_seed(4))
    u = response.devices.settle(_normal(2, 20, 30, seed=5) * 0.5)
    fast, slow = (way(u, counts[0], counts[1]) for way in (response.advance, response.train))
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-12)
    moved = (response.train(u, counts[0], 0 * counts[0]) != u)[~response.devices.corrupt]
    assert moved.to(torch.float64).mean() > 0.6


def test_soft_bounds_have_the_textbook_closed_form() -> None:
    response = _build(FAMILIES["soft"], 1, 200)
    n = torch.arange(200).reshape(1, 1, 200)
    got = response.advance(_full(0.1, 200), n, 0 * n)
    torch.testing.assert_close(got, 1.25 - (1.25 - 0.1) * (1 - 0.02 / 1.25) ** n.to(torch.float64))


@pytest.mark.parametrize("dw", [1.5, 3.0, 1.0])
@pytest.mark.parametrize("name", ["constant", "linear", "steep linear", "soft", "exponential", "power"])
def test_steps_as_large_as_the_range_end_at_a_bound_and_stay_finite(name: str, dw: float) -> None:
    exact, response = (_build(FAMILIES[name], 1, 5, dw_min=dw, cycle_to_cycle=sigma) for sigma in (0.0, 0.3))
    u = torch.linspace(-0.7, 0.9, 5, dtype=torch.float64).reshape(1, 1, 5)
    for n in (1, 2, 50):
        counts = torch.full((1, 1, 5), n)
        torch.testing.assert_close(exact.advance(u, counts, 0 * counts), exact.train(u, counts, 0 * counts))
        noisy = response.advance(u, counts, counts, _normal(1, 2, 1, 5))
        assert (noisy >= response.devices.low).all() and (noisy <= response.devices.high).all()


def test_an_ideal_update_makes_any_change() -> None:
    response = _build({"kind": "ideal", "dw_min": 0.5}, 1, 3)
    change = torch.tensor([[[0.123456789, -1e-9, 5.0]]], dtype=torch.float64)
    got = response.advance(_full(0.2, 3), change / 0.5, 0 * change)
    torch.testing.assert_close(got, torch.tensor([[[0.323456789, 0.2 - 1e-9, 1.0]]], dtype=torch.float64))


# Symmetry points


@pytest.mark.parametrize("name", NOISELESS)
def test_steps_cancel_at_the_symmetry_point(name: str) -> None:
    response = _build(NOISELESS[name], 3, 4, seed=2, bounds={"low_spread": 0.1, "high_spread": 0.1})
    point = response.symmetry_point()
    net = response.step(point, True) + response.step(point, False)
    if "constant" in name or "flat" in name:
        assert torch.equal(point, response.devices.high), "steps up are the larger ones everywhere"
    else:
        assert net.abs().max() < 1e-12


@pytest.mark.parametrize("name", NOISELESS)
def test_alternating_pulses_lead_to_the_symmetry_point(name: str) -> None:
    response = _build(NOISELESS[name], 1, 3, dw_min=0.03)
    u = torch.tensor([[[-0.7, 0.0, 0.9]]], dtype=torch.float64)
    one = torch.ones(1, 1, 3)
    for _ in range(1000):
        u = response.pulse(response.pulse(u, one), -one)
    # A step up and one down are of one size there, and the device goes to and fro between them.
    size = response.step(response.symmetry_point(), False).abs()
    assert ((u - response.symmetry_point()).abs() <= 1.01 * size).all()


def test_symmetric_constant_steps_have_no_preferred_point() -> None:
    response = _build(FAMILIES["constant"])
    u, one = _full(0.3, 1), torch.ones(1, 1, 1)
    assert response.advance(u, one, one).item() == pytest.approx(0.3, abs=1e-15)
    assert response.symmetry_point().item() == 0


# Cycle-to-cycle noise: n devices each, against the law and pulse by pulse

N = 10_000


def _compare(got: Tensor, mean: float, sd: float, kurtosis_bound: float = 0.5) -> None:
    """Mean and sd of N numbers, with the standard errors of both; sd's error grows with the excess kurtosis."""
    assert abs(got.mean().item() - mean) < Z * sd / math.sqrt(N)
    assert abs(got.std().item() / sd - 1) < Z * math.sqrt((2 + kurtosis_bound) / (4 * N))


@pytest.mark.parametrize("n", [3, 20])
@pytest.mark.parametrize("noise", ["proportional", "additive"])
@pytest.mark.parametrize("name", FAMILIES)
def test_noisy_pulses_have_the_mean_and_spread_of_single_ones(name: str, noise: str, n: int) -> None:
    response = _build(FAMILIES[name], 1, N, cycle_to_cycle=0.5, step_noise=noise)
    u, counts = _full(-0.2, N), _full(n, N)
    fast = response.advance(u, counts, 0 * counts, _normal(1, 2, 1, N, seed=7))
    slow = response.train(u, counts, 0 * counts, _source(N, 8))
    assert abs(fast.mean() - slow.mean()) < Z * math.sqrt(2 / N) * slow.std()
    assert abs(torch.log(fast.std() / slow.std())) < Z * math.sqrt(2 * 2.5 / (4 * N))
    down = response.advance(u, 0 * counts, counts, _normal(1, 2, 1, N, seed=9))
    slow = response.train(u, 0 * counts, counts, _source(N, 10))
    assert abs(down.mean() - slow.mean()) < Z * math.sqrt(2 / N) * slow.std()
    assert abs(torch.log(down.std() / slow.std())) < Z * math.sqrt(2 * 2.5 / (4 * N))


@pytest.mark.parametrize("name", FAMILIES)
def test_one_noisy_pulse_is_the_same_number_in_both_ways(name: str) -> None:
    for noise in ("proportional", "additive"):
        response = _build(FAMILIES[name], 1, 500, cycle_to_cycle=2.0, step_noise=noise)
        u = torch.linspace(-0.75, 1.0, 500, dtype=torch.float64).reshape(1, 1, 500)
        xi, one = _normal(1, 2, 1, 500), torch.ones(1, 1, 500)
        fast = response.advance(u, one, 0 * one, xi), response.advance(u, 0 * one, one, xi)
        slow = response.pulse(u, one, xi[:, 0]), response.pulse(u, -one, xi[:, 1])
        torch.testing.assert_close(fast[0], slow[0], rtol=0, atol=1e-9)
        torch.testing.assert_close(fast[1], slow[1], rtol=0, atol=1e-9)


def test_constant_steps_sum_to_a_gaussian() -> None:
    response = _build(FAMILIES["constant"], 1, N, dw_min=0.001, cycle_to_cycle=2.0)
    counts = _full(20, N)
    for got in (
        response.advance(_full(0.0, N), counts, 0 * counts, _normal(1, 2, 1, N)),
        response.train(_full(0.0, N), counts, 0 * counts, _source(N, 2)),
    ):
        _compare(got, 20 * 0.001, 0.001 * 2.0 * math.sqrt(20))
        assert stats.kstest(got.flatten(), stats.norm(0.02, 0.002 * math.sqrt(20)).cdf).pvalue > 6e-7


def test_noise_scales_with_the_unit_numbers() -> None:
    quiet, loud = (_build(FAMILIES["soft"], 1, 50, cycle_to_cycle=sigma, step_noise="additive") for sigma in (0.1, 0.3))
    counts, xi, u = _full(12, 50), _normal(1, 2, 1, 50), _full(0.0, 50)
    none = quiet.advance(u, counts, 0 * counts)
    torch.testing.assert_close(
        loud.advance(u, counts, 0 * counts, xi) - none, 3 * (quiet.advance(u, counts, 0 * counts, xi) - none)
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_bounds_are_never_crossed(name: str) -> None:
    spread = {"bounds": {**FAMILIES[name].get("bounds", {}), "low_spread": 0.5, "high_spread": 0.5}}
    response = _build(FAMILIES[name], 20, 20, seed=6, device_to_device=0.5, cycle_to_cycle=5.0, **spread)
    d = response.devices
    assert (d.low < d.high).all()
    u = d.settle(3 * _normal(1, 20, 20))
    generator = torch.Generator().manual_seed(7)
    for k in range(5):
        counts = torch.randint(0, 30, (2, 1, 20, 20), generator=generator)
        u = response.advance(u, counts[0], counts[1], _normal(1, 2, 20, 20, seed=k))
        assert (u >= d.low).all() and (u <= d.high).all()
        u = response.pulse(u, counts[0] - counts[1], _normal(1, 20, 20, seed=k))
        assert (u >= d.low).all() and (u <= d.high).all()


def test_devices_without_pulses_do_not_move() -> None:
    response = _build(FAMILIES["power"], 4, 5, seed=2, cycle_to_cycle=1.0, write_noise=3.0)
    state = response.start(_normal(1, 4, 5) * 0.3, _normal(1, 4, 5, seed=4))
    ups = (torch.arange(20) % 3 == 0).reshape(1, 4, 5).to(torch.float64)
    after = response.write(state, ups, 0 * ups, _normal(1, 3, 4, 5, seed=5))
    for old, new in zip(state, after, strict=True):
        assert torch.equal(new[ups == 0], old[ups == 0])
        assert (new[ups > 0] != old[ups > 0]).all()
    beyond = _full(7.0, 20).view(1, 4, 5)
    assert torch.equal(response.advance(beyond, 0 * ups, 0 * ups), beyond)


# Write noise


def test_write_noise_is_about_the_hidden_state_and_does_not_accumulate() -> None:
    data = {"kind": "constant_step", "dw_min": 0.001, "write_noise": 56.0}
    response = _build(data, 1, N)
    assert response.numbers == 3
    state, one = response.start(_full(0.0, N)), torch.ones(1, 1, N)
    for k in range(100):
        up = k % 2 == 0
        state = response.write(state, one * up, one * (not up), _normal(1, 3, 1, N, seed=k))
        assert (state.hidden - (0.001 if up else 0.0)).abs().max() < 1e-15
    _compare(state.visible, 0.0, 0.056, kurtosis_bound=0.0)


def test_a_write_takes_its_numbers_in_order_up_down_write_noise() -> None:
    response = _build(FAMILIES["soft"], 2, 3, cycle_to_cycle=0.4, write_noise=2.0)
    counts, numbers = torch.full((1, 2, 3), 4), _normal(1, 3, 2, 3)
    state = response.write(response.start(torch.zeros(1, 2, 3, dtype=torch.float64)), counts, 2 * counts, numbers)
    torch.testing.assert_close(state.hidden, response.advance(0 * state.hidden, counts, 2 * counts, numbers[:, :2]))
    torch.testing.assert_close(state.visible, state.hidden + 0.02 * 2.0 * numbers[:, 2])


def test_write_noise_is_redrawn_at_each_write() -> None:
    response = _build({"kind": "soft_bounds", "dw_min": 0.001, "write_noise": 10.0, "cycle_to_cycle": 0.3}, 1, N)
    assert response.numbers == 3
    state, one = response.start(_full(0.0, N), _normal(1, 1, N, seed=99)), torch.ones(1, 1, N)
    errors = [state.visible - state.hidden]
    for k in range(2):
        state = response.write(state, one, 0 * one, _normal(1, 3, 1, N, seed=k))
        errors.append(state.visible - state.hidden)
    for a, b in ((0, 1), (1, 2), (0, 2)):
        r = np.corrcoef(errors[a].flatten(), errors[b].flatten())[0, 1]
        assert abs(r) < Z / math.sqrt(N)
    assert all(abs(error.std() / 0.01 - 1) < Z / math.sqrt(2 * N) for error in errors)


# Fabrication


def test_devices_differ_as_asked() -> None:
    data = {
        "kind": "constant_step",
        "dw_min": 0.002,
        "device_to_device": 0.1,
        "asymmetry": 0.2,
        "asymmetry_spread": 0.05,
        "bounds": {"low": -1.0, "high": 1.0, "low_spread": 0.1, "high_spread": 0.2},
    }
    d = _build(data, 1, N, seed=11).devices
    dw = (d.up + d.down) / 2
    _compare(dw, 0.002, 0.0002, 0.0)
    _compare((d.up - d.down) / (d.up + d.down), 0.2, 0.05, 0.0)
    _compare(d.low, -1.0, 0.1, 0.0)
    _compare(d.high, 1.0, 0.2, 0.0)
    for a, b in ((dw, d.low), (dw, d.high), (d.low, d.high), (dw, (d.up - d.down) / dw)):
        assert abs(np.corrcoef(a.flatten(), b.flatten())[0, 1]) < Z / math.sqrt(N)


def test_bounds_are_folded_at_the_origin_of_the_range() -> None:
    bounds = {"low": -1.0, "high": 1.0, "low_spread": 0.6, "high_spread": 1.5}
    d = _build({"kind": "soft_bounds", "dw_min": 0.1, "bounds": bounds}, 1, N, seed=3).devices
    assert stats.kstest(d.high.flatten().numpy(), stats.foldnorm(1 / 1.5, scale=1.5).cdf).pvalue > 6e-7
    assert stats.kstest(-d.low.flatten().numpy(), stats.foldnorm(1 / 0.6, scale=0.6).cdf).pvalue > 6e-7
    one_sided = {"low": 0.0, "high": 2.0, "high_spread": 0.1}
    d = _build({"kind": "constant_step", "dw_min": 0.1, "bounds": one_sided}, 1, 50, seed=3).devices
    assert (d.low == 0).all()
    shifted = {"low": 1.0, "high": 3.0, "low_spread": 5.0, "high_spread": 5.0}
    d = _build({"kind": "constant_step", "dw_min": 0.1, "bounds": shifted}, 1, N, seed=3).devices
    assert (d.low < 2).all() and (d.high > 2).all()


def test_steps_may_be_log_normal() -> None:
    d = _build({"kind": "soft_bounds", "dw_min": 0.0949, "device_to_device": 0.783, "law": "log_normal"}, 1, N, seed=5)
    logs = d.devices.up.log().flatten().numpy()
    s = math.sqrt(math.log(1 + 0.783**2))  # so that the mean is dw_min and the sd 0.783 of it
    assert stats.kstest(logs, stats.norm(math.log(0.0949) - s * s / 2, s).cdf).pvalue > 6e-7
    assert torch.equal(d.devices.up, d.devices.down)


def test_a_folded_normal_step_is_never_negative() -> None:
    d = _build({"kind": "constant_step", "dw_min": 1.0, "device_to_device": 2.0, "asymmetry": -1.0}, 1, N, seed=5)
    assert (d.devices.down > 0).all()
    assert (d.devices.up == 0).all()
    d = _build({"kind": "constant_step", "dw_min": 1.0, "asymmetry": -1.0, "asymmetry_spread": 0.5}, 1, N, seed=5)
    assert (d.devices.up >= 0).all() and (d.devices.up == 0).any(), "dw (1 - 1.5) is no step"


def test_slopes_and_exponents_differ_as_asked() -> None:
    spread = {"gamma_up": 0.5, "gamma_down": 0.6, "gamma_up_spread": 0.05, "gamma_down_spread": 0.06}
    linear = _build({"kind": "linear_step", "dw_min": 0.1, "bounds": BOUNDS, **spread}, 1, N, seed=3)
    _compare(1 - linear.rate(_full(1.25, N), True), 0.5, 0.05, 0.0)
    _compare(1 - linear.rate(_full(-0.75, N), False), 0.6, 0.06, 0.0)
    power = _build({"kind": "power_step", "dw_min": 0.1, **spread}, 1, N, seed=3)
    half = _full(0.0, N)
    _compare(-power.rate(half, True).log2(), 0.5, 0.05, 0.0)
    _compare(-power.rate(half, False).log2(), 0.6, 0.06, 0.0)


def test_corrupt_devices_are_stuck() -> None:
    response = _build(FAMILIES["soft"], 1, N, seed=4, corrupt="13.5 %", corrupt_range="10 %", cycle_to_cycle=1.0)
    d = response.devices
    share = d.corrupt.to(torch.float64).mean().item()
    assert abs(share - 0.135) < Z * math.sqrt(0.135 * 0.865 / N)
    counts = _full(5, N)
    u = response.advance(response.start(_full(0.5, N)).hidden, counts, 0 * counts, _normal(1, 2, 1, N))
    stuck = u[d.corrupt]
    assert torch.equal(stuck, d.stuck[d.corrupt])
    assert torch.equal(response.symmetry_point()[d.corrupt], stuck)
    assert stats.kstest(stuck.numpy(), stats.uniform(0.25 - 0.1, 0.2).cdf).pvalue > 6e-7


def test_a_device_keeps_its_numbers_when_another_spread_is_turned_up() -> None:
    few = _build(FAMILIES["soft"], 3, 4, seed=8, device_to_device=0.3)
    many = _build(FAMILIES["soft"], 3, 4, seed=8, device_to_device=0.3, corrupt="50 %", asymmetry_spread=0.1)
    assert torch.equal(few.devices.stuck, many.devices.stuck)
    torch.testing.assert_close(2 * few.devices.up, many.devices.up + many.devices.down)


def test_chips_may_differ_and_must_be_counted() -> None:
    data = {**FAMILIES["constant"], "dw_min": {"each": [0.01, 0.02]}, "cycle_to_cycle": {"each": [0.0, 1.0]}}
    response = _build(data, 1, 50, chips=2)
    one = torch.ones(2, 1, 50)
    moved = response.advance(torch.zeros(2, 1, 50, dtype=torch.float64), one, 0 * one, _normal(2, 2, 1, 50))
    assert torch.equal(moved[0], torch.full((1, 50), 0.01, dtype=torch.float64))
    assert moved[1].std() > 0.01
    with pytest.raises(ProfileError, match=r"dw_min: `each` gives 2 values for 3 chips"):
        _build(data, chips=3)
    with pytest.raises(ValueError, match=r"numbers of shape \(1, 6, out, rows\) \(got \(1, 5, 2, 2\)\)"):
        UPDATE.validate_python(FAMILIES["constant"]).build(_site(), torch.zeros(1, 5, 2, 2))


def test_parameters_are_tensors_of_known_names() -> None:
    tensors = _build(FAMILIES["soft"], 2, 3).devices.tensors()
    assert {"low", "high", "up", "down", "corrupt", "stuck", "cycle", "write_noise"} == set(tensors)
    assert tensors["low"].shape == (1, 2, 3)


# Descriptions


def test_the_range_stands_for_conductances() -> None:
    bounds, site = Bounds(low=-0.75, high=1.25), Site(1, 1e-6, 21e-6, torch.device("cpu"), torch.float64)
    u = torch.tensor([-0.75, 0.25, 1.25], dtype=torch.float64)
    g = bounds.to_conductance(u, site)
    torch.testing.assert_close(g, torch.tensor([1e-6, 11e-6, 21e-6], dtype=torch.float64))
    torch.testing.assert_close(bounds.from_conductance(g, site), u)


@pytest.mark.parametrize("name", FAMILIES)
def test_descriptions_survive_being_written(name: str) -> None:
    update = UPDATE.validate_python({**FAMILIES[name], "corrupt": "2 %", "asymmetry": {"each": [-0.1, 0.1]}})
    assert UPDATE.validate_python(update.model_dump(mode="json")) == update
    assert update.fabricated >= BASE_NUMBERS


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "soft_bounds", "dw_min": 0.1, "bounds": {"low": 0.0, "high": 2.0}}, "must lie in the range"),
        ({"kind": "linear_step", "dw_min": 0.1, "bounds": {"low": 0.1, "high": 2.0}}, r"got 0.1 to 2"),
        ({"kind": "constant_step", "dw_min": 0.1, "bounds": {"low": 1.0, "high": -1.0}}, "low must lie below high"),
        ({"kind": "constant_step", "dw_min": 0.0}, "must be above 0: it is a step"),
        ({"kind": "constant_step", "dw_min": 0.1, "gamma_up": 1.0}, "Extra inputs"),
        ({"kind": "exponential_step", "dw_min": 0.1, **GONG, "a_up": 1.0}, "a_up and a must not differ in sign"),
        ({"kind": "ideal", "write_noise": 1.0}, r"dw_min and bounds only \(got write_noise\)"),
        ({"kind": "ideal", "bounds": {"high_spread": 1.0}}, "remove their spreads"),
        ({"kind": "quadratic", "dw_min": 0.1}, "quadratic"),
    ],
)
def test_what_makes_no_sense_is_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        UPDATE.validate_python(data)


def test_soft_bounds_are_linear_steps_that_vanish() -> None:
    soft = _build(FAMILIES["soft"], 1, 20)
    linear = _build({**FAMILIES["soft"], "kind": "linear_step", "gamma_up": 1.0, "gamma_down": 1.0}, 1, 20)
    u, n = torch.linspace(-0.7, 1.2, 20, dtype=torch.float64).reshape(1, 1, 20), _full(30, 20)
    torch.testing.assert_close(soft.advance(u, n, 2 * n), linear.advance(u, n, 2 * n))
    assert isinstance(UPDATE.validate_python(FAMILIES["soft"]), SoftBounds)


def test_fractions_of_pulses_are_first_order() -> None:
    response = _build(FAMILIES["soft"], 1, 5)
    u = torch.linspace(-0.5, 1.0, 5, dtype=torch.float64).reshape(1, 1, 5)
    one = torch.ones(1, 1, 5, dtype=torch.float64)
    nudged = response.nudge(u, 1e-3 * one, 0 * one)
    torch.testing.assert_close(nudged - u, 1e-3 * (response.advance(u, one, 0 * one) - u), rtol=1e-9, atol=1e-15)
    assert response.nudge(u, 1e9 * one, 0 * one).eq(1.25).all()
