"""What is asked of every sample of numbers before it is reckoned with."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analogsim._numbers import ROUNDING, scale


def checked(values: Sequence[float]) -> list[float]:
    """The same numbers, of which there is one at least, and all are finite.

    Raises:
        ValueError: there is none, or one is infinite or nan.
    """
    found = [float(value) for value in values]
    if not found:
        raise ValueError("no values: a mean needs one at least")
    for at, value in enumerate(found):
        if not math.isfinite(value):
            raise ValueError(
                f"value {at} of {len(found)} is {value}: only finite numbers have a mean; "
                "put a number where a chip has none, an accuracy of 0 for instance"
            )
    return found


def alike(values: Sequence[float]) -> bool:
    """Whether all are the same number, within `ROUNDING`."""
    return max(values) - min(values) <= ROUNDING * max(map(abs, values))


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and its standard error s / sqrt(n), of two numbers at least that are not `alike`."""
    n, unit = len(values), scale(values)
    mean = math.fsum(value / unit for value in values) / n
    variance = math.fsum((value / unit - mean) ** 2 for value in values) / (n - 1)
    return unit * mean, unit * math.sqrt(variance / n)
