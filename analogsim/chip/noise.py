"""Noise of column currents: drawn as one number for each column, or device by device."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import Self

from analogsim.chip.coded import Coded, Codes
from analogsim.chip.current import Noise, TwoParts, Variance
from analogsim.chip.draws import Draws
from analogsim.chip.operand import Operand
from analogsim.chip.pair import Source
from device_models import Exposure

_DEVICE_NUMBERS = 1 << 22  # random numbers that `sampling="device"` holds at a time


class ColumnNumbers(NamedTuple):
    """The random numbers of a product: one for each column, current and pass, and more for each relaxation.

    They are drawn for all vectors of a batch at once: products of blocks of vectors then have the same noise whatever
    the size of the blocks, and noise that remembers goes on from pass to pass of each vector.

    Attributes:
        white: (C, S, noisy passes, currents, vectors, columns).
        remembered: (C, S, noisy passes, parts, currents, vectors, columns), or None.
    """

    white: Tensor
    remembered: Tensor | None

    @classmethod
    def draw(cls, operand: Operand, draws: Draws, count: int, vectors: int) -> Self:
        """New numbers.

        Args:
            operand: any of the product's.
            draws: see `Reader.read`.
            count: number of currents of the product.
            vectors: number of vectors of the batch.
        """
        parts = [part for source in operand.sources for part in source.passing]
        shape = (vectors, operand.weights.shape[1])
        numbers = draws.normal(count * (1 + len(parts)), shape, operand.weights.dtype)
        numbers = numbers.unflatten(3, (count, 1 + len(parts)))
        remembered = None
        if parts:
            z = numbers[:, :, :, :, 1:].transpose(3, 4)
            remembered = draws.remembering(z, parts, "columns")
        return cls(numbers[:, :, :, :, 0], remembered)

    def of(self, lines: slice) -> Self:
        """Those of some vectors."""
        remembered = None if self.remembered is None else self.remembered[..., lines, :]
        return self._replace(white=self.white[..., lines, :], remembered=remembered)


class ByColumn:
    """Noise of the currents of a product.

    Args:
        numbers: of its vectors.
        draws: see `Reader.read`.
        column_sd: see `Reader.read`.
    """

    def __init__(self, numbers: ColumnNumbers, draws: Draws, column_sd: Tensor | None) -> None:
        self._draws = draws
        self._amplifier = None if column_sd is None else column_sd.square()
        self._white, self._remembered = numbers

    def of(
        self,
        y: Tensor | TwoParts,
        index: int,
        exposure: Exposure,
        block: slice,
        operand: Operand,
        codes: Codes | None = None,
    ) -> tuple[Tensor | TwoParts, Noise | None]:
        """A block's currents with the noise that remembers, and the white noise that is still to be added.

        Args:
            y: without either, (C, S or 1, P or 1, B, columns).
            index: of the current.
            exposure: drives the lines.
            block: of the lines.
            operand: what is read.
            codes: of the levels, where they have any.
        """
        draws, total = self._draws, None
        white = None if self._amplifier is None else Variance(self._amplifier)
        variances = _Variances(exposure, block, None if codes is None else operand.coded, codes)
        position = 0
        for number, source in enumerate(operand.sources):
            fast, still = variances.of(number, source)
            for variance, share in ((fast, source.white), (still, source.still)):
                if share:
                    assert variance is not None
                    part = variance.times(share)
                    white = part if white is None else white.plus(part)
            if source.passing:
                assert self._remembered is not None and still is not None
                some = self._remembered[:, :, :, position : position + len(source.passing), index]
                summed = some[:, :, :, 0] * source.passing[0].weight ** 0.5
                for k, part in enumerate(source.passing[1:], start=1):
                    summed = summed.add_(some[:, :, :, k], alpha=part.weight**0.5)
                value = draws.pick(still.whole.sqrt()) * summed
                total = value if total is None else total + value
                position += len(source.passing)
        if total is not None:
            y = (y.whole if isinstance(y, TwoParts) else y) + draws.spread(total)
        return y, None if white is None else Noise(white, self._white[:, :, :, index], draws.noisy)


class _Variances:
    """Variances of a block's column currents, of noise that is independent between devices: a product of its own."""

    def __init__(self, exposure: Exposure, block: slice, coded: Coded | None, codes: Codes | None) -> None:
        self._exposure, self._block, self._coded, self._codes = exposure, block, coded, codes
        self._squares: Tensor | None = None
        self._alike = exposure.white is exposure.still

    def of(self, number: int, source: Source) -> tuple[Variance | None, Variance | None]:
        """Of white noise, and of what stands still during a read; None where the source, by its number, has none."""
        fast = still = None
        if source.power != 2:  # white, and of the current or of the line itself
            return self._of_power(number, source), None
        if source.white:
            fast = self._product(number, self._exposure.white, source)
        if source.still or source.passing:
            alike = fast is not None and self._alike
            still = fast if alike else self._product(number, self._exposure.still, source)
        return fast, still

    def _of_power(self, number: int, source: Source) -> Variance:
        exposure = self._exposure
        if source.power == 0:
            whole = source.variance[:, :, self._block].sum(2)[:, None, None, None]
            return Variance(whole * (exposure.floor * exposure.full**2))
        linear = exposure.levels.abs() * exposure.full if exposure.linear is None else exposure.linear
        return self._product(number, linear, source)

    def _product(self, number: int, power: Tensor | None, source: Source) -> Variance:
        """Sums over the lines of `power`, or of the squares of the levels, times variances."""
        levels, block = self._exposure.levels[..., self._block], self._block
        if source.uniform:
            column = source.variance.transpose(1, 2)[:, None, None]
            if power is None:
                row = torch.linalg.vector_norm(levels, dim=-1, keepdim=True).square_()
            else:
                row = power[..., block].sum(dim=-1, keepdim=True)
            return Variance(None, row, column)
        if power is None and self._coded is not None and self._codes is not None:
            return Variance(self._coded.variance(self._codes, number, block))
        if power is None and self._squares is None:
            self._squares = levels.square()
        power = self._squares if power is None else power[..., block]
        assert power is not None
        return Variance(batched(power, source.variance[:, :, block]))


