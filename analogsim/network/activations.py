"""Activation functions: element by element, computed digitally."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override


class Activation(ABC):
    """An element-wise activation function."""

    name: ClassVar[str]
    """As scenarios call it."""
    differentiable: ClassVar[bool] = True
    """Whether its derivative tells anything: rules that send derivatives backwards need it."""
    digital_operations: ClassVar[int] = 1
    """Arithmetic operations of a number: a comparison, or a look-up in a table."""

    @abstractmethod
    def __call__(self, a: Tensor) -> Tensor:
        """f(a), same shape."""

    @abstractmethod
    def derivative(self, a: Tensor) -> Tensor:
        """f'(a), same shape.

        Raises:
            ValueError: the function is not differentiable.
        """


@dataclass(frozen=True)
class Identity(Activation):
    """f(a) = a."""

    name: ClassVar[str] = "identity"
    digital_operations: ClassVar[int] = 0

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
    name: ClassVar[str] = "leaky_relu"

    def __call__(self, a: Tensor) -> Tensor:
        return torch.nn.functional.leaky_relu(a, self.slope)

    def derivative(self, a: Tensor) -> Tensor:
        return (a > 0).to(a.dtype).mul_(1 - self.slope).add_(self.slope)


@dataclass(frozen=True)
class Tanh(Activation):
    """f(a) = tanh a."""

    name: ClassVar[str] = "tanh"

    def __call__(self, a: Tensor) -> Tensor:
        return torch.tanh(a)

    def derivative(self, a: Tensor) -> Tensor:
        return 1 - torch.tanh(a).square_()


@dataclass(frozen=True)
class Sigmoid(Activation):
    """f(a) = 1 / (1 + exp(-a))."""

    name: ClassVar[str] = "sigmoid"

    def __call__(self, a: Tensor) -> Tensor:
        return torch.sigmoid(a)

    def derivative(self, a: Tensor) -> Tensor:
        y = torch.sigmoid(a)
        return y * (1 - y)


class _Step(Activation):
    """A function whose derivative is 0 wherever it exists."""

    differentiable: ClassVar[bool] = False

    @override
    def derivative(self, a: Tensor) -> Tensor:
        raise ValueError(
            f"{self.name} has no derivative that tells anything: it is 0 on either side of the threshold; "
            "take a rule that sends no derivatives backwards, such as np or anp"
        )


@dataclass(frozen=True)
class HardThreshold(_Step):
    """f(a) = 1 where a > 0, 0 elsewhere."""

    name: ClassVar[str] = "hard_threshold"

    def __call__(self, a: Tensor) -> Tensor:
        return (a > 0).to(a.dtype)


@dataclass(frozen=True)
class Binary(_Step):
    """f(a) = 1 where a > 0, -1 elsewhere: the sign, which has two values only."""

    name: ClassVar[str] = "binary"

    def __call__(self, a: Tensor) -> Tensor:
        return (a > 0).to(a.dtype).mul_(2).sub_(1)
