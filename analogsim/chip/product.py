"""One read of a layer: driven rows -> column currents of each tile -> noise -> ADC -> digital sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from analogsim.chip.draws import Draws
from analogsim.chip.pair import Pair, Source
from device_models import Device

_DEVICE_NUMBERS = 1 << 22  # random numbers that `sampling="device"` holds at a time


@dataclass(frozen=True)
class Operand:
    """What a read multiplies with, in the direction of the read.

    Attributes:
        pair: the devices; None: the noise is drawn by columns.
        weights: (C, columns, lines).
        sources: read noise, by the same columns and lines.
        scale: what the pair's weights were divided by, broadcastable to (C, out, rows); of a backward read.
        transposed: whether lines are the columns of the crossbar.
    """

    pair: Pair
    weights: Tensor
    sources: list[Source]
    scale: Tensor | None = None
    transposed: bool = False

    @classmethod
    def forward(cls, pair: Pair, by_column: bool) -> Operand:
        """Rows driven, columns read."""
        view = pair.view(False)
        return cls(pair, view.weights, view.sources if by_column else [])

    @classmethod
    def backward(cls, pair: Pair, by_column: bool, inputs: int, scale: Tensor | None) -> Operand:
        """Columns driven, the first `inputs` rows read; `scale` (C, out, 1): see the attribute."""
        view, sources = pair.view(True), []
        weights = view.weights if scale is None else view.weights / scale
        for source in view.sources if by_column else []:
            variance = source.variance if scale is None else source.variance / scale.square()
            variance = variance if source.uniform else variance[:, :, :inputs]
            # Backward reads come one by one: what remembers is as good as white.
            whole = source.white + sum(part.weight for part in source.passing)
            sources.append(Source(variance.transpose(1, 2) * whole, power=source.power))
        return cls(pair, weights[:, :, :inputs].transpose(1, 2), sources, scale, True)


@dataclass(frozen=True)
class Reader:
    """How a layer is read.

    Attributes:
        device: converters, amplifiers.
        blocks: the lines of each tile.
        by_column: whether noise is drawn per column, or device by device.
    """

    device: Device
    blocks: list[slice]
    by_column: bool

    def read(
        self,
        x: Tensor,
        gain: Tensor | None,
        operand: Operand,
        draws: Draws,
        column_sd: Tensor | None,
        injection: Tensor | None = None,
    ) -> Tensor:
        """DAC levels -> digital sums.

        Args:
            x: (C, S or 1, P or 1, B, lines).
            gain: see `DAC.encode`.
            operand: what to multiply with.
            draws: noise for S samples and P passes.
            column_sd: of the amplifier's noise of one tile, broadcastable to (C, S, P, B, columns), or None.
            injection: (C, S, P, B, columns), added to the currents before the ADC.

        Returns:
            (C, S or 1, P or 1, B, columns).
        """
        d, blocks = self.device, self.blocks
        if d.adc is None:  # the partial sums are added unrounded, so one block stands for all of them
            column_sd = None if column_sd is None else column_sd * len(blocks) ** 0.5
            blocks = [slice(None)]
        noisy = draws.any and (column_sd is not None or any(noise.in_a_read for noise in d.read_noise))
        full = d.full_scale if gain is None else d.full_scale * gain
        currents = _ByColumn(x, full, operand, draws, column_sd, len(blocks)) if noisy and self.by_column else None
        total: Tensor | None = None
        for index, block in enumerate(blocks):
            y = _batched(x[..., block], operand.weights[:, :, block])
            if currents is not None:
                y = y + draws.spread(currents.noise(index, block))
            elif noisy:
                scale = draws.pick(full) if isinstance(full, Tensor) else full
                noise = _device_by_device(draws.pick(x[..., block]), scale, block, operand, draws, index)
                if column_sd is not None:
                    shape = (x.shape[3], y.shape[-1])
                    noise += draws.pick(column_sd) * draws.normal(1, shape, x.dtype)[:, :, :, 0]
                y = y + draws.spread(noise)
            if injection is not None and index == 0:
                y = y + injection
            if d.adc is not None:
                y = d.adc.decode(y, gain)
            total = y if total is None else total + y
        assert total is not None
        return total


class _ByColumn:
    """Noise of column currents, one number for each column, tile and pass, and one more for each relaxation."""

    def __init__(
        self, x: Tensor, full: float | Tensor, operand: Operand, draws: Draws, column_sd: Tensor | None, blocks: int
    ) -> None:
        self._x, self._sources, self._draws, self._column_sd = x, operand.sources, draws, column_sd
        self._full = full
        parts = [part for source in operand.sources for part in source.passing]
        shape = (x.shape[3], operand.weights.shape[1])
        numbers = draws.normal(blocks * (1 + len(parts)), shape, x.dtype).unflatten(3, (blocks, 1 + len(parts)))
        self._white = numbers[:, :, :, :, 0]
        self._remembered = None
        if parts:
            z = numbers[:, :, :, :, 1:].transpose(3, 4)  # (C, S, passes, parts, blocks, B, columns)
            self._remembered = draws.remembering(z, parts, "columns")

    def noise(self, index: int, block: slice) -> Tensor:
        """Of the block's currents in the noisy passes, (C, S, noisy passes, B, columns)."""
        lines, draws = self._x[..., block], self._draws
        white = None if self._column_sd is None else self._column_sd.square()
        position, total = 0, None
        for source in self._sources:
            variance = _column_variance(lines, self._full, source, block)
            if source.white:
                part = variance if source.white == 1 else variance * source.white
                white = part if white is None else white + part
            if source.passing:
                assert self._remembered is not None
                some = self._remembered[:, :, :, position : position + len(source.passing), index]
                summed = some[:, :, :, 0] * source.passing[0].weight ** 0.5
                for k, part in enumerate(source.passing[1:], start=1):
                    summed = summed.add_(some[:, :, :, k], alpha=part.weight**0.5)
                value = draws.pick(variance.sqrt()) * summed
                total = value if total is None else total + value
                position += len(source.passing)
        if white is not None:
            value = draws.pick(white.sqrt_()) * self._white[:, :, :, index]
            total = value if total is None else total + value
        assert total is not None
        return total


