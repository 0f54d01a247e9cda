"""Covariance-aware ANP: each layer's own covariance in the place of one common ||da||^2."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar, Literal, NamedTuple, final

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import Self

from analogsim.learning.contrasts import Contrasts, compared, informative, mean_over_passes
from analogsim.learning.digital import Counts, added, cholesky, of_units
from analogsim.learning.estimates import Baseline, perturbation_plan
from analogsim.learning.rule import Copy, Counters, Rule, layer_updates
from analogsim.network import Layer, Network
from analogsim.port import Access, Injection, LayerUpdate, Observation, Plan


def unmixed(products: Tensor, covariance: Tensor, shrinkage: float) -> Tensor:
    """Sigma^-1 p with Sigma = (1 - shrinkage) covariance + shrinkage (its mean variance) I.

    Args:
        products: p (C, M, n).
        covariance: (C, n, n), or variances (C, n): then Sigma is diagonal. A unit with variance 0 gives 0.
        shrinkage: in [0, 1].
    """
    full = covariance.dim() == 3
    variance = covariance.diagonal(dim1=1, dim2=2) if full else covariance
    moved = variance > 0
    mean = variance.sum(1, keepdim=True) / moved.sum(1, keepdim=True).clamp(min=1)
    ridge = torch.where(moved, shrinkage * mean, 1.0)  # a unit that never moves is alone, with any variance but 0
    if not full:
        return torch.where(moved, 1 / ((1 - shrinkage) * variance + ridge), 0.0)[:, None] * products
    factor = torch.linalg.cholesky_ex((1 - shrinkage) * covariance + torch.diag_embed(ridge), check_errors=False)[0]
    solved = torch.cholesky_solve(products.transpose(1, 2), factor).transpose(1, 2)
    return torch.where(moved[:, None], solved, 0.0)


def beyond_rounding(covariance: Tensor, reference: Tensor) -> Tensor:
    """A covariance without the units whose variance is no more than what rounding makes of their signals.

    Args:
        covariance: (C, n, n), or variances (C, n).
        reference: mean square of the signals, (C, n).
    """
    if covariance.dim() == 2:
        return torch.where(informative(covariance, reference), covariance, 0.0)
    moved = informative(covariance.diagonal(dim1=1, dim2=2), reference)
    return torch.where(moved[:, None] & moved[..., None], covariance, 0.0)


class Moments(NamedTuple):
    """What a step's passes showed.

    Attributes:
        contrasts: of loss and pre-activations of all layers.
        inputs: per layer the mean inputs of the probes, (C, B, observed).
        passes: probes that the means are of.
    """

    contrasts: Contrasts
    inputs: tuple[Tensor, ...]
    passes: int

    def merge(self, other: Self) -> Self:
        """Of both sets of samples together."""
        share = other.passes / (self.passes + other.passes)
        inputs = tuple(x + share * (y - x) for x, y in zip(self.inputs, other.inputs, strict=True))
        contrasts = self.contrasts.merge(other.contrasts)
        return self._replace(contrasts=contrasts, inputs=inputs, passes=self.passes + other.passes)


class Covariances(NamedTuple):
    """State of covariance-aware ANP.

    Attributes:
        counters: of elements and silent ones.
        sums: per layer the running sum of its columns' variances (C, columns) or covariance (C, columns, columns).
        weight: of the running sums, (C,).
    """

    counters: Counters
    sums: tuple[Tensor, ...]
    weight: Tensor


@final
class CovarianceAwareNodePerturbation(Rule):
    """g_l = Cov(da_l)^-1 E[dL da_l], layer by layer, from what activities did.

    To first order dL = g_l . da_l + what later layers add on their own, so E[dL da_l] = Cov(da_l) g_l with the layer's
    own covariance: with `full`, unbiased where ANP's N / ||da||^2 takes every unit's noise to be alike. `diagonal`
    leaves out how noise that came from the layers before correlates the units, and is biased as well. The inverse is
    never taken across layers: as dL = g_L . da_L exactly, all credit would go to the outputs.

    Cov is a running mean over batch elements and steps, and for a convolution over positions. A sample's own covariance
    differs from it (x^2, gates): an approximation. Units that do not move get no update; the first step, which has no
    covariance yet, makes none.
    """

    name: ClassVar[str] = "canp"
    title: ClassVar[str] = "covariance-aware node perturbation"
    paper: ClassVar[str] = "this project (docs/identified-feedback.md)"
    memory: ClassVar[str] = "one number per column; full: columns^2 per layer"

    sigma: float = Field(default=0.0, ge=0, allow_inf_nan=False, strict=True)
    """Standard deviation of a perturbation injected on top of the chip's own noise; 0: the chip's noise is enough."""
    baseline: Baseline = "centred"
    """What a noisy pass is compared with. With one sample `centred`, `shared` and `pairs` all take two passes."""
    samples: int = Field(default=1, ge=1, strict=True)
    """Number K of noisy passes that a step compares with its baseline."""
    covariance: Literal["diagonal", "full"] = "diagonal"
    """`diagonal`: variances of a layer's columns. `full`: their covariance, columns^2 numbers and a solution for it in
    each step."""
    decay: float = Field(default=0.99, ge=0, lt=1, allow_inf_nan=False, strict=True)
    """Factor on older covariances in each step."""
    shrinkage: float = Field(default=0.1, gt=0, le=1, allow_inf_nan=False, strict=True)
    """Share of the layer's mean variance in the covariance."""

    @property
    def requires(self) -> Access:
        return Access.ACTIVITIES | self.plan(_ANY).access

    def plan(self, network: Network) -> Plan:
        inject = Injection(self.sigma) if self.sigma > 0 else None
        return perturbation_plan(self.baseline, self.samples, inject, frozenset({"inputs", "pre_activations"}))

    def own_operations(self, network: Network, batch: int, decorrelated: Collection[int]) -> Counts:
        """A difference, its product with the loss and its second moment of each contrast; then Cov^-1."""
        contrasts = batch * (self.samples + (self.baseline == "centred"))
        if self.covariance == "diagonal":
            return of_units(network.layers, 5 * contrasts + batch)
        moments = [2 * contrasts * layer.positions * layer.columns**2 for layer in network.layers]
        solved = [cholesky(layer.columns, batch * layer.positions) for layer in network.layers]
        return added(of_units(network.layers, 3 * contrasts), moments, solved)

    def teaches(self, step: int) -> bool:
        return step > 0  # the first step has no covariance yet

    def init(self, copy: Copy, generators: Sequence[torch.Generator]) -> Covariances:
        first, full = copy.weights[0], self.covariance == "full"
        columns = [layer.columns for layer in copy.network.layers]
        sums = tuple(first.new_zeros(first.shape[0], *((n, n) if full else (n,))) for n in columns)
        return Covariances(Counters.zero(first.shape[0], first.device), sums, first.new_zeros(first.shape[0]))

    def estimate(self, baseline: Observation | None, probes: Sequence[Observation], network: Network) -> Moments:
        reference, probe = compared(baseline, probes)
        assert probe.pre_activations is not None
        base = None
        if reference is not None:
            assert reference.pre_activations is not None
            base = reference.loss, reference.pre_activations
        kind = "covariance" if self.covariance == "full" else "variance"
        contrasts = Contrasts.of(kind, probe.loss, probe.pre_activations, base, network.layers)
        return Moments(contrasts, mean_over_passes(probes, "inputs"), len(probes) * probe.loss.shape[1])

    def update(
        self,
        baseline: Observation | None,
        estimate: Moments,
        deltas: tuple[Tensor, ...] | None,
        copy: Copy,
        state: Covariances,
    ) -> tuple[tuple[LayerUpdate, ...], Covariances]:
        contrasts, layers = estimate.contrasts, copy.network.layers
        posts, silent = [], torch.ones_like(contrasts.loss, dtype=torch.bool)
        for layer, p, mean, running in zip(layers, contrasts.products, contrasts.signals, state.sums, strict=True):
            weight = state.weight.where(state.weight > 0, 1.0)
            covariance = running / weight.reshape(-1, *(1,) * (running.dim() - 1))
            covariance = beyond_rounding(covariance, layer.by_column(mean).square().mean(1))
            g = unmixed(layer.by_column(p / contrasts.free), covariance, self.shrinkage)
            posts.append(layer.by_unit(g))
            shown = torch.where(state.weight[:, None, None] > 0, posts[-1], p)  # the first step only looks
            silent = silent & (shown == 0).all(2)
        counters = state.counters.counted(silent)
        return layer_updates(copy, posts, estimate.inputs), self._learned(contrasts, layers, state, counters)

    def _learned(
        self, contrasts: Contrasts, layers: Sequence[Layer], state: Covariances, counters: Counters
    ) -> Covariances:
        batch = contrasts.loss.shape[1]
        pairs = zip(layers, state.sums, contrasts.seconds, strict=True)
        sums = tuple(self.decay * s + m / (contrasts.free * batch * layer.positions) for layer, s, m in pairs)
        return Covariances(counters, sums, self.decay * state.weight + 1)


_ANY = Network.mlp([1, 1])  # access does not depend on the network
