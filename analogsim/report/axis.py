"""Accuracy against an axis of the population: one line for each arm, or for the best of each family, with bands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analogsim.report.style import COLOURS, STYLE, save
from analogsim.report.summary import Standing, all_points, axis_label, classified, standings
from analogsim.results import Result, marked

_TICKS = (1, 2, 5, 10, 20, 50, 80, 90, 95, 97, 98, 99, 99.5)


def only_axis(result: Result) -> str | None:
    """The axis of a result whose chips lie on exactly one with several places; None otherwise.

    None also where an axis of one place, of some arms alone, makes two points of one place.
    """
    places: dict[str, set[str]] = {}
    for arm in result.arms.values():
        for chip in arm.chips:
            for axis, place in chip.coordinates.items():
                places.setdefault(axis, set()).add(str(place))
    axes = [axis for axis, values in places.items() if axis != "chip" and len(values) > 1]
    if len(axes) != 1:
        return None
    ticks = [_tick(point, axes[0]) for point in all_points(result)]
    return axes[0] if len(set(ticks)) == len(ticks) else None


def accuracy_against(result: Result, axis: str, files: Sequence[Path]) -> None:
    """Draw final test accuracy against the places of an axis, evenly spaced in the scenario's order.

    Where there is no accuracy, the loss. Arms without the axis stand at a tick of their own, `-`.

    Args:
        result: of a run.
        axis: as `only_axis` names it.
        files: where to save it, .png or .svg.
    """
    table, accurate = standings(result), classified(result)
    inside = _inside if accurate else float
    lines: dict[str, list[Standing | None]] = {}
    for _, found in table:
        for standing in found:
            lines.setdefault(standing.family, [])
    for _, found in table:
        here = {standing.family: standing for standing in found}
        for family, line in lines.items():
            line.append(here.get(family))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 4.6), layout="constrained")
        panel = figure.subplots()
        for index, (family, line) in enumerate(lines.items()):
            known = [(at, standing) for at, standing in enumerate(line) if standing is not None]
            x = [at for at, _ in known]
            mean = [inside(standing.final[0]) for _, standing in known]
            half = [standing.final[1] or 0.0 for _, standing in known]
            marks = next((standing.marks for _, standing in known if standing.marks), ())
            colour = COLOURS[index % len(COLOURS)]
            title = marked(family, marks)
            panel.plot(x, mean, "--o" if marks else "-o", color=colour, label=title, linewidth=1.6, markersize=4)
            low, high = ([inside(m + sign * h) for m, h in zip(mean, half, strict=True)] for sign in (-1, 1))
            panel.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
        if accurate:
            panel.set_yscale("logit")  # resolves what lies near 100 % without losing what lies near chance
            panel.yaxis.set_major_locator(FixedLocator([tick / 100 for tick in _TICKS]))
            panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
            panel.yaxis.set_minor_locator(NullLocator())
        panel.set_xticks(range(len(table)), [_tick(point, axis) for point, _ in table])
        panel.set_xlabel(axis_label(axis))
        panel.set_ylabel(f"test {'accuracy of the noisy chip, %' if accurate else 'loss of the noisy chip'}")
        best = ", best setting of each rule" if any(arm.family for arm in result.arms.values()) else ""
        panel.set_title(f"{result.name}: mean over chips{best}; band: 95 % interval", fontsize=10, loc="left")
        panel.legend(loc="best", fontsize=9)
        save(figure, files)


def _tick(point: dict[str, Any], axis: str) -> str:
    return str(point.get(axis, "-"))


def _inside(accuracy: float) -> float:
    """An accuracy that a logit axis can show."""
    return min(max(accuracy, 0.01), 0.999)
