"""Outcome: what an absolute write would make of the devices of one layer and polarity."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from device_models.conductance_effect import State
from device_models.faults import FaultMap
from device_models.handed import Handed
from device_models.pulsed import Pulsed
from device_models.remembered import Remembered

if TYPE_CHECKING:
    from device_models.device import Device


class Outcome(NamedTuple):
    """Of an absolute write: conductances, hidden u, renewed states, programming attempts."""

    programmed: Tensor
    hidden: Tensor | None
    renewed: list[State]
    attempts: Tensor | None


def outcome(
    device: Device,
    remembered: Remembered,
    pulsed: Pulsed | None,
    faults: FaultMap | None,
    target: Tensor,
    numbers: Tensor | None,
) -> Outcome:
    """What would become of every device if it were written.

    Args:
        device: what they are.
        remembered, pulsed, faults: of the devices; see `Cells`.
        target: siemens, (C, out, rows).
        numbers: standard normal, (C, `Device.numbers`, out, rows); None where that is 0.
    """

    def made(g: Tensor) -> Tensor:
        """What devices become that are programmed to g, siemens."""
        if pulsed is not None:
            g = pulsed.start(g, ())[1]
        return g if faults is None else faults.apply(g)

    def read_variance(g: Tensor) -> Tensor | float:
        """Of one read of devices of these conductances, what outlives a step aside; siemens squared."""
        total: Tensor | float = 0.0
        for noise in device.read_noise:
            state = None if noise.slow is None else remembered.of(noise.slow)
            total = total + noise.variance(g, g, state) * noise.in_a_read
        return total

    handed = Handed(numbers)
    programmed, attempts = target, None
    if device.write_verify is not None:
        own = handed.take(device.write_verify.numbers)
        programmed, attempts = device.write_verify.program(target, own, read_variance, made)
    elif device.programming is not None:
        programmed = device.programming.program(target, handed.take(device.programming.numbers))
    renewed = remembered.written(target, handed)
    hidden = None
    if pulsed is not None:
        hidden, programmed = pulsed.start(programmed, handed.take(pulsed.programming_numbers))
    return Outcome(programmed, hidden, renewed, attempts)
