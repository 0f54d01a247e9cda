"""A page as a figure: header, one diagram for each panel, what is absent, sources."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from analogsim.characterize.page import Band, Map, Page, Panel, Points
from analogsim.report.style import COLOURS, STYLE, save

_WIDTH, _ROW, _LINE, _TITLE = 11.0, 3.2, 0.17, 0.36  # inches: the page, a row of panels, a line of text, the name
_CHARACTERS, _HALF = 168, 0.46  # of a line of text over the whole width; share of one of two columns
_GUIDE = "#6e6e6e"
_DASHES = {"solid": "-", "dashed": "--", "dotted": ":", "steps": "-"}
_PAGE = {
    **STYLE,
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 16,
    "legend.fontsize": 7.5,
    "legend.frameon": True,
    "legend.framealpha": 0.8,
    "legend.edgecolor": "none",
}


def draw_page(page: Page, files: Sequence[Path]) -> None:
    """Draw a page.

    Args:
        page: what was measured.
        files: where to save it, .png or .svg.
    """
    top = _wrapped(page.description, 1.0) + _filled([f"{name}: {value}" for name, value in page.figures])
    left, right = _absent(page), _sources(page)
    columns = 2 if len(page.panels) in (2, 4) else min(3, len(page.panels))
    rows = -(-len(page.panels) // columns) if columns else 0
    heights = [_TITLE + _LINE * (len(top) + 1), _ROW * rows, _LINE * (max(len(left), len(right)) + 1)]
    if not rows:
        heights[1] = 0.01
    with mpl.rc_context(_PAGE):
        figure = Figure(figsize=(_WIDTH, sum(heights)), layout="constrained")
        parts = figure.add_gridspec(3, 1, height_ratios=heights)
        head, middle, foot = (figure.add_subfigure(parts[index]) for index in range(3))
        head.text(0.01, 1 - 0.08 / heights[0], page.name, fontsize=16, fontweight="bold", va="top")
        _write(head, 0.01, heights[0], top, _TITLE + 0.08)
        if rows:
            places = list(middle.subplots(rows, columns, squeeze=False).flat)
            for place, panel in zip(places, page.panels.values(), strict=False):
                draw_panel(place, panel)
            for place in places[len(page.panels) :]:
                place.set_axis_off()
        _write(foot, 0.01, heights[2], left)
        _write(foot, 0.51, heights[2], right)
        save(figure, files, dpi=110)


def draw_panel(place: Axes, panel: Panel) -> None:
    """Draw one diagram."""
    for trace in panel.traces:
        if isinstance(trace, Map):
            place.imshow(trace.values, origin="lower", cmap="viridis", aspect="auto", interpolation="nearest")
            lines = place.contour(trace.values, levels=6, colors="white", linewidths=0.7)
            place.clabel(
                lines, fmt=f"%g {trace.unit}".replace(" %", " %%"), fontsize=7.5
            )  # a colour bar would take the column's width
            place.grid(visible=False)
            continue
        colour = _GUIDE if trace.tone is None else COLOURS[trace.tone % len(COLOURS)]
        label = trace.label or "_"
        if isinstance(trace, Band):
            place.fill_between(trace.x, trace.low, trace.high, color=colour, alpha=0.22, linewidth=0, label=label)
        elif isinstance(trace, Points):
            place.plot(trace.x, trace.y, ".", color=colour, markersize=3, label=label, zorder=3)
        else:
            place.plot(
                trace.x,
                trace.y,
                _DASHES[trace.style] + ("o" if trace.marked else ""),
                color=colour,
                markersize=3,
                linewidth=0.9 if trace.tone is None else trace.width,
                drawstyle="steps-mid" if trace.style == "steps" else "default",
                label=label,
            )
    place.set(xscale=panel.x.scale, yscale=panel.y.scale, xlabel=panel.x.label, ylabel=panel.y.label)
    place.set(xlim=panel.x.limits, ylim=panel.y.limits)
    place.set_title(panel.title, fontweight="bold")
    place.text(0, 1.02, panel.note, transform=place.transAxes, fontsize=7.5, color=_GUIDE, in_layout=False)
    if place.get_legend_handles_labels()[1]:
        place.legend(loc=panel.legend)


def _absent(page: Page) -> list[str]:
    lines = [line for sentence in page.absent.values() for line in _wrapped(f"–  {sentence}", _HALF)]
    return ["Not in this profile", *lines] if lines else []


def _sources(page: Page) -> list[str]:
    lines = [line for source in page.references for line in _wrapped(f"–  {source}", _HALF)]
    measured = f"Measured on simulated devices, {page.devices} at each point, seed {page.seed}."
    return [*(["Sources", *lines] if lines else []), measured]


def _wrapped(text: str, share: float) -> list[str]:
    """Lines that fill a share of the page's width."""
    return textwrap.wrap(text, int(_CHARACTERS * share), subsequent_indent="    " if text.startswith("–") else "")


def _filled(entries: Sequence[str]) -> list[str]:
    """Lines of whole entries."""
    lines: list[str] = []
    for entry in entries:
        if lines and len(lines[-1]) + len(entry) + 5 <= _CHARACTERS:
            lines[-1] += f"  |  {entry}"
        else:
            lines.append(entry)
    return lines


def _write(place: SubFigure | Figure, x: float, height: float, lines: Sequence[str], start: float = 0.08) -> None:
    """Lines of text, from `start` inches below the top of a place of this height."""
    for number, line in enumerate(lines):
        headline = line in ("Sources", "Not in this profile")
        y = 1 - (start + number * _LINE) / height
        place.text(x, y, line, va="top", fontweight="bold" if headline else "normal")
