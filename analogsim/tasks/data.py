"""Data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from analogsim.tasks.cifar import CIFAR10, CIFAR100, load_cifar
from analogsim.tasks.data_set import DataSet
from analogsim.tasks.idx import load_idx
from analogsim.tasks.sarcos import load_sarcos
from analogsim.tasks.teacher_set import teacher_set
from analogsim.tasks.tiny_imagenet import load_tiny_imagenet


def _digits() -> DataSet:
    """1797 handwritten digits of 8x8 pixels, scaled to 0..1 (E. Alpaydin, C. Kaynak, UCI repository, 1998).

    As bundled with scikit-learn: the 1797 images of the original test set. A fixed shuffle (so that no writer is in one
    split only), then 1400 images for training and 397 for testing.
    """
    images, labels = _scikit_learn_digits()
    order = np.random.Generator(np.random.PCG64(20240607)).permutation(len(images))
    x = torch.from_numpy(images[order]).to(torch.float32) / 16
    t = torch.nn.functional.one_hot(torch.from_numpy(labels[order]).long(), 10).to(torch.float32)
    return DataSet(x[:1400], t[:1400], x[1400:], t[1400:], shape=(1, 8, 8))


def _scikit_learn_digits() -> tuple[np.ndarray, np.ndarray]:
    """Images (1797, 64) and labels (1797,) from scikit-learn's file, without scikit-learn, which takes long to load."""
    found = find_spec("sklearn")
    file = Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz" if found and found.origin else None
    if file is None or not file.is_file():  # should a release keep it elsewhere
        from sklearn.datasets import load_digits

        bunch: Any = load_digits()
        return bunch.data, bunch.target
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1], table[:, -1].astype(int)


DATA_SETS: dict[str, Callable[[], DataSet]] = {
    "digits": _digits,
    "mnist": partial(load_idx, "mnist", "MNIST"),
    "fashion-mnist": partial(load_idx, "fashion-mnist", "Fashion-MNIST"),
    "cifar-10": partial(load_cifar, CIFAR10),
    "cifar-100": partial(load_cifar, CIFAR100),
    "tiny-imagenet": load_tiny_imagenet,
    "sarcos": load_sarcos,
    "teacher": teacher_set,
}
"""Every data set. A new one is a loader, one entry here, and one in `sources.py`."""
