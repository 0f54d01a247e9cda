"""Global drift compensation: one digital factor per layer and chip, from reads of known vectors.

Conductances that drift by about the same exponent fall together, so a column's current falls by a factor that a
reference read can measure (Le Gallo et al., IEEE Trans. Electron Devices 65:4304, 2018; Joshi et al., Nat. Commun.
11:2473, 2020). With S(t) = sum |y| over all columns and reference vectors,

    factor = S(reference) / S(now)

multiplies the digital sum of every later read, forward and backward. The bias is a row of the crossbar and drifts with
the others, so the whole sum is multiplied. The factor knows nothing of single devices: the spread of their exponents
stays. Reference reads are ordinary ones, with noise and converters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

VECTORS = 32
"""Reference vectors of a layer."""

_HEADROOM = 4.0  # standard deviations of a column's output under random signs that the ADC must hold


@dataclass
class Compensation:
    """Of one layer of a population of C chips.

    Attributes:
        reference: S at the time of the reference, (C,); None before there is one.
        factor: on digital sums, (C,); None before the first compensation.
    """

    reference: Tensor | None = None
    factor: Tensor | None = None

    def take_reference(self, level: Tensor) -> None:
        """Let what reads give now count as right, the present factor included; `level` is S without it, (C,)."""
        self.reference = level if self.factor is None else level * self.factor

    def compensate(self, level: Tensor) -> None:
        """Choose the factor so that S, `level` without it, (C,), is what it was at the reference."""
        if self.reference is None:
            raise RuntimeError("there is no reference to compensate to: call take_reference first")
        self.factor = torch.where(level > 0, self.reference / level, torch.ones_like(level))

    def apply(self, y: Tensor) -> Tensor:
        """Digital sums (C, ...) times the factor."""
        return y if self.factor is None else y * self.factor.reshape(-1, *(1,) * (y.dim() - 1))

    def undo(self, y: Tensor) -> Tensor:
        """What must stand before the factor so that y (C, ...) stands behind it."""
        return y if self.factor is None else y / self.factor.reshape(-1, *(1,) * (y.dim() - 1))

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint; the tensors are live."""
        return {"reference": self.reference, "factor": self.factor}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Continue where `state_dict` was taken."""
        for name in ("reference", "factor"):
            value = state[name]
            setattr(self, name, None if value is None else value.to(device, copy=True))


def reference_vectors(target: Tensor, full_scale: float, bound: float | Tensor | None, step: float = 0.0) -> Tensor:
    """Inputs of random signs, the same for every chip but for their size, (C, VECTORS, rows).

    Args:
        target: weights that the layer was asked to hold, (C, out, rows): digital knowledge, no read.
        full_scale: largest input.
        bound: largest output that converters can tell, of each chip (C, 1, 1), or None: inputs stay within it.
        step: smallest input that drives a line; inputs are no smaller, though outputs may be clipped.
    """
    rows = target.shape[2]
    generator = torch.Generator().manual_seed(rows)
    signs = torch.randint(0, 2, (VECTORS, rows), generator=generator).mul_(2).sub_(1).to(target)
    size = torch.full_like(target[:, :1, :1], full_scale)
    if bound is not None:
        spread = target.square().sum(2, keepdim=True).amax(1, keepdim=True).sqrt()
        size = torch.minimum(size, bound / (_HEADROOM * spread.clamp(min=torch.finfo(target.dtype).tiny)))
    return signs * size.clamp(min=step)
