"""Coded: products on units for small whole numbers, for chips with `products="fast"`.

A DAC's levels are multiples of its step: codes of up to 8 bits fit one byte. Weights are rounded to 16 bits,
w = u (256 h + l) with h and l of one byte and u = max |w| / 32639, so that no weight wraps around. Two products of
bytes, summed in 32 bits, give sum x w exactly for these weights, on any number of threads. Against the weights as they
are, a column's mean errs by at most ||x||_1 max |w| / 65278.

A variance of noise is a sum of p_i s_ij over the lines, of the squares of the codes and the variances s of a column.
With mean s_j that is exactly mean s_j sum p_i + sum p_i (s_ij - mean s_j), and only the last sum is told by bytes: p in
255 steps of what a vector has, s in 255 steps of what a column has. Which way a number is rounded depends on its line
by a fixed dither, whatever it is, so errors of many lines add up like noise, also where lines are alike. Their expected
size relative to the mean variance follows from sums that are there anyway. Where it exceeds 0.6 % in a column, or 0.6 %
of the share of the mean variance that a vector has because of which lines it drives, that vector's variances are a
product of numbers of 8 significant bits (bfloat16): few lines bring that about, a device far above the others of its
column, or large inputs where variances are small. So a standard deviation is expected to err by 0.3 % of its usual size
at most, root mean square; 0.1 % is common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from analogsim.chip.byte_product import LONGEST, ByteProduct
from analogsim.chip.current import Counted, TwoParts
from device_models import threads

_TOP = 32639  # 127 x 256 + 127
_FINE = 0.006  # of a variance, what bytes may cost it: expected, root mean square, in the column where it is largest


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


_MORE = 512  # numbers of a dither beyond those that a row takes

# Multiplications, lines of a tile and vectors of a pass from which on products of bytes pay, by tiles of the CPU or by
# its dot products: measured, docs/performance.md. Samples may be split, and chips may come alone, without a change.
_WORTH, _LINES, _VECTORS = (1 << 24, 448, 64) if _has("amx_tile") else (1 << 25, 224, 16)


class Codes(NamedTuple):
    """What drives the lines.

    Attributes:
        codes: (C, S or 1, P or 1, B, lines), int8.
        squares: theirs as bytes, by vector and block of lines, shaped alike; see `device_models.byte_kernels.to_codes`.
            Empty where no noise needs them.
        vectors: what these stand for, (blocks, C, S or 1, P or 1, B, 3).
        rough: which are too coarse, (blocks, sources of noise, C, S or 1, P or 1, B).
        sound: (C,), nan for a chip that has a level which is no number, else 1.
    """

    codes: Tensor
    squares: Tensor
    vectors: Tensor
    rough: Tensor
    sound: Tensor


class Deviations(NamedTuple):
    """Variances of one source of read noise, in bytes.

    Attributes:
        bytes_: above the middle of a column of a block of lines, (C, columns, lines), int8.
        columns: what they stand for: mean variance, unit and mean byte, (blocks, C, 3, columns).
        errors: by how much a variance errs, see `device_models.byte_kernels.to_deviations`, (blocks, C, 2); of the
            column where they are largest.
        shares: of the lines in the variances of all columns, mean 1 in a block, (C, lines).
    """

    bytes_: Tensor
    columns: Tensor
    errors: Tensor
    shares: Tensor

    @classmethod
    def of(cls, variances: Tensor, step: float, blocks: Sequence[slice]) -> Deviations:
        """Rounded variances (C, columns, lines), float32; what they stand for is in squares of the step of a DAC."""
        from device_models import byte_kernels

        variances, (chips, count, lines) = variances.contiguous(), variances.shape
        given, told = variances.flatten(0, 1).numpy(), torch.empty(variances.shape, dtype=torch.int8)
        found = torch.empty(len(blocks), chips, count, 5, dtype=torch.float32)
        dither, shares = _dither(lines + _MORE, 2**0.5), []
        for block, numbers in zip(blocks, found, strict=True):
            ends = *block.indices(lines)[:2], count
            arguments = given, *ends, dither, told.flatten(0, 1).numpy(), numbers.flatten(0, 1).numpy()
            threads.in_parts(byte_kernels.to_deviations, len(given), variances.numel() // len(blocks), *arguments)
            mean = numbers[:, None, :, 0]
            weights = torch.where((mean > 0) & mean.isfinite(), 1 / mean, 0.0)
            shares.append((weights @ variances[..., block])[:, 0] / (weights > 0).sum(2).clamp(min=1))
        scale = torch.tensor([step**2, step**2, 1.0], dtype=torch.float32)
        columns = (found[..., :3] * scale).transpose(2, 3).contiguous()
        return cls(told, columns, found[..., 3:].amax(dim=2), torch.cat(shares, dim=1))


@cache
def _dither(count: int, ratio: float) -> np.ndarray:
    """Numbers within 0 and 1 of which any few that follow each other are spread evenly; with what is whole stays so."""
    return (0.002 + 0.996 * np.modf((np.arange(count) + 0.5) * ratio)[0]).astype(np.float32)


@dataclass(frozen=True)
class Coded:
    """One slice of C crossbars in bytes, which are made when a read first pays for them.

    Attributes:
        weights: (C, columns, lines), float32, on a CPU.
        variances: of each source of read noise, (C, columns, lines), float32; None where no product with squares tells
            its noise.
        step: of the DAC.
        blocks: of lines, which are multiplied at a time.
    """

    weights: Tensor
    variances: tuple[Tensor | None, ...]
    step: float
    blocks: tuple[slice, ...]
    _halves: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    @cached_property
    def high_low(self) -> tuple[Tensor, Tensor]:
        """The weights in two bytes, (C, columns x 2, lines), int8; and the weight of the lowest bit, (C,)."""
        from device_models import byte_kernels

        (chips, columns, lines), rows = self.weights.shape, self.weights.contiguous().flatten(0, 1).numpy()
        most = torch.empty(chips * columns, dtype=torch.float32)
        two = torch.empty((chips, 2 * columns, lines), dtype=torch.int8)
        threads.in_parts(byte_kernels.largest, len(rows), rows.size, rows, most.numpy())
        units = most.view(chips, columns).amax(dim=1).clamp_(min=torch.finfo(torch.float32).tiny * 2**24) / _TOP
        given = rows, units.numpy(), two.view(-1, 2, lines).numpy()
        threads.in_parts(byte_kernels.to_two_bytes, len(rows), rows.size, *given)
        return two, units

    @cached_property
    def deviations(self) -> tuple[Deviations | None, ...]:
        """Of each source of read noise, as `variances`."""
        return tuple(None if v is None else Deviations.of(v, self.step, self.blocks) for v in self.variances)

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
        vectors, lines, columns = *x.shape[3:], self.weights.shape[1]
        large = vectors >= _VECTORS and _LINES <= self._ends[0] <= LONGEST and vectors * lines * columns >= _WORTH
        return large and threads.compiled(x)

    @property
    def _ends(self) -> list[int]:
        """Of the blocks of lines."""
        return [each.indices(self.weights.shape[2])[1] for each in self.blocks]

    def _codes(self, x: Tensor, top: int, levels: Tensor) -> Codes:
        from device_models import byte_kernels

        x, ends, lines = x.contiguous(), self._ends, x.shape[4]
        wanted = any(each is not None for each in self.variances)
        codes, squares = (torch.empty(x.shape if each else 0, dtype=torch.int8) for each in (True, wanted))
        vectors = torch.empty(len(ends), *x.shape[:4], 3, dtype=torch.float32)
        rough = torch.empty(len(ends), len(self.variances), *x.shape[:4], dtype=torch.bool)
        sound = torch.ones(len(x), dtype=torch.float32)
        rows, whole, powers, results = (each.view(-1, lines).numpy() for each in (x, codes, squares, levels))
        given = (
            rows,
            rows.dtype.type(self.step),
            rows.dtype.type(top),
            np.array(ends),
            *self._expected,
            np.float32(_FINE),
        )
        found = results, whole, powers, vectors.flatten(1, 4).numpy(), rough.flatten(2).numpy(), sound.numpy()
        threads.in_parts(byte_kernels.to_codes, len(rows), x.numel(), *given, *found)
        return Codes(codes, squares, vectors, rough, sound)

    @cached_property
    def _expected(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What `to_codes` needs to know: a dither, and of each source `shares` and `errors`; 0 where there are none."""
        (chips, _, lines), count = self.weights.shape, len(self.variances)
        shares = torch.zeros(chips, count, lines, dtype=torch.float32)
        errors = torch.zeros(len(self.blocks), chips, count, 2, dtype=torch.float32)
        for source, told in enumerate(self.deviations):
            if told is not None:
                shares[:, source], errors[:, :, source] = told.shares, told.errors
        return _dither(lines + _MORE, 5**0.5 / 2), shares.numpy(), errors.numpy()

    def product(self, codes: Codes, block: slice) -> TwoParts:
        """Column currents of a block of lines."""
        two, units = self.high_low
        return TwoParts(ByteProduct(codes.codes[..., block], two[..., block]), units * codes.sound * self.step)

    def variance(self, codes: Codes, source: int, block: slice) -> Counted | Tensor:
        """Variances of the currents of a block of lines by one source, (C, S or 1, P or 1, B, columns)."""
        told, number = self.deviations[source], self.blocks.index(block)
        assert told is not None
        vectors, counts = codes.vectors[number], ByteProduct(codes.squares[..., block], told.bytes_[..., block])
        counted = Counted(counts, vectors, told.columns[number])
        rough = codes.rough[number, source]
        if not rough.any():
            return counted
        shape = (*rough.shape, told.bytes_.shape[1])
        whole = torch.empty(shape, dtype=told.columns.dtype) if rough.all() else counted.whole
        for chip, which in enumerate(rough):
            if which.any():
                squares = codes.codes[chip, ..., block][which].float().square_().to(torch.bfloat16)
                whole[chip][which] = (squares @ self._in_halves(source, number)[chip]).float()
        return whole

    def _in_halves(self, source: int, number: int) -> Tensor:
        """Variances of a block of lines, bfloat16, (C, lines, columns): lines of a tile lie together."""
        if (source, number) not in self._halves:
            variances = self.variances[source]
            assert variances is not None
            some = (variances[..., self.blocks[number]] * self.step**2).transpose(1, 2)
            self._halves[source, number] = some.to(torch.bfloat16, memory_format=torch.contiguous_format)
        return self._halves[source, number]
