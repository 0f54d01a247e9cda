"""Read noise: what a device adds to its conductance anew in every read.

White Gaussian noise, independent between devices and between reads. A column that sums the currents of its devices,
driven by voltages x_i, then reads a Gaussian of variance sum_i x_i^2 Var(g_ij): the chip draws that one number per
column instead of one per device ("exact in distribution").
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from device_models.effect import Description, Site
from device_models.slow_noise import SlowNoise
from device_models.units import PerChip, Share


class ReadNoise(ABC):
    """Read noise of a population of chips.

    `uniform` says that the variance does not depend on the conductance; a product for the variance is then not needed.
    `slow` is the part of the noise that outlives a step, or None.
    """

    uniform: bool
    slow: SlowNoise | None = None

    @abstractmethod
    def variance(self, g: Tensor, programmed: Tensor | None = None) -> Tensor:
        """Variance of one read.

        Args:
            g: conductances, slow noise aside, siemens, shape (chips, out, rows).
            programmed: what they were right after the write, same shape; None: the same.

        Returns:
            Siemens squared, shape (chips, out, rows), or (chips, 1, 1) where `uniform`.
        """


@dataclass(frozen=True)
class _Additive(ReadNoise):
    sigma: Tensor  # siemens, (chips, 1, 1)
    uniform = True

    def variance(self, g: Tensor, programmed: Tensor | None = None) -> Tensor:
        return self.sigma.square()


@dataclass(frozen=True)
class _Proportional(ReadNoise):
    sigma: Tensor  # share, (chips, 1, 1)
    uniform = False

    def variance(self, g: Tensor, programmed: Tensor | None = None) -> Tensor:
        return (self.sigma * g).square()


class AdditiveReadNoise(Description):
    """G_read = G + sigma G_max xi, xi ~ N(0, 1): the same for every conductance."""

    kind: Literal["additive"] = "additive"
    sigma: PerChip[Share]
    """Standard deviation of one device's read, percent of G_max."""

    def build(self, site: Site) -> ReadNoise:
        return _Additive(site.per_chip(self.sigma, 2, "read_noise.sigma") * site.g_max)


class ProportionalReadNoise(Description):
    """G_read = G (1 + sigma xi), xi ~ N(0, 1): grows with the conductance."""

    kind: Literal["proportional"]
    sigma: PerChip[Share]
    """Standard deviation of one device's read, percent of its conductance."""

    def build(self, site: Site) -> ReadNoise:
        return _Proportional(site.per_chip(self.sigma, 2, "read_noise.sigma"))
