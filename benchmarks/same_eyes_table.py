"""The tables of the same-eyes study, from the files of its jobs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analogsim.report.summary import points
from analogsim.results import ArmResult, ChipResult, Result, interval, marked

if TYPE_CHECKING:
    from same_eyes import Job

REFERENCE = "DANP"


@dataclass(frozen=True)
class Found:
    """A rule at a level, in the setting that its held-out samples chose.

    Attributes:
        arm: the setting.
        result: of the arm.
        chips: at the level, in the order of their numbers.
        validation: accuracy on held-out samples that chose it, or None where nothing was searched.
    """

    arm: str
    result: ArmResult
    chips: list[ChipResult]
    validation: float | None

    @property
    def accuracies(self) -> list[float]:
        """Final test accuracy of each chip; 0 where an output was not finite."""
        return [chip.final.test_accuracy or 0.0 for chip in self.chips]

    @property
    def diverged(self) -> int:
        """Chips that diverged."""
        return sum(chip.status == "diverged" for chip in self.chips)


def write(jobs: Sequence[Job], path: Path) -> str:
    """Write the tables of all jobs that are done; what was written, in words."""
    done = [job for job in jobs if job.possible and job.done]
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in done:
        groups.setdefault((job.data, job.profile), []).append(job)
    text = [_INTRODUCTION]
    for (data, profile), found in groups.items():
        text += [f"## {data}, {profile}", "", *_tables(found), ""]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(text))
    return f"{path}: {len(done)} of {len(jobs)} jobs"


_INTRODUCTION = """# Same eyes: tables

<!-- Written by benchmarks/same_eyes.py table. -->

Test accuracy in percent of the chips as deployed, one noisy read an image, after the last epoch: mean over chips ± half
its 95 % interval (Student's t); in brackets the learning rate. Learning rates, and settings where a rule has several,
were chosen for each level by accuracy on held-out training samples. The best of the rules that are no oracle in bold.
"""


def _tables(jobs: Sequence[Job]) -> list[str]:
    """Accuracy, and differences to the reference paired by chip, of all jobs on one data set and profile."""
    rules: dict[str, dict[str, Found]] = {}
    for job in jobs:
        result = Result.model_validate(json.loads(job.file.read_text())["result"])
        for level, found in _levels(job.arm, result.arms[job.arm]).items():
            held = rules.setdefault(job.title, {})
            if level not in held or (found.validation or 0) > (held[level].validation or 0):
                held[level] = found
    levels = list(dict.fromkeys(level for held in rules.values() for level in held))
    passes = {title: next(iter(held.values())).result.passes_per_step for title, held in rules.items()}
    best = {level: _leader(rules, level) for level in levels}
    lines = ["| rule | passes a step | " + " | ".join(levels) + " |", "|---|---|" + "---|" * len(levels)]
    for title, held in rules.items():
        cells = [_cell(held.get(level), title == best[level]) for level in levels]
        lines.append(f"| {_title(title, held)} | {passes[title]} | " + " | ".join(cells) + " |")
    reference = rules.get(REFERENCE)
    if reference is None or len(rules) == 1:
        return lines
    lines += ["", f"Accuracy minus that of {REFERENCE} on the same chips, percentage points:", ""]
    lines += ["| rule | " + " | ".join(levels) + " |", "|---|" + "---|" * len(levels)]
    for title, held in rules.items():
        if title != REFERENCE:
            cells = [_difference(held.get(level), reference.get(level)) for level in levels]
            lines.append(f"| {_title(title, held)} | " + " | ".join(cells) + " |")
    return lines


def _levels(name: str, arm: ArmResult) -> dict[str, Found]:
    """An arm at each level of noise."""
    accuracy = {}
    if arm.tuning is not None:
        for point in arm.tuning.points:
            known = [value for value in point.accuracy if value is not None]
            accuracy[repr(point.point)] = max(known, default=0.0)
    return {
        _level(point): Found(name, arm, sorted(chips, key=_number), accuracy.get(repr(point)))
        for point, chips in points(arm)
    }


def _number(chip: ChipResult) -> int:
    return chip.coordinates["chip"]


def _level(point: dict[str, Any]) -> str:
    [(axis, place)] = point.items()
    return f"own noise x {place:g}" if axis.endswith(".scale") else f"read noise {place}"


def _leader(rules: dict[str, dict[str, Found]], level: str) -> str | None:
    honest = {
        title: interval(held[level].accuracies)[0]
        for title, held in rules.items()
        if level in held and not held[level].result.marks
    }
    return max(honest, key=honest.__getitem__) if honest else None


def _title(title: str, held: dict[str, Found]) -> str:
    return marked(title, next(iter(held.values())).result.marks)


def _cell(found: Found | None, bold: bool) -> str:
    if found is None:
        return ""
    text = _percent(interval(found.accuracies))
    text = f"**{text}**" if bold else text
    diverged = f", {found.diverged} diverged" if found.diverged else ""
    return f"{text} ({found.chips[0].lr:g}{diverged})"


def _difference(found: Found | None, reference: Found | None) -> str:
    if found is None or reference is None:
        return ""
    pairs = zip(found.accuracies, reference.accuracies, strict=True)
    return _percent(interval([own - other for own, other in pairs]), "+")


def _percent(value: tuple[float, float | None], sign: str = "") -> str:
    mean, half = value
    return f"{100 * mean:{sign}.2f}" + ("" if half is None else f" ± {100 * half:.2f}")
