"""Arms whose chips live apart: each decides for itself what happens on its timeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from analogsim.results import ArmResult, Curve, StageResult, Tuning
from analogsim.study.arm import Arm
from analogsim.study.population import lay_out
from analogsim.study.schema import Scenario
from analogsim.study.work import RunningArm
from analogsim.tasks import DataSet


class ApartArm(RunningArm):
    """An arm that is run chip by chip: in step through its training, and then one life after the other.

    Args:
        scenario, name, data, device, tuning: see `Arm`.
    """

    def __init__(
        self, scenario: Scenario, name: str, data: DataSet, device: torch.device, tuning: Tuning | None = None
    ) -> None:
        self.name = name
        places = range(len(lay_out(scenario, scenario.arms[name]).ids))
        self._members = [Arm(scenario, name, data, device, tuning, place) for place in places]
        self.steps = self._members[0].steps

    @property
    def step(self) -> int:
        """Steps done."""
        return self._members[0].step

    @property
    def done(self) -> bool:
        """Whether all steps are done."""
        return self._members[0].done

    @property
    def stage_done(self) -> bool:
        """Whether all steps of the present stage are done."""
        return self._members[0].stage_done

    @property
    def evaluation_due(self) -> bool:
        """Whether there is an evaluation at this step."""
        return self._members[0].evaluation_due

    @property
    def checkpoint_due(self) -> bool:
        """Whether a checkpoint is made at this step."""
        return self._members[0].checkpoint_due

    def advance(self) -> None:
        """Do one step of each chip."""
        for member in self._members:
            member.advance()

    def next_stage(self) -> None:
        """Enter the next stage."""
        for member in self._members:
            member.next_stage()

    @property
    def lives_on(self) -> bool:
        """Whether something is left to happen to a chip."""
        return any(member.lives_on for member in self._members)

    @property
    def lived(self) -> float:
        """Simulated seconds of the chip whose life goes on."""
        return next((member.lived for member in self._members if member.lives_on), self._members[-1].lived)

    def live(self) -> bool:
        """Let the next thing happen to the first chip that has something left; whether a checkpoint is due."""
        return next(member for member in self._members if member.lives_on).live()

    def evaluate(self) -> Curve:
        """Evaluate each chip, and remember it."""
        return _joined([member.evaluate() for member in self._members])

    def state_dict(self) -> dict[str, Any]:
        """Where each chip stands; the tensors are live."""
        return {"step": self.step, "members": [member.state_dict() for member in self._members]}

    def load_state_dict(self, state: dict[str, Any], curves: Sequence[Curve]) -> None:
        """Continue where `state_dict` was taken, after these evaluations."""
        for at, (member, saved) in enumerate(zip(self._members, state["members"], strict=True)):
            own = [
                curve.model_copy(update={"chips": curve.chips[at : at + 1], "spent": curve.spent[at : at + 1]})
                for curve in curves
            ]
            member.load_state_dict(saved, own)

    def result(self) -> ArmResult:
        """What came of all."""
        results = [member.result() for member in self._members]
        stages = [_together(same) for same in zip(*(each.stages for each in results), strict=True)]
        lives = (life.model_copy(update={"chips": (at,)}) for at, each in enumerate(results) for life in each.lives)
        chips = tuple(chip for each in results for chip in each.chips)
        return results[0].model_copy(update={"chips": chips, "stages": tuple(stages), "lives": tuple(lives)})


def _joined(curves: Sequence[Curve]) -> Curve:
    """One evaluation of all chips, from those of each."""
    chips = tuple(chip for curve in curves for chip in curve.chips)
    return curves[0].model_copy(
        update={"chips": chips, "spent": tuple(each for curve in curves for each in curve.spent)}
    )


def _together(stages: Sequence[StageResult]) -> StageResult:
    return stages[0].model_copy(update={"chips": tuple(chip for stage in stages for chip in stage.chips)})
