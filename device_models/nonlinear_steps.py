"""Pulse responses without an elementary closed form: exponential and power-law step curves.

Their recursion u <- u + dw f(u) is solved as it stands, pulse by pulse: no differential equation stands in for it.
Devices are sorted by their number of pulses, and pulse k is worked out only for those that receive it, so the cost is
the number of pulses that are given, not devices times the largest number.

Cycle-to-cycle noise: a Gaussian is carried along instead of a point. Its mean m and variance V are renewed at each
pulse from the points m, m +- sqrt(3 V) with weights 2/3, 1/6, 1/6 (Gauss-Hermite quadrature),

    m <- E[u'],   V <- Var[u'] + (dw sigma)^2 E[f^2],   u' = c + dw f(c),   c = clip(u)

with 1 in the place of f^2 where noise is additive.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import model_validator
from torch import Tensor
from typing_extensions import Self

from device_models.effect import Site
from device_models.limits import Limit
from device_models.pulse_response import Devices, PulseResponse
from device_models.pulsed_update import BASE_NUMBERS, SPREAD, PulsedUpdate
from device_models.units import Factor, PerChip, SignedFactor, values

_GAMMA = Limit(0, 100, "published exponents are 5 and below; at 100 all of a curve lies at one bound")
_A = Limit(-1e6, 1e6, "it is how many times its own size a step grows by at z = 0")
_Z = Limit(-100, 100, "z is an exponent's argument, of order 1")

_POINTS = (-(3.0**0.5), 0.0, 3.0**0.5)
_WEIGHTS = (1 / 6, 2 / 3, 1 / 6)


class _Recursion(PulseResponse):
    """Moments by recursion; a family gives its curve and the parameters of its devices."""

    @abstractmethod
    def parameters(self, up: bool) -> tuple[Tensor, ...]:
        """What `curve` needs of each device, of shapes that broadcast to (C, out, rows)."""

    @abstractmethod
    def curve(self, u: Tensor, up: bool, *parameters: Tensor) -> Tensor:
        """f(u) >= 0; parameters shaped as u, or as `parameters` gives them."""

    def rate(self, u: Tensor, up: bool) -> Tensor:
        return self.curve(u, up, *self.parameters(up))

    def moments(self, u: Tensor, counts: Tensor, up: bool, noisy: bool) -> tuple[Tensor, Tensor | None]:
        d = self.devices
        order = counts.flatten().argsort(descending=True)
        ranked = counts.flatten()[order]
        most = int(ranked[0].item()) if len(ranked) else 0
        due = (len(ranked) - torch.searchsorted(ranked.flip(0).contiguous(), _steps(most, ranked), right=True)).tolist()

        def pick(x: Tensor) -> Tensor:
            return x.expand_as(u).flatten()[order]

        dw = pick(d.up) if up else -pick(d.down)
        low, high, noise = pick(d.low), pick(d.high), (dw * pick(d.cycle)).square()
        parameters = [pick(x) for x in self.parameters(up)]
        mean, variance = pick(u), torch.zeros_like(noise)
        for n in due:  # those that receive pulse k come first
            part, bounds = [x[:n] for x in parameters], (low[:n], high[:n])
            if not noisy:
                mean[:n] += dw[:n] * self.curve(mean[:n], up, *part)  # beyond a bound it stays there
                continue
            spread, power = variance[:n].sqrt(), torch.zeros_like(mean[:n])
            ends = []
            for point, weight in zip(_POINTS, _WEIGHTS, strict=True):
                at = _clip(mean[:n] + point * spread, *bounds)
                f = self.curve(at, up, *part)
                ends.append(at + dw[:n] * f)
                power += weight * f.square()
            shift = sum(weight * (end - ends[1]) for weight, end in zip(_WEIGHTS, ends, strict=True))
            around = sum(weight * (end - ends[1] - shift).square() for weight, end in zip(_WEIGHTS, ends, strict=True))
            mean[:n], variance[:n] = ends[1] + shift, around + noise[:n] * (1 if d.additive else power)
        back = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        return mean[back].view_as(u), variance[back].view_as(u) if noisy else None


def _steps(most: int, like: Tensor) -> Tensor:
    return torch.arange(most, dtype=like.dtype, device=like.device)


def _clip(u: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(u, low), high)


@dataclass(frozen=True)
class _Exponential(_Recursion):
    devices: Devices
    a: float
    b: float
    amplitude: tuple[Tensor, Tensor]  # down, up, (C, 1, 1)
    gamma: tuple[Tensor, Tensor]

    def parameters(self, up: bool) -> tuple[Tensor, ...]:
        slope = 2 * self.a / (self.devices.high - self.devices.low)
        sign = 1 if up else -1
        return slope * self.gamma[up] * sign, self.b * self.gamma[up] * sign, self.amplitude[up]

    def curve(self, u: Tensor, up: bool, *parameters: Tensor) -> Tensor:
        slope, offset, amplitude = parameters
        return (1 - amplitude * torch.exp(slope * u + offset)).clamp_min(0)


@dataclass(frozen=True)
class _Power(_Recursion):
    devices: Devices
    gamma: tuple[Tensor, Tensor]  # down, up, (C, out, rows)

    def parameters(self, up: bool) -> tuple[Tensor, ...]:
        return self.devices.low, self.devices.high, self.gamma[up]

    def curve(self, u: Tensor, up: bool, *parameters: Tensor) -> Tensor:
        low, high, gamma = parameters
        left = high - u if up else u - low
        return (left / (high - low)).clamp(0, 1).pow(gamma)


class ExponentialStep(PulsedUpdate):
    """f_up = max(0, 1 - A_up exp(gamma_up z)), f_down = max(0, 1 - A_down exp(-gamma_down z)).

    z = 2 a u / (high - low) + b, with the device's own bounds. Documentation of IBM's aihwkit, `ExpStepDevice`
    (Rasch et al., arXiv:2104.02184); a fit to the resistive memory of Gong et al., Nat. Commun. 9:2102 (2018) has
    a = b = -0.5, gamma = 5, A_up = -1.18445, A_down = -0.081404.
    """

    kind: Literal["exponential_step"]
    a_up: PerChip[Annotated[SignedFactor, _A]]
    """A of steps up, no unit; of the sign of `a`, or 0."""
    a_down: PerChip[Annotated[SignedFactor, _A]]
    """A of steps down, no unit; of the sign of `a`, or 0."""
    gamma_up: PerChip[Annotated[Factor, _GAMMA]]
    """Exponent of steps up, per unit of z; no unit."""
    gamma_down: PerChip[Annotated[Factor, _GAMMA]]
    """Exponent of steps down, per unit of z; no unit."""
    a: Annotated[SignedFactor, _Z] = 1.0
    """Change of z over half the range, no unit."""
    b: Annotated[SignedFactor, _Z] = 0.0
    """z at u = 0, no unit."""

    @model_validator(mode="after")
    def _falling(self) -> Self:
        for name in ("a_up", "a_down"):
            if any(value * self.a < 0 for value in values(getattr(self, name))):
                raise ValueError(
                    f"{name} and a must not differ in sign, or steps would grow towards the bound that they lead to"
                )
        return self

    def build(self, site: Site, numbers: Tensor) -> PulseResponse:
        """Fabricate; numbers: standard normal, (C, `fabricated`, out, rows)."""

        def pair(name: str) -> tuple[Tensor, Tensor]:
            down, up = (site.per_chip(getattr(self, f"{name}_{end}"), 2, f"update.{name}_{end}") for end in _ENDS)
            return down, up

        return _Exponential(self.devices(site, numbers), self.a, self.b, pair("a"), pair("gamma"))


class PowerStep(PulsedUpdate):
    """f_up = ((high - u) / (high - low))^gamma_up, f_down = ((u - low) / (high - low))^gamma_down, own bounds.

    The step is dw_min at the bound that it leads away from. Fusi and Abbott, Nat. Neurosci. 10:485 (2007); Frascaroli
    et al., Sci. Rep. 8:7178 (2018); documentation of IBM's aihwkit, `PowStepDevice`.
    """

    kind: Literal["power_step"]
    gamma_up: PerChip[Annotated[Factor, _GAMMA]] = 1.0
    """Exponent of steps up, no unit."""
    gamma_down: PerChip[Annotated[Factor, _GAMMA]] = 1.0
    """Exponent of steps down, no unit."""
    gamma_up_spread: PerChip[Annotated[Factor, SPREAD]] = 0.0
    """Standard deviation of gamma_up over devices, no unit; the exponent is folded at zero."""
    gamma_down_spread: PerChip[Annotated[Factor, SPREAD]] = 0.0
    """Standard deviation of gamma_down over devices, no unit; the exponent is folded at zero."""

    @property
    def fabricated(self) -> int:
        return BASE_NUMBERS + 2

    def build(self, site: Site, numbers: Tensor) -> PulseResponse:
        """Fabricate; numbers: standard normal, (C, `fabricated`, out, rows)."""
        devices = self.devices(site, numbers)

        def exponent(end: str, xi: Tensor) -> Tensor:
            mean, spread = f"gamma_{end}", f"gamma_{end}_spread"
            sd = site.per_chip(getattr(self, spread), 2, f"update.{spread}")
            return (site.per_chip(getattr(self, mean), 2, f"update.{mean}") + sd * xi).abs()

        up, down = numbers[:, BASE_NUMBERS:].unbind(1)
        return _Power(devices, (exponent("down", down), exponent("up", up)))


_ENDS = ("down", "up")
