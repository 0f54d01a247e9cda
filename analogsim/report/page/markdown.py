"""The report of a study as Markdown, for a paper's appendix: its sentences and tables, without figures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from analogsim.outcomes import StudyFolder, verdicts_of
from analogsim.report.page.claimed import claims_said, claims_table
from analogsim.report.page.facts import facts, warnings
from analogsim.report.page.influence import dependences, influence_table, matters
from analogsim.report.page.method import method, ranking_said
from analogsim.report.page.results_table import results_table
from analogsim.report.page.said import Sentence
from analogsim.report.page.samples import samples
from analogsim.report.page.sentences import absent, farthest, lead, survives, without_results
from analogsim.report.page.standing import Ranking, rankings
from analogsim.report.page.table import Table
from analogsim.report.page.tables import comparison_table, cost_table, failure_table, ranking_table
from analogsim.report.page.view import View, view

_SPECIAL = re.compile(r"[\\`*|<>~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=\])\(")
_BLOCK = re.compile(r"^(\s*)(?:([#+=-])|(\d+)([.)])(?=\s|$))")
_LEFT_OUT = ("test loss", "steps", "writes", "silent", "saturated")  # of results: the page and the CSV file have them


def markdown(folder: StudyFolder) -> str:
    """A study's sentences, ranking, windows, costs and results as GitHub's Markdown.

    Args:
        folder: of the study, in whatever state it is.

    Raises:
        RunError: a result is damaged.
    """
    seen = view(folder)
    return "\n".join(_lines(folder, seen, rankings(seen))) + "\n"


def _lines(folder: StudyFolder, seen: View, ranked: list[Ranking]) -> Iterator[str]:
    yield f"# {plain(seen.plan.name)}: robustness study"
    if seen.plan.description:
        yield from ("", plain(seen.plan.description))
    yield ""
    yield f"- analogsim: {plain(seen.plan.release)}"
    for fact in facts(seen):
        yield f"- {plain(fact.term)}: {'; '.join(plain(line) for line in fact.lines)}"
    for sentence in warnings(seen):
        yield from ("", f"**Note.** {_said(sentence)}")
    yield from ("", "## Summary")
    for ranking in ranked:
        if ranking.device.label:
            yield from ("", f"### {plain(ranking.device.label)}")
        first = farthest(seen, ranking)
        yield from ("", _said(lead(seen, ranking)) + (f" {_said(first)}" if first else ""), "")
        for standing in ranking.standings:
            yield f"- {_said(survives(seen, ranking.device, standing))}"
        for sentence in absent(seen, ranking.device):
            yield from ("", _said(sentence))
    if nothing := without_results(seen):
        yield from ("", _said(nothing))
    if ranked:
        yield from ("", "## Ranking", "", ranking_said(seen), "", *_table(ranking_table(seen, ranked)))
        pairs = comparison_table(seen, ranked)
        if pairs.rows:
            yield from ("", "## Paired comparisons", "", pairs.caption, "", *_table(pairs))
        if sampled := samples(seen, ranked):
            yield from ("", "## Which settings matter?")
            for each in sampled:
                yield from ("", f"### {plain(each.device.label)}") if each.device.label else ()
                yield from ("", " ".join(_said(sentence) for sentence in matters(seen, each)), "")
                yield from (f"- {_said(sentence)}" for _, sentence in dependences(seen, each))
            influences = influence_table(seen, sampled)
            yield from ("", influences.caption, "", *_table(influences))
        cost, results = cost_table(seen, ranked), results_table(seen)
        yield from ("", "## Cost", "", cost.caption, "", *_table(cost))
        yield from ("", "## Results", "", results.caption, "", *_table(results, _LEFT_OUT))
    if (claimed := verdicts_of(folder)).claims:
        claims = claims_table(seen, claimed)
        yield from ("", "## Claims", "", *(f"- {_said(sentence)}" for sentence in claims_said(claimed)))
        yield from ("", claims.caption, "", *_table(claims))
    failures = failure_table(folder, seen)
    if failures.rows:
        yield from ("", "## Failures", "", *_table(failures))
    yield from ("", "## How to read this")
    for term, text in method(seen):
        yield from ("", f"**{term}.** {plain(text)}")


def _said(sentence: Sentence) -> str:
    return "".join(f"**{_escaped(part.text)}**" if part.strong else _escaped(part.text) for part in sentence.parts)


def _table(table: Table, without: Sequence[str] = ()) -> Iterator[str]:
    """Without some columns, and without the links to runs, which are the page's."""
    shown = [(at, column) for at, column in enumerate(table.columns) if column.head not in without]
    yield f"| {' | '.join(_escaped(column.head) for _, column in shown)} |"
    yield f"|{'|'.join('--:' if column.number else ':--' for _, column in shown)}|"
    for row in table.rows:
        cells = [row.cells[at] for at, _ in shown]
        yield f"| {' | '.join(_escaped(' '.join(x for x in (cell.text, cell.small) if x)) for cell in cells)} |"


def plain(text: str) -> str:
    """Text that Markdown takes as such, at the beginning of a line, too."""
    return _BLOCK.sub(lambda at: f"{at[1]}\\{at[2]}" if at[2] else f"{at[1]}{at[3]}\\{at[4]}", _escaped(text))


def _escaped(text: str) -> str:
    """The same within a line."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", re.sub(r"[ \t\r\n\f\v]+", " ", text))
