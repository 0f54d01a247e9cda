"""Slow noise: fluctuations that outlive a learning step, so that its passes all see the same.

A sum of relaxations (see `spectrum`), each a state of the device that moves on with the clock:

    eta_k(t + dt) = exp(-dt / tau_k) eta_k(t) + sqrt(1 - exp(-2 dt / tau_k)) xi
    G_read = G + A sum_k sqrt(W_k) eta_k

A write begins anew. It draws one number, the sum's; only when the clock moves on is that one divided among the
relaxations, by their law given the sum. So learning on a clock that stands costs one number per device and write. A
relaxation is moved where at least `DUE` of its correlation time has passed since it last was; until then it stands, so
its correlation is at most that much too high.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from device_models.conductance_effect import ConductanceEffect, State

DUE = 0.01
"""Share of its correlation time for which a state of a device may stand still."""


class SlowNoise(ConductanceEffect):
    """A wandering sum of relaxations.

    Its state: `sum` (standard normal, drawn at the write), `fresh` (where the sum has not been divided yet), `eta`
    (relaxations that have had a weight so far, (K, chips, out, rows); None until the clock first moves), `moved` (when
    each was last moved), `begun` (first write), `clock` (last move), seconds.
    """

    written = 1
    ages = True
    taus: tuple[float, ...]

    @abstractmethod
    def amplitude(self, g: Tensor, programmed: Tensor) -> Tensor:
        """A, siemens, broadcastable to g (chips, out, rows)."""

    @abstractmethod
    def weights(self, elapsed: Tensor) -> Sequence[Tensor]:
        """W_k at seconds since the write, each broadcastable to elapsed (chips, out, rows)."""

    def active(self, elapsed: float) -> int:
        """How many relaxations, the fastest first, have a weight at seconds since the write."""
        return len(self.taus)

    def total(self, elapsed: Tensor) -> Tensor:
        """Sum of the weights."""
        return torch.stack([weight.expand_as(elapsed) for weight in self.weights(elapsed)]).sum(0)

    def write(self, target: Tensor, numbers: Sequence[Tensor]) -> State:
        return {"sum": numbers[0], "fresh": torch.ones_like(target, dtype=torch.bool)}

    def touch(self, state: State, written: Tensor, now: float) -> None:
        state["touched"] = True
        if "begun" not in state:
            state |= {"eta": None, "moved": [], "begun": now, "clock": now}

    def _plan(self, state: State, now: float) -> tuple[list[float], list[int], int]:
        """(when each relaxation was last moved, which are due, how many had no weight before)."""
        moved, active = state["moved"], self.active(now - state["begun"])
        if state["eta"] is None:
            moved = [state["begun"]] * active
        due = [k for k, last in enumerate(moved) if now - last >= DUE * self.taus[k]]
        return moved, due, max(0, active - len(moved))

    def moves_at(self, state: State) -> float:
        moved = [state["begun"]] if state["eta"] is None else state["moved"]
        return min(last + DUE * tau for last, tau in zip(moved, self.taus, strict=False))

    def moving(self, state: State, now: float) -> int:
        if now <= state["clock"]:
            return 0
        moved, due, new = self._plan(state, now)
        return len(due) + new + (len(moved) if state["touched"] else 0)

    def move(self, state: State, now: float, numbers: Sequence[Tensor]) -> None:
        if not numbers:
            return
        moved, due, _ = self._plan(state, now)
        moves, fresh = numbers[: len(due)], list(numbers[len(due) :])
        eta = [] if state["eta"] is None else list(state["eta"])
        if state["touched"]:
            divided = self._divided(state["sum"], torch.stack(fresh))
            eta = [torch.where(state["fresh"], own, old) for own, old in zip(divided, eta, strict=False)]
            eta += list(divided[len(eta) :])
            state |= {"touched": False, "fresh": torch.zeros_like(state["fresh"])}
        else:
            eta += fresh
        moved = [*moved, *[now] * (len(eta) - len(moved))]
        for k, xi in zip(due, moves, strict=True):
            a = math.exp(-(now - moved[k]) / self.taus[k])
            eta[k] = (eta[k] * a).add_(xi, alpha=math.sqrt(1 - a * a))
            moved[k] = now
        state |= {"eta": torch.stack(eta), "moved": moved, "clock": now}

    def _divided(self, total: Tensor, xi: Tensor) -> Tensor:
        """Relaxations given their sum just after a write: xi, corrected along the direction of the sum."""
        start = torch.zeros((1, 1, 1), dtype=torch.float64, device=xi.device)
        weights = torch.stack([weight.expand(1, 1, 1) for weight in self.weights(start)[: len(xi)]]).to(xi)
        direction = (weights / weights.sum(0).clamp(min=torch.finfo(xi.dtype).tiny)).sqrt()
        return xi + direction * (total - (direction * xi).sum(0))

    def unit(self, state: State, elapsed: Tensor) -> Tensor:
        """The noise in units of A, (chips, out, rows)."""
        total = self.total(elapsed).sqrt().to(state["sum"].dtype)
        if state["eta"] is None:
            return state["sum"] * total
        value = torch.zeros_like(state["sum"])
        for eta, weight in zip(state["eta"], self.weights(elapsed), strict=False):
            value.addcmul_(eta, weight.sqrt().to(value.dtype).expand_as(value))
        return torch.where(state["fresh"], state["sum"] * total, value) if state["touched"] else value

    def apply(self, g: Tensor, programmed: Tensor, state: State, elapsed: Tensor | None) -> Tensor:
        assert elapsed is not None
        return (self.amplitude(g, programmed) * self.unit(state, elapsed)).add_(g).clamp_(min=0)
