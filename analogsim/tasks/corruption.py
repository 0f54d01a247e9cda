"""Corruption of training inputs, for denoising: the target stays clean.

P. Vincent, H. Larochelle, Y. Bengio, P. Manzagol, "Extracting and composing robust features with denoising
autoencoders", ICML 2008.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


class Corruption(ABC):
    """What is done to the inputs of a batch."""

    @abstractmethod
    def __call__(self, x: Tensor, normal: Tensor) -> Tensor:
        """Corrupted inputs.

        Args:
            x: inputs, any shape.
            normal: standard normal numbers of that shape.
        """


@dataclass(frozen=True)
class Masking(Corruption):
    """Each number of an input becomes 0 with probability p.

    Attributes:
        p: above 0 and below 1.
    """

    p: float

    def __call__(self, x: Tensor, normal: Tensor) -> Tensor:
        return torch.where(torch.special.ndtr(normal) < self.p, 0.0, x)


@dataclass(frozen=True)
class GaussianNoise(Corruption):
    """Normal numbers of mean 0 are added.

    Attributes:
        sigma: their standard deviation, in units of the inputs.
    """

    sigma: float

    def __call__(self, x: Tensor, normal: Tensor) -> Tensor:
        return x + self.sigma * normal
