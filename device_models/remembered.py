"""What devices remember of each effect: made with them, renewed by writes, moved on with the clock."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from device_models.conductance_effect import ConductanceEffect, State
from device_models.handed import Handed

if TYPE_CHECKING:
    from device_models.device import Device


class Remembered:
    """The effects of the devices of one layer and polarity, in order, each with its state in them.

    Args:
        device: what the devices are.
        states: of its effects; None: empty ones.
    """

    def __init__(self, device: Device, states: Sequence[State] | None = None) -> None:
        effects = device.effects
        self._pairs = list(zip(effects, [{} for _ in effects] if states is None else states, strict=True))
        self._levels, self._slow = self._pairs[: len(device.levels)], self._pairs[len(device.levels) :]

    @classmethod
    def of_new(cls, device: Device, made: Handed) -> Remembered:
        """Of new devices.

        Args:
            device: what they are.
            made: standard normal numbers, of which each effect takes its `fabricated`.
        """
        return cls(device, [dict(effect.fabricate(made.take(effect.fabricated))) for effect in device.effects])

    def at(self, device: Device) -> Remembered:
        """The same states in the same devices at another temperature."""
        return Remembered(device, [state for _, state in self])

    def __iter__(self) -> Iterator[tuple[ConductanceEffect, State]]:
        return iter(self._pairs)

    def of(self, effect: ConductanceEffect) -> State:
        """The state of an effect; live."""
        return next(state for each, state in self if each is effect)

    def written(self, target: Tensor, handed: Handed) -> list[State]:
        """The tensors of the states that a write renews, as if every device were written.

        Args:
            target: siemens, (C, out, rows).
            handed: standard normal numbers, of which each effect takes its `written`.
        """
        return [effect.write(target, handed.take(effect.written)) for effect, _ in self]

    def begin(self, renewed: Sequence[State], every: Tensor, now: float) -> None:
        """The first write of new devices.

        Args:
            renewed: as `written` gives it.
            every: True, (C, out, rows).
            now: seconds.
        """
        for (effect, state), new in zip(self, renewed, strict=True):
            state.update(new)
            effect.touch(state, every, now)

    def renew(self, renewed: Sequence[State], written: Tensor, now: float) -> None:
        """A write of some devices.

        Args:
            renewed: as `written` gives it.
            written: which ones, (C, out, rows).
            now: seconds.
        """
        for (effect, state), new in zip(self, renewed, strict=True):
            for name, value in new.items():
                state[name] = torch.where(written, value, state[name])
            effect.touch(state, written, now)

    def account(self, elapsed: Tensor) -> None:
        """Told before the temperature changes; `elapsed`: seconds since each device's write, (C, out, rows)."""
        for effect, state in self:
            effect.account(state, elapsed)

    def moving(self, now: float) -> int:
        """Standard normal numbers per device that it takes to move on to `now`, seconds."""
        return sum(effect.moving(state, now) for effect, state in self)

    def moves_at(self) -> float:
        """Until when, seconds, what wanders may stand still."""
        return min((effect.moves_at(state) for effect, state in self), default=math.inf)

    def move(self, now: float, numbers: Tensor) -> None:
        """Move what wanders on to `now`, seconds; `numbers`: standard normal, (C, `moving(now)`, out, rows)."""
        handed = Handed(numbers)
        for effect, state in self:
            effect.move(state, now, handed.take(effect.moving(state, now)))

    def steady(self, elapsed: Tensor, tolerance: float) -> Tensor:
        """How long levels let conductances stay, at least, what they are.

        Args:
            elapsed: seconds since each device's write, double precision, (C, out, rows).
            tolerance: of all levels together, which have equal parts of it; see `ConductanceEffect.steady`.

        Returns:
            Seconds, double precision, (C,).
        """
        part = tolerance / len(self._levels)
        return torch.stack([effect.steady(state, elapsed, part) for effect, state in self._levels]).amin(0)

    def leveled(self, programmed: Tensor, elapsed: Tensor | None) -> tuple[Tensor, Tensor]:
        """(what the levels make of programmed conductances, what noise laws take for the programmed ones), siemens."""
        g, base = programmed, programmed
        for effect, state in self._levels:
            g = effect.apply(g, programmed, state, elapsed)
            base = effect.base(base, state, elapsed)
        return g, base

    def with_slow_noise(self, g: Tensor, base: Tensor, elapsed: Tensor | None) -> Tensor:
        """Conductances with slow noise, siemens; `base`: what it is in proportion to."""
        for effect, state in self._slow:
            g = effect.apply(g, base, state, elapsed)
        return g

    def state_dict(self) -> list[dict[str, Any]]:
        """The states, for a checkpoint; the tensors are live."""
        return [dict(state) for _, state in self]
