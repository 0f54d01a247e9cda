"""What a device does to its conductance between a write and a read: drift, relaxation, faults, slow noise.

An effect has a state in each device. It is made at fabrication, renewed where the device is written, and moves on with
the clock. An effect itself is frozen; `Cells` holds the states and hands in the random numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor

State = dict[str, Any]
"""What the devices of one layer and polarity remember of one effect: tensors (chips, out, rows), and plain data."""


class ConductanceEffect(ABC):
    """One effect of a population of chips.

    Attributes:
        fabricated: standard normal numbers that each device takes once, at fabrication.
        written: those that it takes at each write.
        ages: whether what it does depends on the time.
    """

    fabricated: int = 0
    written: int = 0
    ages: bool = False

    def fabricate(self, numbers: Sequence[Tensor]) -> State:
        """The state of new devices.

        Args:
            numbers: `fabricated` tensors, standard normal, (chips, out, rows).
        """
        return {}

    def write(self, target: Tensor, numbers: Sequence[Tensor]) -> State:
        """The tensors of the state that a write renews, as if every device were written.

        Args:
            target: siemens, (chips, out, rows).
            numbers: `written` tensors, standard normal, (chips, out, rows).
        """
        return {}

    def touch(self, state: State, written: Tensor, now: float) -> None:
        """Told of a write at `now`, seconds: `written`, (chips, out, rows), were written, and `state` is renewed."""
        return

    def moving(self, state: State, now: float) -> int:
        """Standard normal numbers per device that it takes to move on to `now`, seconds."""
        return 0

    def move(self, state: State, now: float, numbers: Sequence[Tensor]) -> None:
        """Move the state on to `now`, seconds; `numbers` as many as `moving` says, (chips, out, rows)."""
        return

    @abstractmethod
    def apply(self, g: Tensor, programmed: Tensor, state: State, elapsed: Tensor | None) -> Tensor:
        """Conductances with the effect, siemens.

        Args:
            g: conductances so far, siemens, (chips, out, rows).
            programmed: what they were right after the write, same shape.
            state: of this effect.
            elapsed: seconds since each device's write, double precision, same shape; None where nothing `ages`.
        """

    def base(self, programmed: Tensor, state: State, elapsed: Tensor | None) -> Tensor:
        """What noise laws take for the programmed conductance, siemens: not that where the effect has replaced it."""
        return programmed
