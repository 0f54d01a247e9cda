"""A figure for each paper's scenario: learning curves, or a metric against K where nothing was learned."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analogsim.report.diagnostics import LABELS, measured_metrics
from analogsim.report.style import COLOURS, STYLE, save
from analogsim.report.summary import classified
from analogsim.report.words import words
from analogsim.results import Curve, Result, marked
from reproduction.findings import Paper


def draw(paper: Paper, folder: Path) -> Path | None:
    """Draw a scenario's arms as far as they were run; None: none was."""
    run = paper.run()
    if run is None:
        return None
    result, curves = run
    metrics = measured_metrics(curves)
    with mpl.rc_context(STYLE):
        if metrics and all(curve.step == 0 for curve in curves):
            figure = _against_samples(result, curves, metrics[0])
        else:
            figure = _against_epochs(result, curves)
        figure.suptitle(f"{paper.name}: mean, band: least to most", fontsize=10)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{paper.name}.png"
        save(figure, [file], dpi=110)
    return file


def _against_epochs(result: Result, curves: list[Curve]) -> Figure:
    """Test accuracy, or the loss where there is none, against epochs."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    panel = figure.subplots()
    accurate = classified(result)
    for index, (name, arm) in enumerate(result.arms.items()):
        x, rows = [], []
        for curve in curves:
            found = [chip.test_accuracy if accurate else chip.test_loss for chip in curve.chips]
            known = [(100 if accurate else 1) * value for value in found if value is not None]
            if curve.arm == name and known:
                x.append(curve.chips[0].epoch)
                rows.append(known)
        _line(panel, x, rows, marked(name, arm.marks), index, "--" if arm.marks else "-")
    panel.set(xlabel=words(result).time, ylabel="test accuracy, %" if accurate else "test loss")
    if not accurate:
        panel.set_yscale("log")
    _legend(figure, [panel])
    return figure


def _against_samples(result: Result, curves: list[Curve], metric: str) -> Figure:
    """A metric of each layer, against the number that ends an arm's name: `np_1`, `np_10`, `np_100`."""
    families: dict[str, list[tuple[float, Curve]]] = {}
    for curve in curves:
        match = re.fullmatch(r"(.*?)[_-]?([0-9]+)", curve.arm)
        families.setdefault(match[1] if match else curve.arm, []).append((float(match[2]) if match else 1.0, curve))
    depth = max(len(chip.diagnostics.get(metric, ())) for curve in curves for chip in curve.chips)
    figure = Figure(figsize=(max(5.0, 3.2 * depth), 3.6), layout="constrained")
    panels = figure.subplots(1, depth, squeeze=False, sharey=True)[0]
    for layer, panel in enumerate(panels):
        for index, (name, found) in enumerate(families.items()):
            x, rows = [], []
            for number, curve in sorted(found, key=lambda each: each[0]):
                values = [chip.diagnostics.get(metric, ()) for chip in curve.chips]
                known = [each[layer] for each in values if layer < len(each) and each[layer] is not None]
                if known:
                    x.append(number)
                    rows.append(known)
            _line(panel, x, rows, name, index, "o-")
        panel.set_title(f"layer {layer + 1}", fontsize=9, loc="left")
        panel.set_xscale("log")
        panel.set_xlabel("samples")
    panels[0].set_ylabel(LABELS.get(metric, metric))
    _legend(figure, list(panels))
    return figure


def _line(panel: Axes, x: list[float], rows: list[list[float]], title: str, index: int, style: str) -> None:
    if not x:
        return
    colour = COLOURS[index % len(COLOURS)]
    panel.plot(x, [sum(row) / len(row) for row in rows], style, color=colour, label=title, linewidth=1.6, markersize=3)
    panel.fill_between(x, [min(row) for row in rows], [max(row) for row in rows], color=colour, alpha=0.2, linewidth=0)


def _legend(figure: Figure, panels: list[Axes]) -> None:
    shown = {t: h for panel in panels for h, t in zip(*panel.get_legend_handles_labels(), strict=True)}
    if shown:
        figure.legend(
            list(shown.values()),
            list(shown),
            loc="outside lower center",
            ncols=min(len(shown), max(1, 64 // (max(map(len, shown)) + 6))),
        )