def _column_variance(x: Tensor, full: float | Tensor, source: Source, block: slice) -> Tensor:
    """Variance of a block's column currents, broadcastable to (C, S or 1, P or 1, B, columns).

    Voltage inputs and noise that is independent between devices: sum_i x_i^2 Var(w_ij), or another power of the
    input in units of its full scale, `full`, broadcastable to (C, S or 1, P or 1, B, 1).
    """
    if source.power == 0:
        return source.variance[:, :, block].sum(2)[:, None, None, None] * full**2
    if source.power == 1:
        return _batched(x.abs() * full, source.variance[:, :, block])
    if source.uniform:
        return x.square().sum(dim=-1, keepdim=True) * source.variance.transpose(1, 2)[:, None, None]
    return _batched(x.square(), source.variance[:, :, block])


def _batched(x: Tensor, weights: Tensor) -> Tensor:
    """x (C, S, P, B, lines) times weights (C, columns, lines) transposed -> (C, S, P, B, columns)."""
    return torch.bmm(x.flatten(1, 3), weights.transpose(1, 2)).unflatten(1, x.shape[1:4])


def _device_by_device(
    x: Tensor, full: float | Tensor, block: slice, operand: Operand, draws: Draws, index: int
) -> Tensor:
    """Noise of a block's column currents from numbers for each device and vector: slow, the proof.

    Args:
        x: DAC levels of the noisy passes (C, S or 1, P or 1, B, lines of the block).
        full: full scale of x, broadcastable to (C, S or 1, P or 1, B, 1).
        block: of the operand's lines.
        operand, draws: see `Reader.read`.
        index: of the block.

    Returns:
        (C, S, noisy passes, B, columns).
    """
    columns, batch, passes = operand.weights.shape[1], x.shape[3], sum(draws.noisy)
    x = x.expand(x.shape[0], draws.samples, passes, batch, x.shape[4])
    noise = x.new_zeros((x.shape[0], draws.samples, passes, batch, columns))

    def oriented(sd: Tensor) -> Tensor:
        """(C, 2, out, rows) -> (C, 2, columns, lines of the block)."""
        if not operand.transposed:
            return sd[:, :, :, block]
        sd = sd if operand.scale is None else sd / operand.scale[:, None]
        return sd[:, :, block, :columns].transpose(2, 3)

    seen = operand.pair.deviations(operand.transposed)
    sources = [(oriented(sd), passing, white, power) for sd, passing, white, power in seen]
    if operand.transposed:  # see Operand.backward
        sources = [
            (sd * (white + sum(part.weight for part in parts)) ** 0.5, (), 1.0, power)
            for sd, parts, white, power in sources
        ]
    whites = [_white(x, full, sources, power) for power in _powers(sources)]
    remembering = [(sd * part.weight**0.5, part) for sd, parts, _, _ in sources for part in parts]
    for chip, generator in enumerate(draws.streams.generators(draws.purpose, draws.layer)):
        for driven, white in whites:
            vectors, out = driven[chip].flatten(0, 2), noise[chip].flatten(0, 2)
            step = max(1, _DEVICE_NUMBERS // white[chip].numel())
            for start in range(0, len(vectors), step):
                some = vectors[start : start + step]
                numbers = torch.empty((len(some), *white[chip].shape), dtype=x.dtype, device=x.device)
                out[start : start + step] += _currents(some, numbers.normal_(generator=generator), white[chip])
        for position, (sd, part) in enumerate(remembering):
            step = max(1, _DEVICE_NUMBERS // (draws.samples * passes * sd[chip].numel()))
            for start in range(0, batch, step):
                vectors = x[chip, :, :, start : start + step]
                numbers = torch.empty((*vectors.shape[:3], *sd[chip].shape), dtype=x.dtype, device=x.device)
                key = (chip, start, index, position)
                values = draws.switching(numbers.normal_(generator=generator), part, key)
                currents = _currents(vectors.flatten(0, 2), values.flatten(0, 2), sd[chip])
                noise[chip, :, :, start : start + step] += currents.unflatten(0, vectors.shape[:3])
    return noise


def _powers(sources: Sequence[tuple[Tensor, Any, float, int]]) -> list[int]:
    """Of the inputs, that white noise goes with."""
    return sorted({power for *_, white, power in sources if white}, reverse=True)


def _white(
    x: Tensor, full: float | Tensor, sources: Sequence[tuple[Tensor, Any, float, int]], power: int
) -> tuple[Tensor, Tensor]:
    """What multiplies the white noise of a power (shaped as x), and its standard deviations (C, 2, columns, lines)."""
    sd = torch.stack([sd.square() * white for sd, _, white, each in sources if each == power]).sum(0).sqrt()
    if power == 2:
        return x, sd
    return (x.abs() * full).sqrt() if power == 1 else torch.ones_like(x) * full, sd


def _currents(x: Tensor, numbers: Tensor, sd: Tensor) -> Tensor:
    """x (V, lines), one number per device and vector (V, 2, columns, lines), sd (2, columns, lines): (V, columns)."""
    numbers = numbers * sd
    return torch.einsum("vr,vcr->vc", x, numbers[:, 0] - numbers[:, 1])
