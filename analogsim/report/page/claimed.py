"""What becomes of the scenario's claims at the points of a study, in sentences and as a table."""

from __future__ import annotations

from collections.abc import Sequence

from analogsim.outcomes import PlaceVerdicts, by_claim
from analogsim.report.claims import counted, figures, published
from analogsim.report.page.results_table import headings
from analogsim.report.page.said import Sentence, say, strong
from analogsim.report.page.table import Builder, Cell, Table
from analogsim.report.page.view import View


def claims_said(found: Sequence[PlaceVerdicts]) -> list[Sentence]:
    """A sentence for each claim."""
    sentences = []
    for verdicts in by_claim(found).values():
        jobs = list(dict.fromkeys(job for place, _ in verdicts for job in place.jobs))
        verdict = verdicts[0][1]
        told, paper = counted(verdict.verdict for _, verdict in verdicts), published(verdict)
        sentences.append(say(strong(verdict.says), f": {told}{f'; {paper}' if paper else ''}.", jobs=jobs))
    return sentences


def claims_table(view: View, found: Sequence[PlaceVerdicts]) -> Table:
    """A row for each claim at each point."""
    quick = any(each.verdicts.quick for each in found)
    table = Builder(
        "claims",
        f"± half the 95 % interval (Student's t), of differences paired by {view.words.copies[:-1]}, all seeds "
        "together. A verdict is wrong in 2.5 % of all cases at most, so among many some are by chance."
        + (" A quick look: its verdicts say nothing about what is claimed." if quick else ""),
        "At each point",
    )
    heads = headings(view) | {axis: axis.title for axis in view.plan.axes if axis.arm is not None}
    table.columns(number=False, heads=["claim"])
    for axis, head in heads.items():
        table.columns(number=axis.numbers is not None, heads=[head])
    table.columns(number=False, heads=["verdict", "found"])
    for statement, verdicts in by_claim(found).items():
        for at, (place, verdict) in enumerate(verdicts):
            lines = [figures(link, view.words.copies) for link in verdict.links] + [verdict.why] * bool(verdict.why)
            table.row(
                {
                    "claim": Cell(statement, long=True),
                    **{head: place.place.get(axis.name, "") for axis, head in heads.items()},
                    "verdict": verdict.verdict,
                    "found": Cell("; ".join(lines), long=True),
                },
                jobs=place.jobs,
                begins=at == 0,
            )
    return table.table()
