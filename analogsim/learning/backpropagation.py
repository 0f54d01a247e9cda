"""Backpropagation: the supervised upper baseline. No analog chip grants what it needs; as an oracle arm it may."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor

from analogsim.learning.digital import Counts, backward_products
from analogsim.learning.rule import Activities, Copy, Counters, Rule, backpropagate, layer_updates
from analogsim.network import Network
from analogsim.port import Access, LayerUpdate, Observation, Pass, Plan


@final
class Backpropagation(Rule):
    """BP: forward on the noisy chip, backward by transposed reads of the same devices, or digitally from the copy.

    g_l = f'(a_l) R_{l+1}^T W_{l+1}^T g_{l+1}, from the output error g_L = dL/da_L. Converters are passed straight
    through, with derivative 0 where they clip.
    """

    name: ClassVar[str] = "bp"
    title: ClassVar[str] = "backpropagation"
    paper: ClassVar[str] = "Rumelhart et al. (D. Rumelhart, G. Hinton, R. Williams, Nature 323:533, 1986)"
    memory: ClassVar[str] = "none"

    backward: Literal["transposed", "copy"] = "transposed"
    """`transposed`: noisy reads of the crossbars in the backward direction. `copy`: the controller's own record of the
    weights, which knows nothing of noise, drift or faults."""

    @property
    def requires(self) -> Access:
        needed = Access.ACTIVITIES | Access.LOSS | Access.OUTPUT_ERROR
        return needed | Access.TRANSPOSED_READ if self.backward == "transposed" else needed

    def plan(self, network: Network) -> Plan:
        return Plan(Pass(record=frozenset({"inputs", "pre_activations", "output_error"})))

    @property
    def needs_derivatives(self) -> bool:
        return True

    def own_operations(self, network: Network, batch: int, decorrelated: Collection[int]) -> Counts:
        if self.backward == "copy":
            return backward_products(network, batch, decorrelated)
        return super().own_operations(network, batch, decorrelated)

    def output_vector(self, baseline: Observation | None, estimate: Any, copy: Copy, state: Any) -> Tensor | None:
        assert baseline is not None and baseline.output_error is not None
        return baseline.output_error[:, 0] if self.backward == "transposed" else None

    def update(
        self,
        baseline: Observation | None,
        estimate: Any,
        deltas: tuple[Tensor, ...] | None,
        copy: Copy,
        state: Counters,
    ) -> tuple[tuple[LayerUpdate, ...], Counters]:
        assert baseline is not None
        seen = Activities.of(baseline)
        if deltas is None:
            assert baseline.output_error is not None
            deltas = backpropagate(copy, copy.weights, baseline.output_error[:, 0], seen)
        silent = torch.zeros_like(baseline.loss[:, 0], dtype=torch.bool)
        return layer_updates(copy, deltas, seen.inputs), state.counted(silent)
