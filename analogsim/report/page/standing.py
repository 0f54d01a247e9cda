"""Who stands where on a device: scores over all noise, ranks with ties, paired comparisons, operating windows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analogsim.report.page.cells import Cell, Device, Key, Level, Rule, Setting, jobs_of
from analogsim.report.page.estimate import estimate
from analogsim.report.page.view import View
from analogsim.statistics import Interval, Window, areas, comparisons, ranking, window

At = Sequence[tuple[Level, Cell]]
"""Where a rule has results on a device."""
Scores = dict[Key, float]
"""Of one rule, by chip; of a sampled study by sampled point, means over chips."""


@dataclass(frozen=True)
class Pair:
    """Two ranked rules on the same chips.

    Attributes:
        first, second: the rules; the first has the better mean.
        difference: score of the first minus that of the second, by chip.
        p: of the paired test; None with one chip.
        adjusted: the same after Holm's correction for all pairs of the device.
    """

    first: Rule
    second: Rule
    difference: Interval
    p: float | None
    adjusted: float | None


@dataclass(frozen=True)
class Standing:
    """A rule on a device.

    Attributes:
        rule: which.
        rank: 1 + the number of rules that are better beyond chance; None: it is not ranked.
        why: it is not, in words; empty where it is, or where its marks say so.
        score: over noise.
        tied: ranked rules that the tests do not tell from it.
        behind: it against the first of the ranking; None for that, and for those without a rank.
        window: at which noise it reaches the share of the reference; None: nobody can say.
        at: levels and cells that there are.
    """

    rule: Rule
    rank: int | None
    why: str
    score: Interval
    tied: tuple[Rule, ...]
    behind: Pair | None
    window: Window | None
    at: At

    @property
    def jobs(self) -> list[str]:
        """Ids of the jobs of its cells."""
        return jobs_of(cell.best for _, cell in self.at)


@dataclass(frozen=True)
class Ranking:
    """The rules of a device.

    Attributes:
        device: which.
        standings: ranked ones first, in order; then the others.
        pairs: of ranked rules.
        levels: that scores are over: those that all ranked rules have.
        chips: how many were compared, or sampled points: those that all ranked rules have at all of these levels.
    """

    device: Device
    standings: tuple[Standing, ...]
    pairs: tuple[Pair, ...]
    levels: tuple[Level, ...]
    chips: int

    @property
    def ranked(self) -> list[Standing]:
        """Those that have a rank, in order."""
        return [standing for standing in self.standings if standing.rank is not None]

    @property
    def leaders(self) -> list[Standing]:
        """Those of rank 1."""
        return [standing for standing in self.standings if standing.rank == 1]


def rankings(view: View) -> list[Ranking]:
    """Of all devices that have results."""
    return [_ranking(view, device) for device in view.devices if view.present(device)]


def _ranking(view: View, device: Device) -> Ranking:
    at = {rule: view.cells(rule, device) for rule in view.present(device)}
    why = _unranked(at, view)
    chosen = [rule for rule in at if rule not in why]
    levels = tuple(level for level in view.levels if all(level in _levels(at[rule]) for rule in chosen))
    scores = _common({rule: over_noise(at[rule], levels) for rule in chosen})
    if not scores:
        why |= dict.fromkeys(chosen, f"there is no noise level and {view.replicates[:-1]} that all rules have")
    signed = {rule.title: {key: _sign(view) * value for key, value in each.items()} for rule, each in scores.items()}
    named = {rule.title: rule for rule in scores}
    ranked = {named[each.name]: each for each in ranking(signed)}
    order = list(ranked)
    pairs = [
        _pair(scores, named[each.first], named[each.second], each.p, each.adjusted, order)
        for each in comparisons(signed)
    ]
    pairs.sort(key=lambda pair: (order.index(pair.first), order.index(pair.second)))
    standings = []
    for rule in [*order, *(rule for rule in at if rule not in ranked)]:
        found = ranked.get(rule)
        standings.append(
            Standing(
                rule=rule,
                rank=found.rank if found else None,
                why=why.get(rule, ""),
                score=estimate((scores.get(rule) or _own(at[rule], levels)).values()),
                tied=tuple(named[name] for name in found.tied) if found else (),
                behind=next((pair for pair in pairs if {pair.first, pair.second} == {order[0], rule}), None)
                if order
                else None,
                window=operating_window(view, device, at[rule]),
                at=at[rule],
            )
        )
    chips = len(next(iter(scores.values()), {}))
    return Ranking(device, tuple(standings), tuple(pairs), levels if scores else (), chips)


def _sign(view: View) -> float:
    return 1.0 if view.accurate else -1.0


def _levels(at: At) -> list[Level]:
    return [level for level, _ in at]


def _unranked(at: Mapping[Rule, At], view: View) -> dict[Rule, str]:
    """Rules that are not ranked, and why; of comparisons their marks say it."""
    most = max((len(cells) for rule, cells in at.items() if rule.candidate), default=0)
    points = {rule: len({key for _, cell in cells for key in cell.best.values}) for rule, cells in at.items()}
    most_points = max((points[rule] for rule in at if rule.candidate), default=0)
    found = {}
    for rule, cells in at.items():
        if not rule.candidate:
            found[rule] = ""
        elif 2 * len(cells) < most:
            found[rule] = f"it has results at {len(cells)} of {len(view.levels)} noise levels"
        elif view.sampled and 2 * points[rule] < most_points:
            found[rule] = f"it has results at {points[rule]} of {view.points} sampled points"
        elif not all(math.isfinite(cell.best.score.mean) for _, cell in cells):
            found[rule] = f"its loss is not finite on some {view.replicates}"
    return found


def _common(scores: Mapping[Rule, Scores]) -> dict[Rule, Scores]:
    """The same for the chips that all have; empty where there are none."""
    keys = sorted(set.intersection(*(set(each) for each in scores.values()))) if scores else []
    return {rule: {key: each[key] for key in keys} for rule, each in scores.items()} if keys else {}


def _own(at: At, levels: Sequence[Level]) -> Scores:
    """A score for those that are not ranked: over the same levels if they have them, or over their own."""
    shared = [level for level in levels if level in _levels(at)]
    return over_noise(at, shared or _levels(at)) or at[0][1].best.values


def over_noise(at: At, levels: Sequence[Level]) -> Scores:
    """Of each chip that has all these levels one number: its mean over log noise, the area under its curve.

    With fewer than two levels above zero, the mean over levels.
    """
    values = [cell.best.values for level, cell in at if level in levels]
    keys = [key for key in values[0] if all(key in each for each in values)] if values else []
    numbers = [level.number for level in levels if level.number is not None]
    by_chip = {key: [each[key] for each in values] for key in keys}
    finite = all(math.isfinite(value) for each in by_chip.values() for value in each)
    if len(numbers) == len(levels) and sum(number > 0 for number in numbers) > 1 and by_chip and finite:
        return areas(numbers, by_chip)
    return {key: math.fsum(each) / len(each) for key, each in by_chip.items()}


def _pair(
    scores: Mapping[Rule, Scores], first: Rule, second: Rule, p: float | None, adjusted: float | None, order: list[Rule]
) -> Pair:
    """With the better rule first."""
    first, second = sorted((first, second), key=order.index)
    by_chip = [value - scores[second][key] for key, value in scores[first].items()]
    return Pair(first, second, estimate(by_chip), p, adjusted)


def operating_window(view: View, device: Device, at: At) -> Window | None:
    """At which noise a rule reaches the share of the reference.

    A loss reaches it where it is at most the reference's / share. None without a reference, without two noise levels
    that are numbers, and where a loss is not finite.
    """
    reference = view.reference(device)
    numbers = [level.number for level, _ in at if level.number is not None]
    if view.noise is None or reference is None or len(numbers) < max(2, len(at)):
        return None
    keys = [key for key in at[0][1].best.values if all(key in cell.best.values for _, cell in at)]
    scores = {key: [_sign(view) * cell.best.values[key] for _, cell in at] for key in keys}
    share, found = view.plan.share, _reference_at(view, reference, keys)
    asked = found if view.accurate else {key: -loss / share**2 for key, loss in found.items()}
    numbers_all = [*asked.values(), *(value for each in scores.values() for value in each)]
    if not keys or not all(map(math.isfinite, numbers_all)):
        return None
    return window(numbers, scores, asked, share)


def _reference_at(view: View, reference: Setting, keys: Sequence[Key]) -> Scores:
    """The reference's scores; of a sampled study at each of its points, where the reference has some sampled axes."""
    if not reference.sampled:
        return reference.values
    at = [[axis.name for axis in view.sampled].index(name) for name in reference.sampled]
    found = {key: reference.values.get(tuple(key[each] for each in at)) for key in keys}
    known = {key: value for key, value in found.items() if value is not None}
    return known if len(known) == len(keys) else reference.values