def batched(x: Tensor, weights: Tensor) -> Tensor:
    """x (C, S, P, B, lines) times weights (C, columns, lines) transposed -> (C, S, P, B, columns)."""
    return torch.bmm(x.flatten(1, 3), weights.transpose(1, 2)).unflatten(1, x.shape[1:4])


def device_by_device(exposure: Exposure, block: slice, operand: Operand, draws: Draws, index: int) -> Tensor:
    """Noise of a block's column currents from numbers for each device and vector: slow, the proof.

    Args:
        exposure: drives the lines, (C, S or 1, P or 1, B, lines).
        block: of the lines.
        operand, draws: see `Reader.read`.
        index: of the current among those of the product.

    Returns:
        (C, S, noisy passes, B, columns).
    """
    columns, passes = operand.weights.shape[1], sum(draws.noisy)

    def per_vector(drive: Tensor) -> Tensor:
        """(C, S, noisy passes, B, lines of the block)."""
        drive = draws.pick(drive[..., block])
        return drive.expand(drive.shape[0], draws.samples, passes, *drive.shape[3:])

    x = per_vector(exposure.levels)
    still = x if exposure.still is None else per_vector(exposure.still).sqrt()
    fast = x if exposure.white is None else per_vector(exposure.white).sqrt()
    batch = x.shape[3]
    noise = x.new_zeros((*x.shape[:4], columns))

    def oriented(sd: Tensor) -> Tensor:
        """(C, 2, out, rows) -> (C, 2, columns, lines of the block)."""
        if not operand.transposed:
            return sd[:, :, :, block]
        sd = sd if operand.scale is None else sd / operand.scale[:, None]
        return sd[:, :, block, :columns].transpose(2, 3)

    seen = operand.pair.deviations(operand.transposed)
    sources = [(oriented(sd), passing, white, power) for sd, passing, white, power in seen]

    def variances(wanted: int) -> list[Tensor]:
        return [sd.square() * white for sd, _, white, power in sources if white and power == wanted]

    full = exposure.full
    if isinstance(full, Tensor):
        full = per_vector(full.expand_as(exposure.levels))
    anew = [(fast, variances(2))]
    for power, drive in ((1, (x.abs() * full).sqrt()), (0, torch.ones_like(x) * full)):
        anew.append((drive, variances(power)))
    if operand.transposed:  # see Operand.backward
        whole = [sd.square() * part.weight for sd, parts, _, _ in sources for part in parts]
        anew.append((still, whole))
        sources = [(sd, (), white, power) for sd, _, white, power in sources]
    fresh = [(drive, torch.stack(each).sum(0).sqrt()) for drive, each in anew if each]
    remembering = [(sd * part.weight**0.5, part) for sd, parts, _, _ in sources for part in parts]
    for chip, generator in enumerate(draws.streams.generators(draws.purpose, draws.layer)):
        for drive, sd in fresh:
            vectors, out = drive[chip].flatten(0, 2), noise[chip].flatten(0, 2)
            step = max(1, _DEVICE_NUMBERS // sd[chip].numel())
            for start in range(0, len(vectors), step):
                some = vectors[start : start + step]
                numbers = torch.empty((len(some), *sd[chip].shape), dtype=x.dtype, device=x.device)
                out[start : start + step] += _currents(some, numbers.normal_(generator=generator), sd[chip])
        for position, (sd, part) in enumerate(remembering):
            step = max(1, _DEVICE_NUMBERS // (draws.samples * passes * sd[chip].numel()))
            for start in range(0, batch, step):
                vectors = still[chip, :, :, start : start + step]
                numbers = torch.empty((*vectors.shape[:3], *sd[chip].shape), dtype=x.dtype, device=x.device)
                keys = [(chip, start + element, index, position) for element in range(vectors.shape[2])]
                values = draws.switching(numbers.normal_(generator=generator), part, keys)
                currents = _currents(vectors.flatten(0, 2), values.flatten(0, 2), sd[chip])
                noise[chip, :, :, start : start + step] += currents.unflatten(0, vectors.shape[:3])
    return noise


def _currents(x: Tensor, numbers: Tensor, sd: Tensor) -> Tensor:
    """x (V, lines), one number per device and vector (V, 2, columns, lines), sd (2, columns, lines): (V, columns)."""
    numbers = numbers * sd
    return torch.einsum("vr,vcr->vc", x, numbers[:, 0] - numbers[:, 1])
