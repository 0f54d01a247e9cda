"""Tiny ImageNet: 100,000 colour images of 64 x 64 pixels in 200 classes, and 10,000 for testing.

Y. Le, X. Yang, "Tiny ImageNet Visual Recognition Challenge", CS 231N, Stanford, 2015. Of the archive tiny-imagenet-200:
wnids.txt names the classes, one a line; train/<wnid>/images/ holds JPEG files; val/val_annotations.txt gives the class
of each in val/images/, which are the test here, since those of test/ have no labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from analogsim.errors import DataError
from analogsim.tasks.data_set import DataSet
from analogsim.tasks.folder import find
from analogsim.tasks.stored import Bytes

_SIDE = 64


def load_tiny_imagenet() -> DataSet:
    """Images of the set's folder; classes in the order of wnids.txt, files of a class in the order of their names.

    Pixels stay bytes, 12,288 for each image, until a batch is used: 1.35 GB for the whole set, where float32 would take
    5.4 GB. They stand for numbers of 0..1, channel by channel: `shape` is (3, 64, 64). Greyscale becomes three equal
    channels. Targets are one-hot.

    Raises:
        DataError: a file is missing or damaged.
    """
    wnids = _lines(find("tiny-imagenet", "wnids.txt"))
    annotations = find("tiny-imagenet", "val/val_annotations.txt")
    root = annotations.parent.parent
    if not wnids or len(set(wnids)) != len(wnids):
        raise DataError(f"{root / 'wnids.txt'}: should name each class once, one a line (got {len(wnids)} lines)")
    train = [(path, number) for number, wnid in enumerate(wnids) for path in _images(root / "train" / wnid / "images")]
    test = _annotated(annotations, {wnid: number for number, wnid in enumerate(wnids)})
    parts = []
    for found in (train, test):
        parts.append(torch.from_numpy(read_images([path for path, _ in found])))
        labels = torch.tensor([number for _, number in found])
        parts.append(torch.nn.functional.one_hot(labels, len(wnids)).to(torch.float32))
    return DataSet(*parts, shape=(3, _SIDE, _SIDE), stored=Bytes(torch.tensor(0.0), torch.tensor(1 / 255)))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text: {error}; fetch the file again") from None


def _images(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.glob("*.JPEG"))
    if not found:
        raise DataError(f"{folder}: holds no .JPEG files; the set has images of every class of wnids.txt there")
    return found


def _annotated(path: Path, numbers: dict[str, int]) -> list[tuple[Path, int]]:
    found = []
    for line, text in enumerate(_lines(path), 1):
        name, wnid, *_ = [*text.split("\t"), "", ""]
        if wnid not in numbers or "/" in name or not name:
            raise DataError(
                f"{path}: line {line} should give the name of an image and a class of wnids.txt, with tabs between "
                f"them (got {text[:60]!r})"
            )
        found.append((path.parent / "images" / name, numbers[wnid]))
    if not found:
        raise DataError(f"{path}: is empty; it should give the class of each image, one a line")
    return found


def read_images(paths: Sequence[Path]) -> np.ndarray:
    """Pixels of JPEG files of 64 x 64 pixels, (N, 12288) bytes, channel by channel.

    Raises:
        DataError: one is missing, damaged, or of another size.
    """
    pixels = np.empty((len(paths), 3 * _SIDE * _SIDE), np.uint8)

    def read(at: int) -> None:
        pixels[at] = _image(paths[at])

    with ThreadPoolExecutor() as pool:  # decoding frees the interpreter
        for _ in pool.map(read, range(len(paths))):
            pass
    return pixels


def _image(path: Path) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            rows = np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        raise DataError(f"{path}: is missing; fetch the set again") from None
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: damaged, or no image: {error}; fetch the set again") from None
    if rows.shape[:2] != (_SIDE, _SIDE):
        raise DataError(
            f"{path}: should have {_SIDE} x {_SIDE} pixels (got {rows.shape[1]} x {rows.shape[0]}); fetch the set again"
        )
    return rows.transpose(2, 0, 1).reshape(-1)
