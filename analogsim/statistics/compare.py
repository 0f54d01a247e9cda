"""All rules of a study against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from analogsim.statistics.bootstrap import RESAMPLES
from analogsim.statistics.holm import holm
from analogsim.statistics.intervals import Interval, mean_interval
from analogsim.statistics.paired import Key, differences, p_value

_FINEST = 0.01  # the least adjusted p that resamples must allow


@dataclass(frozen=True)
class Comparison:
    """Two rules on the same chips.

    Attributes:
        first: name of a rule.
        second: name of another.
        difference: first - second, 95 % interval of this one comparison.
        p: two-sided, of no difference; None of a single chip.
        adjusted: p, with all comparisons of the family in mind.
    """

    first: str
    second: str
    difference: Interval
    p: float | None
    adjusted: float | None


@dataclass(frozen=True)
class Ranked:
    """A rule's place among others.

    Attributes:
        name: of the rule.
        rank: 1 + the number of rules that are better beyond chance. Several may share a rank.
        score: over its chips, 95 % interval.
        tied: the rules that the data do not separate from it, the best mean first. This is not transitive: a may be
            tied with b and b with c, and a be better than c.
    """

    name: str
    rank: int
    score: Interval
    tied: tuple[str, ...]


def comparisons(scores: Mapping[str, Mapping[Key, float]]) -> list[Comparison]:
    """Every pair of rules, paired by chip, with Holm's adjustment over all pairs.

    Args:
        scores: of each rule, by chip; all of the same chips.

    Raises:
        ValueError: rules have different chips or none, or a score is not finite.
    """
    pairs = list(combinations(scores, 2))
    # 2 / (resamples + 1) x pairs is the least adjusted p: many pairs need more resamples, or nothing could be found
    resamples = max(RESAMPLES, round(2 / _FINEST) * len(pairs) - 1)
    gaps = [differences(scores[first], scores[second], (first, second)) for first, second in pairs]
    p = [p_value(gap, resamples) for gap in gaps]
    return [
        Comparison(first, second, mean_interval(gap, resamples=resamples), single, adjusted)
        for (first, second), gap, single, adjusted in zip(pairs, gaps, p, holm(p), strict=True)
    ]


def ranking(
    scores: Mapping[str, Mapping[Key, float]], higher_is_better: bool = True, level: float = 0.05
) -> list[Ranked]:
    """Rules by rank, those of a rank by their means, best first.

    Args:
        scores: of each rule, by chip; all of the same chips.
        higher_is_better: as of accuracies; False of losses.
        level: a rule is better than another where its mean is, and the adjusted p at most this. Then one or more rules
            are wrongly called better in at most this share of studies.

    Raises:
        ValueError: as of `comparisons`, or a level that is no probability.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1 (got {level}); 0.05 is usual")
    worse: dict[str, set[str]] = {name: set() for name in scores}
    for each in comparisons(scores):
        if each.adjusted is not None and each.adjusted <= level:
            better = (each.difference.mean > 0) == higher_is_better
            worse[each.first if better else each.second].add(each.second if better else each.first)
    means = {name: mean_interval(list(found.values())) for name, found in scores.items()}
    order = sorted(scores, key=lambda name: -means[name].mean if higher_is_better else means[name].mean)
    ranked = [
        Ranked(
            name,
            1 + sum(name in beaten for beaten in worse.values()),
            means[name],
            tuple(other for other in order if other != name and name not in worse[other] and other not in worse[name]),
        )
        for name in order
    ]
    return sorted(ranked, key=lambda each: each.rank)
