"""Retention failure: some devices lose what was written to them.

A share of the devices is weak from fabrication. Each write of a weak device starts a life of random length

    exponential   T = tau E,                  E ~ Exp(1): a constant hazard 1 / tau
    log_normal    T = tau exp(sigma xi),      xi ~ N(0, 1): tau is the median

after which it stands at G_min or G_max until it is written again. Lengths refer to a temperature T_ref; at another one
they are shorter by the Arrhenius factor AF (see `temperature`), as accelerated bake tests of retention assume. Where
the temperature changes, each stretch dt_i of time uses up its share, as damage adds up (Miner, J. Appl. Mech. 12:A159,
1945): a device fails when sum dt_i AF_i has reached T.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import model_validator
from torch import Tensor
from typing_extensions import Self

from device_models.conductance_effect import ConductanceEffect, State
from device_models.effect import Description, Site
from device_models.limits import Limit
from device_models.temperature import acceleration
from device_models.units import Energy, Factor, PerChip, Share, Temperature, Time


@dataclass(frozen=True)
class _RetentionFailure(ConductanceEffect):
    share: Tensor  # (chips, 1, 1)
    time: Tensor  # seconds, at the chips' temperature, (chips, 1, 1)
    sigma: float | None  # None: exponential
    level: float  # siemens
    fabricated = 1
    written = 1
    ages = True

    def fabricate(self, numbers: Sequence[Tensor]) -> State:
        return {"weak": torch.special.ndtr(numbers[0]) < self.share}

    def write(self, target: Tensor, numbers: Sequence[Tensor]) -> State:
        (xi,) = numbers
        return {"life": -torch.special.log_ndtr(-xi) if self.sigma is None else torch.exp(xi * self.sigma)}

    def touch(self, state: State, written: Tensor, now: float) -> None:
        for name in ("spent", "held") if "spent" in state else ():
            state[name] = torch.where(written, 0.0, state[name])

    def account(self, state: State, elapsed: Tensor) -> None:
        """`spent`: of the life, in units of `time`; `held`: seconds since the write that are in it."""
        before, held = (state.get(name, torch.zeros_like(elapsed)) for name in ("spent", "held"))
        state |= {"spent": before + (elapsed - held) / self.time.to(elapsed.dtype), "held": elapsed}

    def fails_after(self, state: State) -> Tensor:
        """Seconds from its write to the failure of each device, if weak, should the temperature stay; 0: it has."""
        if "spent" not in state:
            return state["life"] * self.time
        left = state["life"] - state["spent"]
        return torch.where(left > 0, state["held"] + left * self.time, 0.0)

    def apply(self, g: Tensor, programmed: Tensor, state: State, elapsed: Tensor | None) -> Tensor:
        assert elapsed is not None
        return torch.where(state["weak"] & (elapsed >= self.fails_after(state)), self.level, g)

    def steady(self, state: State, elapsed: Tensor, tolerance: float) -> Tensor:
        """Until the next failure."""
        left = self.fails_after(state) - elapsed
        return torch.where(state["weak"] & (left > 0), left, math.inf).amin(dim=(1, 2))

    def base(self, programmed: Tensor, state: State, elapsed: Tensor | None) -> Tensor:
        return self.apply(programmed, programmed, state, elapsed)


class RetentionFailure(Description):
    """A share of the devices fails at a random time after each write; the next write brings it back."""

    kind: Literal["retention_failure"]
    share: PerChip[Share] = 1.0
    """Of the devices that can fail, percent."""
    distribution: Literal["exponential", "log_normal"]
    """Of the time from a write to the failure."""
    time: Annotated[Time, Limit("1 ns", "1000 years", "a device holds what was written at least until it is read")]
    """Mean (exponential) or median (log-normal) of that time at `reference_temperature`, seconds."""
    sigma: Annotated[Factor, Limit(0, 10, "at 10 lives spread over nine orders of magnitude")] | None = None
    """Standard deviation of the logarithm (natural) of a log-normal time, no unit."""
    activation_energy: Energy = 0.0
    """E_a of the loss, joules (written in eV); 0 eV: temperature changes nothing."""
    reference_temperature: Temperature = 300.0
    """At which `time` holds, kelvin."""
    to: Literal["g_min", "g_max"] = "g_min"
    """Where a failed device stands."""

    @model_validator(mode="after")
    def _one_distribution(self) -> Self:
        if (self.distribution == "log_normal") != (self.sigma is not None):
            raise ValueError(
                "sigma belongs to the distribution log_normal, which needs it "
                f"(got {self.distribution}, sigma {self.sigma})"
            )
        return self

    def build(self, site: Site) -> ConductanceEffect:
        share = site.per_chip(self.share, 2, "relaxation.share")
        time = self.time / acceleration(site, self.activation_energy, self.reference_temperature)
        level = site.g_min if self.to == "g_min" else site.g_max
        return _RetentionFailure(share, time, self.sigma, level)
