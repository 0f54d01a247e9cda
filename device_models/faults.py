"""Faults: devices that cannot be programmed, and lines that are open. From fabrication or later, each chip its own.

A device is stuck low, stuck high, or well, at most one of them. Every device has one standard normal number z of its
own: it is stuck low where Phi(z) <= p_low and stuck high where Phi(z) > 1 - p_high, so counts are exactly binomial, and
a device that is faulty at one share is so at every larger one: with equal seeds, shares are compared in pairs.

An open word line (row) carries no current of any of its devices, in both polarities, since a pair shares its row. An
open bit line (column) belongs to one polarity: the other column of the pair goes on. Open lines are taken as absent
(G = 0): sneak paths through a floating line are not modelled. Lines are those of a whole layer: where it lies on
several tiles, an open one is open in all of them.

Faults that come later are found by the same law, with other numbers, among all devices, dead ones included: how many it
strikes is exactly binomial, and of those that were still well the same share dies. What was stuck stays stuck where it
was; a line that opens silences stuck devices too.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from pydantic import model_validator
from torch import Tensor
from typing_extensions import Self

from device_models.effect import Description, Site
from device_models.units import Conductance, Each, PerChip, Share


class Faults(Description):
    """Shares of devices and lines that are faulty."""

    stuck_low: PerChip[Share] = 0.0
    """Share of devices that stay at `low`, percent."""
    stuck_high: PerChip[Share] = 0.0
    """Share of devices that stay at `high`, percent."""
    dead_rows: PerChip[Share] = 0.0
    """Share of word lines that are open, percent."""
    dead_columns: PerChip[Share] = 0.0
    """Share of bit lines that are open, percent; each polarity of a pair has its own."""
    low: Conductance | None = None
    """Conductance of a device stuck low, siemens; without it G_min."""
    high: Conductance | None = None
    """Conductance of a device stuck high, siemens; without it G_max."""

    @model_validator(mode="after")
    def _at_most_all(self) -> Self:
        low, high = (v.values if isinstance(v, Each) else (v,) for v in (self.stuck_low, self.stuck_high))
        if len(low) != len(high) and 1 not in (len(low), len(high)):
            return self  # a fault of its own, found when the number of chips is known
        count = max(len(low), len(high))
        largest = max(a + b for a, b in zip(low * (count // len(low)), high * (count // len(high)), strict=True))
        if largest > 1 + 1e-12:
            raise ValueError(f"stuck_low and stuck_high must not exceed 100 % together (got {100 * largest:g} %)")
        return self

    def build(self, site: Site) -> Fabrication:
        exact = replace(site, dtype=torch.float64)

        def threshold(share: PerChip[float], name: str) -> Tensor:
            """z with Phi(z) = share, -inf for 0: (C, 1, 1, 1) for (C, polarities, out, rows)."""
            return torch.special.ndtri(exact.per_chip(share, 3, f"faults.{name}"))

        never = (self.dead_rows, self.dead_columns) == (0.0, 0.0)
        return Fabrication(
            stuck_low=threshold(self.stuck_low, "stuck_low"),
            stuck_high=threshold(self.stuck_high, "stuck_high"),
            dead_rows=threshold(self.dead_rows, "dead_rows"),
            dead_columns=threshold(self.dead_columns, "dead_columns"),
            low=site.g_min if self.low is None else self.low,
            high=site.g_max if self.high is None else self.high,
            lines=not never,
        )


@dataclass(frozen=True)
class Fabrication:
    """How often a population of chips is fabricated with faults.

    Attributes:
        stuck_low, stuck_high, dead_rows, dead_columns: quantiles of the standard normal at the shares, (C, 1, 1, 1).
        low, high: conductances of stuck devices, siemens.
        lines: whether any line may be open.
    """

    stuck_low: Tensor
    stuck_high: Tensor
    dead_rows: Tensor
    dead_columns: Tensor
    low: float
    high: float
    lines: bool = True

    def fabricate(self, devices: Tensor, rows: Tensor, columns: Tensor) -> FaultMap:
        """Decide which devices and lines are faulty. The shapes do not depend on the shares, nor do other draws.

        Args:
            devices: standard normal, (C, polarities, out, rows).
            rows: standard normal, one per word line, (C, rows).
            columns: standard normal, one per bit line, (C, polarities, out).

        Raises:
            ValueError: shapes that do not belong together.
        """
        chips, polarities, out, lines = devices.shape
        if rows.shape != (chips, lines) or columns.shape != (chips, polarities, out):
            raise ValueError(
                f"rows and columns must have shapes {(chips, lines)} and {(chips, polarities, out)} for devices "
                f"{tuple(devices.shape)} (got {tuple(rows.shape)} and {tuple(columns.shape)})"
            )
        low = devices <= self.stuck_low
        high = (devices > -self.stuck_high) & ~low
        dead_rows = rows[:, None, None, :] <= self.dead_rows
        dead_columns = columns[..., None] <= self.dead_columns
        return FaultMap(low, high, dead_rows | dead_columns, self.low, self.high, self.lines)


@dataclass(frozen=True)
class FaultMap:
    """Faults of a population of arrays.

    Attributes:
        stuck_low, stuck_high: devices, (C, polarities, out, rows); no device is both.
        open: devices on an open line, stuck or not, same shape.
        low, high: conductances of stuck devices, siemens; tensors where they became stuck at different ones.
        lines: whether any line may be open.
    """

    stuck_low: Tensor
    stuck_high: Tensor
    open: Tensor
    low: float | Tensor
    high: float | Tensor
    lines: bool = True

    def joined(self, later: FaultMap, dtype: torch.dtype) -> FaultMap:
        """These faults, and those of `later` on devices that were not stuck.

        Args:
            later: of the same shape.
            dtype: of conductances.
        """
        well = ~(self.stuck_low | self.stuck_high)
        return FaultMap(
            self.stuck_low | (later.stuck_low & well),
            self.stuck_high | (later.stuck_high & well),
            self.open | later.open,
            _either(self.stuck_low, self.low, later.low, dtype),
            _either(self.stuck_high, self.high, later.high, dtype),
            self.lines or later.lines,
        )

    def state_dict(self) -> dict[str, Any]:
        """Plain data from which `FaultMap(**data)` is the same again; the tensors are live."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def polarities(self) -> tuple[FaultMap, ...]:
        """The maps of G+ and G-, each (C, out, rows)."""
        masks = zip(self.stuck_low.unbind(1), self.stuck_high.unbind(1), self.open.unbind(1), strict=True)
        return tuple(FaultMap(*mask, self.low, self.high, self.lines) for mask in masks)

    def apply(self, g: Tensor) -> Tensor:
        """Conductances with the faults.

        Args:
            g: siemens, shape of the masks; what the devices would be if they were well.
        """
        stuck = torch.where(self.stuck_low, self.low, torch.where(self.stuck_high, self.high, g))
        return self.silence(stuck)

    def silence(self, value: Tensor) -> Tensor:
        """Conductances or variances of reads, of a shape that broadcasts to the masks': 0 where no current flows."""
        return torch.where(self.open, 0.0, value) if self.lines else value


def _either(first: Tensor, a: float | Tensor, b: float | Tensor, dtype: torch.dtype) -> float | Tensor:
    """a where `first`, else b; one number where they are the same."""
    if isinstance(a, float) and isinstance(b, float) and a == b:
        return a
    a, b = (torch.as_tensor(each, dtype=dtype, device=first.device) for each in (a, b))
    return torch.where(first, a, b)
