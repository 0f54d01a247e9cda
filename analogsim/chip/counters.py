"""Counters: what the devices of a chip have been through, by chip."""

from __future__ import annotations

import torch
from torch import Tensor

from analogsim.chip.crossbar import Crossbar
from analogsim.chip.decorrelation import Decorrelators


class Counters:
    """Of a population of C chips.

    Attributes:
        chips: C.
        device: of the tensors.
    """

    chips: int
    device: torch.device
    _layers: list[Crossbar]
    _decorrelators: Decorrelators

    @property
    def crossbars(self) -> list[Crossbar]:
        """All of the chip: those of the layers, and those of their decorrelation."""
        return [*self._layers, *self._decorrelators]

    @property
    def device_writes(self) -> Tensor:
        """Device pairs of which one or both were written since the first programming, (C,); those of R included."""
        return torch.stack([crossbar.array.device_writes for crossbar in self.crossbars]).sum(0)

    @property
    def pulses(self) -> Tensor:
        """Pulses that incremental writes have given, (C,)."""
        return torch.stack([crossbar.array.pulses for crossbar in self._layers]).sum(0)

    @property
    def overdriven(self) -> Tensor:
        """Mean share of line drives that would have needed more pulses than a train has, (C,): updates too small."""
        layers = [crossbar.array.overdriven / crossbar.array.pulsed.clamp(min=1) for crossbar in self._layers]
        return torch.stack(layers).mean(0)

    @property
    def attempts(self) -> Tensor:
        """Mean number of programming attempts of a device in a write that is verified, (C,).

        The first programming is one of them; 1 where no layer has write-verify.
        """
        attempts, writes = torch.zeros(2, self.chips, dtype=torch.float64, device=self.device)
        for cells in (cells for crossbar in self.crossbars for cells in crossbar.array.cells):
            if cells.attempts is not None and cells.writes is not None:
                attempts += cells.attempts.sum(dim=(1, 2))
                writes += cells.writes
        return torch.where(writes > 0, attempts / writes.clamp(min=1), 1.0)

    @property
    def wear(self) -> Tensor:
        """Peak wear: the most pulses and writes that any device has had since fabrication, (C,), int64.

        The first programming is one of them; with write-verify each attempt of a write is; with an `endurance` what
        that counts.

        Raises:
            RuntimeError: nobody has counted them.
        """
        peaks = [each.amax(dim=(1, 2)).to(torch.int64) for each in self._wear()]
        return torch.stack(peaks).amax(0)

    @property
    def mean_wear(self) -> Tensor:
        """The same as a mean over all devices, (C,), double precision."""
        counted = self._wear()
        sums = torch.stack([each.sum(dim=(1, 2), dtype=torch.int64) for each in counted]).sum(0)
        return sums.to(torch.float64) / sum(each[0].numel() for each in counted)

    def _wear(self) -> list[Tensor]:
        """Of each device, (C, out, rows) of every array."""
        found = [cells.wear for crossbar in self.crossbars for cells in crossbar.array.cells]
        if any(each is None for each in found):
            raise RuntimeError("writes of single devices have not been counted: make the chip with count_wear=True")
        return [each for each in found if each is not None]

    @property
    def saturated(self) -> Tensor:
        """Share of each layer's weights that rest at the end of their range, (C, layers)."""
        return torch.stack([crossbar.array.saturated() for crossbar in self._layers], dim=1)
