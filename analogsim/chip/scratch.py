"""Scratch: memory that products of bytes are written to and that is free again a moment later.

Fresh memory comes page by page, and a page costs as much as the arithmetic on it; a buffer that is kept costs nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

_MOST = 1 << 24  # int32 numbers that are kept, 64 MiB

_kept: list[Tensor] = []


def lend(numbers: int) -> Tensor:
    """At least so many int32 numbers, with anything in them."""
    try:
        memory = _kept.pop()  # one step, so threads do not get the same
    except IndexError:
        return torch.empty(numbers, dtype=torch.int32)
    return memory if memory.numel() >= numbers else torch.empty(numbers, dtype=torch.int32)


def give_back(memory: Tensor) -> None:
    """To be lent again: nobody looks at it any more."""
    if memory.numel() <= _MOST and not _kept:
        _kept.append(memory)
