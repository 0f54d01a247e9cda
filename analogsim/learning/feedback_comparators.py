"""What learned feedback is compared with: feedback weights taught by true gradients, or by the weights' own updates.

B. Lansdell, P. Prakash, K. Kording, "Learning to solve the credit assignment problem", ICLR 2020, section C.5.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, final

import torch
from pydantic import Field
from torch import Tensor

from analogsim.learning.alignment import SUPERVISED, FixedFeedback
from analogsim.learning.digital import Counts, added, backward_products
from analogsim.learning.feedback import (
    Form,
    by_layer,
    copied_feedback,
    descend,
    draw_feedback,
    feedback_sizes,
    send_back,
    sending_operations,
    slopes,
)
from analogsim.learning.rule import Activities, Copy, Counters, Rule, backpropagate, layer_updates
from analogsim.network import Network
from analogsim.port import Access, LayerUpdate, Observation, Pass, Plan

_LANSDELL = "B. Lansdell, P. Prakash, K. Kording, Learning to solve the credit assignment problem, ICLR 2020"


@final
class SyntheticGradient(Rule):
    """Feedback weights B are fitted to true gradients, not to perturbation's estimates of them; W learns from B.

    B <- B - rate d/dB [the mean of 1/2 ||g(B) - g||^2], layer by layer. Compared are derivatives by pre-activations,
    which is what backpropagation gives: where f' = 0, nothing is taught.
    """

    name: ClassVar[str] = "synthetic_gradient"
    title: ClassVar[str] = "feedback weights taught by true gradients"
    paper: ClassVar[str] = f"Lansdell et al., section C.5 ({_LANSDELL})"
    memory: ClassVar[str] = "B, as fa or dfa"

    form: Form = "fa"
    """`fa`: from layer to layer; `dfa`: from the output to each layer."""
    backward: Literal["transposed", "copy"] = "transposed"
    """Where true gradients come from: noisy reads of the crossbars backwards, or the controller's copy."""
    rate: float = Field(default=1e-2, ge=0, allow_inf_nan=False, strict=True)
    """Learning rate of B; 0 is feedback alignment."""
    gain: float = Field(default=1.0, ge=0, allow_inf_nan=False, strict=True)
    """Factor on the standard deviation of the first feedback weights; see `fa` and `dfa`."""

    @property
    def requires(self) -> Access:
        needed = Access.ACTIVITIES | Access.LOSS | Access.OUTPUT_ERROR
        return needed | Access.TRANSPOSED_READ if self.backward == "transposed" else needed

    @property
    def needs_derivatives(self) -> bool:
        return True

    def plan(self, network: Network) -> Plan:
        return Plan(Pass(record=SUPERVISED))

    def own_operations(self, network: Network, batch: int, decorrelated: Collection[int]) -> Counts:
        """The way back through B, a step of B, and the true gradients where they are digital."""
        sent = sending_operations(network, self.form, batch, decorrelated)
        moved = [2 * size for size in feedback_sizes(network, self.form)]
        true = backward_products(network, batch, decorrelated) if self.backward == "copy" else (0,) * network.depth
        return added(sent, sent, moved, true)

    def init(self, copy: Copy, generators: Sequence[torch.Generator]) -> FixedFeedback:
        return FixedFeedback(draw_feedback(copy, self.form, self.gain, generators), super().init(copy, generators))

    def feedback(self, copy: Copy, state: FixedFeedback) -> tuple[Tensor | None, ...] | None:
        """Per layer B in the shape of the weights (C, columns, fan_in), where it has that; for diagnostics."""
        return by_layer(self.form, state.feedback)

    def output_vector(self, baseline: Observation | None, estimate: Any, copy: Copy, state: Any) -> Tensor | None:
        assert baseline is not None and baseline.output_error is not None
        return baseline.output_error[:, 0] if self.backward == "transposed" else None

    def update(
        self,
        baseline: Observation | None,
        estimate: Any,
        deltas: tuple[Tensor, ...] | None,
        copy: Copy,
        state: FixedFeedback,
    ) -> tuple[tuple[LayerUpdate, ...], FixedFeedback]:
        assert baseline is not None and baseline.output_error is not None
        seen, error = Activities.of(baseline), baseline.output_error[:, 0]
        true = backpropagate(copy, copy.weights, error, seen) if deltas is None else deltas
        vectors = send_back(copy, self.form, state.feedback, error, seen)
        hidden = zip(vectors[:-1], true[:-1], strict=True)
        residuals = [slopes(copy, index, seen) * (g - target) for index, (g, target) in enumerate(hidden)]
        feedback = descend(copy, self.form, state.feedback, vectors, seen, residuals, self.rate)
        silent = torch.zeros_like(error[..., 0], dtype=torch.bool)
        return layer_updates(copy, vectors, seen.inputs), FixedFeedback(feedback, state.counters.counted(silent))


