"""Places on the axes of a population, as claims name them: `np[lr=0.01, sigma=1 %]`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any


def axes_called(word: str, axes: Iterable[str]) -> list[str]:
    """The axes whose path is or ends in these words: `sigma` or `0.sigma` for `chip.profile.read_noise.0.sigma`."""
    return [axis for axis in axes if axis == word or axis.endswith(f".{word}")]


def is_place(written: str, place: Any) -> bool:
    """Whether what a claim has written is this place: the same number, `1 %` and 0.01 included, or the same text."""
    if "".join(written.split()) == "".join(str(place).split()):
        return True
    one, other = _number(written), _number(str(place))
    return one is not None and other is not None and math.isclose(one, other, rel_tol=1e-9)


def _number(text: str) -> float | None:
    share = text.strip().endswith("%")
    try:
        return float(text.strip().removesuffix("%")) / (100 if share else 1)
    except ValueError:
        return None
