"""Relaxation: how the devices of a freshly written array spread out and shift, beside a power-law drift.

Two laws, t the time since a device's write. `logarithmic`:

    G(t) = max(0, G_prog + m ln(t / 1 s) + (s0 + s1 ln(t / 1 s)) xi)

`spread`: measured standard deviations s_k(G_target) at times t_1 < t_2 < ..., of which the first is the programming
noise's own,

    G(t) = max(0, G_prog + sqrt(V(t)) xi),    V(t_k) = max(0, s_k^2 - s_1^2)

with V a straight line in ln t between the times, 0 before the first and constant beyond the last: nothing is
extrapolated. What was programmed with s_1 then has the published spread at each time, clamps aside.

In both xi ~ N(0, 1) is drawn at each write, one number for all times and independent of the programming error. That is
an assumption: sources give spreads at single times, not how a device's deviations at two times go together. Here they
go together wholly; a device keeps its place among the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from device_models.conductance_effect import ConductanceEffect, State, steady_logarithm
from device_models.effect import Description, Site
from device_models.limits import LAW_BEGINS, SCALE, Limit
from device_models.programming import Programming, Spread
from device_models.units import Conductance, Factor, PerChip, SignedConductance, Time


@dataclass(frozen=True)
class _Logarithmic(ConductanceEffect):
    mean: float  # siemens
    sd: float
    sd_slope: float
    t0: float
    scale: Tensor  # (chips, 1, 1)
    g_max: float
    written = 1
    ages = True

    def write(self, target: Tensor, numbers: Sequence[Tensor]) -> State:
        return {"xi": numbers[0]}

    def apply(self, g: Tensor, programmed: Tensor, state: State, elapsed: Tensor | None) -> Tensor:
        assert elapsed is not None
        nats = elapsed.clamp(min=self.t0).log_()
        sd = (nats * self.sd_slope).add_(self.sd).clamp_(min=0)
        shift = (sd * state["xi"]).add_(nats, alpha=self.mean)
        return (shift.to(g.dtype) * self.scale).add_(g).clamp_(min=0)

    def steady(self, state: State, elapsed: Tensor, tolerance: float) -> Tensor:
        """Of scale (|m| + |s1 xi|) siemens at most for each unit of ln t."""
        steepest = (state["xi"].abs() * abs(self.sd_slope) + abs(self.mean)).mul_(self.scale).amax(dim=(1, 2))
        return steady_logarithm(tolerance * self.g_max / steepest.to(elapsed.dtype), elapsed, self.t0)


@dataclass(frozen=True)
class _Spread(ConductanceEffect):
    times: tuple[float, ...]
    laws: tuple[Programming, ...]
    scale: Tensor  # (chips, 1, 1)
    g_max: float
    written = 1
    ages = True

    def write(self, target: Tensor, numbers: Sequence[Tensor]) -> State:
        return {"target": target, "xi": numbers[0]}

    def variance(self, target: Tensor, elapsed: Tensor) -> Tensor:
        """V, siemens squared."""
        return self._between(self._reached(target), elapsed)

    def _reached(self, target: Tensor) -> list[Tensor]:
        """V at each of the times."""
        first, *later = (law.sigma(target).square() for law in self.laws)
        return [torch.zeros_like(first), *((spread - first).clamp_(min=0) for spread in later)]

    def _between(self, reached: list[Tensor], elapsed: Tensor) -> Tensor:
        """V at seconds since the write, from V at the times."""
        nats, total = elapsed.clamp(min=self.times[0]).log_(), torch.zeros_like(elapsed, dtype=reached[0].dtype)
        for before, after, start, end in self._pieces(reached):
            share = ((nats - math.log(start)) / math.log(end / start)).clamp_(0, 1)
            total += (after - before) * share.to(total.dtype)
        return total.clamp_(min=0)

    def _pieces(self, reached: list[Tensor]) -> Iterator[tuple[Tensor, Tensor, float, float]]:
        return zip(reached, reached[1:], self.times, self.times[1:], strict=False)

    def apply(self, g: Tensor, programmed: Tensor, state: State, elapsed: Tensor | None) -> Tensor:
        assert elapsed is not None
        sd = self.variance(state["target"], elapsed).sqrt_()
        return (sd.mul_(state["xi"]) * self.scale).add_(g).clamp_(min=0)

    def steady(self, state: State, elapsed: Tensor, tolerance: float) -> Tensor:
        """V changes by m at most for each unit of ln t: its root rises by D at V + D (2 sqrt(V) + D), and falls by D at
        V - D (2 sqrt(V) - D), if at all."""
        reached = self._reached(state["target"])
        slopes = [(after - before).abs() / math.log(end / start) for before, after, start, end in self._pieces(reached)]
        m, root = torch.stack(slopes).amax(0), self._between(reached, elapsed).sqrt_()
        change = tolerance * self.g_max / (state["xi"].abs() * self.scale)
        either = torch.where(root > change, 2 * root - change, 2 * root + change)
        nats = (change * either / m).amin(dim=(1, 2))
        return steady_logarithm(nats, elapsed, self.times[0])


class LogarithmicRelaxation(Description):
    """Mean and spread of the shift are lines in ln t, the same for every conductance."""

    kind: Literal["logarithmic"]
    mean: SignedConductance
    """m, shift of the mean per unit of ln t, siemens."""
    sd: Conductance
    """s0, standard deviation one second after the write, siemens."""
    sd_slope: SignedConductance = 0.0
    """s1, growth of the standard deviation per unit of ln t, siemens; a negative total counts as 0."""
    t0: Annotated[Time, LAW_BEGINS]
    """Time after a write, seconds, at which the published law begins; earlier times are taken as of then."""
    scale: PerChip[Annotated[Factor, SCALE]] = 1.0
    """Factor on shift and spread, no unit; 1 is the published device."""

    def build(self, site: Site) -> ConductanceEffect:
        scale = site.per_chip(self.scale, 2, "relaxation.scale")
        return _Logarithmic(self.mean, self.sd, self.sd_slope, self.t0, scale, site.g_max)


class SpreadAt(Description):
    """The spread of conductances some time after a write."""

    after: Annotated[Time, Limit("1 ns", "100 years", "it is when devices were measured after a write")]
    """Time since the write, seconds."""
    law: Spread
    """Standard deviation about the target as a function of the target."""


class SpreadRelaxation(Description):
    """Spreads measured at several times; the first entry is the spread that `programming` has already."""

    kind: Literal["spread"]
    table: tuple[SpreadAt, ...] = Field(min_length=2)
    """In rising order of time."""
    scale: PerChip[Annotated[Factor, SCALE]] = 1.0
    """Factor on the standard deviation that comes on top of the first entry's, no unit; 1 is the published device."""

    @field_validator("table")
    @classmethod
    def _rising(cls, value: tuple[SpreadAt, ...]) -> tuple[SpreadAt, ...]:
        times = [each.after for each in value]
        if times != sorted(set(times)):
            raise ValueError(f"times must rise from entry to entry (got {', '.join(f'{t:g} s' for t in times)})")
        return value

    def build(self, site: Site) -> ConductanceEffect:
        laws = tuple(each.law.build(site, f"relaxation.table.{index}.law") for index, each in enumerate(self.table))
        times = tuple(each.after for each in self.table)
        return _Spread(times, laws, site.per_chip(self.scale, 2, "relaxation.scale"), site.g_max)
