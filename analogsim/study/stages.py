"""The stages of an arm: rule, chips and epochs of each, and which of them go on with the chips of the one before."""

from __future__ import annotations

from dataclasses import dataclass

from analogsim.port import Access
from analogsim.study.chip_section import ChipSection
from analogsim.study.optimizer import Optimizer
from analogsim.study.schema import ArmBase, Deployment, Scenario, StageBase, StagedArm

ANYTHING = ~Access(0)
"""What a stage may use that is ex situ: it is a computation."""


@dataclass(frozen=True)
class StagePlan:
    """One stage of an arm; of an ordinary arm the only one.

    Attributes:
        arm: its rule and companions.
        chip: its chips.
        epochs: passes through the training data.
        ex_situ: whether it has chips of its own: it is a computation, on a model of chips, before the arm's chips.
        goes_on: whether its chips are those of the stage before, which stay as they are; otherwise its chips are new
            and are programmed with the controller's copy.
    """

    arm: ArmBase
    chip: ChipSection
    epochs: int
    ex_situ: bool = False
    goes_on: bool = False

    @property
    def learns(self) -> bool:
        """Whether there is a rule."""
        return not isinstance(self.arm, Deployment)

    @property
    def grants(self) -> Access:
        """What a rule may use here."""
        return ANYTHING if self.ex_situ else Access.of(*self.chip.grants) | Access.of(*self.arm.oracle)


def stages_of(scenario: Scenario, arm: ArmBase | StagedArm) -> tuple[StagePlan, ...]:
    """The stages of an arm of a resolved scenario, in order."""
    if not isinstance(arm, StagedArm):
        return (StagePlan(arm, scenario.chip, scenario.train.epochs),)
    plans: list[StagePlan] = []
    before: StageBase | None = None
    for stage in arm.stages:
        chip = scenario.chip if stage.chip is None else stage.chip.over(scenario.chip)
        epochs = scenario.train.epochs if stage.epochs is None else stage.epochs
        epochs = 0 if isinstance(stage, Deployment) else epochs
        goes_on = before is not None and stage.chip == before.chip
        plans.append(StagePlan(stage, chip, epochs, stage.chip is not None, goes_on))
        before = stage
    return tuple(plans)


def last_learning(plans: tuple[StagePlan, ...]) -> int:
    """Number of the last stage that learns; where none has epochs, of the last with a rule."""
    learning = [index for index, plan in enumerate(plans) if plan.learns]
    return max([index for index in learning if plans[index].epochs] or learning)


def with_optimizer(arm: ArmBase | StagedArm, index: int, optimizer: Optimizer) -> ArmBase | StagedArm:
    """The same arm with another optimiser in one of its stages."""
    if not isinstance(arm, StagedArm):
        return arm.model_copy(update={"optimizer": optimizer})
    stages: list[StageBase] = list(arm.stages)
    stages[index] = stages[index].model_copy(update={"optimizer": optimizer})
    return arm.model_copy(update={"stages": tuple(stages)})
