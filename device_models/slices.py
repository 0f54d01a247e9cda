"""Slices: a weight's magnitude as digits on several device pairs of rising significance.

With n slices of b bits, base B = 2^b, a weight w is held as the whole number nearest to (B^n - 1) |w| / w_max, whose
digits d_s = 0 ... B - 1 are programmed into a pair each, with the sign of w:

    w = w_max sum_s c_s (+-d_s / (B - 1)),     c_s = B^s (B - 1) / (B^n - 1),     sum_s c_s = 1

Each slice has tiles, amplifiers and ADCs of its own; c_s is its weight in the digital sum (shift and add). What its
devices and its converter err enters with c_s: the least significant slice hardly counts.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, model_validator
from torch import Tensor
from typing_extensions import Self

from device_models.effect import Description
from device_models.limits import Limit

_MOST_BITS = 20  # whole numbers up to here, and their quotients, are exact enough in single precision


class Slices(Description):
    """Several device pairs for each weight, each with an ADC of its own."""

    count: Annotated[int, Field(strict=True), Limit(1, 20, "magnitudes have at most 20 bits")]
    """Pairs of a weight, no unit."""
    bits: Annotated[int, Field(strict=True), Limit(1, 20, "magnitudes have at most 20 bits")]
    """Bits of the magnitude, on each pair: its conductances take 2^bits values."""

    @model_validator(mode="after")
    def _not_too_fine(self) -> Self:
        if self.count * self.bits > _MOST_BITS:
            raise ValueError(f"count x bits must not exceed {_MOST_BITS} (got {self.count} x {self.bits})")
        return self

    @property
    def base(self) -> int:
        """Values of a digit."""
        return int(2**self.bits)

    @property
    def top(self) -> int:
        """The largest whole number that a weight's magnitude is held as."""
        return int(self.base**self.count) - 1

    @property
    def shares(self) -> tuple[float, ...]:
        """c_s, the most significant slice first; their sum is 1."""
        return tuple(self.base**s * (self.base - 1) / self.top for s in reversed(range(self.count)))

    def digits(self, weights: Tensor, w_max: Tensor) -> list[Tensor]:
        """What each slice holds of weights, the most significant first: multiples of w_max / (base - 1).

        Args:
            weights: within +-w_max, any shape.
            w_max: broadcastable to it.
        """
        number = (weights.abs() * (self.top / w_max)).round_().to(torch.int32)
        unit = weights.sign() * (w_max / (self.base - 1))
        return [(number >> (self.bits * s) & (self.base - 1)) * unit for s in reversed(range(self.count))]
