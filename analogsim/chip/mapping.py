"""Mapping: how a layer's weights become conductances of differential pairs.

w = w_max (G+ - G-) / (G_max - G_min). One device of a pair carries the magnitude, the other rests at G_min.
With one device a weight, w = 2 w_max (G - G_ref) / (G_max - G_min): G_ref is a device in the middle of the range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from analogsim.chip.arguments import require_choices

Cell = Literal["pair", "reference"]
Range = Literal["fixed", "follow"]
Per = Literal["layer", "column"]


@dataclass(frozen=True)
class Mapping:
    """Which weight the largest conductance stands for.

    Attributes:
        range: `fixed`: w_max = headroom x the largest initial weight; writes beyond it are clipped.
            `follow`: w_max is the largest weight of each write; a change of range rewrites every device.
        per: one w_max per `layer` or per `column`.
        headroom: of the fixed range, at least 1.

    Raises:
        ValueError: no such range, or a headroom below 1, which leaves weights outside the range.
    """

    range: Range = "fixed"
    per: Per = "layer"
    headroom: float = 2.0

    def __post_init__(self) -> None:
        require_choices(range=(self.range, Range), per=(self.per, Per))
        if not self.headroom >= 1:
            raise ValueError(f"headroom must be at least 1, or the largest weight has no room (got {self.headroom})")

    def initial_range(self, weights: Tensor) -> Tensor:
        """w_max for initial weights (C, out, rows): (C, 1, 1), or (C, out, 1) per column."""
        largest = self._largest(weights)
        return largest * self.headroom if self.range == "fixed" else largest

    def next_range(self, w_max: Tensor, target: Tensor) -> Tensor:
        """w_max for a write of target (C, out, rows)."""
        return w_max if self.range == "fixed" else self._largest(target)

    def _largest(self, weights: Tensor) -> Tensor:
        dims = (1, 2) if self.per == "layer" else (2,)
        largest = weights.abs().amax(dim=dims, keepdim=True)
        return torch.where(largest > 0, largest, torch.ones_like(largest))  # an all-zero layer may take any range


def to_conductances(
    weights: Tensor, w_max: Tensor, g_min: float, g_max: float, cell: Cell = "pair"
) -> tuple[Tensor, Tensor]:
    """Conductances (G+, G-), siemens, of weights within +-w_max; shapes as `weights`.

    With `cell="reference"` G- is a reference in the middle of the range, and w_max stands for half of it.
    """
    if cell == "reference":
        middle = (g_min + g_max) / 2
        return (weights * ((g_max - g_min) / 2 / w_max)).add_(middle), torch.full_like(weights, middle)
    magnitude = weights * ((g_max - g_min) / w_max)
    return magnitude.clamp(min=0).add_(g_min), magnitude.neg_().clamp_(min=0).add_(g_min)


def weight_per_siemens(w_max: Tensor, g_min: float, g_max: float, cell: Cell = "pair") -> Tensor:
    """Weight per siemens, shape of w_max."""
    return w_max / ((g_max - g_min) / (2 if cell == "reference" else 1))
