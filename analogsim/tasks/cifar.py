"""CIFAR-10: 60,000 colour images of 32 x 32 pixels in ten classes (A. Krizhevsky, technical report, 2009).

The binary version: six files of records, each a byte for the label and 3072 for the pixels: 1024 red ones, row by row,
then green, then blue. Plain, or packed by xz.
"""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from analogsim.errors import DataError
from analogsim.tasks.data_set import DataSet
from analogsim.tasks.folder import DATA_VARIABLE, data_folder

_SHAPE = (3, 32, 32)
_PIXELS = 3072
_RECORD = 1 + _PIXELS
_CLASSES = 10
_TITLE = "CIFAR-10"
_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST = ("test_batch.bin",)
_INNER = "cifar-10-batches-bin"  # what the published archive unpacks to


def load_cifar10() -> DataSet:
    """Images of `$ANALOGSIM_DATA/cifar-10/`, or of the folder cifar-10-batches-bin in it.

    Pixels are scaled to 0..1, flat, channel by channel: `shape` is (3, 32, 32). Targets are one-hot. Pixels are kept as
    bytes until all files are read, then become float32 once: 737 MB for the whole set.

    Raises:
        DataError: the folder is not named, or a file is missing or damaged.
    """
    folder = data_folder("cifar-10", _TITLE, [f"{name}.xz" for name in (*_TRAIN, *_TEST)])
    parts: list[Tensor] = []
    for names in (_TRAIN, _TEST):
        records = [read_cifar(_find(folder, name)) for name in names]
        parts.append(_pixels(records))
        labels = np.concatenate([each[:, 0] for each in records])
        parts.append(torch.nn.functional.one_hot(torch.from_numpy(labels).long(), _CLASSES).to(torch.float32))
    return DataSet(*parts, shape=_SHAPE)


def _pixels(files: list[np.ndarray]) -> Tensor:
    """Pixels of all records, scaled, (N, 3072); as numbers they are in memory once."""
    pixels = np.empty((sum(map(len, files)), _PIXELS), np.float32)
    at = 0
    for records in files:
        pixels[at : at + len(records)] = records[:, 1:]
        at += len(records)
    return torch.from_numpy(pixels).div_(255)


def _find(folder: Path, name: str) -> Path:
    for path in (place / each for place in (folder, folder / _INNER) for each in (f"{name}.xz", name)):
        if path.is_file():
            return path
    raise DataError(
        f"{_TITLE}: {name} is missing; looked for it, also with .xz, in {folder} and in {_INNER} there. "
        f"Put the file there, or set {DATA_VARIABLE} to the folder that holds {folder.name}/"
    )


def read_cifar(path: Path) -> np.ndarray:
    """Records of one file, (N, 3073) bytes, the label first.

    Args:
        path: of the file; unpacked where it ends in .xz.

    Raises:
        DataError: unreadable or damaged.
    """
    try:
        raw = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    except (EOFError, lzma.LZMAError) as error:
        raise DataError(f"{path}: damaged: {error}; fetch the file again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if not raw or len(raw) % _RECORD:
        raise DataError(
            f"{path}: truncated, or no file of {_TITLE}: records have {_RECORD} bytes, so its size should be a "
            f"multiple of that (got {len(raw)} bytes, {len(raw) // _RECORD} records and {len(raw) % _RECORD} bytes)"
        )
    records = np.frombuffer(raw, np.uint8).reshape(-1, _RECORD)
    highest = records[:, 0].max()
    if highest >= _CLASSES:
        raise DataError(f"{path}: damaged: label {highest} is out of range; labels of {_TITLE} are below {_CLASSES}")
    return records
