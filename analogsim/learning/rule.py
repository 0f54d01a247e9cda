"""Rule: turns observations into update directions. Sees the wall (`analogsim.port`) and nothing behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from typing_extensions import Self

from analogsim.learning.digital import Counts, added, outer_products
from analogsim.network import Network
from analogsim.port import Access, LayerUpdate, Limits, Observation, Periphery, Plan


class Copy(NamedTuple):
    """The controller's own record of what it asked the chip to hold: its initial program and its writes, no read.

    Attributes:
        network: what runs on the chip.
        weights: per layer (C, units, rows).
        periphery: the digital operations that it has set.
        limits: of the hardware.

    The tensors are live, and change with the next step: clone what is kept.
    """

    network: Network
    weights: tuple[Tensor, ...]
    periphery: Periphery
    limits: Limits


class Activities(NamedTuple):
    """Activities of one pass, or their mean over some.

    Attributes:
        inputs: per layer (C, B, observed), as the layer's are observed.
        pre_activations: per layer (C, B, units).
        masks: per layer (C, B, n), or None.
    """

    inputs: tuple[Tensor, ...]
    pre_activations: tuple[Tensor, ...]
    masks: tuple[Tensor | None, ...]

    @classmethod
    def of(cls, seen: Observation | None) -> Self:
        """Those of the first sample of an observation that recorded them."""
        assert seen is not None and seen.inputs is not None and seen.pre_activations is not None
        masks = (None,) * len(seen.inputs) if seen.masks is None else seen.masks
        return cls(tuple(x[:, 0] for x in seen.inputs), tuple(a[:, 0] for a in seen.pre_activations), masks)


def layer_updates(copy: Copy, posts: Sequence[Tensor], inputs: Sequence[Tensor]) -> tuple[LayerUpdate, ...]:
    """Updates with factors.

    Args:
        copy: the network and its periphery.
        posts: per layer (C, B, units).
        inputs: per layer (C, B, observed).
    """
    layers = zip(posts, inputs, copy.network.layers, copy.periphery.decorrelation, strict=True)
    return tuple(LayerUpdate(post=g, pre=x, layer=layer, decorrelation=r) for g, x, layer, r in layers)


def backpropagate(copy: Copy, weights: Sequence[Tensor], output_vector: Tensor, seen: Activities) -> tuple[Tensor, ...]:
    """Send a vector backwards through digital weights and the periphery.

    g_l = f'(a_l) R_{l+1}^T W_{l+1}^T g_{l+1}, and 0 where a converter clipped.

    Args:
        copy: the network, its periphery and its limits.
        weights: per layer (C, columns, rows), or without the bias row; the first layer's are not looked at.
        output_vector: (C, B, units of the last layer).
        seen: where derivatives are taken.

    Returns:
        Per layer (C, B, units); the last is `output_vector` itself.
    """
    vectors = [output_vector]
    for index in range(copy.network.depth - 1, 0, -1):
        w = weights[index][:, :, : copy.network.layers[index].fan_in]
        vectors.insert(
            0,
            copy.network.adjoint(
                index,
                lambda g, w=w: torch.bmm(g, w),
                vectors[0],
                copy.periphery.decorrelation[index],
                seen.inputs[index],
                seen.pre_activations[index - 1],
                seen.masks[index - 1],
                (copy.limits.inputs[index], copy.limits.outputs[index - 1]),
            ),
        )
    return tuple(vectors)


class Counters(NamedTuple):
    """State of a rule without memory.

    Attributes:
        vectors: batch elements from which an update was to be estimated, (C,), int64.
        silent: those of them that held no information: nothing differed between passes, (C,), int64.
    """

    vectors: Tensor
    silent: Tensor

    @classmethod
    def zero(cls, chips: int, device: torch.device) -> Self:
        return cls(*(torch.zeros(chips, dtype=torch.int64, device=device) for _ in range(2)))

    def counted(self, silent: Tensor) -> Self:
        """With a step's batch added; silent: (C, B), whether an element held no information."""
        return self._replace(vectors=self.vectors + silent.shape[1], silent=self.silent + silent.sum(1))


