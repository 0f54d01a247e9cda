"""Pulses for a dense change: rounding to whole pulses, at random or with a digital accumulator.

`pulses_for` rounds each change by itself. `MixedPrecision` keeps what is below a pulse in a digital memory chi:

    chi <- chi + change,      n = trunc(chi / eps),      chi <- chi - n eps

so that nothing is lost: the pulses given times eps, plus chi, is what was asked for (Nandakumar et al., Front.
Neurosci. 14:406, 2020). What the devices make of a pulse is not fed back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from pydantic import model_validator
from torch import Tensor
from typing_extensions import Self

from device_models.effect import Description, Site
from device_models.units import Factor, PerChip, values


class Pulses(NamedTuple):
    """Pulses of each device, whole numbers in a floating dtype, (C, out, rows); at most one of the two is not 0."""

    ups: Tensor
    downs: Tensor


def pulses_for(change: Tensor, dw: float | Tensor, uniform: Tensor | None = None) -> Pulses:
    """Round changes to whole pulses.

    Args:
        change: wanted, units of u, (C, out, rows).
        dw: mean step of a pulse, units of u; a number, or broadcastable to the change.
        uniform: numbers in [0, 1), shaped as the change: rounded at random, so that the mean is the change; None:
            rounded to the nearest, so changes below half a step are lost.
    """
    wanted = change / dw
    whole = wanted.round() if uniform is None else (wanted + uniform).floor()
    return Pulses(whole.clamp_min(0), (-whole).clamp_min(0))


class MixedPrecision(Description):
    """Digital accumulation of changes until they are worth a pulse."""

    granularity: PerChip[Factor]
    """eps, the change that one pulse is taken for, units of u; usually the devices' dw_min. Above 0."""

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if min(values(self.granularity)) <= 0:
            raise ValueError("granularity must be above 0")
        return self

    def build(self, site: Site) -> Accumulator:
        return Accumulator(site.per_chip(self.granularity, 2, "mixed_precision.granularity"))


@dataclass(frozen=True)
class Accumulator:
    """Mixed precision for C chips; its memory chi is the caller's, one number a device.

    Attributes:
        granularity: eps, units of u, (C, 1, 1).
    """

    granularity: Tensor

    def add(self, chi: Tensor, change: Tensor) -> tuple[Pulses, Tensor]:
        """Add a change, take out whole pulses.

        Args:
            chi: accumulated before, units of u, (C, out, rows); zeros at first.
            change: same shape.

        Returns:
            The pulses to give; chi after it, within one granularity of zero.
        """
        total = chi + change
        whole = torch.trunc(total / self.granularity)
        return Pulses(whole.clamp_min(0), (-whole).clamp_min(0)), total - whole * self.granularity
