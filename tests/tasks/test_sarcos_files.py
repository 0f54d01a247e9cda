"""SARCOS files: numbers as they stand there, and one clear message where they are not right."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

from analogsim.errors import DataError
from analogsim.tasks import DATA_SETS
from analogsim.tasks.folder import DATA_VARIABLE


def _rows(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 28)) * 10


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny SARCOS: 30 training and 7 test rows."""
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    here = tmp_path / "sarcos"
    here.mkdir()
    savemat(here / "sarcos_inv.mat", {"sarcos_inv": _rows(0, 30)})
    savemat(here / "sarcos_inv_test.mat", {"sarcos_inv_test": _rows(1, 7)})
    return here


def test_columns_are_inputs_and_torques(folder: Path) -> None:
    data = DATA_SETS["sarcos"]()
    train, test = _rows(0, 30).astype(np.float32), _rows(1, 7).astype(np.float32)
    assert torch.equal(data.train_inputs, torch.from_numpy(train[:, :21]))
    assert torch.equal(data.train_targets, torch.from_numpy(train[:, 21:]))
    assert torch.equal(data.test_inputs, torch.from_numpy(test[:, :21]))
    assert torch.equal(data.test_targets, torch.from_numpy(test[:, 21:]))
    assert not data.classes
    assert data.shape is None


def test_a_part_is_taken_where_the_whole_is_missing(folder: Path) -> None:
    part = folder / "sarcos_inv_subset.npz"
    np.savez(part, sarcos_inv=_rows(2, 9).astype(np.float32), row_index=np.arange(9))
    assert len(DATA_SETS["sarcos"]().train_inputs) == 30
    (folder / "sarcos_inv.mat").unlink()
    data = DATA_SETS["sarcos"]()
    assert torch.equal(data.train_inputs, torch.from_numpy(_rows(2, 9).astype(np.float32)[:, :21]))
    assert data.notes == (
        "SARCOS: 9 of the 44484 official training rows (0 %); results are not comparable with those of the whole set",
    )


def test_notes_tell_that_test_rows_are_training_rows(folder: Path) -> None:
    rows = _rows(0, 30)
    savemat(folder / "sarcos_inv_test.mat", {"sarcos_inv_test": np.vstack([rows[::10], _rows(1, 2)])})
    assert "SARCOS: 3 of the 5 test rows are training rows, too; tests flatter" in DATA_SETS["sarcos"]().notes


@pytest.mark.parametrize("name", ["sarcos_inv.mat", "sarcos_inv_test.mat"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(DataError, match=rf"SARCOS: {name} is missing; looked for it in ") as error:
        DATA_SETS["sarcos"]()
    assert str(folder) in str(error.value)
    assert "fetch" not in str(error.value), "it cannot be fetched"


def _with_nan() -> np.ndarray:
    rows = _rows(0, 5)
    rows[3, 25] = np.nan
    return rows


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"other": _rows(0, 5)}, "has no variable 'sarcos_inv'; it should hold rows of 28 numbers"),
        ({"sarcos_inv": _rows(0, 5)[:, :27]}, "should be rows of 28 numbers (got an array of shape (5, 27))"),
        ({"sarcos_inv": _rows(0, 5)[:0]}, "should be rows of 28 numbers (got an array of shape (0, 28))"),
        ({"sarcos_inv": np.ones((5, 28), np.int16)}, "should hold real numbers with decimals (got int16)"),
        ({"sarcos_inv": np.ones((5, 28)) * 1j}, "should hold real numbers with decimals (got complex128)"),
        ({"sarcos_inv": _with_nan()}, "has 1 numbers that are not finite, the first in row 3, column 25 (from 0)"),
    ],
)
def test_what_is_wrong_is_one_message(folder: Path, held: dict[str, Any], message: str) -> None:
    savemat(folder / "sarcos_inv.mat", held)
    with pytest.raises(DataError) as error:
        DATA_SETS["sarcos"]()
    assert message in str(error.value)
    assert str(error.value).startswith(str(folder / "sarcos_inv.mat"))
    np.savez(folder / "sarcos_inv_subset.npz", **held)
    (folder / "sarcos_inv.mat").unlink()
    with pytest.raises(DataError) as error:
        DATA_SETS["sarcos"]()
    assert message in str(error.value)
    assert str(error.value).startswith(str(folder / "sarcos_inv_subset.npz"))


@pytest.mark.parametrize("cut", [0, 10, 100, 1000, -1])
@pytest.mark.parametrize("name", ["sarcos_inv.mat", "sarcos_inv_subset.npz"])
def test_a_cut_file_is_damaged(folder: Path, name: str, cut: int) -> None:
    path = folder / name
    if name.endswith("npz"):
        (folder / "sarcos_inv.mat").unlink()
        np.savez_compressed(path, sarcos_inv=_rows(0, 30))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError) as error:
        DATA_SETS["sarcos"]()
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_objects_are_not_unpickled(folder: Path) -> None:
    (folder / "sarcos_inv.mat").unlink()
    np.savez(folder / "sarcos_inv_subset.npz", sarcos_inv=np.array([{}], dtype=object))
    with pytest.raises(DataError, match=r"damaged, or no \.npz file"):
        DATA_SETS["sarcos"]()


def test_the_real_part_has_its_known_size_and_spread() -> None:
    """Of the part of the training rows; the standard deviations of the test torques are those of the official file."""
    where = Path(os.environ.get(DATA_VARIABLE, ""), "sarcos")
    if not os.environ.get(DATA_VARIABLE) or not (where / "sarcos_inv_subset.npz").is_file():
        pytest.skip(f"{DATA_VARIABLE} names no folder that holds sarcos/sarcos_inv_subset.npz")
    if (where / "sarcos_inv.mat").is_file():
        pytest.skip("the whole training set is there, and is taken")
    data = DATA_SETS["sarcos"]()
    assert (data.train_inputs.shape, data.train_targets.shape) == ((13_564, 21), (13_564, 7))
    assert data.test_inputs.shape == (4_449, 21)
    spread = data.test_targets.double().std(0).tolist()
    assert spread == pytest.approx([20.35, 14.90, 9.95, 13.76, 0.97, 1.71, 2.59], abs=0.006)
    assert len(data.notes) == 1, "a part, and no test row in it"
    assert "30 %" in data.notes[0]
