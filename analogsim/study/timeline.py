"""Timeline: the events of a scenario as SimPy processes on the clock of an arm's chips.

Everything that touches chips is an action of a `Body`. What an action has measured is kept, so that a killed run goes
on by running the same processes again, with the actions left out and what they had measured in their place; then the
chips are as they were saved, and the clock stands where it stood.

SimPy's time is a whole number of picoseconds, so that what is due at the same time is.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import simpy
from simpy.events import NORMAL, URGENT, EventPriority

from analogsim.clock import TICKS, Server, SharedChip, ticks
from analogsim.errors import RunError
from analogsim.study.timeline_section import (
    Evaluate,
    Event,
    Fault,
    Idle,
    PowerLoss,
    SetTemperature,
    Traffic,
    Train,
)

Process = Generator[simpy.Event, Any, None]

_AT_ONCE = 10_000  # events at one moment, more than any timeline means


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
        """Seconds for which an event keeps the chip busy, learning steps aside."""
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
        environment: of SimPy, in picoseconds, whose present is the beginning.

    Attributes:
        turns: events of SimPy that have been worked off: where the timeline stands.
    """

    def __init__(
        self, common: Sequence[Event], own: Sequence[Event], body: Body, environment: simpy.Environment
    ) -> None:
        self._environment, self._body, self._begin = environment, body, environment.now
        self._chip = SharedChip(environment)
        self._measurement = environment.event()
        self._open = 0  # processes that have an end, and have not come to it
        self._under_way = 0  # events of traffic, and on conditions; measurements that somebody may wait for
        self._failure: BaseException | None = None
        self._happened = (self._begin, 0)  # a moment, and how many events there were
        self.turns = 0
        for event in (*common, *own):
            if event.when is not None:  # these listen before anything is measured
                self._process(self._whenever(event))
        for events in (common, own):
            self._process(self._ending(self._script([each for each in events if not each.scheduled])))
            for event in events:
                if event.at:
                    self._process(self._ending(self._at_times(event)))
                elif event.every is not None:
                    again = self._again(event)
                    self._process(again if event.until is None else self._ending(again))

    def _process(self, process: Process) -> None:
        self._environment.process(self._watched(process))

    def _ending(self, process: Process) -> Process:
        """One that has an end, for which the timeline waits."""
        self._open += 1
        return self._counted(process)

    def _counted(self, process: Process) -> Process:
        yield from process
        self._open -= 1

    def _watched(self, process: Process) -> Process:
        """Keeps what goes wrong in it: SimPy would tell of it later, or not at all."""
        try:
            yield from process
        except BaseException as error:
            self._failure = error
            raise

    @property
    def over(self) -> bool:
        """Whether all has happened that has an end."""
        return not self._open and not self._under_way

    def turn(self) -> None:
        """Work off one event of SimPy."""
        self._environment.step()
        self.turns += 1
        if self._failure is not None:
            raise self._failure

    @property
    def _seconds(self) -> float:
        return (self._environment.now - self._begin) / TICKS

    def _script(self, events: Iterable[Event]) -> Process:
        """Events that follow each other."""
        for event in events:
            yield from self._happen(event)

    def _at_times(self, event: Event) -> Process:
        for seconds in event.at:
            yield self._moment(event, ticks(seconds))
            yield from self._happen(event)

    def _again(self, event: Event) -> Process:
        assert event.every is not None
        number, first, period = 0, ticks(event.first), ticks(event.every)
        last = None if event.until is None else ticks(event.until)
        while last is None or first + number * period <= last:
            yield self._moment(event, first + number * period)
            if not self._open:
                return
            yield from self._happen(event)
            late = int(self._environment.now - self._begin) - first
            number = max(number + 1, -(-late // period))  # what was missed is lost

    def _whenever(self, event: Event) -> Process:
        condition = event.condition
        assert condition is not None
        while True:
            measured = yield self._measurement
            if condition.metric in measured and condition.holds(measured[condition.metric]):
                self._under_way += 1  # what a measurement has brought about is done, even that of the end
                yield from self._happen(event)
                self._under_way -= 1

    def _moment(self, event: Event, since: int) -> simpy.Event:
        """An event of SimPy at so many picoseconds since the beginning, or now; who only looks comes first."""
        delay = max(0, self._begin + since - self._environment.now)
        return _Moment(self._environment, URGENT if isinstance(event, Evaluate) else NORMAL, delay)

    def _pause(self, seconds: float) -> simpy.Event:
        return self._environment.timeout(ticks(seconds))

    def _happen(self, event: Event) -> Process:
        """An event and what follows at once."""
        for each in (event, *event.then):
            if isinstance(each, Idle):
                yield self._pause(each.time)
            elif isinstance(each, Traffic):
                self._under_way += 1
                self._process(self._requests(each))
            elif isinstance(each, Train):
                yield from self._steps(each)
            else:
                yield from self._act(each)

    def _requests(self, event: Traffic) -> Process:
        server = self._body.serve(event, self._environment, self._chip)
        yield server.over
        self._under_way -= 1
        self._body.served(event, self._seconds, server)

    def _steps(self, event: Train) -> Process:
        for _ in range(event.steps):
            with self._chip.for_work() as turn:
                yield turn
                self._body.learn()
                yield self._pause(self._body.step_time)
        yield from self._busy(event)
        self._over(event)

    def _act(self, event: Event) -> Process:
        if isinstance(event, Evaluate | PowerLoss | Fault | SetTemperature):  # these wait for nobody
            seen = self._body.act(event)
        else:
            with self._chip.for_work() as turn:
                yield turn
                seen = self._body.act(event)
                if busy := self._body.busy(event):
                    yield self._pause(busy)
        self._over(event, seen)

    def _busy(self, event: Event) -> Process:
        """What comes on top of learning steps."""
        if busy := self._body.busy(event):
            with self._chip.for_work() as turn:
                yield turn
                yield self._pause(busy)

    def _over(self, event: Event, seen: Seen | None = None) -> None:
        """An event is over; who waits for its measurement goes on."""
        now, count = self._environment.now, self._happened[1]
        self._happened = (now, count + 1 if now == self._happened[0] else 1)
        if self._happened[1] > _AT_ONCE:
            raise RunError(
                f"timeline: {_AT_ONCE} events at one moment, {self._seconds:g} s: events on conditions, `when`, bring "
                "about each other for ever; give one of them something that takes time"
            )
        known = self._body.done(event, self._seconds, seen)
        if known:
            self._under_way += 1
            measurement, self._measurement = self._measurement, self._environment.event()
            assert measurement.callbacks is not None
            measurement.callbacks.append(self._told)
            measurement.succeed(known)

    def _told(self, measurement: simpy.Event) -> None:
        """All who waited for a measurement have been told."""
        self._under_way -= 1
