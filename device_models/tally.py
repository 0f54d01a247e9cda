"""Tally: what devices have been given, device by device, and all together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from device_models.device import Device

_STATE = ("worn", "given")


class Tally:
    """Of the devices of one layer and polarity of C chips, from their first programming on.

    Args:
        device: what they are.
        counts: whether somebody wants to know.
        every: true for each device, (C, out, rows).
        attempts: of the first programming, int32, same shape; None: one each.

    Attributes:
        worn: pulses and programming attempts that each device has had, int32, same shape; None where nobody wants to
            know, or another count has them: see `Cells.wear`.
        given: pulses of incremental writes, and programming attempts, that all devices together have been given, those
            of dead ones included, int64, (C, 2); None where `worn` tells that, or nobody wants to know.
    """

    def __init__(self, device: Device, counts: bool, every: Tensor, attempts: Tensor | None) -> None:
        self.worn: Tensor | None = None
        self.given: Tensor | None = None
        elsewhere = device.endurance is not None or (attempts is not None and device.update is None)
        if counts and not elsewhere:
            self.worn = torch.zeros_like(every, dtype=torch.int32)
        if counts and (device.endurance is not None or device.update is not None):
            self.given = torch.zeros(len(every), 2, dtype=torch.int64, device=every.device)
        self.wrote(every, every, attempts)

    def wrote(self, asked: Tensor, written: Tensor, attempts: Tensor | None) -> None:
        """Told of an absolute write: which devices it was for, which of them live, and how many attempts each took."""
        if self.given is not None:
            self.given[:, 1] += (asked if attempts is None else attempts * asked).sum(dim=(1, 2), dtype=torch.int64)
        if self.worn is not None:
            self.worn += written if attempts is None else attempts * written

    def pulsed(self, asked: Tensor, acting: Tensor) -> None:
        """Told of an incremental write: pulses that devices were given, and those of them that acted."""
        if self.given is not None:
            self.given[:, 0] += asked.sum(dim=(1, 2), dtype=torch.float64).to(torch.int64)
        if self.worn is not None:
            self.worn += acting.to(torch.int32)

    def state_dict(self) -> dict[str, Tensor | None]:
        """For a checkpoint; the tensors are live."""
        return {name: getattr(self, name) for name in _STATE}

    def load_state_dict(self, state: dict[str, Tensor | None], device: torch.device) -> None:
        """Continue where `state_dict` was taken."""
        for name in _STATE:
            value = state[name]
            setattr(self, name, None if value is None else value.to(device, copy=True))
