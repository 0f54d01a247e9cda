"""CIFAR-10 files: read rightly where they are right, and one clear message where they are not."""

import lzma
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from analogsim.errors import DataError
from analogsim.tasks import DATA_SETS, DataSet
from analogsim.tasks.cifar import CIFAR100, read_cifar
from analogsim.tasks.folder import DATA_VARIABLE

TRAIN = [f"data_batch_{number}.bin" for number in range(1, 6)]
NAMES = [*TRAIN, "test_batch.bin"]


def _records(seed: int, count: int = 6) -> np.ndarray:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 10, (count, 1), dtype=np.uint8)
    return np.hstack([labels, generator.integers(0, 256, (count, 3072), dtype=np.uint8)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny CIFAR-10: six records in each of the six files."""
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    here = tmp_path / "cifar-10"
    here.mkdir()
    for seed, name in enumerate(NAMES):
        (here / f"{name}.xz").write_bytes(lzma.compress(_records(seed).tobytes()))
    return here


def _unpack(folder: Path, into: Path) -> None:
    into.mkdir(exist_ok=True)
    for name in NAMES:
        (into / name).write_bytes(lzma.decompress((folder / f"{name}.xz").read_bytes()))
        (folder / f"{name}.xz").unlink()


@pytest.mark.parametrize("place", ["packed", ".", "cifar-10-batches-bin", "../cifar-10-batches-bin"])
def test_pixels_are_scaled_channel_by_channel_and_labels_one_hot(folder: Path, place: str) -> None:
    if place != "packed":
        _unpack(folder, folder / place)
    data = DATA_SETS["cifar-10"]()
    expected = np.concatenate([_records(seed) for seed in range(5)])
    assert data.train_inputs.dtype == torch.float32
    assert data.shape == (3, 32, 32)
    assert torch.equal(data.train_inputs, torch.from_numpy(expected[:, 1:].astype(np.float32)) / 255)
    assert data.train_targets.argmax(1).tolist() == expected[:, 0].tolist()
    assert (data.train_targets.sum(1) == 1).all()
    test = _records(5)
    assert torch.equal(data.test_inputs, torch.from_numpy(test[:, 1:].astype(np.float32)) / 255)
    assert data.test_targets.argmax(1).tolist() == test[:, 0].tolist()
    image = data.test_inputs[2].reshape(data.shape)
    assert image[1, 3, 7] * 255 == pytest.approx(test[2, 1 + 1024 + 3 * 32 + 7], abs=1e-4), "row 3, column 7, green"


def test_the_shape_stays_with_what_is_made_of_a_set(folder: Path) -> None:
    data = DATA_SETS["cifar-10"]()
    assert data.held_out(3).shape == data.standardised().shape == (3, 32, 32)
    assert DATA_SETS["digits"]().shape == (1, 8, 8)
    assert DataSet(*[torch.zeros(1, 2)] * 4).shape is None


def test_without_the_variable_the_message_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/nowhere")
    with pytest.raises(DataError, match=r"CIFAR-10: needs its files, and ANALOGSIM_DATA is not set.*test_batch\.bin"):
        DATA_SETS["cifar-10"]()


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named_with_where_it_was_looked_for(folder: Path, name: str) -> None:
    (folder / f"{name}.xz").unlink()
    with pytest.raises(DataError) as error:
        DATA_SETS["cifar-10"]()
    assert str(error.value).startswith(f"CIFAR-10: {name} is missing; looked for it, also with .xz, in {folder}")
    assert DATA_VARIABLE in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw[:-1], "multiple of that (got 18437 bytes, 5 records and 3072 bytes)"),
        (lambda raw: raw + b"x", "multiple of that (got 18439 bytes, 6 records and 1 bytes)"),
        (lambda raw: b"", "(got 0 bytes, 0 records and 0 bytes)"),
        (lambda raw: bytes([10]) + raw[1:], "label 10 is out of range; labels of CIFAR-10 are below 10"),
    ],
)
@pytest.mark.parametrize("name", [NAMES[1], NAMES[5]])
def test_a_damaged_file_is_one_message(folder: Path, name: str, change: Callable[[bytes], bytes], message: str) -> None:
    path = folder / f"{name}.xz"
    path.write_bytes(lzma.compress(change(lzma.decompress(path.read_bytes()))))
    with pytest.raises(DataError) as error:
        DATA_SETS["cifar-10"]()
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("cut", [0, 5, 100, -1])
def test_a_cut_archive_is_damaged(folder: Path, cut: int) -> None:
    path = folder / f"{NAMES[0]}.xz"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"damaged|got 0 bytes"):
        read_cifar(path)


def test_a_flipped_bit_is_damaged(folder: Path) -> None:
    path = folder / f"{NAMES[0]}.xz"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(bytes(raw))
    with pytest.raises(DataError, match="damaged"):
        read_cifar(path)


@pytest.fixture
def hundred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """A tiny CIFAR-100, unpacked as its archive is: records of a coarse label, a fine label and pixels."""
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    generator = np.random.default_rng(0)
    made = {}
    (tmp_path / "cifar-100-binary").mkdir()
    for name, count in (("train.bin", 8), ("test.bin", 5)):
        coarse, fine = generator.integers(0, 20, (count, 1)), generator.integers(20, 100, (count, 1))
        made[name] = np.hstack([coarse, fine, generator.integers(0, 256, (count, 3072))]).astype(np.uint8)
        (tmp_path / "cifar-100-binary" / name).write_bytes(made[name].tobytes())
    return made


def test_cifar_100_has_fine_labels(hundred: dict[str, np.ndarray]) -> None:
    data = DATA_SETS["cifar-100"]()
    assert data.shape == (3, 32, 32)
    for (inputs, targets), records in zip(
        ((data.train_inputs, data.train_targets), (data.test_inputs, data.test_targets)), hundred.values(), strict=True
    ):
        assert torch.equal(inputs, torch.from_numpy(records[:, 2:].astype(np.float32)) / 255)
        assert targets.shape[1] == 100
        assert targets.argmax(1).tolist() == records[:, 1].tolist()


def test_cifar_100_is_also_found_packed_and_under_its_name(hundred: dict[str, np.ndarray], tmp_path: Path) -> None:
    expected = DATA_SETS["cifar-100"]()
    (tmp_path / "cifar-100").mkdir()
    for name in hundred:
        path = tmp_path / "cifar-100-binary" / name
        (tmp_path / "cifar-100" / f"{name}.xz").write_bytes(lzma.compress(path.read_bytes()))
        path.unlink()
    assert torch.equal(DATA_SETS["cifar-100"]().train_inputs, expected.train_inputs)


def test_a_damaged_cifar_100_is_one_message(hundred: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "cifar-100-binary" / "train.bin"
    path.write_bytes(hundred["train.bin"].tobytes()[:-1])
    with pytest.raises(DataError, match=r"train\.bin: truncated, or no file of CIFAR-100: records have 3074 bytes"):
        DATA_SETS["cifar-100"]()
    path.write_bytes(bytes([3, 100]) + hundred["train.bin"].tobytes()[2:])
    with pytest.raises(DataError, match="label 100 is out of range; labels of CIFAR-100 are below 100"):
        read_cifar(path, CIFAR100)


def _real() -> Path:
    folder = Path(os.environ.get(DATA_VARIABLE, ""), "cifar-10")
    if not os.environ.get(DATA_VARIABLE) or not folder.is_dir():
        pytest.skip(f"{DATA_VARIABLE} names no folder that holds cifar-10")
    return folder


def test_the_real_test_file_has_its_known_statistics() -> None:
    """Channel means and the number of images a class, of 10,000 images; rounded to four digits."""
    folder = _real()
    path = next((p for p in (folder / "test_batch.bin.xz", folder / "test_batch.bin") if p.is_file()), None)
    records = read_cifar(path or folder / "cifar-10-batches-bin" / "test_batch.bin")
    assert records.shape == (10_000, 3073)
    assert np.bincount(records[:, 0]).tolist() == [1000] * 10
    means = records[:, 1:].reshape(-1, 3, 1024).mean(axis=(0, 2)) / 255
    assert means.tolist() == pytest.approx([0.4942, 0.4851, 0.4504], abs=5e-5)


@pytest.mark.slow
def test_the_real_set_has_its_known_statistics() -> None:
    _real()
    data = DATA_SETS["cifar-10"]()
    assert (data.train_inputs.shape, data.test_inputs.shape) == ((50_000, 3072), (10_000, 3072))
    assert data.train_targets.sum(0).tolist() == [5000] * 10
    channels = data.train_inputs.unflatten(1, (3, 1024))
    assert [channels[:, c].double().mean().item() for c in range(3)] == pytest.approx(
        [0.4914, 0.4822, 0.4465], abs=5e-5
    )
