"""Pulse responses with a closed form: constant steps, steps that change linearly with the state, soft bounds, ideal.

Linear step curves f(u) = 1 + s u, s <= 0, in the direction up (down: mirrored). With h = s dw each pulse multiplies f
by 1 + h, so

    f(u_n) = f(u_0) (1 + h)^n,      u_n = u_0 + dw f(u_0) ((1 + h)^n - 1) / h

and its variance about this mean is exact too. Proportional noise multiplies f by 1 + h (1 + sigma xi) instead:

    Var u_n = (dw f(u_0) / h)^2 (1 + h)^2n [(1 + q^2)^n - 1],      q = h sigma / (1 + h)

Additive noise makes u an autoregressive process: Var u_n = (dw sigma)^2 ((1 + h)^2n - 1) / ((1 + h)^2 - 1). All three
are written with expm1 and log1p, so that they become n dw, n (dw sigma)^2 and n (dw sigma)^2 for h -> 0 without a
branch. The step curve is never below 0: where it vanishes, a pulse does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import model_validator
from torch import Tensor
from typing_extensions import Self

from device_models.effect import Site
from device_models.limits import Limit
from device_models.pulse_response import Devices, PulseResponse
from device_models.pulsed_update import BASE_NUMBERS, SPREAD, STEP, PulsedUpdate
from device_models.units import Factor, PerChip

_GAMMA = Limit(0, 10, "at 1 the steps have vanished at the bound; published ones are below 1")


@dataclass(frozen=True)
class _Constant(PulseResponse):
    devices: Devices

    def rate(self, u: Tensor, up: bool) -> Tensor:
        return torch.ones_like(u)

    def moments(self, u: Tensor, counts: Tensor, up: bool, noisy: bool) -> tuple[Tensor, Tensor | None]:
        d, n = self.devices, counts.to(u.dtype)
        dw = d.up if up else d.down
        mean = u + n * dw if up else u - n * dw
        return mean, n * (dw * d.cycle).square() if noisy else None

    def symmetry_point(self) -> Tensor:
        d = self.devices
        end = torch.where(d.up > d.down, d.high, d.low)
        return d.settle(torch.where(d.up == d.down, (d.low + d.high) / 2, end))


@dataclass(frozen=True)
class _Linear(PulseResponse):
    devices: Devices
    fall_up: Tensor  # -df/du of steps up, not negative, (C, out, rows) or (C, 1, 1)
    fall_down: Tensor  # df/du of steps down, not negative

    def rate(self, u: Tensor, up: bool) -> Tensor:
        return (1 - self.fall_up * u if up else 1 + self.fall_down * u).clamp_min(0)

    def moments(self, u: Tensor, counts: Tensor, up: bool, noisy: bool) -> tuple[Tensor, Tensor | None]:
        d, n = self.devices, counts.to(u.dtype)
        dw, fall = (d.up, self.fall_up) if up else (d.down, self.fall_down)
        size = dw * self.rate(u, up)  # of the first step
        h = (-fall * dw).clamp_max(-(torch.finfo(u.dtype).tiny ** 0.4))  # not 0, and its square is a float
        far = h <= -1  # one step reaches the point where steps vanish, or passes it: none follow
        log = torch.log1p(torch.where(far, -0.5, h))
        length = torch.where(far, n.clamp_max(1), torch.expm1(n * log) / h)
        mean = u + size * length if up else u - size * length
        if not noisy:
            return mean, None
        if d.additive:
            path = torch.where(far, n.clamp_max(1), torch.expm1(2 * n * log) / (h * (2 + h)))
            return mean, (dw * d.cycle).square() * path
        q = h * d.cycle / torch.where(far, 0.5, 1 + h)
        path = torch.exp(2 * n * log) * torch.expm1(n * torch.log1p(q.square())) / h.square()
        return mean, size.square() * torch.where(far, n.clamp_max(1) * d.cycle.square(), path)

    def symmetry_point(self) -> Tensor:
        d = self.devices
        slope = d.up * self.fall_up + d.down * self.fall_down
        excess = d.up - d.down
        return d.settle(torch.where(excess == 0, (d.low + d.high) / 2 * (slope == 0), excess / slope))


@dataclass(frozen=True)
class _Ideal(PulseResponse):
    devices: Devices

    def rate(self, u: Tensor, up: bool) -> Tensor:
        return torch.ones_like(u)

    def moments(self, u: Tensor, counts: Tensor, up: bool, noisy: bool) -> tuple[Tensor, Tensor | None]:
        change = counts * self.devices.up
        return u + change if up else u - change, None

    def symmetry_point(self) -> Tensor:
        return (self.devices.low + self.devices.high) / 2


class ConstantStep(PulsedUpdate):
    """f = 1: all steps are alike up to hard bounds (Gokmen and Vlasov, Front. Neurosci. 10:333, 2016)."""

    kind: Literal["constant_step"]

    def build(self, site: Site, numbers: Tensor) -> PulseResponse:
        """Fabricate; numbers: standard normal, (C, `fabricated`, out, rows)."""
        return _Constant(self.devices(site, numbers))


class LinearStep(PulsedUpdate):
    """f_up = 1 - |gamma_up| u / high, f_down = 1 - |gamma_down| u / low, with the nominal bounds.

    gamma is the share by which a step has shrunk at the bound; 1 would be soft bounds (documentation of IBM's aihwkit,
    `LinearStepDevice` with `mean_bound_reference`; Rasch et al., arXiv:2104.02184).
    """

    kind: Literal["linear_step"]
    gamma_up: PerChip[Annotated[Factor, _GAMMA]] = 0.0
    """Share by which a step up has shrunk at the upper bound, against u = 0; no unit."""
    gamma_down: PerChip[Annotated[Factor, _GAMMA]] = 0.0
    """Share by which a step down has shrunk at the lower bound, against u = 0; no unit."""
    gamma_up_spread: PerChip[Annotated[Factor, SPREAD]] = 0.0
    """Standard deviation of gamma_up over devices, no unit."""
    gamma_down_spread: PerChip[Annotated[Factor, SPREAD]] = 0.0
    """Standard deviation of gamma_down over devices, no unit."""

    @model_validator(mode="after")
    def _around_zero(self) -> Self:
        _check_around_zero(self)
        return self

    @property
    def fabricated(self) -> int:
        return BASE_NUMBERS + 2

    def build(self, site: Site, numbers: Tensor) -> PulseResponse:
        """Fabricate; numbers: standard normal, (C, `fabricated`, out, rows)."""
        devices = self.devices(site, numbers)
        up, down = numbers[:, BASE_NUMBERS:].unbind(1)
        up = site.per_chip(self.gamma_up, 2, "update.gamma_up") + up * site.per_chip(
            self.gamma_up_spread, 2, "update.gamma_up_spread"
        )
        down = site.per_chip(self.gamma_down, 2, "update.gamma_down") + down * site.per_chip(
            self.gamma_down_spread, 2, "update.gamma_down_spread"
        )
        return _Linear(devices, up.abs() / self.bounds.high, down.abs() / -self.bounds.low)


class SoftBounds(PulsedUpdate):
    """f_up = 1 - u / high, f_down = 1 - u / low, with the device's own bounds: steps vanish there.

    Fusi and Abbott, Nat. Neurosci. 10:485 (2007); arrays of resistive memory: Gong and Rasch et al., IEDM 2022.
    """

    kind: Literal["soft_bounds"]

    @model_validator(mode="after")
    def _around_zero(self) -> Self:
        _check_around_zero(self)
        return self

    def build(self, site: Site, numbers: Tensor) -> PulseResponse:
        """Fabricate; numbers: standard normal, (C, `fabricated`, out, rows)."""
        devices = self.devices(site, numbers)
        return _Linear(devices, devices.high.reciprocal(), -devices.low.reciprocal())


class IdealUpdate(PulsedUpdate):
    """Any change is made exactly: counts may be fractions of the step, which is but their unit."""

    kind: Literal["ideal"]
    dw_min: PerChip[Annotated[Factor, STEP]] = 1.0
    """Unit of counts, units of u."""

    @model_validator(mode="after")
    def _without_errors(self) -> Self:
        fields = type(self).model_fields
        given = sorted(
            name
            for name in self.model_fields_set - {"kind", "dw_min", "bounds"}
            if getattr(self, name) != fields[name].default
        )
        if given:
            raise ValueError(f"an ideal update has dw_min and bounds only (got {', '.join(given)}); remove the others")
        if (self.bounds.low_spread, self.bounds.high_spread) != (0.0, 0.0):
            raise ValueError("an ideal update has the same bounds everywhere; remove their spreads")
        return self

    def build(self, site: Site, numbers: Tensor) -> PulseResponse:
        """numbers: (C, `fabricated`, out, rows); only their shape matters."""
        return _Ideal(self.devices(site, numbers))


def _check_around_zero(update: PulsedUpdate) -> None:
    bounds = update.bounds
    if not bounds.low < 0 < bounds.high:
        raise ValueError(
            f"bounds: steps are given at u = 0, which must lie in the range (got {bounds.low:g} to {bounds.high:g})"
        )
