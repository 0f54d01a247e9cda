"""A page as a figure: header, one diagram for each panel, what is absent, sources."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analogsim.characterize.page import Band, Map, Page, Panel, Points
from analogsim.report.style import COLOURS, STYLE, save

# A fixed grid: solved layouts differ in their last digits from draw to draw.
_WIDTH, _ROW, _LINE, _TITLE, _EDGE = 11.0, 3.2, 0.17, 0.36, 0.12  # inches: page, row of panels, line of text, name, rim
_LEFT, _ABOVE, _BELOW = 0.55, 0.42, 0.55  # inches about the axes of a panel
_HEADLINES = ("Not in this profile", "Sources")
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
    columns = 2 if len(page.panels) in (2, 4) else min(3, max(1, len(page.panels)))
    rows = -(-len(page.panels) // columns)
    begin = _TITLE + _LINE * (len(top) + 1)  # of the panels, inches from the top
    end = begin + _ROW * rows
    height = end + _LINE * (max(len(left), len(right)) + 1)
    with mpl.rc_context(_PAGE):
        figure = Figure(figsize=(_WIDTH, height))
        figure.text(_EDGE / _WIDTH, 1 - 0.08 / height, page.name, fontsize=16, fontweight="bold", va="top")
        _write(figure, _EDGE, _TITLE + 0.08, top)
        wide = (_WIDTH - _EDGE) / columns
        for index, panel in enumerate(page.panels.values()):
            row, column = divmod(index, columns)
            x, y = _EDGE + column * wide + _LEFT, begin + (row + 1) * _ROW - _BELOW  # of the lower left corner
            size = (wide - _LEFT - _EDGE) / _WIDTH, (_ROW - _ABOVE - _BELOW) / height
            draw_panel(figure.add_axes((x / _WIDTH, 1 - y / height, *size)), panel)
        _write(figure, _EDGE, end + 0.08, left)
        _write(figure, _WIDTH / 2 + _EDGE, end + 0.08, right)
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
    place.text(0, 1.02, panel.note, transform=place.transAxes, fontsize=7.5, color=_GUIDE)
    if place.get_legend_handles_labels()[1]:
        place.legend(loc=panel.legend)


def _absent(page: Page) -> list[str]:
    lines = [line for sentence in page.absent.values() for line in _wrapped(f"–  {sentence}", _HALF)]
    return [_HEADLINES[0], *lines] if lines else []


def _sources(page: Page) -> list[str]:
    lines = [line for source in page.references for line in _wrapped(f"–  {source}", _HALF)]
    measured = f"Measured on simulated devices, {page.devices} at each point, seed {page.seed}."
    return [*([_HEADLINES[1], *lines] if lines else []), measured]


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


def _write(figure: Figure, x: float, y: float, lines: Sequence[str]) -> None:
    """Lines of text, the first at x, y inches from the upper left corner."""
    width, height = figure.get_size_inches()
    for number, line in enumerate(lines):
        weight = "bold" if line in _HEADLINES else "normal"
        figure.text(x / width, 1 - (y + number * _LINE) / height, line, va="top", fontweight=weight)
