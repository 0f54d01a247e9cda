"""What figures of a page are made of: panels, a legend, and the numbers that were drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import matplotlib as mpl
from matplotlib.figure import Figure

from analogsim.report.page.cells import Device, Rule, jobs_of
from analogsim.report.page.estimate import Scores
from analogsim.report.page.svg import PAGE_STYLE, inline
from analogsim.report.page.tones import GROUND, INK, Line, Look, look
from analogsim.report.page.view import View
from analogsim.statistics import Interval

MOST_DEVICES = 60
"""Panels of a figure, at most: more would take long to draw, and nobody would look at them."""

KEY_BOX = "0 0 30.24 12.24"
"""Of the sign of a rule, as a viewBox."""

_PREFIX = "PREFIX-OF-A-SWATCH"


@dataclass(frozen=True)
class Panel:
    """One diagram.

    Attributes:
        title: above it.
        svg: the drawing.
        jobs: ids of the jobs whose numbers it shows.
        note: what is missing in it; empty: nothing.
    """

    title: str
    svg: str
    jobs: Sequence[str]
    note: str = ""


@dataclass(frozen=True)
class Entry:
    """A line of a legend."""

    title: str
    svg: str


@dataclass(frozen=True)
class Block:
    """A figure: panels that share a legend.

    Attributes:
        name: of its files; unique on a page.
        title: what it shows; may be empty where a section has one figure.
        caption: how to read it.
        panels, legend: in order.
        table: what was drawn, a header first, as rows of a CSV file.
        columns: panels side by side, where there is room.
    """

    name: str
    title: str
    caption: str
    panels: Sequence[Panel]
    legend: Sequence[Entry]
    table: Sequence[Sequence[object]]
    columns: int = 3


def columns_for(panels: int) -> int:
    """Side by side: such that no line is nearly empty."""
    return {1: 1, 2: 2, 4: 2}.get(panels, 3)


def look_of(view: View, rule: Rule) -> Look:
    """How a rule is drawn, in all figures of a page."""
    alike = [each for each in view.rules if each.candidate == rule.candidate]
    return look(alike.index(rule), rule.candidate)


def rule_entries(view: View, rules: Iterable[Rule], prefix: str) -> list[Entry]:
    """The legend of rules."""
    return [
        Entry(rule.title, _swatch(f"{prefix}-key{at}", rule.title, drawn.colour, drawn.line, drawn.marker))
        for at, rule in enumerate(view.rules)
        if rule in rules
        for drawn in [look_of(view, rule)]
    ]


def mark_entries(view: View, rules: Iterable[Rule], prefix: str) -> list[Entry]:
    """The same where rules have marks and no lines: those of comparisons are hollow."""
    return [
        Entry(rule.title, _swatch(f"{prefix}-key{at}", rule.title, drawn.colour, "", drawn.marker, not rule.candidate))
        for at, rule in enumerate(view.rules)
        if rule in rules
        for drawn in [look_of(view, rule)]
    ]


def rule_keys(view: View) -> str:
    """The signs of all rules, drawn once for a page: `<use href="#key-3">` shows that of the fourth."""
    signs = []
    for at, entry in enumerate(rule_entries(view, view.rules, "key")):
        inside = entry.svg[entry.svg.index("</title>") + len("</title>") : -len("</svg>")]
        signs.append(f'<symbol id="key-{at}" viewBox="{KEY_BOX}">{inside}</symbol>')
    return f'<svg class="keys" aria-hidden="true">{"".join(signs)}</svg>'


def line_entry(name: str, title: str, line: Line) -> Entry:
    """The legend of a line in the colour of the text."""
    return Entry(title, _swatch(name, title, INK, line, ""))


def _swatch(prefix: str, title: str, colour: str, line: Line, marker: str, hollow: bool = False) -> str:
    return _drawn_swatch(title, colour, line, marker, hollow).replace(_PREFIX, prefix)


@lru_cache(maxsize=256)
def _drawn_swatch(title: str, colour: str, line: Line, marker: str, hollow: bool) -> str:
    with mpl.rc_context(PAGE_STYLE):
        figure = Figure(figsize=(0.42, 0.17))
        panel = figure.add_axes((0, 0, 1, 1))
        panel.set_axis_off()
        panel.set_xlim(0, 1)
        panel.set_ylim(0, 1)
        panel.plot([0.02, 0.98], [0.5, 0.5], color=colour, linestyle=line, linewidth=1.6)
        panel.plot(
            [0.5],
            [0.5],
            color=colour,
            linestyle="",
            marker=marker,
            markersize=5.4 if hollow else 4.5,
            markerfacecolor=GROUND if hollow else colour,
        )
        return inline(figure, _PREFIX, title)


def left_margin(labels: Iterable[str], title: str = "") -> float:
    """Inches that the labels of a y axis need, and its title beside them."""
    return min(1.7, 0.12 + 0.072 * max(map(len, labels), default=1)) + (0.2 if title else 0.0)


def further_said(found: int, what: str) -> str:
    """That a figure has fewer panels than there are: ` 3 further maps are in the CSV file alone.`; empty if not."""
    return f" {found - MOST_DEVICES} further {what} are in the CSV file alone." if found > MOST_DEVICES else ""


def best_said(view: View) -> str:
    """A sentence, where a rule was tried in several settings."""
    several = any(len(cell.settings) > 1 for cell in view.all_cells())
    return " Of a rule with several settings the one with the best mean at each point is shown." if several else ""


def missing_said(view: View, device: Device) -> str:
    """Which rules of the study have no results on a device; empty: all have some."""
    present = view.present(device)
    away = [rule.title for rule in view.rules if rule not in present]
    return f"without results here: {', '.join(away)}" if away else ""


def score_limits(view: View, devices: Sequence[Device]) -> tuple[float, float]:
    """Of an axis of scores, with room for all of them and their intervals; see `limits`."""
    scores = [cell.best.score for each in devices for rule in view.rules for _, cell in view.cells(rule, each)]
    scores += [found.score for device in devices if (found := view.reference(device))]
    return limits(scores, view.accurate)


def limits(scores: Iterable[Interval], accurate: bool) -> tuple[float, float]:
    """From a little under the lowest end of an interval to a little over the highest.

    Accuracies end at 0 and 100 %. Losses, which know no end, have room for as much again as their means span, or for a
    tenth of the largest, beyond these: one wide interval would else flatten all others.
    """
    known = [each for each in scores if math.isfinite(each.mean)]
    factor = Scores(accurate).factor
    means = [factor * each.mean for each in known] or [0.0, 1.0]
    low, high = min(means), max(means)
    room = 100.0 if accurate else max(high - low, 0.1 * abs(high))
    ends = [factor * end for each in known for end in (each.low, each.high) if end is not None and math.isfinite(end)]
    low, high = max(min([*ends, low]), low - room), min(max([*ends, high]), high + room)
    edge = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return max(0.0, low - edge), min(101.0, high + edge) if accurate else high + edge


def device_jobs(view: View, device: Device) -> list[str]:
    """Ids of the jobs whose numbers are shown of a device."""
    reference = view.reference(device)
    cells = [cell.best for rule in view.rules for _, cell in view.cells(rule, device)]
    return jobs_of([*cells, *([reference] if reference else [])])


def counted(view: View) -> str:
    """What the number of numbers behind a mean is called in CSV files: `chips`, or `points`."""
    return "points" if view.sampled else "chips"


def point_table(view: View) -> list[list[object]]:
    """Each rule at each device and level, as rows of a CSV file."""
    noise = [view.plan.noise.name] if view.plan.noise else []
    table: list[list[object]] = [
        [
            *(axis.name for axis in view.axes),
            *noise,
            *("rule", "marks", "setting", "mean", "low", "high", counted(view), "diverged"),
        ]
    ]
    for device in view.devices:
        for rule in view.rules:
            for level, cell in view.cells(rule, device):
                best, score = cell.best, cell.best.score
                setting = " ".join([best.arm, *(f"{name}={place}" for name, place in best.own)])
                where = [place for _, place in device.place] + ([level.place] if noise else [])
                numbers = (score.mean, score.low, score.high, score.n, best.diverged)
                table.append([*where, rule.name, " ".join(rule.marks), setting, *numbers])
    return table
