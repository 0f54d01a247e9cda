"""Chips with a batch that stays, for diagnostics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from analogsim.chip import Chip, Mapping
from analogsim.learning import Controller, Copy, Rule
from analogsim.network import LeakyReLU, Network
from analogsim.port import Access, Periphery
from analogsim.randomness import Purpose
from analogsim.study.rig import Rig
from analogsim.tasks import LOSSES, DataSet, Task
from device_models import DeviceProfile

ORACLE = Access.CLEAN_PASS | Access.OUTPUT_ERROR | Access.TRANSPOSED_READ


@dataclass(frozen=True)
class Bench:
    """A rig that has its batch, and what its chips were programmed with."""

    rig: Rig
    weights: tuple[Tensor, ...]

    def controller(self, rule: Rule) -> Controller:
        return Controller(self.rig, rule, self.weights, torch.optim.SGD, 0.05)

    def copy(self, weights: Sequence[Tensor] | None = None, periphery: Periphery | None = None) -> Copy:
        nothing = Periphery((None,) * self.rig.network.depth)
        return Copy(self.rig.network, tuple(weights or self.weights), periphery or nothing, self.rig.limits)


def make_bench(
    network: Network | Sequence[int],
    profile: dict | None = None,
    *,
    chips: int = 2,
    batch: int = 6,
    loss: str = "cross_entropy",
    seed: int = 0,
    mapping: Mapping | None = None,
    scale: float = 1.0,
) -> Bench:
    """Chips of a network (or an MLP of these sizes) in float64 with biases, on random data."""
    if not isinstance(network, Network):
        network = Network.mlp(network, LeakyReLU(0.1))
    described = {"name": "bench", "conductance": {"min": "0 uS", "max": "25 uS"}, **(profile or {})}
    device = torch.device("cpu")
    chip = Chip(network, DeviceProfile.from_data(described), chips, seed, dtype=torch.float64, mapping=mapping)
    generators = chip.streams.generators(Purpose.INITIAL_WEIGHTS)
    weights = []
    for w in network.initial_weights("he_normal", generators):
        if network.layers[len(weights)].bias:
            w[:, :, -1] = torch.stack([torch.randn(w.shape[1], generator=g) * 0.3 for g in generators])
        weights.append(w.double())
    chip.program(weights)
    source = torch.Generator().manual_seed(100 + seed)
    inputs = torch.randn(4 * batch, network.inputs, generator=source) * scale
    classes = torch.randint(0, network.outputs, (4 * batch,), generator=source)
    targets = torch.nn.functional.one_hot(classes, network.outputs).float()
    data = DataSet(inputs, targets, inputs, targets)
    task = Task(data, LOSSES[loss], batch, [seed] * chips, list(range(chips)), device, torch.float64)
    rig = Rig(chip, task, ORACLE)
    rig.next_batch()
    return Bench(rig, tuple(weights))


@pytest.fixture(scope="session")
def make():
    """A fixture, because test files do not import each other."""
    return make_bench


@pytest.fixture(scope="module", autouse=True)
def _one_thread(one_thread):
    """Tensors here are small."""
