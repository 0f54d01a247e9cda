"""Where a study has no noise axis: a point for each rule, a panel for each device."""

from __future__ import annotations

import math

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analogsim.report.page.cells import Device, Rule
from analogsim.report.page.estimate import Scores
from analogsim.report.page.figure import (
    MOST_DEVICES,
    Block,
    Panel,
    best_said,
    columns_for,
    device_jobs,
    further_said,
    left_margin,
    look_of,
    missing_said,
    point_table,
    score_limits,
)
from analogsim.report.page.goal import draw_goal, goal_entries
from analogsim.report.page.svg import PAGE_STYLE, inline
from analogsim.report.page.view import View


def rule_points(view: View) -> Block | None:
    """Scores of the chips with their intervals; None where there is a noise axis, or no result."""
    devices = [device for device in view.devices if view.present(device)]
    if view.noise is not None or not devices:
        return None
    scores, limits = Scores(view.accurate), score_limits(view, devices)
    shown = devices[:MOST_DEVICES]
    return Block(
        name="accuracies" if view.accurate else "losses",
        title="",
        caption=f"{scores.what.capitalize()} at the end of training, mean over {view.replicates}; bar: 95 % "
        f"interval of the mean.{best_said(view)}{further_said(len(devices), 'devices')}",
        panels=[_panel(view, device, f"points{index}", limits) for index, device in enumerate(shown)],
        legend=goal_entries(view, devices, "points"),
        table=point_table(view),
        columns=columns_for(len(shown)),
    )


def _panel(view: View, device: Device, name: str, limits: tuple[float, float]) -> Panel:
    present, scores = view.present(device), Scores(view.accurate)
    with mpl.rc_context(PAGE_STYLE):
        height, left = 0.56 + 0.27 * len(present), left_margin(rule.title for rule in present)
        figure = Figure(figsize=(4.1, height))
        panel = figure.add_axes((left / 4.1, 0.5 / height, 1 - (left + 0.06) / 4.1, 0.27 * len(present) / height))
        draw_goal(panel, view, device, "x")
        for row, rule in enumerate(present):
            _draw(panel, view, device, rule, row)
        panel.set_yticks(range(len(present)), [rule.title for rule in present])
        panel.set_ylim(len(present) - 0.5, -0.5)
        panel.set_xlim(*limits)
        panel.set_xlabel(scores.head)
        where = f" on {device.label}" if device.label else ""
        svg = inline(figure, name, f"{scores.what}{where}: {', '.join(rule.title for rule in present)}")
    return Panel(device.label, svg, device_jobs(view, device), missing_said(view, device))


def _draw(panel: Axes, view: View, device: Device, rule: Rule, row: int) -> None:
    (_, cell), *_ = view.cells(rule, device)
    score, factor = cell.best.score, Scores(view.accurate).factor
    if not math.isfinite(score.mean):
        return
    style = look_of(view, rule)
    if score.low is not None and score.high is not None:
        panel.hlines(row, factor * score.low, factor * score.high, color=style.colour, linewidth=1.8)
    face = style.colour if rule.candidate else "none"
    panel.plot(
        [factor * score.mean], [row], color=style.colour, markerfacecolor=face, marker=style.marker, markersize=5
    )
