"""The points of a study: a scenario with the settings of a place on each axis."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analogsim.errors import ScenarioError
from analogsim.study.arm_axes import axes_of_arm
from analogsim.study.kinds import AnyScenario
from analogsim.study.population import size
from analogsim.study.scenario import resolve
from analogsim.study.schema import Scenario
from analogsim.study.settings import put
from analogsim.study.sweep_section import Sweep
from analogsim.sweep.axes import Place, PlannedAxis, label, numbers_of


@dataclass(frozen=True)
class Point:
    """A point of the axes that are not folded.

    Attributes:
        places: by axis, sampled settings included.
        where: what to call it in messages.
        data: plain data of its scenario.
        scenario: the same, resolved, with all arms.
    """

    places: dict[str, Place]
    where: str
    data: dict[str, Any]
    scenario: AnyScenario


class NotFoldableError(Exception):
    """An axis that a population cannot have at some point, though each of its places can be used there.

    Args:
        axis: its name.
    """

    def __init__(self, axis: str) -> None:
        self.axis = axis


@dataclass(frozen=True)
class Asked:
    """The study that is asked for.

    Attributes:
        base: plain data of the scenario, its section `sweep` aside.
        where: what to call it in messages.
        folder: that relative paths in profiles start from.
        section: what is asked.
        axes: of it, without those that are sampled.
        samples: sampled points, each once, by path; empty where nothing is sampled.
    """

    base: dict[str, Any]
    where: str
    folder: Path | None
    section: Sweep
    axes: list[PlannedAxis]
    samples: list[dict[str, Any]]

    def first(self, folded: Sequence[PlannedAxis]) -> AnyScenario:
        """The first point, with these axes folded.

        Raises:
            ScenarioError: it cannot be used.
        """
        _, settings = next(self._combinations(folded))
        return self._resolved({**settings, **_each(folded)}, self.where)

    def points(self, folded: Sequence[PlannedAxis]) -> Iterator[Point]:
        """All points that some arm has a job at, with these axes folded.

        Raises:
            ScenarioError: one cannot be used; its places are in the message.
            NotFoldableError: an axis cannot be folded there.
        """
        for places, settings in self._combinations(folded):
            named = named_at(self.where, {name: place.label for name, place in places.items()})
            data = self._data({**settings, **_each(folded)}, named)
            try:
                scenario = resolve(data, named, self.folder)
            except ScenarioError:
                self._one_by_one(folded, settings, named)
                raise
            for axis in folded:
                if coordinate(scenario, axis) is None:
                    raise NotFoldableError(axis.name)
            yield Point(places, named, data, scenario)

    def _one_by_one(self, folded: Sequence[PlannedAxis], settings: Mapping[str, Any], named: str) -> None:
        """At a point that cannot be used: tell the fault of a single place, or the axis that cannot be folded."""
        for axis in folded:
            others = _each([other for other in folded if other is not axis])
            for place in axis.places:
                self._resolved({**settings, **others, **place.settings}, f"{named}, {axis.name}={place.label}")
            raise NotFoldableError(axis.name) from None

    def _resolved(self, settings: Mapping[str, Any], named: str) -> AnyScenario:
        return resolve(self._data(settings, named), named, self.folder)

    def _data(self, settings: Mapping[str, Any], named: str) -> dict[str, Any]:
        data = copy.deepcopy(self.base)
        for path, value in settings.items():
            try:
                put(data, path.split("."), copy.deepcopy(value))
            except ScenarioError as error:
                raise ScenarioError(f"{named}: {error}") from None
        return data

    def _combinations(self, folded: Sequence[PlannedAxis]) -> Iterator[tuple[dict[str, Place], dict[str, Any]]]:
        """Places on the axes that are not folded, with all settings of the point, sampled ones included."""
        axes = [axis for axis in self.axes if axis not in folded]
        for places in combined(axes):
            named = {axis.name: place for axis, place in zip(axes, places, strict=True)}
            settings = {path: value for place in places for path, value in place.settings.items()}
            for sample in self.samples or [{}]:
                drawn = {path: Place(label(value), {path: value}) for path, value in sample.items()}
                yield {**named, **drawn}, {**settings, **sample}


def named_at(where: str, place: Mapping[str, str]) -> str:
    """What to call a point in messages: `which-rule at chip.profile=pcm, seed=1`.

    Args:
        where: what to call its study.
        place: by axis, as labels.
    """
    at = ", ".join(f"{name}={label}" for name, label in place.items())
    return f"{where} at {at}" if at else where


def combined(axes: Sequence[PlannedAxis], moved: str | None = None) -> Iterator[tuple[Place, ...]]:
    """Places on axes, the first axis slowest, of the points that some arm has a job at.

    An arm meets the axes of other single arms at their first places alone, so their places add up and do not multiply.

    Args:
        axes: to combine.
        moved: the arm of which an axis before these has left its first place.
    """
    if not axes:
        yield ()
        return
    first, *rest = axes
    for number, place in enumerate(first.places):
        owner = first.arm if number else None
        if owner is not None and moved not in (None, owner):
            break
        for others in combined(rest, moved or owner):
            yield (place, *others)


def _each(axes: Sequence[PlannedAxis]) -> dict[str, Any]:
    return {axis.path or axis.name: {"each": axis.values} for axis in axes}


def chips_of(scenario: AnyScenario, arm: str) -> int:
    """How many chips, or runs, an arm has.

    Raises:
        ScenarioError: `chip.only` names a chip that is not in the population.
    """
    if isinstance(scenario, Scenario):
        return size(scenario, scenario.arms[arm])
    return len(scenario.places(scenario.arms[arm]))


def coordinate(scenario: AnyScenario, axis: PlannedAxis) -> str | None:
    """What a folded axis is called in coordinates; None where not all of its arms have it, or several could be it."""
    assert axis.path is not None
    arms = [axis.arm] if axis.arm else list(scenario.arms)
    try:
        axes = [axes_of_arm(scenario, scenario.arms[arm]) for arm in arms]
    except ScenarioError:  # such as two stages with an axis of rates
        return None
    found = {name for own in axes for name in own if _may_be(axis.path, name)}
    if len(found) != 1:
        return None
    name = found.pop()
    return name if all(name in own and _are(axis, own[name]) for own in axes) else None


def _are(axis: PlannedAxis, values: Sequence[Any]) -> bool:
    """Whether values in coordinates are the places of an axis, in order."""
    labels = [label(value) for value in values]
    if labels == [place.label for place in axis.places]:
        return True
    return axis.numbers is not None and numbers_of(labels) == (axis.numbers, axis.unit)


def _may_be(path: str, name: str) -> bool:
    """Whether an axis that was put under a path may have this name in coordinates.

    It is in the profile by then, and what was one setting may be the first of a list.
    """
    if path.endswith(".lr") or name == "lr":
        return path.endswith(".lr") and name == "lr"
    written = re.sub(r"^(chip(?:\.layers)?)\.overrides\.", r"\1.profile.", path)
    return re.sub(r"\.\d+(?=\.|$)", "", name) == re.sub(r"\.\d+(?=\.|$)", "", written)
