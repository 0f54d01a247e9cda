"""Data files: read rightly where they are right, and one clear message where they are not."""

import gzip
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from analogsim.errors import DataError
from analogsim.tasks import DATA_SETS
from analogsim.tasks.folder import DATA_VARIABLE
from analogsim.tasks.idx import read_idx

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def _bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x0800 | array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny MNIST: 30 training and 20 test images of 28 x 28."""
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    here = tmp_path / "mnist"
    here.mkdir()
    generator = np.random.default_rng(0)
    for name, count in zip(NAMES, (30, 30, 20, 20), strict=True):
        shape = (count, 28, 28) if "images" in name else (count,)
        array = generator.integers(0, 256 if "images" in name else 10, shape, dtype=np.uint8)
        (here / f"{name}.gz").write_bytes(gzip.compress(_bytes(array)))
    return here


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))


@pytest.mark.parametrize("packed", [True, False])
def test_images_are_scaled_and_labels_one_hot(folder: Path, packed: bool) -> None:
    raw = {name: gzip.decompress((folder / f"{name}.gz").read_bytes()) for name in NAMES}
    if not packed:
        for name in NAMES:
            (folder / f"{name}.gz").unlink()
            (folder / name).write_bytes(raw[name])
    data = DATA_SETS["mnist"]()
    assert data.train_inputs.shape == (30, 784)
    assert data.test_targets.shape == (20, 10)
    pixels = np.frombuffer(raw[NAMES[0]], np.uint8, offset=16).reshape(30, 784)
    assert torch.equal(data.train_inputs, torch.from_numpy(pixels.astype(np.float32)) / 255)
    labels = np.frombuffer(raw[NAMES[3]], np.uint8, offset=8)
    assert data.test_targets.argmax(1).tolist() == labels.tolist()
    assert (data.test_targets.sum(1) == 1).all()


def test_without_the_variable_the_message_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/nowhere")
    with pytest.raises(DataError, match=r"MNIST: needs its files, and ANALOGSIM_DATA is not set.*t10k-images") as error:
        DATA_SETS["mnist"]()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named_with_where_it_was_looked_for(folder: Path, name: str) -> None:
    (folder / f"{name}.gz").unlink()
    with pytest.raises(DataError) as error:
        DATA_SETS["mnist"]()
    assert f"{name}.gz is missing" in str(error.value)
    assert str(folder) in str(error.value)
    assert DATA_VARIABLE in str(error.value)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (NAMES[0], lambda raw: raw[:-1], "truncated: its header announces (30, 28, 28), 23536 bytes, but it has 23535"),
        (NAMES[0], lambda raw: raw + b"x", "too long: its header announces (30, 28, 28)"),
        (NAMES[0], lambda raw: raw[:10], "truncated: 10 bytes end within the header of 16"),
        (NAMES[0], lambda raw: b"", "not an IDX file of 3-dimensional bytes: magic number None, not 2051"),
        (NAMES[0], lambda raw: struct.pack(">I", 2049) + raw[4:], "magic number 2049, not 2051"),
        (NAMES[1], lambda raw: struct.pack(">II", 2049, 29) + raw[8:-1], "has 29 labels for the 30 images"),
        (NAMES[3], lambda raw: raw[:-1] + bytes([10]), "label 10 is out of range; labels of MNIST are below 10"),
        (
            NAMES[2],
            lambda raw: struct.pack(">4I", 2051, 20, 14, 14) + raw[16 : 16 + 20 * 196],
            "training images have 784 pixels, test images 196",
        ),
    ],
)
def test_a_damaged_file_is_one_message(folder: Path, name: str, change: Callable[[bytes], bytes], message: str) -> None:
    _rewrite(folder / f"{name}.gz", change)
    with pytest.raises(DataError) as error:
        DATA_SETS["mnist"]()
    assert message in str(error.value)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("cut", [0, 5, 100, -1])
def test_a_cut_archive_is_damaged(folder: Path, cut: int) -> None:
    path = folder / f"{NAMES[0]}.gz"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"damaged|magic number None"):
        read_idx(path, 3)


def test_a_flipped_bit_is_damaged(folder: Path) -> None:
    path = folder / f"{NAMES[0]}.gz"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(bytes(raw))
    with pytest.raises(DataError, match="damaged"):
        read_idx(path, 3)


@pytest.mark.parametrize(("name", "mean", "sd"), [("mnist", 0.1307, 0.3081), ("fashion-mnist", 0.2860, 0.3530)])
def test_the_real_sets_have_their_known_statistics(name: str, mean: float, sd: float) -> None:
    folder = os.environ.get(DATA_VARIABLE)
    if not folder or not (Path(folder) / name).is_dir():
        pytest.skip(f"{DATA_VARIABLE} names no folder that holds {name}")
    data = DATA_SETS[name]()
    assert (data.train_inputs.shape, data.test_inputs.shape) == ((60_000, 784), (10_000, 784))
    assert data.train_inputs.mean().item() == pytest.approx(mean, abs=5e-5)
    assert data.train_inputs.std().item() == pytest.approx(sd, abs=5e-5)
    assert data.test_targets.sum(0).min() > 800


def test_digits_are_split_without_remainder() -> None:
    data = DATA_SETS["digits"]()
    assert (data.train_inputs.shape, data.test_inputs.shape) == ((1400, 64), (397, 64))
    assert data.train_inputs.min() == 0
    assert data.train_inputs.max() == 1
    everything = torch.cat([data.train_inputs, data.test_inputs])
    assert len(everything.unique(dim=0)) == 1797
    standard = data.standardised()
    varies = data.train_inputs.std(0) > 0
    torch.testing.assert_close(standard.train_inputs[:, varies].std(0, correction=0), torch.ones(int(varies.sum())))
    assert (standard.train_inputs[:, ~varies] == 0).all()


def test_digits_are_those_that_scikit_learn_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = DATA_SETS["digits"]()
    monkeypatch.setattr("analogsim.tasks.data.find_spec", lambda name: None)  # then scikit-learn is asked
    theirs = DATA_SETS["digits"]()
    for name in ("train_inputs", "train_targets", "test_inputs", "test_targets"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name))


def test_images_are_averaged_over_blocks() -> None:
    data = DATA_SETS["digits"]()
    small = data.pooled(2)
    assert small.shape == (1, 4, 4)
    assert small.test_inputs.shape == (397, 16)
    image = data.test_inputs[5].reshape(8, 8)
    assert small.test_inputs[5, 4 * 1 + 3].item() == pytest.approx(image[2:4, 6:8].mean().item(), rel=1e-6)
    with pytest.raises(
        DataError, match=r"blocks of 3 x 3 pixels must fill the images; inputs are of shape \(1, 8, 8\)"
    ):
        data.pooled(3)
    with pytest.raises(DataError, match="inputs are no images"):
        replace(data, shape=None).pooled(2)


def test_the_first_samples_of_a_set() -> None:
    data = DATA_SETS["digits"]()
    few = data.first(100)
    assert torch.equal(few.train_inputs, data.train_inputs[:100])
    assert torch.equal(few.train_targets, data.train_targets[:100])
    assert torch.equal(few.test_inputs, data.test_inputs)
    with pytest.raises(DataError, match=r"there are 1400 training samples \(asked for the first 1401\)"):
        data.first(1401)
