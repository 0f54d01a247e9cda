"""What becomes of the scenario's claims at the points of a study, in sentences and as a table."""

from __future__ import annotations

from analogsim.outcomes import StudyVerdicts
from analogsim.report.claims import QUICK, counted, figures, published
from analogsim.report.page.results_table import distinct
from analogsim.report.page.said import Sentence, say, strong
from analogsim.report.page.table import Builder, Cell, Table
from analogsim.report.page.view import View


def claims_said(found: StudyVerdicts) -> list[Sentence]:
    """A sentence for each claim."""
    sentences = []
    for claim in found.claims:
        jobs = list(dict.fromkeys(job for each in claim for job in each.jobs))
        verdict = claim[0].verdict
        told, paper = counted(each.verdict.verdict for each in claim), published(verdict)
        sentences.append(say(strong(verdict.says), f": {told}{f'; {paper}' if paper else ''}.", jobs=jobs))
    return [*sentences, *([say(QUICK)] if found.quick else [])]


def claims_table(view: View, found: StudyVerdicts) -> Table:
    """A row for each claim at each of its points."""
    table = Builder(
        "verdicts",
        f"± half the 95 % interval (Student's t), of differences paired by {view.words.copies[:-1]}, all seeds "
        "together. A verdict is wrong in 2.5 % of all cases at most, so among many some are by chance."
        + f" {QUICK}"
        * found.quick,
        "At each point",
    )
    heads = distinct([axis for axis in view.plan.axes if axis.kind != "seed"], ["claim", "verdict", "found"])
    table.columns(number=False, heads=["claim"])
    for axis, head in heads.items():
        table.columns(number=axis.numbers is not None, heads=[head])
    table.columns(number=False, heads=["verdict", "found"])
    for claim in found.claims:
        for at, each in enumerate(claim):
            verdict = each.verdict
            lines = [figures(link, view.words.copies) for link in verdict.links] + [verdict.why] * bool(verdict.why)
            table.row(
                {
                    "claim": Cell(verdict.claim, long=True),
                    **{head: each.place.get(axis.name, "") for axis, head in heads.items()},
                    "verdict": verdict.verdict,
                    "found": Cell("; ".join(lines), long=True),
                },
                jobs=each.jobs,
                begins=at == 0,
            )
    return table.table()
