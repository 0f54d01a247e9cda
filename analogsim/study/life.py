"""Life: the chips of an arm on the scenario's timeline, and what is written down of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np
import simpy
import torch
from torch import Tensor

from analogsim.chip.compensation import VECTORS
from analogsim.clock import TICKS, Clock, Server, SharedChip, ticks
from analogsim.port import Periphery
from analogsim.randomness import Purpose
from analogsim.results import Life as LifeResult
from analogsim.results import Moment, Requests
from analogsim.study.account import Account
from analogsim.study.stage import Handover, Stage
from analogsim.study.timeline import Seen, Timeline
from analogsim.study.timeline_section import (
    Calibrate,
    Compensate,
    Evaluate,
    Event,
    Fault,
    PowerLoss,
    Reprogram,
    SelfTest,
    SetTemperature,
    Traffic,
    Train,
)

PERCENTILES = (50.0, 95.0, 99.0, 100.0)
"""Of the time from a request to its answer."""


class Life:
    """The chips of an arm's last stage on a timeline; a `Body` of it.

    Args:
        stage: its chips have been trained.
        common, own: events of the scenario and of the arm.
        step: steps that the arm has done, from which evaluations are numbered.
        step_time: seconds of a learning step; 0: as the prices of the stage say.
        seed: of requests.
        saved: what `state_dict` gave, to continue there; the stage is as it was then.
    """

    def __init__(
        self,
        stage: Stage,
        common: Sequence[Event],
        own: Sequence[Event],
        step: int,
        step_time: float,
        seed: int,
        saved: dict[str, Any] | None = None,
    ) -> None:
        prices = None if stage.account is None else stage.account.prices
        self.stage, self._step, self._prices, self._seed = stage, step, prices, seed
        self._step_time = step_time if prices is None else prices.step_time
        self._looks = self.steps = self._answered = 0
        self._servers: list[Server] = []
        self.moments: list[Moment] = []
        events = [each for event in (*common, *own) for each in (event, *event.then)]
        self._compensated = any(isinstance(each, Compensate) for each in events)
        self._begin: int = stage.rig.clock.ticks if saved is None else saved["begin"]
        self._account = None if prices is None else Account(stage.rig, prices, saved and saved["account"])
        if saved is None:
            self._refer()
        loses = any(isinstance(each, PowerLoss) for each in events)
        self._image = _Image.of(stage, saved and saved["image"]) if loses else None
        self._remembered = [] if saved is None else [Moment.model_validate(each) for each in saved["moments"]]
        self._replaying = saved is not None
        clock = Clock(self._begin)
        self._timeline = Timeline(common, own, self, clock.environment)
        while saved is not None and self._timeline.turns < saved["turns"]:
            self._timeline.turn()
        self._replaying = False
        stage.rig.clock = clock

    @property
    def over(self) -> bool:
        """Whether all has happened."""
        return self._timeline.over

    @property
    def seconds(self) -> float:
        """Since the beginning, simulated."""
        return (self.stage.rig.clock.ticks - self._begin) / TICKS

    def go_on(self) -> bool:
        """Live until a learning step or an event has been done, or all has; whether it was a step."""
        steps, moments = self.steps, len(self.moments)
        while not self.over and (self.steps, len(self.moments)) == (steps, moments):
            self._timeline.turn()
        return self.steps != steps

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, for a checkpoint, the stage aside."""
        return {
            "begin": self._begin,
            "turns": self._timeline.turns,
            "moments": [each.model_dump(mode="json") for each in self.moments],
            "account": None if self._account is None else self._account.state_dict(),
            "image": None if self._image is None else self._image.plain(),
        }

    @property
    def step_time(self) -> float:
        """Seconds of a learning step."""
        return self._step_time

    def learn(self) -> None:
        """One learning step."""
        self.steps += 1
        if not self._replaying:
            self.stage.learn()
            if self._account is not None:
                self._account.steps += 1

    def busy(self, event: Event) -> float:
        """Seconds for which an event keeps the chip busy; none where nobody counts."""
        prices = self._prices
        if prices is None:
            return 0.0
        reads = self._reads(event)
        if isinstance(event, Train | Reprogram):
            reads = VECTORS * self._compensated  # a new reference
        return prices.reads_time(reads) + isinstance(event, Reprogram) * prices.write_time

    def _reads(self, event: Event) -> int:
        """Inputs that an event sends through the chip."""
        if isinstance(event, SelfTest | Calibrate):
            wanted = event.samples if isinstance(event, SelfTest) else self.stage.rig.calibration_inputs
            return min(wanted, self.stage.rig.task.train_samples)
        return VECTORS if isinstance(event, Compensate) else 0

    def act(self, event: Event) -> Seen | None:
        """Do what an event says, unless it is only remembered."""
        if isinstance(event, Evaluate | SelfTest):
            self._looks += 1
        if self._replaying:
            return None
        self._read(self._reads(event))
        return self._actions[type(event)](event)

    def _read(self, inputs: int) -> None:
        if self._account is not None:
            self._account.reads += inputs

    @property
    def _actions(self) -> dict[type[Any], Callable[[Any], Seen | None]]:
        return {
            Evaluate: self._look,
            SelfTest: self._look,
            Reprogram: self._reprogram,
            Calibrate: self._calibrate,
            Compensate: self._compensate,
            SetTemperature: self._set_temperature,
            Fault: self._fail,
            PowerLoss: self._lose_power,
        }

    def _look(self, event: Evaluate | SelfTest) -> Seen:
        samples = event.samples if isinstance(event, SelfTest) else None
        accuracy, loss = self.stage.rig.evaluate(self._step + self._looks, samples)
        return Seen(_listed(accuracy), _listed(loss))

    def _reprogram(self, event: Reprogram) -> None:
        rig = self.stage.rig
        rig.chip.reprogram(self.stage.hand_over().weights, now=rig.clock.now)
        if self.stage.controller is not None:
            self.stage.controller.programmed()
        self._refer()

    def _calibrate(self, event: Calibrate) -> None:
        self.stage.rig.calibrate()

    def _compensate(self, event: Compensate) -> None:
        self.stage.rig.chip.compensate(self.stage.rig.clock.now)

    def _set_temperature(self, event: SetTemperature) -> None:
        self.stage.rig.chip.set_temperature(event.to, self.stage.rig.clock.now)

    def _fail(self, event: Fault) -> None:
        self.stage.rig.chip.fail(event.faults, self.stage.rig.clock.now)

    def _lose_power(self, event: PowerLoss) -> None:
        assert self._image is not None
        self.stage.lose_power(event.keeps, self._image.held)
        for crossbar, level in zip(self.stage.rig.chip.crossbars, self._image.references, strict=True):
            if level is not None:
                crossbar.compensation.take_reference(level.clone())

    def _refer(self) -> None:
        """What the layers give now is what compensation is to restore."""
        if self._compensated:
            self._read(VECTORS)
            self.stage.rig.chip.take_reference(self.stage.rig.clock.now)

    def done(self, event: Event, seconds: float, seen: Seen | None = None) -> dict[str, float]:
        """Write down that an event is over; its metrics, means over chips."""
        if isinstance(event, Train) and not self._replaying:
            self._refer()
        moment = self._note(event, seconds, **({} if seen is None else seen._asdict()))
        if isinstance(event, SelfTest):
            return {"self_test": _mean(moment.accuracy)}
        if isinstance(event, Evaluate):
            return {"accuracy": _mean(moment.accuracy), "loss": _mean(moment.loss)}
        return {}

    def serve(self, event: Traffic, environment: simpy.Environment, chip: SharedChip) -> Server:
        """Let requests come from now on."""
        assert self._prices is not None
        key = np.random.SeedSequence((self._seed, Purpose.TRAFFIC, len(self._servers)))
        begin = environment.now
        times = takewhile(lambda time: time <= event.time, event.arrivals.times(np.random.default_rng(key)))
        inference = self._prices.inference
        interval, latency = (max(1, ticks(each)) for each in (inference.interval, inference.latency))
        server = Server(environment, (begin + ticks(time) for time in times), interval, latency, event.priority, chip)
        self._servers.append(server)
        return server

    def served(self, event: Traffic, seconds: float, server: Server) -> None:
        """Write down how long requests took."""
        taken = np.array(server.latencies) / TICKS
        found = [] if not taken.size else np.percentile(taken, PERCENTILES).tolist()
        self._note(
            event,
            seconds,
            began=(server.begin - self._begin) / TICKS,
            requests=Requests(
                count=taken.size,
                mean=float(taken.mean()) if taken.size else None,
                percentiles={f"{share:g}": value for share, value in zip(PERCENTILES, found, strict=False)},
            ),
        )

    def _note(self, event: Event, seconds: float, **measured: Any) -> Moment:
        """Write down that an event is over, or remember it."""
        served = sum(len(server.latencies) for server in self._servers)
        if self._replaying:
            moment = self._remembered[len(self.moments)]
        else:
            self._read(served - self._answered)
            joules = None if self._account is None else self._account.joules(seconds)
            if isinstance(event, Evaluate) and self._account is not None:
                measured["wear"] = self._account.wear()
            moment = Moment(seconds=seconds, event=event.do, steps=self.steps, joules=joules, **measured)
        self._answered = served
        self.moments.append(moment)
        return moment

    def result(self, chips: Sequence[int]) -> LifeResult:
        """What happened, to these chips of the arm."""
        return LifeResult(chips=tuple(chips), moments=tuple(self.moments))


