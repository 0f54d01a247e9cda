"""Scenarios as text: those that come with the package, and files. Nothing here loads torch."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from analogsim.errors import ScenarioError


def scenario_names() -> list[str]:
    """Names of the packaged scenarios, those of papers last: `quickstart`, `papers/dalm-fig5`."""
    return [*_names_in(_folder()), *(f"papers/{name}" for name in _names_in(_folder() / "papers"))]


def scenario_text(name_or_path: str) -> tuple[str, str]:
    """(YAML, what to call it) of a packaged scenario by its name, or of a file by its path.

    Raises:
        ScenarioError: there is none.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        try:
            return path.read_text(encoding="utf-8"), name_or_path
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "the file is not UTF-8 text"
            raise ScenarioError(f"{path}: cannot be read: {reason}") from None
    if name_or_path not in scenario_names():
        raise ScenarioError(
            f"no scenario is called {name_or_path!r}; there are {', '.join(scenario_names())}. "
            "A file of your own is given by its path, which ends in .yaml"
        )
    return (_folder() / f"{name_or_path}.yaml").read_text(encoding="utf-8"), f"scenario {name_or_path}"


def descriptions() -> dict[str, str]:
    """What each packaged scenario says of itself, by its name, as it stands in its file."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return {name: yaml.load(scenario_text(name)[0], loader)["description"] for name in scenario_names()}


def _names_in(folder: Any) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def _folder() -> Any:  # a Traversable, whose module differs between Python versions
    return resources.files("analogsim.scenarios")
