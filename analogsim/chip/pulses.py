"""Pulses: what an incremental write of a layer comes to at its devices."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from analogsim.port import LayerPulses
from device_models import Device

Uniform = Callable[[tuple[int, ...]], Tensor]
"""Uniform numbers in [0, 1) of a shape (C, ...), from each chip's own generator."""


def pulse_counts(write: LayerPulses, per_step: Tensor, device: Device, uniform: Uniform) -> tuple[Tensor, Tensor]:
    """Pulses that raise and that lower each weight, (C, out, rows) each.

    Args:
        write: what is wanted.
        per_step: mean change of a weight by one pulse, (C, 1, 1) or (C, out, 1).
        device: how factors become pulses.
        uniform: random numbers.
    """
    if write.pulses is not None:
        return write.pulses.clamp(min=0), write.pulses.neg().clamp_(min=0)
    update, rate = write.update, write.rate
    assert update is not None and rate is not None
    if update.post is not None and update.pre is not None:
        post = update.post.neg() / per_step.transpose(1, 2)
        counts = device.outer_product.counts(post, update.pre, rate / update.post.shape[1], 1.0, uniform)
        return counts.ups, counts.downs
    wanted = update.direction().neg() * (rate / per_step)
    whole = (wanted + uniform(tuple(wanted.shape))).floor_()
    return whole.clamp(min=0), whole.neg_().clamp_(min=0)


def weight_per_step(device: Device, w_max: Tensor) -> Tensor | None:
    """Mean change of a weight by one pulse, shape of w_max; None without an update model.

    w_max stands for the whole range of a device, or, where a weight is one device against a reference, for half of it.
    """
    if device.update is None:
        return None
    dw = device.site.per_chip(device.update.dw_min, 2, "update.dw_min")
    bounds = device.update.bounds
    return w_max * dw * ((1 if device.cell == "pair" else 2) / (bounds.high - bounds.low))


def worn_out_pairs(plus: Tensor, minus: Tensor, device: Device) -> Tensor:
    """Pairs whose devices have both grown and must be programmed anew, bool; conductances in siemens."""
    high, low = (
        (share * (device.g_max - device.g_min) + device.g_min) for share in (device.refresh.upper, device.refresh.lower)
    )
    return (torch.maximum(plus, minus) > high) & (torch.minimum(plus, minus) > low)
