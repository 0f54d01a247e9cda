"""Drift: conductances fall with the time since they were written.

G(now) = G_prog max(1, (now - t_w) / t0)^-nu, with t_w the time of the device's last write. Nothing is known before t0:
until then a device keeps what it was programmed to. nu is a device's own, |mean(r) + sd(r) xi| with
r = G_target / G_max and xi ~ N(0, 1), drawn anew at each write, or, with `nu: fixed`, once at fabrication: the device
then keeps its place among the devices of its conductance.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from device_models.clipped_log import ClippedLog
from device_models.conductance_effect import ConductanceEffect, State, steady_logarithm
from device_models.effect import Description, Site
from device_models.limits import LAW_BEGINS, SCALE, Limit
from device_models.units import Factor, PerChip, Time

_NU = Limit(0, 1, "amorphous phase-change memory has about 0.1; at 1 a device loses 90 % in each decade of time")


class Drift(ConductanceEffect):
    """Power-law drift of a population of chips; the state is the devices' `nu`."""

    ages = True
    t0: float
    fixed: bool

    @property
    def fabricated(self) -> int:  # type: ignore[override]
        return int(self.fixed)

    @property
    def written(self) -> int:  # type: ignore[override]
        return int(not self.fixed)

    @abstractmethod
    def exponent(self, target: Tensor, xi: Tensor) -> Tensor:
        """nu of devices that are written now, (chips, out, rows).

        Args:
            target: siemens, (chips, out, rows).
            xi: standard normal numbers, same shape.
        """

    def fabricate(self, numbers: Sequence[Tensor]) -> State:
        return {"xi": numbers[0]} if self.fixed else {}

    def write(self, target: Tensor, numbers: Sequence[Tensor]) -> State:
        return {"target": target} if self.fixed else {"nu": self.exponent(target, numbers[0])}

    def touch(self, state: State, written: Tensor, now: float) -> None:
        if self.fixed:
            state["nu"] = self.exponent(state["target"], state["xi"])

    def apply(self, g: Tensor, programmed: Tensor, state: State, elapsed: Tensor | None) -> Tensor:
        assert elapsed is not None
        units = elapsed.div(self.t0).clamp_(min=1).log_().to(g.dtype)
        return g * torch.exp(-(state["nu"] * units))

    def steady(self, state: State, elapsed: Tensor, tolerance: float) -> Tensor:
        """No logarithm falls by more than the largest nu times the growth of ln max(t, t0)."""
        nats = math.log1p(tolerance) / state["nu"].amax(dim=(1, 2)).to(elapsed.dtype)
        return steady_logarithm(nats, elapsed, self.t0)


@dataclass(frozen=True)
class _Logarithmic(Drift):
    t0: float
    fixed: bool
    mean: ClippedLog
    sd: ClippedLog
    g_max: float
    scale: Tensor  # (chips, 1, 1)

    def exponent(self, target: Tensor, xi: Tensor) -> Tensor:
        r = target / self.g_max
        return (self.mean(r) + self.sd(r) * xi).abs_() * self.scale


@dataclass(frozen=True)
class _Constant(Drift):
    t0: float
    fixed: bool
    mean: Tensor  # (chips, 1, 1)
    sd: Tensor

    def exponent(self, target: Tensor, xi: Tensor) -> Tensor:
        return (self.mean + self.sd * xi).abs_()


class LogarithmicDrift(Description):
    """nu = scale |mean(r) + sd(r) xi|: both are clipped lines in ln r."""

    kind: Literal["logarithmic"]
    t0: Annotated[Time, LAW_BEGINS]
    """Time after a write, seconds, at which the published law begins."""
    mean: ClippedLog
    """Mean of nu before the absolute value, no unit."""
    sd: ClippedLog
    """Standard deviation of nu over devices and writes, no unit."""
    scale: PerChip[Annotated[Factor, SCALE]] = 1.0
    """Factor on nu, no unit; 1 is the published device."""
    nu: Literal["redrawn", "fixed"] = "redrawn"
    """Whether the exponent of a device is drawn anew at each write or belongs to the device."""

    def build(self, site: Site) -> Drift:
        scale = site.per_chip(self.scale, 2, "drift.scale")
        return _Logarithmic(self.t0, self.nu == "fixed", self.mean, self.sd, site.g_max, scale)


class ConstantDrift(Description):
    """nu = |mean + sd xi|, the same for every conductance."""

    kind: Literal["constant"]
    t0: Annotated[Time, LAW_BEGINS]
    """Time after a write, seconds, at which the law begins."""
    mean: PerChip[Annotated[Factor, _NU]]
    """Mean of nu before the absolute value, no unit."""
    sd: PerChip[Annotated[Factor, _NU]] = 0.0
    """Standard deviation of nu over devices and writes, no unit."""
    nu: Literal["redrawn", "fixed"] = "redrawn"
    """Whether the exponent of a device is drawn anew at each write or belongs to the device."""

    def build(self, site: Site) -> Drift:
        mean, sd = site.per_chip(self.mean, 2, "drift.mean"), site.per_chip(self.sd, 2, "drift.sd")
        return _Constant(self.t0, self.nu == "fixed", mean, sd)
