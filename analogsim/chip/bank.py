"""Bank: the column ADCs of one layer in one direction of reads: one for each slice, row-block and column; and both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from analogsim.chip.current import Current
from analogsim.chip.numbers import LayerNumbers
from analogsim.randomness import Purpose
from device_models import ColumnADC, ColumnErrors


class Bank:
    """ADCs of a population of C crossbars.

    Args:
        adc: what they are.

    Attributes:
        errors: of each ADC, (C, 4, slices, blocks, columns), see `ColumnADC.fabricate`; None where there are none.
        bounds: calibrated ranges, (C, slices, blocks, columns), or with ones where they are the same; None where they
            have not been calibrated.
    """

    def __init__(self, adc: ColumnADC) -> None:
        self.adc = adc
        self.errors: Tensor | None = None
        self.bounds: Tensor | None = None

    def decode(self, current: Current, gain: Tensor | None) -> Tensor:
        """Digital values of column currents.

        Args:
            current: of the first columns.
            gain: of each vector, see `DAC.encode`.

        Raises:
            RuntimeError: the range is calibrated, and has not been.
        """
        bound: float | Tensor | None = self.adc.bound
        slice_, block, columns = current.slice_, current.block, current.columns
        if self.adc.calibration is not None and self.bounds is not None:
            bound = _of(self.bounds, slice_, block, columns)
        if bound is None:
            raise RuntimeError("the range of the ADCs is calibrated: call Chip.calibrate(inputs) before the first read")
        errors = None
        if self.errors is not None:
            errors = ColumnErrors(*(_of(each, slice_, block, columns) for each in self.errors.unbind(1)))
        alike = not isinstance(bound, Tensor) or bound.numel() in (1, len(bound))
        if gain is None and errors is None and self.adc.nonlinearity is None and alike:
            return current.decoded(bound / self.adc.top, self.adc.top)
        return self.adc.decode(current.value, gain, bound, errors)

    def calibrate(self, currents: Sequence[Sequence[Tensor]]) -> None:
        """Set the ranges by currents, by slice and block (C, reads, columns), in units of the pre-activations."""
        self.bounds = self.adc.ranges(currents)

    @property
    def smallest_bound(self) -> float | Tensor | None:
        """The smallest range, for all chips or of each, (C, 1, 1); None before a calibration."""
        return self.adc.bound if self.bounds is None else self.bounds.amin(dim=(1, 2, 3))[:, None, None]

    def state_dict(self) -> dict[str, Any]:
        """Errors and ranges, for a checkpoint; the tensors are live."""
        return {"errors": self.errors, "bounds": self.bounds}

    def load_state_dict(self, state: dict[str, Any], like: Tensor) -> None:
        """Continue where `state_dict` was taken, on the device of `like`."""
        for name in ("errors", "bounds"):
            value = state[name]
            setattr(self, name, None if value is None else value.to(like.device, copy=True))


class Banks:
    """The ADCs of a layer in both directions: those of its columns, and those of its rows for backward reads.

    Args:
        adc: what they are; None: results are not rounded.
        blocks: lines -> those of each tile.
    """

    def __init__(self, adc: ColumnADC | None, blocks: Callable[[int], list[slice]]) -> None:
        self._blocks = blocks
        self.each: tuple[Bank, ...] = () if adc is None else (Bank(adc), Bank(adc))

    def of(self, backward: bool) -> Bank | None:
        """Those of a direction; None: there are none."""
        return self.each[backward] if self.each else None

    def fabricate(self, numbers: LayerNumbers, slices: int, out: int, rows: int) -> None:
        """Make new ones.

        Args:
            numbers: where random numbers come from.
            slices: of the layer.
            out, rows: of the layer.
        """
        for bank, lines, columns in zip(self.each, (rows, out), (out, rows), strict=False):
            bank.bounds = None
            if bank.adc.fabricated:
                places = slices, len(self._blocks(lines)), columns
                bank.errors = bank.adc.fabricate(numbers.normal(Purpose.CONVERTERS, (bank.adc.fabricated, *places)))

    def state_dict(self) -> list[dict[str, Any]]:
        """For a checkpoint; the tensors are live."""
        return [bank.state_dict() for bank in self.each]

    def load_state_dict(self, state: list[dict[str, Any]], like: Tensor) -> None:
        """Continue where `state_dict` was taken, on the device of `like`."""
        for bank, saved in zip(self.each, state, strict=True):
            bank.load_state_dict(saved, like)


def by_place(reads: Sequence[tuple[Sequence[Current], Tensor | None]], slices: int, blocks: int) -> list[list[Tensor]]:
    """Currents of vectors at full scale, by slice and block (C, reads, columns); each read with its gain."""
    places: list[list[list[Tensor]]] = [[[] for _ in range(blocks)] for _ in range(slices)]
    for currents, gain in reads:
        for current in currents:
            value = current.value if gain is None else current.value / gain
            places[current.slice_][current.block].append(value.flatten(1, 3))
    return [[torch.cat(values, dim=1) for values in row] for row in places]


def _of(each: Tensor, slice_: int, block: int, columns: int) -> Tensor:
    """One slice and block of (C, slices, blocks, columns), or of ones, as (C, 1, 1, 1, columns or 1)."""
    slice_, block = (index if size > 1 else 0 for index, size in zip((slice_, block), each.shape[1:], strict=False))
    return each[:, slice_, block, None, None, None, :columns]
