"""Feedback alignment: the output error comes back through fixed random weights, layer by layer or straight."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, final

import torch
from pydantic import Field
from torch import Tensor

from analogsim.learning.digital import Counts
from analogsim.learning.feedback import (
    Form,
    by_layer,
    copied_feedback,
    draw_feedback,
    send_back,
    sending_operations,
)
from analogsim.learning.rule import Activities, Copy, Counters, Rule, layer_updates
from analogsim.network import Network
from analogsim.port import Access, LayerUpdate, Observation, Pass, Plan, Record

SUPERVISED: frozenset[Record] = frozenset({"inputs", "pre_activations", "output_error"})
"""What a pass records whose output error is sent back."""


class FixedFeedback(NamedTuple):
    """State: feedback weights as `draw_feedback` makes them, and counters."""

    feedback: tuple[Tensor, ...]
    counters: Counters


@final
class FeedbackAlignment(Rule):
    """FA: backpropagation with fixed random weights B_l in the place of W_l on the way back.

    g_l = f'(a_l) R_{l+1}^T B_{l+1}^T g_{l+1}, from the output error g_L = dL/da_L. B is digital and of the shape of
    the weights; its law: normal, mean 0, standard deviation gain sqrt(2 / fan_in).
    """

    name: ClassVar[str] = "fa"
    title: ClassVar[str] = "feedback alignment"
    paper: ClassVar[str] = (
        "Lillicrap et al. (T. Lillicrap, D. Cownden, D. Tweed, C. Akerman, Random synaptic feedback weights support "
        "error backpropagation for deep learning, Nature Communications 7:13276, 2016)"
    )
    memory: ClassVar[str] = "B: one number per weight behind the first layer"

    gain: float = Field(default=1.0, ge=0, allow_inf_nan=False, strict=True)
    """Factor on the standard deviation of the feedback weights."""
    start: Literal["random", "copy"] = "random"
    """`random`: by that law, from each chip's own random numbers. `copy`: what the chip was programmed with, so that
    the first step is backpropagation's."""

    @property
    def requires(self) -> Access:
        return Access.ACTIVITIES | Access.LOSS | Access.OUTPUT_ERROR

    @property
    def needs_derivatives(self) -> bool:
        return True

    def plan(self, network: Network) -> Plan:
        return Plan(Pass(record=SUPERVISED))

    def own_operations(self, network: Network, batch: int, decorrelated: Collection[int]) -> Counts:
        return sending_operations(network, "fa", batch, decorrelated)

    def init(self, copy: Copy, generators: Sequence[torch.Generator]) -> FixedFeedback:
        drawn = draw_feedback(copy, "fa", self.gain, generators) if self.start == "random" else copied_feedback(copy)
        return FixedFeedback(drawn, super().init(copy, generators))

    def feedback(self, copy: Copy, state: FixedFeedback) -> tuple[Tensor | None, ...] | None:
        """Per layer B in the shape of the weights (C, columns, fan_in), where it has that; for diagnostics."""
        return by_layer("fa", state.feedback)

    def update(
        self,
        baseline: Observation | None,
        estimate: Any,
        deltas: tuple[Tensor, ...] | None,
        copy: Copy,
        state: FixedFeedback,
    ) -> tuple[tuple[LayerUpdate, ...], FixedFeedback]:
        return _aligned("fa", baseline, copy, state)


@final
class DirectFeedbackAlignment(Rule):
    """DFA: the output error reaches every hidden layer through a fixed random matrix of its own.

    g_l = f'(a_l) B_l^T g_L. B_l is digital, from the outputs to what layer l gives (feature maps of a convolution); its
    law: normal, mean 0, standard deviation gain sqrt(2 / results of layer l). No R and no DAC lies on this way.
    """

    name: ClassVar[str] = "dfa"
    title: ClassVar[str] = "direct feedback alignment"
    paper: ClassVar[str] = (
        "Nøkland (A. Nøkland, Direct feedback alignment provides learning in deep neural networks, NIPS 2016)"
    )
    memory: ClassVar[str] = "B: one number per output and number that a hidden layer gives"

    gain: float = Field(default=1.0, ge=0, allow_inf_nan=False, strict=True)
    """Factor on the standard deviation of the feedback weights."""

    @property
    def requires(self) -> Access:
        return Access.ACTIVITIES | Access.LOSS | Access.OUTPUT_ERROR

    @property
    def needs_derivatives(self) -> bool:
        return True

    def plan(self, network: Network) -> Plan:
        return Plan(Pass(record=SUPERVISED))

    def own_operations(self, network: Network, batch: int, decorrelated: Collection[int]) -> Counts:
        return sending_operations(network, "dfa", batch, decorrelated)

    def init(self, copy: Copy, generators: Sequence[torch.Generator]) -> FixedFeedback:
        return FixedFeedback(draw_feedback(copy, "dfa", self.gain, generators), super().init(copy, generators))

    def update(
        self,
        baseline: Observation | None,
        estimate: Any,
        deltas: tuple[Tensor, ...] | None,
        copy: Copy,
        state: FixedFeedback,
    ) -> tuple[tuple[LayerUpdate, ...], FixedFeedback]:
        return _aligned("dfa", baseline, copy, state)


def _aligned(
    form: Form, baseline: Observation | None, copy: Copy, state: FixedFeedback
) -> tuple[tuple[LayerUpdate, ...], FixedFeedback]:
    assert baseline is not None and baseline.output_error is not None
    seen = Activities.of(baseline)
    vectors = send_back(copy, form, state.feedback, baseline.output_error[:, 0], seen)
    silent = torch.zeros_like(baseline.loss[:, 0], dtype=torch.bool)
    return layer_updates(copy, vectors, seen.inputs), state._replace(counters=state.counters.counted(silent))
