"""How good a rule is over a whole range of noise: one number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analogsim.statistics.curves import curves
from analogsim.statistics.intervals import Interval, mean_interval
from analogsim.statistics.paired import Key


def areas(levels: Sequence[float], scores: Mapping[Key, Sequence[float]]) -> dict[Key, float]:
    """Of each chip the area under its score against log noise, divided by the range: its mean score over log noise.

    By the trapezoidal rule; in the unit of the scores, so that areas can be compared and ranked as scores can. A level
    of 0, which is infinitely far away in log noise, is left out.

    Args:
        levels: of noise, ascending, two above 0 at least.
        scores: of each chip, one at each level.

    Raises:
        ValueError: levels that do not ascend or are too few, no chips, a chip without a finite score at each level.
    """
    found = curves(levels, scores)
    skipped = int(levels[0] == 0)
    if len(levels) - skipped < 2:
        raise ValueError("an area needs two levels of noise above 0 at least (got 1)")
    at = np.log(np.asarray(levels[skipped:], dtype=np.float64))
    weights = np.zeros_like(at)
    weights[:-1] += np.diff(at) / 2
    weights[1:] += np.diff(at) / 2
    means = found[:, skipped:] @ (weights / weights.sum())
    return dict(zip(scores, means.tolist(), strict=True))


def area(levels: Sequence[float], scores: Mapping[Key, Sequence[float]], confidence: float = 0.95) -> Interval:
    """Mean over chips of their `areas`, and its interval.

    Args, errors: as of `areas`.
    """
    return mean_interval(list(areas(levels, scores).values()), confidence)
