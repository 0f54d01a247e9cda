"""What meets in a study: rules, devices, noise levels, and the chips of a rule's settings there."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from analogsim.outcomes import Outcome
from analogsim.report.page.estimate import estimate
from analogsim.results import marked
from analogsim.statistics import Interval

Place = tuple[tuple[str, str], ...]
"""(axis, place on it), in the order of the plan's axes."""
Key = tuple[str | int, ...]
"""Of what is compared: of a chip (seed, number); of a sampled point its places on the sampled axes."""


class Rule(NamedTuple):
    """What is compared: a family of arms, or an arm that is in none. Those with marks are no candidates.

    Attributes:
        name: of the family or the arm.
        marks: `oracle`, `ex situ`, `theory`.
    """

    name: str
    marks: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """With its marks in brackets."""
        return marked(self.name, self.marks)

    @property
    def candidate(self) -> bool:
        """Whether it is ranked."""
        return not self.marks


class Device(NamedTuple):
    """A point of the setting axes.

    Attributes:
        place: on all of them.
        label: as people read it; empty where a study has no such axes.
    """

    place: Place
    label: str


class Level(NamedTuple):
    """A place on the noise axis.

    Attributes:
        place: as written; None: the study has no such axis, and this is its only level.
        number: in the axis' unit; None where places are no numbers.
    """

    place: str | None
    number: float | None


@dataclass(frozen=True)
class Setting:
    """One arm at one of its own places, on a device at a level.

    Attributes:
        arm: its name.
        own: places on axes that are this arm's alone.
        rows: of its chips.
        accurate: whether chips are compared by accuracies.
        sampled: names of sampled axes that it has; then sampled points are what is compared, and not chips.
    """

    arm: str
    own: Place
    rows: tuple[Outcome, ...]
    accurate: bool = True
    sampled: tuple[str, ...] = ()

    @cached_property
    def values(self) -> dict[Key, float]:
        """Of each chip its accuracy, 0 where it diverged to nothing finite; or its loss, infinite likewise.

        Of a sampled study the means over the chips of each sampled point.
        """
        if not self.sampled:
            return {row.key: value_of(row, self.accurate) for row in self.rows}
        return {point: estimate(found.values.values()).mean for point, found in self.points.items()}

    @cached_property
    def points(self) -> dict[Key, Setting]:
        """The same at each sampled point alone, whose chips are then what is compared."""
        found: dict[Key, list[Outcome]] = {}
        for row in self.rows:
            found.setdefault(tuple(row.place[name] for name in self.sampled), []).append(row)
        return {point: Setting(self.arm, self.own, tuple(rows), self.accurate) for point, rows in found.items()}

    @cached_property
    def score(self) -> Interval:
        """Mean over what is compared, chips or sampled points, with its interval."""
        return estimate(self.values.values())

    @property
    def diverged(self) -> int:
        """Chips that did."""
        return sum(row.status == "diverged" for row in self.rows)

    @property
    def jobs(self) -> list[str]:
        """Ids of the jobs that its chips are of."""
        return list(dict.fromkeys(row.job for row in self.rows))


@dataclass(frozen=True)
class Cell:
    """A rule on a device at a level: the best of its settings there represents it.

    Attributes:
        best: the setting with the highest mean accuracy, or the lowest mean loss.
        settings: all of them.
    """

    best: Setting
    settings: tuple[Setting, ...]


def value_of(row: Outcome, accurate: bool) -> float:
    """The number that a chip is compared by."""
    if accurate:
        return row.accuracy or 0.0
    return math.inf if row.loss is None else row.loss


def rule_of(row: Outcome) -> Rule:
    """The rule that a row is of."""
    return Rule(row.family or row.arm, row.marks)


def jobs_of(settings: Iterable[Setting]) -> list[str]:
    """Ids of the jobs of several, each once."""
    return list(dict.fromkeys(job for setting in settings for job in setting.jobs))
