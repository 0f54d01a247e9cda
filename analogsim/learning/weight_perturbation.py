"""Weight perturbation: the loss of a batch under perturbed weights. Nothing is seen but a scalar.

One draw perturbs the weights for the whole batch, so what counts is the mean loss L of the batch. Activities are
looked at by companions of the rule only (decorrelation).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar, NamedTuple, final

import torch
from pydantic import Field, model_validator
from torch import Tensor
from typing_extensions import Self

from analogsim.learning.digital import Counts
from analogsim.learning.estimates import (
    Baseline,
    CoMoments,
    MeanEstimate,
    Statistics,
    compared,
    fill_baseline,
    given,
    merged,
    perturbation_plan,
)
from analogsim.learning.rule import Copy, Counters, Rule
from analogsim.network import Network
from analogsim.port import Access, Injection, LayerUpdate, Observation, Pass, Plan

_MEMORY = "eps: one number per weight and pass"


class WeightEstimate(NamedTuple):
    """Statistics of the mean losses of a batch, and of the perturbations as vectors.

    Attributes:
        statistics: as of a batch of one; per layer (C, 1, columns x rows).
        batch: elements of the batch B.
    """

    statistics: Statistics
    batch: int

    @property
    def inputs(self) -> tuple[Tensor, ...] | None:
        """Per layer the probes' mean inputs (C, B, observed), or None where they were not recorded."""
        return self.statistics.inputs or None

    def merge(self, other: Self) -> Self:
        """Of both sets of samples."""
        return self._replace(statistics=merged(self.statistics, other.statistics))

    def finish(self, copy: Copy, sigma: float, state: Counters) -> tuple[tuple[LayerUpdate, ...], Counters]:
        """Update directions, and the counters after them: the rule's own perturbation always informs it."""
        found = self.statistics
        flat = found.directions if isinstance(found, MeanEstimate) else found.products
        scale = 1.0 if isinstance(found, MeanEstimate) else 1 / ((found.samples - 1) * sigma**2)
        dense = [g[:, 0].unflatten(1, w.shape[1:]) * scale for g, w in zip(flat, copy.weights, strict=True)]
        silent = torch.zeros((len(dense[0]), self.batch), dtype=torch.bool, device=dense[0].device)
        return tuple(LayerUpdate(dense=each) for each in dense), state.counted(silent)


def _changes(seen: Observation) -> list[Tensor]:
    """The perturbations of all weights of a layer as one vector, (C, S, 1, columns x rows)."""
    return [eps.flatten(2)[:, :, None] for eps in given(seen.injected_weights)]


def _mean_loss(seen: Observation) -> Tensor:
    """Of the batch, (C, S, 1)."""
    return seen.loss.mean(2, keepdim=True)


def _of_weights(network: Network, each: int) -> Counts:
    """`each` operations of every weight: updates are dense, and a whole batch has one perturbation."""
    return tuple(each * layer.columns * layer.rows for layer in network.layers)


def _estimate(change: Tensor, probe: Observation, sigma: float, inputs: Sequence[Tensor] | None) -> WeightEstimate:
    silent = torch.zeros_like(change, dtype=torch.bool)
    mean = MeanEstimate.of(change / sigma**2, _changes(probe), silent, inputs)
    return WeightEstimate(mean, probe.loss.shape[2])


