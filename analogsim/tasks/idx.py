"""IDX files: the format of MNIST and its relatives, plain or gzipped.

Big-endian: magic 2051 and (count, rows, columns) before the pixels of images, magic 2049 and (count,) before labels
(Y. LeCun, C. Cortes, C. Burges, the MNIST database).
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import torch

from analogsim.errors import DataError
from analogsim.tasks.data_set import DataSet
from analogsim.tasks.folder import find

_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def load_idx(name: str, title: str, classes: int = 10) -> DataSet:
    """Images of the set's folder, pixels scaled to 0..1, with one-hot targets.

    Args:
        name: of the set.
        title: what people call it.
        classes: number of classes; labels are below it.

    Raises:
        DataError: a file is missing or damaged.
    """
    parts, sizes = [], []
    for images_name, labels_name in _FILES.values():
        images_path, labels_path = find(name, images_name), find(name, labels_name)
        images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
        if len(images) != len(labels):
            raise DataError(
                f"{labels_path}: has {len(labels)} labels for the {len(images)} images of {images_path.name}"
            )
        if len(labels) and labels.max() >= classes:
            raise DataError(
                f"{labels_path}: label {labels.max()} is out of range; labels of {title} are below {classes}"
            )
        sizes.append(images.shape[1:])
        parts.append(torch.from_numpy(images.reshape(len(images), -1)).to(torch.float32) / 255)
        parts.append(torch.nn.functional.one_hot(torch.from_numpy(labels).long(), classes).to(torch.float32))
    if parts[0].shape[1] != parts[2].shape[1]:
        folder = find(name, _FILES["train"][0]).parent
        raise DataError(f"{folder}: training images have {parts[0].shape[1]} pixels, test images {parts[2].shape[1]}")
    return DataSet(*parts, shape=(1, *sizes[0]))


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """One IDX file of unsigned bytes.

    Args:
        path: of the file; unpacked where it ends in .gz.
        dimensions: that it must have: 3 for images, 1 for labels.

    Raises:
        DataError: unreadable, damaged, or of another kind.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged: {error}; fetch the file again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    header = 4 + 4 * dimensions
    magic = 0x0800 | dimensions
    found = struct.unpack(">I", raw[:4])[0] if len(raw) >= 4 else None
    if found != magic:
        raise DataError(f"{path}: not an IDX file of {dimensions}-dimensional bytes: magic number {found}, not {magic}")
    if len(raw) < header:
        raise DataError(f"{path}: truncated: {len(raw)} bytes end within the header of {header}")
    shape = struct.unpack(f">{dimensions}I", raw[4:header])
    expected = header + int(np.prod(shape, dtype=np.int64))
    if len(raw) != expected:
        kind = "truncated" if len(raw) < expected else "too long"
        raise DataError(f"{path}: {kind}: its header announces {shape}, {expected} bytes, but it has {len(raw)}")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape).copy()
