"""Array: the devices of one layer on all its tiles, how they are written and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from analogsim.chip.draws import Draws
from analogsim.chip.horizon import Horizon, times
from analogsim.chip.mapping import Mapping, to_conductances
from analogsim.chip.numbers import LayerNumbers
from analogsim.chip.pair import Pair, fault_numbers
from analogsim.chip.pulses import pulse_counts, weight_per_step, worn_out_pairs
from analogsim.port import LayerPulses
from analogsim.randomness import Purpose
from device_models import Cells, Device, threads
from device_models.faults import Faults

_STATE = ("w_max", "target", "device_writes", "pulses", "pulsed", "overdriven")
"""Attributes that a checkpoint holds beside the devices' own state; what follows from these alone is recomputed."""


class Array:
    """Device pairs of one layer of a population of C chips.

    Args:
        device: what they are.
        blocks: lines -> those of each tile.
        mapping: how weights become conductances.
        numbers: where random numbers come from.
        tolerance: of drift; see `Chip`.
        count_wear: see `Cells`.

    Attributes:
        w_max: the weight that G_max stands for, (C, 1, 1) or (C, out, 1).
        target: weights that were last asked for, (C, out, rows).
        pairs: the devices, by slice, the most significant first.
        shares: of each slice in a weight.
        device_writes: number of device pairs of which one or both were written since the first programming, (C,),
            int64.
        pulses: given to pairs by incremental writes, (C,), int64; there were `pulsed` of them.
        overdriven: sum over these of the share of line drives that would have needed more pulses than a train has.
        settled: how often what reads see was computed anew.
    """

    def __init__(
        self,
        device: Device,
        blocks: Callable[[int], list[slice]],
        mapping: Mapping,
        numbers: LayerNumbers,
        tolerance: float = 0.0,
        count_wear: bool = False,
    ) -> None:
        self._device, self._mapping, self._numbers = device, mapping, numbers
        self.shares = (1.0,) if device.slices is None else device.slices.shares
        self.pairs = [Pair(device, blocks, count_wear) for _ in self.shares]
        self.settled, self._horizon = 0, Horizon(tolerance)

    @property
    def pair(self) -> Pair:
        """The devices, or those of the most significant slice."""
        return self.pairs[0]

    @property
    def cells(self) -> list[Cells]:
        """The devices of all slices and both polarities."""
        return [cells for pair in self.pairs for cells in pair.sides]

    @property
    def weights(self) -> Tensor:
        """What the pairs stand for at the time of the last read or write, read noise aside, (C, out, rows)."""
        first, *rest = self.pairs
        if not rest:
            return first.weights
        held = zip(rest, self.shares[1:], strict=True)
        return sum((pair.weights * share for pair, share in held), first.weights * self.shares[0])

    def program(self, weights: Tensor, now: float = 0.0) -> None:
        """Fix the range by initial weights and write them, on new devices.

        Args:
            weights: (C, out, rows).
            now: seconds.
        """
        d, slices = self._device, len(self.pairs)
        numbers = self._numbers.devices(Purpose.PROGRAMMING, d.numbers * slices)
        fabrication = self._numbers.devices(Purpose.FABRICATION, d.fabricated * slices)
        count = 0 if d.faults is None else fault_numbers(*weights.shape[1:]) * slices
        faults = self._numbers.normal(Purpose.FAULTS, (count,)) if count else None
        for pair, numbers_of_faults in zip(self.pairs, self._by_slice(faults), strict=True):
            pair.fabricate(numbers_of_faults, *weights.shape[1:])
        self.w_max = self._mapping.initial_range(weights)
        self.target = weights.clone()
        self.device_writes = torch.zeros(weights.shape[0], dtype=torch.int64, device=weights.device)
        self.pulses, self.pulsed = torch.zeros_like(self.device_writes), torch.zeros_like(self.device_writes)
        self.overdriven = torch.zeros(len(weights), dtype=weights.dtype, device=weights.device)
        self._activity: Tensor | None = None
        self._by_pulses = False
        self._horizon.at = [now] * len(weights)
        for sides, made in zip(self._sides(numbers), self._by_slice(fabrication), strict=True):
            both = (None, None) if made is None else made.unbind(2)
            for (cells, target, xi), own in zip(sides, both, strict=True):
                cells.program(target, xi, now, own)
        self._settle(now)

    def _by_slice(self, numbers: Tensor | None) -> Sequence[Tensor | None]:
        """Random numbers (C, slices x count, ...) of each slice."""
        return [None] * len(self.pairs) if numbers is None else numbers.chunk(len(self.pairs), dim=1)

    def write(self, target: Tensor, now: float = 0.0, every: bool = False) -> None:
        """Absolute write: program every device whose target changed towards it, clipped to the range.

        A change of range writes all devices that it concerns.

        Args:
            target: weights (C, out, rows).
            now: seconds.
            every: program all devices, whether their target changed or not; references, too.
        """
        self._by_pulses = False
        self.disturb()
        self.settle(now)
        w_max = self._mapping.next_range(self.w_max, target)
        moved = torch.ones_like(w_max, dtype=torch.bool) if every else None
        if not every and w_max is not self.w_max:
            moved = w_max != self.w_max
        if moved is None and len(self.pairs) == 1 and self.pair.exact and threads.compiled(target, w_max):
            self._horizon.move(now)
            self.settled, self.w_max = self.settled + 1, w_max
            self.target, written = self.pair.program_exactly(target, w_max, now)
            self.device_writes += written
            return
        self.w_max, self.target = w_max, torch.minimum(torch.maximum(target, -w_max), w_max)
        numbers = self._numbers.devices(Purpose.PROGRAMMING, self._device.numbers * len(self.pairs))
        fixed = self._device.cell == "reference" and not every  # it stands for no weight: no range moves it
        for (plus, target, xi), (minus, rest, own) in self._sides(numbers):
            written = plus.write(target, xi, now, moved) | minus.write(rest, own, now, None if fixed else moved)
            self.device_writes += written.sum(dim=(1, 2))
        self._settle(now)

    def pulse(self, write: LayerPulses, now: float = 0.0) -> None:
        """Incremental write: move the devices by pulses.

        A pair steps up only: pulses that raise a weight go to G+, those that lower it to G-; where both have grown, the
        pair is programmed anew. One device against a reference steps both ways.

        Args:
            write: what is wanted.
            now: seconds.

        Raises:
            ValueError: the profile has no update model, or the range follows the weights.
        """
        d = self._device
        step = self.weight_per_step
        if step is None:
            raise ValueError("these devices take no pulses: their profile has no `update`")
        if self._mapping.range == "follow":
            raise ValueError("pulses need a fixed range: with `mapping.range: follow` there is no range to step in")
        self._by_pulses = True
        self.disturb()
        if d.ages and not self._horizon.reached(now):
            self._settle(now)
        raising, lowering, lines, overdriven = pulse_counts(write, step, d, self._numbers.uniform)
        self.pulsed += 1
        if overdriven is not None:
            self.overdriven += overdriven
        numbers = self._numbers.devices(Purpose.PULSES, self.pair.plus.pulse_numbers)
        plus, minus = (None, None) if numbers is None else numbers.unbind(2)
        if d.cell == "pair":  # a phase for each polarity; the devices of a pair share their row's line
            each = (lines[0], lines[0]) if lines else (raising.sum(1, keepdim=True), lowering.sum(1, keepdim=True))
            first, second = each
            written = self.pair.plus.pulse(raising, None, plus, now, lines, second)
            written = written | self.pair.minus.pulse(lowering, None, minus, now, lines, first)
        else:
            written = self.pair.plus.pulse(raising, lowering, plus, now, lines)
        self._settle(now)
        if d.cell == "pair":
            written = written | self._refresh(now)
        self.device_writes += written.sum(dim=(1, 2))
        self.pulses += (raising + lowering).sum(dim=(1, 2), dtype=torch.float64).to(torch.int64)

    def _refresh(self, now: float) -> Tensor:
        """Program pairs anew whose devices have both grown; their difference stays. Which, (C, out, rows)."""
        d = self._device
        worn = worn_out_pairs(self.pair.plus.drifted, self.pair.minus.drifted, d)
        difference = self.pair.plus.drifted - self.pair.minus.drifted
        numbers = self._numbers.devices(Purpose.PROGRAMMING, d.numbers)
        xi = (None, None) if numbers is None else numbers.unbind(2)
        written = torch.zeros_like(worn)
        for cells, sign, own in zip(self.pair.sides, (1, -1), xi, strict=True):
            target = (sign * difference).clamp(min=0).add_(d.g_min).clamp_(max=d.g_max)
            written |= cells.write(torch.where(worn, target, cells.target), own, now)
        self._settle(now)
        return written

    @contextmanager
    def perturbed(self, change: Tensor, now: float) -> Iterator[None]:
        """Absolute writes of changed weights, and of the old targets at the end.

        What lies beyond the range is clipped there; a range that follows the weights moves with them and back.

        Args:
            change: of the targets, (C, out, rows).
            now: seconds.

        Raises:
            ValueError: the last write was by pulses, so there is no target to go back to.
        """
        if self._by_pulses:
            raise ValueError(
                "weights that pulses have moved cannot be perturbed by writes: nobody knows what to write back; "
                "give the profile `weight_perturbation: {path: true}`, or the arm an optimiser that writes absolutely"
            )
        target = self.target
        self.write(target + change, now)
        try:
            yield
        finally:
            self.write(target, now)

    @property
    def weight_per_step(self) -> Tensor | None:
        """Mean change of a weight by one pulse, (C, 1, 1) or (C, out, 1), or None."""
        return weight_per_step(self._device, self.w_max)

    def _sides(self, numbers: Tensor | None) -> Iterator[list[tuple[Cells, Tensor, Tensor | None]]]:
        """Both devices of the pairs of each slice, each with its target and its numbers."""
        d = self._device
        held = [self.target] if d.slices is None else d.slices.digits(self.target, self.w_max)
        for pair, target, own in zip(self.pairs, held, self._by_slice(numbers), strict=True):
            targets = to_conductances(target, self.w_max, d.g_min, d.g_max, d.cell)
            xi = (None, None) if own is None else own.unbind(2)
            yield list(zip(pair.sides, targets, xi, strict=True))

    def saturated(self) -> Tensor:
        """Share of weights that rest at the end of the range, (C,): of the targets, or of what pulses have made."""
        held = self.target if self._device.update is None else self.weights * (1 + 1e-6)
        return (held.abs() >= self.w_max).to(held.dtype).mean(dim=(1, 2))

    def fail(self, faults: Faults) -> None:
        """Let further devices and lines die; the same random numbers are drawn whatever the shares."""
        out, rows = self.target.shape[1:]
        built, count = faults.build(self._device.site), fault_numbers(out, rows) * len(self.pairs)
        numbers = self._numbers.normal(Purpose.FAILURES, (count,)).chunk(len(self.pairs), dim=1)
        for pair, own in zip(self.pairs, numbers, strict=True):
            pair.fail(built, own, out, rows)
        self._recompute()

    def become(self, device: Device, now: float | None = None) -> None:
        """Have the devices go on at another temperature; see `Cells.become`."""
        self._device = device
        for pair in self.pairs:
            pair.become(device, now)
        if now is not None:
            self._recompute()

    def state_dict(self) -> dict[str, Any]:
        """What the devices hold, for a checkpoint; the tensors are live."""
        state: dict[str, Any] = {name: getattr(self, name) for name in _STATE}
        pairs = [pair.state_dict() for pair in self.pairs]
        rest = {"at": list(self._horizon.at), "activity": self._activity, "by_pulses": self._by_pulses}
        return {**state, "pairs": pairs, **rest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, on an array that has been programmed."""
        for name in _STATE:
            setattr(self, name, state[name].to(self.target.device, copy=True))
        self._by_pulses = state["by_pulses"]
        for pair, saved in zip(self.pairs, state["pairs"], strict=True):
            pair.load_state_dict(saved)
        self._activity, activity = None, state["activity"]
        self._horizon.at = list(state["at"])
        self._recompute()
        self._activity = None if activity is None else activity.to(self.target.device, copy=True)

    def settle(self, now: float) -> None:
        """Let time pass until `now`, seconds: nothing to do where what was computed still stands."""
        if not self._device.ages or self._horizon.reached(now):
            return
        if self._activity is not None or self._horizon.tolerance == 0:
            self._settle(now)
        elif self._horizon.due(now, self.cells):
            self._recompute(now if self._horizon.wanders else None)

    def disturb(self) -> None:
        """Let the devices have what the reads so far have done to them."""
        if self._activity is not None:
            self._recompute()

    def expose(self, levels: Tensor, gain: Tensor | None, draws: Draws) -> None:
        """Remember what a read of these levels does to the devices, for what comes next."""
        if self._device.read_disturb is None or draws.purpose is not Purpose.READ:
            return
        share = levels.abs() if gain is None else (levels / gain).abs()
        reads = draws.samples * len(draws.noisy) / (levels.shape[1] * levels.shape[2])
        activity = share.sum(dim=(1, 2, 3)).mul_(reads / self._device.full_scale)
        self._activity = activity if self._activity is None else self._activity + activity

    def _disturb(self) -> None:
        if self._activity is not None:
            for cells in self.cells:
                cells.expose(self._activity)
            self._activity = None

    def _settle(self, now: float) -> None:
        """Let time pass until `now`, seconds, whatever still stands."""
        self._horizon.move(now)
        self._recompute(now)

    def _recompute(self, wander: float | None = None) -> None:
        """Compute anew what reads use and only writes and time change.

        Args:
            wander: seconds, until when what wanders moves; None: it stands still.
        """
        counts = [] if wander is None else [pair.plus.remembered.moving(wander) for pair in self.pairs]
        drawn = self._numbers.devices(Purpose.WANDERING, sum(counts))
        each = [None] * len(self.pairs) if drawn is None else drawn.split(counts, dim=1)
        self.settled += 1
        self._disturb()
        when = times(self._horizon.when, self.target)
        for pair, numbers in zip(self.pairs, each, strict=True):
            pair.settle(when, numbers, self.w_max)
        self._horizon.renew()