class MatchedState(NamedTuple):
    """State.

    Attributes:
        feedback: for every layer but the first B, (C, columns, fan_in).
        last: the copy's weights, likewise, at the last step.
        steps: done, (C,), int64.
        counters: batch elements.
    """

    feedback: tuple[Tensor, ...]
    last: tuple[Tensor, ...]
    steps: Tensor
    counters: Counters


@final
class Matching(Rule):
    """Feedback alignment whose B moves by the same updates as W, both decaying: B - W shrinks by 1 - decay a step.

    B <- (1 - decay) B + U with U what the optimiser did to W in the step before, from the controller's own record:
    U = W_t - W_{t-1} + decay W_{t-1}. So the arm's `weight_decay` must take the same share of W: its strength times the
    learning rate is `decay`. If it does not, U holds what decay did not take, and B is drawn to W by a read of W.
    """

    name: ClassVar[str] = "matching"
    title: ClassVar[str] = "feedback weights that share the weights' updates"
    paper: ClassVar[str] = f"Lansdell et al., section C.5 ({_LANSDELL})"
    memory: ClassVar[str] = "B and the copy of a step before: two numbers per weight behind the first layer"

    decay: float = Field(default=0.0, ge=0, lt=1, allow_inf_nan=False, strict=True)
    """Share of B that decays in a step: the learning rate times the strength of the arm's `weight_decay`."""
    gain: float = Field(default=1.0, ge=0, allow_inf_nan=False, strict=True)
    """Factor on the standard deviation of the first feedback weights; see `fa`."""

    @property
    def requires(self) -> Access:
        return Access.ACTIVITIES | Access.LOSS | Access.OUTPUT_ERROR

    @property
    def needs_derivatives(self) -> bool:
        return True

    def plan(self, network: Network) -> Plan:
        return Plan(Pass(record=SUPERVISED))

    def own_operations(self, network: Network, batch: int, decorrelated: Collection[int]) -> Counts:
        """The way back through B, and five operations of each of its numbers."""
        moved = [5 * size for size in feedback_sizes(network, "fa")]
        return added(sending_operations(network, "fa", batch, decorrelated), moved)

    def init(self, copy: Copy, generators: Sequence[torch.Generator]) -> MatchedState:
        counters = Counters.zero(copy.weights[0].shape[0], copy.weights[0].device)
        drawn = draw_feedback(copy, "fa", self.gain, generators)
        return MatchedState(drawn, copied_feedback(copy), torch.zeros_like(counters.vectors), counters)

    def feedback(self, copy: Copy, state: MatchedState) -> tuple[Tensor | None, ...] | None:
        """Per layer B in the shape of the weights (C, columns, fan_in), where it has that; for diagnostics."""
        return by_layer("fa", state.feedback)

    def update(
        self,
        baseline: Observation | None,
        estimate: Any,
        deltas: tuple[Tensor, ...] | None,
        copy: Copy,
        state: MatchedState,
    ) -> tuple[tuple[LayerUpdate, ...], MatchedState]:
        assert baseline is not None and baseline.output_error is not None
        seen, error = Activities.of(baseline), baseline.output_error[:, 0]
        now = copied_feedback(copy)
        share = self.decay * (state.steps > 0).to(error.dtype)[:, None, None]  # nothing has moved before the first step
        moves = zip(state.feedback, now, state.last, strict=True)
        feedback = tuple(b + (w - last) - share * (b - last) for b, w, last in moves)
        vectors = send_back(copy, "fa", feedback, error, seen)
        silent = torch.zeros_like(error[..., 0], dtype=torch.bool)
        state = MatchedState(feedback, now, state.steps + 1, state.counters.counted(silent))
        return layer_updates(copy, vectors, seen.inputs), state
