"""Lesson: what a step of learned feedback knows: gradients that node perturbation estimates, and the output error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import Self

from analogsim.learning.rule import Activities
from analogsim.port import Observation


class Lesson(NamedTuple):
    """Means over the samples of a step.

    Attributes:
        samples: their number K.
        directions: per layer the estimate of dL/df(a), the mean of dL xi / sigma^2, (C, B, units).
        seen, error: mean activities and mean output error (C, B, units of the last layer) of the passes that samples
            are compared with, where each has its own; None where all have the plan's baseline.
    """

    samples: int
    directions: tuple[Tensor, ...]
    seen: Activities | None
    error: Tensor | None

    @classmethod
    def of(cls, baseline: Observation | None, probes: Sequence[Observation], sigma: float) -> Self:
        """Of a chunk of samples.

        Args:
            baseline: what all samples are compared with, or None.
            probes: the perturbed pass, after the one that each sample is compared with where there is no baseline.
            sigma: standard deviation of the perturbation.
        """
        reference, probe = probes[0] if baseline is None else baseline, probes[-1]
        assert probe.injected is not None
        samples = probe.loss.shape[1]
        change = (probe.loss - reference.loss) / (samples * sigma**2)
        directions = tuple(torch.einsum("csb,csbn->cbn", change, xi) for xi in probe.injected)
        if baseline is not None:
            return cls(samples, directions, None, None)
        assert reference.output_error is not None
        seen = Activities.of(reference)
        inputs, pre = reference.inputs, reference.pre_activations
        assert inputs is not None and pre is not None
        mean = seen._replace(inputs=tuple(x.mean(1) for x in inputs), pre_activations=tuple(a.mean(1) for a in pre))
        return cls(samples, directions, mean, reference.output_error.mean(1))

    @property
    def inputs(self) -> tuple[Tensor, ...] | None:
        """Per layer the mean inputs (C, B, observed), or None where updates use the baseline's."""
        return None if self.seen is None else self.seen.inputs

    def merge(self, other: Self) -> Self:
        """Of both sets of samples."""
        share = other.samples / (self.samples + other.samples)
        mixed = self._replace(
            samples=self.samples + other.samples,
            directions=_mixed(self.directions, other.directions, share),
        )
        if self.seen is None or other.seen is None or self.error is None or other.error is None:
            return mixed
        inputs = _mixed(self.seen.inputs, other.seen.inputs, share)
        pre = _mixed(self.seen.pre_activations, other.seen.pre_activations, share)
        seen = self.seen._replace(inputs=inputs, pre_activations=pre)
        return mixed._replace(seen=seen, error=self.error.lerp(other.error, share))

    def taught(self, baseline: Observation | None) -> tuple[Activities, Tensor]:
        """Activities and output error (C, B, units of the last layer) of the passes without a perturbation."""
        if self.seen is not None and self.error is not None:
            return self.seen, self.error
        assert baseline is not None and baseline.output_error is not None
        return Activities.of(baseline), baseline.output_error[:, 0]


def _mixed(ours: Sequence[Tensor], theirs: Sequence[Tensor], share: float) -> tuple[Tensor, ...]:
    return tuple(a.lerp(b, share) for a, b in zip(ours, theirs, strict=True))
