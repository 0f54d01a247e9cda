"""Numbers: the random numbers of one layer's devices and converters, by purpose."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from analogsim.chip.pulses import Uniform
from analogsim.randomness import Purpose, Streams
from device_models import per_chip_uniform


@dataclass(frozen=True)
class LayerNumbers:
    """Where one layer of a population of C chips gets its random numbers from, reads aside.

    Attributes:
        streams: the generators.
        layer: its index.
        out, rows: of the layer.
        dtype, device: of the numbers.
    """

    streams: Streams
    layer: int
    out: int
    rows: int
    dtype: torch.dtype
    device: torch.device

    def devices(self, purpose: Purpose, count: int) -> Tensor | None:
        """Standard normal numbers for every device, (C, count, 2, out, rows), whichever use them; None for none."""
        return self.normal(purpose, (count, 2, self.out, self.rows)) if count else None

    def normal(self, purpose: Purpose, shape: tuple[int, ...]) -> Tensor:
        """Standard normal numbers, (C, *shape)."""
        return self.streams.draw(purpose, self.layer, 1, shape, self.dtype)[:, 0]

    @property
    def uniform(self) -> Uniform:
        """Uniform numbers for trains of pulses."""
        return per_chip_uniform(self.streams.generators(Purpose.PULSES, self.layer), self.dtype, self.device)
