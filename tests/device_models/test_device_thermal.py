"""Thermal and shot noise against their closed forms, the saturating read noise, and how temperatures are written."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from device_models import DeviceProfile, ProfileError, ReadNoise

US = 1e-6
K_B, Q = 1.380649e-23, 1.602176634e-19
READ = {"read_voltage": "0.2 V", "integration_time": "128 ns"}
THERMAL = {"kind": "thermal", **READ}
SHOT = {"kind": "shot", **READ}


def _noise(read_noise: dict[str, Any], chips: int = 1, **parts: Any) -> ReadNoise:
    data = {"name": "x", "conductance": {"max": "25 uS"}, "read_noise": read_noise, **parts}
    (noise,) = DeviceProfile.from_data(data).build(chips, torch.device("cpu"), torch.float64).read_noise
    return noise


def _current(noise: ReadNoise, g: float) -> float:
    """Standard deviation of the current of one device under 0.2 V, amperes."""
    return 0.2 * math.sqrt(noise.variance(torch.full((1, 1, 1), g, dtype=torch.float64)).item())


@pytest.mark.parametrize("g", [1e-9, 1e-6, 25e-6])
def test_thermal_noise_is_nyquists(g: float) -> None:
    # sigma_I^2 = 4 k T G df with df = 1 / (2 t_int), that is 2 k T G / t_int.
    assert _current(_noise(THERMAL), g) == pytest.approx(math.sqrt(2 * K_B * 300 * g / 128e-9), rel=1e-12)


@pytest.mark.parametrize("g", [1e-9, 1e-6, 25e-6])
@pytest.mark.parametrize("fano", [1.0, 0.5])
def test_shot_noise_is_schottkys(g: float, fano: float) -> None:
    # sigma_I^2 = 2 q F I df, that is q F G V / t_int.
    law = math.sqrt(Q * fano * g * 0.2 / 128e-9)
    assert _current(_noise({**SHOT, "fano": fano}), g) == pytest.approx(law, rel=1e-12)


def test_sizes_for_a_device_of_25_microsiemens() -> None:
    assert _current(_noise(THERMAL), 25e-6) == pytest.approx(1.27e-9, abs=0.005e-9)
    assert _current(_noise(SHOT), 25e-6) == pytest.approx(2.5e-9, abs=0.005e-9)


def test_thermal_noise_goes_with_the_square_root_of_temperature_and_of_bandwidth() -> None:
    g = torch.full((3, 1, 1), 1e-6, dtype=torch.float64)
    cold, room, hot = _noise(THERMAL, 3, temperature={"each": ["75 K", "300 K", "1200 K"]}).variance(g).flatten()
    assert (room / cold).item() == pytest.approx(4) and (hot / room).item() == pytest.approx(4)
    slow = _noise({**THERMAL, "integration_time": "1.28 us"})
    assert _current(_noise(THERMAL), 1e-6) / _current(slow, 1e-6) == pytest.approx(math.sqrt(10))
    assert _noise(THERMAL, temperature="26.85 degC").variance(g[:1]).item() == pytest.approx(room.item(), rel=1e-12)


def test_they_are_white_and_of_other_powers_of_the_input() -> None:
    for noise, power in ((_noise(THERMAL), 0), (_noise(SHOT), 1), (_noise({"sigma": "1 %"}), 2)):
        assert (noise.white, noise.passing, noise.slow, noise.power) == (1.0, (), None, power)


@pytest.mark.parametrize("current", [10.0, 100.0, 500.0, 1600.0])
def test_read_noise_of_charge_trap_memory(current: float) -> None:
    # Agrawal et al., IEDM 2022: sigma = 12.580 nA (1 - exp(-I / 215.37 nA)); here under 0.1 V, 10 nA to the 0.1 uS.
    noise = _noise({"kind": "saturating", "sigma": "0.12580 uS", "knee": "2.1537 uS"})
    got = noise.variance(torch.full((1, 1, 1), current / 100 * US, dtype=torch.float64)).sqrt().item()
    assert got == pytest.approx(12.580 * (1 - math.exp(-current / 215.37)) / 100 * US, rel=1e-12)
    assert noise.power == 2


@pytest.mark.parametrize(
    ("text", "kelvin"), [("300 K", 300.0), ("25 degC", 298.15), ("-40 degC", 233.15), ("0.01 K", 0.01)]
)
def test_temperatures_are_read_and_written_to_the_bit(text: str, kelvin: float) -> None:
    profile = DeviceProfile.from_data({"name": "x", "conductance": {"max": "25 uS"}, "temperature": text})
    assert profile.temperature == kelvin
    assert profile.to_data()["temperature"].endswith(" K")
    assert DeviceProfile.from_data(profile.to_data()) == profile


def test_room_temperature_unless_given() -> None:
    assert DeviceProfile.from_data({"name": "x", "conductance": {"max": "25 uS"}}).temperature == 300


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        ({"temperature": 300}, "temperature: needs a number and its unit as text (got 300)"),
        ({"temperature": "300"}, "temperature: the unit is missing"),
        ({"temperature": "80 degF"}, "temperature: 'degF' is no unit of temperature: K or degC"),
        ({"temperature": "0 K"}, "temperature: must lie above absolute zero"),
        ({"temperature": "1e999 K"}, "temperature: must lie above absolute zero and be finite"),
        ({"temperature": {"each": ["300 K", "-274 degC"]}}, "temperature.each.1: must lie above absolute zero"),
        ({"read_noise": {**THERMAL, "read_voltage": "0 V"}}, "read_noise.0.read_voltage: "),
        ({"read_noise": {**THERMAL, "read_voltage": "-1 V"}}, "read_noise.0.read_voltage: must not be below"),
        ({"read_noise": {**SHOT, "integration_time": "0 s"}}, "read_noise.0.integration_time: "),
        ({"read_noise": {**SHOT, "fano": -1.0}}, "read_noise.0.fano: "),
        ({"read_noise": {"kind": "saturating", "sigma": "1 %", "knee": "1 uS"}}, "read_noise.0.sigma: '%' is not a"),
        ({"read_noise": {"kind": "saturating", "sigma": "1 uS", "knee": "0 uS"}}, "read_noise.0.knee: "),
    ],
)
def test_settings_that_would_not_hold_are_refused(parts: dict[str, Any], fault: str) -> None:
    with pytest.raises(ProfileError) as caught:
        DeviceProfile.from_data({"name": "x", "conductance": {"max": "25 uS"}, **parts})
    assert str(caught.value).splitlines()[1].startswith(f"  - {fault}")
