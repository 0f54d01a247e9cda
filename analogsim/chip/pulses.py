"""Pulses: what an incremental write of a layer comes to at its devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from analogsim.port import LayerPulses
from device_models import Device

Uniform = Callable[[tuple[int, ...]], Tensor]
"""Uniform numbers in [0, 1) of a shape (C, ...), from each chip's own generator."""


class Pulses(NamedTuple):
    """Pulses that raise and that lower each weight, (C, out, rows) each; whole numbers.

    `lines` are those on each row (C, 1, rows) and column (C, out, 1) where they are driven in parallel, else None;
    `overdriven` is then the share of drives that would need more than a pulse in every slot, (C,).
    """

    raising: Tensor
    lowering: Tensor
    lines: tuple[Tensor, Tensor] | None = None
    overdriven: Tensor | None = None


def pulse_counts(write: LayerPulses, per_step: Tensor, device: Device, uniform: Uniform) -> Pulses:
    """Pulses of an incremental write.

    Args:
        write: what is wanted.
        per_step: mean change of a weight by one pulse, (C, 1, 1) or (C, out, 1).
        device: how factors become pulses.
        uniform: random numbers.
    """
    if write.pulses is not None:
        return Pulses(write.pulses.clamp(min=0), write.pulses.neg().clamp_(min=0))
    update, rate = write.update, write.rate
    assert update is not None and rate is not None
    if update.dense is None:
        post, pre = update.factors()
        counts = device.outer_product.counts(
            post.neg() / per_step.transpose(1, 2), pre, rate / post.shape[1], 1.0, uniform
        )
        return Pulses(counts.ups, counts.downs, (counts.rows, counts.columns), counts.saturated)
    wanted = update.direction().neg() * (rate / per_step)
    whole = (wanted + uniform(tuple(wanted.shape))).floor_()
    return Pulses(whole.clamp(min=0), whole.neg_().clamp_(min=0))


def weight_per_step(device: Device, w_max: Tensor) -> Tensor | None:
    """Mean change of a weight by one pulse, shape of w_max; None without an update model.

    w_max stands for the whole range of a device, or, where a weight is one device against a reference, for half of it.
    """
    if device.update is None or device.step is None:
        return None
    bounds = device.update.bounds
    return w_max * device.step * ((1 if device.cell == "pair" else 2) / (bounds.high - bounds.low))


def worn_out_pairs(plus: Tensor, minus: Tensor, device: Device) -> Tensor:
    """Pairs whose devices have both grown and must be programmed anew, bool; conductances in siemens."""
    high, low = (
        (share * (device.g_max - device.g_min) + device.g_min) for share in (device.refresh.upper, device.refresh.lower)
    )
    return (torch.maximum(plus, minus) > high) & (torch.minimum(plus, minus) > low)