@final
class WeightPerturbation(Rule):
    """WP: G = dL eps / sigma^2, where eps is what was added to the weights and L the mean loss of the batch.

    Normal perturbations. Centred: sum_k (L_k - mean L)(eps_k - mean eps) / ((G - 1) sigma^2), with G = K + 1 passes
    that all have perturbed weights. Where the devices are written for a perturbation and written back, each write errs
    anew: that noise, and what range and granularity make of eps, stay unknown to the rule.
    """

    name: ClassVar[str] = "wp"
    title: ClassVar[str] = "weight perturbation"
    paper: ClassVar[str] = (
        "Werfel et al. (J. Werfel, X. Xie, H. S. Seung, Learning Curves for Stochastic Gradient Descent in Linear "
        "Feedforward Networks, Neural Computation 17:2699, 2005)"
    )
    memory: ClassVar[str] = _MEMORY

    sigma: float = Field(default=0.01, gt=0, allow_inf_nan=False, strict=True)
    """Standard deviation of the perturbation, in units of the weights."""
    baseline: Baseline = "shared"
    """What a perturbed pass is compared with; `centred` where more than one sample is drawn, unless given."""
    samples: int = Field(default=1, ge=1, strict=True)
    """Number K of perturbed passes that a step compares with its baseline."""

    _defaults = model_validator(mode="before")(fill_baseline)

    @property
    def requires(self) -> Access:
        return self.plan(Network.mlp([1, 1])).access

    def plan(self, network: Network) -> Plan:
        inject = Injection(self.sigma, site="weights")
        return perturbation_plan(self.baseline, self.samples, inject, frozenset({"injected"}), frozenset())

    def digital_operations(
        self, network: Network, batch: int, decorrelated: Collection[int] = (), product: bool = True
    ) -> Counts:
        return _of_weights(network, 3 * (self.samples + 1) if self.baseline == "centred" else 2 * self.samples)

    def estimate(self, baseline: Observation | None, probes: Sequence[Observation], network: Network) -> WeightEstimate:
        reference, probe = compared(baseline, probes)
        inputs = None if baseline is not None else reference.inputs
        if self.baseline == "centred":
            group = CoMoments.of(_mean_loss(probe), _changes(probe), inputs or ())
            return WeightEstimate(group, probe.loss.shape[2])
        return _estimate(_mean_loss(probe) - _mean_loss(reference), probe, self.sigma, inputs)

    def update(
        self,
        baseline: Observation | None,
        estimate: WeightEstimate,
        deltas: tuple[Tensor, ...] | None,
        copy: Copy,
        state: Counters,
    ) -> tuple[tuple[LayerUpdate, ...], Counters]:
        return estimate.finish(copy, self.sigma, state)


@final
class SimultaneousPerturbation(Rule):
    """SPSA: G = (L(W + eps) - L(W - eps)) / (2 eps), element by element, with eps = +sigma or -sigma.

    For these signs 1 / eps = eps / sigma^2. Two passes for each sample; even orders of the loss cancel.
    """

    name: ClassVar[str] = "spsa"
    title: ClassVar[str] = "simultaneous perturbation stochastic approximation"
    paper: ClassVar[str] = (
        "Spall (J. Spall, Multivariate Stochastic Approximation Using a Simultaneous Perturbation Gradient "
        "Approximation, IEEE Trans. Automatic Control 37:332, 1992)"
    )
    memory: ClassVar[str] = _MEMORY

    sigma: float = Field(default=0.01, gt=0, allow_inf_nan=False, strict=True)
    """Size of the perturbation of each weight."""
    samples: int = Field(default=1, ge=1, strict=True)
    """Number K of pairs of passes."""

    @property
    def requires(self) -> Access:
        return self.plan(Network.mlp([1, 1])).access

    def plan(self, network: Network) -> Plan:
        sides = (Injection(self.sigma, site="weights", law="rademacher", scale=side) for side in (1.0, -1.0))
        return Plan(None, tuple(Pass(inject=each, record=frozenset({"injected"})) for each in sides), self.samples)

    def digital_operations(
        self, network: Network, batch: int, decorrelated: Collection[int] = (), product: bool = True
    ) -> Counts:
        return _of_weights(network, 2 * self.samples)

    def estimate(self, baseline: Observation | None, probes: Sequence[Observation], network: Network) -> WeightEstimate:
        up, down = probes
        inputs = None
        if up.inputs is not None and down.inputs is not None:
            inputs = tuple((x + y) / 2 for x, y in zip(up.inputs, down.inputs, strict=True))
        return _estimate((_mean_loss(up) - _mean_loss(down)) / 2, up, self.sigma, inputs)

    def update(
        self,
        baseline: Observation | None,
        estimate: WeightEstimate,
        deltas: tuple[Tensor, ...] | None,
        copy: Copy,
        state: Counters,
    ) -> tuple[tuple[LayerUpdate, ...], Counters]:
        return estimate.finish(copy, self.sigma, state)
