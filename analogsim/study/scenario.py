"""Reading scenarios: from YAML with overrides to a resolved one, and from axes to the chips of a population."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from analogsim.errors import ScenarioError
from analogsim.study.schema import ArmBase, Scenario
from device_models import DeviceProfile, ProfileError
from device_models._yaml import load_yaml, read_yaml
from device_models.errors import bulleted, faults
from device_models.profile import merge, preset_data
from device_models.units import UNION_TAGS, Each


def scenario_names() -> list[str]:
    """Names of the packaged scenarios."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _folder().iterdir() if entry.name.endswith(".yaml"))


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


def _folder() -> Any:  # a Traversable, whose module differs between Python versions
    return resources.files("analogsim.scenarios")


def load_scenario(name_or_path: str, settings: Sequence[str] = (), quick: bool = False) -> Scenario:
    """Read, override, validate and resolve a scenario.

    Args:
        name_or_path: see `scenario_text`.
        settings: overrides, each `dotted.path=value` with the value in YAML.
        quick: put the scenario's `quick` settings in place first.

    Returns:
        The scenario with its device profile in full and nothing left to look up.

    Raises:
        ScenarioError: listing every fault with its path.
    """
    text, where = scenario_text(name_or_path)
    try:
        data = load_yaml(text, where)
    except ProfileError as error:
        raise ScenarioError(str(error)) from None
    if not isinstance(data, dict):
        what = "is empty" if data is None else f"is a {type(data).__name__}"
        raise ScenarioError(f"{where}: must be a mapping of sections such as name, data, network, chip ({what})")
    if quick:
        for path, value in _quick_settings(data, where):
            _put(data, path, value)
    for setting in settings:
        path, value = _parse_setting(setting)
        _put(data, path, value)
    return resolve(data, where)


def resolve(data: Mapping[str, Any], where: str) -> Scenario:
    """Validate plain data and put the device profile in full into it; see `load_scenario`."""
    found: list[str] = []
    scenario: Scenario | None = None
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        found += faults(error, _as_written)
    chip = data.get("chip")
    profile: dict[str, Any] = {}
    if isinstance(chip, Mapping) and isinstance(chip.get("profile"), str | Mapping):
        overrides = chip.get("overrides")
        try:
            profile = _profile_data(chip["profile"], overrides if isinstance(overrides, Mapping) else {})
        except ProfileError as error:
            first, *more = str(error).split("\n")  # a title and its faults, or a single sentence
            found += [f"chip.profile.{line.removeprefix('  - ')}" for line in more] or [f"chip.profile: {first}"]
    if scenario is not None and profile:
        found += dict.fromkeys(_impossible_writes(scenario, takes_pulses=profile.get("update") is not None))
    if found or scenario is None:
        raise ScenarioError(bulleted(f"{where} cannot be used:", found))
    section = scenario.chip.model_copy(update={"profile": profile, "overrides": {}})
    return scenario.model_copy(update={"chip": section, "quick": {}})


def _impossible_writes(scenario: Scenario, takes_pulses: bool) -> Iterator[str]:
    """Faults of arms whose optimiser writes by pulses."""
    for name, arm in scenario.arms.items():
        where, optimizer = (f"arms.{name}.optimizer", arm.optimizer) if arm.optimizer else ("train.optimizer", None)
        writing = (optimizer or scenario.train.optimizer).writing
        if writing != "absolute" and not takes_pulses:
            yield (
                f"{where}: {writing} writes by pulses, but the device profile has no `update`; take a profile with "
                "one, or an optimiser such as adam, whose writes are absolute"
            )
        if writing == "in_memory" and arm.weight_normalisation is not None:
            yield f"arms.{name}.weight_normalisation: cannot be kept by pulses; leave it out, or take mixed_precision"


