"""Limits: how far a figure may go, and why.

`Annotated[Factor, Limit(0, 1, "why")]` refuses what lies beyond with a message that names the limit and the reason.
Limits are there to catch figures that no device can have (a slip of a unit or an exponent), not unlikely ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema


@dataclass(frozen=True)
class Limit:
    """A range that a number must lie in, both ends included.

    Attributes:
        low, high: the ends: numbers, or text with a unit.
        why: completes "must not be above 1: ...".
        above: the lower end itself is refused too.
        below: the upper end itself is refused too.
    """

    low: float | str
    high: float | str
    why: str
    above: bool = False
    below: bool = False

    def check(self, number: float, got: Any) -> None:
        """Refuse a number in SI units.

        Raises:
            ValueError: it lies beyond an end.
        """
        low, high = _number(self.low), _number(self.high)
        if not (number > low if self.above else number >= low):
            what = f"must {'be above' if self.above else 'not be below'} {_text(self.low)}"
        elif not (number < high if self.below else number <= high):
            what = f"must {'be below' if self.below else 'not be above'} {_text(self.high)}"
        else:
            return
        raise ValueError(f"{what}: {self.why} (got {got!r})")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        def check(value: Any, inner: core_schema.ValidatorFunctionWrapHandler) -> Any:
            number = inner(value)
            self.check(number, value)
            return number

        return core_schema.no_info_wrap_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        result = handler(schema)
        if result.get("type") in ("number", "integer"):
            result["exclusiveMinimum" if self.above else "minimum"] = self.low
            result["exclusiveMaximum" if self.below else "maximum"] = self.high
        return result


@cache
def _number(end: float | str) -> float:
    """An end in SI units."""
    from device_models.units import in_base_units

    return in_base_units(end) if isinstance(end, str) else float(end)


def _text(end: float | str) -> str:
    return end if isinstance(end, str) else f"{end:g}"


SCALE = Limit(0, 1000, "1 is the published device, and a thousand times its figure is another device's")
LAW_BEGINS = Limit("1 ns", "1 year", "it is when, after a write, the devices were first measured")
KNEE = Limit("1 fS", "1 S", "a spread saturates somewhere within the conductances of devices")
READ_LASTS = Limit("1 ps", "1 s", "it is the duration of one read of a device")
CORRELATION_TIME = Limit("1 ps", "1000 years", "nothing in a device is faster, and nothing slower is seen")
"""Limits that several effects share."""
