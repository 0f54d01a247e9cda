"""Backpropagation: the supervised upper baseline. No analog chip grants what it needs; as an oracle arm it may."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor

from analogsim.learning.rule import Copy, Counters, Rule
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

    backward: Literal["transposed", "copy"] = "transposed"
    """`transposed`: noisy reads of the crossbars in the backward direction. `copy`: the controller's own record of the
    weights, which knows nothing of noise, drift or faults."""

    @property
    def requires(self) -> Access:
        needed = Access.ACTIVITIES | Access.LOSS | Access.OUTPUT_ERROR
        return needed | Access.TRANSPOSED_READ if self.backward == "transposed" else needed

    def plan(self, network: Network) -> Plan:
        return Plan(Pass(record=frozenset({"inputs", "pre_activations", "output_error"})))

    def output_vector(self, baseline: Observation | None, estimate: Any) -> Tensor | None:
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
        assert baseline is not None and baseline.inputs is not None and baseline.pre_activations is not None
        if deltas is None:
            assert baseline.output_error is not None
            inputs, pre = ([x[:, 0] for x in seen] for seen in (baseline.inputs, baseline.pre_activations))
            deltas = backpropagate(copy, baseline.output_error[:, 0], inputs, pre)
        updates = tuple(LayerUpdate(post=g, pre=x[:, 0]) for g, x in zip(deltas, baseline.inputs, strict=True))
        return updates, state.counted(torch.zeros_like(baseline.loss[:, 0], dtype=torch.bool))


def backpropagate(
    copy: Copy, output_vector: Tensor, inputs: Sequence[Tensor], pre_activations: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Send a vector backwards through the copy's weights and periphery.

    Args:
        copy: the network, its weights and its periphery.
        output_vector: (C, B, outputs).
        inputs, pre_activations: per layer (C, B, rows) and (C, B, units), as observed.

    Returns:
        Per layer (C, B, units); the last is `output_vector` itself.
    """
    vectors = [output_vector]
    for index in range(copy.network.depth - 1, 0, -1):
        layer = copy.network.layers[index]
        v = torch.bmm(vectors[0], copy.weights[index][:, :, : layer.inputs])
        r, clip = copy.periphery.decorrelation[index], (copy.limits.inputs[index], copy.limits.outputs[index - 1])
        vectors.insert(0, copy.network.adjoint(index, v, r, inputs[index], pre_activations[index - 1], clip))
    return tuple(vectors)
