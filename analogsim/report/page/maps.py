"""Heat maps: noise against another axis, a map for each rule and each point of the axes that are left."""

from __future__ import annotations

import math
from collections.abc import Mapping

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analogsim.outcomes import Axis
from analogsim.report.page.cells import Cell, Place, Rule, jobs_of
from analogsim.report.page.estimate import DASH, Scores
from analogsim.report.page.figure import (
    MOST_DEVICES,
    Block,
    Entry,
    Panel,
    best_said,
    counted,
    further_said,
    left_margin,
)
from analogsim.report.page.svg import PAGE_STYLE, inline
from analogsim.report.page.tones import INK, contrast
from analogsim.report.page.view import View

COLOURS = "cividis"
"""A sequential map for colour-blind readers too (Nuñez, Anderton and Renslow, PLOS ONE 2018)."""

_DARK, _PALE = "#0b0b0b", "#fafafa"
_SHADES = 48  # of the scale beside the maps

Cells = dict[tuple[int, int], Cell]
"""By row and column."""


def second_axis(view: View) -> Axis | None:
    """What noise is drawn against: of the axes with several places the longest with numbers, or else the longest."""
    found = [axis for axis in view.axes if len(_places(view, axis)) > 1]
    return max(found, key=lambda axis: (axis.numbers is not None, len(_places(view, axis))), default=None)


def _places(view: View, axis: Axis) -> list[str]:
    """Of an axis, those that there are devices at, in order."""
    used = {dict(device.place)[axis.name] for device in view.devices}
    return [place for place in axis.places if place in used]


def _varied(view: View, place: Place) -> list[tuple[str, str]]:
    return [
        (axis.name, each)
        for axis in view.axes
        for name, each in place
        if name == axis.name and len(_places(view, axis)) > 1
    ]


def heat_maps(view: View) -> Block | None:
    """None where there is no noise axis, no other, or no result."""
    axis = second_axis(view)
    if view.noise is None or axis is None or not view.rules:
        return None
    grids = _grids(view, axis)
    means = [cell.best.score.mean for cells in grids.values() for cell in cells.values()]
    finite = [mean for mean in means if math.isfinite(mean)]
    norm = Normalize(min(finite, default=0.0), max(finite, default=1.0))
    shown = list(grids.items())[:MOST_DEVICES]
    return Block(
        name="heat-maps",
        title="",
        caption=f"Mean {Scores(view.accurate).head} over {view.replicates}, all maps on one scale; rows: "
        f"{axis.title}.{best_said(view)}{further_said(len(grids), 'maps')}",
        panels=[_panel(view, axis, *where, cells, norm, f"map{at}") for at, (where, cells) in enumerate(shown)],
        legend=[Entry("", _scale(view, norm))],
        table=_table(view, axis, grids),
        columns=3 if len({rest for _, rest in grids}) % 2 else 2,
    )


def _grids(view: View, axis: Axis) -> dict[tuple[Rule, Place], Cells]:
    """The cells of each rule at each point of the other axes; those without any are left out."""
    places, found = _places(view, axis), dict[tuple[Rule, Place], Cells]()
    for rule in view.rules:
        for device in view.devices:
            rest = tuple(each for each in device.place if each[0] != axis.name)
            row = places.index(dict(device.place)[axis.name])
            for level, cell in view.cells(rule, device):
                found.setdefault((rule, rest), {})[row, view.levels.index(level)] = cell
    return found


