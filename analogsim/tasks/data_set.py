"""DataSet: what a loader returns."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class DataSet:
    """Inputs and targets, split for training and testing; float32 on the CPU.

    Attributes:
        train_inputs, test_inputs: (N, features).
        train_targets, test_targets: (N, outputs); one-hot for classification.
        shape: of one input: (channels, height, width) of images, whose features go channel by channel, row by row;
            None: features have no order.
    """

    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor
    shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if math.prod(self.input_shape) != self.features:
            raise ValueError(
                f"inputs of shape {self.shape} have {math.prod(self.input_shape)} features (got {self.features})"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input; (features,) where features have no order."""
        return (self.features,) if self.shape is None else self.shape

    @property
    def features(self) -> int:
        """Numbers per input."""
        return self.train_inputs.shape[1]

    @property
    def outputs(self) -> int:
        """Numbers per target."""
        return self.train_targets.shape[1]

    def held_out(self, count: int) -> DataSet:
        """The training set alone, its last `count` samples in the place of the test set."""
        x, t = self.train_inputs, self.train_targets
        return DataSet(x[:-count], t[:-count], x[-count:], t[-count:], self.shape)

    def standardised(self) -> DataSet:
        """Every feature shifted and scaled to mean 0 and standard deviation 1 over the training set.

        A feature that never changes there becomes 0.
        """
        mean, sd = self.train_inputs.mean(0), self.train_inputs.std(0, correction=0)
        scale = torch.where(sd > 0, 1 / sd, 0.0)
        train, test = ((x - mean) * scale for x in (self.train_inputs, self.test_inputs))
        return replace(self, train_inputs=train, test_inputs=test)
