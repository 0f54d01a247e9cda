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
        prices, chip = self.prices, self._rig.chip
        verified = [each.write_verify is not None for each in chip.profiles]
        price = [
            prices.costs[index].write.energy + verified[index] * prices.costs[index].verify.energy
            for index, _ in chip.numbered_crossbars
        ]
        written = (self._given() - self._begin) @ torch.tensor(price, dtype=torch.float64)
        shared = self.steps * prices.step.energy + self.reads * prices.inference.energy + seconds * prices.standby
        return tuple((written + shared).tolist())

    def spent(self) -> tuple[Spent, ...]:
        """What learning has cost each chip."""
        seconds = self.steps * self.prices.step.latency
        writes = (self._given() - self._begin).sum(1).to(torch.int64).tolist()
        passes = self._rig.passes - self._passes
        each = zip(self.joules(seconds), writes, strict=True)
        return tuple(Spent(seconds=seconds, joules=joules, passes=passes, writes=count) for joules, count in each)

    def _given(self) -> Tensor:
        """Programming pulses and attempts that devices have received, (C, crossbars), on the CPU."""
        chip = self._rig.chip
        found = torch.zeros(chip.chips, len(chip.crossbars), dtype=torch.float64, device=chip.device)
        for index, crossbar in enumerate(chip.crossbars):
            for wear in (cells.wear for cells in crossbar.array.cells):
                if wear is not None:
                    found[:, index] += wear.sum(dim=(1, 2), dtype=torch.float64)
        return found.cpu()
