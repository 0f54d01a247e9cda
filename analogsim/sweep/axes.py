"""From the section `sweep` to axes: places, what each sets, and the numbers that they are."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analogsim.errors import ScenarioError
from analogsim.outcomes import Drawn
from analogsim.study.sweep_section import Range, Sample, Sweep
from device_models import ProfileError
from device_models._yaml import load_yaml

_SHARED = ("data", "network", "train", "seed", "student_teacher")
_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S*)\s*")


@dataclass(frozen=True)
class Place:
    """One place of an axis.

    Attributes:
        label: as people read it.
        settings: by dotted path, what it puts into the scenario.
    """

    label: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class PlannedAxis:
    """One axis of a study, as it was asked for.

    Attributes:
        name: the path of a setting, or a name of its own.
        places: in the order in which they are shown.
        path: of the one setting that all places differ in; None of bundles of settings.
        numbers, unit: of places that are numbers of one unit; None, empty where they are not.
    """

    name: str
    places: tuple[Place, ...]
    path: str | None
    numbers: tuple[float, ...] | None = field(init=False)
    unit: str = field(init=False)

    def __post_init__(self) -> None:
        numbers, unit = numbers_of([place.label for place in self.places])
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "unit", unit)

    @property
    def paths(self) -> set[str]:
        """Of all settings that its places put in place."""
        return {path for place in self.places for path in place.settings}

    @property
    def shared(self) -> bool:
        """Whether it is of the data, the network, the training or the seed, so that the reference has it too."""
        return is_shared(self.paths)

    @property
    def arm(self) -> str | None:
        """The arm that it is of, where it is of one alone."""
        owners = {path.split(".")[1] if path.startswith("arms.") else "" for path in self.paths}
        return next(iter(owners)) or None if len(owners) == 1 else None

    @property
    def title(self) -> str:
        """What people call it."""
        return title(self.name)

    @property
    def values(self) -> list[Any]:
        """Of the one setting, at each place."""
        return [next(iter(place.settings.values())) for place in self.places]


def is_shared(paths: Iterable[str]) -> bool:
    """Whether settings are, some of them, of the data, the network, the training or the seed."""
    return any(path.split(".")[0] in _SHARED for path in paths)


def title(name: str) -> str:
    """`chip.overrides.read_noise.0.sigma` -> `read noise sigma`."""
    layer = re.match(r"chip\.layers\.(-?\d+)\.(?:profile|overrides)\.", name)
    short = re.sub(r"^(?:chip\.layers\.-?\d+\.)?(?:chip\.)?(?:profile\.|overrides\.)?", "", name)
    short = re.sub(r"^(?:data|network|train|arms|student_teacher)\.", "", short) or name
    words = [f"layer {layer[1]}"] if layer else []
    return " ".join([*words, *(word for word in short.split(".") if not word.isdigit())]).replace("_", " ")


def label(value: Any) -> str:
    """A value as it is written in a scenario, in one line."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value).lower()


def numbers_of(labels: Sequence[str]) -> tuple[tuple[float, ...] | None, str]:
    """The numbers that labels are, and their unit; (None, "") where they are not numbers of one unit.

    A zero may stand without the unit.
    """
    found = [_NUMBER.fullmatch(each) for each in labels]
    if not all(found):
        return None, ""
    parsed = [(float(match[1]), match[2]) for match in found if match]
    units = {unit for number, unit in parsed if number or unit}
    if len(units) > 1:
        return None, ""
    return tuple(number for number, _ in parsed), next(iter(units), "")


def parse_axis(text: str) -> tuple[str, list[Any]]:
    """The path and the values of `path=v1,v2`, values in YAML.

    Raises:
        ScenarioError: it is none, or has no value.
    """
    path, separator, values = text.partition("=")
    if not separator or not path:
        raise ScenarioError(f"--axis {text}: must be path=value,value, for example --axis chip.profile=pcm,reram")
    try:
        found = load_yaml(f"[{values}]", f"--axis {path}")
    except ProfileError as error:
        raise ScenarioError(str(error)) from None
    if not isinstance(found, list) or not found or any(value is None or value == "" for value in found):
        raise ScenarioError(f"--axis {text}: has an empty place; write for example --axis {path}=v1,v2")
    return path, found


def parse_axes(texts: Iterable[str]) -> dict[str, list[Any]]:
    """The values of several `path=v1,v2`, by path.

    Raises:
        ScenarioError: one is none, or has no value; or a path is given twice.
    """
    axes: dict[str, list[Any]] = {}
    for path, values in map(parse_axis, texts):
        if path in axes:
            places = ",".join(dict.fromkeys(map(label, (*axes[path], *values))))
            raise ScenarioError(f"--axis {path}: is given twice; give all its places at once: --axis {path}={places}")
        axes[path] = values
    return axes


