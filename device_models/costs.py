"""Costs: what the operations of a chip take, in seconds and joules.

A chip's work is counted in operations of a few kinds (`Operations`); each kind has a price (`Costs`). Energy is the sum
over counted operations, and what stands by. Time is not: operations of different parts overlap, which a model of a step
decides. Memory and links between chips have no price of their own.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from device_models.effect import Description
from device_models.limits import Limit
from device_models.units import Frequency, Power, Time, Work

_CONVERSION_LASTS = Limit("0 s", "1 s", "no conversion or read on a chip lasts longer than a second")
_CONVERSION_TAKES = Limit("0 J", "1 uJ", "a conversion takes picojoules")
_ARRAY_LASTS = Limit("100 ps", "1 s", "a read of an array takes nanoseconds or more")
_DEVICE_TAKES = Limit("0 J", "1 uJ", "a device is read with femtojoules, and a microjoule would write it")
_PULSE_LASTS = Limit("1 ps", "100 s", "nothing in a device switches faster, and no device is pulsed for longer")
_PULSE_TAKES = Limit("0 J", "1 mJ", "a pulse takes femtojoules to nanojoules, and a millijoule destroys a device")
_OPERATIONS = Limit("1 kHz", "1 PHz", "arithmetic units do thousands of operations in a second at least, and none 1e15")
_ARITHMETIC_TAKES = Limit("0 J", "1 uJ", "an arithmetic operation takes picojoules")
_STANDS_BY = Limit("0 W", "1 kW", "nothing cools a chip that takes 1 kW while it does nothing")
_SHARING = Limit(1, 65536, "an ADC serves a column at least, and no array has more columns")


class Operations(NamedTuple):
    """Counts of what one chip does; sums, so they may be fractions where they are means.

    Attributes:
        dac: conversions of a row's input.
        array: devices that are read, once each: two of a pair.
        adc: conversions of a column's current.
        writes: programming pulses, or attempts, that devices receive.
        verify: reads of single devices that confirm a write.
        digital: arithmetic operations of the digital periphery; a multiply-add is two.
        broadcasts: scalars sent to all units: losses.
    """

    dac: float = 0.0
    array: float = 0.0
    adc: float = 0.0
    writes: float = 0.0
    verify: float = 0.0
    digital: float = 0.0
    broadcasts: float = 0.0

    def plus(self, other: Operations) -> Operations:
        """Both together."""
        return Operations(*(a + b for a, b in zip(self, other, strict=True)))

    def times(self, n: float) -> Operations:
        """All of it n times."""
        return Operations(*(n * a for a in self))


class Conversion(Description):
    """One conversion, or what is like one."""

    time: Annotated[Time, _CONVERSION_LASTS]
    """What it adds to the time of what it is part of, seconds; 0 where the array is read meanwhile."""
    energy: Annotated[Work, _CONVERSION_TAKES]
    """What it takes, joules."""


class ArrayRead(Description):
    """One read of an array: all rows and columns of a tile at once."""

    time: Annotated[Time, _ARRAY_LASTS]
    """Until the columns' currents are there, or their charges, seconds."""
    energy: Annotated[Work, _DEVICE_TAKES]
    """Of each device, joules: V^2 G t of a mean input and conductance."""


class ColumnConversion(Conversion):
    """One conversion of a column's current."""

    shared_by: Annotated[int, Field(strict=True), _SHARING] = 1
    """Columns that one ADC serves, one after the other; no unit."""


class WritePulse(Description):
    """One pulse, or programming attempt, of one device."""

    time: Annotated[Time, _PULSE_LASTS]
    """From its begin to the next, seconds."""
    energy: Annotated[Work, _PULSE_TAKES]
    """What the device takes, joules."""
    parallel: Literal["row", "device"] = "row"
    """Which devices of a tile are programmed at once by absolute writes: a whole row, or one device after the other.
    Incremental writes by factors pulse the whole tile at once, a slot of a train after the other."""


class Digital(Description):
    """The digital periphery: activation functions, decorrelation, optimiser, regression, sums of row-blocks."""

    rate: Annotated[Frequency, _OPERATIONS]
    """Operations in a second of each unit: every layer has one for what its signals pass through, and the chip one for
    learning; hertz."""
    energy: Annotated[Work, _ARITHMETIC_TAKES]
    """Of an operation, joules."""


class Costs(Description):
    """What the operations of a chip take."""

    dac: Conversion
    """One row's input; rows have a DAC each, so a tile takes the time of one."""
    array: ArrayRead
    """A read of the array."""
    adc: ColumnConversion
    """One column's current."""
    write: WritePulse
    """A programming pulse."""
    verify: Conversion
    """A read of one device that confirms a write; devices that are programmed at once are read at once."""
    digital: Digital
    """The digital periphery."""
    broadcast: Conversion
    """A loss on its way to all units."""
    standby: Annotated[Power, _STANDS_BY] = 0.0
    """Of a chip whether it works or not, watts."""

    def by_part(self, counted: Operations) -> dict[str, float]:
        """Joules of each kind of operation, by the names of `Operations`."""
        prices = Operations(
            dac=self.dac.energy,
            array=self.array.energy,
            adc=self.adc.energy,
            writes=self.write.energy,
            verify=self.verify.energy,
            digital=self.digital.energy,
            broadcasts=self.broadcast.energy,
        )
        return {name: count * price for name, count, price in zip(counted._fields, counted, prices, strict=True)}

    def energy(self, counted: Operations) -> float:
        """Joules of all of it; `standby`, which goes with time, aside."""
        return sum(self.by_part(counted).values())
