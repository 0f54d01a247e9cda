"""Where data sets lie: a folder that an environment variable names, or the one that the platform gives programs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from analogsim.errors import DataError
from analogsim.tasks.source import Source
from analogsim.tasks.sources import SOURCES

DATA_VARIABLE = "ANALOGSIM_DATA"
"""Environment variable that names the folder of data sets."""


def data_root() -> Path:
    """`$ANALOGSIM_DATA`; where that is not set the user's folder of analogsim's data, `~/.local/share/analogsim`."""
    where = os.environ.get(DATA_VARIABLE)
    return Path(where) if where else Path(platformdirs.user_data_dir("analogsim", appauthor=False))


def usable_root() -> Path:
    """The folder of data sets, which need not be there yet.

    Raises:
        DataError: it is no folder.
    """
    root = data_root()
    if root.exists() and not root.is_dir():
        raise DataError(
            f"{root_in_words(root)}: is no folder; set {DATA_VARIABLE} to the folder that holds data sets, or is to"
        )
    return root


def root_in_words(root: Path) -> str:
    """The folder of data sets, and why it is that one."""
    return f"{root} (" + (DATA_VARIABLE if os.environ.get(DATA_VARIABLE) else f"{DATA_VARIABLE} is not set") + ")"


def places(source: Source, root: Path) -> list[Path]:
    """Folders in which a set's files may lie: its own, and the one that its archive unpacks to, in it or beside it."""
    own = root / source.name
    return [own] if source.inner is None else [own, own / source.inner, root / source.inner]


def candidates(source: Source, name: str, root: Path) -> Iterator[Path]:
    """Paths at which a file may lie, packed or not, in the order in which they are tried."""
    for place in places(source, root):
        if source.packed:
            yield place / f"{name}{source.packed}"
        yield place / name


def look_for(source: Source, name: str, root: Path) -> Path | None:
    """A file of a set, packed or not; None where there is none."""
    return next((path for path in candidates(source, name, root) if path.is_file()), None)


def find(set_name: str, name: str) -> Path:
    """A file that a loader needs.

    Args:
        set_name: of the data set.
        name: of the file, unpacked.

    Raises:
        DataError: there is none; the message says where it was looked for, and how to get it. Or the place of data sets
            is no folder.
    """
    source, root = SOURCES[set_name], usable_root()
    found = look_for(source, name, root)
    if found is None:
        raise DataError(_missing(source, name, root))
    return found


def _missing(source: Source, name: str, root: Path) -> str:
    own, command = places(source, root)[0], f"run `analogsim data fetch {source.name}`"
    if not os.environ.get(DATA_VARIABLE) and not any(place.is_dir() for place in places(source, root)):
        files = ", ".join(f"{file.name}{source.packed}" for file in source.files)
        fetch = f"{command}, or " if source.fetched else ""
        return (
            f"{source.title}: needs its files, and {DATA_VARIABLE} is not set, nor is there {own}; {fetch}set it to a "
            f"folder that holds {source.name}/ with {files}"
        )
    also = f", also {'with' if source.packed == '.xz' else 'without'} {source.packed}," if source.packed else ""
    shown = f"{name}{source.packed}" if source.packed == ".gz" else name
    inner = f" and in {source.inner} there or beside it" if source.inner else ""
    fetch = f"R{command[1:]}, put" if source.fetched else "Put"
    return (
        f"{source.title}: {shown} is missing; looked for it{also} in {own}{inner}. {fetch} the file there, or set "
        f"{DATA_VARIABLE} to the folder that holds {source.name}/"
    )
