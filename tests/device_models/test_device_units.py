"""Quantities with units: what is written is what is read, and nothing is guessed."""

from __future__ import annotations

import math
import random
from typing import Any

import pint
import pytest
from pydantic import TypeAdapter, ValidationError

from device_models.units import (
    Conductance,
    Each,
    Factor,
    Frequency,
    PerChip,
    Power,
    Resistance,
    Share,
    SignedConductance,
    Time,
    Work,
    format_prefixed,
    format_quantity,
    in_base_units,
    parse_quantity,
    unit_factor,
)

CONDUCTANCE = TypeAdapter(Conductance)
SHARE = TypeAdapter(Share)
SHARES = TypeAdapter(PerChip[Share])


@pytest.mark.parametrize(("si", "nice"), [("S", "uS"), ("S", "S"), ("S", "nS"), ("%", "%"), ("s", "s"), ("ohm", "ohm")])
def test_a_float_survives_writing_and_reading_bit_for_bit(si: str, nice: str) -> None:
    numbers = random.Random(1)
    values = [math.ldexp(numbers.random(), -numbers.randrange(60)) for _ in range(3000)]
    values += [numbers.randrange(1, 10**6) * 10.0 ** -numbers.randrange(15) for _ in range(1000)]
    for value in [*values, 0.0, 1.0, 1e-300, 5e-324, 1e300]:
        assert parse_quantity(format_quantity(value, si, nice), si, "1") == value


@pytest.mark.parametrize("si", ["S", "s", "ohm", "J", "W", "Hz", "V", "K"])
def test_common_units_mean_what_pint_says(si: str) -> None:
    registry = pint.UnitRegistry(cache_folder=None)
    units = [prefix + si for prefix in ("a", "f", "p", "n", "u", "m", "", "k", "M", "G", "T", "P", "E")]
    for unit in [*units, *(("min", "h", "day", "days", "year", "years") if si == "s" else ())]:
        assert f"{unit_factor(unit, si):.14g}" == f"{registry.Quantity(1.0, unit).to(si).magnitude:.14g}", unit
        base = registry.Quantity(2.5, unit).to_base_units().magnitude
        assert f"{in_base_units(f'2.5 {unit}'):.14g}" == f"{base:.14g}", unit


@pytest.mark.parametrize("si", ["s", "J", "W", "Hz"])
def test_a_float_survives_writing_with_a_prefix_bit_for_bit(si: str) -> None:
    numbers = random.Random(1)
    values = [math.ldexp(numbers.random(), numbers.randrange(-60, 60)) for _ in range(3000)]
    values += [numbers.randrange(1, 10**6) * 10.0 ** numbers.randrange(-18, 15) for _ in range(1000)]
    for value in [*values, 0.0, 1.0, 1e-300, 5e-324, 1e300]:
        assert parse_quantity(format_prefixed(value, si), si, "1") == value


@pytest.mark.parametrize(
    ("value", "si", "text"),
    [
        (1e-7, "s", "100 ns"),
        (1e-9, "s", "1 ns"),
        (0.999e-9, "s", "999 ps"),
        (1.28e-3, "s", "1.28 ms"),
        (1.0, "s", "1 s"),
        (86400.0, "s", "86400 s"),
        (0.0, "s", "0 s"),
        (1e-16, "s", "0.1 fs"),
        (1 / 1.28e9, "s", "781.25 ps"),
        (1.83e-15, "J", "1.83 fJ"),
        (2e-18, "J", "2 aJ"),
        (0.0, "J", "0 J"),
        (1e-2, "W", "10 mW"),
        (2500.0, "W", "2.5 kW"),
        (1e9, "Hz", "1 GHz"),
        (50.0, "Hz", "50 Hz"),
        (0.5, "Hz", "0.5 Hz"),
    ],
)
def test_a_prefix_suits_its_value(value: float, si: str, text: str) -> None:
    assert format_prefixed(value, si) == text


def test_as_many_digits_are_written_as_are_wanted() -> None:
    assert format_prefixed(1.23456e-9, "s", 3) == "1.23 ns"
    assert format_prefixed(0.99996e-9, "s", 3) == "1 ns"


@pytest.mark.parametrize(
    ("text", "siemens"),
    [
        ("25 uS", 25e-6),
        ("25uS", 25e-6),
        ("  25   µS ", 25e-6),
        ("0.025 mS", 25e-6),
        ("2.5e-5 S", 25e-6),
        ("+25 microsiemens", 25e-6),
        (".5 nS", 5e-10),
        ("3. pS", 3e-12),
        ("0 uS", 0.0),
        ("40 1/megaohm", 40e-6),
    ],
)
def test_conductances_are_read_in_siemens(text: str, siemens: float) -> None:
    assert CONDUCTANCE.validate_python(text) == siemens


