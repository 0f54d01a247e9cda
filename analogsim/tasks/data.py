"""Data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class DataSet:
    """Inputs and targets, split for training and testing; float32 on the CPU.

    Attributes:
        train_inputs, test_inputs: (N, features).
        train_targets, test_targets: (N, outputs); one-hot for classification.
    """

    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor

    @property
    def features(self) -> int:
        """Numbers per input."""
        return self.train_inputs.shape[1]

    @property
    def outputs(self) -> int:
        """Numbers per target."""
        return self.train_targets.shape[1]

    def standardised(self) -> DataSet:
        """Every feature shifted and scaled to mean 0 and standard deviation 1 over the training set.

        A feature that never changes there becomes 0.
        """
        mean, sd = self.train_inputs.mean(0), self.train_inputs.std(0, correction=0)
        scale = torch.where(sd > 0, 1 / sd, 0.0)
        inputs = [(x - mean) * scale for x in (self.train_inputs, self.test_inputs)]
        return DataSet(inputs[0], self.train_targets, inputs[1], self.test_targets)


def _digits() -> DataSet:
    """1797 handwritten digits of 8x8 pixels, scaled to 0..1 (E. Alpaydin, C. Kaynak, UCI repository, 1998).

    As bundled with scikit-learn: the 1797 images of the original test set. A fixed shuffle (so that no writer is in one
    split only), then 1400 images for training and 397 for testing.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.Generator(np.random.PCG64(20240607)).permutation(len(images))
    x = torch.from_numpy(images[order]).to(torch.float32) / 16
    t = torch.nn.functional.one_hot(torch.from_numpy(labels[order]).long(), 10).to(torch.float32)
    return DataSet(x[:1400], t[:1400], x[1400:], t[1400:])


DATA_SETS: dict[str, Callable[[], DataSet]] = {"digits": _digits}
"""Every data set. A new one is a loader and one entry."""
