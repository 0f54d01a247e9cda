"""Published figures of the presets, written down a second time: spot values at a few conductances."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from device_models import Device, load_profile, preset_names
from device_models.bibliography import bibtex, fields, keys, label
from device_models.pulsed_update import PulsedUpdate
from device_models.slow_noise import SlowNoise

CPU = torch.device("cpu")


def _device(name: str) -> Device:
    return load_profile(name).build(1, CPU, torch.float64)


def _row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[None, None]


def _close(found: Tensor, expected: tuple[float, ...], unit: float = 1.0, digits: int = 3) -> None:
    """Equal as far as the expected figures are printed."""
    for value, wanted in zip(found.flatten().tolist(), expected, strict=True):
        assert abs(value / unit - wanted) <= 0.51 * 10.0**-digits, (value / unit, wanted)


PROGRAMMING = {  # microsiemens
    "pcm": ((1, 5, 25), (0.340, 0.610, 1.055)),
    "pcm-hermes": (
        tuple(20.7 * r for r in (0, 0.1, 0.25, 0.5, 0.75, 1)),
        (0.166, 0.558, 0.889, 0.991, 0.912, 1.093),
    ),
    "pcm-hermes-single": (
        tuple(10.35 * r for r in (0, 0.1, 0.25, 0.5, 0.75, 1)),
        (0.158, 0.369, 0.614, 0.865, 0.975, 1.008),
    ),
    "reram": ((0, 1, 5, 10, 20, 30, 40), (0.348, 0.722, 1.75, 2.26, 2.02, 1.53, 1.10)),
}


@pytest.mark.parametrize("name", PROGRAMMING)
def test_programming_noise(name: str) -> None:
    g, sigma = PROGRAMMING[name]
    programming = _device(name).programming
    assert programming is not None
    _close(programming.sigma(_row(*g) * 1e-6), sigma, 1e-6, 2 if name == "reram" else 3)


def _after(name: str, g: Tensor, elapsed: float, xi: float) -> Tensor:
    """What relaxation adds to targets g, siemens, far from the clamp at 0."""
    (effect,) = _device(name).relaxation
    far = g + 1e-3
    return effect.apply(far, far, effect.write(g, [torch.full_like(g, xi)]), torch.full_like(g, elapsed)) - far


@pytest.mark.parametrize(
    ("name", "elapsed", "g", "total", "digits"),
    [
        ("reram", 1.0, (0, 1, 5, 10, 20, 30, 40), (0.348, 0.722, 1.75, 2.26, 2.02, 1.53, 1.10), 2),
        ("reram", 86400.0, (0, 1, 5, 10, 20, 30, 40), (0.701, 1.22, 2.76, 3.72, 3.91, 3.37, 2.65), 2),
        ("reram", 172800.0, (0, 1, 5, 10, 20, 30, 40), (0.782, 1.26, 2.71, 3.66, 3.93, 3.37, 2.68), 2),
        ("sonos", 1.0, (0.1, 1, 5, 16), (0.0110, 0.0861, 0.187, 0.199), 3),
        ("sonos", 432000.0, (0.1, 1, 5, 16), (0.0163, 0.132, 0.315, 0.346), 3),
    ],
)
def test_spread_some_time_after_a_write(name: str, elapsed: float, g: Any, total: Any, digits: int) -> None:
    programming = _device(name).programming
    assert programming is not None
    target = _row(*g) * 1e-6
    added = _after(name, target, elapsed, 1.0)
    _close((added.square() + programming.sigma(target).square()).sqrt(), total, 1e-6, digits)


def test_relaxation_and_noise_of_cmo_hfox() -> None:
    device = _device("reram-cmo-hfox")
    assert device.programming is not None
    g = _row(9, 50) * 1e-6
    _close(device.programming.sigma(g), (0.0104, 0.0543), 1e-6, 4)
    for elapsed, mean, sd in ((1.0, 0.0, 0.412), (3600.0, -0.729, 0.756), (3.15e8, -1.742, 1.234)):
        _close(_after("reram-cmo-hfox", g, elapsed, 0.0), (mean, mean), 1e-6)
        spread = _after("reram-cmo-hfox", g, elapsed, 1.0) - _after("reram-cmo-hfox", g, elapsed, 0.0)
        _close(spread, (sd, sd), 1e-6)
    (noise,) = device.read_noise
    assert isinstance(noise.slow, SlowNoise)
    slow = noise.slow.amplitude(g, g).square() * noise.slow.total(torch.full_like(g, 10.0))
    _close((slow + noise.variance(g, g) * noise.in_a_read).sqrt(), (0.1039, 0.1850), 1e-6, 4)  # ten seconds after
    assert (device.g_min, device.g_max, device.cell) == (9e-6, 88.199997e-6, "reference")


def test_read_noise_of_sonos() -> None:
    (noise,) = _device("sonos").read_noise
    _close(noise.variance(_row(0.1, 1, 5, 16) * 1e-6).sqrt(), (0.0057, 0.0467, 0.1135, 0.1257), 1e-6)


def test_noise_of_units_with_a_tunnel_junction() -> None:
    noise = _device("mtj").unit_noise
    assert noise is not None
    passes, units = 40, 4000
    generator = torch.Generator().manual_seed(1)
    numbers = torch.randn((1, passes, noise.lanes, units), generator=generator, dtype=torch.float64)
    values = noise.values(numbers)[0][0] - 0.042092104
    n = passes * units
    power = values.square().mean().item()
    expected = 0.0059316154**2 + 0.00090841466**2
    # the telegraph's square is constant: what varies is 2 a s sigma xi + sigma^2 (xi^2 - 1)
    sd = math.sqrt((4 * 0.0059316154**2 * 0.00090841466**2 + 2 * 0.00090841466**4) / n)
    assert abs(power - expected) < 5 * sd
    flips = (values[1:] * values[:-1] < 0).double().mean().item()  # 6.5 sd of xi keep the signs apart
    assert abs(flips - 0.0809) < 5 * math.sqrt(0.0809 * 0.9191 / (n - units))


NU = {  # r -> mean, sd
    "pcm": {0.01: (0.0958, 0.0450), 0.04: (0.0743, 0.0343), 0.2: (0.0493, 0.0142), 1: (0.0490, 0.0080)},
    "pcm-hermes": {0.01: (0.1300, 0.0400), 0.05: (0.0977, 0.0294), 0.1: (0.0719, 0.0212), 0.5: (0.0564, 0.0090),
                   1: (0.0174, 0.0048)},
    "pcm-hermes-single": {0.01: (0.1300, 0.0400), 0.05: (0.0977, 0.0336), 0.1: (0.0719, 0.0253), 0.5: (0.0564, 0.0121),
                          1: (0.0174, 0.0055)},
}  # fmt: skip


@pytest.mark.parametrize(("name", "t0"), [("pcm", 20.0), ("pcm-hermes", 300.0), ("pcm-hermes-single", 200.0)])
def test_drift(name: str, t0: float) -> None:
    device = _device(name)
    assert device.drift is not None
    assert device.drift.t0 == t0
    g = _row(*NU[name]) * device.g_max
    mean = device.drift.exponent(g, torch.zeros_like(g))
    _close(mean, tuple(nu for nu, _ in NU[name].values()), digits=4)
    _close(device.drift.exponent(g, torch.ones_like(g)) - mean, tuple(sd for _, sd in NU[name].values()), digits=4)


Q = {
    "pcm": {0.002: 0.2, 0.04: 0.0713, 0.2: 0.0251, 1: 0.0088},
    "pcm-hermes": {0.01: 0.0400, 0.05: 0.0282, 0.5: 0.0167, 1: 0.0123},
    "pcm-hermes-single": {0.005: 0.0400, 0.05: 0.0272, 0.5: 0.0217, 1: 0.0168},
}


@pytest.mark.parametrize("name", Q)
def test_read_noise_amplitude(name: str) -> None:
    device = _device(name)
    (noise,) = device.read_noise
    g = _row(*Q[name]) * device.g_max
    _close(noise.variance(g, g).sqrt() / g, tuple(Q[name].values()), digits=4)


@pytest.mark.parametrize(("elapsed", "relative"), [(21.0, (0.299, 0.105, 0.037)), (3620.0, (0.340, 0.119, 0.042))])
def test_accumulated_read_noise_of_pcm(elapsed: float, relative: tuple[float, ...]) -> None:
    (noise,) = _device("pcm").read_noise
    assert isinstance(noise.slow, SlowNoise)
    g = _row(1, 5, 25) * 1e-6
    slow = noise.slow.amplitude(g, g).square() * noise.slow.total(torch.full_like(g, elapsed))
    _close((slow + noise.variance(g, g) * noise.in_a_read).sqrt() / g, relative)


# Pulsed updates: u is the fit's weight


def _update(name: str) -> PulsedUpdate:
    update = load_profile(name).update
    assert update is not None
    return update


def _steps(name: str, u: tuple[float, ...], up: bool, xi: float = 0.0) -> Tensor:
    """Mean steps of a device whose fabrication numbers are 0, but xi for its step."""
    device, update = _device(name), _update(name)
    numbers = torch.zeros((1, update.fabricated, 1, len(u)), dtype=torch.float64)
    numbers[:, 0] = xi
    return update.build(device.site, numbers).step(_row(*u), up).abs()


STEPS = {  # name: (unit of steps, u, steps up, steps down)
    "reram-exponential-step": (0.00135, (-1, -0.5, 0, 0.5, 1), (2.184, 1.339, 1.097, 1.028, 1.008),
                               (0.801, 0.951, 1.475, 3.304, 9.689)),
    "reram-soft-bounds": (0.002, (-0.75, 0, 0.75, 1.25), (1.6, 1.0, 0.4, 0.0), (0.0, 1.0, 2.0, 2.667)),
    "pcm-one-sided": (1.0, (0, 0.5, 1, 1.5, 2), (0.282, 0.088, 0.032, 0.016, 0.012), None),
    "capacitor": (0.005, (-1, 0, 1), (1.05, 1.0, 0.95), (0.95, 1.0, 1.05)),
    "ecram": (0.002, (-0.8276, 0, 1.1724), (1.081, 1.0, 0.885), (0.492, 1.0, 1.720)),
    "ecram-mo": (2.8214e-4, (-0.8286, 0, 1.1714), (1.294, 1.0, 0.585), (0.266, 1.0, 2.038)),
    "constant-step": (0.0016, (-1, 0, 1), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
    "reram-array-om": (0.0949, (-1, 0, 1), (2.0, 1.0, 0.0), (0.0, 1.0, 2.0)),  # of the median device
    "reram-array-hfo2": (0.4622, (-1, 0, 1), (2.0, 1.0, 0.0), (0.0, 1.0, 2.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_steps_of_pulses(name: str) -> None:
    unit, u, up, down = STEPS[name]
    _close(_steps(name, u, True), up, unit)
    if down is not None:
        _close(_steps(name, u, False), down, unit)


@pytest.mark.parametrize(
    ("name", "one_sd"),
    [("reram-exponential-step", 1.2), ("reram-soft-bounds", 1.3), ("pcm-one-sided", 1.2), ("capacitor", 1.1),
     ("ecram", 1.1), ("ecram-mo", 1.1), ("constant-step", 1.3), ("reram-array-om", math.exp(0.7829)),
     ("reram-array-hfo2", math.exp(0.7125))],
)  # fmt: skip
def test_devices_differ_in_their_step_by(name: str, one_sd: float) -> None:
    ratio = _steps(name, (0.0,), True, xi=1.0) / _steps(name, (0.0,), True)
    assert abs(ratio.item() / one_sd - 1) < 1e-6


WRITE_NOISE = {"reram-exponential-step": 0.101, "reram-soft-bounds": 0.112, "reram-array-om": 0.134,
               "reram-array-hfo2": 0.270, "ecram": 0.0, "pcm-one-sided": 0.0}  # fmt: skip


@pytest.mark.parametrize("name", WRITE_NOISE)
def test_write_noise(name: str) -> None:
    update = _update(name)
    assert isinstance(update.write_noise, float)
    assert isinstance(update.dw_min, float)
    assert abs(update.write_noise * update.dw_min - WRITE_NOISE[name]) < 5.1e-4


BOUNDS: dict[str, Any] = {  # low, its spread, high, its spread
    "reram-exponential-step": (-1, 0.3, 1, 0.3),
    "reram-soft-bounds": (-0.75, 0.3, 1.25, 0.3),
    "pcm-one-sided": (0, 0, 2, 0.2),
    "capacitor": (-1, 0.07, 1, 0.07),
    "ecram": (-0.8276, 0.05 * 0.8276, 1.1724, 0.05 * 1.1724),
    "ecram-mo": (-0.8286, 0.05 * 0.8286, 1.1714, 0.05 * 1.1714),
    "constant-step": (-1, 0.3, 1, 0.3),
    "reram-array-om": (-1, 0.5695, 1, 0.3499),
    "reram-array-hfo2": (-1, 0.5990, 1, 0.4295),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_bounds(name: str) -> None:
    found = _update(name).bounds
    assert (found.low, found.low_spread, found.high, found.high_spread) == pytest.approx(BOUNDS[name], rel=1e-12)


def test_pulses_of_one_sided_pcm_make_the_published_staircase() -> None:
    update = _update("pcm-one-sided")
    response = update.build(
        _device("pcm-one-sided").site, torch.zeros((1, update.fabricated, 1, 3), dtype=torch.float64)
    )
    counts = torch.tensor([[[10, 20, 40]]])
    _close(response.train(torch.zeros((1, 1, 3), dtype=torch.float64), counts, 0 * counts), (0.924, 1.217, 1.586))


def test_the_noise_of_a_pulse_of_one_sided_pcm_is_the_fits_mean() -> None:
    u = torch.linspace(0, 2, 2001, dtype=torch.float64)
    fit = 0.6 * (0.01 * (1 + 27.235 * torch.exp(-2.5 * u)) + 0.042 + 0.108 * u)
    update = _update("pcm-one-sided")
    assert update.step_noise == "additive"
    assert abs(update.cycle_to_cycle * update.dw_min - fit.mean().item()) < 1e-4  # pyright: ignore[reportOperatorIssue]


def test_the_symmetry_point_of_exponential_steps() -> None:
    update = _update("reram-exponential-step")
    response = update.build(
        _device("reram-exponential-step").site, torch.zeros((1, update.fabricated, 1, 1), dtype=torch.float64)
    )
    _close(response.symmetry_point(), (-0.2172,), digits=4)


def test_what_else_the_pulsed_presets_say() -> None:
    assert _update("reram-array-om").corrupt == 0.1348
    assert _update("reram-array-hfo2").corrupt == 0.0977
    noise = {"reram-exponential-step": 5.0, "reram-soft-bounds": 3.75, "capacitor": 0.3, "ecram": 0.3, "ecram-mo": 2.0,
             "constant-step": 0.3, "reram-array-om": 0.4158, "reram-array-hfo2": 0.2174}  # fmt: skip
    additive = {"reram-soft-bounds", "capacitor", "reram-array-om", "reram-array-hfo2"}
    for name, cycle in noise.items():
        assert _update(name).cycle_to_cycle == cycle
        assert _update(name).step_noise == ("additive" if name in additive else "proportional")
    refresh = load_profile("pcm-one-sided").refresh
    assert (load_profile("pcm-one-sided").cell, refresh.upper, refresh.lower) == ("pair", 0.75, 0.25)


# Sources


def test_every_published_preset_has_its_spot_values_here() -> None:
    measured = {*PROGRAMMING, *STEPS, "reram-cmo-hfox", "sonos", "mtj", "ideal", "noisy"}
    assert set(preset_names()) <= measured


@pytest.mark.parametrize("name", preset_names())
def test_every_setting_of_a_preset_has_its_source(name: str) -> None:
    profile = load_profile(name)
    given = {
        key for key, field in type(profile).model_fields.items()
        if key not in ("name", "description", "references") and getattr(profile, key) != field.default
    }  # fmt: skip
    about = {path.split(".")[0] for entry in profile.references for path in entry.settings}
    assert given <= about
    assert about <= given | {"timing", "cell", "refresh"}, "a reference is about something that is not there"
    for entry in profile.references:
        assert entry.cite or entry.assumed, "a remark is no source"


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_but_ideal_has_costs_and_each_its_source(name: str) -> None:
    profile = load_profile(name)
    if name == "ideal":
        assert profile.costs is None
        return
    assert profile.costs is not None
    leaves = [
        f"costs.{entry}.{field}" for entry, fields_ in profile.costs.model_dump(exclude={"standby"}).items()
        for field in fields_
    ]  # fmt: skip
    assert len(leaves) == 16
    about = [path for entry in profile.references for path in entry.settings if path.split(".")[0] == "costs"]
    for leaf in leaves:
        assert any(leaf == path or leaf.startswith(f"{path}.") for path in about), leaf
    assert profile.costs.standby == 0, "no source gives one"
    for path in about:
        assert any(leaf == path or leaf.startswith(f"{path}.") for leaf in leaves), f"{path} is no cost"


def test_the_bibliography_is_whole_and_certain() -> None:
    assert len(keys()) == len(set(keys())) >= 20
    for key in keys():
        found, entry = fields(key), bibtex([key])
        assert {"author", "year"} <= set(found)
        assert key.rstrip("abcdefghijklmnopqrstuvwxyz").endswith(found["year"])
        assert entry.count("{") == entry.count("}")
        assert "%" not in entry
        assert "?" not in entry
        assert "%s" % found["year"] in label(key)  # noqa: UP031
    assert label("joshi2020") == "Joshi et al. (2020), doi:10.1038/s41467-020-16108-9"
    assert label("gokmen2016") == "Gokmen and Vlasov (2016), doi:10.3389/fnins.2016.00333"
    assert label("falcone2025") == "Falcone et al. (2025), arXiv:2502.04524"
    assert label("agrawal2022") == "Agrawal et al. (2022), IEEE document 10019564"
    assert label("nyquist1928") == "Nyquist (1928)"
