"""One pass: noise and conversion of column currents in compiled loops; products of bytes piece by piece.

Sums of a piece of the columns are still in the cache when they are made into results, and no memory holds those of all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from analogsim.chip import scratch
from analogsim.chip.byte_product import ByteProduct, Counted, TwoParts
from device_models import threads

if TYPE_CHECKING:
    import numpy as np

    from analogsim.chip.current import Noise

_AT_ONCE = 1 << 22  # sums of bytes, 16 MiB of them: what stays in a cache
_LEAST = 256  # columns of a piece


def finish(mean: Tensor | TwoParts, noise: Noise | None, step: float | Tensor, top: int) -> Tensor:
    """mean + noise, in whole steps of an ADC where top is above 0; by compiled loops.

    Args:
        mean: (C, S or 1, P or 1, B, columns); may be overwritten.
        noise: of the noisy passes; its numbers may be overwritten. None: there is none.
        step: of all chips, or one for each.
        top: the largest code.

    Returns:
        (C, S, P, B, columns); as many samples and passes as the mean where there is no noise.
    """
    import numpy as np

    from device_models import kernels

    like = mean.units if isinstance(mean, TwoParts) else mean
    if noise is None:
        (full, row, column), z, shape = (None, None, None), like.new_empty(0), mean.shape
        noisy = (False,) * shape[2]
    else:
        (full, row, column), z, noisy = noise
        shape = torch.Size((*z.shape[:2], len(noisy), *z.shape[3:]))
    # Fresh memory costs as much as the arithmetic: results take the place of the mean, or of the random numbers.
    out = next((each for each in (mean, z) if isinstance(each, Tensor) and _alone(each, shape)), None)
    out = like.new_empty(shape) if out is None else out
    none, strides, place = np.empty(0, out.numpy().dtype), np.zeros((6, 5), dtype=np.int64), iter(range(len(noisy)))

    def flat(number: int, x: Tensor | None, columns: int = shape[4]) -> np.ndarray:
        if x is None:
            return none
        memory, strides[number] = _flat(x, (*shape[:4], columns))
        return memory

    sums: list[tuple[int, int, ByteProduct]] = []
    if isinstance(mean, TwoParts):
        y, units = none, mean.units.numpy()
        sums.append((0, 2, mean.parts))
    else:
        y, units = flat(0, mean), none
    if isinstance(full, Counted):
        variance, vectors = none, flat(5, full.vectors, full.vectors.shape[4])
        of_columns = full.columns.contiguous().numpy()
        sums.append((1, 1, full.counts))
    else:
        variance, vectors = np.zeros(1, none.dtype) if full is None else flat(1, full), none
        of_columns = none.reshape(0, 3, 0)
    numbers, strides[4] = (none, 0) if noise is None else _flat(z, z.shape)
    rest = vectors, of_columns, flat(2, row), flat(3, column), numbers, np.array(shape[:4]), strides
    one_each = step.flatten().tolist() if isinstance(step, Tensor) else step
    steps = np.empty(shape[0], dtype=none.dtype)
    steps[:] = one_each
    places, rows = np.array([next(place) if each else -1 for each in noisy]), out.view(-1, shape[4]).numpy()
    converter = places, steps, steps.dtype.type(top), rows

    each = sum(times * math.prod(product.vectors.shape[:4]) for _, times, product in sums)
    width = shape[4] if each == 0 else min(shape[4], max(_LEAST, _AT_ONCE // each // _LEAST * _LEAST))
    memory, uncounted = scratch.lend(each * width), np.empty(0, np.int32)
    for first in range(0, shape[4], width):
        last, free, counted = min(first + width, shape[4]), memory, [uncounted, uncounted]
        for number, times, product in sums:
            some = product.of(slice(first * times, last * times), free)
            free = free[some.numel() :]
            counted[number], strides[number] = _flat(some, (*shape[:4], some.shape[4]))
        given = first, last, y, counted[0], units, variance, counted[1], *rest, *converter
        threads.in_parts(kernels.finish, len(rows), len(rows) * (last - first), *given)
    scratch.give_back(memory)
    return out


def _alone(x: Tensor, shape: Sequence[int]) -> bool:
    """Whether a tensor of this shape has its memory to itself."""
    return x.shape == shape and x.is_contiguous() and x.untyped_storage().nbytes() == x.numel() * x.element_size()


def _flat(x: Tensor, shape: Sequence[int]) -> tuple[np.ndarray, tuple[int, ...]]:
    """The memory of a tensor from its first element on, and its strides as if it had this shape."""
    if x.shape == shape and x.is_contiguous():
        return x.view(-1).numpy(), x.stride()
    x = x.expand(shape)
    if x.stride(4) not in (0, 1):
        x = x.contiguous()
    extent = 1 + sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True))
    return x.as_strided((extent,), (1,)).numpy(), x.stride()
