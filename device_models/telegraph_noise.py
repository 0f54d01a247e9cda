"""Noise of one correlation time tau: a Gaussian relaxation, and the random telegraph of a single trap.

A relaxation has the autocovariance A^2 exp(-|t| / tau). A telegraph switches between two levels that lie `amplitude`
apart. It is up for a share `duty` of the time; its dwell times are exponential, with means tau / duty below and
tau / (1 - duty) above; its autocovariance is the same exponential with A = amplitude sqrt(duty (1 - duty)) (Machlup,
J. Appl. Phys. 25:341, 1954). A device's programmed conductance is the mean over both levels, but where the lower one
would lie below zero and is held there.

A telegraph slower than a step is a two-valued state of the device. A faster one is drawn per column: variance and
memory are exact, and its shape is that of a sum over the column's devices, which two levels approach as the devices
grow in number (excess kurtosis (1 / (duty (1 - duty)) - 6) / n for n equal ones); `sampling="device"` switches each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from device_models.conductance_effect import ConductanceEffect, State
from device_models.effect import Site
from device_models.limits import CORRELATION_TIME, Limit
from device_models.read_noise import ReadNoise, Scaled
from device_models.slow_noise import DUE, SlowNoise
from device_models.spectrum import Relaxation
from device_models.units import Factor, PerChip, Share, Time

Reference = Literal["conductance", "g_max"]


@dataclass(frozen=True)
class _Size:
    """A share of the conductance, or of G_max; siemens."""

    share: Tensor  # (chips, 1, 1)
    g_max: float | None  # None: of the conductance

    def __call__(self, g: Tensor) -> Tensor:
        return self.share * (g if self.g_max is None else self.g_max)


@dataclass(frozen=True)
class _SlowRelaxation(SlowNoise):
    size: _Size
    taus: tuple[float, ...]  # type: ignore[misc]

    def amplitude(self, g: Tensor, programmed: Tensor) -> Tensor:
        return self.size(g)

    def weights(self, elapsed: Tensor) -> Sequence[Tensor]:
        return (torch.ones((), dtype=elapsed.dtype, device=elapsed.device),)


@dataclass(frozen=True)
class _Trap(ConductanceEffect):
    """Which devices have a trap; and, where it is slower than a step, whether it is up."""

    size: _Size
    duty: float
    share: Tensor  # of the devices, (chips, 1, 1)
    tau: float | None  # seconds; None: faster than a step
    fabricated = 2

    @property
    def ages(self) -> bool:  # type: ignore[override]
        return self.tau is not None

    def fabricate(self, numbers: Sequence[Tensor]) -> State:
        has, up = (torch.special.ndtr(xi) for xi in numbers)
        return {"has": has < self.share, "up": up < self.duty, "moved": None}

    def touch(self, state: State, written: Tensor, now: float) -> None:
        if state["moved"] is None:
            state["moved"] = now

    def moves_at(self, state: State) -> float:
        return math.inf if self.tau is None else state["moved"] + DUE * self.tau

    def moving(self, state: State, now: float) -> int:
        return 0 if self.tau is None or now <= state["moved"] else 1

    def move(self, state: State, now: float, numbers: Sequence[Tensor]) -> None:
        if self.tau is None or now <= state["moved"]:
            return
        (xi,) = numbers
        kept = math.exp(-(now - state["moved"]) / self.tau)
        chance = state["up"].to(xi.dtype).sub_(self.duty).mul_(kept).add_(self.duty)
        state |= {"up": torch.special.ndtr(xi) < chance, "moved": now}

    def apply(self, g: Tensor, programmed: Tensor, state: State, elapsed: Tensor | None) -> Tensor:
        if self.tau is None:
            return g
        level = state["up"].to(g.dtype).sub_(self.duty).mul_(state["has"])
        return (self.size(g) * level).add_(g).clamp_(min=0)


@dataclass(frozen=True)
class _OneTime(ReadNoise):
    size: _Size
    spread: float  # standard deviation in units of the size
    white: float  # type: ignore[misc]
    passing: tuple[Relaxation, ...]  # type: ignore[misc]
    slow: ConductanceEffect | None  # type: ignore[misc]

    def variance(self, g: Tensor, programmed: Tensor | None = None, state: State | None = None) -> Tensor:
        value = (self.size(g) * self.spread).square_().expand_as(g)
        return value if not state or "has" not in state else value * state["has"]


def _split(site: Site, tau: float, duty: float | None = None) -> tuple[float, tuple[Relaxation, ...], bool]:
    """(white share, relaxations between passes, whether it outlives a step) of a correlation time."""
    ends = site.split(0.0)
    if tau >= ends.slow:
        return 0.0, (), True
    return (1.0, (), False) if tau < ends.passing else (0.0, (Relaxation(1.0, tau, duty),), False)


class RelaxationNoise(Scaled):
    """Gaussian noise of one correlation time: a Lorentzian spectrum."""

    kind: Literal["lorentzian"]
    sigma: PerChip[Share]
    """Standard deviation, percent of what `relative_to` says."""
    tau: Annotated[Time, CORRELATION_TIME]
    """Correlation time, seconds."""
    relative_to: Reference = "conductance"
    """What sigma is a share of: the device's own conductance, or G_max."""

    def build(self, site: Site) -> ReadNoise:
        size = _Size(self.scaled(site, self.sigma), site.g_max if self.relative_to == "g_max" else None)
        white, passing, slow = _split(site, self.tau)
        return _OneTime(size, 1.0, white, passing, _SlowRelaxation(size, (self.tau,)) if slow else None)


class TelegraphNoise(Scaled):
    """A trap in some devices: two levels, exponential dwell times."""

    kind: Literal["telegraph"]
    amplitude: PerChip[Share]
    """Distance of the levels, percent of what `relative_to` says."""
    tau: Annotated[Time, CORRELATION_TIME]
    """Correlation time, seconds: the inverse of the sum of both switching rates."""
    duty: Annotated[Factor, Limit(0, 1, "a trap that never switches makes no noise", above=True, below=True)] = 0.5
    """Share of the time in the upper level, no unit."""
    share: PerChip[Share] = 1.0
    """Of the devices that have a trap, percent."""
    relative_to: Reference = "conductance"
    """What the amplitude is a share of: the device's own conductance, or G_max."""

    def build(self, site: Site) -> ReadNoise:
        size = _Size(
            self.scaled(site, self.amplitude, "amplitude"),
            site.g_max if self.relative_to == "g_max" else None,
        )
        white, passing, slow = _split(site, self.tau, self.duty)
        share = site.per_chip(self.share, 2, "read_noise.share")
        trap = _Trap(size, self.duty, share, self.tau if slow else None)
        return _OneTime(size, math.sqrt(self.duty * (1 - self.duty)), white, passing, trap)
