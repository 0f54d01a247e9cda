"""Account: what the chips of a stage have been asked to do since a beginning, and what that comes to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from analogsim.results import Spent
from analogsim.study.prices import Prices
from analogsim.study.rig import Rig


class Account:
    """Operations of a population of chips, counted.

    Passes are counted here and are the same for all chips; the chips count what their devices have received.

    Args:
        rig: whose chips, as they are at the beginning.
        prices: of their operations.
        saved: what `state_dict` gave, to go on from there.

    Attributes:
        prices: of their operations.
        steps: learning steps.
        reads: inputs that went through the chip beside those: tests, references, requests.
    """

    def __init__(self, rig: Rig, prices: Prices, saved: dict[str, Any] | None = None) -> None:
        self._rig, self.prices = rig, prices
        self.steps: int = 0 if saved is None else saved["steps"]
        self.reads: int = 0 if saved is None else saved["reads"]
        self._passes: int = rig.passes if saved is None else saved["passes"]
        self._begin = self._given() if saved is None else saved["begin"].clone()

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, for a checkpoint."""
        return {"steps": self.steps, "reads": self.reads, "passes": self._passes, "begin": self._begin}

    def joules(self, seconds: float) -> tuple[float, ...]:
        """What each chip has used.

        Args:
            seconds: since the beginning, in which chips stood by.
        """
        prices, given = self.prices, self._given() - self._begin
        costs = [*prices.costs, *(prices.costs[index] for index in self._rig.chip.decorrelated)]
        price = torch.tensor([[each.write.energy, each.verify.energy] for each in costs], dtype=torch.float64)
        shared = self.steps * prices.step.energy + self.reads * prices.inference.energy + seconds * prices.standby
        return tuple((shared + (given * price).sum(dim=(1, 2))).tolist())

    def spent(self) -> tuple[Spent, ...]:
        """What learning has cost each chip."""
        seconds = self.steps * self.prices.step.latency
        writes = (self._given() - self._begin)[..., 0].sum(1).to(torch.int64).tolist()
        passes = self._rig.passes - self._passes
        each = zip(self.joules(seconds), writes, strict=True)
        return tuple(Spent(seconds=seconds, joules=joules, passes=passes, writes=count) for joules, count in each)

    def _given(self) -> Tensor:
        """Programming pulses or attempts, and verifying reads, of all devices: (C, crossbars, 2), on the CPU."""
        return torch.stack([crossbar.array.given for crossbar in self._rig.chip.crossbars], dim=1).double().cpu()
