"""Search of learning rates by a grid, on data that the final test never sees and on chips of its own."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from analogsim.results import ChipResult, Curve, Metrics, TunedPoint, Tuning, interval
from analogsim.study.arm import Arm, without_chip
from analogsim.study.population import lay_out
from analogsim.study.schema import Scenario
from analogsim.study.stages import last_learning, stages_of, with_optimizer
from analogsim.study.train_section import Tune
from analogsim.tasks import DataSet


class Search:
    """The search for an arm's learning rates, all points of its axes and all rates in one population.

    Of an arm of stages that of the last stage that learns; all stages run, for each of its rates.

    Args:
        scenario: with `train.tune`.
        name: of the arm.
        data: of the scenario; only its training part is looked at.
        device: to simulate on.

    Attributes:
        name: of the arm.
    """

    def __init__(self, scenario: Scenario, name: str, data: DataSet, device: torch.device) -> None:
        settings = scenario.train.tune
        assert settings is not None
        first = scenario.chip.population  # the tuning chips are numbered after those that are trained later
        chip = scenario.chip.model_copy(
            update={"population": first + settings.chips, "only": tuple(range(first, first + settings.chips))}
        )
        arm = scenario.arms[name]
        plans = stages_of(scenario, arm)
        last = last_learning(plans)
        optimizer = plans[last].arm.optimizer or scenario.train.optimizer
        searched = with_optimizer(arm, last, optimizer.with_rates(settings.lr))
        train = scenario.train.model_copy(update={"metrics": ()})
        search = scenario.model_copy(update={"chip": chip, "train": train, "arms": {name: searched}})
        self.name, self._settings, self._classes = name, settings, bool(data.classes)
        self._places = lay_out(search, searched).coordinates
        self._trial = Arm(search, name, data.held_out(settings.validation), device)
        self._trial.evaluate()  # what stages are judged by begins here

    @property
    def step(self) -> int:
        """Steps done."""
        return self._trial.step

    @property
    def steps(self) -> int:
        """All of its steps."""
        return self._trial.steps

    @property
    def done(self) -> bool:
        """Whether all steps of all stages are done."""
        return self._trial.done

    @property
    def checkpoint_due(self) -> bool:
        """Whether a checkpoint is made at this step."""
        return self._trial.checkpoint_due

    def advance(self) -> None:
        """Do one step, or enter the next stage where one is at its end."""
        if self._trial.stage_done:
            self._trial.next_stage()
            self._trial.evaluate()
        else:
            self._trial.advance()

    def tuning(self) -> Tuning:
        """What was found, once all steps are done."""
        settings = self._settings
        found: dict[str, tuple[dict[str, object], dict[float, list[tuple[Metrics, ChipResult]]]]] = {}
        ended = self._trial.evaluate().chips
        result = self._trial.result()
        for place, seen, chip in zip(self._places, ended, result.chips, strict=True):
            point = {axis: value for axis, value in without_chip(place).items() if axis != "lr"}
            _, by_rate = found.setdefault(repr(point), (point, {}))
            by_rate.setdefault(place["lr"], []).append((seen, chip))
        points = [_tuned(settings, point, by_rate, self._classes) for point, by_rate in found.values()]
        return Tuning(
            lr=settings.lr,
            protocol=settings.protocol,
            passes=sum(chip.counts.passes for chip in result.chips) // len(points),
            validation=settings.validation,
            chips=settings.chips,
            points=tuple(points),
        )

    def state_dict(self) -> dict[str, Any]:
        """Where the search stands, for a checkpoint, its few evaluations included; the tensors are live."""
        return {**self._trial.state_dict(), "curves": [curve.model_dump(mode="json") for curve in self._trial.curves]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        own = {key: value for key, value in state.items() if key != "curves"}
        self._trial.load_state_dict(own, [Curve.model_validate(curve) for curve in state["curves"]])


def _tuned(
    settings: Tune,
    point: dict[str, object],
    by_rate: Mapping[float, Sequence[tuple[Metrics, ChipResult]]],
    classes: bool,
) -> TunedPoint:
    """What was found at a point, and the rate that is chosen there."""
    accuracy = tuple(_mean([seen.test_accuracy for seen, _ in by_rate[rate]]) for rate in settings.lr)
    loss = tuple(_mean([seen.test_loss for seen, _ in by_rate[rate]]) for rate in settings.lr)
    diverged = tuple(sum(chip.status == "diverged" for _, chip in by_rate[rate]) for rate in settings.lr)
    if settings.protocol == "highest_stable":
        rising = sorted(zip(settings.lr, diverged, strict=True))
        stable = [rate for rate, _ in itertools.takewhile(lambda tried: not tried[1], rising)]
        chosen = stable[-1] if stable else rising[0][0]
    elif classes:
        chosen = min((-(each or 0.0), rate) for each, rate in zip(accuracy, settings.lr, strict=True))[1]
    else:
        cost = [math.inf if each is None else each for each in loss]
        chosen = min(zip(cost, settings.lr, strict=True))[1]
    return TunedPoint(point=point, accuracy=accuracy, loss=() if classes else loss, diverged=diverged, chosen=chosen)


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return interval(known)[0] if len(known) == len(values) else None
