"""Metrics of an arm's diagnosis against epochs: a figure for each metric, a panel for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analogsim.report.looks import looked_only, metric_by_arm
from analogsim.report.style import COLOURS, STYLE, legend_below, save
from analogsim.report.summary import point_label, points
from analogsim.report.words import words
from analogsim.results import ArmResult, Curve, Result, interval, marked

LABELS = {
    "angle": "angle of an update to the true gradient, degrees",
    "weight_norm": "norm of the weights",
    "participation_ratio": "participation ratio of activities",
    "update_variance": "variance of an update, summed over weights",
    "feedback_alignment": "error of feedback weights, ||B - W|| / ||W||",
    "feedback_angle": "angle of feedback weights to W, degrees",
    "sign_agreement": "share of feedback weights with the sign of W",
}
"""What the axis of a metric says; others show their name."""


def measured_metrics(curves: Sequence[Curve]) -> list[str]:
    """Names of the metrics of which some chip has a number, in order."""
    found: dict[str, None] = {}
    for chip in (chip for curve in curves for chip in curve.chips):
        for name, layers in chip.diagnostics.items():
            if any(value is not None for value in layers):
                found[name] = None
    return list(found)


def metric_curves(result: Result, curves: Sequence[Curve], name: str, files: Sequence[Path]) -> None:
    """Draw a metric: a column of panels for each layer that has it, a row for each point of the axes.

    Where nothing was learned there are no epochs to draw it against, and arms stand side by side.

    Args:
        result: of a run.
        curves: its evaluations.
        name: of the metric.
        files: where to save the figure, .png or .svg.
    """
    if looked_only(curves):
        metric_by_arm(result, curves, LABELS.get(name, name.replace("_", " ")), name, files)
        return
    layers = _layers(curves, name)
    labels = list(dict.fromkeys(point_label(point) for arm in result.arms.values() for point, _ in points(arm)))
    with mpl.rc_context(STYLE):
        size = (max(5.0, 3.6 * len(layers)), max(3.6, 2.8 * len(labels) + 0.6))
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(labels), len(layers), squeeze=False, sharex=True)
        for row, label in zip(panels, labels, strict=True):
            for panel, layer in zip(row, layers, strict=True):
                for index, (title, arm) in enumerate(result.arms.items()):
                    history = [curve for curve in curves if curve.arm == title]
                    _draw(panel, arm, title, history, name, layer, label, COLOURS[index % len(COLOURS)])
                panel.set_title(
                    ", ".join(each for each in (f"layer {layer + 1}", label) if each), fontsize=9, loc="left"
                )
        for panel in panels[-1]:
            panel.set_xlabel(words(result).time)
        figure.supylabel(LABELS.get(name, name.replace("_", " ")), fontsize=10)
        figure.suptitle(
            f"{result.name}: mean over {words(result).copies}, band: 95 % interval of the mean", fontsize=10
        )
        legend_below(figure, panels.flat)
        save(figure, files)


def _layers(curves: Sequence[Curve], name: str) -> list[int]:
    """Numbers of the layers of which some chip has a number."""
    found = [chip.diagnostics.get(name, ()) for curve in curves for chip in curve.chips]
    return sorted({layer for layers in found for layer, value in enumerate(layers) if value is not None})


def _draw(
    panel: Axes, arm: ArmResult, title: str, history: Sequence[Curve], name: str, layer: int, label: str, colour: str
) -> None:
    chips = [
        at
        for at, chip in enumerate(arm.chips)
        if point_label({axis: place for axis, place in chip.coordinates.items() if axis != "chip"}) == label
    ]
    x, lines = [], []
    for curve in history:
        seen = [curve.chips[at].diagnostics.get(name, ()) for at in chips]
        values = [value for layers in seen if layer < len(layers) and (value := layers[layer]) is not None]
        if values:
            mean, half = interval(values)
            x.append(curve.chips[0].epoch)
            lines.append((mean, mean - (half or 0.0), mean + (half or 0.0)))
    if not x:
        return
    mean, low, high = zip(*lines, strict=True)
    style, title = ("--" if arm.marks else "-"), marked(title, arm.marks)
    panel.plot(x, mean, style, color=colour, label=title, linewidth=1.6)
    panel.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
