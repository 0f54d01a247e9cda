"""Arm: the chips and the controller of one arm of a run, where they stand, and what came of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from analogsim.chip import Chip, Mapping
from analogsim.learning import Controller
from analogsim.network import Network
from analogsim.port import Access
from analogsim.randomness import Purpose, Streams
from analogsim.results import ArmResult, ChipResult, Counts, Curve, Later, Metrics, Tuning
from analogsim.study.diagnosis import Diagnosis
from analogsim.study.rig import Rig
from analogsim.study.scenario import Population, lay_out
from analogsim.study.schema import Scenario
from analogsim.tasks import LOSSES, DataSet, Task


class Arm:
    """One arm of a run, at the beginning of its training.

    Args:
        scenario: of the run.
        name: of the arm.
        data: of the scenario, standardised where it asks for that.
        device: to simulate on.
        tuning: learning rates in the place of the optimiser's.

    Attributes:
        step: steps done.
        steps: steps of the whole arm.
        curves: evaluations so far.
    """

    def __init__(
        self, scenario: Scenario, name: str, data: DataSet, device: torch.device, tuning: Tuning | None = None
    ) -> None:
        self.name = name
        self.step = 0
        self.curves: list[Curve] = []
        self._arm = arm = scenario.arms[name]
        self._population = population = lay_out(scenario, arm)
        self._tuning = tuning
        if tuning is not None:
            rates = [tuning.rate(without_chip(place)) for place in population.coordinates]
            self._population = population = replace(population, rates=rates)
        network = scenario.network.build(data.input_shape)
        chip = build_chip(scenario, network, population, device)
        cpu = torch.device("cpu")
        first = Streams(population.seeds, population.ids, cpu).generators(Purpose.INITIAL_WEIGHTS)
        weights = network.initial_weights(scenario.network.init, [g for g in first if g is not None])
        weights = tuple(w.to(device, chip.dtype) for w in weights)
        chip.program(weights)
        task = Task(
            data, LOSSES[scenario.data.loss], scenario.data.batch, population.seeds, population.ids, device, chip.dtype
        )
        channel = arm.loss_channel
        self._rig = Rig(chip, task, Access.of(*arm.oracle), channel=channel)
        self._rig.calibrate()
        optimizer = arm.optimizer or scenario.train.optimizer
        self._controller = Controller(
            self._rig,
            arm.build_rule(),
            weights,
            partial(optimizer.factory, **optimizer.options),
            population.rates,
            arm.decorrelation,
            scenario.train.chunk,
            arm.weight_normalisation,
            optimizer.writing,
            [g for g in Streams(population.seeds, population.ids, cpu).generators(Purpose.RULE) if g is not None],
            arm.weight_decay,
            0 if channel is None else channel.waiting,
            Streams(population.seeds, population.ids, device).generators(Purpose.COMPANION),
        )
        self._diagnosis = Diagnosis(
            scenario.train.metrics,
            self._rig,
            self._controller,
            task.first_samples(scenario.train.metrics_batch),
            writes=Access.WEIGHT_INJECTION in arm.build_rule().requires,
        )
        self._times = scenario.train.later
        self._compensated = scenario.train.drift_compensation
        self._later: list[Later] = []
        self._step_time = scenario.train.step_time
        self._steps_per_epoch = task.steps_per_epoch
        self.steps = scenario.train.epochs * task.steps_per_epoch
        self._evaluation_steps = scenario.train.evaluation_steps(task.steps_per_epoch)
        self._checkpoint_steps = scenario.train.checkpoint_steps(task.steps_per_epoch)

    @property
    def done(self) -> bool:
        """Whether all steps are done."""
        return self.step == self.steps

    @property
    def evaluation_due(self) -> bool:
        """Whether the chips are evaluated at this step."""
        return self.step % self._evaluation_steps == 0 or self.done

    @property
    def checkpoint_due(self) -> bool:
        """Whether a checkpoint is made at this step; not at an arm's beginning, which can be built again."""
        return self.step > 0 and self.step % self._checkpoint_steps == 0 and not self.done

    def advance(self) -> None:
        """Do one step."""
        self._controller.step()
        self._rig.clock.advance(self._step_time)
        self.step += 1

    def age(self) -> None:
        """After the last step: let time pass, evaluate, and learn a little where the arm is to."""
        clock, end, steps = self._rig.clock, self._rig.clock.now, self._arm.later_steps
        chip = self._rig.chip
        if self._compensated:
            chip.take_reference(end)
        for index, seconds in enumerate(self._times):
            clock.advance(max(0.0, end + seconds - clock.now))  # learning in between may have taken longer
            if self._compensated:
                chip.compensate(clock.now)
            before, _ = self._rig.evaluate(self.steps + 1 + 2 * index)
            after = None
            for _ in range(steps):
                self._controller.step()
                clock.advance(self._step_time)
            if steps:
                if self._compensated:  # what was learnt with the factor is the new reference
                    chip.take_reference(clock.now)
                after = _listed(self._rig.evaluate(self.steps + 2 + 2 * index)[0])
            self._later.append(Later(seconds=seconds, before=_listed(before), steps=steps, after=after))

    def evaluate(self) -> Curve:
        """Evaluate the chips as deployed, and remember it."""
        accuracy, loss = self._rig.evaluate(self.step)
        train = self._rig.training_loss() if self.step else torch.full_like(loss, math.nan)
        rows = torch.stack([accuracy, loss, train]).double().cpu().T.tolist()
        epoch = self.step / self._steps_per_epoch
        chips = tuple(
            Metrics(
                epoch=epoch, test_accuracy=_finite(a), test_loss=_finite(b), train_loss=_finite(c), diagnostics=found
            )
            for (a, b, c), found in zip(rows, self._diagnosis.measure(self.step), strict=True)
        )
        self.curves.append(Curve(arm=self.name, step=self.step, chips=chips))
        return self.curves[-1]

    def state_dict(self) -> dict[str, Any]:
        """Where the arm stands, for a checkpoint, its curves aside; the tensors are live."""
        return {"step": self.step, "rig": self._rig.state_dict(), "controller": self._controller.state_dict()}

    def load_state_dict(self, state: dict[str, Any], curves: Sequence[Curve]) -> None:
        """Continue where `state_dict` was taken, after these evaluations."""
        self.step, self.curves = state["step"], list(curves)
        self._controller.load_state_dict(state["controller"])  # first: it sets the periphery of the chips
        self._rig.load_state_dict(state["rig"])

    def result(self) -> ArmResult:
        """What came of it."""
        return ArmResult(
            rule=self._arm.rule,
            family=self._arm.family,
            tuning=self._tuning,
            decorrelated=self._arm.decorrelation is not None,
            oracle=tuple(self._arm.oracle),
            steps=self.steps,
            passes_per_step=self._controller.passes_per_step,
            chips=_chip_results(self._population, self._rig, self._controller, self.curves),
            later=tuple(self._later),
        )


