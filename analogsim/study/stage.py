"""Stage: the chips and the controller of one stage of an arm, where it stands, and what it hands on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from analogsim.chip import Chip, Mapping
from analogsim.chip.samples import samples_within
from analogsim.clock import Clock
from analogsim.errors import ScenarioError
from analogsim.learning import Controller
from analogsim.network import Network
from analogsim.port import Access, Periphery
from analogsim.randomness import Purpose, Streams
from analogsim.results import ChipOfStage, Counts, Curve, StageResult
from analogsim.study.account import Account
from analogsim.study.chip_section import ChipSection
from analogsim.study.population import Population
from analogsim.study.prices import Prices
from analogsim.study.rig import Rig
from analogsim.study.schema import Scenario
from analogsim.study.stages import StagePlan
from analogsim.tasks import Task

_MODEL = 1 << 20  # chips of a stage in a computer are numbered from here: a model knows no chip's own faults


class Handover(NamedTuple):
    """What a stage begins with.

    Attributes:
        weights: per layer (C, units, rows), the controller's copy.
        periphery: R, digital or on crossbars of its own.
        diverged: (C,), chips that are frozen.
        chip, clock: of the stage before; for a stage that goes on with them.
    """

    weights: tuple[Tensor, ...]
    periphery: Periphery
    diverged: Tensor
    chip: Chip | None = None
    clock: Clock | None = None


class Stage:
    """One stage of an arm, at its beginning.

    Unless it goes on with the chips of the stage before, its chips are new: of the same numbers and seeds in every arm,
    so that those of an arm's last stage are the same fabricated instances. Chips of a stage in a computer are others: a
    model shares the law of variation and faults with the chips, not the draws. The copy is programmed onto
    them, which fixes their range, at 0 s of a clock of their own.

    Args:
        scenario: of the run.
        plan: of the stage.
        population: its chips and rates.
        network: what runs on them.
        task: of the arm: the order of data goes on from stage to stage.
        begin: what it begins with; its tensors are live.
        prices: of what its chips do; None: nobody counts.
        saved: what `state_dict` gave, to continue there; `begin` then only lends its shapes.

    Attributes:
        rig: chips and task.
        controller: None where nothing is learned.
        account: of what its chips are asked to do; None without prices.
        step: steps done.
        steps: of the whole stage.
    """

    def __init__(
        self,
        scenario: Scenario,
        plan: StagePlan,
        population: Population,
        network: Network,
        task: Task,
        begin: Handover,
        prices: Prices | None = None,
        saved: dict[str, Any] | None = None,
    ) -> None:
        self.plan, self._population = plan, population
        self.steps = plan.epochs * task.steps_per_epoch
        self.step = 0
        chip, clock = begin.chip, begin.clock
        if chip is None or clock is None or not plan.goes_on or saved is not None:
            own = (
                replace(population, ids=[_MODEL + number for number in population.ids]) if plan.ex_situ else population
            )
            chip, clock = build_chip(plan.chip, network, own, begin.diverged.device), Clock()
            chip.program(begin.weights)
        self._written, self._pulsed = chip.device_writes.clone(), chip.pulses.clone()
        self._lost = torch.zeros(2, chip.chips, dtype=torch.int64)  # counters of rules that lost their memory
        self.rig = Rig(chip, task, plan.grants, clock, plan.arm.loss_channel)
        if saved is not None:
            begin = self._restored(begin, saved)
            made = saved["rig"]["chip"]["decorrelation"]  # also crossbars that are not used any more
            r = begin.periphery.decorrelation
            chip.write_decorrelation([each if index in made else None for index, each in enumerate(r)])
        self.rig.set_periphery(begin.periphery)
        if saved is not None:
            self.step, self._written, self._pulsed = saved["done"], *_held(saved, begin.diverged.device)
            self._lost = saved["lost"].clone()
            self.rig.load_state_dict(saved["rig"])  # the controller looks at limits
        elif chip is not begin.chip:
            self.rig.calibrate()
        self._begin, self._scenario = begin, scenario
        self.controller = self._make_controller() if plan.learns else None
        if saved is not None:
            if self.controller is not None:
                self.controller.load_state_dict(saved["controller"])
            self.rig.load_state_dict(saved["rig"])  # again: the controller has set its periphery
        self.account = None if prices is None else Account(self.rig, prices, saved and saved["account"])

    @staticmethod
    def _restored(begin: Handover, saved: dict[str, Any]) -> Handover:
        """What a stage that is continued has in place of what it began with; its controller has the rest."""
        device = begin.diverged.device
        r = tuple(None if each is None else each.to(device, copy=True) for each in saved["r"])
        begin = begin._replace(periphery=Periphery(r, saved["crossbar"]))
        if saved["controller"] is not None:
            return begin
        weights = tuple(w.to(device, copy=True) for w in saved["weights"])
        return begin._replace(weights=weights, diverged=saved["diverged"].to(device, copy=True))

    def _make_controller(self) -> Controller:
        arm, population, scenario = self.plan.arm, self._population, self._scenario
        optimizer = arm.optimizer or scenario.train.optimizer
        streams = Streams(population.seeds, population.ids, torch.device("cpu"))
        rule = arm.build_rule()
        controller = Controller(
            self.rig,
            rule,
            self._begin.weights,
            partial(optimizer.factory, **optimizer.options),
            population.rates,
            arm.decorrelation,
            self.chunk(scenario, scenario.data.batch),
            arm.weight_normalisation,
            optimizer.writing,
            [g for g in streams.generators(Purpose.RULE) if g is not None],
            arm.weight_decay,
            0 if arm.loss_channel is None else arm.loss_channel.waiting,
            Streams(population.seeds, population.ids, self._begin.diverged.device).generators(Purpose.COMPANION),
            self._begin.periphery,
        )
        controller.diverged = self._begin.diverged.clone()
        return controller

    def chunk(self, scenario: Scenario, batch: int) -> int | None:
        """Largest number of samples that the rule may run at once on a batch of this size; None: all."""
        probes = self.plan.arm.build_rule().plan(self.rig.network).probes
        if scenario.train.memory is None or not probes:
            return scenario.train.chunk
        try:
            return samples_within(scenario.train.memory, self.rig.chip, probes, batch)
        except ValueError as error:
            raise ScenarioError(str(error)) from None

    def learn(self) -> None:
        """One learning step.

        Raises:
            RuntimeError: nothing is learned here.
        """
        if self.controller is None:
            raise RuntimeError("a stage without a rule has no steps")
        self.controller.step()
        if self.account is not None:
            self.account.steps += 1

    def lose_power(self, keeps: Collection[str], image: Handover) -> None:
        """What is volatile is lost, in the chip and beside it; the devices stay as they are.

        Args:
            keeps: what lies in other non-volatile memory; see `timeline_section.PowerLoss`.
            image: what everything else falls back to.
        """
        held, before = self.hand_over(), self.controller and self.controller.state_dict()
        r = held if ("weights" if held.periphery.crossbar else "decorrelation") in keeps else image
        weights = held.weights if "weights" in keeps else image.weights
        self._begin = held._replace(weights=tuple(w.clone() for w in weights), periphery=r.periphery)
        self.rig.chip.forget()
        with self.rig.unwritten():  # nobody writes R onto its crossbars before something is learned again
            self.rig.set_periphery(r.periphery)
            if before is not None and self.controller is not None:
                if "rule" not in keeps:
                    self._lost = self._lost + torch.stack(self.controller.counters).cpu()
                self.controller = self._make_controller()
                self.controller.recall({name: before[name] for name in ("optimizer", "rule") if name in keeps})

    def hand_over(self) -> Handover:
        """What the next stage begins with."""
        begin = self._begin
        if self.controller is not None:
            copy = self.controller.copy
            begin = Handover(copy.weights, copy.periphery, self.controller.diverged)
        return begin._replace(chip=self.rig.chip, clock=self.rig.clock)

    def state_dict(self) -> dict[str, Any]:
        """Where the stage stands, for a checkpoint; the tensors are live."""
        held = self.hand_over()
        own = {} if self.controller else {"weights": list(held.weights), "diverged": held.diverged}
        return {
            **own,
            "done": self.step,
            "rig": self.rig.state_dict(),
            "controller": None if self.controller is None else self.controller.state_dict(),
            "r": list(held.periphery.decorrelation),
            "crossbar": held.periphery.crossbar,
            "account": None if self.account is None else self.account.state_dict(),
            "lost": self._lost,
            "written": self._written,
            "pulsed": self._pulsed,
        }

    def result(self, curves: Sequence[Curve], untrained: Curve) -> StageResult:
        """What came of it.

        Args:
            curves: its evaluations.
            untrained: the first evaluation of the arm.
        """
        plan, controller, chip = self.plan, self.controller, self.rig.chip
        diverged = self._begin.diverged if controller is None else controller.diverged
        counters = self._lost if controller is None else self._lost + torch.stack(controller.counters).cpu()
        vectors, silent = counters.tolist()
        written, pulses = (chip.device_writes - self._written).tolist(), (chip.pulses - self._pulsed).tolist()
        overdriven, saturated = chip.overdriven.double().tolist(), _saturated(chip)
        first, last, start = curves[0].chips, curves[-1].chips, untrained.chips
        chips = tuple(
            ChipOfStage(
                lr=self._population.rates[at] if plan.learns else None,
                status="diverged" if frozen or (plan.learns and last[at].crashed_from(start[at])) else "finished",
                begin=first[at],
                final=last[at],
                counts=Counts(
                    passes=self.rig.passes,
                    device_writes=written[at],
                    pulses=pulses[at],
                    overdriven=overdriven[at],
                    vectors=vectors[at],
                    silent=silent[at],
                    saturated=saturated[at],
                ),
            )
            for at, frozen in enumerate(diverged.tolist())
        )
        assert isinstance(plan.chip.profile, dict)
        return StageResult(
            rule=plan.arm.rule,
            profile=plan.chip.profile["name"],
            ex_situ=plan.ex_situ,
            programmed=not plan.goes_on,
            decorrelated=plan.arm.decorrelation is not None,
            oracle=() if plan.ex_situ else tuple(plan.arm.oracle),
            steps=self.steps,
            passes_per_step=0 if controller is None else controller.passes_per_step,
            chips=chips,
        )


def _held(saved: dict[str, Any], device: torch.device) -> Iterator[Tensor]:
    """What had been written and pulsed when the stage began, (C,) each."""
    return (saved[name].to(device, copy=True) for name in ("written", "pulsed"))


def build_chip(section: ChipSection, network: Network, population: Population, device: torch.device) -> Chip:
    """The unprogrammed chips of a stage."""
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
        products=section.products,
        grants=Access.of(*section.grants),
        drift_tolerance=section.drift_tolerance,
        count_wear=all(each.costs is not None for each in population.profiles),
    )


def _saturated(chip: Chip) -> list[float]:
    """Share of all weights of each chip that rest at the end of their range."""
    sizes = torch.tensor([w[0].numel() for w in chip.oracle.weights], dtype=torch.float64)
    return (chip.saturated.double().cpu() @ sizes / sizes.sum()).tolist()
