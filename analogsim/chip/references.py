"""References: known vectors that chips read again and again, so that one digital factor a layer makes up for drift."""

from __future__ import annotations

import torch
from torch import Tensor

from analogsim.chip.compensation import VECTORS
from analogsim.chip.crossbar import Crossbar
from analogsim.chip.draws import Draws
from analogsim.chip.events import Events
from analogsim.randomness import Purpose, Streams


class References(Events):
    """Of a population of C chips.

    Attributes:
        streams: of the chips.
        reference_reads: reads of each layer that compensation has cost so far.
    """

    streams: Streams
    reference_reads: int = 0

    def take_reference(self, now: float) -> None:
        """Read known vectors at the time `now`, seconds: what layers give now is what `compensate` restores."""
        for crossbar, level in self._reference_levels(now):
            crossbar.compensation.take_reference(level)

    def compensate(self, now: float) -> Tensor:
        """Compensate drift: one digital factor per layer and chip from a read of known vectors at `now`, seconds.

        Returns:
            The factors, (C, crossbars): layers first. They hold for all reads until the next call.

        Raises:
            RuntimeError: there is no reference yet.
        """
        factors = []
        for crossbar, level in self._reference_levels(now):
            crossbar.compensation.compensate(level)
            factors.append(crossbar.compensation.factor)
        return torch.stack(factors, dim=1)

    def _reference_levels(self, now: float) -> list[tuple[Crossbar, Tensor]]:
        self._check_time(now)
        self.reference_reads += VECTORS
        levels = []
        for index, crossbar in (*enumerate(self._layers), *self._decorrelators.items()):
            draws = Draws(self.streams, Purpose.REFERENCE, index, 1, (True,))
            levels.append((crossbar, crossbar.reference_level(draws, now)))
        return levels
