"""The device profiles of a scenario: the chip's, those of single layers, and the axes in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from analogsim.chip.layers import per_layer
from analogsim.study.chip_section import ChipSection, LayerSection
from device_models import DeviceProfile, ProfileError
from device_models.compose import merge
from device_models.profile import profile_data


class Resolved(NamedTuple):
    """What a chip section's profiles come to.

    Attributes:
        profile: the chip's, in full.
        layers: by a layer's number from 0: a profile in full, or overrides over the chip's.
        faults: each with its path.
        pulsed: whether the devices of all layers take pulses.
    """

    profile: dict[str, Any]
    layers: dict[int, LayerSection]
    faults: list[str]
    pulsed: bool


def resolve_profiles(chip: Mapping[str, Any], depth: int | None, folder: Path | None) -> Resolved:
    """Look profiles up, lay overrides over them and judge them.

    Overrides of a layer without a profile of its own stay overrides, so that an axis of the chip's profile remains one
    axis for all layers that have it.

    Args:
        chip: the section as written; what has not the form of a section is passed over.
        depth: number of layers, if known.
        folder: of the scenario's file, from which paths start; what is not there may be in the working directory.
    """
    found: list[str] = []
    profile, overrides = chip.get("profile"), chip.get("overrides")
    base: dict[str, Any] = {}
    if isinstance(profile, str | Mapping):
        try:
            base = _in_full(profile, overrides, folder)
        except ProfileError as error:
            found += _told(error, "chip.profile")
    layers: dict[int, LayerSection] = {}
    sections = chip.get("layers")
    for key, section in sections.items() if isinstance(sections, Mapping) else ():
        where = f"chip.layers.{key}"
        if not _is_whole(key):
            continue
        if depth is not None and not -depth <= int(key) < depth:
            found.append(f"{where}: there is no such layer; layers are numbered 0 to {depth - 1}, or -1 from the last")
            continue
        index = int(key) % depth if depth else int(key)
        if index in layers:
            found.append(f"{where}: layer {index} is given twice; keep one of the two")
        elif isinstance(section, Mapping):
            try:
                layers[index] = _layer(section, base, folder)
            except ProfileError as error:
                found += _told(error, f"{where}.profile")
    pulsed = False
    if base and depth and not found:
        profiles = profiles_of(ChipSection(profile=base, layers=layers), depth)
        pulsed = all(each.update is not None for each in profiles)
        try:
            per_layer(profiles, depth)
        except ProfileError as error:
            found.append(f"chip.layers: {error}")
    return Resolved(base, layers, found, pulsed)


def _is_whole(key: Any) -> bool:
    return isinstance(key, int | str) and not isinstance(key, bool) and str(key).removeprefix("-").isdecimal()


def _layer(section: Mapping[str, Any], base: Mapping[str, Any], folder: Path | None) -> LayerSection:
    profile, overrides = section.get("profile"), section.get("overrides")
    if isinstance(profile, str | Mapping):
        return LayerSection(profile=_in_full(profile, overrides, folder))
    overrides = overrides if isinstance(overrides, Mapping) else {}
    if base:
        _in_full(base, overrides, folder)
    return LayerSection(overrides=dict(overrides))


def _in_full(profile: str | Mapping[str, Any], overrides: Any, folder: Path | None) -> dict[str, Any]:
    if isinstance(profile, str) and profile.endswith((".yaml", ".yml")):
        beside = (folder or Path()) / profile
        profile = str(beside) if beside.exists() else profile
    overrides = overrides if isinstance(overrides, Mapping) else {}
    if "extends" in overrides:
        raise ProfileError("overrides cannot extend a profile; `profile: {extends: ..., ...}` can")
    return DeviceProfile.from_data(merge(profile_data(profile, folder), overrides)).to_data()


def _told(error: ProfileError, path: str) -> list[str]:
    """The faults in a message, each with its path: of a title and its faults, or of a single sentence."""
    first, *more = str(error).split("\n")
    return [f"{path}.{line.removeprefix('  - ')}" for line in more] or [f"{path}: {first}"]


def profiles_of(
    section: ChipSection, depth: int, values: Mapping[str, Sequence[Any]] | None = None
) -> tuple[DeviceProfile, ...]:
    """The profile of each layer; layers with the same one share the object.

    Args:
        section: resolved.
        depth: number of layers.
        values: of each axis, one per chip; None: leave axes as they are.
    """
    values = values or {}
    assert isinstance(section.profile, dict)
    base = _expand(section.profile, "chip.profile", values)
    shared = DeviceProfile.from_data(base)
    result = []
    for index in range(depth):
        layer = section.layers.get(index)
        where = f"chip.layers.{index}"
        if layer is None:
            result.append(shared)
        elif layer.profile is not None:
            result.append(DeviceProfile.from_data(_expand(layer.profile, f"{where}.profile", values)))
        else:
            overrides = _expand(layer.overrides, f"{where}.overrides", values)
            result.append(DeviceProfile.from_data(merge(base, overrides)))
    return tuple(result)


def axes_of(section: ChipSection) -> dict[str, Sequence[Any]]:
    """Every `{each: [...]}` of a resolved section's profiles: path -> its values."""
    found = dict(_axes(section.profile, "chip.profile"))
    for index, layer in section.layers.items():
        found |= _axes(layer.profile, f"chip.layers.{index}.profile")
        found |= _axes(layer.overrides, f"chip.layers.{index}.overrides")
    return found


def _axes(data: Any, path: str) -> Iterator[tuple[str, Sequence[Any]]]:
    entries: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(data, Mapping):
        if set(data) == {"each"}:
            yield path, data["each"]
            return
        entries = iter(data.items())
    elif isinstance(data, list):
        entries = iter(enumerate(data))
    for key, value in entries:
        yield from _axes(value, f"{path}.{key}")


def _expand(data: Any, path: str, values: Mapping[str, Sequence[Any]]) -> Any:
    """Plain data with every axis replaced by one value per chip."""
    if path in values and isinstance(data, Mapping) and set(data) == {"each"}:
        return {"each": list(values[path])}
    if isinstance(data, Mapping):
        return {key: _expand(value, f"{path}.{key}", values) for key, value in data.items()}
    if isinstance(data, list):
        return [_expand(value, f"{path}.{index}", values) for index, value in enumerate(data)]
    return data
