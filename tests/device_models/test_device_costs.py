"""Costs: sums by hand, what is refused, and published figures of a chip as a whole."""

from __future__ import annotations

import math
from typing import Any

import pytest

from device_models import Costs, DeviceProfile, Operations, ProfileError, load_profile, preset_names
from device_models.flicker_noise import FlickerNoise
from device_models.summary import summary

PRICES: dict[str, Any] = {
    "dac": {"time": "10 ns", "energy": "2 pJ"},
    "array": {"time": "100 ns", "energy": "3 fJ"},
    "adc": {"time": "1 ns", "energy": "5 pJ", "shared_by": 4},
    "write": {"time": "50 ns", "energy": "7 pJ", "parallel": "device"},
    "verify": {"time": "120 ns", "energy": "11 pJ"},
    "digital": {"rate": "1 GHz", "energy": "13 fJ"},
    "broadcast": {"time": "20 ns", "energy": "17 pJ"},
    "standby": "1 mW",
}
COUNTED = Operations(dac=2, array=1000, adc=3, writes=4, verify=5, digital=600, broadcasts=7)
CELL: dict[str, Any] = {"name": "cell", "conductance": {"max": "25 uS"}}


def _costs(**changes: dict[str, Any]) -> Costs:
    """Prices, with changes of entries."""
    entries = {name: {**PRICES[name], **change} for name, change in changes.items()}
    return Costs.model_validate({**PRICES, **entries})


def _profile(costs: Any = PRICES, **settings: Any) -> DeviceProfile:
    return DeviceProfile.from_data({**CELL, "costs": costs, **settings})


def test_energy_is_the_sum_over_counted_operations() -> None:
    parts = _costs().by_part(COUNTED)
    picojoules = {"dac": 4, "array": 3, "adc": 15, "writes": 28, "verify": 55, "digital": 7.8, "broadcasts": 119}
    assert parts == pytest.approx({name: value * 1e-12 for name, value in picojoules.items()}, rel=1e-12)
    assert tuple(parts) == Operations._fields
    assert _costs().energy(COUNTED) == pytest.approx(231.8e-12, rel=1e-12)
    assert _costs().energy(Operations()) == 0


@pytest.mark.parametrize("name", Operations._fields)
def test_each_operation_has_the_price_of_its_entry(name: str) -> None:
    entry = {"writes": "write", "broadcasts": "broadcast"}.get(name, name)
    one = Operations(**{name: 1.0})
    assert _costs().energy(one) == getattr(_costs(), entry).energy
    assert _costs(**{entry: {"energy": "0 J"}}).energy(COUNTED) < _costs().energy(COUNTED)


def test_operations_add_up() -> None:
    both = COUNTED.plus(Operations(dac=0.5, broadcasts=1))
    assert both == Operations(dac=2.5, array=1000, adc=3, writes=4, verify=5, digital=600, broadcasts=8)
    assert COUNTED.plus(COUNTED) == COUNTED.times(2)
    assert COUNTED.times(0.5).digital == 300
    assert COUNTED.times(0) == Operations()
    energy = _costs().energy
    assert energy(both) == pytest.approx(energy(COUNTED) + energy(Operations(dac=0.5, broadcasts=1)), rel=1e-12)


def test_costs_survive_being_written_out() -> None:
    assert Costs.model_validate(_costs().model_dump(mode="json")) == _costs()
    assert _costs().model_dump(mode="json") == PRICES


@pytest.mark.parametrize(
    ("costs", "faults"),
    [
        ({}, [f"costs.{name}: is missing" for name in PRICES if name != "standby"]),
        ({**PRICES, "dca": {}}, ["costs.dca: unknown key"]),
        ({**PRICES, "dac": "2 pJ"}, ["costs.dac: must be a mapping of settings (got '2 pJ')"]),
        ({**PRICES, "dac": {"time": "1 ns"}}, ["costs.dac.energy: is missing"]),
        ({**PRICES, "dac": {"time": 1e-9, "energy": "1 eV"}}, ["costs.dac.time: needs a number and its unit"]),
        ({**PRICES, "dac": {"time": "1 pJ", "energy": "1 s"}},
         ["costs.dac.time: 'pJ' is not a unit of this quantity", "costs.dac.energy: 's' is not a unit"]),
        ({**PRICES, "adc": {**PRICES["adc"], "shared_by": 0}}, ["costs.adc.shared_by: must not be below 1: "]),
        ({**PRICES, "adc": {**PRICES["adc"], "shared_by": 1.5}}, ["costs.adc.shared_by: must be an integer"]),
        ({**PRICES, "write": {**PRICES["write"], "parallel": "tile"}},
         ["costs.write.parallel: not a known choice (got 'tile'); choose 'row' or 'device'"]),
        ({**PRICES, "standby": "1 mJ"}, ["costs.standby: 'mJ' is not a unit of this quantity"]),
        # slips of a unit
        ({**PRICES, "dac": {"time": "10 s", "energy": "2 J"}},
         ["costs.dac.time: must not be above 1 s: ", "costs.dac.energy: must not be above 1 J: "]),
        ({**PRICES, "verify": {"time": "10 ns", "energy": "2 mJ"}}, ["costs.verify.energy: must not be above 1 uJ: "]),
        ({**PRICES, "array": {"time": "100 s", "energy": "3 mJ"}},
         ["costs.array.time: must not be above 1 s: ", "costs.array.energy: must not be above 1 uJ: "]),
        ({**PRICES, "array": {"time": "0 s", "energy": "3 fJ"}}, ["costs.array.time: must not be below 100 ps: "]),
        ({**PRICES, "write": {"time": "1 fs", "energy": "7 mJ"}},
         ["costs.write.time: must not be below 1 ps: ", "costs.write.energy: must not be above 1 mJ: "]),
        ({**PRICES, "digital": {"rate": "1 Hz", "energy": "1 mJ"}},
         ["costs.digital.rate: must not be below 1 kHz: ", "costs.digital.energy: must not be above 1 uJ: "]),
        ({**PRICES, "standby": "2 kW"}, ["costs.standby: must not be above 1 kW: "]),
    ],
)  # fmt: skip
def test_costs_that_none_can_have_are_refused_with_the_reason(costs: Any, faults: list[str]) -> None:
    with pytest.raises(ProfileError) as caught:
        _profile(costs)
    lines = str(caught.value).splitlines()[1:]
    assert len(lines) == len(faults)
    for line, fault in zip(lines, faults, strict=True):
        assert line.startswith(f"  - {fault}")


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_read_for_as_long_as_their_noise_was(name: str) -> None:
    profile = load_profile(name)
    lasting = [noise.t_r for noise in profile.read_noise if isinstance(noise, FlickerNoise)]
    assert profile.costs is None or all(t_r == profile.costs.array.time for t_r in lasting)


