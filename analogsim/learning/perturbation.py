"""Node perturbation: NP knows the noise that it injects, ANP needs only activities.

S. Dalm, M. van Gerven, N. Ahmad, "Node Perturbation Can Effectively Train Multi-Layer Neural Networks".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar, Literal, final

import torch
from pydantic import Field, model_validator
from torch import Tensor

from analogsim.learning.digital import Counts, of_units
from analogsim.learning.estimates import (
    Baseline,
    CoMoments,
    MeanEstimate,
    compared,
    divide,
    fill_baseline,
    given,
    inputs_of,
    perturbation_plan,
)
from analogsim.learning.rule import Copy, Counters, Rule, layer_updates
from analogsim.network import Network
from analogsim.port import Access, Injection, LayerUpdate, Observation, Pass, Plan, Record

_DALM = "S. Dalm, M. van Gerven, N. Ahmad, Node Perturbation Can Effectively Train Multi-Layer Neural Networks"


@final
class NodePerturbation(Rule):
    """NP (eq. 3): g_l = dL eps_l / sigma^2, where eps is the perturbation that the rule itself asked for.

    The chip's own noise stays unknown to it, in all passes. Centred: sum_k (L_k - mean L)(eps_k - mean eps) /
    ((G - 1) sigma^2), unbiased; with the group's mean loss alone it would be biased by 1 - 1/G. Two-sided:
    (L(+eps) - L(-eps)) eps / (2 sigma^2), two passes for each sample, in which even orders of the loss cancel.
    """

    name: ClassVar[str] = "np"
    title: ClassVar[str] = "node perturbation"
    paper: ClassVar[str] = f"Dalm et al., eq. 3 ({_DALM})"
    memory: ClassVar[str] = "none"

    sigma: float = Field(default=0.1, gt=0, allow_inf_nan=False, strict=True)
    """Standard deviation of the injected perturbation, in units of the pre-activations."""
    baseline: Baseline | Literal["two_sided"] = "shared"
    """What a perturbed pass is compared with; `centred` where more than one sample is drawn, unless given. `two_sided`:
    with a pass of the opposite perturbation."""
    samples: int = Field(default=1, ge=1, strict=True)
    """Number K of perturbed passes that a step compares with its baseline."""

    _defaults = model_validator(mode="before")(fill_baseline)

    @property
    def requires(self) -> Access:
        return Access.ACTIVITIES | self.plan(_ANY).access

    def plan(self, network: Network) -> Plan:
        if self.baseline == "two_sided":
            record: frozenset[Record] = frozenset({"inputs", "injected"})
            sides = (Pass(inject=Injection(self.sigma, scale=side), record=record) for side in (1.0, -1.0))
            return Plan(None, tuple(sides), self.samples)
        return perturbation_plan(self.baseline, self.samples, Injection(self.sigma), frozenset({"injected"}))

    def own_operations(self, network: Network, batch: int, decorrelated: Collection[int]) -> Counts:
        """A multiply-add of each sample; of passes of a group, a mean to subtract, too."""
        each = 3 * (self.samples + 1) if self.baseline == "centred" else 2 * self.samples
        return of_units(network.layers, batch * each)

    def estimate(
        self, baseline: Observation | None, probes: Sequence[Observation], network: Network
    ) -> MeanEstimate | CoMoments:
        reference, probe = compared(baseline, probes)
        if self.baseline == "centred":
            return CoMoments.of(probe.loss, given(probe.injected), given(probe.inputs))
        change = probe.loss - reference.loss
        inputs = None if self.baseline in ("clean", "shared") else reference.inputs
        if self.baseline == "two_sided":
            change = change / 2
            inputs = tuple((x + y) / 2 for x, y in zip(given(reference.inputs), given(probe.inputs), strict=True))
        silent = torch.zeros_like(change, dtype=torch.bool)  # the rule's own perturbation always informs it
        return MeanEstimate.of(change / self.sigma**2, given(probe.injected), silent, inputs)

    def update(
        self,
        baseline: Observation | None,
        estimate: MeanEstimate | CoMoments,
        deltas: tuple[Tensor, ...] | None,
        copy: Copy,
        state: Counters,
    ) -> tuple[tuple[LayerUpdate, ...], Counters]:
        if isinstance(estimate, CoMoments):
            directions = tuple(p / ((estimate.samples - 1) * self.sigma**2) for p in estimate.products)
            silent = torch.zeros_like(estimate.loss, dtype=torch.bool)
        else:
            directions, silent = estimate.directions, estimate.silent == 1
        return layer_updates(copy, directions, inputs_of(estimate, baseline)), state.counted(silent)


@final
class ActivityNodePerturbation(Rule):
    """ANP (eq. 6): g_l = N dL da_l / ||da||^2, from what activities did, whatever moved them.

    N counts every perturbed unit of the network. Centred: N sum_k (L_k - mean L)(a_k - mean a) / sum_k ||a_k - mean
    a||^2. ||da||^2 = 0 (noise under the converter's resolution, or none; differences of the size of rounding
    errors count as none) is no information: a zero direction, counted.
    """

    name: ClassVar[str] = "anp"
    title: ClassVar[str] = "activity-based node perturbation"
    paper: ClassVar[str] = f"Dalm et al., eq. 6 ({_DALM})"
    memory: ClassVar[str] = "none"

    sigma: float = Field(default=0.0, ge=0, allow_inf_nan=False, strict=True)
    """Standard deviation of a perturbation injected on top of the chip's own noise; 0: the chip's noise is enough."""
    baseline: Baseline = "shared"
    """What a noisy pass is compared with; `centred` where more than one sample is drawn, unless given."""
    samples: int = Field(default=1, ge=1, strict=True)
    """Number K of noisy passes that a step compares with its baseline."""

    _defaults = model_validator(mode="before")(fill_baseline)

    @property
    def requires(self) -> Access:
        return Access.ACTIVITIES | self.plan(_ANY).access

    def plan(self, network: Network) -> Plan:
        inject = Injection(self.sigma) if self.sigma > 0 else None
        return perturbation_plan(self.baseline, self.samples, inject, frozenset({"pre_activations"}))

    def own_operations(self, network: Network, batch: int, decorrelated: Collection[int]) -> Counts:
        """A difference, its square and a multiply-add of each sample, or of each pass of a group."""
        return of_units(network.layers, 5 * batch * (self.samples + (self.baseline == "centred")))

    def estimate(
        self, baseline: Observation | None, probes: Sequence[Observation], network: Network
    ) -> MeanEstimate | CoMoments:
        reference, probe = compared(baseline, probes)
        if self.baseline == "centred":
            return CoMoments.of(probe.loss, given(probe.pre_activations), given(probe.inputs))
        pairs = zip(given(probe.pre_activations), given(reference.pre_activations), strict=True)
        changes = [a - b for a, b in pairs]
        power = _informative(_power(changes), _power(given(reference.pre_activations)))
        coefficients = divide(network.units * (probe.loss - reference.loss), power)
        return MeanEstimate.of(
            coefficients, changes, power <= 0, None if self.baseline != "pairs" else reference.inputs
        )

    def update(
        self,
        baseline: Observation | None,
        estimate: MeanEstimate | CoMoments,
        deltas: tuple[Tensor, ...] | None,
        copy: Copy,
        state: Counters,
    ) -> tuple[tuple[LayerUpdate, ...], Counters]:
        if isinstance(estimate, CoMoments):
            power = _informative(estimate.power, _power(estimate.signals) * estimate.samples)
            scale = divide(torch.full_like(power, copy.network.units), power)
            directions = tuple(scale[..., None] * p for p in estimate.products)
            silent = power <= 0
        else:
            directions, silent = estimate.directions, estimate.silent == 1
        return layer_updates(copy, directions, inputs_of(estimate, baseline)), state.counted(silent)


_ANY = Network.mlp([1, 1])  # access does not depend on the network


def _power(signals: Sequence[Tensor]) -> Tensor:
    """||s||^2 over the units of all layers (..., units)."""
    norms = [torch.linalg.vector_norm(signal, dim=-1) for signal in signals]
    return torch.stack(norms).square_().sum(0)


def _informative(power: Tensor, reference: Tensor) -> Tensor:
    """Power of differences, and 0 where it is no more than what rounding makes of signals with the reference power."""
    return torch.where(power > (8 * torch.finfo(power.dtype).eps) ** 2 * reference, power, 0.0)
