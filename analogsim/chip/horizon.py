"""Horizon: for how long what was computed of an array's devices stands.

Without a tolerance, for the moment only. With one, each chip of a population has a time of its own until which no
conductance leaves the tolerance (`Cells.steady`); what wanders is moved when it is due (`Cells.moves_at`), for all
chips at once. A chip's times do not depend on the other chips: it has the same devices alone and in a population.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from device_models import Cells


class Horizon:
    """Of the devices of one layer of a population of C chips.

    Args:
        tolerance: see `Chip`.

    Attributes:
        tolerance: of the same name.
        at: seconds, the time as of which each chip's devices were computed last.
    """

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance
        self.at: list[float] = []
        self._until: list[float] = []
        self._moves_at = math.inf

    def reached(self, now: float) -> bool:
        """Whether all is as of `now`, seconds."""
        return all(at == now for at in self.at)

    def move(self, now: float) -> None:
        """Take all as of `now`."""
        self.at = [now] * len(self.at)

    def due(self, now: float) -> bool:
        """Move what no longer stands to `now`, seconds; whether that is anything."""
        if self.wanders(now):
            due = [at != now for at in self.at]
        else:
            due = [at != now and not at <= now < until for at, until in zip(self.at, self._until, strict=True)]
        self.at = [now if each else at for each, at in zip(due, self.at, strict=True)]
        return any(due)

    def wanders(self, now: float) -> bool:
        """Whether what wanders is due to move to `now`, seconds."""
        return now >= self._moves_at

    @property
    def when(self) -> float | Sequence[float]:
        """`at`, as one number where it is one."""
        return self.at[0] if len(set(self.at)) == 1 else self.at

    def renew(self, cells: Sequence[Cells]) -> None:
        """Find out for how long devices stand that were computed as of `at`."""
        if self.tolerance == 0:
            return
        when = times(self.when, cells[0].target)
        steady = torch.stack([each.steady(when, self.tolerance) for each in cells]).amin(0).tolist()
        self._until = [at + each for at, each in zip(self.at, steady, strict=True)]
        self._moves_at = min(each.moves_at() for each in cells)


def times(when: float | Sequence[float], like: Tensor) -> float | Tensor:
    """Seconds, of all chips or of each as (C, 1, 1) where `like` is."""
    if isinstance(when, float | int):
        return when
    return torch.tensor(when, dtype=torch.float64).to(like.device)[:, None, None]
