"""Inputs that are kept as bytes until they are used: a quarter of the memory of float32."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ROWS = 4096
"""Samples that are worked on together."""


@dataclass(frozen=True)
class Bytes:
    """What bytes b stand for: (b - shift) scale.

    Attributes:
        shift, scale: one number or one for each feature.
    """

    shift: Tensor
    scale: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """The numbers that bytes (..., features) stand for, in the dtype of `shift`."""
        return x.to(self.shift.dtype).sub_(self.shift).mul_(self.scale)

    def to(self, device: torch.device, dtype: torch.dtype) -> Bytes:
        """The same, giving numbers of this dtype on this device."""
        return Bytes(self.shift.to(device, dtype), self.scale.to(device, dtype))


def moments(x: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of bytes x (N, features), over samples and over the features of each of the groups.

    Sums are of whole numbers, so a group that never changes has the standard deviation 0.

    Returns:
        (groups,) each, float64.
    """
    total = torch.zeros(groups, dtype=torch.int64)
    squares = torch.zeros_like(total)
    for rows in x.split(ROWS):
        numbers = rows.unflatten(1, (groups, -1)).to(torch.int64)
        total += numbers.sum((0, 2))
        squares += numbers.square().sum((0, 2))
    count = x.shape[0] * (x.shape[1] // groups)
    sums = list(zip(total.tolist(), squares.tolist(), strict=True))
    mean = torch.tensor([first / count for first, _ in sums], dtype=torch.float64)
    variance = torch.tensor([(count * second - first**2) / count**2 for first, second in sums], dtype=torch.float64)
    return mean, variance.sqrt()
