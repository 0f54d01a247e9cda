"""CIFAR-10 and CIFAR-100: 60,000 colour images of 32 x 32 pixels in ten or a hundred classes.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", technical report, 2009. The binary versions:
files of records, each with one byte for the label (CIFAR-100: one for the coarse label, one for the fine one), then
3072 for the pixels: 1024 red ones, row by row, then green, then blue. Plain, or packed by xz.
"""

from __future__ import annotations

import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from analogsim.errors import DataError
from analogsim.tasks.data_set import DataSet
from analogsim.tasks.folder import find

_SHAPE = (3, 32, 32)
_PIXELS = 3072


@dataclass(frozen=True)
class Layout:
    """The files of a set and their records.

    Attributes:
        name: of the set.
        title: what people call it.
        train, test: names of the files, unpacked.
        classes: number of them.
        labels: bytes before the pixels of a record; the last is the label.
    """

    name: str
    title: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    classes: int
    labels: int

    @property
    def record(self) -> int:
        """Bytes of a record."""
        return self.labels + _PIXELS


CIFAR10 = Layout(
    "cifar-10", "CIFAR-10", tuple(f"data_batch_{number}.bin" for number in range(1, 6)), ("test_batch.bin",), 10, 1
)
CIFAR100 = Layout("cifar-100", "CIFAR-100", ("train.bin",), ("test.bin",), 100, 2)


def load_cifar(layout: Layout) -> DataSet:
    """Images of the set's folder, or of the one that its archive unpacks to, in it or beside it.

    Pixels are scaled to 0..1, flat, channel by channel: `shape` is (3, 32, 32). Targets are one-hot, those of CIFAR-100
    of its fine labels. Pixels are kept as bytes until all files are read, then become float32 once: 737 MB for the
    whole set.

    Raises:
        DataError: a file is missing or damaged.
    """
    parts: list[Tensor] = []
    for names in (layout.train, layout.test):
        records = [read_cifar(find(layout.name, name), layout) for name in names]
        parts.append(_pixels(records, layout.labels))
        labels = np.concatenate([each[:, layout.labels - 1] for each in records])
        parts.append(torch.nn.functional.one_hot(torch.from_numpy(labels).long(), layout.classes).to(torch.float32))
    return DataSet(*parts, shape=_SHAPE)


def _pixels(files: list[np.ndarray], first: int) -> Tensor:
    """Pixels of all records, scaled, (N, 3072); as numbers they are in memory once."""
    pixels = np.empty((sum(map(len, files)), _PIXELS), np.float32)
    at = 0
    for records in files:
        pixels[at : at + len(records)] = records[:, first:]
        at += len(records)
    return torch.from_numpy(pixels).div_(255)


def read_cifar(path: Path, layout: Layout = CIFAR10) -> np.ndarray:
    """Records of one file, (N, labels + 3072) bytes, labels first.

    Args:
        path: of the file; unpacked where it ends in .xz.
        layout: of its records.

    Raises:
        DataError: unreadable or damaged.
    """
    try:
        raw = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    except (EOFError, lzma.LZMAError) as error:
        raise DataError(f"{path}: damaged: {error}; fetch the file again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    size = layout.record
    if not raw or len(raw) % size:
        raise DataError(
            f"{path}: truncated, or no file of {layout.title}: records have {size} bytes, so its size should be a "
            f"multiple of that (got {len(raw)} bytes, {len(raw) // size} records and {len(raw) % size} bytes)"
        )
    records = np.frombuffer(raw, np.uint8).reshape(-1, size)
    highest = records[:, layout.labels - 1].max()
    if highest >= layout.classes:
        raise DataError(
            f"{path}: damaged: label {highest} is out of range; labels of {layout.title} are below {layout.classes}"
        )
    return records
