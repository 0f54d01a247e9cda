"""Every figure of every description: it has limits with a reason, and its documentation names its unit."""

from __future__ import annotations

import importlib
import math
import pkgutil
import re
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

import annotated_types
import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

import device_models
from device_models import DeviceProfile, ProfileError
from device_models.effect import Description
from device_models.limits import Limit
from device_models.units import Each, in_base_units

UNIT = re.compile(
    r"\b(no unit|siemens|seconds|percent|ohms?|bits|kelvin|volts?|electronvolts?|eV|joules?|watts?|hertz|units? of|"
    r"in ADC steps)\b"
)


class Number(NamedTuple):
    """A number that a field holds: its type and what annotates it."""

    type: type
    metadata: tuple[Any, ...]

    @property
    def limits(self) -> list[Limit]:
        return [each for each in self.metadata if isinstance(each, Limit)]

    @property
    def bounded(self) -> bool:
        plain = [m for each in self.metadata for m in (each.metadata if isinstance(each, FieldInfo) else [each])]
        low = any(isinstance(m, annotated_types.Ge | annotated_types.Gt) for m in plain)
        high = any(isinstance(m, annotated_types.Le | annotated_types.Lt) for m in plain)
        return bool(self.limits) or (low and high)

    @property
    def adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(Annotated[(self.type, *self.metadata)])


def _descriptions(kind: type[Description] = Description) -> Iterator[type[Description]]:
    for each in kind.__subclasses__():
        if each.__module__.startswith("device_models."):
            yield each
        yield from _descriptions(each)


for _module in pkgutil.iter_modules(device_models.__path__):
    importlib.import_module(f"device_models.{_module.name}")
ALL = sorted(set(_descriptions()), key=lambda each: each.__name__)


def _numbers(annotation: Any, metadata: tuple[Any, ...] = ()) -> Iterator[Number]:
    if annotation in (int, float):
        yield Number(annotation, metadata)
        return
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *own = get_args(annotation)
        yield from _numbers(inner, (*own, *metadata))
    elif origin in (Union, UnionType, tuple, list):
        for part in get_args(annotation):
            if get_origin(part) is not Each:
                yield from _numbers(part, metadata)


def _of(field: FieldInfo) -> list[Number]:
    return list(_numbers(Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation))


FIELDS = [
    pytest.param(kind, name, number, id=f"{kind.__name__}.{name}")
    for kind in ALL
    for name, field in kind.model_fields.items()
    if name in kind.__annotations__  # what it inherits is seen where it is declared
    for number in _of(field)
]


def test_the_walk_finds_every_kind_of_number() -> None:
    found = {param.id for param in FIELDS}
    expected = {
        "ConductanceRange.max",  # a quantity
        "ADC.bits",  # an integer
        "ConstantDrift.mean",  # one per chip
        "PolynomialProgramming.coefficients",  # several
        "FlickerNoise.q",  # optional
        "ClippedLog.until",
        "Timing.pass_time",
        "Wires.bit_line",  # optional and one per chip
        "PulsedUpdate.cycle_to_cycle",
    }
    assert expected <= found
    assert len(found) > 70


@pytest.mark.parametrize(("kind", "name", "number"), FIELDS)
def test_a_number_has_limits_and_says_its_unit(kind: type[Description], name: str, number: Number) -> None:
    field = kind.model_fields[name]
    assert number.bounded, "give it a Limit, with the reason"
    assert field.description, "give it a docstring"
    assert UNIT.search(" ".join(field.description.split())), f"name the unit: {field.description}"
    for limit in number.limits:
        assert len(limit.why.split()) > 2, "say why"
        assert not limit.why.endswith(".")


def _beyond(limit: Limit, high: bool, number: Number) -> Any:
    end = limit.high if high else limit.low
    if not isinstance(end, str):
        return number.type(end + (1 if high else -1) * max(1.0, abs(end)))
    text, unit = end.split()
    value = float(text)
    outward = value * 2 if high or value < 0 else value / 2 if value > 0 else -1
    return f"{outward:g} {unit}"


@pytest.mark.parametrize(("kind", "name", "number"), FIELDS)
def test_what_lies_beyond_a_limit_is_refused_with_the_reason(
    kind: type[Description], name: str, number: Number
) -> None:
    for high in (False, True):
        reasons = [limit.why for limit in number.limits]
        for limit in number.limits:
            beyond = _beyond(limit, high, number)
            with pytest.raises(ValidationError) as caught:
                number.adapter.validate_python(beyond)
            message = str(caught.value)
            assert re.search(r"must (not )?be (above|below) \S+( \S+)?: ", message)
            assert any(why in message for why in reasons)
            assert f"(got {beyond!r})" in message


