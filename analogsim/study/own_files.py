"""Files that a scenario names, device profiles and traces, by paths that hold whatever folder one starts from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_KEYS = ("profile", "extends", "trace")


def with_absolute_paths(data: Any, folder: Path | None) -> Any:
    """Plain data, of a scenario or of a part of one, in which relative paths of files that are there are absolute.

    Args:
        data: as `read_scenario` gives it; keys may be dotted paths.
        folder: that relative paths start from; None: the working directory.
    """
    if isinstance(data, Mapping):
        return {key: with_absolute_path(str(key), value, folder) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [with_absolute_paths(each, folder) for each in data]
    return data


def with_absolute_path(path: str, value: Any, folder: Path | None) -> Any:
    """The same of one setting, by its dotted path."""
    key = path.rsplit(".", 1)[-1]
    if not isinstance(value, str) or key not in _KEYS:
        return with_absolute_paths(value, folder)
    if key != "trace" and not value.endswith((".yaml", ".yml")):  # a packaged profile, by its name
        return value
    places = [(folder or Path()) / value]
    if key == "profile":  # as where profiles are resolved
        places.append(Path(value))
    return next((os.path.abspath(place) for place in places if place.exists()), value)
