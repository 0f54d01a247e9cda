"""A bench for rules: a few small chips, and a task that repeats one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from analogsim.chip import Chip, Mapping
from analogsim.network import Network
from analogsim.port import Access
from analogsim.randomness import Purpose
from analogsim.study.rig import Rig
from analogsim.tasks import LOSSES, Loss, Task
from device_models import DeviceProfile

EVERYTHING = ~Access(0)


class FixedBatch:
    """A task that always hands out the same batch: inputs (C, B, features) and targets (C, B, outputs)."""

    def __init__(self, loss: Loss, inputs: Tensor, targets: Tensor) -> None:
        self.loss, self.inputs, self.targets = loss, inputs, targets

    def next_batch(self) -> tuple[Tensor, Tensor]:
        """The batch."""
        return self.inputs, self.targets


@dataclass(frozen=True)
class Bench:
    """Programmed chips, their task, and what they were programmed with."""

    rig: Rig
    chip: Chip
    task: FixedBatch
    weights: list[Tensor]


def make_bench(
    network: Network,
    profile: DeviceProfile,
    *,
    chips: int | Sequence[int] = 2,
    batch: int = 4,
    loss: str = "squared",
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
    mapping: Mapping | None = None,
    oracle: Access = EVERYTHING,
    alike: bool = False,
) -> Bench:
    """Chips with weights, biases, inputs and targets from generators of their own.

    Args:
        network: what runs on them.
        profile: their devices.
        chips: how many, or which of a population.
        batch: samples.
        loss: its name.
        dtype: of all numbers.
        seed: of chips, weights and data.
        mapping: of weights to conductances; None: the usual one.
        oracle: what is granted beyond what chips grant.
        alike: all have weights and data of the first: only their noise differs, so chips are replications.
    """
    chip = Chip(network, profile, chips, seed, dtype=dtype, mapping=mapping)
    generators = cast(list[torch.Generator], chip.streams.generators(Purpose.INITIAL_WEIGHTS))
    weights = []
    for w in network.initial_weights("he_normal", generators):
        biases = [torch.randn(w.shape[1], generator=g) * 0.3 for g in generators]
        w[:, :, -1] = torch.stack(biases)
        weights.append(w.to(dtype))
    data = chip.streams.generators(Purpose.DATA_ORDER)
    inputs = torch.stack([torch.randn(batch, network.inputs, generator=g) for g in data]).to(dtype)
    targets = torch.stack([torch.randn(batch, network.outputs, generator=g) for g in data])
    if loss == "cross_entropy":
        targets = torch.nn.functional.one_hot(targets.argmax(2), network.outputs)
    if alike:
        weights = [w[:1].repeat(chip.chips, 1, 1) for w in weights]
        inputs, targets = (t[:1].repeat(chip.chips, 1, 1) for t in (inputs, targets))
    chip.program(weights)
    task = FixedBatch(LOSSES[loss], inputs, targets.to(dtype))
    return Bench(Rig(chip, cast(Task, task), oracle), chip, task, weights)


def profile(
    read: float | Sequence[float] = 0.0, column: float = 0.0, bits: int = 0, dac: float = 6.0, adc: float = 12.0
) -> DeviceProfile:
    """Devices of a bench.

    Args:
        read: additive read noise, percent of G_max; of all chips, or of each.
        column: noise of columns, percent.
        bits: of converters; 0: there are none.
        dac, adc: their ranges.
    """
    data: dict[str, Any] = {"name": "bench", "conductance": {"min": "0 uS", "max": "25 uS"}}
    if read:
        sigma = f"{read} %" if isinstance(read, float | int) else {"each": [f"{each} %" for each in read]}
        data["read_noise"] = {"kind": "additive", "sigma": sigma}
    if column:
        data["column_noise"] = {"sigma": f"{column} %"}
    if bits:
        data |= {"dac": {"bits": bits, "range": dac}, "adc": {"bits": bits, "range": adc}}
    return DeviceProfile.from_data(data)
