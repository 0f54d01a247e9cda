"""Means over chips with their intervals, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from analogsim.statistics import Interval, mean_interval

DASH = "–"


def estimate(values: Iterable[float], by: Callable[[Sequence[float]], Interval] = mean_interval) -> Interval:
    """The mean of one number or more with its 95 % interval; infinite, without one, where a number is."""
    found = list(values)
    if not all(map(math.isfinite, found)):
        return Interval(math.inf, None, None, len(found))
    return by(found)


def significant(value: float, digits: int = 2) -> str:
    """A number of so many significant digits, without an exponent where that is not longer: `5.0`, `0.032`, `120`."""
    text = f"{value:.{digits - 1}e}"
    decimals = digits - 1 - int(text.split("e")[1])
    return text if not -4 <= decimals <= 7 else f"{float(text):.{max(0, decimals)}f}"


def fixed(value: float, digits: int) -> str:
    """A number with so many decimals; no sign before zero."""
    if not math.isfinite(value):
        return "not finite"
    text = f"{value:.{digits}f}"
    return (text[1:] if not float(text) else f"−{text[1:]}") if text.startswith("-") else text


class Scores:
    """How a study's scores are written: accuracies in percent, or losses.

    Attributes:
        what: `test accuracy`, `test loss`.
        unit: with the space before it.
        factor: from a score to what is written.
    """

    def __init__(self, accurate: bool) -> None:
        self.accurate = accurate
        self.what = "test accuracy" if accurate else "test loss"
        self.head = f"{self.what}, %" if accurate else self.what
        self.unit = "\u00a0%" if accurate else ""
        self.points = "\u00a0points" if accurate else ""
        self.factor = 100.0 if accurate else 1.0
        self._digits = 1 if accurate else 3

    def number(self, value: float, more: int = 0) -> str:
        """`97.1`."""
        return fixed(self.factor * value, max(0, self._digits + more))

    def said(self, value: float) -> str:
        """`97.1 %`."""
        return self.number(value) + (self.unit if math.isfinite(value) else "")

    def bounds(self, found: Interval, more: int = 0) -> str:
        """`[96.8, 97.4]`; empty without an interval."""
        if found.low is None or found.high is None:
            return ""
        return f"[{self.number(found.low, more)}, {self.number(found.high, more)}]"

    def sentence(self, found: Interval) -> str:
        """`97.1 % [96.8, 97.4]`."""
        return " ".join(each for each in (self.said(found.mean), self.bounds(found)) if each)
