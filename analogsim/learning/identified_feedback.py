"""Identified feedback: learn a model of the chip from its own activities, and send derivatives back through it.

A rule of this project; docs/identified-feedback.md tells its idea, costs and limits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar, Literal, NamedTuple, final

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import Self

from analogsim.learning.contrasts import Contrasts, compared, mean_over_passes
from analogsim.learning.digital import Counts, added, backward_products
from analogsim.learning.estimates import Baseline, perturbation_plan
from analogsim.learning.identification import Reading, nlms, nlms_operations, rails_of, rls, rls_operations
from analogsim.learning.output_gradient import gradient_operations, least_squares_gradient, scaled_gradient, shape_of
from analogsim.learning.rule import Activities, Copy, Counters, Rule, backpropagate, layer_updates
from analogsim.network import Network
from analogsim.port import Access, Injection, LayerUpdate, Observation, Plan, Record


class Sightings(NamedTuple):
    """What a step's passes showed.

    Attributes:
        contrasts: of loss and output pre-activations.
        seen: activities, the mean over the probes.
        peaks: per layer the largest |pre-activation| of the probes, (C, B, units).
        passes: probes that the means are of.
    """

    contrasts: Contrasts
    seen: Activities
    peaks: tuple[Tensor, ...]
    passes: int

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Per layer the mean inputs, (C, B, observed)."""
        return self.seen.inputs

    def merge(self, other: Self) -> Self:
        """Of both sets of samples together."""
        share = other.passes / (self.passes + other.passes)
        inputs, activities = (
            tuple(x + share * (y - x) for x, y in zip(mine, theirs, strict=True))
            for mine, theirs in zip(self.seen[:2], other.seen[:2], strict=True)
        )
        return self._replace(
            contrasts=self.contrasts.merge(other.contrasts),
            seen=Activities(inputs, activities, self.seen.masks),
            peaks=tuple(torch.maximum(x, y) for x, y in zip(self.peaks, other.peaks, strict=True)),
            passes=self.passes + other.passes,
        )


class IdentifiedState(NamedTuple):
    """State of identified feedback.

    Attributes:
        counters: of the output gradient.
        models: per layer behind the first W^, or W^ less the copy where writes are known, (C, columns, rows).
        information: per layer behind the first P of recursive least squares, (C, rows, rows); else none.
        shape: running sum of the outputs' shape, (C, N, N), and of its weights, (C, 1, 1).
    """

    counters: Counters
    models: tuple[Tensor, ...]
    information: tuple[Tensor, ...]
    shape: tuple[Tensor, Tensor]


