"""What learning cost: accuracy against passes, simulated time and energy, and what arms give for the same of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from analogsim.report.style import COLOURS, STYLE, legend_below, save, within_percent
from analogsim.report.summary import classified, points, score
from analogsim.results import ArmResult, Curve, Result, Spent, interval, marked

_BUDGETS: dict[str, Callable[[Spent], float]] = {
    "passes": lambda spent: float(spent.passes),
    "time": lambda spent: spent.seconds,
    "energy": lambda spent: spent.joules,
}
_AXES = {
    "passes": ("forward passes of a batch", ""),
    "time": ("simulated time of learning", "s"),
    "energy": ("energy of learning", "J"),
}


def comparable(result: Result) -> bool:
    """Whether there are arms without axes whose learning somebody priced, and accuracies to compare."""
    return classified(result) and bool(_priced(result))


def drawable(result: Result, curves: Sequence[Curve]) -> bool:
    """Whether an arm was evaluated twice or more on its way, so that there are lines to draw."""
    arms = _priced(result) if classified(result) else {}
    return any(len({curve.step for curve in _on_its_chips(arm, name, curves)} - {0}) > 1 for name, arm in arms.items())


def _priced(result: Result) -> dict[str, ArmResult]:
    """Arms without axes that have learned on chips with prices."""
    return {
        name: arm
        for name, arm in result.arms.items()
        if arm.step is not None
        and len(points(arm)) == 1
        and any(chip.spent and chip.spent.passes for chip in arm.chips)
    }


def _on_its_chips(arm: ArmResult, name: str, curves: Sequence[Curve]) -> list[Curve]:
    """Evaluations of an arm on the chips that it ends on."""
    return [curve for curve in curves if curve.arm == name and curve.stage >= arm.first_stage and curve.spent]


class Cost(NamedTuple):
    """What an arm's learning cost; means over chips.

    Attributes:
        arm: its name.
        marks: what makes it a comparison.
        step: seconds of a step.
        seconds, joules, writes: of all its learning.
        wear: most pulses or writes that a device of any chip has received until the end of training.
        reached: joules until the stated accuracy, a mean over the chips that reached it, and how many did; None: no
            accuracy was stated.
        at_equal: accuracy with half its interval within the budget that all arms have, by its name; where a chip's is
            not finite, 0 stands for it.
    """

    arm: str
    marks: tuple[str, ...]
    step: float
    seconds: float
    joules: float
    writes: float
    wear: int
    reached: tuple[float, int] | None
    at_equal: dict[str, tuple[float, float | None]]


def costs(result: Result, curves: Sequence[Curve]) -> list[Cost]:
    """Of the arms without axes that have prices, in order.

    Args:
        result: of a run.
        curves: its evaluations.
    """
    arms = _priced(result)
    by_arm = {name: _on_its_chips(arm, name, curves) for name, arm in arms.items()}
    budgets = {
        what: min((_mean_spent(own[-1], of) for own in by_arm.values()), default=0.0) for what, of in _BUDGETS.items()
    }
    return [_cost(name, arm, by_arm[name], budgets, result.reach) for name, arm in arms.items() if by_arm[name]]


def _cost(name: str, arm: ArmResult, own: Sequence[Curve], budgets: dict[str, float], reach: float | None) -> Cost:
    assert arm.step is not None
    spent = [chip.spent for chip in arm.chips if chip.spent is not None]
    reached = [chip.reached.joules for chip in arm.chips if chip.reached is not None]
    return Cost(
        arm=name,
        marks=arm.marks,
        step=arm.step.seconds,
        seconds=_mean([each.seconds for each in spent]),
        joules=_mean([each.joules for each in spent]),
        writes=_mean([float(each.writes) for each in spent]),
        wear=max(each.wear for each in spent),
        reached=None if reach is None else (_mean(reached), len(reached)),
        at_equal={what: _within(own, of, budgets[what]) for what, of in _BUDGETS.items()},
    )


def _within(own: Sequence[Curve], of: Callable[[Spent], float], budget: float) -> tuple[float, float | None]:
    """Accuracy when a budget is spent, each chip's interpolated between two evaluations; 0 where it is not finite."""
    spent = [_mean_spent(curve, of) for curve in own]
    after = next((at for at, used in enumerate(spent) if used >= budget * (1 - 1e-9)), len(own) - 1)
    before = max(0, after - 1)
    gap = spent[after] - spent[before]
    share = min(1.0, (budget - spent[before]) / gap) if gap > 0 else 1.0
    pairs = zip(own[before].chips, own[after].chips, strict=True)
    known = [(score(a, accurate=True), score(b, accurate=True)) for a, b in pairs]
    return interval([a + share * (b - a) for a, b in known])


def _mean_spent(curve: Curve, of: Callable[[Spent], float]) -> float:
    return _mean([of(each) for each in curve.spent])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def accuracy_for_cost(result: Result, curves: Sequence[Curve], files: Sequence[Path]) -> None:
    """Draw accuracy against passes, simulated time and energy: the frontier of the rules.

    An accuracy that is not finite counts as 0.

    Args:
        result: of a run.
        curves: its evaluations.
        files: where to save the figure, .png or .svg.
    """
    arms = _priced(result)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 4.0), layout="constrained")
        panels = figure.subplots(1, 3, sharey=True)
        for panel, (what, of) in zip(panels, _BUDGETS.items(), strict=True):
            for index, (name, arm) in enumerate(arms.items()):
                own = [curve for curve in _on_its_chips(arm, name, curves) if _mean_spent(curve, of) > 0]
                known = [[score(chip, accurate=True) for chip in curve.chips] for curve in own]
                shown = [(_mean_spent(curve, of), interval(each)) for curve, each in zip(own, known, strict=True)]
                x, mean = [x for x, _ in shown], [100 * value for _, (value, _) in shown]
                half = [100 * (width or 0.0) for _, (_, width) in shown]
                colour, style = COLOURS[index % len(COLOURS)], "--" if arm.marks else "-"
                dots = "o" if len(x) <= 12 else ""
                title = marked(name, arm.marks)
                panel.plot(x, mean, style, marker=dots, markersize=3, color=colour, label=title, linewidth=1.5)
                low, high = ([m + sign * h for m, h in zip(mean, half, strict=True)] for sign in (-1, 1))
                panel.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
            _axis(panel, what)
        within_percent(panels[0])
        panels[0].set_ylabel("test accuracy, %")
        figure.suptitle(f"{result.name}: mean over chips; band: 95 % interval", fontsize=10)
        legend_below(figure, panels)
        save(figure, files)


def _axis(panel: Axes, what: str) -> None:
    """Logarithmic where it spans more than a decade, with prefixes in place of powers of ten."""
    name, unit = _AXES[what]
    low, high = panel.get_xlim()
    drawn = [float(x) for line in panel.lines for x in np.asarray(line.get_xdata())]
    if drawn and max(drawn) > 10 * min(drawn):
        panel.set_xscale("log")
        panel.minorticks_off()
    else:
        panel.set_xlim(low, high)
        panel.locator_params(axis="x", nbins=5)
    panel.xaxis.set_major_formatter(EngFormatter(unit))
    panel.set_xlabel(name)
