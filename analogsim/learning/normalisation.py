"""Weight normalisation: each unit's incoming weights keep a fixed length.

N. Hiratani, Y. Mehta, T. Lillicrap, P. Latham, "On the stability and scalability of node perturbation learning",
NeurIPS 2022, appendix C.1: weights that only diffuse, as node perturbation's do, can then no longer explode.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, final

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from analogsim.network import Network


@final
class WeightNormalisation(BaseModel):
    """w_ij <- gain_l sqrt(2 / (fan_in + fan_out)) w_ij / sqrt(mean_j w_ij^2) after every update; biases are free."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    gains: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)], ...] | None = None
    """One factor for each layer; 1 everywhere unless given. (The paper: 10 for the first layer, on SARCOS.)"""

    def digital_operations(self, network: Network) -> tuple[int, ...]:
        """Arithmetic operations of a step, per layer: a square that is added, and a product, of each weight."""
        return tuple(3 * layer.columns * layer.fan_in for layer in network.layers)

    def apply(self, network: Network, weights: Sequence[Tensor]) -> None:
        """Normalise weights in place; a unit whose weights are all zero keeps them.

        Args:
            network: what they belong to.
            weights: per layer (C, units, rows).

        Raises:
            ValueError: there is another number of gains than of layers.
        """
        gains = (1.0,) * network.depth if self.gains is None else self.gains
        if len(gains) != network.depth:
            raise ValueError(
                f"weight normalisation: give one gain for each of the {network.depth} layers (got {gains})"
            )
        for gain, layer, w in zip(gains, network.layers, weights, strict=True):
            inner = w[:, :, : layer.fan_in]
            root = inner.square().mean(dim=2, keepdim=True).sqrt()
            target = gain * math.sqrt(2 / (layer.fan_in + layer.fan_out))
            inner.mul_((target / root).where(root > 0, 1.0))
