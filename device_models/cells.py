"""Cells: the devices of one layer and one polarity, what was written to them and what they are now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from device_models.profile import Device

_STATE = ("target", "programmed", "written_at", "nu")
"""Attributes that a checkpoint holds, beside slow states. A new memory of devices joins by its name."""


class Cells:
    """One device at each crossing of a population of C crossbars.

    Attributes:
        target: siemens, what each device was last written towards, (C, out, rows).
        programmed: siemens, what it was right after that write.
        drifted: siemens, what it is, slow noise aside, at the time of the last `settle`.
        conductance: siemens, the same with slow noise: the mean of its reads.
        written_at: seconds, time of its last write, double precision; None where time changes nothing.
        nu: drift exponents; None without drift.
    """

    target: Tensor
    programmed: Tensor
    drifted: Tensor
    conductance: Tensor
    written_at: Tensor | None
    nu: Tensor | None

    def __init__(self, device: Device) -> None:
        self._device = device
        self._slow: tuple[Tensor, ...] = ()

    def program(self, target: Tensor, numbers: Tensor | None, now: float) -> None:
        """Write every device.

        Args:
            target: siemens, (C, out, rows).
            numbers: standard normal, (C, `Device.numbers`, out, rows); None where that is 0.
            now: seconds.
        """
        device = self._device
        self.target = target
        self.programmed, self.nu, self._slow = self._outcome(target, numbers)
        self.written_at = torch.full_like(target, now, dtype=torch.float64) if device.ages else None

    def write(self, target: Tensor, numbers: Tensor | None, now: float, also: Tensor | None = None) -> Tensor:
        """Write the devices whose target moved by half a granularity or more; the others do not notice.

        Args:
            target, numbers, now: see `program`; numbers are given for every device, written or not.
            also: devices to write in any case, broadcastable to (C, out, rows).

        Returns:
            Which devices were written, (C, out, rows).
        """
        half = self._device.granularity / 2
        written = target != self.target
        if half > 0:
            written &= (target - self.target).abs_() >= half
        if also is not None:
            written = written | also
        programmed, nu, slow = self._outcome(target, numbers)
        if half > 0 or numbers is not None:
            self.target = torch.where(written, target, self.target)
            self.programmed = torch.where(written, programmed, self.programmed)
        else:
            self.target = self.programmed = target  # what is not written has this target anyhow
        if self.nu is not None and nu is not None:
            self.nu = torch.where(written, nu, self.nu)
        self._slow = tuple(torch.where(written, new, old) for new, old in zip(slow, self._slow, strict=True))
        if self.written_at is not None:
            self.written_at = torch.where(written, now, self.written_at)
        return written

    def state_dict(self) -> dict[str, Any]:
        """What the devices remember, for a checkpoint; the tensors are live."""
        return {**{name: getattr(self, name) for name in _STATE}, "slow": list(self._slow)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, on devices that have been programmed; `settle` comes next."""
        device = self.target.device
        for name in _STATE:
            value = state[name]
            setattr(self, name, None if value is None else value.to(device, copy=True))
        self._slow = tuple(slow.to(device, copy=True) for slow in state["slow"])

    def settle(self, now: float) -> None:
        """Let time pass until `now`, seconds."""
        self.drifted = self.conductance = self.programmed
        if self.written_at is None:
            return
        device, elapsed = self._device, now - self.written_at
        if device.drift is not None:
            assert self.nu is not None
            self.drifted = self.conductance = device.drift.apply(self.programmed, self.nu, elapsed)
        for noise, xi in zip(device.slow_noise, self._slow, strict=True):
            self.conductance = noise.apply(self.conductance, self.programmed, xi, elapsed)

    def _outcome(self, target: Tensor, numbers: Tensor | None) -> tuple[Tensor, Tensor | None, tuple[Tensor, ...]]:
        """(programmed, nu, slow states) of every device if it were written."""
        device = self._device
        xi = [] if numbers is None else list(numbers.unbind(1))
        programmed = target if device.programming is None else device.programming.program(target, xi.pop(0))
        nu = None if device.drift is None else device.drift.exponent(target, xi.pop(0))
        return programmed, nu, tuple(xi)
