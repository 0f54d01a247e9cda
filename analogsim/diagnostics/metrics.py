"""Metrics by name, as scenarios list them. A new one is a function and one entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from analogsim.diagnostics.angles import angle
from analogsim.diagnostics.feedback import relative_error, sign_agreement, weight_norm
from analogsim.diagnostics.gradient import Gradient
from analogsim.diagnostics.spread import Spread, participation_ratio

DRAWS = 8
"""Updates from which a variance is taken."""

PerLayer = list[Tensor | None]
"""Per layer one number for each chip, (C,), or None where it has no meaning."""


@dataclass(frozen=True)
class Look:
    """What the metrics of one evaluation look at.

    Attributes:
        weights: per layer what the devices hold, bias row aside, (C, columns, fan_in).
        directions: the rule's update on the probe batch, per layer (C, columns, rows), with other noise in each call;
            None: nothing is learned.
        gradient: on the same batch.
        feedback: per layer the rule's feedback weights (C, columns, fan_in) or None; None: it has none.
    """

    weights: Sequence[Tensor]
    directions: Callable[[], Sequence[Tensor]] | None = field(repr=False)
    gradient: Callable[[], Gradient] = field(repr=False)
    feedback: Sequence[Tensor | None] | None = None

    @cached_property
    def first(self) -> Sequence[Tensor]:
        """One update."""
        return self.update()

    def update(self) -> Sequence[Tensor]:
        """An update with new noise.

        Raises:
            RuntimeError: nothing is learned.
        """
        if self.directions is None:
            raise RuntimeError("there are no updates where nothing is learned")
        return self.directions()

    @cached_property
    def true(self) -> Gradient:
        """The true gradient."""
        return self.gradient()


def _angle(look: Look) -> PerLayer:
    if look.directions is None:
        return [None] * len(look.weights)
    return [angle(d, g) for d, g in zip(look.first, look.true.weights, strict=True)]


def _variance(look: Look) -> PerLayer:
    if look.directions is None:
        return [None] * len(look.weights)
    spreads = [Spread.of([d.double()]) for d in look.first]
    for _ in range(DRAWS - 1):
        spreads = [spread.with_draw(d.double()) for spread, d in zip(spreads, look.update(), strict=True)]
    return [spread.trace for spread in spreads]


def _dimensions(look: Look) -> PerLayer:
    return [participation_ratio(x.double()) for x in look.true.outputs[:-1]] + [None]


def _fed_back(measure: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Look], PerLayer]:
    def metric(look: Look) -> PerLayer:
        feedback = look.feedback or [None] * len(look.weights)
        return [None if b is None else measure(b, w) for b, w in zip(feedback, look.weights, strict=True)]

    return metric


METRICS: dict[str, Callable[[Look], PerLayer]] = {
    "angle": _angle,
    "weight_norm": lambda look: [weight_norm(w) for w in look.weights],
    "participation_ratio": _dimensions,
    "update_variance": _variance,
    "feedback_alignment": _fed_back(relative_error),
    "feedback_angle": _fed_back(angle),
    "sign_agreement": _fed_back(sign_agreement),
}
"""Every metric, and how it is measured."""


@torch.no_grad()
def measured(names: Sequence[str], look: Look) -> dict[str, PerLayer]:
    """The metrics of these names; which others are asked for changes none of them."""
    return {name: METRICS[name](look) for name in names}
