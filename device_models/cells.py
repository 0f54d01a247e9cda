"""Cells: the devices of one layer and one polarity, what was written to them and what they are now."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from device_models.conductance_effect import State
from device_models.endurance import Lifetimes
from device_models.faults import FaultMap
from device_models.handed import Handed
from device_models.outcome import Outcome, outcome
from device_models.pulsed import Pulsed
from device_models.remembered import Remembered
from device_models.tally import Tally

if TYPE_CHECKING:
    from device_models.device import Device
    from device_models.read_noise import ReadNoise

_STATE = ("target", "programmed", "written_at", "attempts", "writes")
"""Attributes that a checkpoint holds, beside what is remembered of effects."""


class Cells:
    """One device at each crossing of a population of C crossbars.

    Attributes:
        target: siemens, what each device was last written towards, (C, out, rows).
        programmed: siemens, what it was right after that write.
        drifted: siemens, what it is, slow noise aside, at the time of the last `settle`.
        conductance: siemens, the same with slow noise: the mean of its reads.
        written_at: seconds, time of its last write, double precision; None where time changes nothing.
        remembered: effects of the device, each with what the devices remember of it.
        faults: devices that do not hold what they are written, from fabrication or since.
        pulsed: the same devices as incremental writes see them; None without an update model.
        lifetimes, used: what devices survive, and how much of it they have had; None without a limit.
        attempts: of programming it, over all its writes, int32; None without write-verify, where each write takes one.
        writes: of single devices with write-verify, the first programming included, (C,), int64; None without.
        tally: what they have been given, where nothing else tells it; see `wear` and `given`.

    Args:
        device: what they are.
        count_wear: whether pulses and writes are counted where nothing else needs that.
    """

    target: Tensor
    programmed: Tensor
    drifted: Tensor
    conductance: Tensor
    written_at: Tensor | None
    attempts: Tensor | None
    writes: Tensor | None
    tally: Tally

    def __init__(self, device: Device, count_wear: bool = False) -> None:
        self._device, self._count_wear = device, count_wear
        self.remembered = Remembered(device)
        self.faults: FaultMap | None = None
        self.pulsed: Pulsed | None = None
        self.lifetimes: Lifetimes | None = None
        self.used: Tensor | None = None

    def program(self, target: Tensor, numbers: Tensor | None, now: float, fabrication: Tensor | None = None) -> None:
        """Write every device, for the first time or anew.

        Args:
            target: siemens, (C, out, rows).
            numbers: standard normal, (C, `Device.numbers`, out, rows); None where that is 0.
            now: seconds.
            fabrication: standard normal, (C, `Device.fabricated`, out, rows); None where that is 0.
        """
        device, made = self._device, Handed(fabrication)
        self.remembered = Remembered.of_new(device, made)
        if device.update is not None:
            self.pulsed = Pulsed(device.update, device.site, made.take(device.update.fabricated))
        if device.endurance is not None:
            life = torch.stack(list(made.take(device.endurance.fabricated)), 1)
            self.lifetimes = device.endurance.build(device.site, life)
        self.target = target
        self.programmed, hidden, renewed, self.attempts = self._outcome(target, numbers)
        if self.pulsed is not None and hidden is not None:
            self.pulsed.hidden = hidden
        every = torch.ones_like(target, dtype=torch.bool)
        if self.lifetimes is not None:
            self.used = self.lifetimes.of_write(every, self.attempts) - 1
        self.writes = None if self.attempts is None else every.sum(dim=(1, 2))
        self.tally = Tally(device, self._count_wear, every, self.attempts)
        self.remembered.begin(renewed, every, now)
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
        asked = written
        programmed, hidden, renewed, attempts = self._outcome(target, numbers)
        if self.lifetimes is not None and self.used is not None:
            written = written & self.lifetimes.alive(self.used)
            self.used = self.used + self.lifetimes.of_write(written, attempts)
        self.tally.wrote(asked, written, attempts)
        if self.pulsed is not None and hidden is not None:
            self.pulsed.hidden = torch.where(written, hidden, self.pulsed.hidden)
        if self.attempts is not None and self.writes is not None and attempts is not None:
            self.attempts = self.attempts + attempts * written
            self.writes = self.writes + written.sum(dim=(1, 2))
        exact = numbers is None and half == 0 and self.lifetimes is None and self._device.read_disturb is None
        if exact:  # what is not written has this target anyhow, and is there
            self.target = self.programmed = target
        else:
            self.target = torch.where(written, target, self.target)
            self.programmed = torch.where(written, programmed, self.programmed)
        self._renew(written, renewed, now)
        return written

    def _renew(self, written: Tensor, renewed: Sequence[State], now: float) -> None:
        """What a write of some devices does to the states of effects, and to their clocks."""
        self.remembered.renew(renewed, written, now)
        if self.written_at is not None:
            self.written_at = torch.where(written, now, self.written_at)
        self.programmed = self._worn(self.programmed)

    def _worn(self, g: Tensor) -> Tensor:
        """Conductances, siemens, of which those of dead devices are where these stick, if they do."""
        if self.lifetimes is None or self.used is None:
            return g
        ends = (self._device.g_min, self._device.g_max) if self.pulsed is None else self.pulsed.ends
        return self.lifetimes.fail(g, self.used, *ends)

    @property
    def pulse_numbers(self) -> int:
        """Standard normal numbers that an incremental write of a device takes."""
        return 0 if self.pulsed is None else self.pulsed.numbers + sum(e.written for e in self._device.effects)

    def pulse(
        self,
        ups: Tensor,
        downs: Tensor | None,
        numbers: Tensor | None,
        now: float,
        lines: tuple[Tensor, Tensor] | None = None,
        passing: Tensor | float = 0.0,
    ) -> Tensor:
        """Incremental write: move the present state of devices by pulses, those up first.

        A pulse acts on what a device has become since its last write, and drift begins anew from there. `settle(now)`
        comes before.

        Args:
            ups, downs: pulses of each device, (C, out, rows); downs None where devices are never pulsed down.
            numbers: standard normal, (C, `pulse_numbers`, out, rows); None where that is 0.
            now: seconds.
            lines: pulses on the lines of rows (C, 1, rows) and columns (C, out, 1), where they are driven in parallel,
                of each direction; None: devices are pulsed one by one.
            passing: pulses up on the rows' lines, (C, 1, rows), that are for devices beside these.

        Returns:
            Which devices received any, (C, out, rows).
        """
        assert self.pulsed is not None
        both_ways = downs is not None
        downs = torch.zeros_like(ups) if downs is None else downs
        asked = given = ups + downs
        if self.lifetimes is not None and self.used is not None:
            ups, downs, self.used = self.lifetimes.spend(self.used, ups, downs)
            given = ups + downs
        self.tally.pulsed(asked, given)
        written, handed = given > 0, Handed(numbers)
        change = self.drifted - self.programmed if self._device.levels else 0.0
        moved = self.pulsed.write(ups, downs, handed.take(self.pulsed.numbers), change)
        self.programmed = torch.where(written, moved, self.programmed)
        self.target = torch.where(written, self.programmed, self.target)
        self._renew(written, self.remembered.written(self.programmed, handed), now)
        if self._device.half_select is not None:
            half, shared = self._device.half_select, lines or (None, None)
            beside = [half.pulses(ups, *shared, passing)]
            beside.append(half.pulses(downs, *shared) if both_ways else downs)
            if self.lifetimes is not None and self.used is not None:
                beside = [each * self.lifetimes.alive(self.used) for each in beside]
            self.programmed = (self.programmed + self.pulsed.nudge(*beside)).clamp_(min=0)
        return written

    def expose(self, activity: Tensor) -> None:
        """Let reads disturb the devices; `settle` comes next.

        Args:
            activity: sum of |x| / full scale over the reads, (C, rows).
        """
        device = self._device
        assert device.read_disturb is not None
        before = self.programmed
        self.programmed = device.read_disturb.apply(before, activity, device.g_min, device.g_max)
        if self.pulsed is not None:
            bounds = self.pulsed.bounds
            change = (self.programmed - before) * ((bounds.high - bounds.low) / (device.g_max - device.g_min))
            self.pulsed.hidden = self.pulsed.hidden + change

    @property
    def wear(self) -> Tensor | None:
        """Pulses and writes that each device has had, the first programming included, (C, out, rows), or None.

        A write is one, or with write-verify as many as it took attempts; with an endurance what that counts.
        """
        if self.used is not None:
            return self.used + 1
        return self.attempts if self.tally.worn is None and self._device.update is None else self.tally.worn

    @property
    def given(self) -> Tensor | None:
        """Pulses of incremental writes, and programming attempts, that devices have been given, dead ones too: (C, 2),
        double precision; None where nobody counts."""
        if self.tally.given is not None:
            return self.tally.given.double()
        if self.wear is None:
            return None
        attempts = self.wear.sum(dim=(1, 2), dtype=torch.float64)
        return torch.stack([torch.zeros_like(attempts), attempts], dim=1)

    def fail(self, later: FaultMap) -> None:
        """Let further devices be faulty; `settle` comes next."""
        self.faults = later if self.faults is None else self.faults.joined(later, self.programmed.dtype)

    def become(self, device: Device, now: float | None = None) -> None:
        """Have the same devices go on at another temperature; `settle` comes next.

        Args:
            device: the same description but for the temperature.
            now: seconds, when it changes; None: what they remember is that of devices at this temperature.
        """
        if now is not None and self.written_at is not None:
            self.remembered.account(now - self.written_at)
        self._device, self.remembered = device, self.remembered.at(device)

    def state_dict(self) -> dict[str, Any]:
        """What the devices remember, for a checkpoint; the tensors are live."""
        hidden = None if self.pulsed is None else self.pulsed.hidden
        state = {name: getattr(self, name) for name in _STATE}
        faults = None if self.faults is None else self.faults.state_dict()
        rest = {"hidden": hidden, "used": self.used, "tally": self.tally.state_dict()}
        return {**state, "states": self.remembered.state_dict(), "faults": faults, **rest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, on devices that have been programmed; `settle` comes next."""
        device = self.target.device

        def restored(value: Any) -> Any:
            return value.to(device, copy=True) if isinstance(value, Tensor) else value

        for name in (*_STATE, "used"):
            setattr(self, name, restored(state[name]))
        if self.pulsed is not None:
            self.pulsed.hidden = restored(state["hidden"])
        self.tally.load_state_dict(state["tally"], device)
        faults = state["faults"]
        self.faults = None if faults is None else FaultMap(**{name: restored(value) for name, value in faults.items()})
        states = [{name: restored(value) for name, value in each.items()} for each in state["states"]]
        self.remembered = Remembered(self._device, states)

    def steady(self, now: float | Tensor, tolerance: float) -> Tensor:
        """How long after `settle(now)` conductances stay, at least, what they are; slow noise aside.

        With levels that act in proportion, to within `tolerance` of themselves; with one that adds siemens, to within
        `tolerance` of themselves or of G_max, whichever is larger. Levels have equal parts of it.

        Returns:
            Seconds, double precision, (C,); infinity where nothing changes.
        """
        if self.written_at is None or not self._device.levels:
            return torch.full((len(self.target),), math.inf, dtype=torch.float64, device=self.target.device)
        return self.remembered.steady(now - self.written_at, tolerance)

    def settle(self, now: float | Tensor, numbers: Tensor | None = None) -> None:
        """Let time pass until `now`, seconds.

        Args:
            now: seconds; without numbers also of each chip, double precision, (C, 1, 1).
            numbers: standard normal, (C, `remembered.moving(now)`, out, rows); None: what wanders stands still.
        """
        elapsed = None if self.written_at is None else now - self.written_at
        if numbers is not None:
            assert not isinstance(now, Tensor)
            self.remembered.move(now, numbers)
        g, base = (self._worn(each) for each in self.remembered.leveled(self.programmed, elapsed))
        if self.faults is not None:
            g, base = self.faults.apply(g), self.faults.apply(base)
        self.drifted, self._base = g, base
        g = self.remembered.with_slow_noise(g, base, elapsed)
        self.conductance = g if self.faults is None else self.faults.silence(g)

    def variance(self, noise: ReadNoise) -> Tensor:
        """`noise.variance` of the devices as they are, siemens squared."""
        state = None if noise.slow is None else self.remembered.of(noise.slow)
        variance = noise.variance(self.drifted, self._base, state)
        return variance if self.faults is None else self.faults.silence(variance)

    @property
    def base(self) -> Tensor:
        """Siemens, what proportions of slow noise refer to, as of the last `settle`."""
        return self._base

    @property
    def nu(self) -> Tensor | None:
        """Drift exponents, (C, out, rows); None without drift."""
        return None if self._device.drift is None else self.remembered.of(self._device.drift)["nu"]

    def _outcome(self, target: Tensor, numbers: Tensor | None) -> Outcome:
        return outcome(self._device, self.remembered, self.pulsed, self.faults, target, numbers)