@pytest.mark.parametrize(("kind", "name", "number"), FIELDS)
def test_defaults_lie_within(kind: type[Description], name: str, number: Number) -> None:
    default = kind.model_fields[name].default
    for limit in number.limits:
        low, high = (in_base_units(end) if isinstance(end, str) else end for end in (limit.low, limit.high))
        assert low < high
        if isinstance(default, int | float) and not isinstance(default, bool):
            limit.check(default, default)


@pytest.mark.parametrize(
    ("limit", "inside", "outside", "text"),
    [
        (Limit(0, 1, "so"), (0, 0.5, 1), (-0.1, math.nan), "must not be below 0: so"),
        (Limit(0, 1, "so"), (), (1.1,), "must not be above 1: so"),
        (Limit(0, 1, "so", above=True), (0.1, 1), (0,), "must be above 0: so"),
        (Limit(0, 1, "so", below=True), (0, 0.9), (1,), "must be below 1: so"),
        (Limit("1 ns", "2 h", "so"), (1e-9, 7200.0), (0.9e-9,), "must not be below 1 ns: so"),
        (Limit("1 ns", "2 h", "so"), (), (7201.0,), "must not be above 2 h: so"),
        (Limit("0 %", "40 %", "so"), (0, 0.4), (0.41,), "must not be above 40 %: so"),
        (Limit("1 pS", "1 S", "so"), (1e-12, 1.0), (0.0,), "must not be below 1 pS: so"),
    ],
)
def test_a_limit(limit: Limit, inside: tuple[float, ...], outside: tuple[float, ...], text: str) -> None:
    for number in inside:
        limit.check(number, number)
    for number in outside:
        with pytest.raises(ValueError, match=re.escape(text)):
            limit.check(number, number)


def test_limits_reach_the_json_schema() -> None:
    drift = DeviceProfile.model_json_schema()["$defs"]["ConstantDrift"]["properties"]["mean"]
    one, each = drift["anyOf"]
    assert (one["minimum"], one["maximum"]) == (0, 1)
    assert each["properties"]["each"]["items"] == one
    duty = DeviceProfile.model_json_schema()["$defs"]["TelegraphNoise"]["properties"]["duty"]
    assert (duty["exclusiveMinimum"], duty["exclusiveMaximum"]) == (0, 1)


# Settings that contradict each other

FLICKER = {"kind": "flicker", "q": 0.01, "t_r": "250 ns", "t0": "20 s"}


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"granularity": "26 uS"}, "granularity: must not be above the range of a device, 25 uS"),
        ({"conductance": {"min": "5 uS", "max": "25 uS"}, "granularity": "21 uS"}, "granularity: must not be above"),
        ({"programming": {"kind": "constant", "sigma": {"each": ["1 uS", "26 uS"]}}}, "programming.sigma: must not be"),
        ({"read_noise": FLICKER, "timing": {"pass_time": "200 ns"}}, "timing.pass_time: must not be below read_noise"),
        ({"timing": {"pass_time": "2 ms"}}, "timing: step_time must not be below pass_time"),
        ({"references": [{"what": "dirft", "note": "x"}]}, "references.0.what: no setting is called 'dirft'"),
    ],
)  # fmt: skip
def test_contradictions_are_refused_with_their_reason(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ProfileError) as caught:
        DeviceProfile.from_data({"name": "x", "conductance": {"max": "25 uS"}, **settings})
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(f"  - {fault}")


def test_contradictions_stand_in_one_message() -> None:
    settings = {"granularity": "26 uS", "programming": {"kind": "constant", "sigma": "26 uS"}}
    with pytest.raises(ProfileError) as caught:
        DeviceProfile.from_data({"name": "x", "conductance": {"max": "25 uS"}, **settings})
    assert [line[:16] for line in str(caught.value).splitlines()[1:]] == ["  - granularity:", "  - programming."]


@pytest.mark.parametrize(
    "settings",
    [
        {"granularity": "25 uS"},
        {"programming": {"kind": "constant", "sigma": "25 uS"}},
        {"read_noise": FLICKER, "timing": {"pass_time": "250 ns"}},
        {"dac": {"bits": 2, "range": 1e-6}, "adc": {"bits": 16, "range": 1e6}},
    ],
)
def test_extremes_that_do_not_contradict_each_other_are_taken(settings: dict[str, Any]) -> None:
    DeviceProfile.from_data({"name": "x", "conductance": {"max": "25 uS"}, **settings})


def test_quantities_beyond_are_written_as_they_came() -> None:
    with pytest.raises(ProfileError, match=r"conductance\.max: must not be above 1 S: .* \(got '2 S'\)"):
        DeviceProfile.from_data({"name": "x", "conductance": {"max": "2 S"}})
