"""Pair: the differential device pairs of one layer, and what a read needs to know of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from analogsim.chip.mapping import weight_per_siemens
from device_models import Cells, Device, ReadNoise, Relaxation, threads
from device_models.faults import Fabrication


class Source(NamedTuple):
    """Read noise of the pairs of a layer, as drawn per column.

    Attributes:
        variance: in weight units squared, (C, out, rows), or with ones where it is uniform.
        white: share of it that is drawn anew in every pass.
        passing: what changes between passes and remembers; weights are shares of the variance.
        power: of the input with which it grows; see `ReadNoise`.
        still: share that is drawn anew in every read, but stands still while it lasts.
    """

    variance: Tensor
    white: float = 1.0
    passing: tuple[Relaxation, ...] = ()
    still: float = 0.0
    power: int = 2

    @property
    def uniform(self) -> bool:
        """Whether all rows have one variance."""
        return self.variance.shape[2] == 1


class View(NamedTuple):
    """What a read in one direction sees.

    Attributes:
        weights: (C, out, rows), read noise aside.
        sources: read noise.
        attenuation: of each polarity's own noise by the wires, (C, out, rows), or None.
    """

    weights: Tensor
    sources: list[Source]
    attenuation: tuple[Tensor, Tensor] | None


def fault_numbers(out: int, rows: int) -> int:
    """Random numbers that decide on the faults of a pair of arrays, for each chip."""
    return 2 * out * rows + rows + 2 * out


class Pair:
    """Two devices at each crossing of a population of C crossbars.

    Args:
        device: what they are.
        blocks: lines -> those of each tile; either polarity has tiles of its own.
        count_wear: see `Cells`.

    Attributes:
        plus, minus: the devices.
    """

    def __init__(self, device: Device, blocks: Callable[[int], list[slice]], count_wear: bool = False) -> None:
        self._device, self._blocks = device, blocks
        self.plus, self.minus = Cells(device, count_wear), Cells(device, count_wear)
        self._views: dict[bool, View] = {}

    def fabricate(self, numbers: Tensor | None, out: int, rows: int) -> None:
        """Decide which new devices and lines are faulty.

        Args:
            numbers: standard normal, (C, `fault_numbers(out, rows)`), or None where nothing is faulty.
            out, rows: of the layer.
        """
        self.plus.faults = self.minus.faults = None
        if self._device.faults is not None and numbers is not None:
            self.fail(self._device.faults, numbers, out, rows)

    def fail(self, faults: Fabrication, numbers: Tensor, out: int, rows: int) -> None:
        """Let devices and lines be faulty, on top of those that are; `settle` comes next.

        Args:
            faults: how many.
            numbers: standard normal, (C, `fault_numbers(out, rows)`).
            out, rows: of the layer.
        """
        devices, lines, columns = numbers.split([2 * out * rows, rows, 2 * out], dim=1)
        found = faults.fabricate(devices.unflatten(1, (2, out, rows)), lines, columns.unflatten(1, (2, out)))
        for cells, own in zip(self.sides, found.polarities(), strict=True):
            cells.fail(own)

    def become(self, device: Device, now: float | None = None) -> None:
        """See `Cells.become`."""
        self._device = device
        for cells in self.sides:
            cells.become(device, now)

    @property
    def sides(self) -> tuple[Cells, Cells]:
        """Both devices."""
        return self.plus, self.minus

    def settle(self, now: float | Tensor, numbers: Tensor | None, w_max: Tensor) -> None:
        """Let time pass until `now`, seconds.

        Args:
            now: seconds; without numbers also of each chip, (C, 1, 1).
            numbers: standard normal, (C, `Remembered.moving(now)`, 2, out, rows), or None.
            w_max: the weight that G_max stands for, (C, 1, 1) or (C, out, 1).
        """
        each = (None, None) if numbers is None else numbers.unbind(2)
        for cells, xi in zip(self.sides, each, strict=True):
            cells.settle(now, xi)
        self._w_max, self._views = w_max, {}

    @property
    def exact(self) -> bool:
        """Whether a write brings both devices just where it aims, they stay there, and a read sees just them."""
        well = self.plus.faults is None and self.minus.faults is None
        return well and self._device.exact and self._device.cell == "pair" and self._device.wires is None

    def program_exactly(self, target: Tensor, w_max: Tensor, now: float) -> tuple[Tensor, Tensor]:
        """Write exact pairs in one pass; the same as `to_conductances`, a write of both devices and `settle`.

        Args:
            target: weights, (C, out, rows).
            w_max: see `settle`.
            now: seconds.

        Returns:
            The target within the range; number of pairs of which one or both devices were written, (C,).
        """
        from device_models import kernels

        d, lines, n = self._device, target.shape[0] * target.shape[1], target.shape[2]
        clipped, plus, minus, weights = (torch.empty(target.shape, dtype=target.dtype) for _ in range(4))
        written = torch.empty(lines, dtype=torch.int64)
        given = [x.reshape(lines, n).numpy() for x in (target, self.plus.target, self.minus.target)]
        results = [x.view(lines, n).numpy() for x in (clipped, plus, minus, weights)]
        self._w_max = w_max
        scales = torch.stack([w_max, (d.g_max - d.g_min) / w_max, self._unit])[..., 0]
        scales = scales.expand(3, *target.shape[:2]).reshape(3, lines).numpy()
        arguments = given[0], scales, scales.dtype.type(d.g_min), *given[1:], *results, written.numpy()
        threads.in_parts(kernels.program_pairs, lines, target.numel(), *arguments)
        for cells, g, old, new in zip(self.sides, (plus, minus), given[1:], results[1:3], strict=True):
            if cells.tally.worn is not None:
                counts = cells.tally.worn.view(lines, n).numpy()
                threads.in_parts(kernels.count_changes, lines, target.numel(), old, new, counts)
            cells.target = cells.programmed = g
        self.settle(now, None, w_max)
        self._views[False] = View(weights, self._sources(None), None)
        return clipped, written.view(target.shape[:2]).sum(1)

    @property
    def weights(self) -> Tensor:
        """What a forward read sees, read noise aside, (C, out, rows); as of the last `settle`."""
        return self.view(False).weights

    def view(self, backward: bool) -> View:
        """What a read in one direction sees; computed when it is first asked for after a `settle`."""
        wires = self._device.wires
        backward = backward and wires is not None and wires.backward == "far"  # else both directions see the same
        if backward not in self._views:
            self._views[backward] = self._seen(backward)
        return self._views[backward]

    @property
    def held_views(self) -> list[View]:
        """What reads have seen since the last `settle`."""
        return list(self._views.values())

    def _seen(self, backward: bool) -> View:
        wires = self._device.wires
        g, attenuation = [cells.conductance for cells in self.sides], None
        if wires is not None:
            attenuation = [self._by_tile(partial(wires.attenuation, backward=backward), each) for each in g]
            g = [self._by_tile(partial(wires.effective, backward=backward), each) for each in g]
            attenuation = (attenuation[0], attenuation[1])
        return View((g[0] - g[1]).mul_(self._unit), self._sources(attenuation), attenuation)

    def _sources(self, attenuation: tuple[Tensor, Tensor] | None) -> list[Source]:
        """Read noise; all that is white, of one power, as one."""
        white: dict[int, Tensor] = {}
        remembering = []
        for noise, (plus, minus) in self._variances(attenuation):
            variance = (plus + minus) * self._unit.square()
            if noise.passing:
                remembering.append(Source(variance, noise.white, noise.passing, power=noise.power))
            else:
                white[noise.power] = variance * noise.white + white.get(noise.power, 0.0)
        return [*(Source(each, power=power) for power, each in white.items()), *remembering]

    def _by_tile(self, law: Callable[[Tensor], Tensor], g: Tensor) -> Tensor:
        result = torch.empty_like(g)
        for columns in self._blocks(g.shape[1]):
            for rows in self._blocks(g.shape[2]):
                result[:, columns, rows] = law(g[:, columns, rows])
        return result

    @property
    def _unit(self) -> Tensor:
        """Weight per siemens."""
        d = self._device
        return weight_per_siemens(self._w_max, d.g_min, d.g_max, d.cell)

    def _variances(self, attenuation: tuple[Tensor, Tensor] | None) -> Iterator[tuple[ReadNoise, list[Tensor]]]:
        """Each read noise that is drawn in a read, with its variance in either device, siemens squared."""
        for noise in self._device.read_noise:
            if noise.in_a_read:
                both = [cells.variance(noise) for cells in self.sides]
                if attenuation is not None:
                    both = [variance * a.square() for variance, a in zip(both, attenuation, strict=True)]
                yield noise, both

    def deviations(self, backward: bool) -> Iterator[tuple[Tensor, tuple[Relaxation, ...], float, int]]:
        """(standard deviations of both devices (C, 2, out, rows), memory, white share, power) of each read noise."""
        for noise, both in self._variances(self.view(backward).attenuation):
            sides = torch.stack([v.sqrt() * self._unit for v in both], 1)
            yield sides.expand(-1, 2, *self.weights.shape[1:]), noise.passing, noise.white, noise.power

    def state_dict(self) -> dict[str, Any]:
        """What the devices hold, for a checkpoint; the tensors are live."""
        return {"plus": self.plus.state_dict(), "minus": self.minus.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken; `settle` comes next."""
        self.plus.load_state_dict(state["plus"])
        self.minus.load_state_dict(state["minus"])
