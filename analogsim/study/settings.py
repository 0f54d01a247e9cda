"""Settings by dotted path: `train.epochs=5`, laid over the plain data of a scenario."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analogsim.errors import ScenarioError
from device_models import ProfileError
from device_models._yaml import load_yaml


def quick_settings(data: Mapping[str, Any], where: str) -> Iterator[tuple[list[str], Any]]:
    """What a scenario has under `quick`, each with its path.

    Raises:
        ScenarioError: it is no mapping.
    """
    quick = data.get("quick") or {}
    if not isinstance(quick, Mapping):
        raise ScenarioError(f"{where}: quick: must map dotted paths to values (got {quick!r})")
    for path, value in quick.items():
        yield str(path).split("."), value


def parse_setting(setting: str) -> tuple[list[str], Any]:
    """The path and the value of `dotted.path=value`, with the value in YAML.

    Raises:
        ScenarioError: it is none.
    """
    path, separator, text = setting.partition("=")
    if not separator or not path:
        raise ScenarioError(f"--set {setting}: must be path=value, for example --set train.epochs=5")
    try:
        return path.split("."), load_yaml(text, f"--set {path}")
    except ProfileError as error:
        raise ScenarioError(str(error)) from None


def put(data: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set a value by its path; mappings on the way that are not there are made, and judged by validation later.

    Raises:
        ScenarioError: the path leads through a single value, or to no place of a list.
    """
    here: Any = data
    for depth, key in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(here, list):
            if not key.isdigit() or int(key) >= len(here):
                where = ".".join(path[:depth])
                raise ScenarioError(f"{'.'.join(path)}: {where} is a list of {len(here)}; {key!r} is not a place in it")
            if last:
                here[int(key)] = value
            else:
                here = here[int(key)]
        elif isinstance(here, dict):
            key = next((known for known in here if str(known) == key), key)  # a layer's number is no text in YAML
            if last:
                here[key] = value
            else:
                if here.get(key) is None:
                    here[key] = {}
                here = here[key]
        else:
            raise ScenarioError(f"{'.'.join(path)}: {'.'.join(path[:depth])} is a single value ({here!r}), no mapping")
