"""Angles between directions, and how they fall with the number of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from analogsim.learning import Copy, Rule
from analogsim.port import Hardware


def angle(a: Tensor, b: Tensor) -> Tensor:
    """The angle between two directions of each chip, degrees.

        2 atan2(||a/|a| - b/|b|||, ||a/|a| + b/|b|||)

    It is exact near 0 and 180 degrees, where the arc cosine of the scalar product loses half the digits (W. Kahan, How
    Futile are Mindless Assessments of Roundoff, 2006).

    Args:
        a, b: (C, ...), equal shapes.

    Returns:
        (C,), float64; nan where a direction is zero or not finite.

    Raises:
        ValueError: the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"directions must have the same shape (got {tuple(a.shape)} and {tuple(b.shape)})")
    x, y = (_unit(each.flatten(1).double()) for each in (a, b))
    return torch.rad2deg(2 * torch.atan2((x - y).norm(dim=1), (x + y).norm(dim=1)))


def _unit(x: Tensor) -> Tensor:
    """Of length 1; nan where it is 0 or not finite. Scaled by the largest element first: squares may underflow."""
    x = x / x.abs().amax(dim=1, keepdim=True)
    return x / x.norm(dim=1, keepdim=True)


@torch.no_grad()
def angles_against_samples(
    rule: Rule,
    hardware: Hardware,
    copy: Copy,
    state: Any,
    counts: Sequence[int],
    reference: Sequence[Tensor],
    chunk: int | None = None,
) -> tuple[Tensor, ...]:
    """Angles between a rule's update and a reference, against the number of samples (Dalm et al., Figs. 2 and 8).

    One pass over the samples: a larger number goes on from the smaller one, by merged estimates. All on the present
    batch of the hardware; nothing is written. A rule that sends a vector back through the crossbars does so for each
    number of samples.

    Args:
        rule: with probes; its `samples` is not looked at.
        hardware: with a batch.
        copy, state: as `Rule.update` takes them.
        counts: how often the probes are run, rising; `centred` needs one more than it compares.
        reference: per layer (C, columns, rows), such as the true gradient of the batch.
        chunk: largest number of samples run at once; None: all.

    Returns:
        Per layer (counts, C), degrees.

    Raises:
        AccessError: the rule needs more than the hardware grants.
        ValueError: the rule draws no samples, or counts do not rise.
    """
    plan = rule.plan(hardware.network)
    if not plan.probes:
        raise ValueError(f"rule {rule.name!r} draws no samples: its plan has no probes")
    if list(counts) != sorted(set(counts)) or not counts or counts[0] < 1:
        raise ValueError(f"counts must be positive and rise (got {list(counts)})")
    baseline = None if plan.baseline is None else hardware.run((plan.baseline,))[0].clone()
    estimate, done, found = None, 0, []
    for count in counts:
        while done < count:
            samples = min(chunk or count, count - done)
            part = rule.estimate(baseline, hardware.run(plan.probes, samples), hardware.network)
            estimate = part if estimate is None else estimate.merge(part)
            done += samples
        vector = rule.output_vector(baseline, estimate, copy, state)
        deltas = None if vector is None else hardware.backward(vector, *rule.activities(baseline, estimate))
        updates, _ = rule.update(baseline, estimate, deltas, copy, state)
        found.append([angle(u.direction(), g) for u, g in zip(updates, reference, strict=True)])
    return tuple(torch.stack(layer) for layer in zip(*found, strict=True))
