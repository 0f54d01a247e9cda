"""DataSet: what a loader returns."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from analogsim.errors import DataError


@dataclass(frozen=True)
class DataSet:
    """Inputs and targets, split for training and testing; float32 on the CPU.

    Attributes:
        train_inputs, test_inputs: (N, features).
        train_targets, test_targets: (N, outputs); one-hot for classification.
        shape: of one input: (channels, height, width) of images, whose features go channel by channel, row by row;
            None: features have no order.
        classes: whether targets stand for classes, so that there is an accuracy.
    """

    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor
    shape: tuple[int, ...] | None = None
    classes: bool = True

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
        return replace(
            self,
            train_inputs=x[:-count],
            train_targets=t[:-count],
            test_inputs=x[-count:],
            test_targets=t[-count:],
        )

    def first(self, count: int) -> DataSet:
        """With the first training samples only.

        Raises:
            DataError: there are not so many.
        """
        if count > len(self.train_inputs):
            raise DataError(f"there are {len(self.train_inputs)} training samples (asked for the first {count})")
        return replace(self, train_inputs=self.train_inputs[:count], train_targets=self.train_targets[:count])

    def pooled(self, size: int) -> DataSet:
        """Images whose pixels are means over blocks of size x size.

        Raises:
            DataError: inputs are no images, or blocks do not fill them.
        """
        if self.shape is None or len(self.shape) != 3 or any(side % size for side in self.shape[1:]):
            shape = "no images" if self.shape is None else f"of shape {self.shape}"
            raise DataError(f"blocks of {size} x {size} pixels must fill the images; inputs are {shape}")
        channels, rows, columns = self.shape
        train, test = (
            torch.nn.functional.avg_pool2d(x.unflatten(1, self.shape), size).flatten(1)
            for x in (self.train_inputs, self.test_inputs)
        )
        shape = (channels, rows // size, columns // size)
        return replace(self, train_inputs=train, test_inputs=test, shape=shape)

    def autoencoding(self) -> DataSet:
        """The same inputs, which are their own targets."""
        return replace(self, train_targets=self.train_inputs, test_targets=self.test_inputs, classes=False)

    def standardised(self) -> DataSet:
        """Every feature shifted and scaled to mean 0 and standard deviation 1 over the training set.

        A feature that never changes there becomes 0.
        """
        mean, sd = self.train_inputs.mean(0), self.train_inputs.std(0, correction=0)
        scale = torch.where(sd > 0, 1 / sd, 0.0)
        train, test = ((x - mean).mul_(scale) for x in (self.train_inputs, self.test_inputs))
        return replace(self, train_inputs=train, test_inputs=test)
