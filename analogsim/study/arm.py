"""Arm: its stages one after the other, where it stands, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from analogsim.learning import Controller
from analogsim.port import Access, Periphery
from analogsim.randomness import Purpose, Streams
from analogsim.results import (
    ArmResult,
    ChipOfStage,
    ChipResult,
    Counts,
    Curve,
    Metrics,
    Spent,
    StageResult,
    Tuning,
)
from analogsim.study.diagnosis import Diagnosis
from analogsim.study.life import Life
from analogsim.study.population import lay_out
from analogsim.study.prices import prices_of
from analogsim.study.rig import Rig
from analogsim.study.schema import Scenario, StagedArm
from analogsim.study.stage import Handover, Stage
from analogsim.study.stages import last_learning, stages_of
from analogsim.study.work import RunningArm
from analogsim.tasks import LOSSES, DataSet, Task


class Arm(RunningArm):
    """One arm of a run, at the beginning of its training.

    Args:
        scenario: of the run.
        name: of the arm.
        data: of the scenario, standardised where it asks for that.
        device: to simulate on.
        tuning: learning rates in the place of the optimiser's, in the last stage that learns.
        place: of one chip in the arm's population, to run it alone; None: all of them.

    Attributes:
        steps: steps of the whole arm.
        curves: evaluations so far.
    """

    def __init__(
        self,
        scenario: Scenario,
        name: str,
        data: DataSet,
        device: torch.device,
        tuning: Tuning | None = None,
        place: int | None = None,
    ) -> None:
        self.name = name
        self.curves: list[Curve] = []
        self._scenario, self._tuning, self._place = scenario, tuning, place
        self._arm = arm = scenario.arms[name]
        self._plans = stages_of(scenario, arm)
        population = lay_out(scenario, arm, place=place)
        self._network = scenario.network.build(data.input_shape)
        first = Streams(population.seeds, population.ids, torch.device("cpu")).generators(Purpose.INITIAL_WEIGHTS)
        weights = self._network.initial_weights(scenario.network.init, [g for g in first if g is not None])
        dtype = getattr(torch, scenario.chip.precision)
        self._first = Handover(
            tuple(w.to(device, dtype) for w in weights),
            Periphery((None,) * self._network.depth),
            torch.zeros(len(population.ids), dtype=torch.bool, device=device),
        )
        corruption = scenario.data.corruption
        self._task = task = Task(
            data,
            LOSSES[scenario.data.loss],
            scenario.data.batch,
            population.seeds,
            population.ids,
            device,
            dtype,
            None if corruption is None else corruption.build(),
        )
        self._stages: list[StageResult] = []
        self._stage = self._build(0, self._first)
        self._life: Life | None = None
        self._steps_per_epoch = task.steps_per_epoch
        self._ends = [0]  # steps done before each stage, and after all
        for plan in self._plans:
            self._ends.append(self._ends[-1] + plan.epochs * task.steps_per_epoch)
        self.steps = self._ends[-1]
        self._evaluation_steps = scenario.train.evaluation_steps(task.steps_per_epoch)
        self._checkpoint_steps = scenario.train.checkpoint_steps(task.steps_per_epoch)

    def _build(self, index: int, begin: Handover, saved: dict[str, Any] | None = None) -> Stage:
        """A stage by its number."""
        population = lay_out(self._scenario, self._arm, index, self._place)
        if self._tuning is not None and index == last_learning(self._plans):
            rates = [self._tuning.rate(without_chip(place)) for place in population.coordinates]
            population = replace(population, rates=rates)
        prices = prices_of(self._scenario, self._plans, index, self._network)
        plan = self._plans[index]
        return Stage(self._scenario, plan, population, self._network, self._task, begin, prices, saved)

    @property
    def _rig(self) -> Rig:
        return self._stage.rig

    @property
    def _controller(self) -> Controller | None:
        return self._stage.controller

    @property
    def step(self) -> int:
        """Steps done."""
        return self._ends[len(self._stages)] + self._stage.step

    @property
    def stage_done(self) -> bool:
        """Whether all steps of the stage are done."""
        return self._stage.step == self._stage.steps

    @property
    def done(self) -> bool:
        """Whether all steps of all stages are done."""
        return self.stage_done and len(self._stages) == len(self._plans) - 1

    @property
    def evaluation_due(self) -> bool:
        """Whether the chips are evaluated at this step; the beginning of a stage aside."""
        return self.step % self._evaluation_steps == 0 or self.stage_done

    @property
    def checkpoint_due(self) -> bool:
        """Whether a checkpoint is made at this step; not at an arm's beginning, which can be built again."""
        return self.step > 0 and self.step % self._checkpoint_steps == 0 and not self.done

    def advance(self) -> None:
        """Do one step."""
        self._stage.learn()
        self._rig.clock.advance(self._scenario.train.step_time)
        self._stage.step += 1

    def next_stage(self) -> None:
        """Enter the next stage, of which no step is done; the one before has been evaluated at its end."""
        self._stages.append(self._stage_result())
        self._stage = self._build(len(self._stages), self._stage.hand_over())

    @property
    def lives_on(self) -> bool:
        """Whether something is left to happen on the timeline; all steps are done."""
        life = self._life
        return bool(self._scenario.timeline or self._arm.timeline) if life is None else not life.over

    @property
    def lived(self) -> float:
        """Simulated seconds on the timeline so far."""
        return 0.0 if self._life is None else self._life.seconds

    def live(self) -> bool:
        """Live until a learning step or an event of the timeline has been done; whether a checkpoint is due."""
        if self._life is None:
            self._life = self._lived()
        learned = self._life.go_on()
        return learned and self._life.steps % self._checkpoint_steps == 0

    def _lived(self, saved: dict[str, Any] | None = None) -> Life:
        """The life of the chips of the last stage."""
        scenario, own = self._scenario, self._arm.timeline
        seed = lay_out(scenario, self._arm, place=self._place).seeds[0]
        return Life(self._stage, scenario.timeline, own, self.steps, scenario.train.step_time, seed, saved)

    def evaluate(self) -> Curve:
        """Evaluate the chips as deployed, and remember it."""
        accuracy, loss = self._rig.evaluate(self.step)
        train = self._rig.training_loss() if self._stage.step else torch.full_like(loss, math.nan)
        rows = torch.stack([accuracy, loss, train]).double().cpu().T.tolist()
        epoch = self.step / self._steps_per_epoch
        chips = tuple(
            Metrics(
                epoch=epoch, test_accuracy=_finite(a), test_loss=_finite(b), train_loss=_finite(c), diagnostics=found
            )
            for (a, b, c), found in zip(rows, self._diagnosis().measure(self.step), strict=True)
        )
        stage = len(self._stages)
        self.curves.append(Curve(arm=self.name, stage=stage, step=self.step, chips=chips, spent=self._spent()))
        return self.curves[-1]

    def _spent(self) -> tuple[Spent, ...]:
        """What learning has cost each chip so far, in all stages on it."""
        if self._stage.account is None:
            return ()
        spent, stage = self._stage.account.spent(), len(self._stages)
        before = [curve.spent for curve in self.curves if curve.stage == stage - 1]
        if not self._stage.plan.goes_on or not before or not before[-1]:
            return spent
        return tuple(a.plus(b) for a, b in zip(before[-1], spent, strict=True))

    def _diagnosis(self) -> Diagnosis:
        """Of the present stage."""
        train, plan = self._scenario.train, self._stage.plan
        writes = plan.learns and Access.WEIGHT_INJECTION in plan.arm.build_rule().requires
        batch = self._task.first_samples(train.metrics_batch)
        chunk = self._stage.chunk(self._scenario, train.metrics_batch) if plan.learns and train.metrics else None
        return Diagnosis(train.metrics, self._rig, self._controller, batch, writes, chunk)

    def state_dict(self) -> dict[str, Any]:
        """Where the arm stands, for a checkpoint, its curves aside; the tensors are live."""
        stages = [stage.model_dump(mode="json") for stage in self._stages]
        life = None if self._life is None else self._life.state_dict()
        return {**self._stage.state_dict(), "step": self.step, "stages": stages, "life": life}

    def load_state_dict(self, state: dict[str, Any], curves: Sequence[Curve]) -> None:
        """Continue where `state_dict` was taken, after these evaluations."""
        self.curves = list(curves)
        self._stages = [StageResult.model_validate(stage) for stage in state["stages"]]
        self._stage = self._build(len(self._stages), self._first, state)
        if state["life"] is not None:
            self._life = self._lived(state["life"])

    def _stage_result(self) -> StageResult:
        curves = [curve for curve in self.curves if curve.stage == len(self._stages)]
        return self._stage.result(curves, self.curves[0])

    def result(self) -> ArmResult:
        """What came of it."""
        stages = [*self._stages, self._stage_result()]
        plans, learned = self._plans, last_learning(self._plans)
        return ArmResult(
            rule=", ".join(plan.arm.rule for plan in plans),
            family=self._arm.family,
            tuning=self._tuning,
            decorrelated=any(stage.decorrelated for stage in stages),
            oracle=tuple(dict.fromkeys(name for stage in stages for name in stage.oracle)),
            steps=self.steps,
            passes_per_step=stages[learned].passes_per_step,
            chips=self._chip_results(stages),
            stages=tuple(stages) if isinstance(self._arm, StagedArm) else (),
            step=None if self._stage.account is None else self._stage.account.prices.told(),
            lives=() if self._life is None else (self._life.result(range(self._rig.chips)),),
        )

    def _chip_results(self, stages: Sequence[StageResult]) -> tuple[ChipResult, ...]:
        """Of the chips that the arm ends on: what all stages on them have come to."""
        first = max(index for index, stage in enumerate(stages) if stage.programmed)
        curves = [curve for curve in self.curves if curve.stage >= first]
        learned = stages[last_learning(self._plans)]
        results = []
        for at, place in enumerate(lay_out(self._scenario, self._arm, place=self._place).coordinates):
            history = [curve.chips[at] for curve in curves]
            spent = [curve.spent[at] for curve in curves if curve.spent]
            own = [stage.chips[at] for stage in stages]
            rate = learned.chips[at].lr
            assert rate is not None
            results.append(
                ChipResult(
                    coordinates=place,
                    lr=rate,
                    status="diverged" if any(stage.status == "diverged" for stage in own) else "finished",
                    final=history[-1],
                    best=_best(history, self._task.classes),
                    counts=_together(own[first:]),
                    spent=spent[-1] if spent else None,
                    reached=self._reached(history, spent),
                )
            )
        return tuple(results)

    def _reached(self, history: Sequence[Metrics], spent: Sequence[Spent]) -> Spent | None:
        """What it had cost to reach `train.reach`."""
        wanted = self._scenario.train.reach
        if wanted is None or not spent:
            return None
        pairs = zip(history, spent, strict=True)
        return next((cost for seen, cost in pairs if (seen.test_accuracy or 0.0) >= wanted), None)


def without_chip(place: dict[str, Any]) -> dict[str, Any]:
    """The point on the axes at which a chip lies."""
    return {axis: value for axis, value in place.items() if axis != "chip"}


def _together(stages: Sequence[ChipOfStage]) -> Counts:
    """Counts of all stages on the same chip; what is no sum is as the last has it."""
    added = ("passes", "device_writes", "pulses", "vectors", "silent")
    total = {name: sum(getattr(stage.counts, name) for stage in stages) for name in added}
    return stages[-1].counts.model_copy(update=total)


def _best(history: Sequence[Metrics], classes: bool) -> Metrics:
    """The evaluation with the highest accuracy; where there are no classes with the lowest loss."""
    if classes:
        return max(history, key=lambda metrics: metrics.test_accuracy or 0.0)
    return min(history, key=lambda metrics: math.inf if metrics.test_loss is None else metrics.test_loss)


def _listed(accuracy: torch.Tensor) -> tuple[float | None, ...]:
    return tuple(_finite(value) for value in accuracy.double().tolist())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
