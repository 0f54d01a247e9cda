"""Converters: the DACs that drive the rows and the ADCs that read the columns.

Both are mid-tread: 2^bits - 1 levels, symmetric about zero, so zero is a code; step = 2 range / (2^bits - 2)
(Rasch et al., arXiv:2302.08469). What lies beyond the range is clipped. Ranges are in the units of the network's
signals (activations for the DAC, pre-activations for the ADC): the gain of the column amplifier is programmable.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from device_models.effect import Description
from device_models.limits import Limit

_BITS = Limit(2, 16, "1 bit has no level beside 0 here, and no converter of an array resolves more than 16")
_RANGE = Limit(1e-6, 1e6, "signals of a network are of order 1")


class DAC(Description):
    """Digital-to-analog converter of a row; signed inputs drive the row with either polarity."""

    bits: Annotated[int, Field(strict=True), _BITS]
    """Resolution in bits, sign included."""
    range: Annotated[float, Field(allow_inf_nan=False, strict=True), _RANGE]
    """Full-scale input, in units of the activations."""
    scaling: Literal["fixed", "per_vector"] = "fixed"
    """`fixed`: inputs beyond the range are clipped. `per_vector`: each input vector is scaled digitally so that its
    largest element meets full scale, and its outputs are scaled back; noise and ADC range scale along."""

    @property
    def step(self) -> float:
        """Distance of two levels, in units of the activations."""
        return 2 * self.range / (2**self.bits - 2)

    def encode(self, x: Tensor, *, per_vector: bool | None = None) -> tuple[Tensor, Tensor | None]:
        """What the rows are driven with.

        Args:
            x: input vectors, shape (..., rows).
            per_vector: overrides `scaling` where given.

        Returns:
            The levels that stand for x, same shape and units; and the gain (..., 1) by which outputs, noise and ADC
            range of each vector are scaled, or None where it is 1.
        """
        if per_vector is None:
            per_vector = self.scaling == "per_vector"
        if not per_vector:
            return _quantise(x, self.step, self.range), None
        gain = vector_gain(x, self.range)
        return _quantise(x / gain, self.step, self.range) * gain, gain


class ADC(Description):
    """Analog-to-digital converter of a column."""

    bits: Annotated[int, Field(strict=True), _BITS]
    """Resolution in bits, sign included."""
    range: Annotated[float, Field(allow_inf_nan=False, strict=True), _RANGE]
    """Full-scale output of one tile's column, in units of the pre-activations."""

    @property
    def step(self) -> float:
        """Distance of two levels, in units of the pre-activations."""
        return 2 * self.range / (2**self.bits - 2)

    def decode(self, y: Tensor, gain: Tensor | None = None) -> Tensor:
        """The digital value of a column's current.

        Args:
            y: column currents in units of the pre-activations, shape (..., columns).
            gain: see `DAC.encode`; scales range and step of each vector.
        """
        if gain is None:
            return _quantise(y, self.step, self.range)
        return _quantise(y / gain, self.step, self.range) * gain


def vector_gain(x: Tensor, full_scale: float) -> Tensor:
    """The factor by which each vector's largest element exceeds full scale.

    Args:
        x: vectors (..., n).
        full_scale: in units of x.

    Returns:
        (..., 1); vanishingly small, never 0, for a vector of zeros.
    """
    largest = torch.linalg.vector_norm(x, ord=float("inf"), dim=-1, keepdim=True)
    return largest.clamp_min(torch.finfo(x.dtype).tiny * 2**16) / full_scale


def _quantise(x: Tensor, step: float, bound: float) -> Tensor:
    levels = round(bound / step)
    return x.div(step).round_().clamp_(-levels, levels).mul_(step)
