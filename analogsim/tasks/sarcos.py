"""SARCOS: inverse dynamics of a robot arm with seven joints, 44,484 states for training and 4,449 for testing.

S. Vijayakumar, S. Schaal, ICML 2000; as given with C. Rasmussen, C. Williams, "Gaussian Processes for Machine
Learning", MIT Press 2006. Rows of 28 numbers: positions, velocities and accelerations of the joints (columns 0-20, the
inputs), and the seven torques (columns 21-27, the outputs).
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch

from analogsim.errors import DataError
from analogsim.tasks.data_set import DataSet
from analogsim.tasks.folder import data_root, find, look_for
from analogsim.tasks.sources import SOURCES

_INPUTS = 21
_COLUMNS = 28
_ROWS = 44_484
"""Of the official training set."""


def load_sarcos() -> DataSet:
    """Rows of `sarcos_inv.mat`, where that is missing of `sarcos_inv_subset.npz`; tests are of `sarcos_inv_test.mat`.

    Inputs (N, 21) and targets (N, 7) are float32, as they stand in the files: not standardised, in rad, rad/s, rad/s^2
    and Nm. They are no classes. Notes say which share of the training rows is there, and how many test rows stand in
    the training rows, too: in the official files all of them do.

    Raises:
        DataError: a file is missing or damaged.
    """
    source, root = SOURCES["sarcos"], data_root()
    part = look_for(source, "sarcos_inv_subset.npz", root)
    if part is not None and look_for(source, "sarcos_inv.mat", root) is None:
        train = _checked(part, "sarcos_inv", _read_npz(part))
    else:
        train = read_sarcos(find("sarcos", "sarcos_inv.mat"), "sarcos_inv")
    test = read_sarcos(find("sarcos", "sarcos_inv_test.mat"), "sarcos_inv_test")
    notes = []
    if len(train) != _ROWS:
        notes.append(
            f"SARCOS: {len(train)} of the {_ROWS} official training rows ({100 * len(train) / _ROWS:.0f} %); results "
            "are not comparable with those of the whole set"
        )
    known = {row.tobytes() for row in train}
    leaked = sum(row.tobytes() in known for row in test)
    if leaked:
        notes.append(f"SARCOS: {leaked} of the {len(test)} test rows are training rows, too; tests flatter")
    x, t, test_x, test_t = (
        torch.from_numpy(part).contiguous() for rows in (train, test) for part in np.split(rows, [_INPUTS], axis=1)
    )
    return DataSet(x, t, test_x, test_t, classes=False, notes=tuple(notes))


def read_sarcos(path: Path, variable: str) -> np.ndarray:
    """Rows of a .mat file, (N, 28) float32.

    Args:
        path: of the file.
        variable: in it that holds them.

    Raises:
        DataError: unreadable, damaged, or of another shape.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        held = loadmat(path, variable_names=[variable])
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (MatReadError, LookupError, ValueError, TypeError, NotImplementedError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged, or no .mat file up to version 7: {error}; fetch the file again") from None
    return _checked(path, variable, held.get(variable))


def _read_npz(path: Path) -> np.ndarray | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            return held.get("sarcos_inv")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, AttributeError, EOFError, LookupError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged, or no .npz file: {error}; fetch the file again") from None


def _checked(path: Path, variable: str, rows: np.ndarray | None) -> np.ndarray:
    if rows is None:
        raise DataError(f"{path}: has no variable {variable!r}; it should hold rows of {_COLUMNS} numbers under it")
    if rows.ndim != 2 or rows.shape[1] != _COLUMNS or not len(rows):
        raise DataError(f"{path}: {variable} should be rows of {_COLUMNS} numbers (got an array of shape {rows.shape})")
    if not np.issubdtype(rows.dtype, np.floating):
        raise DataError(f"{path}: {variable} should hold real numbers with decimals (got {rows.dtype})")
    wrong = np.argwhere(~np.isfinite(rows))
    if len(wrong):
        row, column = wrong[0]
        raise DataError(
            f"{path}: {variable} has {len(wrong)} numbers that are not finite, the first in row {row}, column {column} "
            "(from 0); fetch the file again"
        )
    return rows.astype(np.float32)
