"""Learned feedback: node perturbation teaches the feedback weights, and they teach the weights.

B. Lansdell, P. Prakash, K. Kording, "Learning to solve the credit assignment problem", ICLR 2020.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar, Literal, NamedTuple, final

import torch
from pydantic import Field
from torch import Tensor

from analogsim.learning.alignment import SUPERVISED
from analogsim.learning.digital import Counts, added, of_units
from analogsim.learning.feedback import (
    Form,
    at_activations,
    by_layer,
    descend,
    draw_feedback,
    feedback_sizes,
    send_back,
    sending_operations,
    signal,
)
from analogsim.learning.lesson import Lesson
from analogsim.learning.ridge import Ridge, require_plain, ridge_operations
from analogsim.learning.rule import Copy, Counters, Rule, layer_updates
from analogsim.network import Network
from analogsim.port import Access, Injection, LayerUpdate, Observation, Pass, Plan


class LearnedState(NamedTuple):
    """State.

    Attributes:
        feedback: weights as `draw_feedback` makes them.
        ridge: sums of the regression, empty with `sgd`.
        counters: batch elements.
    """

    feedback: tuple[Tensor, ...]
    ridge: Ridge
    counters: Counters


@final
class LearnedFeedback(Rule):
    """Feedback weights B are fitted to gradients that node perturbation estimates; W learns from what B sends back.

    A perturbation xi of the hidden layers, after their activation functions, estimates lambda_l = dL/df(a_l) as
    dL xi_l / sigma^2 (eq. 2), and B minimises the mean of ||estimate(B) - that||^2 (eq. 3): estimate B_{l+1}^T g_{l+1},
    from layer to layer (`fa`), or B_l^T g_L, straight from the output (`dfa`). Weights move along the g that B as it
    stood before the step makes of the output error, which is observed without perturbation.

    The error comes from a noisy pass on a noisy chip: a least-squares fit on noisy regressors comes out too small, by
    E[g g^T] (E[g g^T] + Cov(noise))^-1.
    """

    name: ClassVar[str] = "learned_feedback"
    title: ClassVar[str] = "learned feedback weights"
    paper: ClassVar[str] = (
        "Lansdell et al., eqs. 2, 3 (B. Lansdell, P. Prakash, K. Kording, Learning to solve the credit assignment "
        "problem, ICLR 2020)"
    )
    memory: ClassVar[str] = "B, as fa or dfa; ridge: sums of twice as many, and of columns^2 per layer"

    form: Form = "fa"
    """`fa`: from layer to layer; `dfa`: from the output to each layer."""
    solver: Literal["sgd", "ridge"] = "sgd"
    """`sgd`: a step of `rate` down the squared distance, its mean over the batch. `ridge`: the solution for all samples
    so far, (penalty I + sum g g^T)^-1 sum g lambda^T; with `fa` for dense layers without operations only."""
    rate: float = Field(default=1e-2, ge=0, allow_inf_nan=False, strict=True)
    """Of `sgd`; 0 is feedback alignment."""
    penalty: float = Field(default=0.1, gt=0, allow_inf_nan=False, strict=True)
    """Of `ridge`, on a sum over all samples: it fades with time."""
    warm_up: int = Field(default=0, ge=0, strict=True)
    """First steps, in which B learns and W does not."""
    sigma: float = Field(default=1e-2, gt=0, allow_inf_nan=False, strict=True)
    """Standard deviation of the perturbation, in units of the activations."""
    baseline: Literal["clean", "shared", "pairs"] = "shared"
    """What a perturbed pass is compared with, and where the output error comes from: one noise-free pass (an oracle),
    one noisy pass, or a noisy pass for each sample; the error is then their mean."""
    samples: int = Field(default=1, ge=1, strict=True)
    """Number K of perturbed passes of a step."""
    gain: float = Field(default=1.0, ge=0, allow_inf_nan=False, strict=True)
    """Factor on the standard deviation of the first feedback weights; see `fa` and `dfa`."""

    @property
    def requires(self) -> Access:
        return Access.ACTIVITIES | self.plan(Network.mlp([1, 1])).access

    @property
    def needs_derivatives(self) -> bool:
        return True

    def plan(self, network: Network) -> Plan:
        if self.solver == "ridge":
            require_plain(network, self.form)
        reference = Pass(clean=self.baseline == "clean", record=SUPERVISED)
        hidden = tuple(range(network.depth - 1))
        probe = Pass(inject=Injection(self.sigma, "activation", hidden), record=frozenset({"injected"}))
        if self.baseline == "pairs":
            return Plan(None, (reference, probe), self.samples)
        return Plan(reference, (probe,), self.samples)

    def own_operations(self, network: Network, batch: int, decorrelated: Collection[int]) -> Counts:
        """The way back through B, a multiply-add of each sample in hidden layers, and what B learns."""
        sent = sending_operations(network, self.form, batch, decorrelated)
        targets = (*of_units(network.layers[:-1], 2 * batch * self.samples), 0)
        if self.solver == "ridge":
            return added(sent, targets, ridge_operations(network, self.form, batch, decorrelated))
        return added(sent, targets, sent, [2 * size for size in feedback_sizes(network, self.form)])

    def init(self, copy: Copy, generators: Sequence[torch.Generator]) -> LearnedState:
        counters = Counters.zero(copy.weights[0].shape[0], copy.weights[0].device)
        ridge = Ridge.zero(copy, self.form) if self.solver == "ridge" else Ridge((), ())
        drawn = draw_feedback(copy, self.form, self.gain, generators)
        return LearnedState(drawn, ridge, counters)

    def feedback(self, copy: Copy, state: LearnedState) -> tuple[Tensor | None, ...] | None:
        """Per layer B in the shape of the weights (C, columns, fan_in), where it has that; for diagnostics."""
        return by_layer(self.form, state.feedback)

    def teaches(self, step: int) -> bool:
        return step >= self.warm_up

    def estimate(self, baseline: Observation | None, probes: Sequence[Observation], network: Network) -> Lesson:
        return Lesson.of(baseline, probes, self.sigma)

    def update(
        self,
        baseline: Observation | None,
        estimate: Lesson,
        deltas: tuple[Tensor, ...] | None,
        copy: Copy,
        state: LearnedState,
    ) -> tuple[tuple[LayerUpdate, ...], LearnedState]:
        seen, error = estimate.taught(baseline)
        vectors = send_back(copy, self.form, state.feedback, error, seen)
        targets, ridge = estimate.directions[:-1], state.ridge
        if self.solver == "ridge":
            ridge = ridge.add(copy, self.form, vectors, targets)
            feedback = tuple(b.to(error.dtype) for b in ridge.solve(self.penalty))
        else:
            signals = [signal(copy, self.form, index, b, vectors, seen) for index, b in enumerate(state.feedback)]
            residuals = [
                at_activations(copy, index, each, seen) - target
                for index, (each, target) in enumerate(zip(signals, targets, strict=True))
            ]
            feedback = descend(copy, self.form, state.feedback, vectors, seen, residuals, self.rate)
        silent = torch.zeros_like(error[..., 0], dtype=torch.bool)
        state = LearnedState(feedback, ridge, state.counters.counted(silent))
        return layer_updates(copy, vectors, seen.inputs), state
