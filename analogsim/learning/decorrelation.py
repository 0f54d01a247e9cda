"""Decorrelation of layer inputs: x* = R x, with R learned from x* alone.

Ahmad, Schrader, van Gerven, "Constrained parameter inference as a principle for learning", TMLR 2023; Dalm et al.,
section 2.2. The bias input is never decorrelated.
"""

from __future__ import annotations

from typing import final

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from analogsim.network import Network


@final
class Decorrelation(BaseModel):
    """R <- R - rate offdiag(mean of x* x*^T) R, from R = I, after every step; R is digital."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False, strict=True)
    """Step size alpha; not divided by the number of inputs."""

    def init(self, network: Network, chips: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """R of every layer: identities (C, inputs, inputs)."""
        return tuple(
            torch.eye(layer.fan_in, dtype=dtype, device=device).repeat(chips, 1, 1) for layer in network.layers
        )

    def update(self, r: Tensor, x: Tensor) -> Tensor:
        """The next R.

        Args:
            r: (C, n, n).
            x: decorrelated inputs x* (C, M, n), without the bias.
        """
        batch, n = x.shape[1:]
        turned = x.transpose(1, 2)
        if batch < n:  # two products of batch x n x n instead of batch x n x n and n x n x n
            correlated = torch.bmm(turned, torch.bmm(x, r))
        else:
            correlated = torch.bmm(torch.bmm(turned, x), r)
        own = x.square().sum(1)[..., None] * r
        return r - (correlated - own) * (self.rate / batch)