def _panel(view: View, axis: Axis, rule: Rule, rest: Place, cells: Cells, norm: Normalize, name: str) -> Panel:
    assert view.noise is not None
    places, columns, noise = _places(view, axis), len(view.levels), view.noise
    size = 8.0 if columns <= 8 else 6.5
    with mpl.rc_context(PAGE_STYLE):
        beside = axis.title if 0.075 * len(axis.title) < 0.3 * len(places) + 0.2 else ""  # the caption has it, too
        height, left = 0.56 + 0.3 * len(places), left_margin(places, beside)
        figure = Figure(figsize=(4.1, height))
        panel = figure.add_axes((left / 4.1, 0.5 / height, 1 - (left + 0.04) / 4.1, 0.3 * len(places) / height))
        for row in range(len(places)):
            for column in range(columns):
                _draw(panel, row, column, cells.get((row, column)), norm, Scores(view.accurate), size)
        panel.set_xlim(-0.5, columns - 0.5)
        panel.set_ylim(len(places) - 0.5, -0.5)
        labels = [f"{number:g}" for number in noise.numbers] if noise.numbers else list(noise.places)
        panel.set_xticks(range(columns), labels, fontsize=size)
        panel.set_yticks(range(len(places)), places)
        panel.set_xlabel(f"{noise.title}, {noise.unit}" if noise.unit else noise.title)
        panel.set_ylabel(beside)
        panel.yaxis.set_label_coords(-(left - 0.1) / (4.06 - left), 0.5)
        _bare(panel)
        title = " · ".join(each for each in (rule.title, view.label(_varied(view, rest))) if each)
        svg = inline(figure, name, f"{Scores(view.accurate).what} of {title}: {axis.title} and {noise.title}")
    return Panel(title, svg, jobs_of(cell.best for cell in cells.values()))


def _draw(panel: Axes, row: int, column: int, cell: Cell | None, norm: Normalize, scores: Scores, size: float) -> None:
    text = {"ha": "center", "va": "center", "fontsize": size}
    if cell is None:
        panel.text(column, row, DASH, color=INK, **text)
        return
    mean = cell.best.score.mean
    known = math.isfinite(mean)
    colour = to_hex(mpl.colormaps[COLOURS](float(norm(mean)))) if known else "#9a9a9a"
    panel.add_patch(Rectangle((column - 0.49, row - 0.485), 0.98, 0.97, facecolor=colour, linewidth=0))
    ink = max((_DARK, _PALE), key=lambda each: contrast(each, colour))
    panel.text(column, row, scores.number(mean, 0 if size > 7 else -1) if known else "∞", color=ink, **text)


def _bare(panel: Axes) -> None:
    panel.grid(visible=False)
    for spine in panel.spines.values():
        spine.set_visible(False)


def _scale(view: View, norm: Normalize) -> str:
    """The scale of all maps, as a drawing."""
    scores = Scores(view.accurate)
    low, high = scores.factor * float(norm.vmin or 0.0), scores.factor * float(norm.vmax or 0.0)
    with mpl.rc_context(PAGE_STYLE):
        figure = Figure(figsize=(2.6, 0.56))
        panel = figure.add_axes((0.05, 0.7, 0.9, 0.28))
        width = (high - low or 1.0) / _SHADES
        for step in range(_SHADES):
            colour = mpl.colormaps[COLOURS]((step + 0.5) / _SHADES)
            panel.axvspan(low + step * width, low + _SHADES * width, color=colour, linewidth=0)  # over the one before
        panel.set_xlim(low, low + _SHADES * width)
        panel.set_yticks([])
        panel.locator_params(axis="x", nbins=4)
        panel.set_xlabel(scores.head)
        _bare(panel)
        return inline(figure, "map-scale", f"colours: {scores.head}")


def _table(view: View, axis: Axis, grids: Mapping[tuple[Rule, Place], Cells]) -> list[list[object]]:
    assert view.noise is not None
    others, places = [each.name for each in view.axes if each.name != axis.name], _places(view, axis)
    table: list[list[object]] = [["rule", "marks", *others, axis.name, view.noise.name, "mean", counted(view)]]
    for (rule, rest), cells in grids.items():
        for (row, column), cell in cells.items():
            where = [*(place for _, place in rest), places[row], view.levels[column].place]
            table.append([rule.name, " ".join(rule.marks), *where, cell.best.score.mean, cell.best.score.n])
    return table
