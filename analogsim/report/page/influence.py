"""Which of the sampled settings matter, in sentences and as a table."""

from __future__ import annotations

from collections.abc import Sequence

from analogsim.report.page.cells import Rule
from analogsim.report.page.estimate import Scores, fixed
from analogsim.report.page.said import Part, Sentence, listed_strong, plural, say, strong
from analogsim.report.page.samples import Influence, Sampled
from analogsim.report.page.sentences import p_said
from analogsim.report.page.table import Builder, Cell, Table
from analogsim.report.page.tables import p_cell
from analogsim.report.page.view import View
from analogsim.report.words import listed


def matters(view: View, found: Sampled) -> list[Sentence]:
    """What a reader learns: to which rules each setting matters."""
    by_axis: list[str | Part] = []
    rest: list[str] = []
    for at, axis in enumerate(view.sampled):
        rules = [rule.title for rule, each in found.influences.items() if each[at].matters]
        if not rules:
            rest.append(axis.title)
            continue
        whom = "all rules" if len(rules) == len(found.influences) > 1 else listed(rules)
        by_axis += ["; " if by_axis else "", strong(axis.title), f" matters to {whom}"]
    sentences = [say(*(part for part in by_axis if part), ".")] if by_axis else []
    if rest:
        points = plural(_points(found), "point")
        also = "any rule" if len(found.influences) > 1 else listed([rule.title for rule in found.influences])
        sentences.append(say("Whether ", *listed_strong(rest, "or"), f" matters to {also}, {points} do not tell."))
    return sentences


def _points(found: Sampled) -> int:
    return max(each.found.n for influences in found.influences.values() for each in influences)


def dependences(view: View, found: Sampled) -> list[tuple[int, Sentence]]:
    """What each rule depends on, with its number among those of the page; empty where no setting matters to any."""
    known = [at for at in range(len(view.sampled)) if any(each[at].matters for each in found.influences.values())]
    return [(view.rules.index(rule), _depends(view, found, rule, known)) for rule in found.influences if known]


def _depends(view: View, found: Sampled, rule: Rule, known: Sequence[int]) -> Sentence:
    """Of the settings that matter to some rule."""
    influences, what = [found.influences[rule][at] for at in known], Scores(view.accurate).what
    parts = []
    for rises, verb in ((False, "falls"), (True, "rises")):
        clear = sorted((each for each in influences if each.matters and each.rises is rises), key=_strength)
        if clear:
            parts.append(f"{verb} with {listed([_said(each) for each in clear])}")
    told = [f"{what} {' and '.join(parts)}"] if parts else []
    if unclear := [each.axis.title for each in influences if not each.matters]:
        told.append(f"no influence of {listed(unclear, 'or')} is told from chance")
    return say(strong(rule.title), f": {'; '.join(told)}.", jobs=found.standings[rule].jobs)


def _strength(each: Influence) -> float:
    return -abs(each.found.rho or 0.0)


def _said(each: Influence) -> str:
    return f"{each.axis.title} ({fixed(each.found.rho or 0.0, 2)}{p_said(each.adjusted, ', ')})"


def influence_table(view: View, found: Sequence[Sampled]) -> Table:
    """A row for each rule and setting on each device."""
    what = Scores(view.accurate).what
    table = Builder(
        "influences",
        f"Spearman's correlation of the ranks of a setting and of {what}, the mean over {view.words.copies} at each "
        "point: 1 or −1 where one always rises, or falls, with the other. p of each, and after Holm's correction for "
        f"all rules and settings{' of the device' * (len(found) > 1)}.",
        "Rank correlations",
    )
    if len(view.devices) > 1:
        table.columns(number=False, heads=["device"])
    table.columns(number=False, heads=["rule", "setting"])
    table.columns(number=True, heads=["rank correlation", "p", "p (Holm)", "points"])
    table.columns(number=False, heads=[what])
    for each in found:
        for standing in each.ranking.standings:
            for at, influence in enumerate(each.influences[standing.rule]):
                rho = influence.found.rho
                table.row(
                    {
                        "device": each.device.label,
                        "rule": standing.rule.title,
                        "setting": influence.axis.title,
                        "rank correlation": "" if rho is None else Cell(fixed(rho, 2), value=rho),
                        "p": p_cell(influence.found.p),
                        "p (Holm)": p_cell(influence.adjusted),
                        "points": str(influence.found.n),
                        what: _verdict(influence),
                    },
                    jobs=standing.jobs,
                    quiet=not standing.rule.candidate,
                    begins=at == 0,
                )
    return table.table()


def _verdict(influence: Influence) -> str:
    if influence.adjusted is None:
        return "no test"
    if not influence.matters:
        return "not told from chance"
    return "rises with it" if influence.rises else "falls with it"
