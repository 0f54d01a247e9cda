"""Whether a score goes up or down with a setting: correlation of ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analogsim.statistics.sample import alike, checked

EXACT_TO = 9
"""Pairs up to which `rank_correlation` goes through all orders: of those of 9, Student's t has p <= 0.05 in 5.9 %, and
p <= 0.001 in 0.20 %."""
_NEAR = 1e-9  # of correlations that differ by rounding alone


@dataclass(frozen=True)
class Correlation:
    """How well two orders agree.

    Attributes:
        rho: Spearman's rank correlation, -1 to 1; None where one of both is everywhere the same, or of one pair.
        p: two-sided, of no connection; None without rho, and of two pairs.
        n: number of pairs.
    """

    rho: float | None
    p: float | None
    n: int


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> Correlation:
    """Spearman's rank correlation, of equal numbers the mean of their ranks, and a test of it.

    Spearman 1904. It is +-1 for any monotonic curve, and finds no curve that goes up and down alike. Up to `EXACT_TO`
    pairs p is the share of all orders of the second numbers whose correlation is as far from 0; with more, that of
    Student's t with n - 2 degrees of freedom (Kendall and Stuart 1973, sec. 31.18; `scipy.stats.spearmanr`).

    Args:
        first: numbers, such as those of a setting, one at each point.
        second: numbers that belong to them, such as accuracies.

    Raises:
        ValueError: there are none, not as many of one as of the other, or one is not finite.
    """
    x, y = checked(first), checked(second)
    if len(x) != len(y):
        raise ValueError(f"pairs need as many numbers of one as of the other (got {len(x)} and {len(y)})")
    n = len(x)
    if n < 2 or alike(x) or alike(y):
        return Correlation(None, None, n)
    from scipy.stats import rankdata, spearmanr

    if n > EXACT_TO:
        known: Any = spearmanr(x, y)
        return Correlation(float(known.statistic), float(known.pvalue), n)
    ranks, others = (rankdata(each) - (n + 1) / 2 for each in (x, y))
    scale = math.sqrt(float(ranks @ ranks) * float(others @ others))
    rho = float(ranks @ others) / scale
    if n == 2:
        return Correlation(rho, None, n)
    shuffled = others[_orders(n)] @ ranks / scale
    return Correlation(rho, float(np.mean(np.abs(shuffled) >= abs(rho) - _NEAR)), n)


@lru_cache(maxsize=2)
def _orders(n: int) -> NDArray[np.int8]:
    """All orders of n numbers, shape (n!, n)."""
    found = np.zeros((1, 1), dtype=np.int8)
    for last in range(1, n):
        places = [np.insert(found, place, last, axis=1) for place in range(last + 1)]
        found = np.concatenate(places)
    found.flags.writeable = False
    return found
