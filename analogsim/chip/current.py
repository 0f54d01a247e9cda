"""Current: what the columns of one tile give in one read, until it is a digital value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from typing_extensions import Self

from analogsim.chip import scratch
from device_models import threads
from device_models.quantise import quantise

if TYPE_CHECKING:
    import numpy as np


class Variance(NamedTuple):
    """full + row column: what devices differ in, and what they have in common.

    Attributes:
        full: broadcastable to (C, S, P, B, columns), or None.
        row: of each vector, (C, S or 1, P or 1, B, 1), or None.
        column: of each column, (C, 1, 1, 1, columns or 1); where `row` is.
    """

    full: Tensor | None
    row: Tensor | None = None
    column: Tensor | None = None

    def times(self, factor: float) -> Self:
        """Scaled."""
        if factor == 1:
            return self
        full = None if self.full is None else self.full.to(torch.promote_types(self.full.dtype, torch.float32)) * factor
        return self._replace(full=full, row=None if self.row is None else self.row * factor)

    def plus(self, other: Variance) -> Variance:
        """Of two independent noises together."""
        if self.row is not None and other.row is not None:
            return Variance(self.whole + other.whole)
        full = [each for each in (self.full, other.full) if each is not None]
        row, column = (self.row, self.column) if other.row is None else (other.row, other.column)
        return Variance(None if not full else sum(full[1:], full[0]), row, column)

    @property
    def whole(self) -> Tensor:
        """As one tensor, broadcastable to (C, S, P, B, columns)."""
        if self.row is None or self.column is None:
            assert self.full is not None
            return self.full
        product = self.row * self.column
        return product if self.full is None else product + self.full


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


class TwoParts(NamedTuple):
    """Currents units (256 high + low).

    Attributes:
        high, low: (C, S or 1, P or 1, B, columns), int32.
        units: (C,).
        memory: of `high` and `low`, where it is on loan.
    """

    high: Tensor
    low: Tensor
    units: Tensor
    memory: Tensor | None = None

    @property
    def whole(self) -> Tensor:
        """As one tensor."""
        units = self.units[:, None, None, None, None]
        return self.high.to(units.dtype) * (units * 256) + self.low.to(units.dtype) * units


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
        return (self.mean.high if isinstance(self.mean, TwoParts) else self.mean).shape[-1]

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
    if noise is not None and _compiled(mean, noise):
        y = _in_one_pass(mean, noise, step, top)
    else:
        y = mean.whole if isinstance(mean, TwoParts) else mean
        y = y if noise is None else y + _spread(noise)
        y = quantise(y, step, top) if top else y
    if isinstance(mean, TwoParts) and mean.memory is not None:
        scratch.give_back(mean.memory)
    return y


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


def _compiled(mean: Tensor | TwoParts, noise: Noise) -> bool:
    full, row, column = noise.variance
    rounded = full is not None and full.dtype == torch.bfloat16
    given = [noise.numbers, mean.units if isinstance(mean, TwoParts) else mean, row, column, None if rounded else full]
    return threads.compiled(*(each for each in given if each is not None)) and noise.numbers.numel() > 0


def _in_one_pass(mean: Tensor | TwoParts, noise: Noise, step: float | Tensor, top: int) -> Tensor:
    import numpy as np

    from device_models import kernels

    (full, row, column), z, noisy = noise
    shape, place = (*z.shape[:2], len(noisy), *z.shape[3:]), iter(range(len(noisy)))
    # Fresh memory costs as much as the arithmetic: results take the place of the mean, or of the random numbers.
    out = next((each for each in (mean, z) if isinstance(each, Tensor) and _alone(each, shape)), None)
    out = z.new_empty(shape) if out is None else out
    nothing, none = z.new_zeros(()), z.new_empty(0).numpy()
    if isinstance(mean, TwoParts):
        (high, strides), (low, _) = (_flat(part, shape) for part in mean[:2])
        means, units = [none, high, low], mean.units.numpy()
    else:
        y, strides = _flat(mean, shape)
        whole = np.empty(0, np.int32)
        means, units = [y, whole, whole], none
    if full is not None and full.dtype == torch.bfloat16:
        bits, of_full = _flat(full.view(torch.int16), shape)
        variances = [none, bits.view(np.uint16)]
    else:
        numbers, of_full = _flat(nothing if full is None else full, shape)
        variances = [numbers, np.empty(0, np.uint16)]
    rest, of_rest = zip(
        *(_flat(nothing if x is None else x, shape) for x in (row, column)), _flat(z, z.shape), strict=True
    )
    steps = torch.as_tensor(step, dtype=z.dtype).flatten().expand(shape[0]).contiguous().numpy()
    places = np.array([next(place) if each else -1 for each in noisy])
    rows = out.view(-1, shape[4])
    arguments = (
        *means,
        units,
        *variances,
        *rest,
        np.array(shape),
        np.array([strides, of_full, *of_rest]),
        places,
        steps,
        steps.dtype.type(top),
        rows.numpy(),
    )
    threads.in_parts(kernels.finish, len(rows), out.numel(), *arguments)
    return out


def _alone(x: Tensor, shape: Sequence[int]) -> bool:
    """Whether a tensor of this shape has its memory to itself."""
    return x.shape == shape and x.is_contiguous() and x.untyped_storage().nbytes() == x.numel() * x.element_size()


def _flat(x: Tensor, shape: Sequence[int]) -> tuple[np.ndarray, tuple[int, ...]]:
    """The memory of a tensor from its first element on, and its strides as if it had this shape."""
    x = x.expand(shape)
    if x.stride(4) not in (0, 1):
        x = x.contiguous()
    extent = 1 + sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True))
    return x.as_strided((extent,), (1,)).numpy(), x.stride()