class Estimate(Protocol):
    """Statistics of some samples of a step; statistics of all of them by `merge`, so memory does not grow with K."""

    @property
    def inputs(self) -> tuple[Tensor, ...] | None:
        """Per layer the mean inputs (C, B, rows) of the probes, or None where updates use the baseline's."""
        ...

    def merge(self, other: Any) -> Any:
        """The statistics of both sets of samples together."""
        ...


class Rule(BaseModel, ABC):
    """A learning rule. Concrete rules are final and frozen; their fields are the settings of an arm.

    A step runs `plan`; `estimate` for each chunk of samples; `output_vector`, and if it gives one, a transposed read;
    `update`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: ClassVar[str]
    """As scenarios call it."""
    title: ClassVar[str]
    """In words."""
    paper: ClassVar[str]
    """Where it comes from: a short name, then the full citation in brackets."""
    memory: ClassVar[str]
    """What its state and its step hold beside activities and the controller's copy, in words."""

    @property
    @abstractmethod
    def requires(self) -> Access:
        """What the hardware must grant."""

    @abstractmethod
    def plan(self, network: Network) -> Plan:
        """The passes of a step."""

    def init(self, copy: Copy, generators: Sequence[torch.Generator]) -> Any:
        """State before the first step: a NamedTuple of tensors and of tuples of tensors.

        Args:
            copy: what the chips are programmed with.
            generators: one for each chip, on the CPU, for what the rule draws once (feedback weights).
        """
        return Counters.zero(copy.weights[0].shape[0], copy.weights[0].device)

    def counters(self, state: Any) -> Counters:
        """The counters in the state: a field of that name, unless they are all of it."""
        return state if isinstance(state, Counters) else state.counters

    def feedback(self, copy: Copy, state: Any) -> tuple[Tensor | None, ...] | None:
        """What the rule sends derivatives back through in place of the weights, for diagnostics.

        Args:
            copy: the controller's own record.
            state: as `init` or the last update gave it.

        Returns:
            Per layer (C, columns, fan_in), or None where the rule has none of this shape; None: it has none at all.
        """
        return None

    def teaches(self, step: int) -> bool:
        """Whether the updates of a step, counted from 0, are to move the weights.

        In a step that only looks, neither the optimiser nor a companion moves them, and nothing is written.
        """
        return True

    @property
    def needs_derivatives(self) -> bool:
        """Whether it sends derivatives backwards through activation functions."""
        return False

    def digital_operations(
        self, network: Network, batch: int, decorrelated: Collection[int] = (), product: bool = True
    ) -> Counts:
        """Arithmetic operations of the controller in one step, per layer: from what was observed to update directions.

        Optimiser and companions aside.

        Args:
            network: what runs on the chips.
            batch: samples.
            decorrelated: layers that have an R.
            product: whether factors are multiplied digitally; as pulses, the devices do that.
        """
        own = self.own_operations(network, batch, decorrelated)
        return added(own, outer_products(network, batch)) if product else own

    def own_operations(self, network: Network, batch: int, decorrelated: Collection[int]) -> Counts:
        """Those up to the factors of its updates: none, unless a rule says otherwise; see `digital_operations`."""
        return (0,) * network.depth

    def estimate(self, baseline: Observation | None, probes: Sequence[Observation], network: Network) -> Any:
        """Statistics of the samples given, an `Estimate`; None for rules without probes."""
        return None

    def output_vector(self, baseline: Observation | None, estimate: Any, copy: Copy, state: Any) -> Tensor | None:
        """What to send backwards through the crossbars, (C, B, units of the last layer), or None."""
        return None

    def activities(self, baseline: Observation | None, estimate: Any) -> Activities:
        """Where a transposed read of `output_vector` takes derivatives: the baseline's activities."""
        return Activities.of(baseline)

    @abstractmethod
    def update(
        self,
        baseline: Observation | None,
        estimate: Any,
        deltas: tuple[Tensor, ...] | None,
        copy: Copy,
        state: Any,
    ) -> tuple[tuple[LayerUpdate, ...], Any]:
        """Update directions of all layers, which are subtracted, and the next state.

        Args:
            baseline: of the plan, one sample.
            estimate: of all samples.
            deltas: per layer (C, B, units), what a transposed read of `output_vector` returned.
            copy: the controller's own record.
            state: as `init` or the last update gave it.
        """
