"""The axes of an arm's population."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analogsim.errors import ScenarioError
from analogsim.study.profiles import axes_of
from analogsim.study.schema import ArmBase, Scenario, StagedArm
from analogsim.study.stages import stages_of
from device_models.units import Each


def axes_of_arm(scenario: Scenario, arm: ArmBase | StagedArm) -> dict[str, Sequence[Any]]:
    """The places on each axis, slowest first: seeds, parameters of the chips by path, learning rates `lr`.

    Raises:
        ScenarioError: two stages have an axis of rates.
    """
    axes: dict[str, Sequence[Any]] = {}
    if isinstance(scenario.seed, Each):
        axes["seed"] = scenario.seed.values
    axes |= axes_of(scenario.chip)
    plans = stages_of(scenario, arm)
    rates = [(plan.arm.optimizer or scenario.train.optimizer).lr for plan in plans if plan.learns]
    listed = [rate.values for rate in rates if isinstance(rate, Each)]
    if listed:
        axes["lr"] = listed[0]
    if len(listed) > 1:
        raise ScenarioError("two stages have an axis of learning rates; give one rate in all stages but one")
    return axes
