"""Whether the claims of a scenario can be answered by what it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analogsim.claims import Subject, faults
from analogsim.diagnostics import METRICS
from analogsim.errors import ScenarioError
from analogsim.study import student_teacher
from analogsim.study.arm_axes import axes_of_arm
from analogsim.study.kinds import AnyScenario
from analogsim.study.student_teacher import StudentTeacherScenario


def claim_faults(scenario: AnyScenario, classes: bool | None = None) -> Iterator[str]:
    """Faults of claims, each with its path and column.

    Args:
        scenario: resolved.
        classes: whether the targets of its data are classes; None: as far as the scenario says.
    """
    subject = _subject(scenario, classes)
    said: dict[str, int] = {}
    for index, claim in enumerate(scenario.claims):
        where = f"claims.{index}.claim"
        yield from (f"{where}: {fault}" for fault in dict.fromkeys(faults(claim.tree, subject)))
        first = said.setdefault(claim.claim, index)
        if first != index:
            yield f"{where}: the same as claims.{first}; leave one of them out"


def _subject(scenario: AnyScenario, classes: bool | None) -> Subject:
    if isinstance(scenario, StudentTeacherScenario):
        known, measured, classes = student_teacher.METRICS, student_teacher.METRICS, False
    else:
        known, measured = tuple(METRICS), scenario.train.metrics
        classes = False if scenario.data.target == "input" else classes
    return Subject(
        arms={name: _axes(scenario, arm) for name, arm in scenario.arms.items()},
        left_out=scenario.excerpt.left_out,
        known=known,
        measured=measured,
        depth=scenario.depth,
        classes=classes,
        quick=scenario.excerpt.quick,
    )


def _axes(scenario: AnyScenario, arm: Any) -> Mapping[str, Sequence[Any]]:
    try:
        return axes_of_arm(scenario, arm)
    except ScenarioError:  # `check` tells it
        return {}
