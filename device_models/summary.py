"""What a person wants to know first of a profile: its figures at a few conductances, and where each comes from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from device_models.bibliography import bibtex
from device_models.costs import Operations
from device_models.device import Device
from device_models.profile import DeviceProfile
from device_models.pulsed_update import PulsedUpdate
from device_models.read_noise import ReadNoise
from device_models.relaxation import LogarithmicRelaxation, SpreadRelaxation
from device_models.slow_noise import SlowNoise
from device_models.units import format_prefixed, values

_LEVELS = (0.0, 0.05, 0.2, 0.5, 1.0)  # of the range
_SIDE = 256  # rows and columns of a tile whose read is priced
_HOUR, _DAY = 3600.0, 86400.0
_ABOUT = ("name", "description", "references")
_FIRST = (*_ABOUT, "conductance")


class Row(NamedTuple):
    """A line of a summary: what it is about, what is to be said, and values at each of the `levels`, if any."""

    about: str
    text: str
    values: tuple[str, ...] = ()


def summary(profile: DeviceProfile) -> list[Row]:
    """What the devices, the amplifiers and the converters are, setting by setting; what is absent is left out.

    Where a figure is `{each: [...]}`, the first of its values is taken, and a row says so.
    """
    axes: list[str] = []
    one = DeviceProfile.from_data(_first(profile.to_data(), "", axes))
    device = one.build(1, torch.device("cpu"), torch.float64)
    rows = [Row("conductance", _range(one))]
    for name in type(one).model_fields:
        value = getattr(one, name)
        if name == "timing" or (name not in _FIRST and value != type(one).model_fields[name].default):
            rows += _SPECIAL.get(name, _settings)(one, device, name)
    return rows + [Row("several values", f"{axis}; the first is shown here") for axis in axes]


def sources(profile: DeviceProfile) -> list[Row]:
    """Where the figures come from: settings -> work or remark."""
    return [Row(_words(entry.what), entry.source) for entry in profile.references if not entry.assumed]


def assumptions(profile: DeviceProfile) -> list[Row]:
    """What nobody measured, and settings that no reference names."""
    rows = [
        Row(_words(entry.what), entry.note.split(":", 1)[-1].strip() if ":" in entry.note else entry.note)
        for entry in profile.references
        if entry.assumed
    ]
    fields = type(profile).model_fields
    given = [name for name in fields if name not in _ABOUT and getattr(profile, name) != fields[name].default]
    about = {path.split(".")[0] for entry in profile.references for path in entry.settings}
    silent = [name for name in given if name not in about]
    if silent and all(entry.what for entry in profile.references):
        rows.append(Row(_words(", ".join(silent)), "no source is given"))
    return rows


def citation(profile: DeviceProfile) -> str:
    """BibTeX of the works that the profile's figures come from; empty where there is none."""
    return bibtex(entry.cite for entry in profile.references if entry.cite)


def _words(what: str) -> str:
    return what.replace("_", " ")


def _first(data: Any, path: str, axes: list[str]) -> Any:
    """Plain data with the first value in place of each `{each: [...]}`; what was replaced is told in `axes`."""
    if isinstance(data, Mapping):
        if set(data) == {"each"}:
            axes.append(f"{path} {', '.join(map(str, data['each']))}")
            return data["each"][0]
        return {key: _first(value, f"{path}.{key}" if path else str(key), axes) for key, value in data.items()}
    if isinstance(data, list):
        return [_first(value, f"{path}.{index}", axes) for index, value in enumerate(data)]
    return data


