"""Weight decay, decoupled from the rule's update and from the optimiser's memory.

I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from analogsim.network import Network


@final
class WeightDecay(BaseModel):
    """W <- (1 - rate lambda) W at each step, with the learning rate of each chip; on the copy, biases left alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    strength: float = Field(gt=0, allow_inf_nan=False, strict=True)
    """lambda, per unit of the learning rate. The number alone stands for it."""
    biases: bool = Field(default=False, strict=True)
    """Whether biases decay, too."""

    @model_validator(mode="before")
    @classmethod
    def _by_number(cls, data: Any) -> Any:
        return data if isinstance(data, Mapping) else {"strength": data}

    def digital_operations(self, network: Network) -> tuple[int, ...]:
        """Arithmetic operations of a step, per layer: a multiply-add of each weight that decays."""
        return tuple(2 * layer.columns * (layer.rows if self.biases else layer.fan_in) for layer in network.layers)

    def check(self, rate: float) -> None:
        """Refuse a decay that would turn weights around.

        Args:
            rate: the largest learning rate.

        Raises:
            ValueError: rate x lambda is not below 1.
        """
        if rate * self.strength >= 1:
            raise ValueError(
                f"weight decay: the learning rate times the strength must be below 1 (got {rate:g} x {self.strength:g})"
            )

    def apply(self, network: Network, weights: Sequence[Tensor], before: Sequence[Tensor], rate: float) -> None:
        """Let weights decay in place, after a step of the optimiser.

        Args:
            network: what they belong to.
            weights: per layer (C, columns, rows).
            before: the same before the step, of which a share is taken away.
            rate: learning rate.
        """
        for layer, w, old in zip(network.layers, weights, before, strict=True):
            rows = layer.rows if self.biases else layer.fan_in
            w[:, :, :rows].sub_(old[:, :, :rows], alpha=rate * self.strength)
