"""Crossbar: one layer's weights on tiles of device pairs, and how they are read.

One read: DAC -> tiles -> column noise -> ADC of each tile -> digital sum over the row-blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from analogsim.chip.draws import Draws
from analogsim.chip.mapping import Mapping, to_conductances, to_weights
from device_models import Cells, Device, ReadNoise, vector_gain

Sampling = Literal["column", "device"]

_STATE = ("w_max", "target", "device_writes")
"""Attributes that a checkpoint holds beside the devices' own state; what follows from these alone is recomputed."""

_DEVICE_NUMBERS = 1 << 22  # random numbers that `sampling="device"` holds at a time


@dataclass(frozen=True)
class Geometry:
    """How a layer lies on tiles.

    Attributes:
        tile: rows and columns of one tile.
    """

    tile: int

    def __post_init__(self) -> None:
        if self.tile < 1:
            raise ValueError(f"a tile has at least one row (got {self.tile})")

    def blocks(self, lines: int) -> list[slice]:
        """The lines of each block, in order; partial sums of blocks are added digitally."""
        return [slice(start, min(start + self.tile, lines)) for start in range(0, lines, self.tile)]


class Crossbar:
    """One layer of a population of C chips.

    Attributes:
        w_max: the weight that G_max stands for, (C, 1, 1) or (C, out, 1).
        plus, minus: the devices of the pairs.
        weights: what the pairs stand for at the time of the last read or write, read noise aside, (C, out, rows).
        device_writes: number of device pairs of which one or both were written since the first programming, (C,),
            int64.
    """

    def __init__(self, device: Device, geometry: Geometry, mapping: Mapping, sampling: Sampling) -> None:
        self._device = device
        self._geometry = geometry
        self._mapping = mapping
        self._sampling: Sampling = sampling
        self.plus, self.minus = Cells(device), Cells(device)
        self._now = 0.0

    @property
    def numbers(self) -> int:
        """Random numbers that the write of a device takes."""
        return self._device.numbers

    def program(self, weights: Tensor, numbers: Tensor | None = None, now: float = 0.0) -> None:
        """Fix the range by initial weights and write them.

        Args:
            weights: (C, out, rows).
            numbers: standard normal, (C, `self.numbers`, 2, out, rows); None where that is 0.
            now: seconds.
        """
        self.w_max = self._mapping.initial_range(weights)
        self.target = weights.clone()
        self.device_writes = torch.zeros(weights.shape[0], dtype=torch.int64, device=weights.device)
        for cells, target, xi in self._sides(numbers):
            cells.program(target, xi, now)
        self._settle(now)

    def write(self, target: Tensor, numbers: Tensor | None = None, now: float = 0.0) -> None:
        """Absolute write: program every device whose target changed towards it, clipped to the range.

        A change of range writes all devices that it concerns.

        Args:
            target: weights (C, out, rows).
            numbers, now: see `program`.
        """
        w_max = self._mapping.next_range(self.w_max, target)
        moved = None if w_max is self.w_max else w_max != self.w_max
        self.w_max, self.target = w_max, torch.minimum(torch.maximum(target, -w_max), w_max)
        plus, minus = (cells.write(target, xi, now, moved) for cells, target, xi in self._sides(numbers))
        self.device_writes += (plus | minus).sum(dim=(1, 2))
        self._settle(now)

    def _sides(self, numbers: Tensor | None) -> list[tuple[Cells, Tensor, Tensor | None]]:
        """Both devices of the pairs, each with its target and its numbers."""
        d = self._device
        targets = to_conductances(self.target, self.w_max, d.g_min, d.g_max)
        xi = (None, None) if numbers is None else numbers.unbind(2)
        return list(zip((self.plus, self.minus), targets, xi, strict=True))

    @property
    def input_limit(self) -> float | None:
        """Largest level that drives a row, or None where there is none."""
        dac = self._device.dac
        return None if dac is None or dac.scaling == "per_vector" else dac.range

    @property
    def output_limit(self) -> float | None:
        """Largest digitised result, or None where there is none, or where several tiles add up to it."""
        d, rows = self._device, self.weights.shape[2]
        several = len(self._geometry.blocks(rows)) > 1
        per_vector = d.dac is not None and d.dac.scaling == "per_vector"
        return None if d.adc is None or several or per_vector else d.adc.range

    def saturated(self) -> Tensor:
        """Share of weights that rest at the end of the range, (C,)."""
        return (self.target.abs() >= self.w_max).to(self.target.dtype).mean(dim=(1, 2))

    def state_dict(self) -> dict[str, Any]:
        """What the devices hold, for a checkpoint; the tensors are live."""
        state: dict[str, Any] = {name: getattr(self, name) for name in _STATE}
        return {**state, "plus": self.plus.state_dict(), "minus": self.minus.state_dict(), "now": self._now}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, on a crossbar that has been programmed."""
        for name in _STATE:
            setattr(self, name, state[name].to(self.target.device, copy=True))
        self.plus.load_state_dict(state["plus"])
        self.minus.load_state_dict(state["minus"])
        self._settle(state["now"])

    def settle(self, now: float) -> None:
        """Let time pass until `now`, seconds: nothing to do unless devices age and time has passed."""
        if self._device.ages and now != self._now:
            self._settle(now)

    def _settle(self, now: float) -> None:
        """Recompute what reads use and only writes and time change."""
        d, self._now = self._device, now
        self.plus.settle(now)
        self.minus.settle(now)
        self.weights = to_weights(self.plus.conductance, self.minus.conductance, self.w_max, d.g_min, d.g_max)
        self._variance = self._weight_variance() if self._sampling == "column" else None

    def _weight_variance(self) -> Tensor | None:
        """Variance of one read of a pair in weight units: (C, out, rows), or with ones where it is uniform."""
        d, total = self._device, None
        for noise in d.read_noise:
            variance = 2 * noise.variance(self.plus.drifted) if noise.uniform else None
            if variance is None:
                variance = self._variance_of(noise, self.plus) + self._variance_of(noise, self.minus)
            total = variance if total is None else total + variance
        return None if total is None else total * (self.w_max / (d.g_max - d.g_min)).square()

    @staticmethod
    def _variance_of(noise: ReadNoise, cells: Cells) -> Tensor:
        return noise.variance(cells.drifted, cells.programmed)

    def read(
        self, x: Tensor, draws: Draws, analog_injection: Tensor | None = None, now: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Forward product.

        Args:
            x: (C, S or 1, P or 1, B, rows); a 1 says that all samples, or passes, share the vectors.
            draws: noise for S samples and P passes.
            analog_injection: (C, S, P, B, out), added to the column currents before the ADC.
            now: seconds.

        Returns:
            The levels that drove the rows, shaped as x; the digitised result (C, S or 1, P or 1, B, out), where a 1
            says that all samples, or passes, give the same, bit for bit.
        """
        self.settle(now)
        dac = self._device.dac
        levels, gain = (x, None) if dac is None else dac.encode(x)
        return levels, self._product(levels, gain, self.weights, self._variance, draws, analog_injection)

    def read_transposed(self, vector: Tensor, inputs: int, draws: Draws, now: float = 0.0) -> Tensor:
        """Backward product W^T v through the same devices: columns driven, rows read; the bias row is not read.

        Each vector is scaled to full scale, with a DAC or without: errors are far smaller than activations.

        Args:
            vector: (C, S or 1, P or 1, B, out).
            inputs: number of rows to read.
            draws: noise for S samples and P passes.
            now: seconds.

        Returns:
            (C, S or 1, P or 1, B, inputs).
        """
        self.settle(now)
        d, weights, variance = self._device, self.weights, self._variance
        if self.w_max.shape[1] > 1:  # per column: the scale of each column is applied before its DAC
            largest = self.w_max.amax(dim=1, keepdim=True)
            scale = self.w_max / largest
            vector = vector * scale.transpose(1, 2)[:, None, None]
            weights = weights / scale
            variance = None if variance is None else variance / scale.square()
        levels, gain = vector, vector_gain(vector, d.full_scale)
        if d.dac is not None:
            levels, gain = d.dac.encode(vector, per_vector=True)
        weights = weights[:, :, :inputs]
        if variance is not None and variance.shape[2] > 1:
            variance = variance[:, :, :inputs]
        turned = None if variance is None else variance.transpose(1, 2)
        return self._product(levels, gain, weights.transpose(1, 2), turned, draws, None, transposed=True)

    def _product(
        self,
        x: Tensor,
        gain: Tensor | None,
        weights: Tensor,
        variance: Tensor | None,
        draws: Draws,
        injection: Tensor | None,
        transposed: bool = False,
    ) -> Tensor:
        """DAC levels -> digital sums. weights: (C, columns, lines); the rest as in `read`."""
        d, columns, rows = self._device, weights.shape[1], self._geometry.blocks(weights.shape[2])
        # Without an ADC the partial sums are added unrounded, so one block stands for all of them.
        blocks, tiles = ([slice(None)], len(rows)) if d.adc is None else (rows, 1)
        noisy = draws.any and (bool(d.read_noise) or d.column_noise is not None)
        column_sd = self._column_sd(gain, tiles, transposed) if noisy else None
        numbers = None
        if noisy and self._sampling == "column":
            numbers = draws.normal(len(blocks), (x.shape[3], columns), x.dtype)
        total: Tensor | None = None
        for index, block in enumerate(blocks):
            lines = x[..., block]
            y = _batched(lines, weights[:, :, block])
            if numbers is not None:
                sd = _column_variance(lines, variance, block, column_sd).sqrt_()
                y = y + draws.spread(draws.pick(sd) * numbers[:, :, :, index])
            elif noisy:
                noise = self._device_by_device(draws.pick(lines), block, columns, draws, transposed)
                if column_sd is not None:
                    noise += draws.pick(column_sd) * draws.normal(1, (x.shape[3], columns), x.dtype)[:, :, :, 0]
                y = y + draws.spread(noise)
            if injection is not None and index == 0:
                y = y + injection
            if d.adc is not None:
                y = d.adc.decode(y, gain)
            total = y if total is None else total + y
        assert total is not None
        return total

    def _column_sd(self, gain: Tensor | None, tiles: int, transposed: bool) -> Tensor | None:
        """Column noise in units of the pre-activations, broadcastable to (C, S, P, B, columns)."""
        d = self._device
        if d.column_noise is None:
            return None
        on_current = d.full_scale * d.g_max / (d.g_max - d.g_min)  # of a device at G_max, for w_max = 1
        sd = d.column_noise * (on_current * tiles**0.5) * self.w_max
        sd = (sd.amax(dim=1, keepdim=True) if transposed else sd.transpose(1, 2))[:, None, None]
        return sd if gain is None else sd * gain

    def _device_by_device(self, x: Tensor, block: slice, columns: int, draws: Draws, transposed: bool) -> Tensor:
        """Noise of a block's column currents from one random number per device and vector: slow, the proof.

        Args:
            x: DAC levels of the noisy passes (C, S or 1, P or 1, B, lines of the block).

        Returns:
            (C, S, noisy passes, B, columns).
        """
        d, batch, passes = self._device, x.shape[3], sum(draws.noisy)
        x = x.expand(x.shape[0], draws.samples, passes, batch, x.shape[4])
        noise = x.new_zeros((x.shape[0], draws.samples, passes, batch, columns))
        w_max = self.w_max.amax(dim=1, keepdim=True) if transposed else self.w_max
        variances = [
            sum(self._variance_of(noise, cells) for noise in d.read_noise) for cells in (self.plus, self.minus)
        ]
        pairs = torch.stack([torch.as_tensor(v).sqrt() * w_max for v in variances], 1) / (d.g_max - d.g_min)
        pairs = pairs.expand(-1, 2, *self.weights.shape[1:])
        pairs = pairs[:, :, block, :columns].transpose(2, 3) if transposed else pairs[:, :, :, block]
        for chip, generator in enumerate(draws.streams.generators(draws.purpose, draws.layer)):
            vectors, out, pair = x[chip].flatten(0, 2), noise[chip].flatten(0, 2), pairs[chip]
            step = max(1, _DEVICE_NUMBERS // pair.numel())
            for start in range(0, len(vectors), step):
                some = vectors[start : start + step]
                numbers = torch.empty((len(some), *pair.shape), dtype=x.dtype, device=x.device)
                numbers.normal_(generator=generator).mul_(pair)
                out[start : start + step] = torch.einsum("vr,vcr->vc", some, numbers[:, 0] - numbers[:, 1])
        return noise


def _column_variance(x: Tensor, variance: Tensor | None, block: slice, column_sd: Tensor | None) -> Tensor:
    """Variance of a block's column currents, broadcastable to (C, S or 1, P or 1, B, columns).

    Voltage inputs and white noise that is independent between devices: sum_i x_i^2 Var(w_ij).
    """
    result: Tensor | None = None
    if variance is not None and variance.shape[2] == 1:
        result = x.square().sum(dim=-1, keepdim=True) * variance.transpose(1, 2)[:, None, None]
    elif variance is not None:
        result = _batched(x.square(), variance[:, :, block])
    if column_sd is not None:
        result = column_sd.square() if result is None else result + column_sd.square()
    assert result is not None
    return result


def _batched(x: Tensor, weights: Tensor) -> Tensor:
    """x (C, S, P, B, lines) times weights (C, columns, lines) transposed -> (C, S, P, B, columns)."""
    return torch.bmm(x.flatten(1, 3), weights.transpose(1, 2)).unflatten(1, x.shape[1:4])
