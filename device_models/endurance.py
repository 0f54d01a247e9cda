"""Endurance: a device survives so many pulses, or writes, and then is where it is, or sticks at an end of its range.

Lifetimes are log-normal over devices: L = cycles exp(spread xi), xi ~ N(0, 1), so a share Phi(ln(n / cycles) / spread)
has failed after n. Assumed form; a Weibull law would differ in the early tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from device_models.effect import Description, Site
from device_models.limits import Limit
from device_models.units import Factor, PerChip


@dataclass(frozen=True)
class Lifetimes:
    """Endurance of a population's devices; how much of it is used is the caller's state, int64, zeros at first.

    Attributes:
        life: pulses or writes that a device survives, (C, out, rows).
        counts: what wears a device out.
        failure: what becomes of it.
    """

    life: Tensor
    counts: Literal["pulses", "writes"]
    failure: Literal["frozen", "low", "high"]

    def alive(self, used: Tensor) -> Tensor:
        """Which devices still move, bool; used: (C, out, rows)."""
        return used < self.life

    def of_write(self, written: Tensor, attempts: Tensor | None) -> Tensor:
        """What an absolute write takes, int64: each programming attempt is a pulse.

        Args:
            written: bool, (C, out, rows).
            attempts: of each device, same shape; None: one.
        """
        if attempts is None or self.counts == "writes":
            return written.to(torch.int64)
        return attempts.to(torch.int64) * written

    def spend(self, used: Tensor, ups: Tensor, downs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What a write comes to: a device that fails during it still takes its last pulses.

        Args:
            used: before the write, (C, out, rows).
            ups, downs: pulses that are given, those up first.

        Returns:
            Pulses up and down that act; `used` after it.
        """
        if self.counts == "writes":
            alive = self.alive(used)
            return ups * alive, downs * alive, used + ((ups + downs) > 0)
        left = (self.life - used).ceil().clamp_min(0)
        acting = torch.minimum(ups.to(left.dtype), left)
        rest = torch.minimum(downs.to(left.dtype), left - acting)
        return acting.to(ups.dtype), rest.to(downs.dtype), used + (ups + downs).to(used.dtype)

    def fail(self, u: Tensor, used: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
        """States with failed devices where they stick; low, high: bounds of the devices, broadcastable to u."""
        if self.failure == "frozen":
            return u
        return torch.where(self.alive(used), u, low if self.failure == "low" else high)


class Endurance(Description):
    """Log-normal lifetimes of devices."""

    cycles: PerChip[
        Annotated[Factor, Limit(1, 1e15, "a device survives its first write, and none is known to survive more")]
    ]
    """Median lifetime, pulses or writes; no unit."""
    spread: PerChip[Annotated[Factor, Limit(0, 10, "at 10 lifetimes spread over nine orders of magnitude")]] = 0.0
    """Standard deviation of the natural logarithm of the lifetime, no unit."""
    counts: Literal["pulses", "writes"] = "pulses"
    """What wears a device out: each pulse, and each programming attempt; or each write that gives it any."""
    failure: Literal["frozen", "low", "high"] = "frozen"
    """`frozen`: it is not written any more, but ages; `low`, `high`: it sticks at that bound of its own."""

    @property
    def fabricated(self) -> int:
        """Standard normal numbers that the fabrication of a device takes."""
        return 1

    def build(self, site: Site, numbers: Tensor) -> Lifetimes:
        """Fabricate; numbers: standard normal, (C, 1, out, rows)."""
        cycles = site.per_chip(self.cycles, 2, "endurance.cycles")
        spread = site.per_chip(self.spread, 2, "endurance.spread")
        return Lifetimes(cycles * torch.exp(spread * numbers[:, 0]), self.counts, self.failure)
