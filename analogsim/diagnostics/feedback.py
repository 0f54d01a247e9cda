"""Weights, and how well feedback weights agree with them (Lansdell et al., Figs. 2 and 4)."""

from __future__ import annotations

import torch
from torch import Tensor


def weight_norm(w: Tensor) -> Tensor:
    """||W||, Frobenius, of each chip: (C, ...) -> (C,)."""
    return w.flatten(1).norm(dim=1)


def relative_error(b: Tensor, w: Tensor) -> Tensor:
    """||B - W|| / ||W||, Frobenius, of each chip (C,); 0: B sends back what W would. Both (C, ...)."""
    return weight_norm(b - w) / weight_norm(w)


def sign_agreement(b: Tensor, w: Tensor) -> Tensor:
    """Share of entries in which B and W have the same sign, (C,); 0 agrees with 0 alone. Both (C, ...)."""
    return (torch.sign(b) == torch.sign(w)).flatten(1).double().mean(1)
