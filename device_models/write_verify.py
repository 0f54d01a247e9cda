"""Write-verify: a device is programmed and read until what was read lies within a tolerance of the target.

Attempt k = 1 .. n of a write programs the devices that are still outside (all of them at first) with an error of its
own, then reads them; a device whose read lies within the tolerance is done. What the last attempt leaves stands. With
reads without noise a device misses the tolerance with (1 - p)^n, p the probability of a single attempt; a noisy read
accepts some devices that lie outside, and sends back some that were inside.

A verifying read sees what an attempt has made of the device: within its own bounds, stuck where it is stuck, nothing on
an open line. It has the device's read noise but for what outlives a learning step, which is a state that begins anew
with each write; converters and column amplifiers are not in it. All random numbers of n attempts are drawn at each
write, so what one device gets does not depend on the others. Published spreads often include such a loop already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from device_models.effect import Description, Site
from device_models.limits import Limit
from device_models.programming import Programming
from device_models.units import Conductance, PerChip


@dataclass(frozen=True)
class Verified:
    """Write-verify of a population of chips.

    Attributes:
        programming: of one attempt.
        iterations: most attempts of a write.
        tolerance: largest deviation of a read from the target that is accepted, siemens, (chips, 1, 1).
    """

    programming: Programming
    iterations: int
    tolerance: Tensor

    @property
    def numbers(self) -> int:
        """Standard normal numbers that a device takes at each write: those of n attempts and of the reads between."""
        return self.iterations * (self.programming.numbers + 1) - 1

    def program(
        self,
        target: Tensor,
        numbers: Sequence[Tensor],
        variance: Callable[[Tensor], Tensor | float],
        made: Callable[[Tensor], Tensor] = lambda g: g,
    ) -> tuple[Tensor, Tensor]:
        """Conductances after a write, siemens, and the number of attempts that each device took, int32.

        Args:
            target: siemens, (chips, out, rows).
            numbers: as many tensors as `numbers` says, standard normal, same shape.
            variance: of a read of given conductances, siemens squared.
            made: what devices become that are programmed to given conductances, siemens.
        """
        own = self.programming.numbers
        g = self.programming.program(target, numbers[:own])
        attempts = torch.ones_like(target, dtype=torch.int32)
        outside = torch.ones_like(target, dtype=torch.bool)
        for start in range(own, len(numbers), own + 1):
            xi, *again = numbers[start : start + own + 1]
            held = made(g)
            read = held + torch.as_tensor(variance(held)).sqrt() * xi
            outside = outside & ((read - target).abs_() > self.tolerance)
            g = torch.where(outside, self.programming.program(target, again), g)
            attempts += outside
        return g, attempts


class WriteVerify(Description):
    """Program, read, and program again what lies outside the tolerance."""

    iterations: Annotated[
        int, Field(strict=True), Limit(1, 1000, "a write is at least one attempt; chips allow some 30")
    ]
    """Most programming attempts of one write, no unit."""
    tolerance: PerChip[Conductance]
    """Largest deviation of a read from the target that is accepted, siemens."""

    def build(self, site: Site, programming: Programming) -> Verified:
        """The tensors of a population, around the programming of one attempt."""
        return Verified(programming, self.iterations, site.per_chip(self.tolerance, 2, "write_verify.tolerance"))
