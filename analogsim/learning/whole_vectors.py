"""Whole vectors: tensors without a rest that a CPU's vector instructions do not fill."""

from __future__ import annotations

import torch
from torch import Tensor

_LANES = 16  # numbers of 4 bytes in the widest vectors


def whole_vectors(x: Tensor, held: Tensor | None = None) -> Tensor:
    """x flat, with zeros at its end: (n rounded up to a multiple of 16,); a view of x where there is nothing to add.

    A fused optimiser steps vectors with a product and a sum in one rounding, and the rest of a tensor with two. So a
    number's step would depend on where the tensor ends, that is on the other chips of its population.

    Args:
        x: any shape.
        held: what an earlier call gave for a tensor of that shape: x goes there if there are zeros to add.
    """
    rest = -x.numel() % _LANES
    if not rest:
        return x.reshape(-1)
    if held is None:
        return torch.nn.functional.pad(x.reshape(-1), (0, rest))
    held[: x.numel()].view(x.shape).copy_(x)
    return held
