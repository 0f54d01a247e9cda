"""Crossbar: one layer's weights on tiles of device pairs, and how they are read.

One read: DAC -> tiles -> column noise -> ADC of each tile -> digital sum over the row-blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from analogsim.chip.compensation import Compensation, reference_vectors
from analogsim.chip.draws import Draws
from analogsim.chip.mapping import Mapping, to_conductances
from analogsim.chip.pair import Pair
from analogsim.chip.product import Operand, Reader
from analogsim.chip.pulses import Uniform, pulse_counts, weight_per_step, worn_out_pairs
from analogsim.port import LayerPulses
from analogsim.randomness import Purpose
from device_models import Cells, Device, vector_gain

Sampling = Literal["column", "device"]

_STATE = ("w_max", "target", "device_writes", "pulses")
"""Attributes that a checkpoint holds beside the devices' own state; what follows from these alone is recomputed."""

Normal = Callable[[int], Tensor]
"""Standard normal numbers for every device: count -> (C, count, 2, out, rows)."""


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
        pair: the devices.
        compensation: of their drift.
        device_writes: number of device pairs of which one or both were written since the first programming, (C,),
            int64.
        pulses: given to pairs by incremental writes, (C,), int64.
    """

    def __init__(
        self, device: Device, geometry: Geometry, mapping: Mapping, sampling: Sampling, wander: Normal | None = None
    ) -> None:
        self._device = device
        self._geometry = geometry
        self._mapping = mapping
        self._by_column = sampling == "column"
        self._wander = wander
        self.pair = Pair(device, geometry.blocks)
        self.compensation = Compensation()
        self._now = 0.0

    @property
    def weights(self) -> Tensor:
        """What the pairs stand for at the time of the last read or write, read noise aside, (C, out, rows)."""
        return self.pair.weights

    @property
    def numbers(self) -> int:
        """Random numbers that the write of a device takes."""
        return self._device.numbers

    @property
    def fabricated(self) -> int:
        """Random numbers that a device takes at fabrication."""
        return self._device.fabricated

    def program(
        self,
        weights: Tensor,
        numbers: Tensor | None = None,
        now: float = 0.0,
        fabrication: Tensor | None = None,
        faults: Tensor | None = None,
    ) -> None:
        """Fix the range by initial weights and write them.

        Args:
            weights: (C, out, rows).
            numbers: standard normal, (C, `self.numbers`, 2, out, rows); None where that is 0.
            now: seconds.
            fabrication: standard normal, (C, `self.fabricated`, 2, out, rows); None where that is 0.
            faults: standard normal, (C, `Pair.fault_numbers`); None where that is 0.
        """
        self.pair.fabricate(faults, *weights.shape[1:])
        self.w_max = self._mapping.initial_range(weights)
        self.target = weights.clone()
        self.compensation = Compensation()
        self.device_writes = torch.zeros(weights.shape[0], dtype=torch.int64, device=weights.device)
        self.pulses = torch.zeros_like(self.device_writes)
        self._activity: Tensor | None = None
        made = (None, None) if fabrication is None else fabrication.unbind(2)
        for (cells, target, xi), own in zip(self._sides(numbers), made, strict=True):
            cells.program(target, xi, now, own)
        self._settle(now)

    def write(self, target: Tensor, numbers: Tensor | None = None, now: float = 0.0) -> None:
        """Absolute write: program every device whose target changed towards it, clipped to the range.

        A change of range writes all devices that it concerns.

        Args:
            target: weights (C, out, rows).
            numbers, now: see `program`.
        """
        self.settle(now)
        w_max = self._mapping.next_range(self.w_max, target)
        moved = None if w_max is self.w_max else w_max != self.w_max
        self.w_max, self.target = w_max, torch.minimum(torch.maximum(target, -w_max), w_max)
        plus, minus = (cells.write(target, xi, now, moved) for cells, target, xi in self._sides(numbers))
        self.device_writes += (plus | minus).sum(dim=(1, 2))
        self._settle(now)

    @property
    def pulse_numbers(self) -> int:
        """Random numbers that an incremental write of a device takes."""
        return self.pair.plus.pulse_numbers

    def pulse(
        self, write: LayerPulses, uniform: Uniform, normal: Normal, now: float = 0.0, programming: Normal | None = None
    ) -> None:
        """Incremental write: move the devices by pulses.

        A pair steps up only: pulses that raise a weight go to G+, those that lower it to G-; where both have grown, the
        pair is programmed anew, with `Device.numbers` more random numbers for each device. One device against a
        reference steps both ways.

        Args:
            write: what is wanted.
            uniform, normal: random numbers.
            now: seconds.
            programming: those of absolute writes.
        """
        d = self._device
        step = self.weight_per_step
        if step is None:
            raise ValueError("these devices take no pulses: their profile has no `update`")
        self.settle(now)
        raising, lowering = pulse_counts(write, step, d, uniform)
        numbers = normal(self.pulse_numbers) if self.pulse_numbers else None
        plus, minus = (None, None) if numbers is None else numbers.unbind(2)
        nothing = torch.zeros_like(raising)
        if d.cell == "pair":
            written = self.pair.plus.pulse(raising, nothing, plus, now)
            written = written | self.pair.minus.pulse(lowering, nothing, minus, now)
        else:
            written = self.pair.plus.pulse(raising, lowering, plus, now)
        self._settle(now)
        if d.cell == "pair":
            written = written | self._refresh(normal if programming is None else programming, now)
        self.device_writes += written.sum(dim=(1, 2))
        self.pulses += (raising + lowering).sum(dim=(1, 2), dtype=torch.float64).to(torch.int64)

    def _refresh(self, normal: Normal, now: float) -> Tensor:
        """Program pairs anew whose devices have both grown; their difference stays. Which, (C, out, rows)."""
        d = self._device
        worn = worn_out_pairs(self.pair.plus.drifted, self.pair.minus.drifted, d)
        difference = self.pair.plus.drifted - self.pair.minus.drifted
        numbers = normal(d.numbers) if d.numbers else None
        xi = (None, None) if numbers is None else numbers.unbind(2)
        for cells, sign, own in zip(self.pair.sides, (1, -1), xi, strict=True):
            target = (sign * difference).clamp(min=0).add_(d.g_min).clamp_(max=d.g_max)
            cells.write(torch.where(worn, target, cells.target), own, now)
        self._settle(now)
        return worn

    @property
    def weight_per_step(self) -> Tensor | None:
        """Mean change of a weight by one pulse, (C, 1, 1) or (C, out, 1), or None."""
        return weight_per_step(self._device, self.w_max)

    def _expose(self, levels: Tensor, gain: Tensor | None, draws: Draws) -> None:
        """Remember what a read does to the devices, for what comes next."""
        share = levels.abs() if gain is None else (levels / gain).abs()
        reads = draws.samples * len(draws.noisy) / (levels.shape[1] * levels.shape[2])
        activity = share.sum(dim=(1, 2, 3)).mul_(reads / self._device.full_scale)
        self._activity = activity if self._activity is None else self._activity + activity

    def _disturb(self) -> None:
        if self._activity is not None:
            for cells in self.pair.sides:
                cells.expose(self._activity)
            self._activity = None

    def _sides(self, numbers: Tensor | None) -> list[tuple[Cells, Tensor, Tensor | None]]:
        """Both devices of the pairs, each with its target and its numbers."""
        d = self._device
        targets = to_conductances(self.target, self.w_max, d.g_min, d.g_max, d.cell)
        xi = (None, None) if numbers is None else numbers.unbind(2)
        return list(zip(self.pair.sides, targets, xi, strict=True))

    @property
    def input_limit(self) -> float | None:
        """Largest level that drives a row, or None where there is none."""
        dac = self._device.dac
        return None if dac is None or dac.scaling == "per_vector" else dac.range

    @property
    def output_limit(self) -> float | Tensor | None:
        """Largest digitised result, (C,) where it is compensated.

        None where there is none, or where several tiles add up to it.
        """
        d, rows = self._device, self.weights.shape[2]
        several = len(self._geometry.blocks(rows)) > 1
        per_vector = d.dac is not None and d.dac.scaling == "per_vector"
        if d.adc is None or several or per_vector:
            return None
        factor = self.compensation.factor
        return d.adc.range if factor is None else d.adc.range * factor

    def saturated(self) -> Tensor:
        """Share of weights that rest at the end of the range, (C,)."""
        return (self.target.abs() >= self.w_max).to(self.target.dtype).mean(dim=(1, 2))

    def state_dict(self) -> dict[str, Any]:
        """What the devices hold, for a checkpoint; the tensors are live."""
        state: dict[str, Any] = {name: getattr(self, name) for name in _STATE}
        return {
            **state,
            "pair": self.pair.state_dict(),
            "now": self._now,
            "activity": self._activity,
            "compensation": self.compensation.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, on a crossbar that has been programmed."""
        for name in _STATE:
            setattr(self, name, state[name].to(self.target.device, copy=True))
        self.pair.load_state_dict(state["pair"])
        activity = state["activity"]
        self._activity = None if activity is None else activity.to(self.target.device, copy=True)
        self.compensation.load_state_dict(state["compensation"], self.target.device)
        self._settle(state["now"], wander=False)

    def settle(self, now: float) -> None:
        """Let time pass until `now`, seconds: nothing to do unless devices age, or reads have disturbed them."""
        if self._activity is not None or (self._device.ages and now != self._now):
            self._settle(now)

    def _settle(self, now: float, wander: bool = True) -> None:
        """Recompute what reads use and only writes and time change."""
        count = self.pair.plus.moving(now) if wander and self._wander is not None else 0
        numbers = self._wander(count) if self._wander is not None and count else None
        self._now = now
        self._disturb()
        self.pair.settle(now, numbers, self.w_max)

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
        driven = self._driven(levels, gain)
        if self._device.read_disturb is not None and draws.purpose is Purpose.READ:
            self._expose(levels, gain, draws)
        operand = Operand.forward(self.pair, self._by_column)
        sd = self._column_sd(gain, self.w_max.transpose(1, 2))
        y = self._reader(self.weights.shape[2]).read(driven, gain, operand, draws, sd, analog_injection)
        return levels, self.compensation.apply(y)

    def reference_level(self, draws: Draws, now: float) -> Tensor:
        """Sum of the absolute outputs under the reference vectors, without compensation, (C,)."""
        d = self._device
        bound = None if d.adc is None else d.adc.range
        x = reference_vectors(self.target, d.full_scale, bound)[:, None, None]
        compensation, self.compensation = self.compensation, Compensation()
        _, y = self.read(x, draws, None, now)
        self.compensation = compensation
        return y.abs().sum(dim=(1, 2, 3, 4))

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
        d, scale, largest = self._device, None, self.w_max
        if self.w_max.shape[1] > 1:  # per column: the scale of each column is applied before its DAC
            largest = self.w_max.amax(dim=1, keepdim=True)
            scale = self.w_max / largest
            vector = vector * scale.transpose(1, 2)[:, None, None]
        levels, gain = vector, vector_gain(vector, d.full_scale)
        if d.dac is not None:
            levels, gain = d.dac.encode(vector, per_vector=True)
        operand = Operand.backward(self.pair, self._by_column, inputs, scale)
        reader = self._reader(self.weights.shape[1])
        y = reader.read(self._driven(levels, gain), gain, operand, draws, self._column_sd(gain, largest))
        return self.compensation.apply(y)

    def _driven(self, levels: Tensor, gain: Tensor | None) -> Tensor:
        """The levels that ohmic devices would need for the same currents."""
        if self._device.conduction is None:
            return levels
        full_scale = self._device.full_scale
        if gain is None:
            return self._device.conduction.current(levels, full_scale)
        return self._device.conduction.current(levels / gain, full_scale) * gain

    def _reader(self, lines: int) -> Reader:
        return Reader(self._device, self._geometry.blocks(lines), self._by_column)

    def _column_sd(self, gain: Tensor | None, w_max: Tensor) -> Tensor | None:
        """Noise of one tile's columns in units of the pre-activations, broadcastable to (C, S, P, B, columns)."""
        d = self._device
        if d.column_noise is None:
            return None
        on_current = d.full_scale * d.g_max / (d.g_max - d.g_min)  # of a device at G_max, for w_max = 1
        sd = (d.column_noise * on_current * w_max)[:, None, None]
        return sd if gain is None else sd * gain