class _Image(NamedTuple):
    """What is in the non-volatile memory of the computer beside the chip when the timeline begins.

    Attributes:
        held: record of the weights, and R.
        references: of drift compensation, of each crossbar (C,), or None.
    """

    held: Handover
    references: tuple[Tensor | None, ...]

    @classmethod
    def of(cls, stage: Stage, saved: dict[str, Any] | None) -> _Image:
        """Of a stage's chips as they are, or as they were: what `plain` gave."""
        held, device = stage.hand_over(), stage.rig.chip.device
        given = cls(held, tuple(each.compensation.reference for each in stage.rig.chip.crossbars)).plain()
        weights, r, references = ([_copied(each, device) for each in (saved or given)[name]] for name in given)
        own = held._replace(
            weights=tuple(w for w in weights if w is not None),
            periphery=Periphery(tuple(r), held.periphery.crossbar),
        )
        return cls(own, tuple(references))

    def plain(self) -> dict[str, Any]:
        """For a checkpoint; the tensors are live."""
        r = self.held.periphery.decorrelation
        return {"weights": list(self.held.weights), "r": list(r), "references": list(self.references)}


def _copied(tensor: Tensor | None, device: torch.device) -> Tensor | None:
    return None if tensor is None else tensor.to(device, copy=True)


def _listed(values: Tensor) -> tuple[float | None, ...]:
    return tuple(value if math.isfinite(value) else None for value in values.double().tolist())


def _mean(values: Sequence[float | None] | None) -> float:
    """nan where any is not finite."""
    known = [math.nan if value is None else value for value in values or ()]
    return math.fsum(known) / len(known)
