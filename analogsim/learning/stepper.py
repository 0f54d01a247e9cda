"""Stepper: the controller's own copy of the weights, and the optimiser that steps it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from analogsim.learning.decay import WeightDecay
from analogsim.learning.health import finite, keep
from analogsim.learning.normalisation import WeightNormalisation
from analogsim.learning.whole_vectors import whole_vectors
from analogsim.network import Network

OptimizerFactory = Callable[..., torch.optim.Optimizer]
"""Makes an element-wise `torch.optim` optimiser: called with a list of parameters and `lr`."""


class Stepper:
    """Weights of C chips, one learning rate for each, with the companions that act on them.

    Args:
        network: whose weights they are.
        weights: per layer (C, units, rows), to begin with; copied.
        optimizer: makes the optimiser; element-wise, so that chips stay independent.
        rates: learning rate of all chips, or of each.
        normalisation, decay: of the weights, or None.

    Attributes:
        weights: per layer (C, units, rows); the same tensors for good.
        rates: (C,).

    Raises:
        ValueError: the rates, or the decay with them, make no sense.
    """

    def __init__(
        self,
        network: Network,
        weights: Sequence[Tensor],
        optimizer: OptimizerFactory,
        rates: float | Sequence[float],
        normalisation: WeightNormalisation | None = None,
        decay: WeightDecay | None = None,
    ) -> None:
        chips, device, dtype = len(weights[0]), weights[0].device, weights[0].dtype
        each = [rates] * chips if isinstance(rates, float | int) else list(rates)
        if len(each) != chips or not all(0 < rate < math.inf for rate in each):
            raise ValueError(f"give one positive, finite learning rate, or one for each chip (got {rates})")
        self._network, self._normalisation, self._decay = network, normalisation, decay
        self._parameters = [whole_vectors(w.clone()) for w in weights]
        self.weights = [p[: w.numel()].view(w.shape) for p, w in zip(self._parameters, weights, strict=True)]
        self._largest_rate = max(each)
        self.rates = torch.tensor(each, dtype=dtype).to(device)
        share = None if min(each) == max(each) else torch.tensor(each, dtype=dtype).div_(max(each)).to(device)
        self._step_share = None if share is None else share[:, None, None]
        self._optimizer = optimizer(self._parameters, lr=max(each), **suited(optimizer, device))
        if decay is not None:
            decay.check(max(each))

    def step(
        self, directions: Sequence[Tensor], limits: Sequence[Tensor | None], diverged: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Step the weights, but neither those of diverged chips nor beyond what devices can hold.

        Args:
            directions: per layer (C, units, rows), what to go against.
            limits: per layer the largest magnitude, (C, 1, 1) or (C, units, 1), or None.
            diverged: (C,), chips that stay.

        Returns:
            What the weights were, and (C,), those chips and the ones whose next weights would not be finite, which
            keep theirs.
        """
        before = [w.clone() for w in self.weights]
        for parameter, direction in zip(self._parameters, directions, strict=True):
            parameter.grad = whole_vectors(keep(~diverged, direction, 0.0), parameter.grad)
        self._optimizer.step()
        if self._decay is not None:
            self._decay.apply(self._network, self.weights, before, self._largest_rate)
        if self._step_share is not None:
            for w, old in zip(self.weights, before, strict=True):
                torch.lerp(old, w, self._step_share, out=w)
        if self._normalisation is not None:
            self._normalisation.apply(self._network, self.weights)
        for w, limit in zip(self.weights, limits, strict=True):
            if limit is not None:
                torch.maximum(torch.minimum(w, limit, out=w), -limit, out=w)
        diverged = diverged | ~torch.stack([finite(w) for w in self.weights]).all(dim=0)
        for w, old in zip(self.weights, before, strict=True):
            if (kept := keep(~diverged, w, old)) is not w:
                w.copy_(kept)  # in place: the optimiser holds these tensors
        return before, diverged

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimiser, for a checkpoint; the tensors are live."""
        return {"weights": list(self.weights), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken; other entries are left aside."""
        for w, saved in zip(self.weights, state["weights"], strict=True):
            w.copy_(saved)  # in place: the optimiser holds these tensors
        self.load_optimizer(state["optimizer"])

    def load_optimizer(self, state: dict[str, Any]) -> None:
        """Take over an optimiser's state, to the bit: torch casts it to the format of the parameters."""
        self._optimizer.load_state_dict(state)
        for index, saved in state["state"].items():
            held = self._optimizer.state[self._parameters[index]]
            for name, value in saved.items():
                if isinstance(value, Tensor):
                    held[name] = value.to(held[name].device, copy=True)


def suited(optimizer: OptimizerFactory, device: torch.device) -> dict[str, bool]:
    """On a CPU one loop steps a tensor; on a GPU the step counter stays there: no host synchronisation."""
    wanted = "capturable" if device.type == "cuda" else "fused"
    return {wanted: True} if wanted in inspect.signature(optimizer).parameters else {}
