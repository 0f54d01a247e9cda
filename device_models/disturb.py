"""Disturbance of devices that nobody meant to write: half-selected by pulses of their neighbours, or merely read.

Half select: a pulse at a crossing puts a part of its voltage, half in the V/2 scheme, on all devices of its row and of
its column. Assumed form: each of them moves by a small fraction of a pulse, along its own step curve.

Read disturb: reads are weak pulses of one polarity. Assumed form: each read brings u nearer to an end of its range by
the share rate |x| / full scale of what is left, so that n reads are

    u -> end + (u - end) exp(-rate sum |x| / full scale)

which stays within bounds and does not depend on how reads are grouped. Slow changes of this kind over 10^6 reads are
shown by Yao et al., Nature 577:641 (2020), extended data figure 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from device_models.effect import Description, Site
from device_models.limits import Limit
from device_models.units import Factor, PerChip, Share


@dataclass(frozen=True)
class HalfSelected:
    """Half-select disturb of C chips; fraction: of a pulse, (C, 1, 1)."""

    fraction: Tensor

    def pulses(
        self,
        counts: Tensor,
        rows: Tensor | None = None,
        columns: Tensor | None = None,
        passing: Tensor | float = 0.0,
    ) -> Tensor:
        """Pulses of one direction that each device feels beside its own, fractions of whole ones.

        A line of the crossbar with n_line pulses, n of which are the device's own, half-selects it n_line - n times;
        devices have two lines: fraction (n_row + n_column - 2 n). Lines are those of a whole layer, as if its tiles
        were one crossbar.

        Args:
            counts: pulses of each device, (C, out, rows).
            rows: pulses on each row's line, (C, 1, rows). None: devices are pulsed one by one, so each pulse of a
                device is one on both of its lines; where lines are driven in parallel there are fewer.
            columns: pulses on each column's line, (C, out, 1); None: as above.
            passing: pulses on the rows' lines that are meant for no device here, broadcastable to (C, 1, rows).
        """
        rows = counts.sum(1, keepdim=True) if rows is None else rows
        columns = counts.sum(2, keepdim=True) if columns is None else columns
        return self.fraction * (rows + columns - 2 * counts + passing)


class HalfSelect(Description):
    """Disturbance of devices that share a row or a column with a pulsed one."""

    fraction: PerChip[Share]
    """Change by one half-selecting pulse, percent of the change by a full one."""

    def build(self, site: Site) -> HalfSelected:
        return HalfSelected(site.per_chip(self.fraction, 2, "half_select.fraction"))


@dataclass(frozen=True)
class ReadDisturbed:
    """Read disturb of C chips; rate: share of the way to the end by one full-scale read, (C, 1, 1)."""

    rate: Tensor
    towards: Literal["low", "high"]

    def apply(self, u: Tensor, activity: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
        """States after reads.

        Args:
            u: (C, out, rows).
            activity: sum of |x| / full scale over the reads, (C, rows).
            low, high: bounds of the devices, broadcastable to u.
        """
        end = low if self.towards == "low" else high
        return u + (u - end) * torch.expm1(-self.rate * activity[:, None])


class ReadDisturb(Description):
    """Slow drift of devices that are read."""

    rate: PerChip[Annotated[Factor, Limit(0, 1, "it is a share of the way")]]
    """Share of the way to the end that one full-scale read takes a device, no unit; 1e-6 and below for real devices."""
    towards: Literal["low", "high"] = "high"
    """The end: that which a pulse of the read's polarity leads to."""

    def build(self, site: Site) -> ReadDisturbed:
        return ReadDisturbed(site.per_chip(self.rate, 2, "read_disturb.rate"), self.towards)
