"""Layerwise (iterative) node perturbation: each layer has passes of its own, so nothing else confounds its credit.

S. Dalm, M. van Gerven, N. Ahmad, "Node Perturbation Can Effectively Train Multi-Layer Neural Networks".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar, NamedTuple, final

import torch
from pydantic import Field, model_validator
from torch import Tensor
from typing_extensions import Self

from analogsim.learning.digital import Counts, of_units
from analogsim.learning.estimates import (
    Baseline,
    CoMoments,
    MeanEstimate,
    Statistics,
    divide,
    fill_baseline,
    given,
    inputs_of,
    merged,
)
from analogsim.learning.rule import Copy, Counters, Rule, layer_updates
from analogsim.network import Network
from analogsim.port import Access, Injection, LayerUpdate, Observation, Pass, Plan


class LayerEstimates(NamedTuple):
    """Statistics of each layer's own passes.

    Attributes:
        layers: per layer those of a network that is this layer alone.
    """

    layers: tuple[Statistics, ...]

    @property
    def inputs(self) -> tuple[Tensor, ...] | None:
        """Per layer the mean inputs (C, B, observed) of its own passes, or None where updates use the baseline's."""
        own = [each.inputs for each in self.layers]
        return tuple(x for inputs in own if inputs is not None for x in inputs) or None

    def merge(self, other: Self) -> Self:
        """Of both sets of samples."""
        return self._replace(layers=tuple(merged(a, b) for a, b in zip(self.layers, other.layers, strict=True)))


@final
class LayerwisePerturbation(Rule):
    """INP (eq. 5): g_l = N_l dL_l v_l / ||v_l||^2, with dL_l from a pass in which layer l alone was perturbed.

    v_l is the injected perturbation, which the rule knows, over the N_l units of the layer: E[N_l v v^T / ||v||^2] = I.
    The chip's own noise stays unknown to it. Centred: a group of K + 1 passes for each layer,
    N_l sum_k (L_k - mean L)(v_k - mean v) / sum_k ||v_k - mean v||^2. Passes of L layers: L K + 1 with one baseline for
    all of them (clean, shared), 2 L K in pairs, L (K + 1) centred.
    """

    name: ClassVar[str] = "inp"
    title: ClassVar[str] = "iterative (layerwise) node perturbation"
    paper: ClassVar[str] = (
        "Dalm et al., eq. 5 "
        "(S. Dalm, M. van Gerven, N. Ahmad, Node Perturbation Can Effectively Train Multi-Layer Neural Networks)"
    )
    memory: ClassVar[str] = "none"

    sigma: float = Field(default=0.1, gt=0, allow_inf_nan=False, strict=True)
    """Standard deviation of the injected perturbation, in units of the pre-activations."""
    baseline: Baseline = "shared"
    """What a perturbed pass is compared with; `centred` where more than one sample is drawn, unless given."""
    samples: int = Field(default=1, ge=1, strict=True)
    """Number K of perturbed passes of each layer that a step compares with its baseline."""

    _defaults = model_validator(mode="before")(fill_baseline)

    @property
    def requires(self) -> Access:
        return Access.ACTIVITIES | self.plan(Network.mlp([1, 1])).access

    def plan(self, network: Network) -> Plan:
        grouped = self.baseline == "centred"
        probes = [
            Pass(
                inject=Injection(self.sigma, layers=(layer,)),
                record=frozenset({"injected", "inputs"}) if grouped else frozenset({"injected"}),
            )
            for layer in range(network.depth)
        ]
        reference = Pass(clean=self.baseline == "clean", record=frozenset({"inputs"}))
        if grouped:
            return Plan(None, tuple(probes), self.samples + 1)
        if self.baseline == "pairs":
            return Plan(None, tuple(each for probe in probes for each in (reference, probe)), self.samples)
        return Plan(reference, tuple(probes), self.samples)

    def own_operations(self, network: Network, batch: int, decorrelated: Collection[int]) -> Counts:
        """A square and a multiply-add of each sample; of passes of a group, a mean to subtract, too."""
        each = 5 * (self.samples + 1) if self.baseline == "centred" else 4 * self.samples
        return of_units(network.layers, batch * each)

    def estimate(self, baseline: Observation | None, probes: Sequence[Observation], network: Network) -> LayerEstimates:
        if self.baseline == "centred":
            groups = enumerate(probes)
            return LayerEstimates(
                tuple(
                    CoMoments.of(own.loss, given(own.injected)[index : index + 1], given(own.inputs)[index : index + 1])
                    for index, own in groups
                )
            )
        references = probes[0::2] if baseline is None else [baseline] * network.depth
        perturbed = probes[1::2] if baseline is None else probes
        found = []
        for index, (reference, own) in enumerate(zip(references, perturbed, strict=True)):
            change, v = own.loss - reference.loss, given(own.injected)[index]
            coefficients = divide(network.layers[index].units * change, v.square().sum(3))
            inputs = None if baseline is not None else given(reference.inputs)[index : index + 1]
            silent = torch.zeros_like(change, dtype=torch.bool)  # the rule's own perturbation always informs it
            found.append(MeanEstimate.of(coefficients, (v,), silent, inputs))
        return LayerEstimates(tuple(found))

    def update(
        self,
        baseline: Observation | None,
        estimate: LayerEstimates,
        deltas: tuple[Tensor, ...] | None,
        copy: Copy,
        state: Counters,
    ) -> tuple[tuple[LayerUpdate, ...], Counters]:
        directions = []
        for own, layer in zip(estimate.layers, copy.network.layers, strict=True):
            if isinstance(own, CoMoments):
                scale = divide(torch.full_like(own.power, layer.units), own.power)
                directions.append(scale[..., None] * own.products[0])
            else:
                directions.append(own.directions[0])
        silent = torch.zeros_like(directions[0][..., 0], dtype=torch.bool)
        return layer_updates(copy, directions, inputs_of(estimate, baseline)), state.counted(silent)
