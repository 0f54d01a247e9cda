"""Curves of a score against the level of noise, one for each chip."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from analogsim.statistics.paired import Key
from analogsim.statistics.sample import checked


def curves(levels: Sequence[float], scores: Mapping[Key, Sequence[float]]) -> NDArray[np.float64]:
    """The scores as an array, shape (chips, levels).

    Args:
        levels: of noise, ascending, two at least; the first may be 0.
        scores: of each chip, one at each level.

    Raises:
        ValueError: levels that do not ascend, no chips, a chip without a finite score at each level.
    """
    if len(levels) < 2:
        raise ValueError(f"a curve needs two levels of noise at least (got {len(levels)})")
    if not levels[0] >= 0 or not all(low < high for low, high in pairwise(levels)) or math.isinf(levels[-1]):
        raise ValueError(f"levels of noise are 0 or more, finite and ascend (got {', '.join(map(str, levels))})")
    if not scores:
        raise ValueError("no chips: a curve needs one at least")
    for key, found in scores.items():
        if len(found) != len(levels):
            raise ValueError(f"chip {key!r} has {len(found)} scores for {len(levels)} levels of noise; give one each")
        try:
            checked(found)
        except ValueError as error:
            raise ValueError(f"chip {key!r}: {error}") from None
    return np.array([list(found) for found in scores.values()], dtype=np.float64)


def noise_at(levels: Sequence[float], position: float) -> float:
    """The noise at a position on the levels: that of level i at i, and in between log noise is linear.

    Between 0 and the first positive level noise itself is, since log 0 is nowhere.
    """
    at = min(int(position), len(levels) - 2)
    low, high, part = levels[at], levels[at + 1], position - at
    if part in (0.0, 1.0):
        return float(high if part else low)
    found = high * part if low == 0 else math.exp((1 - part) * math.log(low) + part * math.log(high))
    return float(min(max(found, low), high))
