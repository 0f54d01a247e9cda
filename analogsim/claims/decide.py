"""From paired differences to a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from analogsim.claims.arithmetic import ROUNDING, spread

Word = Literal["holds", "fails", "not decided", "not run"]
"""A verdict."""

_ERROR = 0.025  # on each side, as of a 95 % interval


def above(gains: Sequence[float], strict: bool) -> tuple[Word, str]:
    """Whether differences, one for each chip, lie above 0; and why that is not decided.

    By the 95 % Student interval of their mean, which has no width where all are the same number. Where some, but not
    all, are infinite there is no such interval: then by the sign test, with 2.5 % for an error on each side.

    Args:
        gains: of the chips, the claimed side positive.
        strict: whether 0 itself is not what is claimed.
    """
    unknown = _unknown(gains)
    if unknown:
        return "not decided", unknown
    if len(set(gains)) == 1:
        return ("holds" if gains[0] > 0 or (gains[0] == 0 and not strict) else "fails"), ""
    if all(map(math.isfinite, gains)):
        mean, half = spread(gains)
        assert half is not None
        if mean - half > 0:
            return "holds", ""
        return ("fails", "") if mean + half < 0 else ("not decided", "the interval of the difference contains 0")
    if _rare(sum(gain <= 0 for gain in gains), len(gains)):
        return "holds", ""
    if _rare(sum(gain >= 0 for gain in gains), len(gains)):
        return "fails", ""
    return "not decided", "some differences are infinite, and the signs of all do not decide"


def inside(differences: Sequence[float], tolerance: float) -> tuple[Word, str]:
    """Whether the mean of differences lies within +- tolerance; and why that is not decided.

    Args:
        differences: from the target, one for each chip.
        tolerance: the whole interval inside: holds; the whole interval outside: fails.
    """
    unknown = _unknown(differences)
    if unknown:
        return "not decided", unknown
    low = high = differences[0]
    if len(set(differences)) > 1:
        if not all(map(math.isfinite, differences)):
            return "not decided", "some differences are infinite, and not all of them alike"
        mean, half = spread(differences)
        assert half is not None
        low, high = mean - half, mean + half
    edge = tolerance * (1 + ROUNDING)
    if -edge <= low and high <= edge:
        return "holds", ""
    if low > edge or high < -edge:
        return "fails", ""
    return "not decided", "the interval of the difference lies partly inside"


def _unknown(differences: Sequence[float]) -> str:
    """Why nothing can be said of them, or nothing."""
    missing = sum(map(math.isnan, differences))
    if missing:
        return f"{missing} of {len(differences)} chips have no value"
    return "one chip only" if len(differences) == 1 else ""


def _rare(against: int, n: int) -> bool:
    """Whether so few of n signs would be against it by chance."""
    from scipy.special import bdtr

    return bool(bdtr(against, n, 0.5) <= _ERROR)
