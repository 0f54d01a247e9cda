"""Clock: the one source of `now`, in seconds, for everything that a run does."""

from __future__ import annotations

import math

import simpy


class Clock:
    """Simulated time on a SimPy environment.

    Args:
        start: seconds.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._environment = simpy.Environment(initial_time=start)

    @property
    def environment(self) -> simpy.Environment:
        """Where processes run that share its time."""
        return self._environment

    @property
    def now(self) -> float:
        """Seconds."""
        return float(self._environment.now)

    def advance(self, seconds: float) -> None:
        """Let time pass; what is scheduled until then happens.

        Raises:
            ValueError: a time that is negative or not finite.
        """
        if not 0 <= seconds < math.inf:
            raise ValueError(f"time passes by a finite, non-negative number of seconds (got {seconds})")
        until = self.now + seconds
        if until > self.now:
            self._environment.run(until=until)
