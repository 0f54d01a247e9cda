"""A study whose settings were sampled: each rule at each point, and which settings matter to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from analogsim.outcomes import Axis
from analogsim.report.page.cells import Cell, Device, Key, Level, Rule
from analogsim.report.page.estimate import estimate
from analogsim.report.page.standing import At, Ranking, Standing, over_noise
from analogsim.report.page.view import View
from analogsim.statistics import Correlation, Interval, holm, rank_correlation

LEVEL = 0.05
"""Of the corrected p up to which a setting is said to matter."""


@dataclass(frozen=True)
class Mark:
    """A rule at a sampled point.

    Attributes:
        place: the point, as written, one place for each sampled axis.
        numbers: the same as numbers, in the axes' units.
        score: over the chips of the point; over noise where there is a noise axis.
        setting: that stands for the rule.
        diverged: chips that did, at all noise levels together.
    """

    place: Key
    numbers: tuple[float, ...]
    score: Interval
    setting: str
    diverged: int


@dataclass(frozen=True)
class Influence:
    """What a sampled setting does to a rule.

    Attributes:
        axis: the setting.
        found: correlation of the ranks of the setting and of the rule's means, one at each point.
        adjusted: its p after Holm's correction for all rules and settings of the device; None: there was no test.
    """

    axis: Axis
    found: Correlation
    adjusted: float | None

    @property
    def matters(self) -> bool:
        """Whether the test tells it from none."""
        return self.adjusted is not None and self.adjusted <= LEVEL

    @property
    def rises(self) -> bool:
        """Whether scores go up with it."""
        return (self.found.rho or 0.0) > 0


@dataclass(frozen=True)
class Sampled:
    """The rules of a device at its sampled points.

    Attributes:
        ranking: of the device.
        marks: by rule, in the order of points.
        influences: by rule, in the order of axes.
    """

    ranking: Ranking
    marks: dict[Rule, tuple[Mark, ...]]
    influences: dict[Rule, tuple[Influence, ...]]

    @property
    def device(self) -> Device:
        """Which."""
        return self.ranking.device

    @cached_property
    def standings(self) -> dict[Rule, Standing]:
        """By rule."""
        return {standing.rule: standing for standing in self.ranking.standings}


def samples(view: View, ranked: Sequence[Ranking]) -> list[Sampled]:
    """Of all devices that have results; empty where nothing was sampled."""
    return [_sampled(view, ranking) for ranking in ranked] if view.sampled else []


def _sampled(view: View, ranking: Ranking) -> Sampled:
    marks = {standing.rule: tuple(_marks(view, ranking, standing.at)) for standing in ranking.standings}
    found = [
        (rule, axis, _correlation(each, at)) for rule, each in marks.items() for at, axis in enumerate(view.sampled)
    ]
    adjusted = holm([correlation.p for _, _, correlation in found])
    influences: dict[Rule, tuple[Influence, ...]] = dict.fromkeys(marks, ())
    for (rule, axis, correlation), p in zip(found, adjusted, strict=True):
        influences[rule] = (*influences[rule], Influence(axis, correlation, p))
    return Sampled(ranking, marks, influences)


def _correlation(marks: Sequence[Mark], at: int) -> Correlation:
    """Of the points whose mean is finite."""
    known = [(mark.numbers[at], mark.score.mean) for mark in marks if math.isfinite(mark.score.mean)]
    if not known:
        return Correlation(None, None, 0)
    return rank_correlation([number for number, _ in known], [mean for _, mean in known])


def _marks(view: View, ranking: Ranking, at: At) -> list[Mark]:
    """A rule at each point; over the noise levels that the ranking is over, where the rule has them there."""
    numbers = [dict(zip(axis.places, axis.numbers or (), strict=True)) for axis in view.sampled]
    found: dict[Key, list[tuple[Level, Cell]]] = {}
    for level, cell in at:
        for point, setting in cell.best.points.items():
            found.setdefault(point, []).append((level, Cell(setting, (setting,))))
    marks = []
    for point, cells in found.items():
        levels = [level for level in ranking.levels if level in [each for each, _ in cells]]
        by_chip = over_noise(cells, levels or [level for level, _ in cells]) or cells[0][1].best.values
        best = [cell.best for _, cell in cells]
        marks.append(
            Mark(
                place=point,
                numbers=tuple(known[str(place)] for known, place in zip(numbers, point, strict=True)),
                score=estimate(by_chip.values()),
                setting=" or ".join(
                    dict.fromkeys(" ".join([each.arm, *(f"{a}={b}" for a, b in each.own)]) for each in best)
                ),
                diverged=sum(each.diverged for each in best),
            )
        )
    return sorted(marks, key=lambda mark: mark.numbers)
