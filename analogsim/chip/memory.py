"""Memory: bytes that a chip holds from step to step, by what they are for.

A population of C chips with W weights each holds C W m bytes and some for its lines; m, the sum of `bytes_per_weight`,
depends on the profile alone. What a read makes on its way is not counted here, nor is what a learner keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from analogsim.chip.chip import Chip
from analogsim.chip.crossbar import Crossbar
from analogsim.network import Network
from analogsim.port import LayerPulses, LayerWrite
from device_models import Cells, DeviceProfile

_SIDE = 32  # rows and columns of a model crossbar: lines hold far less than weights


def held_bytes(chip: Chip, least: int = 0) -> dict[str, int]:
    """Bytes that the tensors of programmed chips take, each storage once, by purpose.

    `targets`: weights that were asked for. `devices`: what they were written towards, and are. `clock`: when each was
    written. `wear`: how often. `pulses`, `endurance`, `attempts`, `faults` and modules of effects: what these remember.
    `reads`: what a read multiplies with. `converters`: errors and ranges.

    Args:
        chip: programmed.
        least: smallest number of elements of a storage that is counted.
    """
    found: dict[str, int] = {}
    seen: set[int] = set()
    for purpose, owned in _owned(chip):
        for x in _tensors(owned, set()):
            storage = x.untyped_storage()
            if storage.data_ptr() not in seen and storage.nbytes() >= max(1, least * x.element_size()):
                seen.add(storage.data_ptr())
                found[purpose] = found.get(purpose, 0) + storage.nbytes()
    return found


def bytes_per_weight(
    profile: DeviceProfile, dtype: torch.dtype = torch.float32, chips: int = 1, transposed: bool = False
) -> dict[str, float]:
    """Bytes that each weight of each chip takes, by purpose; see `held_bytes`.

    Found on a model with 32 x 32 weights, which is written and read as in a step; the clock moves on.

    Args:
        profile: of the devices.
        dtype: of the simulation.
        chips: of the model; as many as the profile has values where it has one for each.
        transposed: whether there are backward reads, too.
    """
    chip = Chip(Network.mlp([_SIDE - 1, _SIDE]), profile, chips, dtype=dtype)
    weights = torch.linspace(-1, 1, _SIDE**2, dtype=dtype).view(1, _SIDE, _SIDE).repeat(chips, 1, 1)
    x = torch.linspace(-1, 1, _SIDE - 1, dtype=dtype).repeat(chips, 1, 1)
    chip.program([weights])
    chip.calibrate(x)
    chip.write([LayerWrite(weights * 0.9)], now=1.0)
    if profile.update is not None:
        chip.write([LayerPulses(pulses=torch.sign(weights))], now=1.0)
    chip.forward(x, now=2.0)
    if transposed:
        for pair in chip.crossbars[0].array.pairs:
            pair.view(True)
    count = chips * _SIDE**2
    return {purpose: held / count for purpose, held in held_bytes(chip, count).items()}


def _owned(chip: Chip) -> Iterator[tuple[str, object]]:
    """(purpose, what has tensors), the most telling purpose of a storage first."""
    for crossbar in chip.crossbars:
        yield "targets", crossbar.array.target
        for cells in (cells for pair in crossbar.array.pairs for cells in pair.sides):
            yield from _of_cells(cells)
        yield from _of_reads(crossbar)


def _of_cells(cells: Cells) -> Iterator[tuple[str, object]]:
    yield "devices", (cells.target, cells.programmed, cells.drifted, cells.conductance)
    yield "clock", cells.written_at
    yield "pulses", cells.pulsed
    yield "endurance", (cells.lifetimes, cells.used)
    yield "attempts", (cells.attempts, cells.writes)
    yield "wear", cells.tally
    yield "faults", cells.faults
    for effect, state in cells.remembered:
        yield type(effect).__module__.rpartition(".")[2], dict(state)
    yield "devices", cells.base


def _of_reads(crossbar: Crossbar) -> Iterator[tuple[str, object]]:
    yield "reads", crossbar.views
    yield "converters", crossbar.banks


def _tensors(x: object, seen: set[int]) -> Iterator[Tensor]:
    """All tensors in containers and attributes of device models."""
    if isinstance(x, Tensor):
        yield x
        return
    if x is None or isinstance(x, str | int | float | type) or callable(x) or id(x) in seen:
        return
    seen.add(id(x))
    parts: Iterable[object] = ()
    if isinstance(x, dict):
        parts = x.values()
    elif isinstance(x, list | tuple):
        parts = x
    elif hasattr(x, "__dict__"):
        parts = vars(x).values()
    for part in parts:
        yield from _tensors(part, seen)
