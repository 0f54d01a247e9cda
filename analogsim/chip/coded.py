"""Coded: products on units for small whole numbers, for chips with `products="fast"`.

A DAC's levels are multiples of its step: codes of up to 8 bits fit one byte. Weights are rounded to 16 bits,
w = u (256 h + l) with h and l of one byte and u = max |w| / 32639, so that no weight wraps around. Two products of
bytes, summed in 32 bits, give sum x w exactly for these weights, on any number of threads. Against the weights as they
are, a column's mean errs by at most ||x||_1 max |w| / 65278.

Variances of noise are a product of numbers of 8 significant bits (bfloat16): x^2, the variances and the result are
rounded, each by at most 2^-8 of itself, so a standard deviation errs by at most 0.6 %; where many lines add up, only
the last rounding is left, 0.2 % at most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from analogsim.chip import scratch
from analogsim.chip.current import TwoParts
from device_models import threads

_TOP = 32639  # 127 x 256 + 127
_WORTH = 1 << 24  # multiplications from which on units for matrices pay,
_LINES = 448  # lines of a tile, and
_VECTORS = (
    64  # vectors, below which they do not, however many the others are: measured, see docs/performance.md. Vectors
)
# are counted within a pass, so that samples may be split and chips may come alone without a change.


def matrix_units() -> bool:
    """Whether this CPU multiplies bytes and numbers of 16 bits much faster than those of 32.

    By tiles (AMX), or by dot products of both (AVX512-VNNI and AVX512-BF16). Where there is no VNNI, products of bytes
    may pass through sums of 16 bits, which overflow: such a CPU has none.
    """
    tiles, bytes_, halves = (_has(name) for name in ("amx_tile", "vnni", "avx512_bf16"))
    return threads.available and (tiles or (bytes_ and halves))


def _has(what: str) -> bool:
    known = getattr(torch.cpu, f"_is_{what}_supported", None)
    return known is not None and bool(known())


class Codes(NamedTuple):
    """What drives the lines.

    Attributes:
        codes: (C, S or 1, P or 1, B, lines), int8.
        squares: of the codes, bfloat16.
        sound: (C,), nan for a chip that has a level which is no number, else 1.
    """

    codes: Tensor
    squares: Tensor
    sound: Tensor


_product_of_bytes = getattr(torch, "_int_mm")  # noqa: B009 - torch has no public name for it


@dataclass(frozen=True)
class Coded:
    """The weights of one slice of C crossbars in two bytes.

    Attributes:
        high_low: (C, 2, columns, lines), int8.
        units: weight of the lowest bit, (C,).
        variances: of each source of read noise that is not uniform, bfloat16, (C, lines, columns): lines of a tile lie
            together. None of the others.
        step: of the DAC.
    """

    high_low: Tensor
    units: Tensor
    variances: tuple[Tensor | None, ...]
    step: float

    @classmethod
    def of(cls, weights: Tensor, variances: list[Tensor], step: float) -> Coded:
        """Rounded weights and variances (C, columns, lines or 1), float32, on a CPU."""
        from device_models import kernels

        flat = weights.contiguous().flatten(1)
        low, high = flat.aminmax(dim=1)
        units = torch.maximum(high, -low).clamp_(min=torch.finfo(weights.dtype).tiny * 2**24) / _TOP
        two = torch.empty((len(flat), 2, flat.shape[1]), dtype=torch.int8)
        given = flat.numpy(), units.numpy(), *(each.numpy() for each in two.unbind(1))
        threads.in_parts(kernels.to_two_bytes, flat.numel(), flat.numel(), *given)
        rounded = (None if each.shape[2] == 1 else _rounded(each * step**2) for each in variances)
        return cls(two.unflatten(2, weights.shape[1:]), units * step, tuple(rounded), step)

    def encode(self, levels: Tensor, tile: int) -> Codes | None:
        """What drives the lines.

        Args:
            levels: multiples of `step`, (C, S or 1, P or 1, B, lines).
            tile: lines of a product.

        Returns:
            None where they are so few that a product of float32 is as fast. A chip with a level that is no number gives
            currents that are none.
        """
        from device_models import kernels

        vectors, lines, columns = *levels.shape[3:], self.high_low.shape[2]
        large = vectors >= _VECTORS and min(tile, lines) >= _LINES and vectors * lines * columns >= _WORTH
        if not large or not threads.compiled(levels):
            return None
        sound = torch.where(levels.flatten(1).sum(1).isfinite(), 1.0, math.nan)
        levels = levels.contiguous()
        codes, squares = torch.empty(levels.shape, dtype=torch.int8), torch.empty(levels.shape, dtype=torch.int16)
        flat = (each.view(-1).numpy() for each in (levels, codes, squares))
        x, whole, upper = flat
        given = x, x.dtype.type(self.step), whole, upper.view("uint16")
        threads.in_parts(kernels.to_codes, levels.numel(), levels.numel(), *given)
        return Codes(codes, squares.view(torch.bfloat16), sound)

    def product(self, codes: Codes, block: slice) -> TwoParts:
        """Column currents of a block of lines."""
        x, weights = codes.codes[..., block], self.high_low[..., block].flatten(1, 2)
        shape = (*x.shape[:4], weights.shape[1])
        memory = scratch.lend(math.prod(shape))
        parts = memory[: math.prod(shape)].view(shape)
        for chip, vectors in enumerate(x):
            _product_of_bytes(vectors.flatten(0, 2), weights[chip].t(), out=parts[chip].flatten(0, 2))
        high, low = parts.chunk(2, dim=4)
        return TwoParts(high, low, self.units * codes.sound, memory)

    def variance(self, codes: Codes, source: int, block: slice) -> Tensor:
        """Variances of the currents of a block of lines by one source, bfloat16, (C, S or 1, P or 1, B, columns)."""
        v, x = self.variances[source], codes.squares[..., block]
        assert v is not None
        return torch.bmm(x.flatten(1, 3), v[:, block]).unflatten(1, x.shape[1:4])


def _rounded(variances: Tensor) -> Tensor:
    """(C, columns, lines) as bfloat16, (C, lines, columns)."""
    return variances.transpose(1, 2).to(torch.bfloat16, memory_format=torch.contiguous_format)
