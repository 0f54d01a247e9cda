"""Current: what the columns of one tile give in one read, until it is a digital value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import Self

from analogsim.chip import one_pass
from analogsim.chip.byte_product import Counted, TwoParts
from device_models import threads
from device_models.quantise import quantise


class Variance(NamedTuple):
    """full + row column: what devices differ in, and what they have in common.

    Attributes:
        full: broadcastable to (C, S, P, B, columns), or whole numbers that tell it, or None.
        row: of each vector, (C, S or 1, P or 1, B, 1), or None.
        column: of each column, (C, 1, 1, 1, columns or 1); where `row` is.
    """

    full: Tensor | Counted | None
    row: Tensor | None = None
    column: Tensor | None = None

    def times(self, factor: float) -> Self:
        """Scaled."""
        if factor == 1:
            return self
        full = self.full.times(factor) if isinstance(self.full, Counted) else self.full
        full = full * factor if isinstance(full, Tensor) else full
        return self._replace(full=full, row=None if self.row is None else self.row * factor)

    def plus(self, other: Variance) -> Variance:
        """Of two independent noises together."""
        if self.row is not None and other.row is not None:
            return Variance(self.whole + other.whole)
        row, column = (self.row, self.column) if other.row is None else (other.row, other.column)
        if self.full is None or other.full is None:
            return Variance(other.full if self.full is None else self.full, row, column)
        return Variance(_tensor(self.full) + _tensor(other.full), row, column)

    @property
    def whole(self) -> Tensor:
        """As one tensor, broadcastable to (C, S, P, B, columns)."""
        if self.row is None or self.column is None:
            assert self.full is not None
            return _tensor(self.full)
        product = self.row * self.column
        return product if self.full is None else product + _tensor(self.full)


class Noise(NamedTuple):
    """Noise of the noisy passes.

    Attributes:
        variance: of all passes.
        numbers: standard normal, (C, S, noisy passes, B, columns).
        noisy: per pass.
    """

    variance: Variance
    numbers: Tensor
    noisy: tuple[bool, ...]


@dataclass(frozen=True)
class Current:
    """The currents of the columns of one tile in one read of the array.

    Attributes:
        mean: without `noise`, units of the pre-activations, (C, S or 1, P or 1, B, columns); may be overwritten.
        weight: in the digital sum.
        slice_, block: where they are read.
        noise: to be added, or None.
    """

    mean: Tensor | TwoParts
    weight: float
    slice_: int
    block: int
    noise: Noise | None = None

    @property
    def columns(self) -> int:
        """How many."""
        return self.mean.shape[-1]

    @property
    def value(self) -> Tensor:
        """With noise, (C, S or 1, P or 1, B, columns). To be asked for once, unless it is `settled`."""
        return _finish(self.mean, self.noise)

    def settled(self) -> Current:
        """The same with the noise in the mean."""
        return replace(self, mean=self.value, noise=None)

    def decoded(self, step: float | Tensor, top: int) -> Tensor:
        """The value in whole steps, clipped to +-top of them.

        Args:
            step: of all chips, or one for each.
            top: the largest code.
        """
        return _finish(self.mean, self.noise, step, top)


def _finish(mean: Tensor | TwoParts, noise: Noise | None, step: float | Tensor = 1.0, top: int = 0) -> Tensor:
    """mean + noise, in whole steps where top is above 0."""
    if _compiled(mean, noise):
        return one_pass.finish(mean, noise, step, top)
    y = mean.whole if isinstance(mean, TwoParts) else mean
    y = y if noise is None else y + _spread(noise)
    return quantise(y, step, top) if top else y


def _tensor(full: Tensor | Counted) -> Tensor:
    return full.whole if isinstance(full, Counted) else full


def _spread(noise: Noise) -> Tensor:
    """The noise of all passes, zero where clean."""
    variance, numbers, noisy = noise
    places = [index for index, each in enumerate(noisy) if each]
    whole = variance.whole.to(numbers.dtype)
    if len(places) < len(noisy) and whole.shape[2] > 1:
        whole = torch.stack([whole[:, :, index] for index in places], dim=2)
    drawn = whole.sqrt() * numbers
    if len(places) == len(noisy):
        return drawn
    spread = drawn.new_zeros((*drawn.shape[:2], len(noisy), *drawn.shape[3:]))
    for position, index in enumerate(places):
        spread[:, :, index] = drawn[:, :, position]
    return spread


def _compiled(mean: Tensor | TwoParts, noise: Noise | None) -> bool:
    """Whether one compiled pass does it; without noise only where there are parts to be put together."""
    if noise is None:
        return isinstance(mean, TwoParts) and threads.compiled(mean.units) and 0 not in mean.shape
    full, row, column = noise.variance
    full = full.columns if isinstance(full, Counted) else full
    given = [noise.numbers, mean.units if isinstance(mean, TwoParts) else mean, row, column, full]
    return threads.compiled(*(each for each in given if each is not None)) and noise.numbers.numel() > 0
