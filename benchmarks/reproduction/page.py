"""docs/reproduction.md: every claim of the papers' scenarios beside what was found. Nothing in it is typed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from analogsim.claims import Verdict
from analogsim.report.claims import figures, published
from reproduction.findings import Paper

_INTRODUCTION = """# Reproduction

<!-- Written by `python benchmarks/reproduce.py pages` from docs/results/papers. -->

The papers' experiments, each a scenario that `analogsim run papers/NAME` runs, with the papers' statements as
[claims](claims.md). Numbers are means over chips ± half their 95 % interval; what decides is the difference, paired by
chip. Results that disagree with a paper stand here as they came out. Arms were run one at a time by
`benchmarks/reproduce.py`; what an arm was run with that is not as its scenario has it stands beside it.

How to read it: *found* prints what stands on either side of the formula, which is not always one arm's value. `best` is
the best evaluation on the test set, as in the papers' tables; that favours curves that jump. Tolerances are ours, two
points of accuracy mostly, which is more than some of the papers' differences. A claim that fails in a run shorter than
the paper's fails in that run; the explanation says what is known of the rest.
"""


def page(papers: Sequence[Paper]) -> str:
    """The text of the page."""
    lines = [_INTRODUCTION]
    told = {paper.name: paper.verdicts() for paper in papers}
    lines += [
        _table(("scenario", "claims", "hold", "fail", "not decided", "not run"), [_count(p, told) for p in papers])
    ]
    for paper in papers:
        lines += [f"## {paper.name}", "", " ".join(paper.scenario.description.split()), ""]
        if about := paper.remarks.get("about"):
            lines += [" ".join(about.split()), ""]
        claims = [_row(paper, verdict) for verdict in told[paper.name]]
        lines += [_table(("claim", "paper", "found", "run", "verdict", "explanation"), claims)]
        lines += [
            _table(
                ("arm", paper.words.time, paper.words.copies, "machine", "time", "remark"),
                [_arm(paper, a) for a in paper.scenario.arms],
            )
        ]
        if paper.held:
            lines += [f"![Curves of {paper.name}](figures/papers/{paper.name}.png)", ""]
    return "\n".join(lines).rstrip() + "\n"


def _count(paper: Paper, told: dict[str, list[Verdict]]) -> list[str]:
    count = Counter(verdict.verdict for verdict in told[paper.name])
    words = ("holds", "fails", "not decided", "not run")
    return [f"[{paper.name}](#{paper.name.lower()})", str(len(told[paper.name])), *(str(count[w] or "") for w in words)]


def _row(paper: Paper, verdict: Verdict) -> list[str]:
    """A claim."""
    arms = paper.arms_of(verdict.claim)
    run = list(
        dict.fromkeys(f"{paper.epochs(a)} {paper.words.time}, {_machine(paper, a)}" for a in arms if a in paper.held)
    )
    absent = [f"{arm}: {reason.removesuffix('.')}." for arm in arms if (reason := _absent(paper, arm))]
    why = absent or ([f"{verdict.why}."] if verdict.why else [])
    otherwise: dict[str, list[str]] = {}
    for arm in arms:
        otherwise.setdefault(", ".join(paper.deviations(arm)), []).append(arm)
    why += [f"{', '.join(found)} had {told}." for told, found in otherwise.items() if told]
    remark = paper.remarks.get("claims", {}).get(verdict.claim)
    why += [" ".join(remark.split())] if remark else []
    cited = published(verdict).removeprefix("paper: ")
    found = "<br>".join(figures(link, paper.words.copies) for link in verdict.links)
    claim = f"{verdict.says}<br>`{verdict.claim}`"
    return [claim, cited, found, "<br>".join(run), f"**{verdict.verdict}**", " ".join(why)]


def _absent(paper: Paper, arm: str) -> str:
    """Why an arm has no result, or nothing."""
    if arm in paper.held:
        return ""
    if arm in paper.outdated:
        return "its result is of an earlier form of the scenario"
    return " ".join(paper.remarks.get("arms", {}).get(arm, "not run yet").split())


def _arm(paper: Paper, arm: str) -> list[str]:
    """How an arm was run."""
    if arm not in paper.held:
        return [arm, "", "", "", "", _absent(paper, arm)]
    held = paper.held[arm]
    remark = [f"{', '.join(told)}."] if (told := paper.deviations(arm)) else []
    remark += [" ".join(text.split())] if (text := paper.remarks.get("arms", {}).get(arm)) else []
    number = held.machine["threads"]
    threads = f", {number} thread{'s' if number > 1 else ''}" if held.machine["device"] == "cpu" else ""
    time = _time(held.machine["wall_seconds"])
    chips = str(len(held.result.arms[arm].chips))
    return [arm, paper.epochs(arm), chips, held.machine["hardware"] + threads, time, " ".join(remark)]


def _machine(paper: Paper, arm: str) -> str:
    machine = paper.held[arm].machine
    return "CPU" if machine["device"] == "cpu" else machine["hardware"]


def _time(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
