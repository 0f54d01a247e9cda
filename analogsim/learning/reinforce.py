"""REINFORCE: the output's gradient from a scalar loss, then backpropagation of it.

N. Hiratani, Y. Mehta, T. Lillicrap, P. Latham, "On the stability and scalability of node perturbation learning",
NeurIPS 2022, eq. 15, after R. Williams, Machine Learning 8:229 (1992).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, NamedTuple, final

import torch
from pydantic import Field, model_validator
from torch import Tensor
from typing_extensions import Self

from analogsim.learning.digital import Counts, added, backward_products
from analogsim.learning.estimates import (
    Baseline,
    CoMoments,
    MeanEstimate,
    Statistics,
    compared,
    fill_baseline,
    given,
    merged,
)
from analogsim.learning.rule import Activities, Copy, Counters, Rule, backpropagate, layer_updates
from analogsim.network import Network
from analogsim.port import Access, Injection, LayerUpdate, Observation, Pass, Plan, Record


class OutputEstimate(NamedTuple):
    """Statistics of the perturbed output layer, and the mean activities at which derivatives are taken.

    Attributes:
        output: of the last layer alone.
        seen: the probes' mean activities; None where there is a baseline.
    """

    output: Statistics
    seen: Activities | None

    @property
    def inputs(self) -> tuple[Tensor, ...] | None:
        """Per layer the mean inputs (C, B, observed), or None where updates use the baseline's."""
        return None if self.seen is None else self.seen.inputs

    def merge(self, other: Self) -> Self:
        """Of both sets of samples."""
        seen, share = self.seen, other.output.samples / (self.output.samples + other.output.samples)
        if seen is not None and other.seen is not None:
            inputs = tuple(x.lerp(y, share) for x, y in zip(seen.inputs, other.seen.inputs, strict=True))
            both = zip(seen.pre_activations, other.seen.pre_activations, strict=True)
            seen = Activities(inputs, tuple(a.lerp(b, share) for a, b in both), seen.masks)
        return self._replace(output=merged(self.output, other.output), seen=seen)

    def gradient(self, sigma: float) -> Tensor:
        """Of the loss by the output layer's pre-activations, (C, B, units)."""
        found = self.output
        if isinstance(found, MeanEstimate):
            return found.directions[0]
        return found.products[0] / ((found.samples - 1) * sigma**2)


@final
class Reinforce(Rule):
    """REINFORCE (eq. 15): g_out = dL xi_out / sigma^2, then g_l = f'(a_l) R_{l+1}^T W_{l+1}^T g_{l+1}.

    xi_out is the perturbation of the output layer's pre-activations, of standard deviation sigma; the paper writes
    sigma xi for it. Its dimension is that of the output, not the number of units. Perturbations of the other layers
    (`perturb: all`) are noise for this estimate: they stand for a system whose layers are noisy anyhow. Derivatives are
    taken in the baseline, or at the mean activities of its passes where there are several (`pairs`, `centred`).
    """

    name: ClassVar[str] = "reinforce"
    title: ClassVar[str] = "REINFORCE at the output, then backpropagation"
    paper: ClassVar[str] = (
        "Hiratani et al., eq. 15 (N. Hiratani, Y. Mehta, T. Lillicrap, P. Latham, On the stability and scalability of "
        "node perturbation learning, NeurIPS 2022; after R. Williams, Machine Learning 8:229, 1992)"
    )
    memory: ClassVar[str] = "none"

    sigma: float = Field(default=0.1, gt=0, allow_inf_nan=False, strict=True)
    """Standard deviation of the injected perturbation, in units of the pre-activations."""
    perturb: Literal["output", "all"] = "output"
    """Which layers are perturbed."""
    backward: Literal["copy", "transposed"] = "copy"
    """`copy`: backwards through the controller's own record of the weights, which knows nothing of noise, drift or
    faults. `transposed`: noisy reads of the crossbars in the backward direction."""
    baseline: Baseline = "shared"
    """What a perturbed pass is compared with; `centred` where more than one sample is drawn, unless given."""
    samples: int = Field(default=1, ge=1, strict=True)
    """Number K of perturbed passes that a step compares with its baseline."""

    _defaults = model_validator(mode="before")(fill_baseline)

    @property
    def requires(self) -> Access:
        needed = Access.ACTIVITIES | self.plan(Network.mlp([1, 1])).access
        return needed | Access.TRANSPOSED_READ if self.backward == "transposed" else needed

    @property
    def needs_derivatives(self) -> bool:
        return True

    def plan(self, network: Network) -> Plan:
        activities: frozenset[Record] = frozenset({"inputs", "pre_activations"})
        layers = None if self.perturb == "all" else (network.depth - 1,)
        probe = Pass(inject=Injection(self.sigma, layers=layers), record=frozenset({"injected"}))
        match self.baseline:
            case "clean" | "shared":
                return Plan(Pass(clean=self.baseline == "clean", record=activities), (probe,), self.samples)
            case "pairs":
                return Plan(None, (Pass(record=activities), probe), self.samples)
            case "centred":
                return Plan(None, (replace(probe, record=activities | probe.record),), self.samples + 1)

    def own_operations(self, network: Network, batch: int, decorrelated: Collection[int]) -> Counts:
        """As node perturbation at the output, and the way back where it is digital."""
        each = 3 * (self.samples + 1) if self.baseline == "centred" else 2 * self.samples
        output = (*(0,) * (network.depth - 1), batch * each * network.layers[-1].units)
        if self.backward == "transposed":
            return output
        return added(output, backward_products(network, batch, decorrelated))

    def estimate(self, baseline: Observation | None, probes: Sequence[Observation], network: Network) -> OutputEstimate:
        reference, probe = compared(baseline, probes)
        xi, seen = given(probe.injected)[-1:], None
        if baseline is None:
            inputs = tuple(x.mean(1) for x in given(reference.inputs))
            masks = (None,) * network.depth if reference.masks is None else reference.masks
            seen = Activities(inputs, tuple(a.mean(1) for a in given(reference.pre_activations)), masks)
        if self.baseline == "centred":
            return OutputEstimate(CoMoments.of(probe.loss, xi, ()), seen)
        change = probe.loss - reference.loss
        silent = torch.zeros_like(change, dtype=torch.bool)  # the rule's own perturbation always informs it
        return OutputEstimate(MeanEstimate.of(change / self.sigma**2, xi, silent, None), seen)

    def activities(self, baseline: Observation | None, estimate: OutputEstimate) -> Activities:
        return Activities.of(baseline) if estimate.seen is None else estimate.seen

    def output_vector(
        self, baseline: Observation | None, estimate: OutputEstimate, copy: Copy, state: Counters
    ) -> Tensor | None:
        return estimate.gradient(self.sigma) if self.backward == "transposed" else None

    def update(
        self,
        baseline: Observation | None,
        estimate: OutputEstimate,
        deltas: tuple[Tensor, ...] | None,
        copy: Copy,
        state: Counters,
    ) -> tuple[tuple[LayerUpdate, ...], Counters]:
        seen = self.activities(baseline, estimate)
        if deltas is None:
            deltas = backpropagate(copy, copy.weights, estimate.gradient(self.sigma), seen)
        silent = torch.zeros_like(deltas[-1][..., 0], dtype=torch.bool)
        return layer_updates(copy, deltas, seen.inputs), state.counted(silent)
