"""What a device does to its conductance between a write and a read: drift, relaxation, faults, slow noise.

An effect has a state in each device. It is made at fabrication, renewed where the device is written, and moves on with
the clock. An effect itself is frozen; `Remembered` holds the states and hands in the random numbers.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

State = dict[str, Any]
"""What the devices of one layer and polarity remember of one effect: tensors (chips, out, rows), and plain data."""

_NATS = 500.0  # e^500 seconds are longer than anything lasts


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

    def moves_at(self, state: State) -> float:
        """Until when, seconds, what the random numbers of `move` stand for may stand still."""
        return math.inf

    def account(self, state: State, elapsed: Tensor) -> None:
        """Told before the temperature changes: note what the time since the writes has used up at the present one.

        Args:
            state: of this effect.
            elapsed: see `apply`.
        """
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

    def steady(self, state: State, elapsed: Tensor, tolerance: float) -> Tensor:
        """How long conductances stay what `apply` gives now, at least, whatever they were before the effect.

        Args:
            state: of this effect.
            elapsed: see `apply`.
            tolerance: share of a device's own conductance, where the effect acts in proportion; of G_max, where it adds
                siemens. Jumps are not tolerated.

        Returns:
            Seconds from now on, double precision, (chips,): 0 unless the effect knows better.
        """
        return elapsed.new_full((len(elapsed),), 0.0 if self.ages else math.inf)

    def base(self, programmed: Tensor, state: State, elapsed: Tensor | None) -> Tensor:
        """What noise laws take for the programmed conductance, siemens: not that where the effect has replaced it."""
        return programmed


def steady_logarithm(nats: Tensor, elapsed: Tensor, t0: float) -> Tensor:
    """How long it takes until ln max(t, t0), t the time since a device's write, has grown by `nats` anywhere.

    Args:
        nats: (chips,).
        elapsed: seconds since each device's write, double precision, (chips, out, rows).
        t0: seconds.

    Returns:
        Seconds, a lower bound where some devices are younger than t0 and some older; (chips,).
    """
    low, high = elapsed.amin(dim=(1, 2)), elapsed.amax(dim=(1, 2))
    growth = torch.expm1(nats.to(elapsed.dtype).clamp(max=_NATS))
    return torch.where(high <= t0, t0 * growth + (t0 - high), low.clamp(min=t0) * growth)
