"""By how much a rule exceeds what is asked of it, along the levels of noise, and where that is not decided.

Along a position s that is i at level i, the mean margin is linear between levels, and the variance of that mean is a
quadratic. So the set of s where the interval of the mean contains 0, m(s)^2 <= t^2 v(s), is found exactly, segment by
segment: this is Fieller's (1954) construction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analogsim._numbers import ROUNDING


@dataclass(frozen=True)
class Margin:
    """Mean over chips of score - what is asked, at each of L levels.

    Attributes:
        mean: of length L; 0 within rounding is 0.
        excess: m^2 - t^2 v at each level, of length L: where it is at most 0, the interval contains 0. Empty where
            there is no interval.
        mixed: m m' - t^2 v(m, m') of neighbouring levels, of length L - 1: m^2 - t^2 v between them is
            (1 - u)^2 excess + 2 u (1 - u) mixed + u^2 excess'.
    """

    mean: tuple[float, ...]
    excess: tuple[float, ...]
    mixed: tuple[float, ...]

    def undecided(self) -> list[tuple[float, float]]:
        """The stretches of positions, ascending, where the interval contains 0."""
        found: list[tuple[float, float]] = []
        for at, mixed in enumerate(self.mixed):
            for low, high in at_most_zero(self.excess[at], mixed, self.excess[at + 1]):
                if found and found[-1][1] == at + low:
                    found[-1] = (found[-1][0], at + high)
                else:
                    found.append((at + low, at + high))
        return found


def margin(
    scores: NDArray[np.float64],
    asked: NDArray[np.float64],
    confidence: float,
    spread: tuple[float, int] | None = None,
) -> Margin:
    """Margins with their Student intervals.

    Args:
        scores: shape (chips, levels).
        asked: of each chip, shape (chips,), or of all alike, shape (1,).
        confidence: of the pointwise interval.
        spread: where `asked` is a mean over other chips: its variance, and their number. The variance is added, and
            t has the degrees of freedom of the smaller of both samples, which is on the safe side of Welch's.
    """
    from scipy.special import stdtrit

    gaps = scores - asked[:, None]
    mean = gaps.mean(axis=0)
    mean[np.abs(mean) <= ROUNDING * max(np.abs(scores).max(), np.abs(asked).max())] = 0.0
    n, smallest = len(scores), len(scores) if spread is None else min(len(scores), spread[1])
    if smallest < 2:
        return Margin(tuple(mean.tolist()), (), ())
    deviations = gaps - gaps.mean(axis=0)
    more = 0.0 if spread is None else spread[0]
    unit = float(stdtrit(smallest - 1, (1 + confidence) / 2)) ** 2
    variance = (deviations**2).sum(axis=0) / (n * (n - 1)) + more
    shared = (deviations[:, :-1] * deviations[:, 1:]).sum(axis=0) / (n * (n - 1)) + more
    excess, mixed = mean**2 - unit * variance, mean[:-1] * mean[1:] - unit * shared
    return Margin(tuple(mean.tolist()), tuple(excess.tolist()), tuple(mixed.tolist()))


def at_most_zero(left: float, mixed: float, right: float) -> list[tuple[float, float]]:
    """Where in [0, 1] the quadratic (1 - u)^2 left + 2 u (1 - u) mixed + u^2 right is at most 0, in ascending order."""
    low, high = (min(max(root, 0.0), 1.0) for root in _roots(left, mixed, right))
    crosses = mixed**2 > left * right
    if left <= 0 and right <= 0:  # above 0 in the middle, if it has its maximum there
        return [(0.0, low), (high, 1.0)] if crosses and mixed > max(left, right) else [(0.0, 1.0)]
    if left > 0 and right > 0:  # at most 0 in the middle, if it has its minimum there
        return [(low, high)] if crosses and mixed < min(left, right) else []
    convex = left - 2 * mixed + right > 0
    if left <= 0:
        return [(0.0, high if convex else low)]
    return [(low if convex else high, 1.0)]


def _roots(left: float, mixed: float, right: float) -> tuple[float, float]:
    """The zeros of the quadratic, ascending, without cancellation; a straight line counts as barely concave."""
    half, curvature = mixed - left, left - 2 * mixed + right
    sum_ = -(half + math.copysign(math.sqrt(max(mixed**2 - left * right, 0.0)), half))
    near = left / sum_ if sum_ else 0.0
    far = sum_ / curvature if curvature else -math.copysign(math.inf, sum_)
    return min(near, far), max(near, far)