def quantity(value: float, unit: str, digits: int = 3) -> str:
    """A few digits with a prefix: 2.5e-5 S -> `25 uS`."""
    value = float(f"{value:.{digits}g}")
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    prefixes = {-12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M"}
    power = min(6, max(-12, 3 * math.floor(math.log10(abs(value) * (1 + 1e-9)) / 3)))
    return f"{value / 10**power:.{digits}g} {prefixes[power]}{unit}"


def _duration(seconds: float) -> str:
    return quantity(seconds, "s") if seconds < 1000 else f"{seconds:g} s"


def _levels(device: Device) -> Tensor:
    """A few conductances, siemens, (1, 1, n)."""
    shares = torch.tensor(_LEVELS, dtype=torch.float64)
    return (device.g_min + shares * (device.g_max - device.g_min))[None, None]


def _at_levels(about: str, text: str, values: Tensor, show: Callable[[float], str]) -> Row:
    """A figure at each of the levels; one value where all are the same."""
    shown = [show(value) for value in values.expand(1, 1, len(_LEVELS)).flatten().tolist()]
    if len(set(shown)) == 1:
        return Row(about, f"{text}: {shown[0]} at every conductance")
    return Row(about, text, tuple(shown))


def levels(profile: DeviceProfile) -> tuple[str, ...]:
    """The conductances at which the values of rows stand."""
    g = profile.conductance
    return tuple(_siemens(g.min + share * (g.max - g.min)) for share in _LEVELS)


def _siemens(value: float) -> str:
    return quantity(value, "S")


def _range(profile: DeviceProfile) -> str:
    g = profile.conductance
    ratio = f" (on/off {g.max / g.min:.3g})" if g.min > 0 else ""
    return f"{quantity(g.min, 'S', 4)} to {quantity(g.max, 'S', 4)}{ratio}"


def _programming(profile: DeviceProfile, device: Device, name: str) -> Iterator[Row]:
    assert device.programming is not None
    yield _at_levels(name, "sd of a write", device.programming.sigma(_levels(device)), _siemens)


def _drift(profile: DeviceProfile, device: Device, name: str) -> Iterator[Row]:
    assert device.drift is not None
    g = _levels(device)
    nu = device.drift.exponent(g, torch.zeros_like(g))
    spread = device.drift.exponent(g, torch.ones_like(g)) - nu
    left = torch.exp(-nu * math.log(max(1.0, _DAY / device.drift.t0)))
    yield _at_levels(name, f"mean of nu in (t / {_duration(device.drift.t0)})^-nu", nu, lambda value: f"{value:.3g}")
    yield _at_levels(name, "sd of nu", spread, lambda value: f"{value:.2g}")
    yield _at_levels(name, "left after a day", left, lambda value: f"{100 * value:.3g} %")


def _relaxation(profile: DeviceProfile, device: Device, name: str) -> Iterator[Row]:
    g = _levels(device)
    for described, effect in zip(profile.relaxation, device.relaxation, strict=True):
        if not isinstance(described, LogarithmicRelaxation | SpreadRelaxation):
            yield Row(name, ", ".join(_pairs(_changed(described))))
            continue
        far = g + 10 * device.g_max  # from the clamp at 0
        day = torch.full_like(g, _DAY)
        mean, above = (effect.apply(far, far, effect.write(g, [torch.full_like(g, xi)]), day) for xi in (0.0, 1.0))
        if isinstance(described, LogarithmicRelaxation):
            yield _at_levels(name, "shift of the mean after a day", mean - far, _siemens)
        yield _at_levels(name, "sd of what a day adds", above - mean, _siemens)


def _read_noise(profile: DeviceProfile, device: Device, name: str) -> Iterator[Row]:
    about = name.replace("_", " ")
    for described, noise in zip(profile.read_noise, device.read_noise, strict=True):
        g = _levels(device)
        passing = (noise.variance(g, g) * noise.in_a_read).sqrt()
        if noise.in_a_read:
            yield _at_levels(about, f"{described.kind}, sd between passes", passing, _siemens)
        if isinstance(noise.slow, SlowNoise):
            yield _at_levels(about, "sd an hour after the write", _hour(noise, g), _siemens)
        elif noise.slow is not None or not noise.in_a_read:
            yield Row(about, ", ".join(_pairs(_changed(described))))


def _hour(noise: ReadNoise, g: Tensor) -> Tensor:
    """Standard deviation of a read an hour after the write about what was programmed, siemens."""
    assert isinstance(noise.slow, SlowNoise)
    slow = noise.slow.amplitude(g, g).square() * noise.slow.total(torch.full_like(g, _HOUR))
    return (noise.variance(g, g) * noise.in_a_read + slow).sqrt()


def _converter(profile: DeviceProfile, device: Device, name: str) -> Iterator[Row]:
    converter = getattr(profile, name)
    rest = {key: value for key, value in _changed(converter).items() if key not in ("bits", "range")}
    unit = "activations" if name == "dac" else "pre-activations"
    text = f"{converter.bits} bits, range calibrated"
    if converter.range != "calibrated":
        text = f"{converter.bits} bits, +-{converter.range:g} in units of the {unit}, step {converter.step:.3g}"
    yield Row(name.upper(), ", ".join([text, *_pairs(rest)]))


def _timing(profile: DeviceProfile, device: Device, name: str) -> Iterator[Row]:
    timing = profile.timing
    yield Row(name, f"a pass every {_duration(timing.pass_time)}; slow is what outlives {_duration(timing.step_time)}")


def _update(profile: DeviceProfile, device: Device, name: str) -> Iterator[Row]:
    yield from _settings(profile, device, name)
    update = profile.update
    assert isinstance(update, PulsedUpdate)
    low, high = update.bounds.low, update.bounds.high
    numbers = torch.zeros((1, update.fabricated, 1, 3), dtype=torch.float64)
    if update.law == "log_normal":  # the device with the mean step is not the median one
        numbers[:, 0] = math.sqrt(math.log1p(max(values(update.device_to_device)) ** 2)) / 2
    response = update.build(device.site, numbers)
    u = torch.tensor([[[low, (low + high) / 2, high]]], dtype=torch.float64)
    for word, up in (("up", True), ("down", False)) if profile.cell == "reference" else (("up", True),):
        steps = ", ".join(f"{abs(step):.3g}" for step in response.step(u, up).flatten().tolist())
        yield Row(name, f"a step {word} at {low:g}, {(low + high) / 2:g}, {high:g}: {steps}")


def _costs(profile: DeviceProfile, device: Device, name: str) -> Iterator[Row]:
    costs = profile.costs
    assert costs is not None
    shared = f"; one for {costs.adc.shared_by} columns" if costs.adc.shared_by > 1 else ""
    at_once = "a row at once" if costs.write.parallel == "row" else "device by device"
    yield Row(name, f"DAC: {_price(costs.dac.time, costs.dac.energy)} a row")
    yield Row(name, f"array: {_price(costs.array.time, costs.array.energy)} a device")
    yield Row(name, f"ADC: {_price(costs.adc.time, costs.adc.energy)} a column{shared}")
    yield Row(name, f"write: {_price(costs.write.time, costs.write.energy)} a pulse of a device; {at_once}")
    yield Row(name, f"verify: {_price(costs.verify.time, costs.verify.energy)} a device")
    rate, energy = format_prefixed(costs.digital.rate, "Hz", 3), format_prefixed(costs.digital.energy, "J", 3)
    yield Row(name, f"digital: {rate}, {energy} an operation")
    yield Row(name, f"broadcast: {_price(costs.broadcast.time, costs.broadcast.energy)} a loss")
    if costs.standby:
        yield Row(name, f"standby: {format_prefixed(costs.standby, 'W', 3)}")
    counted = Operations(dac=_SIDE, array=2 * _SIDE**2, adc=_SIDE)
    lasts = costs.dac.time + costs.array.time + min(_SIDE, costs.adc.shared_by) * costs.adc.time
    yield Row(name, f"a read of {_SIDE} x {_SIDE} weights: {_price(lasts, costs.energy(counted))}")


def _price(seconds: float, joules: float) -> str:
    """`100 ns, 1 pJ`."""
    return f"{format_prefixed(seconds, 's', 3)}, {format_prefixed(joules, 'J', 3)}"


def _settings(profile: DeviceProfile, device: Device, name: str) -> Iterator[Row]:
    """Any setting: what differs from its defaults."""
    value = getattr(profile, name)
    for entry in value if isinstance(value, tuple) else (value,):
        described = hasattr(entry, "model_dump")
        text = ", ".join(_pairs(_changed(entry))) if described else profile.model_dump(mode="json")[name]
        yield Row(name.replace("_", " "), str(text))


def _changed(description: Any) -> dict[str, Any]:
    found = description.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    return {**({"kind": found["kind"]} if "kind" in found else {}), **found}


def _pairs(data: Mapping[str, Any]) -> list[str]:
    """`a 1`, `b c 2`: settings in one line."""
    found = []
    for key, value in data.items():
        inner = (
            [f"{key} {each}" for each in _pairs(value)] if isinstance(value, Mapping) else [f"{key} {_shown(value)}"]
        )
        found += inner
    return [text.replace("_", " ") for text in found]


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


_SPECIAL: dict[str, Callable[[DeviceProfile, Device, str], Iterator[Row]]] = {
    "programming": _programming,
    "drift": _drift,
    "relaxation": _relaxation,
    "read_noise": _read_noise,
    "dac": _converter,
    "adc": _converter,
    "timing": _timing,
    "update": _update,
    "costs": _costs,
}
"""Settings of which figures are worked out; of all others what is set is told."""
