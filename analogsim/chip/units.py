"""Units: the noise that the units of one layer add to their pre-activations, pass after pass."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from analogsim.chip.draws import Draws
from device_models import UnitNoise

Order = Literal["sample", "pass"]

STREAMS = 1 << 16
"""Unit noise has streams of its own beside those of a layer's reads: their numbers are the layer's and this."""


def unit_noise(noise: UnitNoise, draws: Draws, like: Tensor, order: Order) -> Tensor:
    """Noise of the units of a layer in all passes of a batch.

    With `order="sample"` all passes of a batch element follow each other, and the noise of each element begins anew:
    what the last pass of one element leaves to the first of the next is forgotten. With `order="pass"` the elements of
    the batch follow each other, then those of the next pass; the noise begins anew with each batch.

    Args:
        noise: the law.
        draws: of the layer's units; clean passes have no noise, and none of its time passes in them.
        like: pre-activations (C, S or 1, P or 1, B, units).
        order: of the passes.

    Returns:
        (C, S, P, B, units), zero in clean passes.
    """
    batch, units = like.shape[3:]
    numbers = draws.normal(noise.lanes, (batch, units), like.dtype)  # (C, S, noisy passes, lanes, B, units)
    samples, passes = numbers.shape[1:3]
    if order == "sample":
        sequence = numbers.flatten(1, 2)
    else:
        sequence = numbers.transpose(3, 4).flatten(1, 3)
    values, last = noise.values(sequence, draws.last.get("units"))
    if last is not None:
        draws.last["units"] = last
    shape = (samples, passes) if order == "sample" else (samples, passes, batch)
    return draws.spread(values.unflatten(1, shape))
