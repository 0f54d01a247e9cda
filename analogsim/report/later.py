"""Accuracy after training as time passes: a table's rows and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from analogsim.report.style import COLOURS, STYLE, save
from analogsim.results import Later, Result, interval, marked

_UNITS = (("month", 2629800.0), ("day", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0))


def duration(seconds: float) -> str:
    """`3600` -> `1 h`: in the largest unit that leaves at least 1."""
    name, unit = next(((name, unit) for name, unit in _UNITS if seconds >= unit), _UNITS[-1])
    return f"{seconds / unit:.3g} {name}"


def stages(later: Sequence[Later]) -> list[tuple[float, str, tuple[float, float | None]]]:
    """(seconds, what was done, mean accuracy with half its interval) in order."""
    rows = []
    for each in later:
        for done, values in (("aged", each.before), (f"{each.steps} more steps", each.after)):
            known = [value for value in values or () if value is not None]
            if known:
                rows.append((each.seconds, done, interval(known)))
    return rows


def accuracy_over_time(result: Result, files: Sequence[Path]) -> None:
    """Draw accuracy against the time since training, logarithmic; where an arm learns on, both values at each time."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 4.6), layout="constrained")
        panel = figure.subplots()
        arms = {name: arm for name, arm in result.arms.items() if arm.later}
        for index, (name, arm) in enumerate(arms.items()):
            rows = stages(arm.later)
            x = [seconds for seconds, _, _ in rows]
            mean = [100 * value for _, _, (value, _) in rows]
            half = [100 * (width or 0.0) for _, _, (_, width) in rows]
            colour, title = COLOURS[index % len(COLOURS)], marked(name, arm.marks)
            panel.plot(x, mean, "--o" if arm.marks else "-o", color=colour, label=title, linewidth=1.6, markersize=4)
            low, high = ([m + sign * h for m, h in zip(mean, half, strict=True)] for sign in (-1, 1))
            panel.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
        panel.set_xscale("log")
        times = sorted({each.seconds for arm in arms.values() for each in arm.later})
        panel.set_xticks(times, [duration(seconds) for seconds in times])
        panel.minorticks_off()
        panel.set_xlabel("time after training")
        panel.set_ylabel("test accuracy of the noisy chip, %")
        panel.set_title(f"{result.name}: mean over chips; band: 95 % interval", fontsize=10, loc="left")
        panel.legend(loc="best", fontsize=9)
        save(figure, files)
