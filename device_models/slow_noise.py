"""Slow noise: fluctuations that outlive a learning step, so that its passes all see the same.

A sum of relaxations (see `spectrum`), each a state of the device that moves on with the clock:

    eta_k(t + dt) = exp(-dt / tau_k) eta_k(t) + sqrt(1 - exp(-2 dt / tau_k)) xi
    G_read = G + A sum_k sqrt(W_k) eta_k

A write begins anew. It draws one number, the sum's; only when the clock moves on is that one divided among the
relaxations, by their law given the sum. So learning on a clock that stands costs one number per device and write. A
relaxation is moved where at least `_DUE` of its correlation time has passed since it last was; until then it stands, so
its correlation is at most that much too high.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from device_models.conductance_effect import ConductanceEffect, State

_DUE = 0.01


class SlowNoise(ConductanceEffect):
    """A wandering sum of relaxations.

    Its state: `sum` (standard normal, drawn at the write), `fresh` (where the sum has not been divided yet), `eta`
    (the relaxations, (K, chips, out, rows); None until the clock first moves), `moved` (when each was last moved).
    """

    written = 1
    ages = True
    taus: tuple[float, ...]

    @abstractmethod
    def amplitude(self, g: Tensor, programmed: Tensor) -> Tensor:
        """A, siemens, broadcastable to g (chips, out, rows)."""

    @abstractmethod
    def weights(self, elapsed: Tensor) -> Sequence[Tensor | float]:
        """W_k at seconds since the write, each broadcastable to elapsed (chips, out, rows)."""

    def total(self, elapsed: Tensor) -> Tensor | float:
        """Sum of the weights."""
        return sum(self.weights(elapsed))

    def write(self, target: Tensor, numbers: Sequence[Tensor]) -> State:
        return {"sum": numbers[0], "fresh": torch.ones_like(target, dtype=torch.bool)}

    def touch(self, state: State, written: Tensor, now: float) -> None:
        state["touched"] = True
        if "moved" not in state:
            state |= {"eta": None, "moved": [now] * len(self.taus)}

    def _due(self, state: State, now: float) -> list[int]:
        return [k for k, tau in enumerate(self.taus) if now - state["moved"][k] >= _DUE * tau]

    def moving(self, state: State, now: float) -> int:
        due = len(self._due(state, now))
        return due + len(self.taus) if due and state["touched"] else due

    def move(self, state: State, now: float, numbers: Sequence[Tensor]) -> None:
        due = self._due(state, now)
        if not due:
            return
        if state["touched"]:
            state["eta"] = self._divided(state, torch.stack(list(numbers[len(due) :])))
            state |= {"touched": False, "fresh": torch.zeros_like(state["fresh"])}
        eta, moved = state["eta"].clone(), list(state["moved"])
        for k, xi in zip(due, numbers, strict=False):
            a = math.exp(-(now - moved[k]) / self.taus[k])
            eta[k].mul_(a).add_(xi, alpha=math.sqrt(1 - a * a))
            moved[k] = now
        state |= {"eta": eta, "moved": moved}

    def _divided(self, state: State, xi: Tensor) -> Tensor:
        """Relaxations of fresh devices given their sum: xi, corrected along the direction of the sum."""
        start = torch.zeros((1, 1, 1), dtype=torch.float64, device=xi.device)
        weights = torch.stack([torch.as_tensor(w).expand(1, 1, 1) for w in self.weights(start)]).to(xi)
        direction = (weights / weights.sum(0).clamp(min=torch.finfo(xi.dtype).tiny)).sqrt()
        eta = xi + direction * (state["sum"] - (direction * xi).sum(0))
        return eta if state["eta"] is None else torch.where(state["fresh"], eta, state["eta"])

    def unit(self, state: State, elapsed: Tensor) -> Tensor:
        """The noise in units of A, (chips, out, rows)."""
        total = torch.as_tensor(self.total(elapsed)).sqrt().to(state["sum"].dtype)
        if state["eta"] is None:
            return state["sum"] * total
        value = torch.zeros_like(state["sum"])
        for eta, weight in zip(state["eta"], self.weights(elapsed), strict=True):
            value.addcmul_(eta, torch.as_tensor(weight).sqrt().to(value.dtype).expand_as(value))
        return torch.where(state["fresh"], state["sum"] * total, value) if state["touched"] else value

    def apply(self, g: Tensor, programmed: Tensor, state: State, elapsed: Tensor | None) -> Tensor:
        assert elapsed is not None
        return (self.amplitude(g, programmed) * self.unit(state, elapsed)).add_(g).clamp_(min=0)
