"""Pulsed update: what the families of pulse responses have in common, and how their devices come out of fabrication.

dw = dw_min |1 + s xi|, or log-normal of the same mean and sd; dw_up = dw (1 + asymmetry) and
dw_down = dw (1 - asymmetry), none below 0: half of the difference of the steps over their mean, as in the documentation
of IBM's aihwkit (`up_down`, Rasch et al., arXiv:2104.02184), where asymmetry and spread add instead:
dw (1 +- asymmetry + s xi), equal to first order.
Bounds are normal about the nominal ones, folded at the origin of the range, which no device's bounds cross.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal

import torch
from pydantic import model_validator
from torch import Tensor
from typing_extensions import Self

from device_models.effect import Description, Site
from device_models.limits import Limit
from device_models.pulse_response import Devices, PulseResponse
from device_models.units import Factor, PerChip, Share, SignedFactor, values

STEP = Limit(0, 1000, "it is a step within a range of order 1, and a device whose steps are 0 cannot learn", above=True)
SPREAD = Limit(0, 10, "published spreads are below 1; beyond 10 devices have nothing in common")
_STATE = Limit(-1000, 1000, "u is dimensionless; its range is of order 1")
_ASYMMETRY = Limit(-1, 1, "at 1 the weaker direction does nothing, and beyond it would go backwards")

BASE_NUMBERS = 6
"""Fabrication numbers that every family takes: step, asymmetry, low, high, which are corrupt, where they are stuck."""

_SMALLEST = 1e-6  # least distance of a bound from the origin of a device's range


class Bounds(Description):
    """Range of u and how it differs between devices."""

    low: Annotated[SignedFactor, _STATE] = -1.0
    """Mean lower bound, units of u; stands for G_min."""
    high: Annotated[SignedFactor, _STATE] = 1.0
    """Mean upper bound, units of u; stands for G_max."""
    low_spread: PerChip[Annotated[Factor, _STATE]] = 0.0
    """Standard deviation of the lower bound over devices, units of u."""
    high_spread: PerChip[Annotated[Factor, _STATE]] = 0.0
    """Standard deviation of the upper bound over devices, units of u."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low must lie below high (got low {self.low:g}, high {self.high:g})")
        return self

    @property
    def origin(self) -> float:
        """A point that no device's bounds cross: 0 where it lies in the range, else the middle."""
        return 0.0 if self.low <= 0 <= self.high else (self.low + self.high) / 2

    def to_conductance(self, u: Tensor, site: Site) -> Tensor:
        """Conductances that u stands for, siemens; what lies beyond the range is not clipped."""
        return site.g_min + (u - self.low) * ((site.g_max - site.g_min) / (self.high - self.low))

    def from_conductance(self, g: Tensor, site: Site) -> Tensor:
        """u of conductances in siemens."""
        return self.low + (g - site.g_min) * ((self.high - self.low) / (site.g_max - site.g_min))


class PulsedUpdate(Description, ABC):
    """What all families of pulse responses have in common; spreads are over devices, noise is over pulses."""

    dw_min: PerChip[Annotated[Factor, STEP]]
    """Mean step of a pulse where the step curve is 1, units of u."""
    device_to_device: PerChip[Annotated[Factor, SPREAD]] = 0.0
    """Standard deviation of the step over devices, relative to its mean, no unit."""
    law: Literal["normal", "log_normal"] = "normal"
    """Distribution of the step over devices; `normal` is folded at zero."""
    asymmetry: PerChip[Annotated[SignedFactor, _ASYMMETRY]] = 0.0
    """dw_up = dw (1 + asymmetry), dw_down = dw (1 - asymmetry); no unit."""
    asymmetry_spread: PerChip[Annotated[Factor, SPREAD]] = 0.0
    """Standard deviation of the asymmetry over devices, no unit."""
    bounds: Bounds = Bounds()
    """Range of u."""
    cycle_to_cycle: PerChip[Annotated[Factor, Limit(0, 1000, "the loudest published device has 5")]] = 0.0
    """Standard deviation of each pulse's step, relative to its mean, no unit."""
    step_noise: Literal["proportional", "additive"] = "proportional"
    """`proportional`: relative to the step where the device is; `additive`: to the step where the curve is 1."""
    write_noise: PerChip[Annotated[Factor, Limit(0, 1e6, "the loudest published device has 75")]] = 0.0
    """Standard deviation of the visible about the hidden state, in units of dw_min; new at each write of a device."""
    corrupt: PerChip[Share] = 0.0
    """Share of devices that do not move, percent."""
    corrupt_range: Share = 1.0
    """Part of the nominal range, about its middle, in which corrupt devices are stuck, percent."""

    @property
    def fabricated(self) -> int:
        """Standard normal numbers that the fabrication of a device takes."""
        return BASE_NUMBERS

    @abstractmethod
    def build(self, site: Site, numbers: Tensor) -> PulseResponse:
        """Fabricate devices; numbers: standard normal, (C, `fabricated`, out, rows)."""

    def devices(self, site: Site, numbers: Tensor) -> Devices:
        """Fabricate.

        Args:
            site: of the population.
            numbers: standard normal, (C, `fabricated`, out, rows).
        """

        def per_chip(name: str, holder: Any = self) -> Tensor:
            return site.per_chip(getattr(holder, name), 2, f"update.{name}")

        if numbers.dim() != 4 or numbers.shape[:2] != (site.chips, self.fabricated):
            raise ValueError(
                f"fabrication takes numbers of shape ({site.chips}, {self.fabricated}, out, rows) "
                f"(got {tuple(numbers.shape)})"
            )
        step, tilt, lower, upper, chosen, place = numbers[:, :BASE_NUMBERS].unbind(1)
        dw_min, spread = per_chip("dw_min"), per_chip("device_to_device")
        if self.law == "normal":
            dw = dw_min * (1 + spread * step).abs()
        else:
            variance = torch.log1p(spread.square())
            dw = dw_min * torch.exp(variance.sqrt() * step - variance / 2)
        asymmetry = per_chip("asymmetry") + per_chip("asymmetry_spread") * tilt
        bounds, origin = self.bounds, self.bounds.origin
        reach = bounds.high - origin + per_chip("high_spread", bounds) * upper
        depth = origin - bounds.low + per_chip("low_spread", bounds) * lower
        middle, width = (bounds.low + bounds.high) / 2, (bounds.high - bounds.low) * self.corrupt_range
        cycle, write = per_chip("cycle_to_cycle"), per_chip("write_noise")
        return Devices(
            low=origin - depth.abs().clamp_min(_SMALLEST * (bounds.low < origin)),
            high=origin + reach.abs().clamp_min(_SMALLEST * (bounds.high > origin)),
            up=dw * (1 + asymmetry).clamp_min(0),
            down=dw * (1 - asymmetry).clamp_min(0),
            corrupt=_uniform(chosen) < per_chip("corrupt"),
            stuck=middle + width * (_uniform(place) - 0.5),
            cycle=cycle,
            write_noise=write * dw_min,
            additive=self.step_noise == "additive",
            noisy=max(values(self.cycle_to_cycle)) > 0,
            written_noisily=max(values(self.write_noise)) > 0,
        )


def _uniform(xi: Tensor) -> Tensor:
    """Uniform numbers from standard normal ones."""
    return torch.special.ndtr(xi)
