"""Horizon: for how long what was computed of an array's devices stands.

Without a tolerance, for the moment only. With one, each chip of a population has a time of its own until which no
conductance leaves the tolerance (`Cells.steady`); what wanders is moved when it is due (`Cells.moves_at`), for all
chips at once. A chip's times do not depend on the other chips: it has the same devices alone and in a population.
"""

from __future__ import annotations

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
        wanders: whether the last `due` was because of what wanders.
    """

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance
        self.at: list[float] = []
        self._until: list[float] | None = None
        self.wanders = False

    def reached(self, now: float) -> bool:
        """Whether all is as of `now`, seconds."""
        return all(at == now for at in self.at)

    def move(self, now: float) -> None:
        """Take all as of `now`."""
        self.at = [now] * len(self.at)

    def due(self, now: float, cells: Sequence[Cells]) -> bool:
        """Move what no longer stands to `now`, seconds; whether that is anything.

        Args:
            now: seconds.
            cells: all devices, as of `at`.
        """
        self.wanders = now >= min(each.remembered.moves_at() for each in cells)
        if self.wanders:
            due = [at != now for at in self.at]
        else:
            until = self._until = self._until or self._found(cells)
            due = [at != now and not at <= now < end for at, end in zip(self.at, until, strict=True)]
        self.at = [now if each else at for each, at in zip(due, self.at, strict=True)]
        return any(due)

    def _found(self, cells: Sequence[Cells]) -> list[float]:
        """Seconds, until when the devices of each chip stand."""
        when = times(self.when, cells[0].target)
        steady = torch.stack([each.steady(when, self.tolerance) for each in cells]).amin(0).tolist()
        return [at + each for at, each in zip(self.at, steady, strict=True)]

    def renew(self) -> None:
        """Devices have been computed anew as of `at`: for how long they stand is found out when somebody asks."""
        self._until = None

    @property
    def when(self) -> float | Sequence[float]:
        """`at`, as one number where it is one."""
        return self.at[0] if len(set(self.at)) == 1 else self.at


def times(when: float | Sequence[float], like: Tensor) -> float | Tensor:
    """Seconds, of all chips or of each as (C, 1, 1) where `like` is."""
    if isinstance(when, float | int):
        return when
    return torch.tensor(when, dtype=torch.float64).to(like.device)[:, None, None]
