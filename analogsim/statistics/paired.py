"""Two rules on the same chips: their differences, and whether chance alone would make them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from analogsim._numbers import ROUNDING
from analogsim.statistics.bootstrap import RESAMPLES, studentised_means
from analogsim.statistics.intervals import BOOTSTRAP_FROM
from analogsim.statistics.sample import alike, checked, mean_and_error

Key = TypeVar("Key", bound=Hashable)
"""What tells chips apart, such as (seed, chip)."""

_NAMED = 5  # chips that a message names


def differences(
    first: Mapping[Key, float], second: Mapping[Key, float], names: tuple[str, str] = ("the first", "the second")
) -> list[float]:
    """first - second of every chip, in the first's order; exactly 0 where only rounding tells them apart.

    Args:
        first: scores by chip.
        second: of the same chips.
        names: of both, for the message.

    Raises:
        ValueError: they do not have the same chips.
    """
    if first.keys() != second.keys():
        alone = [
            f"only {name} has {_listed([key for key in some if key not in others])}"
            for name, some, others in ((names[0], first, second), (names[1], second, first))
            if some.keys() - others.keys()
        ]
        raise ValueError(f"not the same chips: {'; '.join(alone)}; pairs need both")
    return [_difference(value, second[key]) for key, value in first.items()]


def p_value(differences: Sequence[float], resamples: int = RESAMPLES, seed: int = 0) -> float | None:
    """Two-sided p of paired differences whose true mean is 0.

    Student's paired t. From 20 differences on also the studentised bootstrap: with t of the sample, and t* of the B
    resamples about the sample's mean, twice the smaller of (1 + #(t* >= t)) / (B + 1) and (1 + #(t* <= t)) / (B + 1)
    (Davison & Hinkley 1997, sec. 4.4); and the larger p of both. This is `mean_interval` turned round, on the same
    resamples: p <= 0.05 where 0 lies outside the 95 % interval, and nowhere else.

    Differences of equally good rules are symmetric, and then Student's t errs on the safe side where the bootstrap's
    tails are too thin: alone, it would separate some of six equal rules in up to 9 % of studies of 20 chips.

    Where all differences are 0, p is 1. Where all are the same other number it is 0, as is the limit of t and as the
    interval has no width; this says that the difference is no accident of these chips, and, where accuracies are coarse
    and chips are few, may say too much. None of a single chip, which allows no test.

    Args:
        differences: one for each chip.
        resamples: how many; the least p from 20 differences on is 2 / (resamples + 1).
        seed: of the resamples.

    Raises:
        ValueError: no differences, or one that is not finite.
    """
    from scipy.special import stdtr

    found = checked(differences)
    if len(found) == 1:
        return None
    if alike(found):
        return 0.0 if any(found) else 1.0
    mean, error = mean_and_error(found)
    t = mean / error
    p = float(2 * stdtr(len(found) - 1, -abs(t)))
    known = None if len(found) < BOOTSTRAP_FROM else studentised_means(found, resamples, seed)
    if known is None:
        return p
    above = resamples - int(np.searchsorted(known, t, side="left"))
    below = int(np.searchsorted(known, t, side="right"))
    return max(p, min(1.0, 2 * (1 + min(above, below)) / (resamples + 1)))


def _difference(x: float, y: float) -> float:
    gap = x - y
    return 0.0 if abs(gap) <= ROUNDING * max(abs(x), abs(y)) else gap


def _listed(keys: Sequence[Any]) -> str:
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return ", ".join(map(repr, keys[:_NAMED])) + more
