"""Quantities with units at the border: text in YAML, SI floats inside.

| type          | written in YAML    | inside                                      |
|---------------|--------------------|---------------------------------------------|
| `Conductance` | `25 uS`            | float, siemens                              |
| `SignedConductance` | `-1.2 uS`    | float, siemens: a coefficient of a law      |
| `Share`       | `1 %`              | float, 0.01                                 |
| `Time`        | `20 s`, `250 ns`, `1 h`, `1 day` | float, seconds                |
| `Resistance`  | `1 ohm`, `2.2 kohm`| float, ohms                                 |
| `Temperature` | `300 K`, `85 degC` | float, kelvin                               |
| `Energy`      | `1.1 eV`           | float, joules: of a bond                    |
| `Work`        | `1.5 pJ`           | float, joules: what an operation takes      |
| `Power`       | `1 mW`             | float, watts                                |
| `Frequency`   | `1 GHz`            | float, hertz: operations in a second        |
| `Voltage`     | `0.2 V`            | float, volts                                |
| `Factor`      | `1.5`              | float, not negative, no unit                |
| `SignedFactor` | `-0.5`            | float, of either sign, no unit              |

`PerChip[T]` additionally admits `{each: [a, b, ...]}`: one value for each chip of a population.
A value is written back so that reading it again gives the same float, bit for bit.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic_core import core_schema

from device_models.limits import Limit

T = TypeVar("T")

_NUMBER = re.compile(r"^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*$")


@dataclass(frozen=True)
class Each(Generic[T]):
    """One value per chip; in YAML `{each: [...]}`."""

    values: tuple[T, ...]


def _choose(value: Any) -> str:
    return "per-chip" if isinstance(value, Each) or (isinstance(value, dict) and "each" in value) else "one"


if TYPE_CHECKING:
    PerChip = T | Each[T]
else:

    class PerChip:
        """`PerChip[T]`: a T for all chips, or `Each[T]`: one for each chip."""

        def __class_getitem__(cls, item: Any) -> Any:
            return Annotated[item | Each[item], _PerChipSchema(item)]


@dataclass(frozen=True)
class _PerChipSchema:
    item: Any

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        item = handler.generate_schema(self.item)
        field = core_schema.typed_dict_field(core_schema.list_schema(item, min_length=1))
        fields = core_schema.typed_dict_schema({"each": field}, extra_behavior="forbid")
        each = core_schema.no_info_after_validator_function(
            lambda value: Each(tuple(value["each"])),
            fields,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: {"each": list(value.values)}, return_schema=fields
            ),
        )
        return core_schema.tagged_union_schema({"one": item, "per-chip": each}, discriminator=_choose)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        values = handler(core_schema.list_schema(schema["choices"]["one"], min_length=1))  # with the item's own rules
        item = values["items"]
        each = {"type": "object", "properties": {"each": values}, "required": ["each"], "additionalProperties": False}
        return {"anyOf": [item, each]}


def values(value: T | Each[T]) -> tuple[T, ...]:
    """All values that a per-chip parameter takes."""
    return value.values if isinstance(value, Each) else (value,)


UNION_TAGS = ("one", "per-chip")


def split_quantity(text: str) -> tuple[Decimal, str]:
    """`"25 uS"` -> (Decimal(25), "uS"). Raises ValueError where there is no number in front."""
    match = _NUMBER.match(text)
    if match is None:
        raise ValueError(f"not a number with a unit (got {text!r})")
    return Decimal(match[1]), match[2]


_PREFIXES_OF_SI = ("a", "f", "p", "n", "u", "m", "", "k", "M", "G", "T", "P", "E")
_POWERS: dict[str, int] = dict(zip(_PREFIXES_OF_SI, range(-18, 21, 3), strict=True))
"""Of ten, by prefix."""
_TIMES = {"min": 60, "h": 3600, "day": 86400, "days": 86400, "year": 31557600, "years": 31557600}
_COHERENT = ("S", "s", "ohm", "J", "W", "Hz", "V", "K")
"""Units that are 1 in the base units of the SI."""


def _common(unit: str, si: str) -> Decimal | None:
    """Nearly every profile is written in such units, and that is no reason to load all units there are."""
    if si == "s" and unit in _TIMES:
        return Decimal(_TIMES[unit])
    power = _POWERS.get(unit.removesuffix(si)) if unit.endswith(si) else None
    return None if power is None else Decimal(f"{float(f'1e{power}'):.14g}")


@cache
def _factor(unit: str, si: str) -> Decimal:
    if (factor := _common(unit, si)) is not None:
        return factor
    import pint

    registry = _registry()
    try:
        return Decimal(f"{registry.Quantity(1.0, unit).to(si).magnitude:.14g}")
    except pint.DimensionalityError:
        raise ValueError(f"{unit!r} is not a unit of this quantity") from None
    except Exception:
        raise ValueError(f"{unit!r} is not a known unit") from None


def unit_factor(unit: str, si: str) -> float:
    """What one `unit` is in `si`: 1e-6 for uS in S. Raises ValueError where it is no unit of that quantity."""
    return float(_factor(unit, si))


@cache
def _registry() -> Any:
    import pint

    return pint.UnitRegistry(cache_folder=None)


def parse_quantity(value: Any, si: str, example: str) -> float:
    """Text with a unit -> float in SI units; a bare number is refused, as its unit would be a guess."""
    if isinstance(value, bool) or not isinstance(value, str):
        raise ValueError(f"needs a number and its unit as text (got {value!r}); for example {example!r}")
    number, unit = split_quantity(value)
    if not unit:
        raise ValueError(f"the unit is missing (got {value!r}); for example {example!r}")
    if si == "%":
        if unit != "%":
            raise ValueError(f"{unit!r} is not a unit of this quantity (got {value!r}); for example {example!r}")
        result = float(number / 100)
    else:
        try:
            result = float(number * _factor(unit, si))
        except ValueError as error:
            raise ValueError(f"{error} (got {value!r}); for example {example!r}") from None
    if not math.isfinite(result):
        raise ValueError(f"must be finite (got {value!r}); for example {example!r}")
    return result


def format_quantity(value: float, si: str, nice: str) -> str:
    """SI float -> text that `parse_quantity` turns back into the same float; `nice` is a decimal multiple of `si`."""
    number = Decimal(repr(value)) / (Decimal("0.01") if si == "%" else _factor(nice, si))  # a shift by powers of ten
    if number == number.to_integral_value() and abs(number) < 1e6:
        return f"{number:.0f} {nice}"
    return f"{number:f} {nice}" if 1e-4 <= abs(number) < 1e6 else f"{number:e} {nice}"


_PREFIXES = {
    "s": ("f", "p", "n", "u", "m", ""),
    "J": ("a", "f", "p", "n", "u", "m", ""),
    "W": ("p", "n", "u", "m", "", "k"),
    "Hz": ("", "k", "M", "G", "T", "P"),
}
"""Of quantities that span many powers of ten, smallest first."""


def format_prefixed(value: float, si: str, digits: int = 17) -> str:
    """`format_quantity` in the largest unit that is not above the value: 1e-7 s -> `100 ns`; 0 has no prefix.

    Args:
        value: in `si`.
        si: s, J, W or Hz.
        digits: significant ones; with 17 the same float is read back.
    """
    value = float(f"{value:.{digits}g}")
    fitting = [prefix for prefix in _PREFIXES[si] if abs(value) >= unit_factor(f"{prefix}{si}", si)]
    prefix = fitting[-1] if fitting else _PREFIXES[si][0] if value else ""
    return format_quantity(value, si, f"{prefix}{si}")


def in_base_units(text: str) -> float:
    """A quantity of any kind in SI units; shares as fractions of 1."""
    number, unit = split_quantity(text)
    if unit == "%":
        return float(number / 100)
    if factor := next((each for si in _COHERENT if (each := _common(unit, si)) is not None), None):
        return float(number * factor)
    return float(f"{_registry().Quantity(float(number), unit).to_base_units().magnitude:.14g}")


def _parse_temperature(value: Any) -> float:
    """Kelvin, or degrees Celsius: a scale with a zero of its own, which no factor converts."""
    example = "300 K"
    if not isinstance(value, str):
        raise ValueError(f"needs a number and its unit as text (got {value!r}); for example {example!r}")
    number, unit = split_quantity(value)
    if not unit:
        raise ValueError(f"the unit is missing (got {value!r}); for example {example!r}")
    if unit not in ("K", "degC"):
        raise ValueError(f"{unit!r} is no unit of temperature: K or degC (got {value!r}); for example {example!r}")
    kelvin = float(number if unit == "K" else number + Decimal("273.15"))
    if not 0 < kelvin < math.inf:
        raise ValueError(f"must lie above absolute zero and be finite (got {value!r}); for example {example!r}")
    return kelvin


def _format_kelvin(value: float) -> str:
    return format_quantity(float(value), "K", "K")


def _quantity(si: str, nice: str | None, example: str, limit: Limit, description: str) -> Any:
    """A quantity in `si`, written in the unit `nice`, or with the prefix that suits the value."""

    def written(value: Any) -> str:
        return format_prefixed(float(value), si) if nice is None else format_quantity(float(value), si, nice)

    return Annotated[
        float,
        BeforeValidator(lambda value: parse_quantity(value, si, example)),
        limit,
        PlainSerializer(written, return_type=str),
        WithJsonSchema({"type": "string", "description": description, "examples": [example]}),
    ]


if TYPE_CHECKING:
    Conductance = float
    SignedConductance = float
    Share = float
    Time = float
    Resistance = float
    Temperature = float
    Energy = float
    Work = float
    Power = float
    Frequency = float
    Voltage = float
    Factor = float
    SignedFactor = float
else:
    _CONDUCTANCE = Limit("0 uS", "1 S", "no conductance is negative, and no memory device carries more than 1 S")
    _COEFFICIENT = Limit("-1 S", "1 S", "no memory device carries more than 1 S, so no spread of one needs more")
    _SHARE = Limit("0 %", "100 %", "it is a share of a whole")
    _TIME = Limit("0 s", "1000 years", "no time is negative, and no device was watched for longer")
    _RESISTANCE = Limit("0 ohm", "1 Tohm", "no resistance is negative, and beyond 1 Tohm nothing conducts")
    _TEMPERATURE = Limit("0.001 K", "1687 K", "nothing is colder on a chip, and silicon melts there")
    _ENERGY = Limit("0 eV", "20 eV", "no energy is negative here, and no bond in a solid takes more than 20 eV")
    _WORK = Limit("0 J", "1 J", "no energy is negative here, and no single operation of a chip takes a joule")
    _POWER = Limit("0 W", "10 kW", "no power is negative here, and nothing cools a chip that takes 10 kW")
    _FREQUENCY = Limit(
        "0 Hz", "1 EHz", "a rate is not zero, and nothing on a chip happens 1e18 times a second", above=True
    )
    _VOLTAGE = Limit("0 V", "100 V", "it is a magnitude, and no memory device stands more than 100 V")
    _FACTOR = Limit(0, 1e15, "a factor is not negative, and beyond 1e15 an exponent has slipped")
    _SIGNED = Limit(-1e15, 1e15, "beyond 1e15 an exponent has slipped")
    Conductance = _quantity("S", "uS", "25 uS", _CONDUCTANCE, "a conductance with its unit")
    SignedConductance = _quantity("S", "uS", "-1.2 uS", _COEFFICIENT, "a conductance with its unit, of either sign")
    Share = _quantity("%", "%", "1 %", _SHARE, "a share in percent")
    Time = _quantity("s", None, "20 s", _TIME, "a time with its unit")
    Resistance = _quantity("ohm", "ohm", "1 ohm", _RESISTANCE, "a resistance with its unit")
    Temperature = Annotated[
        float,
        BeforeValidator(_parse_temperature),
        _TEMPERATURE,
        PlainSerializer(_format_kelvin, return_type=str),
        WithJsonSchema({"type": "string", "description": "a temperature in K or degC", "examples": ["300 K"]}),
    ]
    Energy = _quantity("J", "eV", "1.1 eV", _ENERGY, "an energy with its unit")
    Work = _quantity("J", None, "1.5 pJ", _WORK, "an energy with its unit")
    Power = _quantity("W", None, "1 mW", _POWER, "a power with its unit")
    Frequency = _quantity("Hz", None, "1 GHz", _FREQUENCY, "a rate with its unit")
    Voltage = _quantity("V", "V", "0.2 V", _VOLTAGE, "a voltage with its unit")
    Factor = Annotated[float, Field(allow_inf_nan=False), _FACTOR]
    SignedFactor = Annotated[float, Field(allow_inf_nan=False), _SIGNED]
