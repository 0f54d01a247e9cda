"""What was studied, and how far it has come."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from analogsim.outcomes import Axis
from analogsim.report.page.estimate import Scores
from analogsim.report.page.said import Sentence, plural, say
from analogsim.report.page.view import View
from analogsim.report.words import listed


class Fact(NamedTuple):
    """A line of the page's head; wide ones have a row of their own."""

    term: str
    lines: list[str]
    wide: bool = False


def facts(view: View) -> list[Fact]:
    """In the order in which they are shown."""
    plan = view.plan
    axes = [axis for axis in plan.axes if axis.kind != "seed" and axis.arm is None]
    found = [Fact(axis.title, [drawn_said(axis) if axis.sampled else _places(axis.places)]) for axis in axes]
    if view.sampled:
        found.append(Fact("sampled points", [f"{view.points}, {method_said(view)}"]))
    found += [
        Fact(f"{axis.title}, of {axis.arm}", [_places(axis.places)]) for axis in plan.axes if axis.arm is not None
    ]
    rules = [listed([rule.title for rule in view.rules])] if view.rules else []
    rules += [f"without a result so far: {listed(view.waiting)}"] * bool(view.waiting)
    found.append(Fact("rules", rules, wide=len("".join(rules)) > 40))
    found.append(Fact(view.words.copies, [_chips(view)]))
    found.append(Fact("jobs", [jobs_said(view)]))
    found.append(Fact("reference", [reference_said(view)]))
    found.append(
        Fact(
            "learning rates",
            [line for line in (plan.protocol or "as the scenario gives them", budget_said(view)) if line],
            wide=True,
        )
    )
    notes = [*dict.fromkeys((*plan.notes, *view.notes)), f"{plural(plan.threads, 'thread')} a job"]
    found.append(Fact("notes", notes, wide=True))
    return found


def drawn_said(axis: Axis) -> str:
    """`sampled from 0.1 % to 30 % (log scale)`."""
    if axis.sampled is None:
        return ""
    low, high = (f"{end:g}\u00a0{axis.unit}".rstrip("\u00a0") for end in (axis.sampled.low, axis.sampled.high))
    return f"sampled from {low} to {high}{' (log scale)' * (axis.sampled.scale == 'log')}"


def method_said(view: View) -> str:
    """How points were sampled: `a Latin hypercube`, `independent of each other`."""
    random = any(axis.sampled is not None and axis.sampled.method == "random" for axis in view.sampled)
    return "independent of each other" if random else "a Latin hypercube"


def _places(places: tuple[str, ...]) -> str:
    return ", ".join(places) if len(places) <= 12 else f"{len(places)} places from {places[0]} to {places[-1]}"


def _chips(view: View) -> str:
    settings = [cell.best for cell in view.all_cells()]
    if view.sampled:
        settings = [point for setting in settings for point in setting.points.values()]
    counts = sorted({len(setting.rows) for setting in settings})
    seeds = next((axis.places for axis in view.plan.axes if axis.kind == "seed"), ())
    each = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}" if counts else "0"
    of = f", of {plural(len(seeds), 'seed')} ({_places(seeds)})" if seeds else ""
    return f"{each} at each point{of}"


def jobs_said(view: View) -> str:
    """`32 planned: 29 done, 2 failed, 1 not begun`."""
    counts = Counter[str](view.states.values())
    words = {"done": "done", "failed": "failed", "begun": "not finished", "waiting": "not begun"}
    told = [f"{counts[state]} {word}" for state, word in words.items() if counts[state]]
    if counts["done"] == len(view.plan.jobs):
        return f"all {len(view.plan.jobs)} done"
    return f"{len(view.plan.jobs)} planned: {', '.join(told)}"


def reference_said(view: View) -> str:
    """What digital backpropagation reaches."""
    scores = Scores(view.accurate)
    by_text = {}
    for device in view.devices:
        if found := view.reference(device):
            by_text.setdefault(scores.sentence(found.score), device)
    if not by_text:
        return (
            "none" if not any(job.reference for job in view.plan.jobs) else "digital backpropagation, without a result"
        )
    return "digital backpropagation (digital BP): " + (
        listed(list(by_text)) if len(by_text) <= 3 else f"{len(by_text)} values, from network to network"
    )


def budget_said(view: View) -> str:
    """What the search of learning rates took."""
    found = sorted({row.tuning_passes for row in view.candidates})
    if not found or not found[-1]:
        return ""
    text = " to ".join(f"{number:,}".replace(",", "\u2009") for number in dict.fromkeys((found[0], found[-1])))
    return f"the search took {text} forward passes of a batch for each arm and point"


def warnings(view: View) -> list[Sentence]:
    """What a reader must know before the numbers."""
    found = []
    if any(state != "done" for state in view.states.values()):
        found.append(say(f"This study is not complete. Jobs: {jobs_said(view)}."))
    diverged = sum(row.status == "diverged" for row in view.candidates)
    if diverged:
        worse = "An accuracy that is not finite counts as 0." if view.accurate else ""
        found.append(say(f"{diverged} of {len(view.candidates)} {view.words.copies} diverged. {worse}".strip()))
    return found
