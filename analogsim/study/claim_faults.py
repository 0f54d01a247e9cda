"""Whether the claims of a scenario can be answered by what it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analogsim.claims import Subject, faults
from analogsim.diagnostics import METRICS
from analogsim.errors import ScenarioError
from analogsim.study.arm_axes import axes_of_arm
from analogsim.study.schema import ArmBase, Scenario, StagedArm


def claim_faults(scenario: Scenario, classes: bool | None = None) -> Iterator[str]:
    """Faults of claims, each with its path and column.

    Args:
        scenario: resolved.
        classes: whether the targets of its data are classes; None: as far as the scenario says.
    """
    subject = Subject(
        arms={name: _axes(scenario, arm) for name, arm in scenario.arms.items()},
        left_out=scenario.excerpt.left_out,
        known=tuple(METRICS),
        measured=scenario.train.metrics,
        depth=scenario.network.depth,
        classes=False if scenario.data.target == "input" else classes,
        quick=scenario.excerpt.quick,
    )
    said: dict[str, int] = {}
    for index, claim in enumerate(scenario.claims):
        where = f"claims.{index}.claim"
        yield from (f"{where}: {fault}" for fault in dict.fromkeys(faults(claim.tree, subject)))
        first = said.setdefault(claim.claim, index)
        if first != index:
            yield f"{where}: the same as claims.{first}; leave one of them out"


def _axes(scenario: Scenario, arm: ArmBase | StagedArm) -> Mapping[str, Sequence[Any]]:
    try:
        return axes_of_arm(scenario, arm)
    except ScenarioError:  # `check` tells it
        return {}
