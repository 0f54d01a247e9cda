"""The final table of a run, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from analogsim.report.cost import costs
from analogsim.report.lives import Look, duration, happened, looks, requests
from analogsim.report.summary import Row, Standing, classified, point_label, rows, standings
from analogsim.report.words import Words, words
from analogsim.results import Curve, Metrics, Moment, Requests, Result, StageResult, interval, marked

_WIDTH = 80


def final_table(result: Result) -> Table:
    """One row for each arm, point by point: accuracy with its 95 % interval over chips, and what it cost."""
    found, accurate, called = rows(result), classified(result), words(result)
    columns = {
        "arm": [_name(row) for row in found],
        "test\naccuracy, %": [_percent(row.final) for row in found if accurate],
        "best,\n%": [f"{100 * row.best[0]:.2f}" for row in found if accurate],
        "test\nloss": [f"{row.loss[0]:.3f}" if accurate else _plain(row.loss) for row in found],
        called.copies: [str(row.chips) for row in found],
        "passes\n/step": [str(row.passes_per_step) for row in found],
        "silent": [f"{row.silent:.0%}" if row.silent >= 5e-3 else "" for row in found],
        "satu-\nrated": [f"{row.saturated:.1%}" if row.saturated >= 5e-4 else "" for row in found],
        "diverged": [f"{row.diverged} of {row.chips}" if row.diverged else "" for row in found],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    table = _table(list(shown), left=("arm",))
    end = " at the end of training" if any(arm.lives for arm in result.arms.values()) else ""
    table.caption = _caption(found, "Accuracy" if accurate else "Loss", called, end) + _searched(result)
    order: dict[str, list[int]] = {}
    for index, row in enumerate(found):
        order.setdefault(point_label(row.point), []).append(index)
    for label, indices in order.items():
        _heading(table, label)
        for index in indices:
            table.add_row(*(cells[index] for cells in shown.values()))
        table.add_section()
    return _fitted(table)


def standings_table(result: Result) -> Table:
    """For each point of the axes the best setting of each family, and how far it is behind the leader."""
    accurate = classified(result)
    what, behind = ("test\naccuracy, %", "behind,\n%") if accurate else ("test\nloss", "behind")
    shown = _percent if accurate else _plain
    table = _table(["rule", "best setting", "lr", what, behind], left=("rule", "best setting"))
    difference = "accuracy of the point's leader minus this one's" if accurate else "this loss minus the leader's"
    table.caption = (
        f"behind: {difference}, paired by chip, ± half its 95 % interval.\n"
        "The best setting of a rule is chosen by these very numbers, in favour of rules with many settings."
        + _searched(result)
    )
    for point, found in standings(result):
        _heading(table, point_label(point))
        for standing in found:
            final, title = shown(standing.final), marked(standing.family, standing.marks)
            table.add_row(title, standing.arm, f"{standing.lr:g}", final, _behind(standing, accurate))
        table.add_section()
    return _fitted(table)


def _behind(standing: Standing, accurate: bool) -> str:
    if standing.marks:
        return ""
    if standing.leads:
        return "leads"
    if standing.behind is not None:
        return (_percent if accurate else _plain)(standing.behind)
    return "diverged" if math.isnan(standing.final[0]) else ""


def _searched(result: Result) -> str:
    """A line about the grids of learning rates, or nothing."""
    grids = {(tuning.lr, tuning.validation, tuning.protocol) for arm in result.arms.values() if (tuning := arm.tuning)}
    told = {
        "best": "\nlr: the best of {} on {} held-out training samples.",
        "highest_stable": "\nlr: the highest of {} with stable learning, without {} held-out training samples.",
    }
    return "".join(
        told[protocol].format(", ".join(f"{rate:g}" for rate in grid), held) for grid, held, protocol in sorted(grids)
    )


class _Table(Table):
    """A table that is never drawn narrower than its columns' least widths.

    Printed without cropping, its lines are broken by a narrower terminal, and no number loses digits.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        gaps = 2 * len(self.columns) if self.collapse_padding else 3 * len(self.columns) - 1
        least = sum(column.min_width or 0 for column in self.columns) + gaps
        return super().__rich_console__(console, options.update(max_width=max(least, options.max_width)))


def _table(columns: Sequence[str], left: Sequence[str]) -> Table:
    table = _Table(box=box.SIMPLE_HEAD, caption_justify="left", pad_edge=False)
    for name in columns:
        names = name in left
        table.add_column(name, justify="left" if names else "right", no_wrap=not names, overflow="fold")
    return table


def _fitted(table: Table) -> Table:
    """The table such that in a narrow terminal names fold and numbers stay whole; too wide a one has narrower gaps."""
    longest = [
        max(cell_len(line) for text in (column.header, *column.cells) for line in str(text).split("\n"))
        for column in table.columns
    ]
    for column, width in zip(table.columns, longest, strict=True):
        column.min_width = width if column.no_wrap else min(width, 6)
    table.collapse_padding = sum(longest) + 3 * len(longest) - 1 > _WIDTH
    return table


