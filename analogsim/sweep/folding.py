"""Which axes are folded into populations: all that can be at every point, and no more chips than is allowed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from analogsim.errors import ScenarioError
from analogsim.sweep.axes import PlannedAxis
from analogsim.sweep.points import Asked, NotFoldableError, Point, chips_of, coordinate


@dataclass(frozen=True)
class Folded:
    """What folding left.

    Attributes:
        coordinates: by folded axis, its name in a chip's coordinates.
        points: of the other axes, all resolved.
        notes: what there is to say about axes that the first point can have folded and another cannot.
    """

    coordinates: dict[str, str]
    points: list[Point]
    notes: list[str]


def fold(asked: Asked) -> Folded:
    """Fold axes and resolve the points that are left.

    Raises:
        ScenarioError: a point cannot be used, or an axis that is named under `fold` cannot be folded.
    """
    kept = _at_first_point(asked)
    notes: list[str] = []
    while True:
        try:
            points = list(asked.points(kept))
        except NotFoldableError as error:
            kept = [axis for axis in kept if axis.name != error.axis]
            notes.append(f"{error.axis} is not folded: not every point can have it as an axis of its population")
            continue
        fitting, told = _within(kept, points, asked.section.chips_per_job)
        notes += told
        if len(fitting) < len(kept):
            kept = fitting
            continue
        names = {axis.name: coordinate(points[0].scenario, axis) or axis.name for axis in kept}
        return Folded(names, points, notes)


def _within(folded: Sequence[PlannedAxis], points: Sequence[Point], limit: int) -> tuple[list[PlannedAxis], list[str]]:
    """The axes, of these in their order, with which no population of any point is larger than the limit.

    Returns:
        Them, and for each of the others what to say.
    """

    def times(axes: Sequence[PlannedAxis], arm: str) -> int:
        return math.prod(len(axis.places) for axis in axes if axis.arm in (None, arm))

    if not folded:
        return [], []
    alone = [
        (point, arm, chips_of(point.scenario, arm) // times(folded, arm))
        for point in points
        for arm in point.scenario.arms
    ]
    kept: list[PlannedAxis] = []
    notes: list[str] = []
    for axis in folded:
        grown = ((point, chips * times([*kept, axis], arm)) for point, arm, chips in alone if axis.arm in (None, arm))
        point, chips = max(grown, key=lambda each: each[1])
        if chips <= limit:
            kept.append(axis)
            continue
        at = ", ".join(f"{name}={place.label}" for name, place in point.places.items())
        notes.append(
            f"{axis.name} is not folded: at {at} it would make a population of {chips} chips, and chips_per_job allows "
            f"{limit}"
        )
    return kept, notes


def _collide(names: list[tuple[str | None, str | None]]) -> bool:
    """Whether two axes, each with the arm that it is of, would have one name in the coordinates of an arm."""
    pairs = itertools.combinations(names, 2)
    return any(name == other and (arm == its or None in (arm, its)) for (arm, name), (its, other) in pairs)


def _at_first_point(asked: Asked) -> list[PlannedAxis]:
    """The axes that the first point can have folded, the noise axis first and repeats last."""
    section = asked.section
    named = section.fold if isinstance(section.fold, tuple) else ()
    for name in named:
        if name not in {axis.name for axis in asked.axes}:
            raise ScenarioError(
                f"sweep.fold: there is no axis {name}; there are {', '.join(axis.name for axis in asked.axes)}"
            )
    candidates = [axis for axis in asked.axes if axis.path is not None and len(axis.places) > 1]
    candidates = [axis for axis in candidates if section.fold == "all" or axis.name in named]
    candidates.sort(key=lambda axis: (axis.name != section.noise, axis.path == "seed"))
    kept: list[PlannedAxis] = []
    for axis in candidates:
        try:
            scenario = asked.first([*kept, axis])
        except ScenarioError as error:
            if axis.name in named:
                raise ScenarioError(f"sweep.fold: {axis.name} cannot be an axis of a population: {error}") from None
            continue
        names = [(each.arm, coordinate(scenario, each)) for each in (*kept, axis)]
        if any(name is None for _, name in names) or _collide(names):
            if axis.name in named:
                raise ScenarioError(f"sweep.fold: {axis.name} is no axis that every arm's population has by itself")
        elif max(chips_of(scenario, arm) for arm in scenario.arms) <= section.chips_per_job:
            kept.append(axis)
    return kept
