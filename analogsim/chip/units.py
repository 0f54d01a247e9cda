"""Units: the noise that the units of one layer add to their pre-activations, pass after pass."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from analogsim.chip.draws import Draws
from device_models import UnitNoise

Order = Literal["sample", "pass"]

STREAMS = 1 << 16
"""Unit noise has streams of its own beside those of a layer's reads: their numbers are the layer's and this."""


def unit_noise(noise: UnitNoise, draws: Draws, like: Tensor, order: Order, positions: int = 1) -> Tensor:
    """Noise of the units of a layer in all passes of a batch.

    With `order="sample"` all passes of a batch element follow each other, and the noise of each element begins anew:
    what the last pass of one element leaves to the first of the next is forgotten. With `order="pass"` the elements of
    the batch follow each other, then those of the next pass; the noise begins anew with each batch.

    A convolution has one unit for each column of its crossbar, which gives the column's positions one after the other
    within a pass.

    Args:
        noise: the law.
        draws: of the layer's units; clean passes have no noise, and none of its time passes in them.
        like: pre-activations (C, S or 1, P or 1, B, units).
        order: of the passes.
        positions: of a feature map, that one unit gives; units of `like` go column by column.

    Returns:
        (C, S, P, B, units), zero in clean passes.
    """
    batch, columns = like.shape[3], like.shape[4] // positions
    numbers = draws.normal(noise.lanes, (batch, columns, positions), like.dtype)
    samples, passes = numbers.shape[1:3]  # (C, S, noisy passes, lanes, B, columns, positions)
    if order == "sample":
        sequence = numbers.permute(0, 1, 2, 6, 3, 4, 5).flatten(1, 3)
    else:
        sequence = numbers.permute(0, 1, 2, 4, 6, 3, 5).flatten(1, 4)
    values, last = noise.values(sequence, draws.last.get(("units", order)))
    if last is not None:
        draws.last["units", order] = last
    if order == "sample":
        values = values.unflatten(1, (samples, passes, positions)).permute(0, 1, 2, 4, 5, 3)
    else:
        values = values.unflatten(1, (samples, passes, batch, positions)).permute(0, 1, 2, 3, 5, 4)
    return draws.spread(values.flatten(4))
