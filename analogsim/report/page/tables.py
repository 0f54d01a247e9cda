"""The tables of ranks, paired comparisons, costs and failures."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analogsim.outcomes import StudyFolder
from analogsim.report.page.estimate import Scores
from analogsim.report.page.goal import REFERENCE, goal_said
from analogsim.report.page.results_table import costs, count, rates
from analogsim.report.page.sentences import bounds_said, end_said, p_said
from analogsim.report.page.standing import Ranking, Standing
from analogsim.report.page.table import Builder, Cell, Table
from analogsim.report.page.view import View
from analogsim.report.words import listed
from analogsim.statistics import End


def ranking_table(view: View, rankings: Sequence[Ranking]) -> Table:
    """A row for each rule on each device: rank, score, and operating window."""
    scores = Scores(view.accurate)
    score = f"mean {scores.head}" if view.noise is not None or view.sampled else scores.head
    low, high = f"{goal_said(view)} from", "to"
    table = Builder("ranking")
    _device_column(view, table)
    table.columns(number=True, heads=["rank"])
    table.columns(number=False, heads=["rule"])
    table.columns(number=True, heads=[score, "behind", "p (Holm)"])
    table.columns(number=False, heads=["not told from"])
    table.columns(number=True, heads=[low, high])
    table.columns(number=False, heads=["not ranked, because"])
    for ranking in rankings:
        for at, standing in enumerate(ranking.standings):
            pair = standing.behind
            gap = Cell(scores.number(abs(pair.difference.mean), 1), _gap(scores, standing)) if pair else Cell("")
            table.row(
                {
                    "device": ranking.device.label,
                    "rank": "" if standing.rank is None else str(standing.rank),
                    "rule": standing.rule.title,
                    score: Cell(scores.number(standing.score.mean, 1), scores.bounds(standing.score, 1)),
                    "behind": gap,
                    "p (Holm)": p_cell(pair.adjusted if pair else None),
                    "not told from": listed([rule.title for rule in standing.tied]),
                    low: _end_cell(view, standing, "low"),
                    high: _end_cell(view, standing, "high"),
                    "not ranked, because": standing.why,
                },
                jobs=standing.jobs,
                quiet=standing.rank is None,
                begins=at == 0,
            )
        if reference := view.reference(ranking.device):
            found = reference.score
            text = Cell(scores.number(found.mean, 1), scores.bounds(found, 1))
            table.row(
                {"device": ranking.device.label, "rule": f"{REFERENCE} (reference)", score: text},
                jobs=reference.jobs,
                quiet=True,
            )
    return table.table()


def _gap(scores: Scores, standing: Standing) -> str:
    """The interval of how far a rule is behind: of the first's score minus its own; of losses the other way round."""
    assert standing.behind is not None
    found, more = standing.behind.difference, 1
    if found.low is None or found.high is None:
        return ""
    low, high = (found.low, found.high) if scores.accurate else (-found.high, -found.low)
    return f"[{scores.number(low, more)}, {scores.number(high, more)}]"


def p_cell(p: float | None) -> Cell:
    """`0.03`, sorted by its size."""
    return Cell("") if p is None else Cell(p_said(p).removeprefix("p = ").removeprefix("p "), value=p)


def _end_cell(view: View, standing: Standing, which: str) -> Cell:
    found, axis = standing.window, view.noise
    if found is None or axis is None:
        return Cell("")
    end: End | None = getattr(found, which)
    if end is None:
        return Cell("never")
    sign = ("≤\u00a0" if end.noise else "") if which == "low" else "≥\u00a0"
    text = f"{sign if end.open else ''}{end_said(axis, end)}"
    return Cell(text, "" if end.open and which == "low" else bounds_said(axis, end).strip(), value=end.noise)


def _device_column(view: View, table: Builder) -> None:
    if len(view.devices) > 1:
        table.columns(number=False, heads=["device"])


def comparison_table(view: View, rankings: Sequence[Ranking]) -> Table:
    """A row for each pair of ranked rules on each device."""
    scores = Scores(view.accurate)
    table = Builder(
        "comparisons",
        f"The first rule's score minus the second's, paired by {view.replicates[:-1]}, with its 95 % interval; p of "
        "each pair, and after Holm's correction for all pairs of the device.",
        "Paired comparisons",
    )
    _device_column(view, table)
    table.columns(number=False, heads=["first", "second"])
    table.columns(number=True, heads=["difference", "p", "p (Holm)"])
    for ranking in rankings:
        jobs = {standing.rule: standing.jobs for standing in ranking.standings}
        for at, pair in enumerate(ranking.pairs if ranking.chips > 1 else ()):
            table.row(
                {
                    "device": ranking.device.label,
                    "first": pair.first.title,
                    "second": pair.second.title,
                    "difference": Cell(scores.number(pair.difference.mean, 1), scores.bounds(pair.difference, 1)),
                    "p": p_cell(pair.p),
                    "p (Holm)": p_cell(pair.adjusted),
                },
                jobs=dict.fromkeys([*jobs[pair.first], *jobs[pair.second]]),
                begins=at == 0,
            )
    return table.table()


def cost_table(view: View, rankings: Sequence[Ranking]) -> Table:
    """What each rule's learning takes a chip of each device, mean over noise levels."""
    table = Builder(
        "cost",
        f"Means over {view.words.copies}{', sampled points' * bool(view.sampled)} and noise levels, of the setting "
        "that is best at each. Passes: forward passes of a batch. Tuning passes: of the search of learning rates at a "
        "point, over all settings of the rule.",
    )
    _device_column(view, table)
    table.columns(number=False, heads=["rule"])
    heads = ["settings", "lr", "passes/step", "steps", "passes", "tuning passes", "writes", "energy", "time"]
    table.columns(number=True, heads=heads)
    for ranking in rankings:
        for at, standing in enumerate(ranking.standings):
            rows = [row for _, cell in standing.at for row in cell.best.rows]
            searched = [
                math.fsum(row.tuning_passes / len(setting.rows) for setting in cell.settings for row in setting.rows)
                for _, cell in standing.at
            ]
            tuning = math.fsum(searched) / len(searched)
            per_step = sorted({view.passes_per_step[job] for job in standing.jobs})
            table.row(
                {
                    "device": ranking.device.label,
                    "rule": standing.rule.title,
                    "settings": str(max(len(cell.settings) for _, cell in standing.at)),
                    "lr": rates(rows),
                    "passes/step": " to ".join(map(str, dict.fromkeys((per_step[0], per_step[-1])))),
                    "steps": str(max(row.steps for row in rows)),
                    **costs(rows),
                    "tuning passes": count(tuning) if tuning else "",
                },
                jobs=standing.jobs,
                quiet=not standing.rule.candidate,
                begins=at == 0,
            )
    return table.table()


def failure_table(folder: StudyFolder, view: View) -> Table:
    """A row for each job that failed."""
    table = Builder("failures")
    table.columns(number=False, heads=["job", "arm", "place", "cause"])
    for job in view.plan.jobs:
        if view.states[job.id] == "failed":
            place = ", ".join(
                f"{axis.title} {job.place[axis.name]}" for axis in view.plan.axes if axis.name in job.place
            )
            begun = (folder.job(job) / "scenario.yaml").exists()
            table.row(
                {"job": job.id, "arm": job.arm, "place": place, "cause": Cell(folder.failure(job).cause, long=True)},
                jobs=[job.id] if begun else [],
            )
    return table.table()
