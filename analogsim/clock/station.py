"""Station: a part of a chip that does one thing after the other, first come, first served, and keeps a record of it."""

from __future__ import annotations

import math
from typing import NamedTuple


class Span(NamedTuple):
    """What a part of a chip did for a while.

    Attributes:
        resource: the part, as `layer 0 array`.
        what: `read`, `backward`, `decorrelation`, `loss`, `broadcast`, `update`, `companion` or `write`.
        start, end: seconds from the beginning of the step.
    """

    resource: str
    what: str
    start: float
    end: float


class Station:
    """One part. As it takes work in the order of its bookings, a booking's times are known when it is made.

    Args:
        name: of the part.

    Attributes:
        name: of the part.
        busy: seconds of work so far.
        free: when it takes new work, seconds.
    """

    def __init__(self, name: str) -> None:
        self.name, self.busy, self.free = name, 0.0, 0.0
        self._spans: list[Span] = []

    def book(self, what: str, ready: float, work: float, until: float = 0.0) -> tuple[float, float]:
        """Take work that comes in at the time `ready` and ends no earlier than `until`; its start and its end."""
        start = max(ready, self.free)
        self.free = end = max(start + work, until)
        self.busy += work
        if end > start:
            self._note(what, start, end)
        return start, end

    def _note(self, what: str, start: float, end: float) -> None:
        last = self._spans[-1] if self._spans else None
        if last is not None and last.what == what and math.isclose(last.end, start, rel_tol=1e-9):
            self._spans[-1] = last._replace(end=end)
        else:
            self._spans.append(Span(self.name, what, start, end))

    @property
    def spans(self) -> tuple[Span, ...]:
        """What it did, in order; what follows without a gap is one."""
        return tuple(self._spans)