@final
class IdentifiedFeedback(Rule):
    """Backpropagation through a model W^ that a local regression learns: activities and a scalar loss are all it sees.

    1. g_L from the loss: dL = g_L . da_L to first order, where da_L is what the noise did to the output pre-activations
    of two passes or more (N p / tr S with p = sum dL da_L, S = sum da_L da_L^T, or by least squares).
    2. g_l = f'(a_l) R_{l+1}^T W^_{l+1}^T g_{l+1}, as backpropagation, through W^ in the place of the weights.
    3. W^ <- W^ + rate mean of e v^T / ||v||^2 with e = a_l - W^ v, over the vectors v that drove the layer's rows
    (normalised LMS), or recursive least squares; the next step uses it. Where the converter clipped, a is a bound.

    W^ costs one number per weight and chip of all layers but the first, least squares a matrix of rows x rows more.
    Clipping is known where one conversion makes a reading: with several (tiles, slices, bits, phases) the data sheet
    gives no limit of their sum, and clipped readings then count as values.
    """

    name: ClassVar[str] = "identified"
    title: ClassVar[str] = "identified feedback"
    paper: ClassVar[str] = "this project (docs/identified-feedback.md)"
    memory: ClassVar[str] = "W^: one number per weight behind the first layer; rls: rows^2 per layer more"

    baseline: Baseline = "centred"
    """What a noisy pass is compared with. With one sample `centred`, `shared` and `pairs` all take two passes."""
    samples: int = Field(default=1, ge=1, strict=True)
    """Number K of noisy passes that a step compares with its baseline."""
    sigma: float = Field(default=0.0, ge=0, allow_inf_nan=False, strict=True)
    """Standard deviation of a perturbation injected into the output pre-activations, where the chip's own noise is too
    low; 0: the chip's noise is enough."""
    output: Literal["power", "least_squares", "covariance"] = "least_squares"
    """The output gradient. `power`: N p / tr S. `least_squares`: ridge regression of dL on da_L, which is better from
    two samples on; N^2 numbers for each batch element. `covariance`: the same in the metric of the outputs' running
    covariance."""
    output_ridge: float = Field(default=0.01, gt=0, allow_inf_nan=False, strict=True)
    """Of that regression, relative to the mean variance of an output."""
    estimator: Literal["nlms", "rls"] = "nlms"
    """What learns W^: `nlms`, normalised LMS; `rls`, recursive least squares."""
    rate: float = Field(default=1.5, ge=0, lt=2, allow_inf_nan=False, strict=True)
    """Of normalised LMS; stable below 2. 0: W^ stays as it started, with the writes that are known."""
    forgetting: float = Field(default=0.99, gt=0, le=1, allow_inf_nan=False, strict=True)
    """Factor on older data in each step of recursive least squares, and in the outputs' covariance."""
    ridge: float = Field(default=1.0, gt=0, allow_inf_nan=False, strict=True)
    """Of recursive least squares, in units of an input squared: the weight of the model that it started with."""
    start: Literal["zero", "copy"] = "copy"
    """W^ at the beginning: 0, or what the chip was to be programmed with."""
    knows_writes: bool = Field(default=True, strict=True)
    """Whether what the copy moved is added to W^, at no memory: W^ less the copy is what is learned then."""

    @property
    def requires(self) -> Access:
        return Access.ACTIVITIES | self.plan(_ANY).access

    @property
    def needs_derivatives(self) -> bool:
        return True

    def plan(self, network: Network) -> Plan:
        inject = Injection(self.sigma, layers=(network.depth - 1,)) if self.sigma > 0 else None
        record: set[Record] = {"inputs", "pre_activations"}
        if inject is not None:
            record.add("injected")
        return perturbation_plan(self.baseline, self.samples, inject, frozenset(record))

    def own_operations(self, network: Network, batch: int, decorrelated: Collection[int]) -> Counts:
        """The output gradient, the way back through W^, and the regression of all layers but the first."""
        contrasts = self.samples + (self.baseline == "centred")
        output = batch * gradient_operations(self._kind, network.layers[-1].units, contrasts)
        counted = nlms_operations if self.estimator == "nlms" else rls_operations
        learned = [0, *(counted(layer, batch) for layer in network.layers[1:])]
        known = [self.knows_writes * layer.columns * layer.rows for layer in network.layers[1:]]
        sent = backward_products(network, batch, decorrelated)
        return added((*(0,) * (network.depth - 1), output), sent, learned, (0, *known))

    def init(self, copy: Copy, generators: Sequence[torch.Generator]) -> IdentifiedState:
        first, later = copy.weights[0], copy.weights[1:]
        chips, outputs = first.shape[0], copy.network.layers[-1].units
        known = {("zero", True): -1.0, ("copy", False): 1.0}.get((self.start, self.knows_writes), 0.0)
        rows = [w.shape[2] for w in later] if self.estimator == "rls" else []
        shape = (outputs, outputs) if self.output == "covariance" else (0, 0)
        return IdentifiedState(
            Counters.zero(chips, first.device),
            tuple(known * w for w in later),
            tuple(first.new_zeros(chips, n, n) for n in rows),
            (first.new_zeros(chips, *shape), first.new_zeros(chips, 1, 1)),
        )

    def models(self, copy: Copy, state: IdentifiedState) -> tuple[Tensor, ...]:
        """W^ of each layer, (C, columns, rows); the first layer's is the copy, which the rule does not look at."""
        if not self.knows_writes:
            return copy.weights[0], *state.models
        return copy.weights[0], *(w + d for w, d in zip(copy.weights[1:], state.models, strict=True))

    def feedback(self, copy: Copy, state: IdentifiedState) -> tuple[Tensor | None, ...]:
        layers = zip(self.models(copy, state), copy.network.layers, strict=True)
        return None, *[w[:, :, : layer.fan_in] for w, layer in list(layers)[1:]]

    def estimate(self, baseline: Observation | None, probes: Sequence[Observation], network: Network) -> Sightings:
        reference, probe = compared(baseline, probes)
        outputs = [None if each is None else _given(each.pre_activations)[-1] for each in (reference, probe)]
        assert outputs[1] is not None
        contrasts = Contrasts.of(
            self._kind,
            probe.loss,
            [outputs[1]],
            None if reference is None or outputs[0] is None else (reference.loss, [outputs[0]]),
        )
        probes = [_unperturbed(each) for each in probes]  # the crossbar's own readings
        activities = mean_over_passes(probes, "pre_activations")
        masks = (None,) * len(activities) if probe.masks is None else probe.masks
        layers = zip(*(_given(each.pre_activations) for each in probes), strict=True)
        peaks = tuple(torch.stack([a.abs().amax(1) for a in layer]).amax(0) for layer in layers)
        seen = Activities(mean_over_passes(probes, "inputs"), activities, masks)
        return Sightings(contrasts, seen, peaks, len(probes) * probe.loss.shape[1])

    def update(
        self,
        baseline: Observation | None,
        estimate: Sightings,
        deltas: tuple[Tensor, ...] | None,
        copy: Copy,
        state: IdentifiedState,
    ) -> tuple[tuple[LayerUpdate, ...], IdentifiedState]:
        g, silent = self._output_gradient(estimate.contrasts, state)
        models = self.models(copy, state)
        posts = backpropagate(copy, models, g, estimate.seen)
        learned = state._replace(counters=state.counters.counted(silent), shape=self._shape(estimate.contrasts, state))
        return layer_updates(copy, posts, estimate.inputs), self._identified(estimate, copy, models, learned)

    @property
    def _kind(self) -> Literal["power", "gram"]:
        """One sample has one direction: its power says all, unless a metric is to be learned."""
        single = self.output == "least_squares" and self.samples == 1
        return "power" if self.output == "power" or single else "gram"

    def _output_gradient(self, contrasts: Contrasts, state: IdentifiedState) -> tuple[Tensor, Tensor]:
        """g_L (C, B, N), and whether an element held no information (C, B)."""
        if contrasts.kind == "power":
            return scaled_gradient(contrasts)
        shape = None
        if self.output == "covariance":
            total, weight = state.shape
            eye = torch.eye(total.shape[1], dtype=total.dtype, device=total.device)
            shape = torch.where(weight > 0, 0.99 * total / weight.where(weight > 0, 1.0) + 0.01 * eye, eye)
        return least_squares_gradient(contrasts, shape, self.output_ridge)

    def _shape(self, contrasts: Contrasts, state: IdentifiedState) -> tuple[Tensor, Tensor]:
        if self.output != "covariance":
            return state.shape
        total, weight = (self.forgetting * each for each in state.shape)
        batch = shape_of(contrasts)
        moved = batch.diagonal(dim1=1, dim2=2).sum(1)[:, None, None] > 0
        return total + batch, weight + moved.to(weight.dtype)

    def _identified(
        self, estimate: Sightings, copy: Copy, models: Sequence[Tensor], state: IdentifiedState
    ) -> IdentifiedState:
        """The state with W^ one step on."""
        moved, information = [], []
        for index in range(1, copy.network.depth):
            a, limit = estimate.seen.pre_activations[index], copy.limits.outputs[index]
            reading = Reading(
                copy.network.layers[index],
                estimate.inputs[index],
                a,
                rails_of(a, estimate.peaks[index], limit),
                copy.periphery.decorrelation[index],
            )
            if self.estimator == "nlms":
                step = nlms(models[index], reading, self.rate)
            else:
                p = state.information[index - 1]
                step, p = rls(models[index], p, reading, self.forgetting, self.ridge)
                information.append(p)
            moved.append(state.models[index - 1] + step)
        return state._replace(models=tuple(moved), information=tuple(information))


_ANY = Network.mlp([1, 1])  # access does not depend on the network


def _unperturbed(seen: Observation) -> Observation:
    """With the pre-activations as they were before a perturbation was added to them."""
    if seen.injected is None:
        return seen
    pairs = zip(_given(seen.pre_activations), seen.injected, strict=True)
    return seen._replace(pre_activations=tuple(a - eps for a, eps in pairs))


def _given(recorded: tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
    assert recorded is not None, "the plan asked for this record"
    return recorded
