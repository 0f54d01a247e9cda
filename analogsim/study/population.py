"""From axes to the chips of a population."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analogsim.errors import ScenarioError
from analogsim.study.arm_axes import axes_of_arm
from analogsim.study.profiles import profiles_of
from analogsim.study.schema import ArmBase, Scenario, StagedArm
from analogsim.study.stages import last_learning, stages_of
from device_models import DeviceProfile
from device_models.units import Each


@dataclass(frozen=True)
class Population:
    """The chips of an arm, laid out on the axes of the scenario.

    Every list has one entry per chip. Chips of different points that have the same number and seed meet the same random
    numbers, so points are compared in pairs.

    Attributes:
        ids, seeds: number and seed.
        coordinates: place on the axes.
        rates: learning rate; 0 in a stage that does not learn, where the rate of others is an axis.
        profiles: of each layer, with one value per chip in place of each axis.
    """

    ids: list[int]
    seeds: list[int]
    coordinates: list[dict[str, Any]]
    rates: list[float]
    profiles: tuple[DeviceProfile, ...]


def lay_out(
    scenario: Scenario, arm: ArmBase | StagedArm, stage: int | None = None, place: int | None = None
) -> Population:
    """The chips of an arm: for each point on the axes, first axis slowest, the scenario's chips.

    Args:
        scenario: resolved.
        arm: of it.
        stage: whose profiles and learning rates; None: profiles of the last, rates of the last that learns.
        place: of one of these chips, to lay out it alone; None: all.

    Raises:
        ScenarioError: `only` names a chip that is not in the population, or two stages have an axis of rates.
    """
    plans = stages_of(scenario, arm)
    optimizers = [plan.arm.optimizer or scenario.train.optimizer for plan in plans]
    axes = axes_of_arm(scenario, arm)
    numbers = _numbers(scenario)
    points = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    places = [{**point, "chip": number} for point in points for number in numbers]
    places = places if place is None else [places[place]]
    values = {path: [each[path] for each in places] for path in axes}
    rate = optimizers[last_learning(plans) if stage is None else stage].lr
    return Population(
        ids=[each["chip"] for each in places],
        seeds=[each.get("seed", scenario.seed) for each in places],
        coordinates=places,
        rates=[each.get("lr", 0.0) if isinstance(rate, Each) else rate for each in places],
        profiles=profiles_of(plans[-1 if stage is None else stage].chip, scenario.network.depth, values),
    )


def size(scenario: Scenario, arm: ArmBase | StagedArm) -> int:
    """How many chips an arm has, without laying them out.

    Raises:
        ScenarioError: as `lay_out`.
    """
    return len(_numbers(scenario)) * math.prod(len(values) for values in axes_of_arm(scenario, arm).values())


def _numbers(scenario: Scenario) -> Sequence[int]:
    """Of the chips at each point on the axes."""
    numbers = scenario.chip.only if scenario.chip.only is not None else range(scenario.chip.population)
    if max(numbers) >= scenario.chip.population:
        raise ScenarioError(
            f"chip.only: there is no chip {max(numbers)} in a population of {scenario.chip.population}; "
            f"chips are numbered from 0"
        )
    return numbers
