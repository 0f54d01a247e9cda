"""A law that published fits of phase-change memory share: a line in ln r, held between two bounds."""

from __future__ import annotations

from pydantic import Field, model_validator
from torch import Tensor
from typing_extensions import Self

from device_models.effect import Description

_SMALLEST = 1e-30  # stands for r = 0, whose logarithm no clip would survive where the slope is 0


class ClippedLog(Description):
    """clip(slope ln r + offset, min, max), with r = G / G_max."""

    slope: float = Field(allow_inf_nan=False)
    """Per unit of ln r; no unit."""
    offset: float = Field(allow_inf_nan=False)
    """Value at r = 1, before the bounds; no unit."""
    min: float = Field(ge=0, allow_inf_nan=False)
    """Smallest value."""
    max: float = Field(ge=0, allow_inf_nan=False)
    """Largest value."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min must not lie above max (got min {self.min:g}, max {self.max:g})")
        return self

    def __call__(self, r: Tensor) -> Tensor:
        """Values at r, same shape."""
        return r.clamp_min(_SMALLEST).log_().mul_(self.slope).add_(self.offset).clamp_(self.min, self.max)