@pytest.mark.parametrize(("text", "share"), [("1 %", 0.01), ("1%", 0.01), ("0.25 %", 0.0025), ("100 %", 1.0)])
def test_shares_are_read_in_percent(text: str, share: float) -> None:
    assert SHARE.validate_python(text) == share


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("25", "the unit is missing"),
        (25, "needs a number and its unit"),
        (25e-6, "needs a number and its unit"),
        (True, "needs a number and its unit"),
        (None, "needs a number and its unit"),
        (["25 uS"], "needs a number and its unit"),
        ("25 us", "not a unit of this quantity"),
        ("25 m", "not a unit of this quantity"),
        ("25 %", "not a unit of this quantity"),
        ("25 kohm", "not a unit of this quantity"),
        ("25 quux", "not a known unit"),
        ("25 2 uS", "not a known unit"),
        ("uS", "not a number with a unit"),
        ("", "not a number with a unit"),
        ("nan uS", "not a number with a unit"),
        ("inf uS", "not a number with a unit"),
        ("1e999 uS", "must be finite"),
        ("-1 uS", "must not be below 0 uS"),
        ("-1e-9 uS", "must not be below 0 uS"),
        ("2 S", "must not be above"),
    ],
)
def test_a_conductance_that_is_none_is_refused(value: object, what: str) -> None:
    with pytest.raises(ValidationError, match=what) as caught:
        CONDUCTANCE.validate_python(value)
    assert repr(value) in str(caught.value), "the message must show what it got"


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("1", "the unit is missing"),
        (0.01, "needs a number and its unit"),
        ("1 uS", "not a unit of this quantity"),
        ("1 %%", "not a unit of this quantity"),
        ("nan %", "not a number with a unit"),
        ("1e400 %", "must be finite"),
        ("-1 %", "must not be below 0 %"),
        ("100.1 %", "must not be above 100 %"),
    ],
)
def test_a_share_that_is_none_is_refused(value: object, what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        SHARE.validate_python(value)


def test_one_value_per_chip_is_read_and_written() -> None:
    value = SHARES.validate_python({"each": ["0 %", "1 %", "0.3 %"]})
    assert value == Each((0.0, 0.01, 0.003))
    assert SHARES.validate_python(SHARES.dump_python(value, mode="json")) == value
    assert SHARES.validate_python(SHARES.dump_python(0.007, mode="json")) == 0.007


@pytest.mark.parametrize("value", [{"each": []}, {"each": "1 %"}, {"each": ["1 %"], "more": 1}, {"all": ["1 %"]}])
def test_a_malformed_each_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        SHARES.validate_python(value)


def test_a_fault_in_each_names_its_chip() -> None:
    with pytest.raises(ValidationError) as caught:
        SHARES.validate_python({"each": ["1 %", "2", "3 %", "4 uS"]})
    assert [error["loc"][-1] for error in caught.value.errors()] == [1, 3]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20 s", 20.0),
        ("250 ns", 250e-9),
        ("1 us", 1e-6),
        ("1.5 ms", 1.5e-3),
        ("2 min", 120.0),
        ("1 h", 3600.0),
        ("1 day", 86_400.0),
        ("2 days", 172_800.0),
        ("1 week", 604_800.0),
        ("0 s", 0.0),
    ],
)
def test_times_are_read_in_seconds(text: str, seconds: float) -> None:
    time = TypeAdapter(Time)
    assert time.validate_python(text) == seconds
    assert time.validate_python(time.dump_python(seconds, mode="json")) == seconds


@pytest.mark.parametrize("value", [20, "20", "20 S", "20 uS", "-1 s", "1 Hz"])
def test_a_time_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Time).validate_python(value)


@pytest.mark.parametrize(
    ("text", "ohms"), [("1 ohm", 1.0), ("0.35 Ω", 0.35), ("2.2 kohm", 2200.0), ("50 milliohm", 0.05), ("0 ohm", 0.0)]
)
def test_resistances_are_read_in_ohms(text: str, ohms: float) -> None:
    resistance = TypeAdapter(Resistance)
    assert resistance.validate_python(text) == ohms
    assert resistance.validate_python(resistance.dump_python(ohms, mode="json")) == ohms


@pytest.mark.parametrize("value", [1, "1", "1 S", "1 uS", "-1 ohm", "1 V", "1 %", "inf ohm"])
def test_a_resistance_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Resistance).validate_python(value)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Work, "1.5 pJ", 1.5e-12),
        (Work, "20 fJ", 2e-14),
        (Work, "0 J", 0.0),
        (Work, "1 eV", 1.602176634e-19),
        (Power, "1 mW", 1e-3),
        (Power, "65.8 W", 65.8),
        (Power, "0 W", 0.0),
        (Frequency, "1 GHz", 1e9),
        (Frequency, "1.28 GHz", 1.28e9),
        (Frequency, "50 1/s", 50.0),
    ],
)
def test_energies_powers_and_rates_are_read_in_si_units(kind: Any, text: str, value: float) -> None:
    adapter = TypeAdapter(kind)
    assert adapter.validate_python(text) == value
    assert adapter.validate_python(adapter.dump_python(value, mode="json")) == value


@pytest.mark.parametrize(
    ("kind", "value", "what"),
    [
        (Work, 1e-12, "needs a number and its unit as text .*for example '1.5 pJ'"),
        (Work, "1", "the unit is missing"),
        (Work, "1 W", "not a unit of this quantity"),
        (Work, "-1 pJ", "must not be below 0 J"),
        (Work, "2 J", "must not be above 1 J"),
        (Work, "nan J", "not a number with a unit"),
        (Power, "1 J", "not a unit of this quantity"),
        (Power, "-1 mW", "must not be below 0 W"),
        (Power, "11 kW", "must not be above 10 kW"),
        (Frequency, "1 s", "not a unit of this quantity"),
        (Frequency, "0 Hz", "must be above 0 Hz"),
        (Frequency, "2 EHz", "must not be above 1 EHz"),
    ],
)
def test_an_energy_a_power_or_a_rate_that_is_none_is_refused(kind: Any, value: object, what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        TypeAdapter(kind).validate_python(value)


def test_a_coefficient_may_be_negative_and_a_factor_may_not() -> None:
    assert TypeAdapter(SignedConductance).validate_python("-1.1731 uS") == -1.1731e-6
    for value in (-0.1, math.inf, math.nan, "1 uS"):
        with pytest.raises(ValidationError):
            TypeAdapter(Factor).validate_python(value)
