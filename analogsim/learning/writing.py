"""Writing: how a step of the controller's copy reaches the devices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from analogsim.port import LayerPulses, LayerUpdate, LayerWrite, Limits

WritingName = Literal["absolute", "in_memory", "mixed_precision"]


class Writing(ABC):
    """Turns a step into writes."""

    @abstractmethod
    def writes(
        self,
        updates: Sequence[LayerUpdate],
        rate: Tensor,
        before: Sequence[Tensor],
        after: Sequence[Tensor],
    ) -> tuple[LayerWrite | LayerPulses, ...]:
        """The writes of all layers.

        Args:
            updates: of the rule.
            rate: (C, 1, 1), learning rate of each chip, 0 where it is frozen.
            before, after: per layer the copy, (C, units, rows).
        """

    def programmed(self) -> None:
        """The devices have been programmed to the copy as it is: nothing is left to be written."""
        return

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint; the tensors are live."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        return


class Absolute(Writing):
    """Every device is programmed towards the copy."""

    def writes(
        self, updates: Sequence[LayerUpdate], rate: Tensor, before: Sequence[Tensor], after: Sequence[Tensor]
    ) -> tuple[LayerWrite | LayerPulses, ...]:
        return tuple(LayerWrite(w) for w in after)


class InMemory(Writing):
    """The rule's factors go to the devices as pulses; no digital computer forms their product."""

    def writes(
        self, updates: Sequence[LayerUpdate], rate: Tensor, before: Sequence[Tensor], after: Sequence[Tensor]
    ) -> tuple[LayerWrite | LayerPulses, ...]:
        return tuple(LayerPulses(_silenced(update, rate > 0), rate) for update in updates)


def _silenced(update: LayerUpdate, active: Tensor) -> LayerUpdate:
    """The update without that of frozen chips, whose numbers need not be finite."""
    if update.dense is not None:
        return LayerUpdate(dense=torch.where(active, update.dense, 0.0))
    assert update.post is not None and update.pre is not None
    post, pre = (torch.where(active, factor, 0.0) for factor in (update.post, update.pre))
    return replace(update, post=post, pre=pre)


@dataclass
class MixedPrecision(Writing):
    """Changes add up in digital memory until they are worth a pulse (Nandakumar et al., Front. Neurosci. 14:406, 2020).

        chi <- chi + change,      n = trunc(chi / step),      chi <- chi - n step

    with `step` the mean change by one pulse, from the data sheet. What the devices make of n pulses is not fed back.

    Attributes:
        steps: per layer, (C, 1, 1) or (C, units, 1).
        memory: per layer chi, (C, units, rows).
    """

    steps: Sequence[Tensor]
    memory: list[Tensor]

    def writes(
        self, updates: Sequence[LayerUpdate], rate: Tensor, before: Sequence[Tensor], after: Sequence[Tensor]
    ) -> tuple[LayerWrite | LayerPulses, ...]:
        given = []
        for index, (old, new, step) in enumerate(zip(before, after, self.steps, strict=True)):
            total = self.memory[index] + (new - old)
            pulses = torch.trunc(total / step)
            self.memory[index] = total - pulses * step
            given.append(LayerPulses(pulses=pulses))
        return tuple(given)

    def programmed(self) -> None:
        self.memory = [torch.zeros_like(chi) for chi in self.memory]

    def state_dict(self) -> dict[str, Any]:
        return {"memory": list(self.memory)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.memory = [
            saved.to(held.device, copy=True) for saved, held in zip(state["memory"], self.memory, strict=True)
        ]


def make_writing(name: WritingName, limits: Limits, weights: Sequence[Tensor]) -> Writing:
    """The writing of that name.

    Raises:
        ValueError: pulses are wanted but the data sheet knows none.
    """
    if name == "absolute":
        return Absolute()
    steps = [step for step in limits.steps if step is not None]
    if len(steps) < len(weights):
        raise ValueError(f"{name} writes by pulses, but these devices take none: their profile has no `update`")
    return InMemory() if name == "in_memory" else MixedPrecision(steps, [torch.zeros_like(w) for w in weights])
