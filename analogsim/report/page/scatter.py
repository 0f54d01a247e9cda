"""Scores against sampled settings: a panel for each setting, a mark for each rule at each point."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import offset_copy

from analogsim.outcomes import Axis
from analogsim.report.page.cells import Key, Rule, jobs_of
from analogsim.report.page.estimate import Scores
from analogsim.report.page.figure import Block, Panel, columns_for, limits, look_of, mark_entries, missing_said
from analogsim.report.page.goal import draw_goal, goal_entries
from analogsim.report.page.learning import MOST_FIGURES
from analogsim.report.page.samples import Mark, Sampled
from analogsim.report.page.svg import PAGE_STYLE, inline
from analogsim.report.page.tones import GROUND
from analogsim.report.page.view import View

MOST_POINTS = 200
"""Points of a panel, at most: more are a cloud with any number."""
_APART = 2.6  # points of type between the marks of two rules at one place


def scatters(view: View, found: Sequence[Sampled]) -> list[Block]:
    """A figure for each of the first few devices."""
    return [_block(view, each, at, len(found)) for at, each in enumerate(found[:MOST_FIGURES])]


def scatter_said(view: View, devices: int) -> str:
    """How to read them.

    Args:
        view: of the study.
        devices: how many have results.
    """
    scores, copies = Scores(view.accurate), view.words.copies
    over = ", averaged over noise levels as in the ranking" * (view.noise is not None)
    few = f" {devices - MOST_FIGURES} further devices have none here." * (devices > MOST_FIGURES)
    return (
        f"Each mark is a rule at a sampled point: {scores.what}, mean over the {copies} there{over}; bar: 95 % "
        "interval of that mean. Where marks of a rule climb or fall from left to right, the setting matters to it; "
        "where they scatter, other settings do, or chance. What helps up to somewhere and harms beyond makes a hump, "
        f"which rank correlations do not find. Marks of one point stand a little apart.{few}"
    )


def _block(view: View, found: Sampled, at: int, devices: int) -> Block:
    device = found.device
    points = sorted({mark.place for marks in found.marks.values() for mark in marks}, key=str)
    shown = set(points[:: -(-len(points) // MOST_POINTS)])
    scales = limits((mark.score for marks in found.marks.values() for mark in marks), view.accurate)
    left = f"{len(shown)} of {len(points)} points are drawn; all are in the CSV file." * (len(shown) < len(points))
    missing = missing_said(view, device)
    fixed_goal = _fixed_goal(view, found)
    prefix = f"sample{at}"
    return Block(
        name=f"sampled-settings-{at + 1}" if devices > 1 else "sampled-settings",
        title=device.label,
        caption=" ".join(each for each in (left, f"{missing[:1].upper()}{missing[1:]}." * bool(missing)) if each),
        panels=[
            _panel(view, found, axis, number, shown, scales, f"{prefix}x{number}")
            for number, axis in enumerate(view.sampled)
        ],
        legend=[
            *mark_entries(view, view.present(device), prefix),
            *(goal_entries(view, [device], prefix) if fixed_goal else []),
        ],
        table=_table(view, found),
        columns=columns_for(len(view.sampled)),
    )


def _fixed_goal(view: View, found: Sampled) -> bool:
    """Whether the reference is the same at all points, so that one line tells it."""
    reference = view.reference(found.device)
    return reference is not None and not reference.sampled


def _panel(
    view: View, found: Sampled, axis: Axis, number: int, shown: set[Key], scales: tuple[float, float], name: str
) -> Panel:
    scores, present = Scores(view.accurate), list(found.marks)
    with mpl.rc_context(PAGE_STYLE):
        figure = Figure(figsize=(4.1, 2.9))
        panel = figure.add_axes((0.125, 0.155, 0.86, 0.825))
        if _fixed_goal(view, found):
            draw_goal(panel, view, found.device, "y")
        _draw_scale(panel, axis)
        panel.set_ylim(*scales)
        panel.set_ylabel(f"{'mean ' * (view.noise is not None)}{scores.head}")
        for at, rule in enumerate(rule for rule in view.rules if rule in present):
            marks = [mark for mark in found.marks[rule] if mark.place in shown and math.isfinite(mark.score.mean)]
            _draw(panel, view, rule, marks, number, _APART * (at - (len(present) - 1) / 2))
        where = f" on {found.device.label}" if found.device.label else ""
        title = f"{scores.what} against {axis.title}{where}: {', '.join(rule.title for rule in present)}"
        svg = inline(figure, name, title)
    jobs = jobs_of(cell.best for standing in found.ranking.standings for _, cell in standing.at)
    return Panel("", svg, jobs)


def _draw(panel: Axes, view: View, rule: Rule, marks: Sequence[Mark], number: int, shift: float) -> None:
    style, factor = look_of(view, rule), Scores(view.accurate).factor
    figure = panel.get_figure()
    assert isinstance(figure, Figure)
    apart = offset_copy(panel.transData, fig=figure, x=shift, units="points")
    bars = [
        (mark.numbers[number], mark.score.low, mark.score.high)
        for mark in marks
        if mark.score.low is not None and mark.score.high is not None
    ]
    lows, highs = [factor * low for _, low, _ in bars], [factor * high for _, _, high in bars]
    panel.vlines([x for x, _, _ in bars], lows, highs, color=style.colour, linewidth=1.0, alpha=0.55, transform=apart)
    panel.plot(
        [mark.numbers[number] for mark in marks],
        [factor * mark.score.mean for mark in marks],
        color=style.colour,
        linestyle="",
        marker=style.marker,
        markersize=4.4 if rule.candidate else 5.4,
        markerfacecolor=style.colour if rule.candidate else GROUND,
        transform=apart,
    )


def _draw_scale(panel: Axes, axis: Axis) -> None:
    """The range that was sampled, on its scale."""
    assert axis.sampled is not None and axis.numbers is not None
    low, high = axis.sampled.low, axis.sampled.high
    if axis.sampled.scale == "log":
        panel.set_xscale("log")
        edge = (high / low) ** 0.04
        panel.set_xlim(low / edge, high * edge)
        ticks = log_ticks(low, high)
    else:
        edge = 0.04 * (high - low)
        panel.set_xlim(low - edge, high + edge)
        whole = all(number == int(number) for number in axis.numbers)
        found = MaxNLocator(nbins=7, integer=whole, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        ticks = [float(tick) for tick in found if low - edge <= tick <= high + edge]
    panel.set_xticks(ticks, [f"{tick:.10g}" for tick in ticks])
    panel.minorticks_off()
    panel.set_xlabel(f"{axis.title}, {axis.unit}" if axis.unit else axis.title)


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers from one to another, four at least where there are as many, and eight at most."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    best: list[float] = []
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        found = [float(f"{step}e{decade}") for decade in decades for step in steps]
        found = [tick for tick in found if low * 0.999 <= tick <= high * 1.001]
        found = found[:: -(-len(found) // 8)] if found else found
        if len(found) >= 4:
            return found
        best = max(best, found, key=len)
    return best if len(best) > 1 else [low, high]


def _table(view: View, found: Sampled) -> list[list[object]]:
    """A row for each rule at each point, as rows of a CSV file."""
    names = [*(axis.name for axis in view.axes), *(axis.name for axis in view.sampled)]
    table: list[list[object]] = [[*names, "rule", "marks", "setting", "mean", "low", "high", "chips", "diverged"]]
    device = [place for _, place in found.device.place]
    for rule, marks in found.marks.items():
        for mark in marks:
            score = mark.score
            numbers = (score.mean, score.low, score.high, score.n, mark.diverged)
            table.append([*device, *mark.place, rule.name, " ".join(rule.marks), mark.setting, *numbers])
    return table
