"""Crossbar: one layer of a population of chips: its devices, its converters, and how they are read.

One product: DAC -> tiles -> column noise -> ADC of each tile -> digital sum over reads, slices and row-blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from analogsim.chip.array import Array
from analogsim.chip.bank import Bank, Banks, by_place
from analogsim.chip.coded import Coded, Codes, matrix_units
from analogsim.chip.compensation import Compensation, reference_vectors
from analogsim.chip.current import Current
from analogsim.chip.draws import Draws
from analogsim.chip.geometry import Geometry
from analogsim.chip.mapping import Mapping
from analogsim.chip.numbers import LayerNumbers
from analogsim.chip.operand import Operand
from analogsim.chip.product import Reader
from device_models import Device, vector_gain

Sampling = Literal["column", "device"]
Products = Literal["exact", "fast"]


class Crossbar:
    """One layer of a population of C chips.

    Attributes:
        array: the devices.
        compensation: of their drift.
    """

    def __init__(
        self,
        device: Device,
        geometry: Geometry,
        mapping: Mapping,
        sampling: Sampling,
        numbers: LayerNumbers,
        fast: bool = False,
        tolerance: float = 0.0,
        count_wear: bool = False,
    ) -> None:
        self._device, self._geometry, self._numbers = device, geometry, numbers
        self._by_column = sampling == "column"
        single = numbers.dtype == torch.float32 and numbers.device.type == "cpu"
        self._coded = fast and self._by_column and device.codes and single and matrix_units()
        self.array = Array(device, geometry.blocks, mapping, numbers, tolerance, count_wear)
        self._banks = Banks(device.adc, geometry.blocks)
        self._forward: tuple[int, list[Operand]] | None = None
        self._added: Tensor | None = None  # to the weights, by the perturbation path
        self.compensation = Compensation()

    def program(self, weights: Tensor, now: float = 0.0) -> None:
        """Fix the range by initial weights and write them, on new devices with new converters.

        Args:
            weights: (C, out, rows).
            now: seconds.
        """
        self.compensation = Compensation()
        self._banks.fabricate(self._numbers, len(self.array.pairs), *weights.shape[1:])
        self.array.program(weights, now)

    def become(self, device: Device, now: float | None = None) -> None:
        """Go on at another temperature; see `Cells.become`. Converters stay as they are."""
        self._device = device
        self.array.become(device, now)

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
        conversions = len(self._geometry.blocks(self.array.target.shape[2])) * len(self.array.pairs)
        if d.dac is not None:
            conversions *= d.dac.reads
        per_vector = d.dac is not None and d.dac.scaling == "per_vector"
        bound: float | Tensor | None = d.adc.bound
        bank = self._banks.of(backward=False)
        if d.adc.calibration is not None and d.adc.calibration.per == "layer" and bank is not None:
            bound = None if bank.bounds is None else bank.bounds.flatten()
        if conversions > 1 or per_vector or bound is None:
            return None
        factor = self.compensation.factor
        return bound if factor is None else bound * factor

    @property
    def views(self) -> tuple[object, ...]:
        """What reads multiply with, as far as it is held."""
        operands = () if self._forward is None else self._forward[1]
        held = [view for pair in self.array.pairs for view in pair.held_views]
        return tuple(held), [(each.weights, each.sources, each.coded) for each in operands]

    @property
    def currents(self) -> int:
        """Reads that make up a forward product: row-blocks, slices, phases and bits."""
        dac, rows = self._device.dac, self._numbers.rows
        if not self._banks.each and self._by_column:  # nothing rounds them: one stands for all
            return 1
        return len(self._geometry.blocks(rows)) * len(self.array.pairs) * (1 if dac is None else dac.reads)

    @property
    def remembered_parts(self) -> int:
        """Relaxations of read noise that are followed from pass to pass."""
        return sum(len(noise.passing) for noise in self._device.read_noise if noise.in_a_read)

    @property
    def banks(self) -> tuple[Bank, ...]:
        """ADCs of either direction."""
        return self._banks.each

    def state_dict(self) -> dict[str, Any]:
        """What devices, converters and compensation hold, for a checkpoint; the tensors are live."""
        parts = {"array": self.array, "banks": self._banks, "compensation": self.compensation}
        return {name: part.state_dict() for name, part in parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, on a crossbar that has been programmed."""
        self.array.load_state_dict(state["array"])
        self._banks.load_state_dict(state["banks"], self.array.target)
        self.compensation.load_state_dict(state["compensation"], self.array.target.device)

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
        levels, y = self.read_blocks([x], x.shape[3], draws, analog_injection, now, calibrate)
        return levels[0], y

    def read_blocks(
        self,
        blocks: Iterable[Tensor],
        vectors: int,
        draws: Draws,
        analog_injection: Tensor | None = None,
        now: float = 0.0,
        calibrate: bool = False,
        keep: bool = True,
    ) -> tuple[list[Tensor], Tensor]:
        """Forward product of vectors that come in blocks, with the random numbers of one read of all of them.

        Args:
            blocks: each (C, S or 1, P or 1, vectors of the block, rows).
            vectors: of all blocks together.
            draws, analog_injection, now, calibrate: as in `read`, of all vectors.
            keep: whether the levels are wanted.

        Returns:
            The levels of each block, or none; the result for all vectors.
        """
        self.array.settle(now)
        if not self._by_column:  # numbers are drawn vector by vector as they are used: one block
            each = list(blocks)
            blocks = each if len(each) == 1 else [torch.cat(each, dim=3)]
        reader = self._reader(False, self.array.target.shape[2])
        operands, injection = self._operands(), analog_injection
        injection = None if injection is None else self.compensation.undo(injection)
        numbers = reader.numbers(operands, draws, vectors)
        calibrate = calibrate and reader.bank is not None and reader.bank.adc.calibration is not None
        kept, results, waiting, start = [], [], [], 0
        for x in blocks:
            levels, gain, codes = self._encode(x, operands)
            self.array.expose(levels, gain, draws)
            lines = slice(start, start + x.shape[3])
            own = None if numbers is None else numbers.of(lines)
            added = None if injection is None else injection[:, :, :, lines]
            driven, sd = self._driven(levels, gain), self._column_sd(gain, self.array.w_max.transpose(1, 2))
            currents = reader.currents(driven, gain, operands, draws, sd, added, own, codes)
            if calibrate:
                waiting.append(([each.settled() for each in currents], gain))
            else:
                results.append(reader.convert(currents, gain))
            kept += [levels] if keep else []
            start = lines.stop
        if calibrate:
            self._calibrate(reader, waiting, len(operands))
            results = [reader.convert(currents, gain) for currents, gain in waiting]
        y = results[0] if len(results) == 1 else torch.cat(results, dim=3)
        return kept, self.compensation.apply(y)

    def round(self, x: Tensor) -> Tensor:
        """The levels that stand for single numbers x; x itself where there is no DAC, or vectors are scaled."""
        dac = self._device.dac
        return x if dac is None or dac.scaling == "per_vector" else dac.encode(x)[0]

    def reference_level(self, draws: Draws, now: float) -> Tensor:
        """Sum of the absolute outputs under the reference vectors, without compensation, (C,)."""
        d = self._device
        bank = self._banks.of(backward=False)
        bound = None if bank is None else bank.smallest_bound
        step = d.dac.step if d.dac is not None and d.dac.scaling == "fixed" else 0.0
        x = reference_vectors(self.array.target, d.full_scale, bound, step)[:, None, None]
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
        self.array.settle(now)
        d, scale, largest = self._device, None, self.array.w_max
        if self.array.w_max.shape[1] > 1:  # per column: the scale of each column is applied before its DAC
            largest = self.array.w_max.amax(dim=1, keepdim=True)
            scale = self.array.w_max / largest
            vector = vector * scale.transpose(1, 2)[:, None, None]
        levels, gain = vector, vector_gain(vector, d.full_scale)
        if d.dac is not None:
            levels, gain = d.dac.encode(vector, per_vector=True)
        slices = zip(self.array.pairs, self.array.shares, strict=True)
        operands = [Operand.backward(pair, self._by_column, inputs, scale, share) for pair, share in slices]
        operands, reader = self._merged(operands), self._reader(True, levels.shape[4])
        numbers = reader.numbers(operands, draws, levels.shape[3])
        driven, sd = self._driven(levels, gain), self._column_sd(gain, largest)
        currents = reader.currents(driven, gain, operands, draws, sd, None, numbers)
        if calibrate and reader.bank is not None and reader.bank.adc.calibration is not None:
            currents = [each.settled() for each in currents]
            self._calibrate(reader, [(currents, gain)], len(operands))
        return self.compensation.apply(reader.convert(currents, gain))

    def _operands(self) -> list[Operand]:
        """Of forward reads; the same until the devices change."""
        if self._forward is None or self._forward[0] != self.array.settled:
            slices = zip(self.array.pairs, self.array.shares, strict=True)
            operands = [Operand.forward(pair, self._by_column, share) for pair, share in slices]
            if self._coded:
                operands = [replace(each, coded=self._in_bytes(each)) for each in operands]
            self._forward = self.array.settled, self._merged(operands)
        if self._added is None:
            return self._forward[1]
        first, *rest = self._forward[1]
        return [replace(first, weights=first.weights + self._added / first.share, coded=None), *rest]

    def _in_bytes(self, operand: Operand) -> Coded:
        assert self._device.dac is not None
        told = [source.power == 2 and not source.uniform for source in operand.sources]
        variances = tuple(each.variance if by else None for each, by in zip(operand.sources, told, strict=True))
        tiles = self._reader(False, operand.weights.shape[2]).tiles
        return Coded(operand.weights, variances, self._device.dac.step, tuple(tiles))

    @contextmanager
    def perturbed(self, change: Tensor, now: float) -> Iterator[None]:
        """Let forward reads meet changed weights: by the perturbation path, or by writes (see `Array.perturbed`).

        A path adds exactly what was asked for, behind the drift compensation; with slices in the most significant one.

        Args:
            change: (C, out, rows).
            now: seconds.
        """
        if not self._device.perturbation_path:
            with self.array.perturbed(change, now):
                yield
            return
        self._added = self.compensation.undo(change)
        try:
            yield
        finally:
            self._added = None

    def _merged(self, operands: list[Operand]) -> list[Operand]:
        """Slices as one where no ADC comes between them and their sum."""
        return [Operand.together(operands)] if not self._banks.each and self._by_column else operands

    def _reader(self, backward: bool, lines: int) -> Reader:
        d, bank = self._device, self._banks.of(backward)
        return Reader(d, d.dac, bank, self._geometry.blocks(lines), self._by_column)

    @staticmethod
    def _calibrate(reader: Reader, reads: Sequence[tuple[Sequence[Current], Tensor | None]], slices: int) -> None:
        """Set the ranges of the ADCs by the currents of some vectors, each with their gain."""
        assert reader.bank is not None
        reader.bank.calibrate(by_place(reads, slices, len(reader.blocks)))

    def _encode(self, x: Tensor, operands: Sequence[Operand]) -> tuple[Tensor, Tensor | None, Codes | None]:
        """Levels and gain, see `DAC.encode`; and the levels in bytes, where products of these are quicker."""
        dac, coded = self._device.dac, operands[0].coded
        if dac is None:
            return x, None, None
        if coded is not None and (some := coded.quantise(x, dac.top)) is not None:
            return some[0], None, some[1]
        return (*dac.encode(x), None)

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
