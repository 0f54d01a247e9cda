"""Loss channel: how the scalar loss of each sample and pass reaches the learner.

    L' = quantise(L + sigma xi),    quantise(v) = s round(clip(v, 0, range) / s),    s = range / (2^bits - 1)

It lies on the hardware's side of the wall. Reported training losses and evaluations are the true ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field, model_validator
from torch import Tensor
from typing_extensions import Self

from analogsim.port import Observation, Pass
from analogsim.randomness import Purpose, Streams
from analogsim.study.section import PositiveFloat, Section


class LossChannelSettings(Section):
    """How losses reach the learner; nothing given: exactly and at once."""

    bits: int | None = Field(default=None, ge=1, le=24, strict=True)
    """Losses are rounded to 2^bits levels, from 0 to `range`, and clipped there; exact unless given."""
    range: PositiveFloat | None = None
    """The largest level."""
    sigma: float = Field(default=0.0, ge=0, allow_inf_nan=False, strict=True)
    """Standard deviation of the noise added to each loss before it is rounded, in units of the loss; clean passes have
    none."""
    delay: int = Field(default=0, ge=0, strict=True)
    """Steps until losses arrive. The learner waits, and pairs them with the activities of their own step."""
    mispaired: bool = Field(default=False, strict=True)
    """The learner does not know of the delay: it pairs what arrives with the activities of the present step."""

    @model_validator(mode="after")
    def _bits_and_range(self) -> Self:
        if (self.bits is None) != (self.range is None):
            missing = "range" if self.range is None else "bits"
            raise ValueError(f"bits and range belong together: give {missing}, too, or neither")
        if self.mispaired and not self.delay:
            raise ValueError("mispaired: there is no delay to mistake; give delay, too")
        return self

    @property
    def waiting(self) -> int:
        """Steps that the learner waits."""
        return 0 if self.mispaired else self.delay

    @property
    def transparent(self) -> bool:
        """Whether the hardware hands over true losses with the activities that they belong to."""
        return self.bits is None and self.sigma == 0 and not (self.mispaired and self.delay)


class LossChannel:
    """The channel of a population of chips.

    Args:
        settings: what it does.
        streams: random numbers.
    """

    def __init__(self, settings: LossChannelSettings, streams: Streams) -> None:
        self._settings, self._streams = settings, streams
        self._late = settings.delay if settings.mispaired else 0
        self._sent: list[list[Tensor]] = []  # by step, the oldest first, and by run
        self._runs = 0  # of this step

    def next_batch(self) -> None:
        """A step begins."""
        self._runs = 0
        if self._late:
            self._sent = [*self._sent[-self._late :], []]

    def pass_on(self, passes: Sequence[Pass], seen: Sequence[Observation]) -> tuple[Observation, ...]:
        """What a learner is told of a run: observations with the losses that arrive.

        Before the first loss arrives the channel gives 0.
        """
        if self._settings.transparent:
            return tuple(seen)
        losses = torch.stack([each.loss for each in seen], dim=2)  # (C, S, P, B)
        if self._settings.sigma:
            shape = losses.shape[2:]
            numbers = self._streams.draw(Purpose.LOSS_CHANNEL, 0, losses.shape[1], shape, losses.dtype)
            for index, each in enumerate(passes):
                if not each.clean:
                    losses[:, :, index] += numbers[:, :, index] * self._settings.sigma
        losses = self._quantised(losses)
        if self._late:
            self._sent[-1].append(losses)
            arrived = len(self._sent) > self._late
            losses = self._sent[0][self._runs] if arrived else torch.zeros_like(losses)
            self._runs += 1
        return tuple(each._replace(loss=losses[:, :, index]) for index, each in enumerate(seen))

    def _quantised(self, losses: Tensor) -> Tensor:
        if self._settings.bits is None or self._settings.range is None:
            return losses
        step = self._settings.range / (2**self._settings.bits - 1)
        return (losses.clamp(0, self._settings.range) / step).round() * step

    def state_dict(self) -> dict[str, Any]:
        """What is under way between two steps, for a checkpoint; the tensors are live."""
        return {"sent": [list(runs) for runs in self._sent]}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Continue where `state_dict` was taken."""
        self._sent = [[losses.to(device, copy=True) for losses in runs] for runs in state["sent"]]
