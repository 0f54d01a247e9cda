"""Many comparisons at once."""

from __future__ import annotations

import math
from collections.abc import Sequence


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values: of those at most 0.05, one or more is a false alarm in at most 5 % of families.

    Holm 1979: the i-th smallest of m is multiplied by m - i + 1, and none is less than the one before. Needs no
    independence.

    Args:
        p: the family; None or nan, where there was no test, is no member and returned as it was.

    Raises:
        ValueError: one is no probability.
    """
    for value in p:
        if value is not None and not math.isnan(value) and not 0 <= value <= 1:
            raise ValueError(f"a p-value lies between 0 and 1 (got {value})")
    family = [(value, at) for at, value in enumerate(p) if value is not None and not math.isnan(value)]
    adjusted, least = list(p), 0.0
    for smaller, (value, at) in enumerate(sorted(family)):
        least = max(least, min(1.0, (len(family) - smaller) * value))
        adjusted[at] = least
    return adjusted
