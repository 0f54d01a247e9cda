"""Coded: products on units for small whole numbers, for chips with `products="fast"`.

A DAC's levels are multiples of its step: codes of up to 8 bits fit one byte. Weights are rounded to 16 bits,
w = u (256 h + l) with h and l of one byte and u = max |w| / 32639, so that no weight wraps around. Two products of
bytes, summed in 32 bits, give sum x w exactly for these weights, on any number of threads. Against the weights as they
are, a column's mean errs by at most ||x||_1 max |w| / 65278.

A variance of noise is a sum of p_i s_ij over the lines, of the squares of the codes and the variances s of a column.
With mean s_j that is exactly mean s_j sum p_i + sum p_i (s_ij - mean s_j), and only the last sum is told by bytes: p in
255 steps of what a vector has, s in 255 steps of what a column has. Both are then rounded by at most half a step, and
as the deviations of a column add up to 0, what is left of the errors adds up like noise. Its expected size relative to
the mean variance follows from sums that are there anyway; where it could reach 0.4 % in a column, which few lines or a
device far above the others of its column bring about, that vector's variances are a product of numbers of 8
significant bits (bfloat16). A standard deviation then errs by at most 0.2 % root mean square.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from analogsim.chip.byte_product import LONGEST, ByteProduct
from analogsim.chip.current import Counted, TwoParts
from device_models import threads

_TOP = 32639  # 127 x 256 + 127
_FINE = 0.004  # of a variance, what bytes may cost it: root mean square, in any column
_WORTH = 1 << 24  # multiplications from which on products of bytes pay: measured, see docs/performance.md


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


# Lines of a tile, and vectors of a pass, from which on they do, by tiles of the CPU or by its dot products. Samples may
# be split, and chips may come alone, without a change.
_LINES, _VECTORS = (448, 64) if _has("amx_tile") else (224, 16)


class Codes(NamedTuple):
    """What drives the lines.

    Attributes:
        codes: (C, S or 1, P or 1, B, lines), int8.
        squares: theirs as bytes, by vector and block of lines, shaped alike; see `device_models.kernels.to_codes`.
            Empty where no noise needs them.
        vectors: what these stand for, (blocks, C, S or 1, P or 1, B, 5).
        sound: (C,), nan for a chip that has a level which is no number, else 1.
    """

    codes: Tensor
    squares: Tensor
    vectors: Tensor
    sound: Tensor


class Deviations(NamedTuple):
    """Variances of one source of read noise, in bytes.

    Attributes:
        bytes_: above the middle of a column of a block of lines, (C, columns, lines), int8.
        columns: what they stand for: mean variance, unit and mean byte, (blocks, C, 3, columns).
        errors: by how much a variance errs, relative to the mean: the factors of the last two numbers of
            `Codes.vectors`, (blocks, C, 2); of the column where they are largest.
        variances: in squares of the DAC's step, (C, columns, lines).
    """

    bytes_: Tensor
    columns: Tensor
    errors: Tensor
    variances: Tensor

    @classmethod
    def of(cls, variances: Tensor, blocks: Sequence[slice]) -> Deviations:
        """Rounded variances (C, columns, lines), float32."""
        from device_models import kernels

        variances = variances.contiguous()
        told = torch.empty(variances.shape, dtype=torch.int8)
        columns, errors = [], []
        for block in blocks:
            some = variances[..., block]
            low, high = some.aminmax(dim=2)
            mean, unit = some.mean(dim=2), (high - low) / 254
            by = torch.where(unit > 0, 1 / unit, 0.0)
            sums = torch.empty(2, *mean.shape, dtype=torch.int64)
            given = some.flatten(0, 1), ((low + high) / 2).flatten(), by.flatten(), told[..., block].flatten(0, 1)
            arguments = (*(each.numpy() for each in given), sums.flatten(1).numpy())
            threads.in_parts(kernels.to_deviations, mean.numel(), some.numel(), *arguments)
            centre, squares = (sums.double() / some.shape[2]).unbind(0)
            step = torch.where(mean > 0, unit / mean, 0.0).double()
            spread = step * (squares - centre.square()).clamp(min=0).sqrt()
            columns.append(torch.stack([mean, unit, centre.float()], dim=1))
            errors.append(torch.stack([spread, step], dim=1).amax(dim=2).square())
        return cls(told, torch.stack(columns), torch.stack(errors).float(), variances)


@dataclass(frozen=True)
class Coded:
    """The weights of one slice of C crossbars in two bytes.

    Attributes:
        high_low: (C, columns x 2, lines), int8.
        units: weight of the lowest bit, (C,).
        deviations: of each source of read noise that is not uniform. None of the others.
        step: of the DAC.
        blocks: of lines, which are multiplied at a time.
    """

    high_low: Tensor
    units: Tensor
    deviations: tuple[Deviations | None, ...]
    step: float
    blocks: tuple[slice, ...]
    _halves: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, weights: Tensor, variances: Sequence[Tensor], step: float, blocks: Sequence[slice]) -> Coded:
        """Rounded weights and variances (C, columns, lines or 1), float32, on a CPU."""
        from device_models import kernels

        weights = weights.contiguous()
        low, high = weights.flatten(1).aminmax(dim=1)
        units = torch.maximum(high, -low).clamp_(min=torch.finfo(weights.dtype).tiny * 2**24) / _TOP
        chips, columns, lines = weights.shape
        two = torch.empty((chips * columns, 2, lines), dtype=torch.int8)
        given = weights.view(-1, lines).numpy(), units.numpy(), two.numpy()
        threads.in_parts(kernels.to_two_bytes, len(two), weights.numel(), *given)
        told = (None if each.shape[2] == 1 else Deviations.of(each * step**2, blocks) for each in variances)
        return cls(two.view(chips, 2 * columns, lines), units * step, tuple(told), step, tuple(blocks))

    def quantise(self, x: Tensor, top: int) -> tuple[Tensor, Codes] | None:
        """What a DAC makes of numbers, and what drives the lines: one pass over the memory instead of two.

        Args:
            x: (C, S or 1, P or 1, B, lines).
            top: the DAC's largest code.

        Returns:
            Levels shaped as x, and what `encode` makes of them; None where that returns None.
        """
        if not self._pays(x):
            return None
        levels = torch.empty_like(x, memory_format=torch.contiguous_format)
        return levels, self._codes(x, top, levels)

    def encode(self, levels: Tensor) -> Codes | None:
        """What drives the lines.

        Args:
            levels: multiples of `step`, (C, S or 1, P or 1, B, lines).

        Returns:
            None where they are so few that a product of float32 is as fast. A chip with a level that is no number gives
            currents that are none.
        """
        return self._codes(levels, 0, levels.new_empty(0)) if self._pays(levels) else None

    def _pays(self, x: Tensor) -> bool:
        """Whether products of bytes are quicker."""
        vectors, lines, columns = *x.shape[3:], self.high_low.shape[1] // 2
        large = vectors >= _VECTORS and _LINES <= self._ends[0] <= LONGEST and vectors * lines * columns >= _WORTH
        return large and threads.compiled(x)

    @property
    def _ends(self) -> list[int]:
        """Of the blocks of lines."""
        return [len(range(self.high_low.shape[2])[: each.stop]) for each in self.blocks]

    def _codes(self, x: Tensor, top: int, levels: Tensor) -> Codes:
        from device_models import kernels

        x, shape, ends = x.contiguous(), x.shape[:4], self._ends
        codes, wanted = torch.empty(x.shape, dtype=torch.int8), any(each is not None for each in self.deviations)
        squares = torch.empty(x.shape if wanted else 0, dtype=torch.int8)
        vectors, sound = torch.empty(len(ends), *shape, 5), torch.empty(shape, dtype=torch.int8)
        rows, whole, powers, results = (each.view(-1, x.shape[4]).numpy() for each in (x, codes, squares, levels))
        numbers = rows.dtype.type(self.step), rows.dtype.type(top), np.array(ends)
        given = rows, *numbers, results, whole, powers, vectors.view(len(ends), -1, 5).numpy(), sound.view(-1).numpy()
        threads.in_parts(kernels.to_codes, len(rows), x.numel(), *given)
        whole = sound.numpy().reshape(len(x), -1).all(axis=1)
        return Codes(codes, squares, vectors, torch.from_numpy(np.where(whole, 1, math.nan).astype(np.float32)))

    def product(self, codes: Codes, block: slice) -> TwoParts:
        """Column currents of a block of lines."""
        parts = ByteProduct(codes.codes[..., block], self.high_low[..., block])
        return TwoParts(parts, self.units * codes.sound)

    def variance(self, codes: Codes, source: int, block: slice) -> Counted | Tensor:
        """Variances of the currents of a block of lines by one source, (C, S or 1, P or 1, B, columns)."""
        told, number = self.deviations[source], self.blocks.index(block)
        assert told is not None
        vectors, counts = codes.vectors[number], ByteProduct(codes.squares[..., block], told.bytes_[..., block])
        counted = Counted(counts, vectors, told.columns[number])
        first, second = vectors.numpy()[..., 3:].transpose(4, 1, 2, 3, 0)  # chips last: their errors are a number each
        one, other = told.errors.numpy()[number].T
        rough = (first * one + second * other > _FINE**2).transpose(3, 0, 1, 2)
        if not rough.any():
            return counted
        shape = (*rough.shape, told.bytes_.shape[1])
        whole = torch.empty(shape, dtype=told.columns.dtype) if rough.all() else counted.whole
        for chip, which in enumerate(torch.from_numpy(rough)):
            if which.any():
                squares = codes.codes[chip, ..., block][which].float().square_().to(torch.bfloat16)
                whole[chip][which] = (squares @ self._in_halves(source, number)[chip]).float()
        return whole

    def _in_halves(self, source: int, number: int) -> Tensor:
        """Variances of a block of lines, bfloat16, (C, lines, columns): lines of a tile lie together."""
        if (source, number) not in self._halves:
            told = self.deviations[source]
            assert told is not None
            some = told.variances[..., self.blocks[number]].transpose(1, 2)
            self._halves[source, number] = some.to(torch.bfloat16, memory_format=torch.contiguous_format)
        return self._halves[source, number]
