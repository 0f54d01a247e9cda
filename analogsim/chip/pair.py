"""Pair: the differential device pairs of one layer, and what a read needs to know of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from analogsim.chip.mapping import to_weights
from device_models import Cells, Device, ReadNoise, Relaxation


class Source(NamedTuple):
    """Read noise of the pairs of a layer, as drawn per column.

    Attributes:
        variance: in weight units squared, (C, out, rows), or with ones where it is uniform.
        white: share of it that is drawn anew in every pass.
        passing: what changes between passes and remembers; weights are shares of the variance.
        power: of the input with which it grows; see `ReadNoise`.
    """

    variance: Tensor
    white: float = 1.0
    passing: tuple[Relaxation, ...] = ()
    power: int = 2

    @property
    def uniform(self) -> bool:
        """Whether all rows have one variance."""
        return self.variance.shape[2] == 1


class Pair:
    """Two devices at each crossing of a population of C crossbars.

    Attributes:
        plus, minus: the devices.
        weights: what they stand for, read noise aside, (C, out, rows); as of the last `settle`.
    """

    weights: Tensor

    def __init__(self, device: Device) -> None:
        self._device = device
        self.plus, self.minus = Cells(device), Cells(device)

    @property
    def sides(self) -> tuple[Cells, Cells]:
        """Both devices."""
        return self.plus, self.minus

    def settle(self, now: float, numbers: Tensor | None, w_max: Tensor) -> None:
        """Let time pass until `now`, seconds.

        Args:
            now: seconds.
            numbers: standard normal, (C, `Cells.moving(now)`, 2, out, rows), or None.
            w_max: the weight that G_max stands for, (C, 1, 1) or (C, out, 1).
        """
        d = self._device
        each = (None, None) if numbers is None else numbers.unbind(2)
        for cells, xi in zip(self.sides, each, strict=True):
            cells.settle(now, xi)
        self._unit = w_max / (d.g_max - d.g_min)
        self.weights = to_weights(self.plus.conductance, self.minus.conductance, w_max, d.g_min, d.g_max)
        self._sources: list[Source] | None = None

    def sources(self) -> list[Source]:
        """The read noise of the pairs, what needs no product of its own merged."""
        if self._sources is None:
            white: dict[int, Tensor] = {}
            remembering = []
            for noise in self._device.read_noise:
                if not noise.in_a_read:
                    continue
                variance = sum(self._variances(noise), torch.zeros((), device=self.weights.device))
                variance = variance * self._unit.square()
                if noise.passing:
                    remembering.append(Source(variance, noise.white, noise.passing, noise.power))
                else:
                    white[noise.power] = variance * noise.white + white.get(noise.power, 0.0)
            self._sources = [*(Source(each, power=power) for power, each in white.items()), *remembering]
        return self._sources

    def deviations(self) -> Iterator[tuple[Tensor, tuple[Relaxation, ...], float, int]]:
        """(standard deviations of both devices (C, 2, out, rows), memory, white share, power) of each read noise."""
        for noise in self._device.read_noise:
            if noise.in_a_read:
                sides = [v.sqrt() * self._unit for v in self._variances(noise)]
                shape = (-1, 2, *self.weights.shape[1:])
                yield torch.stack(sides, 1).expand(shape), noise.passing, noise.white, noise.power

    def _variances(self, noise: ReadNoise) -> list[Tensor]:
        return [cells.variance(noise) for cells in self.sides]

    def state_dict(self) -> dict[str, Any]:
        """What the devices hold, for a checkpoint; the tensors are live."""
        return {"plus": self.plus.state_dict(), "minus": self.minus.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken; `settle` comes next."""
        self.plus.load_state_dict(state["plus"])
        self.minus.load_state_dict(state["minus"])
