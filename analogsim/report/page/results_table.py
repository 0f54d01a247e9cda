"""The full table of results: a row for each arm at each of its points."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from matplotlib.ticker import EngFormatter

from analogsim.outcomes import Axis, Outcome
from analogsim.report.page.cells import value_of
from analogsim.report.page.estimate import Scores, estimate
from analogsim.report.page.goal import REFERENCE
from analogsim.report.page.table import Builder, Cell, Table
from analogsim.report.page.view import View
from analogsim.results import marked

_JOULES, _SECONDS = EngFormatter("J", places=2, sep="\u00a0"), EngFormatter("s", places=2, sep="\u00a0")
_NUMBERS = (
    "lr", "steps", "passes/step", "passes", "tuning passes", "writes", "energy", "time", "silent", "saturated",
)  # fmt: skip


def results_table(view: View) -> Table:
    """Means over the chips of each point, the reference's first."""
    scores = Scores(view.accurate)
    table = Builder(
        "results",
        f"Means over {view.words.copies}; in brackets the 95 % interval of the mean. Best: the mean of the best "
        "evaluation of each. Passes: forward passes of a batch, of one chip's training and of the search of its "
        "learning rate.",
    )
    table.columns(number=False, heads=["arm", "rule"])
    heads = headings(view)
    for axis in heads:
        table.columns(number=axis.numbers is not None, heads=[heads[axis]])
    table.columns(number=True, heads=[view.words.copies, "diverged", scores.head, "best, %", "test loss", *_NUMBERS])
    table.columns(number=False, heads=["stands for its rule"])
    several = [cell for cell in view.all_cells() if len(cell.settings) > 1]
    best = {id(cell.best.rows[0]) for cell in several}
    before = None
    for rows in _points(view):
        first = rows[0]
        place = {head: first.place.get(axis.name, "") for axis, head in heads.items()}
        name = f"{REFERENCE} (reference)" if first.reference else marked(first.arm, first.marks)
        rule = "" if first.reference or first.family is None else first.family
        table.row(
            {
                "arm": name,
                "rule": rule,
                **place,
                **_numbers(view, scores, rows),
                "stands for its rule": "yes" * (id(first) in best),
            },
            jobs=dict.fromkeys(row.job for row in rows),
            quiet=first.reference or bool(first.marks),
            begins=first.arm != before,
        )
        before = first.arm
    return table.table()


def headings(view: View) -> dict[Axis, str]:
    """The columns of the axes, the seed aside: their titles, or their names where two would be called the same."""
    axes = [axis for axis in view.plan.axes if axis.kind != "seed" and axis.arm is None]
    return distinct(axes, ["arm", "rule", view.words.copies, *_NUMBERS])


def distinct(axes: Sequence[Axis], others: Sequence[str]) -> dict[Axis, str]:
    """What columns of axes are called beside others: titles, or names where two would be called the same."""
    taken = Counter([*(axis.title for axis in axes), *others])
    return {axis: axis.title if taken[axis.title] == 1 else axis.name for axis in axes}


def _points(view: View) -> list[list[Outcome]]:
    """Rows of the tidy table, chips of one arm and point together, in the order of arms and places."""
    groups: dict[tuple[object, ...], list[Outcome]] = {}
    for row in view.rows:
        groups.setdefault((not row.reference, row.arm, *sorted(row.place.items())), []).append(row)
    order = {job.id: view.arms.index(job.arm) for job in view.plan.jobs if not job.reference}
    axes = headings(view)

    def position(rows: Sequence[Outcome]) -> list[int]:
        first = rows[0]
        places = [axis.places.index(first.place[axis.name]) if axis.name in first.place else -1 for axis in axes]
        return [-1 if first.reference else order[first.job], *places]

    return sorted(groups.values(), key=position)


def _numbers(view: View, scores: Scores, rows: Sequence[Outcome]) -> dict[str, Cell | str]:
    found = estimate(value_of(row, view.accurate) for row in rows)
    diverged = sum(row.status == "diverged" for row in rows)
    losses = [math.inf if row.loss is None else row.loss for row in rows]
    cells: dict[str, Cell | str] = {
        view.words.copies: str(found.n),
        "diverged": str(diverged) if diverged else "",
        scores.head: Cell(scores.number(found.mean, 1), scores.bounds(found, 1)),
        "lr": rates(rows),
        "steps": str(max(row.steps for row in rows)),
        "passes/step": str(view.passes_per_step[rows[0].job]),
        **costs(rows),
        "silent": share(rows, "silent", 5e-3),
        "saturated": share(rows, "saturated", 5e-4),
    }
    if scores.accurate:
        cells["best, %"] = scores.number(_mean([row.best_accuracy or 0.0 for row in rows]), 1)
        cells["test loss"] = Scores(accurate=False).number(_mean(losses))
    return cells


def costs(rows: Sequence[Outcome]) -> dict[str, Cell | str]:
    """What the learning of a chip took, means over chips; energy and time where there are prices."""
    joules = [row.joules for row in rows if row.joules is not None]
    seconds = [row.seconds for row in rows if row.seconds is not None]
    return {
        "passes": count(_mean([row.passes for row in rows])),
        "tuning passes": count(tuning) if (tuning := _mean([row.tuning_passes for row in rows])) else "",
        "writes": count(_mean([row.writes for row in rows])),
        "energy": Cell(_JOULES(_mean(joules)), value=_mean(joules)) if joules else "",
        "time": Cell(_SECONDS(_mean(seconds)), value=_mean(seconds)) if seconds else "",
    }


def count(value: float) -> Cell:
    """`12,300`."""
    return Cell(f"{value:,.0f}".replace(",", "\u2009"), value=value)


def rates(rows: Iterable[Outcome]) -> Cell:
    """Learning rates: one, or from the lowest to the highest."""
    found = sorted({row.lr for row in rows})
    text = f"{found[0]:g}" if len(found) == 1 else f"{found[0]:g} to {found[-1]:g}"
    return Cell(text, value=None if len(found) == 1 else found[0])


def share(rows: Sequence[Outcome], name: str, least: float) -> str:
    """A mean in percent; empty where it is next to nothing."""
    value = _mean([getattr(row, name) for row in rows])
    return f"{100 * value:.1f}\u00a0%" if value >= least else ""


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
