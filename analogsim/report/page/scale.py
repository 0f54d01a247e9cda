"""Where noise levels stand on an axis: logarithmic, with zero apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from analogsim.outcomes import Axis
from analogsim.report.page.tones import INK

_MOST_TICKS = 8


class Scale(NamedTuple):
    """Positions of the places of an axis.

    Attributes:
        at: of each place, in decades; in steps where places are no numbers.
        ticks: positions that get a label, with it.
        gap: between which positions the axis is broken; None: nowhere.
        title: of the axis.
    """

    at: tuple[float, ...]
    ticks: tuple[tuple[float, str], ...]
    gap: tuple[float, float] | None
    title: str


def scale(axis: Axis) -> Scale:
    """Of an axis with ascending numbers from zero on, or with places that have no order."""
    numbers = axis.numbers
    if numbers is None or min(numbers) < 0 or not any(numbers):
        at = tuple(float(index) for index in range(len(axis.places)))
        return Scale(at, _ticks(at, axis.places), None, axis.title)
    positive = sorted(math.log10(number) for number in numbers if number > 0)
    span = positive[-1] - positive[0]
    away = max(0.18 * span, min((b - a for a, b in zip(positive, positive[1:], strict=False)), default=1.0))
    zero = positive[0] - away
    at = tuple(math.log10(number) if number > 0 else zero for number in numbers)
    gap = (zero, positive[0]) if 0 in numbers else None
    bare = [f"{number:g}" for number in numbers]
    title = f"{axis.title}, {axis.unit}" if axis.unit else axis.title
    return Scale(at, _ticks(at, bare), gap, title)


def _ticks(at: Sequence[float], labels: Sequence[str]) -> tuple[tuple[float, str], ...]:
    """All places, or every second, third, ..., where they would crowd."""
    step = -(-len(at) // _MOST_TICKS)
    return tuple(zip(at[::step], labels[::step], strict=True))


def draw_scale(panel: Axes, drawn: Scale) -> None:
    """Ticks, label, and two strokes where the axis is broken."""
    panel.set_xticks([at for at, _ in drawn.ticks], [label for _, label in drawn.ticks])
    panel.minorticks_off()
    panel.set_xlabel(drawn.title)
    edge = 0.04 * (max(drawn.at) - min(drawn.at) or 1.0)
    panel.set_xlim(min(drawn.at) - edge, max(drawn.at) + edge)
    if drawn.gap is not None:
        middle = sum(drawn.gap) / 2
        for shift in (-0.3, 0.3):
            panel.plot(
                [middle + (shift - 0.25) * edge, middle + (shift + 0.25) * edge],
                [-0.02, 0.02],
                color=INK,
                linewidth=0.8,
                clip_on=False,
                transform=panel.get_xaxis_transform(),
            )