def _as_written(loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The path of a fault without the tags of unions; an arm's is the name of its rule, after the arm's own."""
    if loc[:1] == ("arms",):
        loc = (*loc[:2], *loc[3:])
    return tuple(part for part in loc if part not in UNION_TAGS)


def _profile_data(profile: str | Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(profile, str):
        base = dict(profile)
    elif profile.endswith((".yaml", ".yml")):
        base = read_yaml(Path(profile))
    else:
        base = preset_data(profile)
    if not isinstance(base, Mapping):
        raise ProfileError(f"{profile}: must be a mapping of settings (got {type(base).__name__})")
    return DeviceProfile.from_data(merge(base, overrides)).to_data()


def _quick_settings(data: Mapping[str, Any], where: str) -> Iterator[tuple[list[str], Any]]:
    quick = data.get("quick") or {}
    if not isinstance(quick, Mapping):
        raise ScenarioError(f"{where}: quick: must map dotted paths to values (got {quick!r})")
    for path, value in quick.items():
        yield str(path).split("."), value


def _parse_setting(setting: str) -> tuple[list[str], Any]:
    path, separator, text = setting.partition("=")
    if not separator or not path:
        raise ScenarioError(f"--set {setting}: must be path=value, for example --set train.epochs=5")
    try:
        return path.split("."), load_yaml(text, f"--set {path}")
    except ProfileError as error:
        raise ScenarioError(str(error)) from None


def _put(data: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set a value by its path; mappings on the way that are not there are made, and judged by validation later."""
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
            if last:
                here[key] = value
            else:
                if here.get(key) is None:
                    here[key] = {}
                here = here[key]
        else:
            raise ScenarioError(f"{'.'.join(path)}: {'.'.join(path[:depth])} is a single value ({here!r}), no mapping")


def to_data(scenario: Scenario) -> dict[str, Any]:
    """The resolved scenario as plain data with every default written out; running it repeats the run."""
    data = scenario.model_dump(mode="json", exclude_none=True, exclude={"arms", "quick"})
    data["chip"].pop("overrides")
    data["arms"] = {}
    for name, arm in scenario.arms.items():
        entry = {"rule": arm.rule, **arm.build_rule().model_dump(mode="json")}
        for key in ("decorrelation", "weight_normalisation", "optimizer"):
            if getattr(arm, key) is not None:
                entry[key] = getattr(arm, key).model_dump(mode="json", exclude_none=True)
        if arm.later_steps:
            entry["later_steps"] = arm.later_steps
        if arm.family is not None:
            entry["family"] = arm.family
        if arm.oracle:
            entry["oracle"] = list(arm.oracle)
        data["arms"][name] = entry
    return data


@dataclass(frozen=True)
class Population:
    """The chips of an arm, laid out on the axes of the scenario.

    Every list has one entry per chip. Chips of different points that have the same number and seed meet the same random
    numbers, so points are compared in pairs.

    Attributes:
        ids, seeds: number and seed.
        coordinates: place on the axes.
        rates: learning rate.
        profile: with one value per chip in place of each axis.
    """

    ids: list[int]
    seeds: list[int]
    coordinates: list[dict[str, Any]]
    rates: list[float]
    profile: DeviceProfile


def lay_out(scenario: Scenario, arm: ArmBase) -> Population:
    """The chips of an arm: for each point on the axes, first axis slowest, the scenario's chips.

    Raises:
        ScenarioError: `only` names a chip that is not in the population.
    """
    optimizer = arm.optimizer or scenario.train.optimizer
    axes: dict[str, Sequence[Any]] = {}
    if isinstance(scenario.seed, Each):
        axes["seed"] = scenario.seed.values
    assert isinstance(scenario.chip.profile, dict)
    axes |= {f"chip.profile.{path}": values for path, values in _axes(scenario.chip.profile)}
    if isinstance(optimizer.lr, Each):
        axes["lr"] = optimizer.lr.values
    numbers = scenario.chip.only if scenario.chip.only is not None else range(scenario.chip.population)
    if max(numbers) >= scenario.chip.population:
        raise ScenarioError(
            f"chip.only: there is no chip {max(numbers)} in a population of {scenario.chip.population}; "
            f"chips are numbered from 0"
        )
    points = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    places = [{**point, "chip": number} for point in points for number in numbers]
    profile = DeviceProfile.from_data(
        _expand(scenario.chip.profile, "chip.profile", {path: [place[path] for place in places] for path in axes})
    )
    return Population(
        ids=[place["chip"] for place in places],
        seeds=[place.get("seed", scenario.seed) for place in places],
        coordinates=places,
        rates=[place.get("lr", optimizer.lr) for place in places],
        profile=profile,
    )


def _axes(data: Any, path: str = "") -> Iterator[tuple[str, Sequence[Any]]]:
    """Every `{each: [...]}` in plain data, with its path."""
    entries: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(data, Mapping):
        if set(data) == {"each"}:
            yield path, data["each"]
            return
        entries = iter(data.items())
    elif isinstance(data, list):
        entries = iter(enumerate(data))
    for key, value in entries:
        yield from _axes(value, f"{path}.{key}" if path else str(key))


def _expand(data: Any, path: str, values: Mapping[str, Sequence[Any]]) -> Any:
    """Plain data with every axis replaced by one value per chip."""
    if path in values:
        return {"each": list(values[path])}
    if isinstance(data, Mapping):
        return {key: _expand(value, f"{path}.{key}", values) for key, value in data.items()}
    if isinstance(data, list):
        return [_expand(value, f"{path}.{index}", values) for index, value in enumerate(data)]
    return data
