"""Timeline: the events of a scenario as SimPy processes on the clock of an arm's chips.

Everything that touches chips is an action of a `Body`. What an action has measured is kept, so that a killed run goes
on by running the same processes again, with the actions left out and what they had measured in their place; then the
chips are as they were saved, and the clock stands where it stood.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import simpy
from simpy.events import NORMAL, URGENT, EventPriority

from analogsim.clock import Server, SharedChip
from analogsim.study.timeline_section import (
    Evaluate,
    Event,
    Idle,
    Traffic,
    Train,
)

Process = Generator[simpy.Event, Any, None]


class _Moment(simpy.Event):
    """Happens after a delay, before or after others of the same time by its priority."""

    def __init__(self, environment: simpy.Environment, priority: EventPriority, delay: float) -> None:
        super().__init__(environment)
        self._ok, self._value = True, None
        environment.schedule(self, priority, delay)


class Seen(NamedTuple):
    """What was measured, for each chip.

    Attributes:
        accuracy, loss: None where not finite.
    """

    accuracy: tuple[float | None, ...]
    loss: tuple[float | None, ...]


class Body(Protocol):
    """What a timeline does to chips."""

    @property
    def step_time(self) -> float:
        """Seconds of a learning step."""
        ...

    def learn(self) -> None:
        """One learning step."""
        ...

    def busy(self, event: Event) -> float:
        """Seconds for which an event keeps the chip busy."""
        ...

    def act(self, event: Event) -> Seen | None:
        """Do what an event says; what it has measured."""
        ...

    def done(self, event: Event, seconds: float, seen: Seen | None = None) -> dict[str, float]:
        """Told when an event is over, at so many seconds since the beginning; what is known of its metrics, by name."""
        ...

    def serve(self, event: Traffic, environment: simpy.Environment, chip: SharedChip) -> Server:
        """Let requests come from now on."""
        ...

    def served(self, event: Traffic, seconds: float, server: Server) -> None:
        """Told when the last of them has been accepted."""
        ...


class Timeline:
    """The processes of an arm's timeline.

    Args:
        common: events of the scenario.
        own: of the arm.
        body: what they do.
        environment: of SimPy, whose present is the beginning.

    Attributes:
        turns: events of SimPy that have been worked off: where the timeline stands.
    """

    def __init__(
        self, common: Sequence[Event], own: Sequence[Event], body: Body, environment: simpy.Environment
    ) -> None:
        self._environment, self._body, self._begin = environment, body, environment.now
        self._chip = SharedChip(environment)
        self._measurement = environment.event()
        self._serving = 0  # traffic events under way
        self.turns = 0
        ends = []
        for events in (common, own):
            ends.append(environment.process(self._script([each for each in events if not each.scheduled])))
            for event in events:
                if event.at:
                    ends.append(environment.process(self._at_times(event)))
                elif event.every is not None:
                    recurring = environment.process(self._again(event))
                    ends += [recurring] if event.until is not None else []
                elif event.when is not None:
                    environment.process(self._whenever(event))
        self._end = environment.all_of(ends)

    @property
    def over(self) -> bool:
        """Whether all has happened that has an end."""
        return self._end.processed and not self._serving

    def turn(self) -> None:
        """Work off one event of SimPy."""
        self._environment.step()
        self.turns += 1

    @property
    def _seconds(self) -> float:
        return self._environment.now - self._begin

    def _script(self, events: Iterable[Event]) -> Process:
        """Events that follow each other."""
        for event in events:
            yield from self._happen(event)

    def _at_times(self, event: Event) -> Process:
        for seconds in event.at:
            yield self._moment(event, seconds)
            yield from self._happen(event)

    def _again(self, event: Event) -> Process:
        assert event.every is not None
        number, seconds = 0, event.first
        while event.until is None or seconds <= event.until:
            yield self._moment(event, seconds)
            yield from self._happen(event)
            number = max(number + 1, math.ceil((self._seconds - event.first) / event.every))  # what was missed is lost
            seconds = event.first + number * event.every

    def _whenever(self, event: Event) -> Process:
        condition = event.condition
        assert condition is not None
        while True:
            measured = yield self._measurement
            if condition.metric in measured and condition.holds(measured[condition.metric]):
                yield from self._happen(event)

    def _moment(self, event: Event, seconds: float) -> simpy.Event:
        """An event of SimPy at so many seconds since the beginning, or now; who only looks comes first."""
        delay = max(0.0, self._begin + seconds - self._environment.now)
        return _Moment(self._environment, URGENT if isinstance(event, Evaluate) else NORMAL, delay)

    def _happen(self, event: Event) -> Process:
        """An event and what follows at once."""
        for each in (event, *event.then):
            if isinstance(each, Idle):
                yield self._environment.timeout(each.time)
            elif isinstance(each, Traffic):
                self._serving += 1
                self._environment.process(self._requests(each))
            elif isinstance(each, Train):
                yield from self._steps(each)
            else:
                yield from self._act(each)

    def _requests(self, event: Traffic) -> Process:
        server = self._body.serve(event, self._environment, self._chip)
        yield server.over
        self._serving -= 1
        self._body.served(event, self._seconds, server)

    def _steps(self, event: Train) -> Process:
        for _ in range(event.steps):
            with self._chip.for_work() as turn:
                yield turn
                self._body.learn()
                yield self._environment.timeout(self._body.step_time)
        self._body.done(event, self._seconds)

    def _act(self, event: Event) -> Process:
        if isinstance(event, Evaluate):
            seen = self._body.act(event)
        else:
            with self._chip.for_work() as turn:
                yield turn
                seen = self._body.act(event)
                if busy := self._body.busy(event):
                    yield self._environment.timeout(busy)
        known = self._body.done(event, self._seconds, seen)
        if known:
            measurement, self._measurement = self._measurement, self._environment.event()
            measurement.succeed(known)
