"""A law that published fits of phase-change memory share: a line in ln r, held between two bounds."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import model_validator
from torch import Tensor
from typing_extensions import Self

from device_models.effect import Description
from device_models.limits import Limit
from device_models.units import Factor, SignedFactor

_VALUE = Limit(0, 1, "the drift exponents and noise amplitudes that it stands for lie between 0 and 1")
_SMALLEST = 1e-30  # stands for r = 0, whose logarithm no clip would survive where the slope is 0


class ClippedLog(Description):
    """clip(slope ln r + offset, min, max), with r = G / G_max; beyond r = `until`, the polynomial `then` in r."""

    slope: Annotated[SignedFactor, Limit(-10, 10, "published slopes are below 0.1 for each e-fold of r")]
    """Per unit of ln r; no unit."""
    offset: Annotated[SignedFactor, Limit(-100, 100, "what lies beyond the bounds is cut anyhow")]
    """Value at r = 1, before the bounds; no unit."""
    min: Annotated[Factor, _VALUE]
    """Smallest value, no unit."""
    max: Annotated[Factor, _VALUE]
    """Largest value, no unit."""
    until: Annotated[Factor, Limit(0, 1, "r = G / G_max ends at 1", above=True, below=True)] | None = None
    """Largest r at which the line holds, no unit; None: everywhere."""
    then: tuple[Annotated[SignedFactor, Limit(-100, 100, "its values lie between 0 and 1")], ...] = ()
    """Coefficients c0, c1, ... of the polynomial beyond `until`, clamped at 0; no unit."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min must not lie above max (got min {self.min:g}, max {self.max:g})")
        if (self.until is None) != (not self.then):
            raise ValueError("`until` and `then` go together: where the line ends, and the polynomial beyond")
        return self

    def __call__(self, r: Tensor) -> Tensor:
        """Values at r, same shape."""
        line = r.clamp_min(_SMALLEST).log_().mul_(self.slope).add_(self.offset).clamp_(self.min, self.max)
        if self.until is None:
            return line
        beyond = torch.zeros_like(r)
        for coefficient in reversed(self.then):
            beyond.mul_(r).add_(coefficient)
        return torch.where(r < self.until, line, beyond.clamp_(min=0))
