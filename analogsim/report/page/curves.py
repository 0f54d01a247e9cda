"""Accuracy against noise, a panel for each device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analogsim.report.page.cells import Device
from analogsim.report.page.estimate import Scores
from analogsim.report.page.figure import (
    MOST_DEVICES,
    Block,
    Panel,
    best_said,
    columns_for,
    device_jobs,
    further_said,
    look_of,
    missing_said,
    point_table,
    rule_entries,
    score_limits,
)
from analogsim.report.page.goal import draw_goal, goal_entries
from analogsim.report.page.scale import Scale, draw_scale, scale
from analogsim.report.page.svg import PAGE_STYLE, inline
from analogsim.report.page.tones import Look
from analogsim.report.page.view import View
from analogsim.statistics import Interval


def noise_curves(view: View) -> Block | None:
    """Scores of the chips against noise, with bands; None without a noise axis or results."""
    devices = [device for device in view.devices if view.present(device)]
    if view.noise is None or not devices:
        return None
    scores, drawn, limits = Scores(view.accurate), scale(view.noise), score_limits(view, devices)
    shown = devices[:MOST_DEVICES]
    return Block(
        name="noise-curves",
        title="",
        caption=f"{scores.what.capitalize()} at the end of training, mean over {view.replicates}; band: 95 % "
        f"interval of the mean.{best_said(view)}{further_said(len(devices), 'devices')}",
        panels=[_panel(view, device, f"curves{index}", drawn, limits) for index, device in enumerate(shown)],
        legend=[*rule_entries(view, view.rules, "curves"), *goal_entries(view, devices, "curves")],
        table=point_table(view),
        columns=columns_for(len(shown)),
    )


def _panel(view: View, device: Device, name: str, drawn: Scale, limits: tuple[float, float]) -> Panel:
    scores = Scores(view.accurate)
    with mpl.rc_context(PAGE_STYLE):
        figure = Figure(figsize=(4.1, 2.9))
        panel = figure.add_axes((0.125, 0.155, 0.86, 0.825))
        draw_goal(panel, view, device, "y")
        for rule in view.rules:
            found = [(drawn.at[view.levels.index(level)], cell.best.score) for level, cell in view.cells(rule, device)]
            known = [(x, score) for x, score in found if math.isfinite(score.mean)]
            _draw(panel, known, drawn, scores.factor, look_of(view, rule))
        draw_scale(panel, drawn)
        panel.set_ylim(*limits)
        panel.set_ylabel(scores.head)
        where = f" on {device.label}" if device.label else ""
        title = f"{scores.what} against {drawn.title}{where}: {', '.join(rule.title for rule in view.present(device))}"
        svg = inline(figure, name, title)
    return Panel(device.label, svg, device_jobs(view, device), missing_said(view, device))


def _draw(panel: Axes, found: Sequence[tuple[float, Interval]], drawn: Scale, factor: float, style: Look) -> None:
    """A line with its band; to zero noise, which stands apart, a faint line, and there a bar in place of a band."""
    zero = drawn.gap[0] if drawn.gap else None
    apart = [each for each in found if each[0] == zero]
    rest = [each for each in found if each[0] != zero]
    if apart and rest:
        x, mean = _line([apart[0], rest[0]], factor)
        panel.plot(x, mean, color=style.colour, linewidth=0.8, linestyle=(0, (1, 2)))
    for part, line in ((rest, style.line), (apart, "")):
        x, mean = _line(part, factor)
        panel.plot(x, mean, color=style.colour, linestyle=line, marker=style.marker, markersize=3.6, linewidth=1.7)
    panel.fill_between(*_band(rest, factor), color=style.colour, alpha=0.17, linewidth=0)
    panel.vlines(*_band(apart, factor), color=style.colour, linewidth=1.1)


def _line(found: Sequence[tuple[float, Interval]], factor: float) -> tuple[list[float], list[float]]:
    return [x for x, _ in found], [factor * score.mean for _, score in found]


def _band(found: Sequence[tuple[float, Interval]], factor: float) -> tuple[list[float], list[float], list[float]]:
    known = [(x, score.low, score.high) for x, score in found if score.low is not None and score.high is not None]
    return [x for x, _, _ in known], [factor * low for _, low, _ in known], [factor * high for _, _, high in known]
