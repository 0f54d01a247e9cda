"""Data sets from where their authors keep them."""

from __future__ import annotations

from pathlib import Path

from analogsim.errors import DataError
from analogsim.tasks.download import Told, retrieve
from analogsim.tasks.folder import look_for, places
from analogsim.tasks.source import File, Source
from analogsim.tasks.unpack import SUMS, unpack
from analogsim.tasks.verify import verify

_NAMED = 5
"""Missing files that a message names."""


def fetch(source: Source, root: Path, told: Told) -> bool:
    """Bring a data set into a folder. What is there already is verified and never downloaded again nor overwritten.

    Args:
        source: of the set.
        root: the folder that is to hold `<name>/`.
        told: is told how it goes on.

    Returns:
        Whether anything was downloaded.

    Raises:
        DataError: the set cannot be fetched; or what is there, or what comes, is not what is published; or a file of an
            archive that was unpacked is missing; or the folder cannot be written.
    """
    if not source.files:
        raise DataError(f"{source.title}: has no files to fetch: {source.contents}")
    found = [_there(source, file, root) for file in source.files]
    findings = verify(source, root)
    wrong = [each for each in findings if each.state == "corrupt"]
    if wrong:
        raise DataError(f"{source.title}: {wrong[0].path} is there, but {wrong[0].says}; move it away, and fetch again")
    _refuse_gaps(source, root, [each.file for each in findings if each.state == "missing"])
    if all(found):
        return False
    if not source.fetched:
        raise DataError(
            f"{source.title}: cannot be fetched, since no checksum is published for all of its files. Its home is "
            f"{source.home}; put into {root / source.name}/: {source.layout}"
        )
    try:
        if source.archive is not None:
            _archive(source, root, told)
        else:
            for file, path in zip(source.files, found, strict=True):
                if path is None and file.download is not None:
                    retrieve(file.download, root / source.name / f"{file.name}{source.packed}", told)
    except OSError as error:
        raise DataError(
            f"{root / source.name}: cannot be written: {error.strerror or error}; choose another folder with --to"
        ) from None
    return True


def _there(source: Source, file: File, root: Path) -> Path | None:
    path = look_for(source, file.name, root)
    return look_for(source, file.instead.name, root) if path is None and file.instead is not None else path


def _refuse_gaps(source: Source, root: Path, missing: list[str]) -> None:
    """Raise DataError where something was unpacked, or put there, that lacks what only the whole archive can give."""
    single = {file.name for file in source.files if source.archive is None}
    missing = [name for name in missing if name not in single]
    held = [place for place in places(source, root) if place.is_dir() and any(place.iterdir())]
    if not (held and missing):
        return
    listed = next((place for place in held if (place / SUMS).is_file()), held[0])
    names = ", ".join(missing[:_NAMED]) + (f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else "")
    raise DataError(f"{listed}: is there, but lacks {names}; complete it, or move it away and fetch again")


def _archive(source: Source, root: Path, told: Told) -> None:
    assert source.archive is not None and source.inner is not None
    folder = root / source.name
    packed = root / source.archive.url.rsplit("/", 1)[-1]
    mine = packed.exists()
    retrieve(source.archive, packed, told)
    unpack(packed, folder, source.inner, told)
    if not mine:
        packed.unlink()
