"""A metric of a run that only looked: a dot for each arm, where there are no epochs to draw it against."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from analogsim.report.style import COLOURS, STYLE, save
from analogsim.results import Curve, Metrics, Result, interval, marked


def looked_only(curves: Sequence[Curve]) -> bool:
    """Whether nothing was learned before any evaluation."""
    return all(curve.step == 0 for curve in curves)


def metric_by_arm(result: Result, curves: Sequence[Curve], what: str, name: str, files: Sequence[Path]) -> None:
    """Draw a metric at the beginning: a panel for each layer, an arm in each row, all points of the axes together.

    Args:
        result: of a run.
        curves: its evaluations; of each arm the first counts.
        what: the metric, in words.
        name: of the metric.
        files: where to save the figure, .png or .svg.
    """
    first = {curve.arm: curve.chips for curve in reversed(curves)}
    depth = max(len(chip.diagnostics.get(name, ())) for chips in first.values() for chip in chips)
    found = [{arm: _layer(chips, name, layer) for arm, chips in first.items()} for layer in range(depth)]
    shown = [(layer, by_arm) for layer, by_arm in enumerate(found) if any(by_arm.values())]
    with mpl.rc_context(STYLE):
        size = (max(5.0, 2.8 * len(shown) + 1), max(2.8, 0.26 * len(result.arms) + 1.2))
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
        for panel, (layer, by_arm) in zip(panels, shown, strict=True):
            for row, arm in enumerate(result.arms):
                if values := by_arm.get(arm):
                    mean, half = interval(values)
                    panel.errorbar(mean, row, xerr=half or 0.0, fmt="o", color=COLOURS[0], markersize=4, linewidth=1.4)
            panel.set_title(f"layer {layer + 1}", fontsize=9, loc="left")
            panel.set_yticks(range(len(result.arms)), [marked(arm, each.marks) for arm, each in result.arms.items()])
        panels[0].invert_yaxis()
        figure.supxlabel(what, fontsize=10)
        figure.suptitle(f"{result.name}: mean over chips, bar: 95 % interval of the mean", fontsize=10)
        save(figure, files)


def _layer(chips: Sequence[Metrics], name: str, layer: int) -> list[float]:
    """The numbers of a layer that chips have."""
    layers = [chip.diagnostics.get(name, ()) for chip in chips]
    return [value for each in layers if layer < len(each) and (value := each[layer]) is not None]