def _heading(table: Table, label: str) -> None:
    """A row that names the point of the axes to which the next ones belong."""
    if label:
        table.add_row(Text(label, style="bold"), *[""] * (len(table.columns) - 1))


def lives_table(result: Result) -> Table:
    """Accuracy of each arm as time passes after its training, what its chips have learned and used until then."""
    left = ("arm", "time after training")
    found = {name: looks(arm) for name, arm in result.arms.items()}
    priced = any(look.joules is not None for each in found.values() for look in each)
    worn = any(look.wear is not None for each in found.values() for look in each)
    accurate = any(look.accuracy for each in found.values() for look in each)
    what = "test\naccuracy, %" if accurate else "test\nloss"
    table = _table([*left, what, "steps", *priced * ["energy"], *worn * ["wear"]], left)
    lines = ["steps, energy: of a chip since the end of training, standing by included." * priced]
    lines += ["wear: the most writes of any device, the first programming included." * worn]
    for name, arm in result.arms.items():
        title = marked(name, arm.marks)
        for index, look in enumerate(_some(found[name])):
            shown = _percent(interval(look.accuracy)) if look.accuracy else _loss(look.loss)
            energy = priced * ["" if look.joules is None else joules(look.joules)]
            wear = worn * ["" if look.wear is None else f"{look.wear}"]
            table.add_row("" if index else title, duration(look.seconds), shown, f"{look.steps:g}", *energy, *wear)
        left_out = len(found[name]) - len(_some(found[name]))
        lines += [f"{title}: {left_out} more evaluations are in result.json." * bool(left_out)]
        counts = ", ".join(f"{number:g} x {kind.replace('_', ' ')}" for kind, number in happened(arm).items())
        lines += [f"{title}: {counts}." * bool(counts)]
        table.add_section()
    table.caption = "\n".join(line for line in lines if line)
    return _fitted(table)


_SHOWN = 12


def _some(found: Sequence[Look]) -> list[Look]:
    """All, or at most a dozen of them, the first and the last among these."""
    if len(found) <= _SHOWN:
        return list(found)
    return [found[round(at * (len(found) - 1) / (_SHOWN - 1))] for at in range(_SHOWN)]


def traffic_table(result: Result) -> Table:
    """How long requests for inference took, from each to its answer."""
    names = list(dict.fromkeys(name for each in _served(result) for name in each[2].percentiles))
    titles = ["slowest" if name == "100" else f"{name} %\nwithin" for name in names]
    table = _table(["arm", "from", "to", "requests", "mean", *titles], left=("arm",))
    before = ""
    for title, moment, served in _served(result)[:_TOLD]:
        times = [duration(served.percentiles[name]) if name in served.percentiles else "" for name in names]
        mean = "" if served.mean is None else duration(served.mean)
        ends = duration(moment.began or 0.0), duration(moment.seconds)
        table.add_row("" if title == before else title, *ends, str(served.count), mean, *times)
        before = title
    left_out = len(_served(result)) - _TOLD
    table.caption = "From a request to its answer; to: when the last one was accepted."
    if left_out > 0:
        table.caption += f"\n{left_out} more times of traffic are in result.json."
    return _fitted(table)


_TOLD = 20


def _served(result: Result) -> list[tuple[str, Moment, Requests]]:
    found = []
    for name, arm in result.arms.items():
        for moment in requests(arm):
            assert moment.requests is not None
            found.append((marked(name, arm.marks), moment, moment.requests))
    return found


