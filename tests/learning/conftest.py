"""A small bench for rules: chips with a fixed batch, true gradients by autograd, bounds from the number of draws."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from analogsim.conformance.bench import Bench as PlainBench
from analogsim.conformance.bench import make_bench, profile
from analogsim.learning import Copy
from analogsim.network import Activation, Network
from analogsim.port import Access, Observation, Periphery
from device_models import DeviceProfile

ORACLE = Access.CLEAN_PASS | Access.OUTPUT_ERROR | Access.TRANSPOSED_READ | Access.WEIGHT_INJECTION


@dataclass(frozen=True)
class Bench(PlainBench):
    """With the steps of a rule one by one, and true gradients."""

    def observe(self, rule) -> tuple[Observation | None, object]:
        """Baseline and estimate of one step of a rule, on the next batch."""
        plan = rule.plan(self.rig.network)
        self.rig.next_batch()
        baseline = None if plan.baseline is None else self.rig.run((plan.baseline,))[0].clone()
        probes = self.rig.run(plan.probes, plan.samples) if plan.probes else []
        return baseline, rule.estimate(baseline, probes, self.rig.network)

    def update(self, rule, baseline, estimate, deltas=None):
        """A rule's update directions and its counters, from a copy that is what was programmed."""
        network = self.rig.network
        copy = Copy(network, tuple(self.weights), Periphery((None,) * network.depth), self.rig.limits)
        state = rule.init(copy, [torch.Generator().manual_seed(chip) for chip in range(self.rig.chips)])
        updates, state = rule.update(baseline, estimate, deltas, copy, state)
        return updates, rule.counters(state)

    def loss(self, weights: Sequence[Tensor], shifts: Sequence[Tensor], decorrelation=None, masks=None) -> Tensor:
        """Noise-free loss (C, B) with pre-activations shifted by (C, B, units)."""
        x = self.task.inputs
        for index, (layer, w, shift) in enumerate(zip(self.rig.network.layers, weights, shifts, strict=True)):
            r = None if decorrelation is None else decorrelation[index]
            (vectors,) = (each for _, each in layer.drives(x, r))
            x = layer.finish(
                layer.by_unit(vectors @ w.transpose(1, 2)) + shift, None if masks is None else masks[index]
            )
        return self.task.loss(x, self.task.targets)

    def gradients(self, decorrelation=None, masks=None) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """By autograd at the chips' true weights: dL/da per sample (C, B, units), dL/dW as batch means."""
        chips, batch = self.task.inputs.shape[:2]
        weights = [w.clone().requires_grad_() for w in self.chip.oracle.weights]
        shifts = [
            w.new_zeros(chips, batch, layer.units).requires_grad_()
            for w, layer in zip(weights, self.rig.network.layers, strict=True)
        ]
        total = self.loss(weights, shifts, decorrelation, masks).sum()
        found = torch.autograd.grad(total, [*shifts, *weights])
        return found[: len(shifts)], tuple(g / batch for g in found[len(shifts) :])


class Lab:
    """Makes benches and judges statistics; a fixture, because test files do not import each other."""

    oracle = ORACLE

    profile = staticmethod(profile)

    def bench(
        self,
        sizes: Sequence[int],
        devices: DeviceProfile | None = None,
        *,
        activation: Activation | None = None,
        network: Network | None = None,
        **options: Any,
    ) -> Bench:
        """See `make_bench`; one chip, a batch of three and the usual oracles unless given.

        A `network` takes the place of a multi-layer perceptron of these sizes.
        """
        options = {"chips": 1, "batch": 3, "oracle": ORACLE, **options}
        made = make_bench(network or Network.mlp(sizes, activation), devices or profile(), **options)
        return Bench(**vars(made))

    @staticmethod
    def largest_t(deviations: Sequence[Tensor], alpha: float = 1e-4) -> tuple[float, float]:
        """Largest |t| of the means over the leading dimension (replications), and its bound if all means are zero.

        The bound is Bonferroni's: the chance that any |t| exceeds it is at most alpha.
        """
        flat = torch.cat([each.flatten(1) for each in deviations], dim=1)
        n, tests = flat.shape
        t = flat.mean(0) / (flat.std(0) / n**0.5)
        return float(t.abs().max()), float(stats.t.isf(alpha / (2 * tests), n - 1))


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab()


@pytest.fixture(scope="session")
def host_sync() -> ModuleType:
    """`host_sync.py`, by its path, because test files do not import each other."""
    spec = importlib.util.spec_from_file_location("host_sync", Path(__file__).with_name("host_sync.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", autouse=True)
def _one_thread(one_thread):
    """Tensors here are tiny."""