def test_changing_one_price_leaves_the_others() -> None:
    profile = DeviceProfile.from_data({"extends": "noisy", "costs": {"write": {"energy": "2 pJ"}}})
    base = load_profile("noisy").costs
    assert profile.costs is not None
    assert base is not None
    assert profile.costs.write.energy == 2e-12
    assert profile.costs.write.time == base.write.time
    assert profile.costs.array == base.array


def test_a_summary_tells_prices_and_what_a_read_takes() -> None:
    told = [row.text for row in summary(_profile()) if row.about == "costs"]
    assert told == [
        "DAC: 10 ns, 2 pJ a row",
        "array: 100 ns, 3 fJ a device",
        "ADC: 1 ns, 5 pJ a column; one for 4 columns",
        "write: 50 ns, 7 pJ a pulse of a device; device by device",
        "verify: 120 ns, 11 pJ a device",
        "digital: 1 GHz, 13 fJ an operation",
        "broadcast: 20 ns, 17 pJ a loss",
        "standby: 1 mW",
        "a read of 256 x 256 weights: 114 ns, 2.19 nJ",  # 256 (2 + 5) pJ + 131072 x 3 fJ
    ]


# Published figures, from the sources


def _product(name: str, side: int) -> tuple[float, float]:
    """Seconds and joules of a read of side x side weights in pairs."""
    costs = load_profile(name).costs
    assert costs is not None
    lasts = costs.dac.time + costs.array.time + min(side, costs.adc.shared_by) * costs.adc.time
    return lasts, costs.energy(Operations(dac=side, array=2 * side**2, adc=side))


def test_products_of_hermes_take_what_was_measured() -> None:
    seconds, joules = _product("pcm-hermes", 256)
    operations = 2 * 256**2
    assert 64 * operations / seconds / 1e12 == pytest.approx(16.1, rel=0.01)  # TOPS of 64 cores, four phases
    assert operations / joules / 1e12 == pytest.approx(2.48, rel=0.01)  # TOPS/W


def test_reads_of_the_generic_array_are_those_of_isaac() -> None:
    costs = load_profile("noisy").costs
    assert costs is not None
    assert costs.adc.time == pytest.approx(1 / 1.28e9, rel=1e-12)
    assert costs.adc.energy / costs.adc.time == pytest.approx(16e-3 / 8, rel=1e-12)  # 16 mW for 8 ADCs
    assert costs.adc.shared_by * costs.adc.time == pytest.approx(costs.array.time, rel=1e-12)
    assert costs.array.energy * 8 * 128**2 / costs.array.time == pytest.approx(2.4e-3, rel=1e-3)
    assert costs.dac.energy / 8 * 8 * 128 / costs.array.time == pytest.approx(4e-3, rel=1e-12)
    assert costs.digital.energy == pytest.approx((3.7e-12 + 0.9e-12) / 2, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "volts", "g", "seconds"),
    [("pcm", 0.1, 2.5e-6, 250e-9), ("reram", 0.1, 4e-6, 100e-9), ("reram-cmo-hfox", 0.1, 48.6e-6, 1e-6),
     ("pcm-one-sided", 0.1, 2e-6, 100e-9), ("constant-step", 0.1, 12.5e-6, 80e-9), ("ecram", 0.1, 12.5e-6, 100e-9),
     ("capacitor", 0.1, 12.5e-6, 100e-9), ("reram-array-om", 0.1, 12.5e-6, 100e-9),
     ("reram-soft-bounds", 0.1, 12.5e-6, 100e-9), ("sonos", 0.1, 1.6e-6, 100e-9)],
)  # fmt: skip
def test_reads_of_a_device_take_what_the_assumption_comes_to(name: str, volts: float, g: float, seconds: float) -> None:
    costs = load_profile(name).costs
    assert costs is not None
    assert costs.array.time == seconds
    assert math.isclose(costs.array.energy, volts**2 * g * seconds, rel_tol=1e-3)
