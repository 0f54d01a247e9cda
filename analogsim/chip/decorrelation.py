"""Crossbars of decorrelation: R of a layer on devices of its own, read before the layer's and like it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from analogsim.chip.crossbar import Crossbar
from analogsim.chip.draws import Draws
from analogsim.chip.numbers import LayerNumbers
from analogsim.chip.units import STREAMS as UNITS
from analogsim.network import Layer
from analogsim.randomness import Streams

STREAMS = 2 * UNITS
"""These crossbars have streams of their own: their numbers are the layer's and this."""


class Decorrelators:
    """Crossbars of fan_in x fan_in weights without a bias row, for the layers that have an R on a crossbar.

    Args:
        layers: of the network.
        streams: random numbers.
        dtype, device: of the tensors.
        make: the crossbar of a layer's devices and converters, by the layer's index and its random numbers.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        streams: Streams,
        dtype: torch.dtype,
        device: torch.device,
        make: Callable[[int, LayerNumbers], Crossbar],
    ) -> None:
        self._layers, self._streams, self._dtype, self._device, self._make = layers, streams, dtype, device, make
        self._crossbars: dict[int, Crossbar] = {}

    def __iter__(self) -> Iterator[Crossbar]:
        return iter(self._crossbars.values())

    @property
    def by_layer(self) -> Mapping[int, Crossbar]:
        """The crossbar of each layer that has one."""
        return self._crossbars

    def items(self) -> Iterator[tuple[int, Crossbar]]:
        """Streams and crossbar of each layer that has one."""
        return ((STREAMS + index, crossbar) for index, crossbar in self._crossbars.items())

    def write(self, matrices: Sequence[Tensor | None], now: float) -> bool:
        """Write R of every layer that has one; at its first time a crossbar is made and programmed.

        Args:
            matrices: per layer (C, fan_in, fan_in), or None.
            now: seconds.

        Returns:
            Whether crossbars were made.
        """
        new = False
        for index, r in enumerate(matrices):
            if r is None:
                continue
            if index in self._crossbars:
                self._crossbars[index].array.write(r, now)
                continue
            n = self._layers[index].fan_in
            numbers = LayerNumbers(self._streams, STREAMS + index, n, n, self._dtype, self._device)
            self._crossbars[index] = self._make(index, numbers)
            self._crossbars[index].program(r, now)
            new = True
        return new

    def disturb(self, index: int) -> None:
        """Let the devices of a layer's R have what the reads so far have done to them."""
        if index in self._crossbars:
            self._crossbars[index].array.disturb()

    def read(
        self, index: int, blocks: Iterable[Tensor], vectors: int, draws: Draws, now: float, calibrate: bool = False
    ) -> Tensor:
        """x* of a layer as its crossbar of R gives it.

        Args:
            index: of the layer.
            blocks: of vectors, each (C, S or 1, P or 1, M of the block, fan_in).
            vectors: of all blocks together.
            draws: of the reads of R.
            now: seconds.
            calibrate: set the ranges of its ADCs, where they are calibrated.

        Returns:
            (C, S or 1, P or 1, M, fan_in), of all blocks.
        """
        crossbar = self._crossbars[index]
        return crossbar.read_blocks(blocks, vectors, draws, None, now, calibrate, keep=False)[1]

    def limits(self, depth: int, fixed: bool) -> tuple[Tensor | None, ...]:
        """Per layer the largest magnitude that R can have; empty where no layer has a crossbar."""
        if not self._crossbars:
            return ()
        held = (self._crossbars.get(index) for index in range(depth))
        return tuple(None if each is None or not fixed else each.array.w_max.clone() for each in held)

    def state_dict(self) -> dict[int, Any]:
        """What they hold, for a checkpoint; the tensors are live."""
        return {index: crossbar.state_dict() for index, crossbar in self._crossbars.items()}

    def load_state_dict(self, state: dict[int, Any]) -> None:
        """Continue where `state_dict` was taken, with the same crossbars programmed."""
        for index, saved in state.items():
            self._crossbars[index].load_state_dict(saved)
