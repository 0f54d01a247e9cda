"""Rule: turns observations into update directions. Sees the wall (`analogsim.port`) and nothing behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from typing_extensions import Self

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

    @property
    @abstractmethod
    def requires(self) -> Access:
        """What the hardware must grant."""

    @abstractmethod
    def plan(self, network: Network) -> Plan:
        """The passes of a step."""

    def init(self, network: Network, chips: int, device: torch.device) -> Any:
        """State before the first step: a NamedTuple of tensors."""
        return Counters.zero(chips, device)

    def counters(self, state: Any) -> Counters:
        """The counters in the state."""
        return state

    def estimate(self, baseline: Observation | None, probes: Sequence[Observation], network: Network) -> Any:
        """Statistics of the samples given, an `Estimate`; None for rules without probes."""
        return None

    def output_vector(self, baseline: Observation | None, estimate: Any) -> Tensor | None:
        """What to send backwards through the crossbars, (C, B, outputs), or None."""
        return None

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
