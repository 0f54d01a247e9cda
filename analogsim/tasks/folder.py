"""Where data sets lie: a folder that an environment variable names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from analogsim.errors import DataError

DATA_VARIABLE = "ANALOGSIM_DATA"
"""Environment variable that names the folder of data sets."""


def data_folder(name: str, title: str, files: Sequence[str]) -> Path:
    """The folder of a set, `$ANALOGSIM_DATA/<name>`.

    Args:
        name: the set's folder.
        title: what people call it.
        files: that it should hold.

    Raises:
        DataError: the variable is not set.
    """
    where = os.environ.get(DATA_VARIABLE)
    if not where:
        raise DataError(
            f"{title}: needs its files, and {DATA_VARIABLE} is not set; set it to a folder that holds {name}/ with "
            f"{', '.join(files)}"
        )
    return Path(where) / name
