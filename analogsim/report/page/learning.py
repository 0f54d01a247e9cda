"""Learning curves: a figure for each device, a panel for each noise level."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analogsim.outcomes import StudyFolder
from analogsim.report.page.cells import Device, Key, Level, Rule
from analogsim.report.page.estimate import Scores, estimate
from analogsim.report.page.figure import Block, Panel, best_said, counted, limits, look_of, rule_entries
from analogsim.report.page.svg import PAGE_STYLE, inline
from analogsim.report.page.tones import Look
from analogsim.report.page.view import View
from analogsim.report.summary import score
from analogsim.statistics import Interval, student

MOST_LEVELS = 8
"""Panels of a device, at most."""
MOST_FIGURES = 12
"""Devices that have a figure, at most."""
_POINTS = 80  # of a line: more cannot be told apart

Where = tuple[Rule, Device, Level]
History = dict[float, Interval]
"""By epochs."""
_Chips = dict[tuple[str, int], float]  # by job and number


def histories(folder: StudyFolder, view: View) -> dict[Where, History]:
    """Means over the chips, or sampled points, of each rule, device and level, of the setting that is best there.

    Of an arm of stages those on the chips that it ends on; a stage begins with an evaluation at the epoch at which the
    one before has ended, and of two at one epoch the later counts. A number that is not finite is an accuracy of 0, or
    an infinite loss, and a mean that is infinite is not drawn.

    Their intervals are Student's, whatever the number of chips: there are too many of them for a bootstrap.
    """
    seats = _seats(view)
    found: dict[Where, dict[float, dict[Key, _Chips]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for job in view.plan.jobs:
        point = tuple(job.place.get(axis.name, "") for axis in view.sampled)
        for curve in folder.curves(job) if job.id in seats else ():
            if curve.stage < view.first_stages[job.id]:  # on other chips
                continue
            for number, places in seats[job.id].items():
                seen = curve.chips[number]
                for where in places:
                    found[where][seen.epoch][point][job.id, number] = score(seen, view.accurate)
    return {where: _history(history, bool(view.sampled)) for where, history in found.items()}


def _history(found: Mapping[float, Mapping[Key, _Chips]], sampled: bool) -> History:
    """Of the chips of a study; or of the sampled points, at the epochs that all of them have."""
    if not sampled:
        return {
            epoch: estimate(chips.values(), student) for epoch, each in sorted(found.items()) for chips in each.values()
        }
    most = max(map(len, found.values()))
    return {
        epoch: estimate([math.fsum(chips.values()) / len(chips) for chips in points.values()], student)
        for epoch, points in sorted(found.items())
        if len(points) == most
    }


def _seats(view: View) -> dict[str, dict[int, list[Where]]]:
    """By job what each chip of its population is shown in."""
    chips: dict[str, int] = defaultdict(int)
    numbers: dict[int, int] = {}
    for row in view.candidates:
        numbers[id(row)] = chips[row.job]
        chips[row.job] += 1
    seats: dict[str, dict[int, list[Where]]] = defaultdict(lambda: defaultdict(list))
    for device in view.devices:
        for rule in view.rules:
            for level, cell in view.cells(rule, device):
                for row in cell.best.rows:
                    seats[row.job][numbers[id(row)]].append((rule, device, level))
    return seats


def learning_curves(view: View, found: Mapping[Where, History]) -> list[Block]:
    """A figure for each device that has learning curves with more than one evaluation, of the first few devices.

    Args:
        view: of the study.
        found: as `histories` gives it.
    """
    drawn = {where: history for where, history in found.items() if len(history) > 1}
    devices = [device for device in view.devices if any(where[1] == device for where in drawn)]
    return [_block(view, drawn, device, at, len(devices)) for at, device in enumerate(devices[:MOST_FIGURES])]


def learning_said(view: View, devices: int) -> str:
    """How to read them.

    Args:
        view: of the study.
        devices: how many have a figure.
    """
    left = sum(bool(view.present(device)) for device in view.devices) - devices
    rest = f" {left} further devices have none here." * (left > 0)
    return f"Mean over {view.replicates}; band: 95 % interval of the mean.{best_said(view)}{rest}"


def _block(view: View, drawn: Mapping[Where, History], device: Device, at: int, devices: int) -> Block:
    here = {where: history for where, history in drawn.items() if where[1] == device}
    levels = [level for level in view.levels if any(where[2] is level for where in here)]
    shown = _spread(levels, MOST_LEVELS)
    scales = limits((each for history in here.values() for each in history.values()), view.accurate)
    left = f"{len(levels) - len(shown)} of {len(levels)} noise levels are in the CSV file alone."
    return Block(
        name=f"learning-curves-{at + 1}" if devices > 1 else "learning-curves",
        title=device.label,
        caption=left * (len(levels) > len(shown)),
        panels=[_panel(view, here, device, each, f"learn{at}x{number}", scales) for number, each in enumerate(shown)],
        legend=rule_entries(view, view.present(device), f"learn{at}"),
        table=_table(view, here, device),
        columns=4 if len(shown) in (4, 7, 8) else 3,
    )


def _spread(levels: Sequence[Level], most: int) -> list[Level]:
    """So many levels at most, the first and the last among them."""
    if len(levels) <= most:
        return list(levels)
    return [levels[round(step * (len(levels) - 1) / (most - 1))] for step in range(most)]


def _panel(
    view: View, here: Mapping[Where, History], device: Device, level: Level, name: str, scales: tuple[float, float]
) -> Panel:
    scores, noise = Scores(view.accurate), view.noise
    title = f"{noise.title} {level.place}" if noise is not None else ""
    jobs: dict[str, None] = {}
    with mpl.rc_context(PAGE_STYLE):
        figure = Figure(figsize=(3.1, 2.1))
        panel = figure.add_axes((0.165, 0.205, 0.815, 0.765))
        for rule in view.rules:
            cell = view.cell(rule, device, level)
            if cell is not None and (rule, device, level) in here:
                _draw(panel, here[rule, device, level], look_of(view, rule), scores.factor)
                jobs |= dict.fromkeys(cell.best.jobs)
        panel.set_ylim(*scales)
        panel.set_xlabel(view.words.time)
        panel.set_ylabel(scores.head)
        where = ", ".join(each for each in (device.label, title) if each)
        svg = inline(figure, name, f"{scores.what} against {view.words.time}{f': {where}' if where else ''}")
    return Panel(title, svg, list(jobs))


def _draw(panel: Axes, history: History, style: Look, factor: float) -> None:
    epochs = list(history)
    kept = sorted({*epochs[:: -(-len(epochs) // _POINTS)], epochs[-1]})
    known = [(epoch, history[epoch]) for epoch in kept if math.isfinite(history[epoch].mean)]
    every = max(1, len(known) // 6)
    panel.plot(
        [epoch for epoch, _ in known],
        [factor * each.mean for _, each in known],
        color=style.colour,
        linestyle=style.line,
        linewidth=1.5,
        marker=style.marker,
        markersize=3,
        markevery=(every // 2, every),
    )
    band = [(epoch, each.low, each.high) for epoch, each in known if each.low is not None and each.high is not None]
    low, high = [factor * low for _, low, _ in band], [factor * high for _, _, high in band]
    panel.fill_between([epoch for epoch, _, _ in band], low, high, color=style.colour, alpha=0.17, linewidth=0)


def _table(view: View, here: Mapping[Where, History], device: Device) -> list[list[object]]:
    noise = [view.plan.noise.name] if view.plan.noise else []
    names = [*(axis.name for axis in view.axes), *noise]
    table: list[list[object]] = [[*names, "rule", "marks", view.words.time, "mean", "low", "high", counted(view)]]
    for rule in view.rules:
        for level in view.levels:
            where = [*(place for _, place in device.place), *([level.place] if noise else [])]
            for epoch, each in here.get((rule, device, level), {}).items():
                numbers = (epoch, each.mean, each.low, each.high, each.n)
                table.append([*where, rule.name, " ".join(rule.marks), *numbers])
    return table
