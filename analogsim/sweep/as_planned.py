"""The scenario of a study as it was planned, to be kept in the study's folder and planned again from there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analogsim.study.own_files import with_absolute_path, with_absolute_paths
from analogsim.sweep.axes import label


def as_planned(data: Mapping[str, Any], section: Mapping[str, Any], folder: Path | None) -> dict[str, Any]:
    """Plain data of a scenario with the section `sweep` that was planned, relative paths made absolute.

    Args:
        data: of the scenario, as it was given.
        section: what was planned, as plain data.
        folder: that relative paths start from; None: the working directory.
    """
    axes = {name: _places(name, places, folder) for name, places in (section.get("axes") or {}).items()}
    others = {key: value for key, value in section.items() if key != "axes"}
    sweep = {**({"axes": axes} if axes else {}), **with_absolute_paths(others, folder)}
    return {**with_absolute_paths({**data, "sweep": None}, folder), "sweep": sweep}


def _places(name: str, places: Any, folder: Path | None) -> Any:
    """Places of an axis. Where paths among them change, places keep their names, and with them the plan its places."""
    if isinstance(places, Mapping):
        return with_absolute_paths(places, folder)
    moved = [with_absolute_path(name, place, folder) for place in places]
    if moved == list(places):
        return moved
    return {label(place): {name: put} for place, put in zip(places, moved, strict=True)}
