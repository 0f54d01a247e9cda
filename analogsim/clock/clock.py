"""Clock: the one source of `now`, in seconds, for everything that a run does."""

from __future__ import annotations

import math

import simpy

TICKS = 10**12
"""Of a second. SimPy's time is a whole number of these, so that times add up exactly: in floating point a nanosecond is
lost on a chip that is a year old."""


def ticks(seconds: float) -> int:
    """Seconds as a whole number of picoseconds."""
    return round(seconds * TICKS)


class Clock:
    """Simulated time on a SimPy environment.

    Args:
        start: picoseconds.
    """

    def __init__(self, start: int = 0) -> None:
        self._environment = simpy.Environment(initial_time=start)

    @property
    def environment(self) -> simpy.Environment:
        """Where processes run that share its time, which they count in picoseconds."""
        return self._environment

    @property
    def ticks(self) -> int:
        """Picoseconds."""
        return int(self._environment.now)

    @property
    def now(self) -> float:
        """Seconds."""
        return self.ticks / TICKS

    def advance(self, seconds: float) -> None:
        """Let time pass; what is scheduled until then happens.

        Raises:
            ValueError: a time that is negative or not finite.
        """
        if not 0 <= seconds < math.inf:
            raise ValueError(f"time passes by a finite, non-negative number of seconds (got {seconds})")
        until = self.ticks + ticks(seconds)
        if until > self.ticks:
            self._environment.run(until=until)
