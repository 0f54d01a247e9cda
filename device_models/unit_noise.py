"""Unit noise: what a unit itself adds to its pre-activation, once per pass, after the digital sum over its tiles.

A stochastic magnetic tunnel junction, read once in each pass through its unit, is a telegraph between two levels:

    n_t = mean + amplitude s_t + sigma xi_t,     s_t = +-1,     s_{t+1} = -s_t with probability p

Both signs are equally likely at first, so n has variance amplitude^2 + sigma^2, and two values k passes apart have the
covariance amplitude^2 (1 - 2 p)^k. Figures of a junction: mean 0.042092104, amplitude 0.0059316154, sigma
0.00090841466, p = 0.0809 (Koenders et al., Phys. Rev. Applied 23, 054035 (2025); from the simulation that the authors
published with it). The difference of two successive passes then has 5.5 times less variance than that of two passes far
apart: 2 (2 p amplitude^2 + sigma^2) instead of 2 (amplitude^2 + sigma^2).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from device_models.effect import Description, Site
from device_models.limits import Limit
from device_models.units import Factor, PerChip, Share, SignedFactor

_SIZE = Limit(0, 1e6, "pre-activations are of order 1")
_LEVEL = Limit(-1e6, 1e6, "pre-activations are of order 1")


class UnitNoise(ABC):
    """Noise of the units of a population of chips.

    `lanes` says how many standard normal numbers a unit takes in each pass.
    """

    lanes: int = 1

    @abstractmethod
    def values(self, numbers: Tensor, last: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Noise of T passes that follow each other.

        Args:
            numbers: standard normal, (C, T, lanes, ...).
            last: what the noise was in before, (C, ...), as an earlier call returned it; None: it begins.

        Returns:
            The noise, in units of the pre-activations, (C, T, ...); and what it is in after the last of the passes,
            None where it remembers nothing.
        """


def _like(value: Tensor, numbers: Tensor) -> Tensor:
    """(C,) so that it goes with (C, ...)."""
    return value.reshape(-1, *(1,) * (numbers.dim() - 1))


@dataclass(frozen=True)
class _Gaussian(UnitNoise):
    sigma: Tensor  # (C,)

    def values(self, numbers: Tensor, last: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        z = numbers[:, :, 0]
        return z * _like(self.sigma, z), None


@dataclass(frozen=True)
class _Bernoulli(UnitNoise):
    low: Tensor  # (C,), as the others
    high: Tensor
    probability: Tensor

    def values(self, numbers: Tensor, last: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        z = numbers[:, :, 0]
        up = torch.special.ndtr(z) < _like(self.probability, z)
        return torch.where(up, _like(self.high, z), _like(self.low, z)), None


@dataclass(frozen=True)
class _Telegraph(UnitNoise):
    mean: Tensor  # (C,), as the others
    amplitude: Tensor
    flip: Tensor
    sigma: Tensor
    lanes = 2

    def values(self, numbers: Tensor, last: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        z, xi = numbers.unbind(2)
        flips = torch.special.ndtr(z) < _like(self.flip, z)
        if last is None:
            flips[:, 0] = z[:, 0] < 0
        signs = torch.where(flips, -1.0, 1.0).to(z).cumprod(1)
        if last is not None:
            signs = signs * last[:, None]
        noise = _like(self.mean, z) + _like(self.amplitude, z) * signs + _like(self.sigma, z) * xi
        return noise, signs[:, -1]


class GaussianUnitNoise(Description):
    """White Gaussian noise."""

    kind: Literal["gaussian"]
    sigma: PerChip[Annotated[Factor, _SIZE]]
    """Standard deviation, in units of the pre-activations."""

    def build(self, site: Site) -> UnitNoise:
        return _Gaussian(site.per_chip(self.sigma, 0, "unit_noise.sigma"))


class BernoulliUnitNoise(Description):
    """One of two values in each pass, independent of the pass before."""

    kind: Literal["bernoulli"]
    low: PerChip[Annotated[SignedFactor, _LEVEL]]
    """The one value, in units of the pre-activations."""
    high: PerChip[Annotated[SignedFactor, _LEVEL]]
    """The other value, in units of the pre-activations."""
    probability: PerChip[Share]
    """Of `high`, percent."""

    def build(self, site: Site) -> UnitNoise:
        low, high = (site.per_chip(getattr(self, name), 0, f"unit_noise.{name}") for name in ("low", "high"))
        return _Bernoulli(low, high, site.per_chip(self.probability, 0, "unit_noise.probability"))


class TelegraphUnitNoise(Description):
    """Two levels, with memory from each pass through the unit to the next: a stochastic magnetic tunnel junction."""

    kind: Literal["telegraph"]
    mean: PerChip[Annotated[SignedFactor, _LEVEL]] = 0.0
    """Middle of the levels, in units of the pre-activations."""
    amplitude: PerChip[Annotated[Factor, _SIZE]]
    """Half the distance of the levels, in units of the pre-activations."""
    flip: PerChip[Share]
    """Probability of changing the level from one pass to the next, percent."""
    sigma: PerChip[Annotated[Factor, _SIZE]] = 0.0
    """Standard deviation of white noise besides, in units of the pre-activations."""

    def build(self, site: Site) -> UnitNoise:
        names = ("mean", "amplitude", "flip", "sigma")
        return _Telegraph(*(site.per_chip(getattr(self, name), 0, f"unit_noise.{name}") for name in names))
