"""Learning curves: test accuracy (or loss) against epochs, one line for each arm, with bands over chips."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analogsim.report.style import COLOURS, STYLE, legend_below, save, within_percent
from analogsim.report.summary import classified, point_label, points, score, standings
from analogsim.report.words import words
from analogsim.results import Curve, Result, interval, marked

_TITLE = 44  # characters of a line over a panel


def learning_curves(result: Result, curves: Sequence[Curve], files: Sequence[Path]) -> None:
    """Draw test accuracies, or losses where there are none; one panel for each point of the axes.

    Seeds have no panels: their chips are drawn together. Losses that fall far stand on a logarithmic scale, with
    geometric means and the intervals of these. Every chip counts at every evaluation: an accuracy that is not finite as
    0, a loss as infinite; a mean that is infinite is not drawn, and the line ends there.

    Args:
        result: of a run.
        curves: its evaluations.
        files: where to save the figure, .png or .svg.
    """
    decades = None if classified(result) else _decades(curves)
    labels = list(dict.fromkeys(_label(result, point) for arm in result.arms.values() for point, _ in points(arm)))
    with mpl.rc_context(STYLE):
        columns = min(3, len(labels))
        lines = -(-len(labels) // columns)
        figure = Figure(figsize=(max(6.4, 4.2 * columns), 4.0 * lines), layout="constrained")
        panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
        for panel, label in zip(panels.flat, labels, strict=False):
            _draw(panel, result, curves, label, logarithmic=decades is not None)
            panel.set_title(textwrap.fill(label, _TITLE), fontsize=10, loc="left")
        for panel in panels.flat[len(labels) :]:
            panel.set_axis_off()
        called = words(result)
        for panel in panels.flat[max(0, len(labels) - columns) : len(labels)]:  # the lowest of each column
            panel.set_xlabel(called.time)
            panel.xaxis.set_tick_params(labelbottom=True)
        figure.supylabel(called.accuracy if classified(result) else called.loss, fontsize=10)
        mean = "mean" if decades is None else "geometric mean"
        figure.suptitle(f"{result.name}: {mean} over {called.copies}, band: 95 % interval of the mean", fontsize=11)
        if classified(result):
            within_percent(panels[0, 0])
        if decades is not None:
            panels[0, 0].set_ylim(decades[0] / 1.5, decades[1] * 1.5)  # first: no scale would fit to the widest bands
            panels[0, 0].set_yscale("log")
        shown = {t: h for p in panels.flat for h, t in zip(*p.get_legend_handles_labels(), strict=True)}
        if len(shown) <= 6:
            panels.flat[len(labels) - 1].legend(list(shown.values()), list(shown), loc="best")
        else:  # it would hide the lines
            legend_below(figure, panels.flat)
        save(figure, files)


def _decades(curves: Sequence[Curve]) -> tuple[float, float] | None:
    """The least and the largest loss, if losses fall so far that an even scale shows little but the first."""
    losses = [loss for curve in curves for chip in curve.chips if (loss := chip.test_loss) is not None]
    least, most = min(losses, default=0.0), max(losses, default=0.0)
    return (least, most) if 0 < 5 * least < most else None


def _draw(panel: Axes, result: Result, curves: Sequence[Curve], label: str, logarithmic: bool) -> None:
    shown, accurate = _shown(result, label), classified(result)
    titles = list(dict.fromkeys(_title(result, name) for name in result.arms))
    for name, title in shown.items():
        arm = result.arms[name]
        chips = [at for at, chip in enumerate(arm.chips) if _label(result, chip.coordinates) == label]
        history = [curve for curve in curves if curve.arm == name]
        if not chips or not history:
            continue
        epochs, means, lower, upper = [], [], [], []
        for curve in history:
            values = [(100 if accurate else 1) * score(curve.chips[at], accurate) for at in chips]
            epochs.append(curve.chips[0].epoch)
            for row, value in zip((means, lower, upper), _mean(values, logarithmic), strict=True):
                row.append(value)
        colour = COLOURS[titles.index(title) % len(COLOURS)]
        style, title = ("--" if arm.marks else "-"), marked(title, arm.marks)
        alone = "o" if sum(map(math.isfinite, means)) == 1 else None  # one evaluation makes no line
        panel.plot(epochs, means, style, color=colour, label=title, linewidth=1.6, marker=alone, markersize=4)
        panel.fill_between(epochs, lower, upper, color=colour, alpha=0.2, linewidth=0)


def _mean(values: Sequence[float], logarithmic: bool) -> tuple[float, float, float]:
    """The mean, or the geometric mean, and the ends of its interval; nan, which is not drawn, where it is infinite."""
    if not all(map(math.isfinite, values)):
        return math.nan, math.nan, math.nan
    mean, half = interval([math.log(value) for value in values] if logarithmic else values)
    low, high = mean - (half or 0), mean + (half or 0)
    high = min(high, 700) if logarithmic else high  # two chips may be so far apart that no float is the upper end
    return (math.exp(mean), math.exp(low), math.exp(high)) if logarithmic else (mean, low, high)


def _shown(result: Result, label: str) -> dict[str, str]:
    """Arms to draw in a panel, with their titles: all, or of each family the best there."""
    if not any(arm.family for arm in result.arms.values()):
        return {name: name for name in result.arms}
    best = [standing for point, found in standings(result) if point_label(point) == label for standing in found]
    return {standing.arm: standing.family for standing in best}


def _title(result: Result, name: str) -> str:
    """What stands for an arm in all panels, in one colour: its family, or itself where it is in none."""
    return result.arms[name].family or name


def _label(result: Result, coordinates: dict[str, Any]) -> str:
    """Of the panel in which a chip is drawn: seeds are repeats, unless the best of each family is chosen for each."""
    apart = {"chip"} if any(arm.family for arm in result.arms.values()) else {"chip", "seed"}
    return point_label({axis: place for axis, place in coordinates.items() if axis not in apart})