def without_chip(place: dict[str, Any]) -> dict[str, Any]:
    """The point on the axes at which a chip lies."""
    return {axis: value for axis, value in place.items() if axis != "chip"}


def build_chip(scenario: Scenario, network: Network, population: Population, device: torch.device) -> Chip:
    """The unprogrammed chips of an arm."""
    section = scenario.chip
    return Chip(
        network,
        population.profiles,
        population=population.ids,
        seed=population.seeds,
        device=device,
        dtype=getattr(torch, section.precision),
        sampling=section.sampling,
        tile=section.tile,
        mapping=Mapping(section.mapping.range, section.mapping.per, section.mapping.headroom),
        order=section.order,
        injection=section.injection,
        grants=Access.of(*section.grants),
    )


def _worse(history: Sequence[Metrics]) -> bool:
    """Whether learning left a chip worse than it found it: Hiratani et al.'s crash, a loss above 1.1 x the initial."""
    first, last = history[0].test_loss, history[-1].test_loss
    return last is None or (first is not None and last > 1.1 * first)


def _listed(accuracy: torch.Tensor) -> tuple[float | None, ...]:
    return tuple(_finite(value) for value in accuracy.double().tolist())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _chip_results(
    population: Population, rig: Rig, controller: Controller, curves: Sequence[Curve]
) -> tuple[ChipResult, ...]:
    diverged, writes = controller.diverged.tolist(), rig.chip.device_writes.tolist()
    pulses, overdriven = rig.chip.pulses.tolist(), rig.chip.overdriven.double().tolist()
    vectors, silent = (counter.tolist() for counter in controller.counters)
    sizes = torch.tensor([w[0].numel() for w in rig.chip.oracle.weights], dtype=torch.float64)
    saturated = (rig.chip.saturated.double().cpu() @ sizes / sizes.sum()).tolist()
    results = []
    for index, place in enumerate(population.coordinates):
        history = [curve.chips[index] for curve in curves]
        results.append(
            ChipResult(
                coordinates=place,
                lr=population.rates[index],
                status="diverged" if diverged[index] or _worse(history) else "finished",
                final=history[-1],
                best=max(history, key=lambda metrics: metrics.test_accuracy or 0.0),
                counts=Counts(
                    passes=rig.passes,
                    device_writes=writes[index],
                    pulses=pulses[index],
                    overdriven=overdriven[index],
                    vectors=vectors[index],
                    silent=silent[index],
                    saturated=saturated[index],
                ),
            )
        )
    return tuple(results)
