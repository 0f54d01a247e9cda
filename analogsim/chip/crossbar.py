"""Crossbar: one layer's weights on tiles of device pairs, and how they are read.

One product: DAC -> tiles -> column noise -> ADC of each tile -> digital sum over reads, slices and row-blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from analogsim.chip.bank import Bank
from analogsim.chip.compensation import Compensation, reference_vectors
from analogsim.chip.draws import Draws
from analogsim.chip.mapping import Mapping, to_conductances
from analogsim.chip.operand import Operand
from analogsim.chip.pair import Pair
from analogsim.chip.product import Current, Reader
from analogsim.chip.pulses import Uniform, pulse_counts, weight_per_step, worn_out_pairs
from analogsim.port import LayerPulses
from analogsim.randomness import Purpose
from device_models import Cells, Device, vector_gain

Sampling = Literal["column", "device"]

_STATE = ("w_max", "target", "device_writes", "pulses")
"""Attributes that a checkpoint holds beside the devices' own state; what follows from these alone is recomputed."""

Normal = Callable[[int], Tensor]
"""Standard normal numbers for every device: count -> (C, count, 2, out, rows)."""

Shaped = Callable[[tuple[int, ...]], Tensor]
"""Standard normal numbers: shape -> (C, *shape)."""


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
        pairs: the devices, by slice, the most significant first.
        compensation: of their drift.
        device_writes: number of device pairs of which one or both were written since the first programming, (C,),
            int64.
        pulses: given to pairs by incremental writes, (C,), int64.
    """

    def __init__(
        self,
        device: Device,
        geometry: Geometry,
        mapping: Mapping,
        sampling: Sampling,
        wander: Normal | None = None,
        converters: Shaped | None = None,
    ) -> None:
        self._device = device
        self._geometry = geometry
        self._mapping = mapping
        self._by_column = sampling == "column"
        self._wander = wander
        self._converters = converters
        self._shares = (1.0,) if device.slices is None else device.slices.shares
        self.pairs = [Pair(device, geometry.blocks) for _ in self._shares]
        self._banks = None if device.adc is None else (Bank(device.adc), Bank(device.adc))  # of either direction
        self._forward: list[Operand] | None = None
        self.compensation = Compensation()
        self._now = 0.0

    @property
    def pair(self) -> Pair:
        """The devices, or those of the most significant slice."""
        return self.pairs[0]

    @property
    def weights(self) -> Tensor:
        """What the pairs stand for at the time of the last read or write, read noise aside, (C, out, rows)."""
        first, *rest = self.pairs
        if not rest:
            return first.weights
        held = zip(rest, self._shares[1:], strict=True)
        return sum((pair.weights * share for pair, share in held), first.weights * self._shares[0])

    @property
    def numbers(self) -> int:
        """Random numbers that the write of a device takes, over all slices."""
        return self._device.numbers * len(self.pairs)

    @property
    def fabricated(self) -> int:
        """Random numbers that a device takes at fabrication, over all slices."""
        return self._device.fabricated * len(self.pairs)

    def fault_numbers(self, out: int, rows: int) -> int:
        """Random numbers that decide on the faults of a layer, for each chip."""
        return self.pair.fault_numbers(out, rows) * len(self.pairs)

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
            faults: standard normal, (C, `fault_numbers`); None where that is 0.
        """
        for pair, numbers_of_faults in zip(self.pairs, self._by_slice(faults), strict=True):
            pair.fabricate(numbers_of_faults, *weights.shape[1:])
        self.w_max = self._mapping.initial_range(weights)
        self.target = weights.clone()
        self.compensation = Compensation()
        self.device_writes = torch.zeros(weights.shape[0], dtype=torch.int64, device=weights.device)
        self.pulses = torch.zeros_like(self.device_writes)
        self._activity: Tensor | None = None
        for sides, made in zip(self._sides(numbers), self._by_slice(fabrication), strict=True):
            both = (None, None) if made is None else made.unbind(2)
            for (cells, target, xi), own in zip(sides, both, strict=True):
                cells.program(target, xi, now, own)
        self._fabricate_converters(*weights.shape[1:])
        self._settle(now)

    def _by_slice(self, numbers: Tensor | None) -> Sequence[Tensor | None]:
        """Random numbers (C, slices x count, ...) of each slice."""
        return [None] * len(self.pairs) if numbers is None else numbers.chunk(len(self.pairs), dim=1)

    def _fabricate_converters(self, out: int, rows: int) -> None:
        """New ADCs: of the columns, and of the rows for backward reads."""
        for bank, lines, columns in zip(self._banks or (), (rows, out), (out, rows), strict=False):
            bank.bounds = None
            if bank.adc.fabricated and self._converters is not None:
                places = len(self.pairs), len(self._geometry.blocks(lines)), columns
                bank.errors = bank.adc.fabricate(self._converters((bank.adc.fabricated, *places)))

    def write(self, target: Tensor, numbers: Tensor | None = None, now: float = 0.0) -> None:
        """Absolute write: program every device whose target changed towards it, clipped to the range.

        A change of range writes all devices that it concerns.

        Args:
            target: weights (C, out, rows).
            numbers, now: see `program`.
        """
        self.disturb()
        self.settle(now)
        w_max = self._mapping.next_range(self.w_max, target)
        moved = None if w_max is self.w_max else w_max != self.w_max
        self.w_max, self.target = w_max, torch.minimum(torch.maximum(target, -w_max), w_max)
        fixed = self._device.cell == "reference"  # a reference stands for no weight: no range moves it
        for (plus, target, xi), (minus, rest, own) in self._sides(numbers):
            written = plus.write(target, xi, now, moved) | minus.write(rest, own, now, None if fixed else moved)
            self.device_writes += written.sum(dim=(1, 2))
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
        if self._mapping.range == "follow":
            raise ValueError("pulses need a fixed range: with `mapping.range: follow` there is no range to step in")
        self.disturb()
        self.settle(now)
        raising, lowering, lines = pulse_counts(write, step, d, uniform)
        numbers = normal(self.pulse_numbers) if self.pulse_numbers else None
        plus, minus = (None, None) if numbers is None else numbers.unbind(2)
        nothing = torch.zeros_like(raising)
        if d.cell == "pair":
            written = self.pair.plus.pulse(raising, nothing, plus, now, lines)
            written = written | self.pair.minus.pulse(lowering, nothing, minus, now, lines)
        else:
            written = self.pair.plus.pulse(raising, lowering, plus, now, lines)
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
        written = torch.zeros_like(worn)
        for cells, sign, own in zip(self.pair.sides, (1, -1), xi, strict=True):
            target = (sign * difference).clamp(min=0).add_(d.g_min).clamp_(max=d.g_max)
            written |= cells.write(torch.where(worn, target, cells.target), own, now)
        self._settle(now)
        return written

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
            for cells in (cells for pair in self.pairs for cells in pair.sides):
                cells.expose(self._activity)
            self._activity = None

    def _sides(self, numbers: Tensor | None) -> Iterator[list[tuple[Cells, Tensor, Tensor | None]]]:
        """Both devices of the pairs of each slice, each with its target and its numbers."""
        d = self._device
        held = [self.target] if d.slices is None else d.slices.digits(self.target, self.w_max)
        for pair, target, own in zip(self.pairs, held, self._by_slice(numbers), strict=True):
            targets = to_conductances(target, self.w_max, d.g_min, d.g_max, d.cell)
            xi = (None, None) if own is None else own.unbind(2)
            yield list(zip(pair.sides, targets, xi, strict=True))

    @property
    def input_limit(self) -> float | None:
        """Largest level that drives a row, or None where there is none."""
        dac = self._device.dac
        return None if dac is None or dac.scaling == "per_vector" else dac.range

    @property
    def output_limit(self) -> float | Tensor | None:
        """Largest digitised result; (C,) where it is compensated or calibrated; None: there is none, or none for all.

        That is where several conversions add up to a result (tiles, phases, bits, slices), where vectors are scaled,
        where each column has a range or a digital correction of its own, and where units add noise afterwards.
        """
        d = self._device
        if d.adc is None or d.adc.corrected or d.unit_noise is not None:
            return None
        conversions = len(self._geometry.blocks(self.target.shape[2])) * len(self.pairs)
        if d.dac is not None:
            conversions *= d.dac.reads
        per_vector = d.dac is not None and d.dac.scaling == "per_vector"
        bound: float | Tensor | None = d.adc.bound
        if d.adc.calibration is not None and d.adc.calibration.per == "layer" and self._banks is not None:
            bound = None if self._banks[0].bounds is None else self._banks[0].bounds.flatten()
        if conversions > 1 or per_vector or bound is None:
            return None
        factor = self.compensation.factor
        return bound if factor is None else bound * factor

    def saturated(self) -> Tensor:
        """Share of weights that rest at the end of the range, (C,): of the targets, or of what pulses have made."""
        held = self.target if self._device.update is None else self.weights * (1 + 1e-6)
        return (held.abs() >= self.w_max).to(held.dtype).mean(dim=(1, 2))

    def state_dict(self) -> dict[str, Any]:
        """What the devices hold, for a checkpoint; the tensors are live."""
        state: dict[str, Any] = {name: getattr(self, name) for name in _STATE}
        banks = [bank.state_dict() for bank in self._banks or ()]
        return {
            **state,
            "pairs": [pair.state_dict() for pair in self.pairs],
            "banks": banks,
            "now": self._now,
            "activity": self._activity,
            "compensation": self.compensation.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, on a crossbar that has been programmed."""
        for name in _STATE:
            setattr(self, name, state[name].to(self.target.device, copy=True))
        for pair, saved in zip(self.pairs, state["pairs"], strict=True):
            pair.load_state_dict(saved)
        for bank, saved in zip(self._banks or (), state["banks"], strict=True):
            bank.load_state_dict(saved, self.target)
        self._activity, activity = None, state["activity"]
        self.compensation.load_state_dict(state["compensation"], self.target.device)
        self._settle(state["now"], wander=False)
        self._activity = None if activity is None else activity.to(self.target.device, copy=True)

    def settle(self, now: float) -> None:
        """Let time pass until `now`, seconds: nothing to do unless devices age and time has passed."""
        if self._device.ages and now != self._now:
            self._settle(now)

    def disturb(self) -> None:
        """Let the devices have what the reads so far have done to them."""
        if self._activity is not None:
            self._settle(self._now)

    def _settle(self, now: float, wander: bool = True) -> None:
        """Recompute what reads use and only writes and time change."""
        counts = [pair.plus.moving(now) for pair in self.pairs] if wander and self._wander is not None else []
        drawn = self._wander(sum(counts)) if self._wander is not None and sum(counts) else None
        each = [None] * len(self.pairs) if drawn is None else drawn.split(counts, dim=1)
        self._now, self._forward = now, None
        self._disturb()
        for pair, numbers in zip(self.pairs, each, strict=True):
            pair.settle(now, numbers, self.w_max)

    def read(
        self, x: Tensor, draws: Draws, analog_injection: Tensor | None = None, now: float = 0.0, calibrate: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Forward product.

        Args:
            x: (C, S or 1, P or 1, B, rows); a 1 says that all samples, or passes, share the vectors.
            draws: noise for S samples and P passes.
            analog_injection: (C, S, P, B, out), added to the column currents before the ADC, as large as the result
                is to show it.
            now: seconds.
            calibrate: set the ranges of the ADCs by this read's currents, where they are calibrated.

        Returns:
            The levels that drove the rows, shaped as x; the digitised result (C, S or 1, P or 1, B, out), where a 1
            says that all samples, or passes, give the same, bit for bit.
        """
        self.settle(now)
        dac = self._device.dac
        levels, gain = (x, None) if dac is None else dac.encode(x)
        if self._device.read_disturb is not None and draws.purpose is Purpose.READ:
            self._expose(levels, gain, draws)
        if self._forward is None:
            self._forward = self._merged(
                [
                    Operand.forward(pair, self._by_column, share)
                    for pair, share in zip(self.pairs, self._shares, strict=True)
                ]
            )
        w_max = self.w_max.transpose(1, 2)
        injected = None if analog_injection is None else self.compensation.undo(analog_injection)
        y = self._read(levels, gain, self._forward, draws, w_max, injected, calibrate)
        return levels, self.compensation.apply(y)

    def reference_level(self, draws: Draws, now: float) -> Tensor:
        """Sum of the absolute outputs under the reference vectors, without compensation, (C,)."""
        d = self._device
        bound = None if self._banks is None else self._banks[0].smallest_bound
        x = reference_vectors(self.target, d.full_scale, bound)[:, None, None]
        compensation, self.compensation = self.compensation, Compensation()
        _, y = self.read(x, draws, None, now)
        self.compensation = compensation
        return y.abs().sum(dim=(1, 2, 3, 4))

    def read_transposed(
        self, vector: Tensor, inputs: int, draws: Draws, now: float = 0.0, calibrate: bool = False
    ) -> Tensor:
        """Backward product W^T v through the same devices: columns driven, rows read; the bias row is not read.

        Each vector is scaled to full scale, with a DAC or without: errors are far smaller than activations. DACs and
        ADCs are of the same kind as those of forward reads; the ADCs are the rows' own.

        Args:
            vector: (C, S or 1, P or 1, B, out).
            inputs: number of rows to read.
            draws: noise for S samples and P passes.
            now: seconds.
            calibrate: see `read`.

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
        operands = self._merged(
            [
                Operand.backward(pair, self._by_column, inputs, scale, share)
                for pair, share in zip(self.pairs, self._shares, strict=True)
            ]
        )
        y = self._read(levels, gain, operands, draws, largest, calibrate=calibrate)
        return self.compensation.apply(y)

    def _merged(self, operands: list[Operand]) -> list[Operand]:
        """Slices as one where no ADC comes between them and their sum."""
        return [Operand.together(operands)] if self._banks is None and self._by_column else operands

    def _read(
        self,
        levels: Tensor,
        gain: Tensor | None,
        operands: list[Operand],
        draws: Draws,
        w_max: Tensor,
        injection: Tensor | None = None,
        calibrate: bool = False,
    ) -> Tensor:
        d, backward = self._device, operands[0].transposed
        bank = None if self._banks is None else self._banks[backward]
        blocks = self._geometry.blocks(levels.shape[4])
        reader = Reader(d, d.dac, bank, blocks, self._by_column)
        driven, sd = self._driven(levels, gain), self._column_sd(gain, w_max)
        currents = reader.currents(driven, gain, operands, draws, sd, injection)
        if calibrate and bank is not None and bank.adc.calibration is not None:
            currents = list(currents)
            bank.calibrate(_by_place(currents, gain, len(operands), len(blocks)))
        return reader.convert(currents, gain)

    def _driven(self, levels: Tensor, gain: Tensor | None) -> Tensor:
        """The levels that ohmic devices would need for the same currents."""
        d = self._device
        if d.conduction is None or (d.dac is not None and d.dac.encoding != "voltage"):
            return levels  # pulses all have one voltage
        if gain is None:
            return d.conduction.current(levels, d.full_scale)
        return d.conduction.current(levels / gain, d.full_scale) * gain

    def _column_sd(self, gain: Tensor | None, w_max: Tensor) -> Tensor | None:
        """Noise of one tile's columns in units of the pre-activations, broadcastable to (C, S, P, B, columns)."""
        d = self._device
        if d.column_noise is None:
            return None
        on_current = d.full_scale * d.g_max / d.span  # of a device at G_max, for w_max = 1
        sd = (d.column_noise * on_current * w_max)[:, None, None]
        return sd if gain is None else sd * gain


def _by_place(currents: Sequence[Current], gain: Tensor | None, slices: int, blocks: int) -> list[list[Tensor]]:
    """Currents of vectors at full scale, by slice and block (C, reads, columns)."""
    places: list[list[list[Tensor]]] = [[[] for _ in range(blocks)] for _ in range(slices)]
    for current in currents:
        value = current.value if gain is None else current.value / gain
        places[current.slice_][current.block].append(value.flatten(1, 3))
    return [[torch.cat(values, dim=1) for values in row] for row in places]
