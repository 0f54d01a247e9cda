"""Choice: some of the vectors of a batch, at random and always equally many."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from analogsim.network import Layer


class Choice(NamedTuple):
    """Which vectors of a batch; without replacement.

    Attributes:
        elements: (C, e), of the batch; None: all.
        positions: (C, e, p), of each of these elements; None: all.
    """

    elements: Tensor | None = None
    positions: Tensor | None = None

    @classmethod
    def of(
        cls,
        layer: Layer,
        batch: int,
        share: float,
        generators: Sequence[torch.Generator | None],
        device: torch.device,
    ) -> Choice:
        """A share of the B x positions vectors of a layer.

        Where the share of an element's positions is one or more, each element gives that many of them, rounded. Where
        it is less, one position each of round(share x B x positions) elements is taken, at least of one. So the count
        follows from the shapes alone, and does not depend on the blocks in which a layer forms its vectors.

        Args:
            layer: cuts the vectors.
            batch: B.
            share: above 0, at most 1; 1 takes all and draws no number.
            generators: one for each chip, on `device`.
            device: of the result.
        """
        if share == 1:
            return cls()
        elements = positions = None
        kept, count = cls._sizes(layer, batch, share)
        if share * layer.positions < 1:
            elements = _some((batch,), kept, generators, device)
        if layer.positions > 1:
            positions = _some((kept, layer.positions), count, generators, device)
        return cls(elements, positions)

    @classmethod
    def size(cls, layer: Layer, batch: int, share: float) -> int:
        """Vectors that a choice has."""
        return math.prod(cls._sizes(layer, batch, share))

    @staticmethod
    def _sizes(layer: Layer, batch: int, share: float) -> tuple[int, int]:
        """Elements of the batch, and vectors of each."""
        if share * layer.positions < 1:
            return max(1, round(share * batch * layer.positions)), 1
        return batch, round(share * layer.positions)

    def vectors(self, layer: Layer, x: Tensor, decorrelation: Tensor | None) -> Iterator[Tensor]:
        """The chosen vectors without the bias, in blocks (C, M, fan_in).

        Args:
            layer: cuts them.
            x: as observed, (C, B, observed); or signals (C, B, inputs).
            decorrelation: R, for layers whose observations it has not acted on; or None.
        """
        if self.elements is not None:
            x = x.gather(1, self.elements[:, :, None].expand(-1, -1, x.shape[2]))
        for block, cut in layer.vectors(x, None):
            v = cut[..., : layer.fan_in]
            if self.positions is not None:
                wanted = self.positions[:, block, :, None].expand(-1, -1, -1, v.shape[2])
                v = v.unflatten(1, (-1, layer.positions)).gather(2, wanted).flatten(1, 2)
            yield v if decorrelation is None or layer.observes_vectors else torch.bmm(v, decorrelation.transpose(1, 2))


def _some(
    shape: tuple[int, ...], count: int, generators: Sequence[torch.Generator | None], device: torch.device
) -> Tensor:
    """For each chip `count` of the last dimension's indices, (C, *shape[:-1], count)."""
    numbers = [torch.rand(shape, generator=generator, device=device) for generator in generators]
    return torch.stack(numbers).topk(count).indices
