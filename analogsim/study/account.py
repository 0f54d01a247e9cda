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
        return self._joules(seconds, self._new())

    def _joules(self, seconds: float, new: Tensor) -> tuple[float, ...]:
        prices, chip = self.prices, self._rig.chip
        verified = [each.write_verify is not None for each in chip.profiles]
        price = [
            (costs.write.energy, costs.write.energy + verified[index] * costs.verify.energy)
            for index, costs in ((index, prices.costs[index]) for index, _ in chip.numbered_crossbars)
        ]
        written = (new * torch.tensor(price, dtype=torch.float64)).sum(dim=(1, 2))
        shared = self.steps * prices.step.energy + self.reads * prices.inference.energy + seconds * prices.standby
        return tuple((written + shared).tolist())

    def spent(self) -> tuple[Spent, ...]:
        """What learning has cost each chip."""
        seconds, new = self.steps * self.prices.step_time, self._new()
        writes = new.sum(dim=(1, 2)).to(torch.int64).tolist()
        shared = {"seconds": seconds, "passes": self._rig.passes - self._passes}
        each = zip(self._joules(seconds, new), writes, self.wear(), strict=True)
        return tuple(Spent(joules=joules, writes=count, wear=peak, **shared) for joules, count, peak in each)

    def wear(self) -> tuple[int, ...]:
        """The most that any device of each chip has received since it was made."""
        return tuple(self._rig.chip.wear.tolist())

    def _new(self) -> Tensor:
        """What devices have been given since the beginning; crossbars that were made since count from their making."""
        given = self._given()
        given[:, : self._begin.shape[1]] -= self._begin
        return given

    def _given(self) -> Tensor:
        """Pulses, and programming attempts, that devices have been given, (C, crossbars, 2), on the CPU."""
        chip = self._rig.chip
        found = torch.zeros(chip.chips, len(chip.crossbars), 2, dtype=torch.float64, device=chip.device)
        for index, crossbar in enumerate(chip.crossbars):
            for given in (cells.given for cells in crossbar.array.cells):
                if given is not None:
                    found[:, index] += given
        return found.cpu()
