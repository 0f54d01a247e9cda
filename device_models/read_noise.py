"""Read noise: what a device adds to its conductance in a read.

White Gaussian noise is independent between devices and between reads. A column that sums the currents of its devices,
driven by voltages x_i, then reads a Gaussian of variance sum_i x_i^2 Var(g_ij): the chip draws that one number per
column instead of one per device ("exact in distribution").

Noise with memory is split by its correlation time: what is faster than the spacing of passes is white; what is slower
than a learning step is a state of each device (`slow`); what lies between (`passing`) is drawn per column like the
white part, with its correlation from each pass to the next.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer
from torch import Tensor

from device_models.conductance_effect import ConductanceEffect, State
from device_models.effect import Description, Site
from device_models.limits import KNEE, SCALE, Limit
from device_models.programming import saturating
from device_models.spectrum import Relaxation
from device_models.units import Conductance, Factor, PerChip, Share, SignedFactor

_COEFFICIENT = Limit(-1000, 1000, "it stands for a shape: the size is `sigma`, in percent of G_max")


class ReadNoise(ABC):
    """Read noise of a population of chips.

    Attributes:
        uniform: whether the variance does not depend on the conductance; a product for it is then not needed.
        power: of the input's magnitude, in full scales, with which the variance of a device's current grows: 2 where a
            conductance fluctuates, 1 where the carriers of the current do, 0 where there is noise without a current.
        white: share of `variance` that is drawn anew in every pass.
        passing: what changes between passes and remembers; weights are shares of `variance`.
        slow: what outlives a step, or None.
    """

    uniform: bool = False
    power: int = 2
    white: float = 1.0
    passing: tuple[Relaxation, ...] = ()
    slow: ConductanceEffect | None = None

    @property
    def in_a_read(self) -> float:
        """Share of `variance` that is drawn in a read, with memory or without."""
        return self.white + sum(part.weight for part in self.passing)

    @abstractmethod
    def variance(self, g: Tensor, programmed: Tensor | None = None, state: State | None = None) -> Tensor:
        """The unit of `white` and of the weights of `passing`.

        Args:
            g: conductances, slow noise aside, siemens, shape (chips, out, rows).
            programmed: what they were right after the write, same shape; None: the same.
            state: of `slow`, where there is one.

        Returns:
            Siemens squared, shape (chips, out, rows), or (chips, 1, 1) where `uniform`.
        """


@dataclass(frozen=True)
class _Additive(ReadNoise):
    sigma: Tensor  # siemens, (chips, 1, 1)
    uniform = True

    def variance(self, g: Tensor, programmed: Tensor | None = None, state: State | None = None) -> Tensor:
        return self.sigma.square()


@dataclass(frozen=True)
class _Proportional(ReadNoise):
    sigma: Tensor  # share, (chips, 1, 1)

    def variance(self, g: Tensor, programmed: Tensor | None = None, state: State | None = None) -> Tensor:
        return (self.sigma * g).square()


@dataclass(frozen=True)
class _Polynomial(ReadNoise):
    coefficients: tuple[float, ...]
    g_max: float
    sigma: Tensor  # siemens, (chips, 1, 1)

    def variance(self, g: Tensor, programmed: Tensor | None = None, state: State | None = None) -> Tensor:
        r, total = g / self.g_max, g * 0
        for coefficient in reversed(self.coefficients):
            total.mul_(r).add_(coefficient)
        return total.clamp_(min=0).mul_(self.sigma).square_()


@dataclass(frozen=True)
class _Saturating(ReadNoise):
    sigma: Tensor  # siemens, (chips, 1, 1)
    knee: float  # siemens

    def variance(self, g: Tensor, programmed: Tensor | None = None, state: State | None = None) -> Tensor:
        return saturating(g, self.knee).mul_(self.sigma).square_()


class Scaled(Description):
    """Noise of any law, whose size may be scaled: so one axis goes through devices of several laws."""

    scale: PerChip[Annotated[Factor, SCALE]] = 1.0
    """Factor on its standard deviation, no unit; 1 is the device as described, and is left out where it is written."""

    @model_serializer(mode="wrap")
    def _without_one(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data = handler(self)
        return {key: value for key, value in data.items() if key != "scale" or value != 1.0}

    def scaled(self, site: Site, size: Any, name: str = "sigma") -> Tensor:
        """A setting of that name times the factor, as it is given, (C, 1, 1)."""
        return site.per_chip(size, 2, f"read_noise.{name}") * site.per_chip(self.scale, 2, "read_noise.scale")


class AdditiveReadNoise(Scaled):
    """G_read = G + sigma G_max xi, xi ~ N(0, 1): the same for every conductance."""

    kind: Literal["additive"] = "additive"
    sigma: PerChip[Share]
    """Standard deviation of one device's read, percent of G_max."""

    def build(self, site: Site) -> ReadNoise:
        return _Additive(self.scaled(site, self.sigma) * site.g_max)


class ProportionalReadNoise(Scaled):
    """G_read = G (1 + sigma xi), xi ~ N(0, 1): grows with the conductance."""

    kind: Literal["proportional"]
    sigma: PerChip[Share]
    """Standard deviation of one device's read, percent of its conductance."""

    def build(self, site: Site) -> ReadNoise:
        return _Proportional(self.scaled(site, self.sigma))


class PolynomialReadNoise(Scaled):
    """G_read = G + sigma G_max max(0, c0 + c1 r + c2 r^2 + ...) xi, r = G / G_max, xi ~ N(0, 1)."""

    kind: Literal["polynomial"]
    sigma: PerChip[Share]
    """Standard deviation of one device's read where the polynomial is 1, percent of G_max."""
    coefficients: tuple[Annotated[SignedFactor, _COEFFICIENT], ...] = Field(min_length=1)
    """c0, c1, ...; no unit."""

    def build(self, site: Site) -> ReadNoise:
        return _Polynomial(self.coefficients, site.g_max, self.scaled(site, self.sigma) * site.g_max)


class SaturatingReadNoise(Scaled):
    """G_read = G + sigma (1 - exp(-G / knee)) xi, xi ~ N(0, 1)."""

    kind: Literal["saturating"]
    sigma: PerChip[Conductance]
    """Standard deviation of one device's read far above the knee, siemens."""
    knee: Annotated[Conductance, KNEE]
    """Where the spread has reached 1 - 1/e of `sigma`, siemens."""

    def build(self, site: Site) -> ReadNoise:
        return _Saturating(self.scaled(site, self.sigma), self.knee)
