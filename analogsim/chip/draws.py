"""Draws: the random numbers of one read of one layer, for all samples and passes that are run together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from analogsim.randomness import Purpose, Streams


@dataclass(frozen=True)
class Draws:
    """Where a read gets its noise from.

    Attributes:
        streams, purpose, layer: the generators.
        samples: S.
        noisy: per pass, whether stochastic noise is on.
    """

    streams: Streams
    purpose: Purpose
    layer: int
    samples: int
    noisy: tuple[bool, ...]

    @property
    def any(self) -> bool:
        """Whether any pass is noisy."""
        return any(self.noisy)

    def normal(self, blocks: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Standard normal numbers for the noisy passes, (C, S, noisy passes, blocks, *shape)."""
        return self.streams.draw(self.purpose, self.layer, self.samples, (sum(self.noisy), blocks, *shape), dtype=dtype)

    def pick(self, x: Tensor) -> Tensor:
        """The noisy passes of x (C, S or 1, P or 1, ...)."""
        if all(self.noisy) or x.shape[2] == 1:
            return x
        return torch.stack([x[:, :, index] for index, noisy in enumerate(self.noisy) if noisy], dim=2)

    def spread(self, noise: Tensor) -> Tensor:
        """Noise of the noisy passes (C, S, noisy passes, ...) -> of all passes, zero where clean."""
        if all(self.noisy):
            return noise
        full = noise.new_zeros((*noise.shape[:2], len(self.noisy), *noise.shape[3:]))
        for position, index in enumerate(index for index, noisy in enumerate(self.noisy) if noisy):
            full[:, :, index] = noise[:, :, position]
        return full
