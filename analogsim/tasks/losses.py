"""Losses: what turns a chip's digitised outputs into one scalar per batch element."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


class Loss(ABC):
    """A loss of network outputs (..., B, n) against targets (..., B, n) that broadcast."""

    @abstractmethod
    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """One scalar per batch element, (..., B)."""

    @abstractmethod
    def error(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """dL/d(outputs), (..., B, n)."""


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Softmax and cross-entropy, natural logarithm; targets are class probabilities."""

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return -(targets * torch.log_softmax(outputs, dim=-1)).sum(-1)

    def error(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return torch.softmax(outputs, dim=-1) - targets


@dataclass(frozen=True)
class SquaredError(Loss):
    """1/2 ||y - t||^2, summed over the outputs."""

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().sum(-1) / 2

    def error(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs - targets


LOSSES: dict[str, Loss] = {"cross_entropy": CrossEntropy(), "squared": SquaredError()}