def step_table(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """What a learning step takes, an arm in each row.

    Args:
        found: by arm: `passes`, and `step` with `seconds` and `joules` by kind.
    """
    table = _table(["arm", "passes", "a step", "energy", "analog, %", "digital, %"], left=("arm",))
    table.caption = (
        "A step's writes take time; their energy is counted in a run, and standby goes with time.\n"
        "analog, digital: share of the energy of converters and arrays, and of arithmetic."
    )
    for name, each in found.items():
        kinds = each["step"]["joules"]
        total, analog = sum(kinds.values()), sum(kinds[kind] for kind in ("dac", "array", "adc"))
        shares = [f"{100 * part / total:.0f}" if total else "" for part in (analog, kinds["digital"])]
        table.add_row(name, str(each["passes"]), duration(each["step"]["seconds"]), joules(total), *shares)
    return _fitted(table)


def inference_table(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """What an inference takes, an arm in each row.

    Args:
        found: by arm: `inference` with `seconds`, `interval` and `joules`.
    """
    table = _table(["arm", "inference", "every", "energy"], left=("arm",))
    table.caption = "From input to answer on an idle chip; every: how soon the next one may follow."
    for name, each in found.items():
        told = each["inference"]
        table.add_row(name, duration(told["seconds"]), duration(told["interval"]), joules(told["joules"]))
    return _fitted(table)


def cost_table(result: Result, curves: Sequence[Curve]) -> Table:
    """What the learning of each arm has cost."""
    table = _table(["arm", "a step", "time", "energy", "writes", "wear", *_reach_column(result.reach)], left=("arm",))
    table.caption = (
        "Learning of a chip until the end of training, as its profile's costs say.\n"
        "wear: the most writes of any device, the first programming included."
    )
    for cost in costs(result, curves):
        reached = [] if cost.reached is None else [_reached(cost.reached, len(result.arms[cost.arm].chips))]
        name, times = marked(cost.arm, cost.marks), (duration(cost.step), duration(cost.seconds))
        table.add_row(name, *times, joules(cost.joules), f"{cost.writes:.3g}", f"{cost.wear}", *reached)
    return _fitted(table)


def equal_table(result: Result, curves: Sequence[Curve]) -> Table:
    """The accuracies that all arms have for the same energy, passes and time."""
    whats = ("energy", "passes", "time")
    table = _table(["accuracy, %, for the same", *whats], left=("accuracy, %, for the same",))
    table.caption = "Of each, what the arm needs that needs the least of it; interpolated between evaluations."
    for cost in costs(result, curves):
        table.add_row(marked(cost.arm, cost.marks), *(_percent(cost.at_equal[what]) for what in whats))
    return _fitted(table)


def _reach_column(reach: float | None) -> list[str]:
    return [] if reach is None else [f"energy\nto {100 * reach:g} %"]


def _reached(found: tuple[float, int], chips: int) -> str:
    mean, count = found
    if not count:
        return "not reached"
    return joules(mean) if count == chips else f"{joules(mean)} ({count} of {chips})"


def joules(value: float) -> str:
    """`0.0031` -> `3.1 mJ`."""
    if not value:
        return "0 J"
    steps = (("kJ", 1e3), ("J", 1.0), ("mJ", 1e-3), ("uJ", 1e-6), ("nJ", 1e-9), ("pJ", 1e-12))
    name, unit = next(((name, unit) for name, unit in steps if value >= unit), steps[-1])
    return f"{value / unit:.3g} {name}"


def stages_table(result: Result) -> Table:
    """What each stage of an arm did: test accuracy (or loss) before its first step and after its last."""
    accurate = classified(result)
    unit = ",\n%" if accurate else ",\nloss"
    left = ("stage", "chips")
    table = _table([*left, "epochs", f"before{unit}", f"after{unit}", "passes\n/step"], left)
    table.caption = "ex situ: trained in a computer, on a model of such chips; same: the chips of the stage before."
    for name, arm in result.arms.items():
        for index, stage in enumerate(arm.stages):
            if not index:
                _heading(table, name)
            title = "deployed" if stage.rule == "none" else marked(_rule(stage), ("oracle",) if stage.oracle else ())
            state = (*(["ex situ"] if stage.ex_situ else []), *([] if stage.programmed else ["same"]))
            epochs = stage.chips[0].final.epoch - stage.chips[0].begin.epoch
            before, after = ([getattr(chip, at) for chip in stage.chips] for at in ("begin", "final"))
            table.add_row(
                title,
                marked(stage.profile, state),
                f"{epochs:g}" if stage.steps else "",
                _mean(before, accurate) if stage.steps else "",
                _mean(after, accurate),
                str(stage.passes_per_step or ""),
            )
        table.add_section()
    return _fitted(table)


def _rule(stage: StageResult) -> str:
    return f"d{stage.rule}" if stage.decorrelated else stage.rule


def _mean(found: Sequence[Metrics], accurate: bool) -> str:
    """Accuracy in percent, or the loss, with half its interval; of chips whose outputs were finite."""
    values = [each.test_accuracy if accurate else each.test_loss for each in found]
    known = [value for value in values if value is not None]
    return (_percent if accurate else _plain)(interval(known)) if known else "not finite"


def _caption(found: list[Row], what: str, called: Words, end: str) -> str:
    lines = [f"{what} of {called.whose}{end}: mean over {called.copies} ± half its 95 % interval (Student's t)."]
    if any("oracle" in row.marks for row in found):
        lines.append("oracle: ran with more than this chip offers to a learner; for comparison only.")
    if any("theory" in row.marks for row in found):
        lines.append("theory: what a mean field expects, from where each run starts; nothing was simulated.")
    if any("ex situ" in row.marks for row in found):
        lines.append("ex situ: trained in a computer first, then programmed; for comparison only.")
    if any(row.silent >= 5e-3 for row in found):
        lines.append("silent: share of batch elements that held no information, so they taught nothing.")
    if any(row.saturated >= 5e-4 for row in found):
        lines.append("saturated: share of weights that stand at the end of the range that devices can hold.")
    if any(row.diverged for row in found):
        lines.append(f"diverged: {called.copies} whose loss ended above 1.1 x the initial one, or was not finite.")
    return "\n".join(lines)


def _name(row: Row) -> str:
    return marked(row.arm, row.marks)


def _percent(value: tuple[float, float | None]) -> str:
    mean, half = value
    return f"{mean * 100:.2f}" if half is None else f"{mean * 100:.2f} ± {half * 100:.2f}"


def _loss(losses: Sequence[float]) -> str:
    """The mean of losses that are all finite."""
    return _plain(interval(losses)) if losses and all(map(math.isfinite, losses)) else "not finite"


def _plain(value: tuple[float, float | None]) -> str:
    mean, half = value
    return f"{mean:.4g}" if half is None else f"{mean:.4g} ± {half:.2g}"
