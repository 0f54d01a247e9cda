"""What happened on a timeline: accuracy as time passes, as a table's rows and as a figure, with events marked."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analogsim.report.style import COLOURS, STYLE, legend_below, save, within_percent
from analogsim.results import ArmResult, Moment, Result, interval, marked

_UNITS = (("year", 31557600.0), ("month", 2629800.0), ("day", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0))
_SMALL = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))
_LOOKS = ("evaluate", "self_test")
_WORK = ("train", "compensate", "reprogram", "calibrate", "self_test")  # what is done to keep a chip alive


def duration(seconds: float) -> str:
    """`3600` -> `1 h`: in the largest unit that leaves at least 1."""
    if not seconds:
        return "0 s"
    units = _UNITS if seconds >= 1 else _SMALL
    name, unit = next(((name, unit) for name, unit in units if seconds >= unit * (1 - 1e-9)), units[-1])
    return f"{seconds / unit:.3g} {name}"


class Look(NamedTuple):
    """An evaluation of all chips of an arm at one time.

    Attributes:
        seconds: since the beginning of the timeline.
        accuracy: of each chip, 0 where it is not finite; empty where targets are no classes.
        loss: of each chip, infinite where it is not finite.
        steps: learning steps of a chip since the beginning, a mean.
        joules: that a chip has used since then, a mean; None without prices.
        wear: the most writes of a device of any chip; None where nobody counts.
    """

    seconds: float
    accuracy: tuple[float, ...]
    loss: tuple[float, ...]
    steps: float
    joules: float | None
    wear: int | None


def looks(arm: ArmResult) -> list[Look]:
    """Evaluations that all chips of an arm have at the same times, in order; several of one time in their order."""
    each = [[moment for moment in life.moments if moment.event == "evaluate"] for life in arm.lives]
    if len(each) > 1:
        counts = [Counter(moment.seconds for moment in moments) for moments in each]
        least = {time: min(count[time] for count in counts) for time in set.intersection(*map(set, counts))}
        each = [
            [moment for time, same in groupby(moments, _when) for moment in islice(same, least.get(time, 0))]
            for moments in each
        ]
    accurate = any(chip.best.test_accuracy is not None for chip in arm.chips)
    return [_look(together, accurate) for together in zip(*each, strict=True)]


def _when(moment: Moment) -> float:
    return moment.seconds


def _look(moments: Sequence[Moment], accurate: bool) -> Look:
    accuracy = tuple(a or 0.0 for moment in moments for a in moment.accuracy or () if accurate)
    loss = tuple(math.inf if a is None else a for moment in moments for a in moment.loss or ())
    joules = [a for moment in moments for a in moment.joules or ()]
    steps = sum(moment.steps for moment in moments) / len(moments)
    wear = max((a for moment in moments for a in moment.wear or ()), default=None)
    return Look(moments[0].seconds, accuracy, loss, steps, sum(joules) / len(joules) if joules else None, wear)


def happened(arm: ArmResult) -> dict[str, float]:
    """How often each kind of event happened to a chip, a mean over chips; evaluations aside."""
    counts: dict[str, float] = {}
    for life in arm.lives:
        for moment in life.moments:
            if moment.event != "evaluate":
                counts[moment.event] = counts.get(moment.event, 0.0) + 1 / len(arm.lives)
    return counts


def requests(arm: ArmResult) -> Iterator[Moment]:
    """Traffic events of all lives."""
    return (moment for life in arm.lives for moment in life.moments if moment.requests is not None)


def accuracy_over_time(result: Result, files: Sequence[Path]) -> None:
    """Draw accuracy against the time since training, logarithmic, and below it when each arm's chips were cared for."""
    arms = {name: arm for name, arm in result.arms.items() if any(life.moments for life in arm.lives)}
    cared = [name for name, arm in arms.items() if any(kind in _WORK for kind in happened(arm))]
    times = sorted({look.seconds for arm in arms.values() for look in looks(arm)})
    begin = min((seconds for seconds in times if seconds > 0), default=1.0) / 3  # 0 s has no place on the axis
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 4.2 + 0.24 * len(cared)), layout="constrained")
        ratios = [4.0, max(0.05, 0.24 * len(cared))]
        top, rug = figure.subplots(2, 1, sharex=True, height_ratios=ratios)
        for index, (name, arm) in enumerate(arms.items()):
            _draw_arm(top, name, arm, index, begin)
        within_percent(top)
        _draw_events(top, arms, begin)
        _draw_care(rug, arms, cared)
        _time_axis(rug, times, begin)
        top.set_ylabel("test accuracy, %")
        top.set_title(f"{result.name}: mean over chips; band: 95 % interval", fontsize=10, loc="left")
        legend_below(figure, [top])
        save(figure, files)


