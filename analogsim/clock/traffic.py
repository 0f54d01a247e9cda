"""Traffic: requests for inference that come to a chip, and how long they wait while it learns or serves others."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np
import simpy
from simpy.resources.resource import PriorityRequest

_BLOCK = 1024  # random numbers that are drawn at a time

Priority = Literal["inference", "learning", "first_come"]
"""Who goes first where both wait. What has begun goes on to its end."""


class Arrivals(ABC):
    """When requests come."""

    @abstractmethod
    def _all(self, generator: np.random.Generator) -> Iterator[float]: ...

    def times(self, generator: np.random.Generator, start: float = 0.0, skip: int = 0) -> Iterator[float]:
        """Times of arrival in order, seconds.

        A generator in the same state gives the same times; so what broke off goes on with `skip`.

        Args:
            generator: of random numbers, drawn in blocks.
            start: when it begins, seconds.
            skip: first times to leave out.
        """
        times = islice(self._all(generator), skip, None)
        return (start + time for time in times) if start else times


@dataclass(frozen=True)
class Poisson(Arrivals):
    """Requests that come independently of each other, without end.

    Attributes:
        rate: mean number of them in a second.
    """

    rate: float

    def __post_init__(self) -> None:
        _require_positive("rate", self.rate)

    def _all(self, generator: np.random.Generator) -> Iterator[float]:
        now = 0.0
        while True:
            block = generator.exponential(1 / self.rate, _BLOCK).cumsum() + now
            now = float(block[-1])
            yield from block.tolist()


@dataclass(frozen=True)
class Periodic(Arrivals):
    """Requests at equal distances, without end, the first after one period.

    Attributes:
        period: seconds.
    """

    period: float

    def __post_init__(self) -> None:
        _require_positive("period", self.period)

    def _all(self, generator: np.random.Generator) -> Iterator[float]:
        number = 0
        while True:
            number += 1
            yield number * self.period


@dataclass(frozen=True)
class Trace(Arrivals):
    """Requests at given times.

    Attributes:
        at: seconds, not falling.
    """

    at: tuple[float, ...]

    def __post_init__(self) -> None:
        falling = next((b for a, b in zip((0.0, *self.at), self.at, strict=False) if not a <= b < math.inf), None)
        if falling is not None:
            raise ValueError(f"at: times are finite, not negative and do not fall (got {falling} out of order)")

    def _all(self, generator: np.random.Generator) -> Iterator[float]:
        return iter(self.at)


_RANKS = {"inference": 0, "first_come": 1, "learning": 2}
_WORK = 1


class SharedChip(simpy.PriorityResource):
    """A chip for which learning and inference ask in turns; whoever holds it has it alone.

    Args:
        environment: simulated time.
    """

    def __init__(self, environment: simpy.Environment) -> None:
        super().__init__(environment, capacity=1)
        self._environment = environment

    def for_work(self) -> PriorityRequest:
        """Ask for it, to learn, to be written, to be tested."""
        return self.request(priority=self._rank(_WORK, self._environment.now))

    def for_inference(self, priority: Priority, arrived: float) -> PriorityRequest:
        """Ask for it, for a request that came at that time."""
        return self.request(priority=self._rank(_RANKS[priority], arrived))

    def must_yield(self, priority: Priority, arrived: float) -> bool:
        """Whether somebody in the queue goes before such a request."""
        return bool(self.queue) and self.queue[0].priority <= self._rank(_RANKS[priority], arrived)

    @staticmethod
    def _rank(rank: int, since: float) -> Any:
        """The lowest goes first, and among equals who came first."""
        return rank, since


class Server:
    """A chip that serves requests for inference one after the other, and is kept by learning at times.

    All times are in the units of the environment's.

    A request is accepted when the chip is free, keeps it for `interval` seconds, until the pipeline takes the next one,
    and is answered `latency` seconds after it was accepted.

    Args:
        environment: simulated time.
        arrivals: times of arrival in order.
        interval, latency: see `inference_cost`. May be changed as the chip changes.
        priority: who goes first where both wait.
        chip: that it shares with others; its own unless given.

    Attributes:
        chip: whoever holds it has the chip alone.
        begin: when it was made.
        over: happens when the last request has been served.
        arrived: of each request that was accepted, when it came.
        waits: how long it took from there until it was accepted.
        latencies: how long until it was answered.
    """

    def __init__(
        self,
        environment: simpy.Environment,
        arrivals: Iterator[float],
        interval: float,
        latency: float,
        priority: Priority = "inference",
        chip: SharedChip | None = None,
    ) -> None:
        _require_positive("interval", interval)
        _require_positive("latency", latency)
        self.chip = SharedChip(environment) if chip is None else chip
        self.interval, self.latency = interval, latency
        self.arrived, self.waits, self.latencies = array("d"), array("d"), array("d")
        self._environment = environment
        self._priority: Priority = priority
        self.begin = environment.now
        self.over = environment.process(self._serve(arrivals))

    def learn(self, seconds: float) -> Generator[simpy.Event, Any, None]:
        """Hold the chip for that long, after what goes first; a process, or a part of one (`yield from`)."""
        with self.chip.for_work() as request:
            yield request
            yield self._environment.timeout(seconds)

    def percentiles(self, shares: Sequence[float] = (50.0, 95.0, 99.0), since: float = 0.0) -> tuple[float, ...]:
        """Percentiles of the latency of the requests that were accepted, seconds.

        Args:
            shares: percent.
            since: requests that came earlier are left out: warm-up.

        Raises:
            ValueError: no request is left.
        """
        kept = self.latencies[bisect_left(self.arrived, since) :]
        if not kept:
            raise ValueError(f"no request that came since {since:g} s was accepted, so there are no percentiles")
        return tuple(np.percentile(kept, shares).tolist())

    def mean_wait(self, since: float = 0.0) -> float:
        """Mean wait of the requests that came at that time or later, seconds; not a number where there are none."""
        kept = self.waits[bisect_left(self.arrived, since) :]
        return sum(kept) / len(kept) if kept else math.nan

    def _serve(self, arrivals: Iterator[float]) -> Generator[simpy.Event, Any, None]:
        environment, request = self._environment, None
        for time in arrivals:
            if time > environment.now:
                self._leave(request)
                request = None
                yield environment.timeout(time - environment.now)
            if request is None or self.chip.must_yield(self._priority, time):
                self._leave(request)
                request = self.chip.for_inference(self._priority, time)
                yield request
            wait = max(0.0, environment.now - time)
            self.arrived.append(time)
            self.waits.append(wait)
            self.latencies.append(wait + self.latency)
            yield environment.timeout(self.interval)
        self._leave(request)

    def _leave(self, request: PriorityRequest | None) -> None:
        if request is not None:
            self.chip.release(request)


def _require_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name}: a finite number above 0 (got {value})")
