"""Quantities with units: what is written is what is read, and nothing is guessed."""

from __future__ import annotations

import math
import random

import pytest
from pydantic import TypeAdapter, ValidationError

from device_models.units import (
    Conductance,
    Each,
    Factor,
    PerChip,
    Resistance,
    Share,
    SignedConductance,
    Time,
    format_quantity,
    parse_quantity,
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


def test_a_coefficient_may_be_negative_and_a_factor_may_not() -> None:
    assert TypeAdapter(SignedConductance).validate_python("-1.1731 uS") == -1.1731e-6
    for value in (-0.1, math.inf, math.nan, "1 uS"):
        with pytest.raises(ValidationError):
            TypeAdapter(Factor).validate_python(value)
