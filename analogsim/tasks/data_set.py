"""DataSet: what a loader returns."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from analogsim.errors import DataError
from analogsim.tasks.stored import ROWS, Bytes, moments


@dataclass(frozen=True)
class DataSet:
    """Inputs and targets, split for training and testing; float32 on the CPU, inputs also as bytes.

    Attributes:
        train_inputs, test_inputs: (N, features).
        train_targets, test_targets: (N, outputs); one-hot for classification.
        shape: of one input: (channels, height, width) of images, whose features go channel by channel, row by row;
            None: features have no order.
        classes: whether targets stand for classes, so that there is an accuracy.
        stored: what inputs stand for that are bytes; None: inputs are the numbers themselves.
        notes: sentences for those who read results: what is not as one would expect of the set.
    """

    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor
    shape: tuple[int, ...] | None = None
    classes: bool = True
    stored: Bytes | None = None
    notes: tuple[str, ...] = ()

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
            torch.cat(
                [
                    torch.nn.functional.avg_pool2d(self._numbers(some).unflatten(1, self.shape), size).flatten(1)
                    for some in (x.split(ROWS) if self.stored else [x])
                ]
            )
            for x in (self.train_inputs, self.test_inputs)
        )
        shape = (channels, rows // size, columns // size)
        return replace(self, train_inputs=train, test_inputs=test, shape=shape, stored=None)

    def _numbers(self, x: Tensor) -> Tensor:
        return x if self.stored is None else self.stored(x)

    def autoencoding(self) -> DataSet:
        """The same inputs, which are their own targets; as numbers, since targets are."""
        train, test = self._numbers(self.train_inputs), self._numbers(self.test_inputs)
        return DataSet(train, train, test, test, shape=self.shape, classes=False, notes=self.notes)

    def standardised(self, by: Literal["feature", "channel"] = "feature") -> DataSet:
        """Inputs shifted and scaled to mean 0 and standard deviation 1 over the training set.

        What never changes there becomes 0.

        Args:
            by: every feature on its own; or every channel of images, over its pixels.

        Raises:
            DataError: channels are asked for, and inputs are no images.
        """
        if by == "channel" and (self.shape is None or len(self.shape) != 3):
            raise DataError("only images have channels, and inputs are none; standardise every feature: true")
        groups = self.features if by == "feature" or self.shape is None else self.shape[0]
        if self.stored is not None:
            mean, sd = moments(self.train_inputs, groups)
        elif by == "feature":
            mean, sd = self.train_inputs.mean(0), self.train_inputs.std(0, correction=0)
        else:
            grouped = self.train_inputs.unflatten(1, (groups, -1))
            mean, sd = grouped.mean((0, 2)), grouped.std((0, 2), correction=0)
        scale = torch.where(sd > 0, 1 / sd, 0.0)
        if by == "channel":
            mean, scale = (each.repeat_interleave(self.features // groups) for each in (mean, scale))
        if self.stored is not None:
            return replace(self, stored=Bytes(mean.float(), scale.float()))
        train, test = ((x - mean).mul_(scale) for x in (self.train_inputs, self.test_inputs))
        return replace(self, train_inputs=train, test_inputs=test)
