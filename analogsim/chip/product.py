"""One product: reads of the array -> column currents of each tile -> noise -> ADC -> digital sum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from torch import Tensor

from analogsim.chip.bank import Bank
from analogsim.chip.coded import Codes
from analogsim.chip.current import Current
from analogsim.chip.draws import Draws
from analogsim.chip.noise import ByColumn, ColumnNumbers, batched, device_by_device
from analogsim.chip.operand import Operand
from device_models import DAC, Device, Exposure


@dataclass(frozen=True)
class Reader:
    """How a layer is read in one direction.

    Attributes:
        device: amplifiers, read noise.
        dac: what drives the lines; None: their voltages are exact.
        bank: the column ADCs; None: currents are exact.
        blocks: the lines of each tile.
        by_column: whether noise is drawn per column, or device by device.
    """

    device: Device
    dac: DAC | None
    bank: Bank | None
    blocks: list[slice]
    by_column: bool

    def convert(self, currents: Iterator[Current] | Sequence[Current], gain: Tensor | None) -> Tensor:
        """Currents -> digital sums."""
        total: Tensor | None = None
        for current in currents:
            y = current.value if self.bank is None else self.bank.decode(current, gain)
            y = y if current.weight == 1 else y * current.weight
            total = y if total is None else total + y
        assert total is not None
        return total

    def currents(
        self,
        levels: Tensor,
        gain: Tensor | None,
        operands: Sequence[Operand],
        draws: Draws,
        column_sd: Tensor | None,
        injection: Tensor | None = None,
        numbers: ColumnNumbers | None = None,
        codes: Codes | None = None,
    ) -> Iterator[Current]:
        """What the columns give: one current for each read of the array, slice and row-block.

        Args:
            levels: (C, S or 1, P or 1, B, lines).
            gain: see `DAC.encode`.
            operands: what to multiply with, by slice.
            draws: noise for S samples and P passes.
            column_sd: of the amplifier's noise of one tile, broadcastable to (C, S, P, B, columns), or None.
            injection: (C, S, P, B, columns), added to the currents before the ADC: of the first row-block, in all bits
                and slices (their weights add up to 1), and in the first of two phases.
            numbers: random numbers of these vectors; see `numbers`.
            codes: of the levels, where they are known.
        """
        blocks, full = self.tiles, 1.0 if gain is None else gain
        if self._together:
            exposure, amplifiers = (
                (Exposure(levels, full=full), 1.0) if self.dac is None else self.dac.together(levels, gain)
            )
            exposures, operands = [exposure], [Operand.together(operands)]
            amplifiers *= operands[0].amplifiers * len(self.blocks)
            column_sd = None if column_sd is None else column_sd * amplifiers**0.5
        else:
            exposures = [Exposure(levels, full=full)] if self.dac is None else self.dac.expose(levels, gain)
        places = list(product(exposures, enumerate(operands), enumerate(blocks)))
        noise = None if numbers is None else ByColumn(numbers, draws, column_sd)
        known: dict[int, Codes | None] = {}
        for index, (exposure, (slice_, operand), (number, block)) in enumerate(places):
            coded, some = operand.coded, None
            if coded is not None:
                if id(exposure) not in known:
                    given = codes if exposure.levels is levels else None
                    known[id(exposure)] = coded.encode(exposure.levels) if given is None else given
                some = known[id(exposure)]
            if coded is None or some is None:
                y = batched(exposure.levels[..., block], operand.weights[:, :, block])
            else:
                y = coded.product(some, block)
            white = None
            if noise is not None:
                y, white = noise.of(y, index, exposure, block, operand, some)
            elif self._noisy(draws):
                assert isinstance(y, Tensor)
                y = y + draws.spread(self._drawn(exposure, block, operand, draws, index, column_sd))
            current = Current(y, exposure.weight * operand.share, slice_, number, white)
            if injection is not None and number == 0 and exposure.weight > 0:
                current = replace(current, mean=current.value + injection, noise=None)
            yield current

    def numbers(self, operands: Sequence[Operand], draws: Draws, vectors: int) -> ColumnNumbers | None:
        """Random numbers for the currents of `vectors` vectors.

        Args:
            operands: what to multiply with, by slice.
            draws: noise for S samples and P passes.
            vectors: of the whole batch.

        Returns:
            None where nothing is noisy, or noise is drawn device by device.
        """
        if not self.by_column or not self._noisy(draws):
            return None
        reads = 1 if self.dac is None else self.dac.reads
        if self._together:
            return ColumnNumbers.draw(Operand.together(operands), draws, 1, vectors)
        return ColumnNumbers.draw(operands[0], draws, reads * len(operands) * len(self.blocks), vectors)

    @property
    def tiles(self) -> list[slice]:
        """Blocks of lines that are multiplied at a time: all, where no ADC comes between tiles and their sum."""
        return [slice(None)] if self._together else self.blocks

    @property
    def _together(self) -> bool:
        """Whether results are added unrounded, so that one current stands for all of them."""
        return self.bank is None and self.by_column

    def _noisy(self, draws: Draws) -> bool:
        noisy = self.device.column_noise is not None or any(noise.in_a_read for noise in self.device.read_noise)
        return draws.any and noisy

    @staticmethod
    def _drawn(
        exposure: Exposure, block: slice, operand: Operand, draws: Draws, index: int, column_sd: Tensor | None
    ) -> Tensor:
        noise = device_by_device(exposure, block, operand, draws, index)
        if column_sd is not None:
            noise += draws.pick(column_sd) * draws.normal(1, noise.shape[3:], noise.dtype)[:, :, :, 0]
        return noise
