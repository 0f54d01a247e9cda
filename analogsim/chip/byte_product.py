"""Products of bytes, summed in 32 bits: exact, on any number of threads. And what they stand for."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import Self

_product = getattr(torch, "_int_mm")  # noqa: B009 - torch has no public name for it

LONGEST = 1 << 17
"""Lines whose sums fit 32 bits."""


class ByteProduct(NamedTuple):
    """Sums over lines that are formed when they are asked for, some outputs at a time.

    Attributes:
        vectors: (C, S or 1, P or 1, B, lines), int8.
        weights: (C, outputs, lines), int8.
    """

    vectors: Tensor
    weights: Tensor

    @property
    def whole(self) -> Tensor:
        """All of them, (C, S or 1, P or 1, B, outputs), int32."""
        return self.of(slice(0, self.weights.shape[1]))

    def of(self, outputs: slice, memory: Tensor | None = None) -> Tensor:
        """Some of them.

        Args:
            outputs: which.
            memory: for as many int32 numbers or more; None: it is fresh.

        Returns:
            (C, S or 1, P or 1, B, outputs), int32.
        """
        shape = (*self.vectors.shape[:4], outputs.stop - outputs.start)
        memory = torch.empty(math.prod(shape), dtype=torch.int32) if memory is None else memory
        sums = memory[: math.prod(shape)].view(shape)
        for chip, vectors in enumerate(self.vectors):
            weights = self.weights[chip, outputs].t()
            _product(vectors.flatten(0, 2), weights, out=sums[chip].flatten(0, 2))
        return sums


class TwoParts(NamedTuple):
    """Currents units (256 high + low).

    Attributes:
        parts: high and low of each column, one after the other.
        units: (C,).
    """

    parts: ByteProduct
    units: Tensor

    @property
    def whole(self) -> Tensor:
        """As one tensor, (C, S or 1, P or 1, B, columns)."""
        units = self.units[:, None, None, None, None]
        high, low = self.parts.whole.unflatten(4, (-1, 2)).unbind(5)
        return high.to(units.dtype) * (units * 256) + low.to(units.dtype) * units

    @property
    def shape(self) -> torch.Size:
        """(C, S or 1, P or 1, B, columns)."""
        return torch.Size((*self.parts.vectors.shape[:4], self.parts.weights.shape[1] // 2))


class Counted(NamedTuple):
    """Variances told by whole numbers: power mean + unit deviation (count - offset centre), or 0 where that is less.

    Attributes:
        counts: of each column.
        vectors: power, unit and offset of each vector, (C, S or 1, P or 1, B, 3).
        columns: mean, deviation and centre of each column, (C, 3, columns).
    """

    counts: ByteProduct
    vectors: Tensor
    columns: Tensor

    def times(self, factor: float) -> Self:
        """Scaled."""
        scale = torch.tensor([factor, factor, 1.0], dtype=self.columns.dtype)[:, None]
        return self if factor == 1 else self._replace(columns=self.columns * scale)

    @property
    def whole(self) -> Tensor:
        """As one tensor, (C, S or 1, P or 1, B, columns)."""
        power, unit, offset = (each[..., None] for each in self.vectors.unbind(-1))
        mean, deviation, centre = (each[:, None, None, None] for each in self.columns.unbind(1))
        above = self.counts.whole.to(mean.dtype) - offset * centre
        return (power * mean + unit * deviation * above).clamp_(min=0)
