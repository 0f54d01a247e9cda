"""Programming noise: how far a device ends from the target of an absolute write.

G_prog = max(0, G_target + sigma(G_target) xi), xi ~ N(0, 1) drawn anew at each write of the device. The error of one
write is gone with the next: nothing accumulates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from device_models.effect import Description, Site
from device_models.limits import KNEE, SCALE, Limit
from device_models.units import Conductance, Factor, PerChip, SignedConductance


class Programming(ABC):
    """Programming noise of a population of chips.

    `numbers` says how many standard normal numbers a device takes at each write.
    """

    numbers: int = 1

    @abstractmethod
    def sigma(self, target: Tensor) -> Tensor:
        """Standard deviation of the conductance about its target, before the clamp at zero.

        Args:
            target: siemens, (chips, out, rows).

        Returns:
            Siemens, of a shape that broadcasts to the target's.
        """

    def program(self, target: Tensor, numbers: Sequence[Tensor]) -> Tensor:
        """Conductances after a write, siemens.

        Args:
            target: siemens, (chips, out, rows).
            numbers: as many tensors as `numbers` says, standard normal, same shape.
        """
        return (self.sigma(target) * numbers[0]).add_(target).clamp_(min=0)


@dataclass(frozen=True)
class _Polynomial(Programming):
    coefficients: tuple[float, ...]  # siemens
    g_max: float
    scale: Tensor  # (chips, 1, 1)

    def sigma(self, target: Tensor) -> Tensor:
        r = target / self.g_max
        total = r * 0
        for coefficient in reversed(self.coefficients):
            total.mul_(r).add_(coefficient)
        return total.clamp_(min=0) * self.scale


@dataclass(frozen=True)
class _Constant(Programming):
    value: Tensor  # siemens, (chips, 1, 1)

    def sigma(self, target: Tensor) -> Tensor:
        return self.value


@dataclass(frozen=True)
class _Saturating(Programming):
    value: Tensor  # siemens, (chips, 1, 1)
    knee: float  # siemens

    def sigma(self, target: Tensor) -> Tensor:
        return saturating(target, self.knee).mul_(self.value)


def saturating(g: Tensor, knee: float) -> Tensor:
    """1 - exp(-G / knee), to full precision at small conductances too."""
    return torch.expm1(g / -knee).neg_()


class PolynomialProgramming(Description):
    """sigma = scale (G_max / reference) max(0, c0 + c1 r + c2 r^2 + ...), r = G_target / G_max."""

    kind: Literal["polynomial"]
    coefficients: tuple[SignedConductance, ...] = Field(min_length=1)
    """c0, c1, ...: conductances, siemens, as measured on devices whose G_max is `reference`."""
    reference: Annotated[Conductance, Limit("1 pS", "1 S", "it is the G_max of the devices that were measured")]
    """G_max of the devices that were measured, siemens; the spread scales with the profile's own G_max."""
    scale: PerChip[Annotated[Factor, SCALE]] = 1.0
    """Factor on the spread, no unit; 1 is the published device."""

    def build(self, site: Site, where: str = "programming") -> Programming:
        scale = site.per_chip(self.scale, 2, f"{where}.scale") * (site.g_max / self.reference)
        return _Polynomial(self.coefficients, site.g_max, scale)


class ConstantProgramming(Description):
    """sigma is the same for every target."""

    kind: Literal["constant"]
    sigma: PerChip[Conductance]
    """Standard deviation, siemens."""

    def build(self, site: Site, where: str = "programming") -> Programming:
        return _Constant(site.per_chip(self.sigma, 2, f"{where}.sigma"))


class SaturatingProgramming(Description):
    """sigma (1 - exp(-G_target / knee)): as measured on charge-trap memory (Agrawal et al., IEDM 2022)."""

    kind: Literal["saturating"]
    sigma: PerChip[Conductance]
    """Standard deviation far above the knee, siemens."""
    knee: Annotated[Conductance, KNEE]
    """Where the spread has reached 1 - 1/e of `sigma`, siemens."""

    def build(self, site: Site, where: str = "programming") -> Programming:
        return _Saturating(site.per_chip(self.sigma, 2, f"{where}.sigma"), self.knee)


Spread = Annotated[PolynomialProgramming | ConstantProgramming | SaturatingProgramming, Field(discriminator="kind")]
"""A law of the spread about a target: that of a write, or that some time after one."""
