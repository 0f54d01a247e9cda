"""Noise with memory as a sum of relaxations.

A relaxation is a stationary Gaussian process of variance w and autocovariance w exp(-|tau| / tau_c): an
Ornstein-Uhlenbeck process, whose one-sided spectrum is 4 w tau_c / (1 + (2 pi f tau_c)^2). Relaxations with weights

    dw = sin(pi a / 2) (2 pi tau_c / 1 s)^(a - 1) d ln tau_c        0 < a < 2

add up to the spectrum f^-a (1 Hz = 1), between the ends of the range of tau_c (McWhorter 1957 for a = 1). Here a range
is cut into bins of at most a decade, each one relaxation at the bin's middle: for a = 1 the sum's autocovariance then
ripples by +-0.04 about that of the continuum, which falls by 2.3 a decade.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Relaxation:
    """One relaxation.

    Attributes:
        weight: variance, in units of the noise's amplitude squared.
        tau: correlation time, seconds.
        duty: None for a Gaussian; for a telegraph the share of the time in its upper level.
    """

    weight: float
    tau: float
    duty: float | None = None

    def correlation(self, spacing: float) -> float:
        """Correlation of its values `spacing` seconds apart."""
        return math.exp(-spacing / self.tau)


@dataclass(frozen=True)
class Powers:
    """The density of weights of a spectrum f^-slope."""

    slope: float

    def weight(self, low: float, high: float) -> float:
        """Variance of the relaxations between two correlation times, seconds."""
        return max(0.0, self.primitive(high) - self.primitive(low))

    def primitive(self, tau: float) -> float:
        """The integral of the density up to tau, but for a constant."""
        return math.log(tau) if self.slope == 1 else self._factor * tau ** (self.slope - 1)

    @property
    def _factor(self) -> float:
        power = self.slope - 1
        return math.sin(math.pi * self.slope / 2) * (2 * math.pi) ** power / power


def edges(low: float, high: float) -> list[float]:
    """Ends of equal bins of at most a decade between two times."""
    count = max(1, math.ceil(math.log10(high / low) - 1e-9))
    return [low * (high / low) ** (index / count) for index in range(count + 1)]


def middle(low: float, high: float) -> float:
    """The correlation time that stands for a bin."""
    return math.sqrt(low * high)
