"""A figure for each paper's scenario: what tells most of its arms as far as they were run."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analogsim.report.curves import learning_curves
from analogsim.report.diagnostics import LABELS, measured_metrics, metric_curves
from analogsim.report.looks import looked_only
from analogsim.report.style import COLOURS, STYLE, legend_below, save
from analogsim.results import Curve, Result
from reproduction.findings import Paper


def draw(paper: Paper, folder: Path) -> Path | None:
    """Draw a scenario's arms: learning curves; a metric where weights stand still; or a metric against K where nothing
    was learned. None: no arm was run."""
    run = paper.run()
    if run is None:
        return None
    result, curves = run
    metrics, file = measured_metrics(curves), folder / f"{paper.name}.png"
    folder.mkdir(parents=True, exist_ok=True)
    if metrics and looked_only(curves):
        save(_against_samples(result, curves, metrics[0]), [file], dpi=110)
    elif metrics and _stands_still(curves):
        metric_curves(result, curves, metrics[0], [file])
    else:
        learning_curves(result, curves, [file])
    return file


def _stands_still(curves: Sequence[Curve]) -> bool:
    """Whether the loss of every chip is the same at all times."""
    losses: dict[str, set[tuple[float | None, ...]]] = {}
    for curve in curves:
        losses.setdefault(curve.arm, set()).add(tuple(chip.test_loss for chip in curve.chips))
    return all(len(seen) == 1 for seen in losses.values())


def _number_axis(panel: Axes, numbers: set[float]) -> None:
    """Numbers of samples on a logarithmic axis; where one is 0 they count something else, and stand evenly."""
    if 0 in numbers:
        panel.set_xticks(sorted(numbers), [f"{number:g}" for number in sorted(numbers)])
    else:
        panel.set_xscale("log")


def _against_samples(result: Result, curves: Sequence[Curve], metric: str) -> Figure:
    """A metric of each layer, against the number that ends an arm's name: `np_1`, `np_10`, `np_100`."""
    families: dict[str, list[tuple[float, Curve]]] = {}
    for curve in curves:
        match = re.fullmatch(r"(.*?)[_-]?([0-9]+)", curve.arm)
        families.setdefault(match[1] if match else curve.arm, []).append((float(match[2]) if match else 1.0, curve))
    depth = max(len(chip.diagnostics.get(metric, ())) for curve in curves for chip in curve.chips)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(max(5.0, 3.2 * depth), 3.6), layout="constrained")
        panels = figure.subplots(1, depth, squeeze=False, sharey=True)[0]
        for layer, panel in enumerate(panels):
            for colour, (name, found) in zip(COLOURS, families.items(), strict=False):
                x, rows = [], []
                for number, curve in sorted(found, key=lambda each: each[0]):
                    values = [chip.diagnostics.get(metric, ()) for chip in curve.chips]
                    known = [v for each in values if layer < len(each) and (v := each[layer]) is not None]
                    if known:
                        x.append(number)
                        rows.append(known)
                panel.plot(x, [sum(row) / len(row) for row in rows], "o-", color=colour, label=name, markersize=3)
                panel.fill_between(x, [*map(min, rows)], [*map(max, rows)], color=colour, alpha=0.2, linewidth=0)
            panel.set_title(f"layer {layer + 1}", fontsize=9, loc="left")
            _number_axis(panel, {number for found in families.values() for number, _ in found})
            panel.set_xlabel("the number in the arm's name")
        panels[0].set_ylabel(textwrap.fill(LABELS.get(metric, metric), 26))
        figure.suptitle(f"{result.name}: mean, band: least to most", fontsize=10)
        legend_below(figure, panels)
    return figure
