"""The report of a study as one HTML file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import jinja2

from analogsim._files import write_text
from analogsim.outcomes import StudyFolder, verdicts_of
from analogsim.outcomes.tidy import csv_text
from analogsim.report.page.claimed import claims_said, claims_table
from analogsim.report.page.curves import noise_curves
from analogsim.report.page.facts import facts, warnings
from analogsim.report.page.figure import KEY_BOX, Block, rule_keys
from analogsim.report.page.influence import dependences, influence_table, matters
from analogsim.report.page.learning import histories, learning_curves, learning_said
from analogsim.report.page.maps import heat_maps
from analogsim.report.page.method import method, ranking_said
from analogsim.report.page.payload import Links, csv_of, packed
from analogsim.report.page.points import rule_points
from analogsim.report.page.results_table import results_table
from analogsim.report.page.said import Sentence
from analogsim.report.page.samples import Sampled, samples
from analogsim.report.page.scatter import scatter_said, scatters
from analogsim.report.page.sentences import absent, farthest, lead, survives, without_results
from analogsim.report.page.standing import Ranking, rankings
from analogsim.report.page.table import Table
from analogsim.report.page.tables import comparison_table, cost_table, failure_table, ranking_table
from analogsim.report.page.tones import DARK, LIGHT, palette
from analogsim.report.page.view import View, view


@dataclass(frozen=True)
class Said:
    """A sentence about a rule; `key` is its number among rules."""

    key: int
    sentence: Sentence
    quiet: bool


@dataclass(frozen=True)
class Answer:
    """What there is to say of a device."""

    device: str
    leads: Sequence[Sentence]
    rules: Sequence[Said]
    more: Sequence[Sentence]


@dataclass(frozen=True)
class Section:
    """A part of the page; `short` is what its link says."""

    name: str
    short: str
    title: str
    text: str = ""
    answers: Sequence[Answer] = ()
    blocks: Sequence[Block] = ()
    tables: Sequence[Table] = ()
    csv: str = ""
    method: Sequence[tuple[str, str]] = ()


def write_report(folder: StudyFolder, file: Path) -> None:
    """Write the report of a study: one file that asks for nothing from elsewhere.

    The same study gives the same bytes.

    Args:
        folder: of the study, in whatever state it is.
        file: to write, whole or not at all.

    Raises:
        RunError: a result is damaged.
    """
    seen = view(folder)
    sections = _sections(folder, seen)
    blocks = [block for section in sections for block in section.blocks]
    tidy = {"outcomes.csv": csv_text(folder.plan, seen.rows)}
    payload = packed(folder, {**tidy, **{f"{block.name}.csv": csv_of(block.table) for block in blocks}})
    links = Links(folder, file.absolute())
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    scripts = {name: _template(f"{name}.js") for name in ("theme", "page")}
    css = _template("page.css").replace("{{ light }}", _variables(LIGHT)).replace("{{ dark }}", _variables(DARK))
    html = environment.from_string(_template("page.html")).render(
        title=folder.plan.name,
        description=folder.plan.description,
        release=folder.plan.release,
        facts=facts(seen),
        warnings=warnings(seen),
        sections=sections,
        keys=rule_keys(seen),
        key_box=KEY_BOX,
        href=links.href,
        spans=links.spans,
        payload=payload,
        css=css,
        theme_js=scripts["theme"],
        page_js=scripts["page"],
        hashes=" ".join(f"'sha256-{_digest(script)}'" for script in scripts.values()),
    )
    write_text(file, html)


def _template(name: str) -> str:
    return (files("analogsim.report.page") / "templates" / name).read_text(encoding="utf-8")


def _variables(ground: str) -> str:
    return " ".join(f"{name}: {colour};" for name, colour in {"--ground": ground, **palette(ground)}.items())


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _sections(folder: StudyFolder, seen: View) -> list[Section]:
    ranked, accurate = rankings(seen), seen.accurate
    asked = "Which rule?" if seen.noise is None else "Which rule, and how much noise does it survive?"
    found = [Section("summary", "Summary", asked, answers=_answers(seen, ranked))]
    if ranked:
        pairs = comparison_table(seen, ranked)
        tables = [ranking_table(seen, ranked), *([pairs] if pairs.rows else [])]
        found.append(Section("ranks", "Ranking", "Ranking", ranking_said(seen), tables=tables))
    if sampled := samples(seen, ranked):
        found.append(_sampled(seen, sampled))
    for name, title, block in (
        ("noise", f"{'Accuracy' if accurate else 'Loss'} against noise", noise_curves(seen)),
        ("devices", "Accuracy" if accurate else "Loss", rule_points(seen)),
        ("maps", "Heat maps", heat_maps(seen)),
    ):
        if block is not None:
            found.append(Section(name, title, title, blocks=[block]))
    if curves := learning_curves(seen, histories(folder, seen)):
        found.append(
            Section("learning", "Learning curves", "Learning curves", learning_said(seen, len(curves)), blocks=curves)
        )
    if ranked:
        found.append(Section("costs", "Cost", "Cost", tables=[cost_table(seen, ranked)]))
        found.append(Section("all", "Results", "Results", tables=[results_table(seen)], csv="outcomes.csv"))
    if (claimed := verdicts_of(folder)).claims:
        said = Answer("", claims_said(claimed), (), ())
        found.append(Section("claims", "Claims", "Claims", answers=[said], tables=[claims_table(seen, claimed)]))
    failures = failure_table(folder, seen)
    if failures.rows:
        found.append(Section("failed", "Failures", "Failures", tables=[failures]))
    return [*found, Section("method", "How to read this", "How to read this", method=method(seen))]


def _sampled(seen: View, sampled: Sequence[Sampled]) -> Section:
    """Scores against the settings that were sampled, and which of these matter."""
    answers = [
        Answer(
            each.device.label,
            matters(seen, each),
            [
                Said(key=key, sentence=sentence, quiet=not seen.rules[key].candidate)
                for key, sentence in dependences(seen, each)
            ],
            (),
        )
        for each in sampled
    ]
    return Section(
        "sampled",
        "Sampled settings",
        "Which settings matter?",
        scatter_said(seen, len(sampled)),
        answers=answers,
        blocks=scatters(seen, sampled),
        tables=[influence_table(seen, sampled)],
    )


def _answers(seen: View, ranked: Sequence[Ranking]) -> list[Answer]:
    answers = []
    for ranking in ranked:
        first = [lead(seen, ranking), farthest(seen, ranking)]
        rules = [
            Said(
                key=seen.rules.index(standing.rule),
                sentence=survives(seen, ranking.device, standing),
                quiet=not standing.rule.candidate,
            )
            for standing in ranking.standings
        ]
        label, missing = ranking.device.label, absent(seen, ranking.device)
        answers.append(Answer(label, [each for each in first if each], rules, missing))
    nothing = without_results(seen)
    return [*answers, *([Answer("", [nothing], (), ())] if nothing else [])]
