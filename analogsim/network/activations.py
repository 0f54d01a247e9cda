"""Activation functions: element by element, computed digitally."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor


class Activation(ABC):
    """An element-wise activation function."""

    differentiable: ClassVar[bool] = True
    """Whether its derivative tells anything: rules that send derivatives backwards need it."""

    @abstractmethod
    def __call__(self, a: Tensor) -> Tensor:
        """f(a), same shape."""

    @abstractmethod
    def derivative(self, a: Tensor) -> Tensor:
        """f'(a), same shape."""


@dataclass(frozen=True)
class Identity(Activation):
    """f(a) = a."""

    def __call__(self, a: Tensor) -> Tensor:
        return a

    def derivative(self, a: Tensor) -> Tensor:
        return torch.ones_like(a)


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """f(a) = a where a > 0, slope a elsewhere; slope 0 is the ReLU.

    Attributes:
        slope: 0.01 unless a reproduction says otherwise.
    """

    slope: float = 0.01

    def __call__(self, a: Tensor) -> Tensor:
        return torch.nn.functional.leaky_relu(a, self.slope)

    def derivative(self, a: Tensor) -> Tensor:
        return (a > 0).to(a.dtype).mul_(1 - self.slope).add_(self.slope)
