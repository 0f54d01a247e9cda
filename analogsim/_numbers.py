"""What claims and statistics reckon with alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

ROUNDING = 1e-12
"""Of the numbers compared, relative: less than this is no difference, but the rounding of decimal fractions."""


def scale(values: Sequence[float]) -> float:
    """A power of two by which the largest comes to 1 or 2, so that squares neither overflow nor vanish; 1 of zeros."""
    most = max(map(abs, values))
    return math.ldexp(1.0, math.frexp(most)[1] - 1) if most else 1.0