def _draw_arm(panel: Axes, name: str, arm: ArmResult, index: int, begin: float) -> None:
    found = [look for look in looks(arm) if look.accuracy]
    x = [look.seconds or begin for look in found]
    each = [interval(look.accuracy) for look in found]
    mean, half = [100 * a for a, _ in each], [100 * (b or 0.0) for _, b in each]
    colour = COLOURS[index % len(COLOURS)]
    style, dots = "--" if arm.marks else "-", "o" if len(found) <= 30 else ""
    panel.plot(x, mean, style, marker=dots, color=colour, label=marked(name, arm.marks), linewidth=1.5, markersize=4)
    low, high = ([m + sign * h for m, h in zip(mean, half, strict=True)] for sign in (-1, 1))
    panel.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


def _draw_events(panel: Axes, arms: dict[str, ArmResult], begin: float) -> None:
    """What happens to chips: a line with its name, or a span for as long as it lasts."""
    kinds = ("fault", "temperature", "power_loss", "traffic")
    moments = [moment for arm in arms.values() for life in arm.lives for moment in life.moments]
    found = {
        (each.seconds if each.began is None else each.began, each.event) for each in moments if each.event in kinds
    }
    for began, end in {(each.began, each.seconds) for each in moments if each.began is not None}:
        panel.axvspan(began or begin, end, color="0.5", alpha=0.05, linewidth=0)
    for seconds, event in sorted(found):
        at = seconds or begin
        panel.axvline(at, color="0.4", linewidth=0.8, linestyle=":")
        words = event.replace("_", " ")
        panel.annotate(
            words, (at, 0.02), xycoords=("data", "axes fraction"), rotation=90, fontsize=7, ha="right", va="bottom"
        )


def _draw_care(panel: Axes, arms: dict[str, ArmResult], cared: Sequence[str]) -> None:
    """A row for each arm: a tick where any of its chips has been trained, compensated, ..."""
    order = list(arms)
    for row, name in enumerate(cared):
        moments = [moment for life in arms[name].lives for moment in life.moments if moment.event in _WORK]
        colour = COLOURS[order.index(name) % len(COLOURS)]
        panel.plot([m.seconds for m in moments], [row] * len(moments), "|", color=colour, markersize=7)
    panel.set_yticks(range(len(cared)), list(cared), fontsize=7)
    panel.set_ylim(max(1, len(cared)) - 0.5, -0.5)
    panel.grid(visible=False)


_ROUND = (
    *(10.0**power for power in range(-9, 2)),
    60.0,
    3600.0,
    86400.0,
    7 * 86400.0,
    2629800.0,
    31557600.0,
    315576000.0,
)


def _time_axis(panel: Axes, times: Sequence[float], begin: float) -> None:
    """Ticks at the times of evaluations where there are few and they are apart, or else at round ones; and at 0 s."""
    panel.set_xscale("log")
    later = [seconds for seconds in times if seconds > 0] or [1.0]
    apart = all(b > 1.6 * a for a, b in zip(later, later[1:], strict=False))
    shown = later
    if len(later) > 8 or not apart:
        shown = [each for each in _ROUND if later[0] <= each <= later[-1] * (1 + 1e-9)]
        shown = shown if len(shown) > 1 else sorted({later[0], *shown, later[-1]})
    zero = [begin] if times and times[0] == 0 else []
    panel.set_xticks([*zero, *shown], [*("0 s" for _ in zero), *(duration(seconds) for seconds in shown)])
    panel.minorticks_off()
    what = "time after training"
    panel.set_xlabel(f"{what}; ticks: learning, compensation and the like have ended" if panel.lines else what)