def axes_of_section(section: Sweep, seed: Any) -> list[PlannedAxis]:
    """The axes of a section, without those that are sampled, repeats last.

    Args:
        section: of a scenario.
        seed: of the scenario, from which repeats count.

    Raises:
        ScenarioError: two axes set the same, or repeats meet a scenario with an axis of seeds.
    """
    axes = []
    for name, places in section.axes.items():
        if isinstance(places, dict):
            axes.append(PlannedAxis(name, tuple(Place(str(key), dict(each)) for key, each in places.items()), None))
        else:
            axes.append(PlannedAxis(name, tuple(Place(label(value), {name: value}) for value in places), name))
    if section.seeds > 1:
        if not isinstance(seed, int) or any("seed" in axis.paths for axis in axes):
            raise ScenarioError(
                f"sweep.seeds: repeats count from one seed, but the scenario has an axis of seeds (seed: {seed}); give "
                "one of the two"
            )
        places = tuple(Place(str(each), {"seed": each}) for each in range(seed, seed + section.seeds))
        axes.append(PlannedAxis("seed", places, "seed"))
    for axis in axes:
        _check_places(axis)
    for first, second in itertools.combinations(axes, 2):
        _check_apart(first.name, first.paths, second.name, second.paths)
    drawn = list(section.sample.ranges) if section.sample else []
    for axis in axes:
        _check_apart(axis.name, axis.paths, "the sample", drawn)
    for path, other in itertools.combinations(drawn, 2):
        _check_apart(path, [path], other, [other])
    return axes


def _check_places(axis: PlannedAxis) -> None:
    """Refuse places that would be taken for one another in tables."""
    labels = [place.label for place in axis.places]
    for found in (labels, list(axis.numbers or ())):
        if len(set(found)) < len(found):
            raise ScenarioError(f"sweep.axes.{axis.name}: names each place once (got {', '.join(labels)})")


def _check_apart(first: str, paths: Iterable[str], second: str, others: Iterable[str]) -> None:
    """Refuse two axes of which one sets what the other sets, or what that is a part of."""
    for path, other in itertools.product(paths, others):
        if f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}."):
            raise ScenarioError(
                f"sweep.axes: {first} and {second} both set {max(path, other, key=len)}; an axis has its settings alone"
            )


def sampled(sample: Sample) -> list[dict[str, Any]]:
    """The points of a sample, each by path; numbers have four significant digits.

    Raises:
        ScenarioError: a range is none.
    """
    generator = np.random.default_rng(np.random.SeedSequence(sample.seed))
    n, points = sample.points, []
    columns = {}
    for path, given in sample.ranges.items():
        uniform = generator.random(n)
        if sample.method == "latin_hypercube":
            uniform = (generator.permutation(n) + uniform) / n
        columns[path] = list(_between(f"sweep.sample.ranges.{path}", given, uniform))
    for index in range(n):
        points.append({path: column[index] for path, column in columns.items()})
    return points


def drawn_from(sample: Sample, path: str) -> Drawn:
    """What the plan keeps of the range of a sampled setting.

    Raises:
        ScenarioError: it is none.
    """
    low, high, _ = _ends(f"sweep.sample.ranges.{path}", sample.ranges[path])
    return Drawn(method=sample.method, low=low, high=high, scale=sample.ranges[path].scale)


def _ends(where: str, given: Range) -> tuple[float, float, str]:
    """The lowest and the highest number of a range, and their unit."""
    numbers, unit = numbers_of([label(given.low), label(given.high)])
    if numbers is None:
        raise ScenarioError(f"{where}: from {given.low} to {given.high} are not two numbers of one unit")
    low, high = numbers
    if not low < high or (given.scale == "log" and low <= 0):
        least = "0 < from < to" if given.scale == "log" else "from < to"
        raise ScenarioError(f"{where}: must have {least} (got {given.low} and {given.high})")
    return low, high, unit


def _between(where: str, given: Range, uniform: np.ndarray) -> Iterator[Any]:
    """Numbers of a range at places between 0 and 1."""
    low, high, unit = _ends(where, given)
    for place in uniform:
        if given.integer:
            value: float = low + math.floor(place * (high - low + 1))
        elif given.scale == "log":
            value = math.exp(math.log(low) + place * (math.log(high) - math.log(low)))
        else:
            value = low + place * (high - low)
        number = int(value) if given.integer else float(f"{value:.4g}")
        yield f"{number:g} {unit}" if unit else number
