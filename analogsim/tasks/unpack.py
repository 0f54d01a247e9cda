"""Archives, unpacked whole or not at all."""

from __future__ import annotations

import glob
import gzip
import hashlib
import lzma
import os
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from analogsim.errors import DataError

SUMS = "SHA256SUMS"
"""List of the checksums of what a verified archive held, as `sha256sum` writes it."""


_UNREADABLE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    RuntimeError,  # of zipfile, where a file is encrypted, or, as NotImplementedError, of a packing that it lacks
)


def unpack(archive: Path, to: Path, inner: str, told: Callable[[str, int, int], None]) -> None:
    """Unpack an archive, a .zip or .tar of any packing, into a folder that appears once all of it is there.

    It is unpacked into `.<name>-<process>.part` beside it; those that killed processes left are removed.

    Args:
        archive: the file, already verified.
        to: the folder, which must not be there, or be empty.
        inner: the folder in the archive whose contents are meant.
        told: is told what is unpacked, how many bytes were, and of how many the archive is.

    Raises:
        DataError: the archive is damaged, or packed in a way that cannot be read, or holds something that would lie
            outside of the folder.
        OSError: it cannot be written.
    """
    work = to.with_name(f".{to.name}-{os.getpid()}.part")
    shutil.rmtree(work, ignore_errors=True)
    _remove_abandoned(to)
    work.mkdir(parents=True)
    try:
        sums = []
        for name, file, at in _members(archive):
            path = _place(archive, name, inner)
            target = work / path
            target.parent.mkdir(parents=True, exist_ok=True)
            sums.append(f"{_copy(file, target)}  {path}\n")
            told(f"unpacking {archive.name}", at, archive.stat().st_size)
        (work / SUMS).write_text("".join(sorted(sums, key=lambda line: line[66:])), encoding="utf-8")
        os.rename(work, to)
    except _UNREADABLE as error:
        raise DataError(f"{archive}: damaged: {error}; remove it, and fetch again") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _remove_abandoned(to: Path) -> None:
    """Remove working folders whose processes are gone."""
    for path in to.parent.glob(f".{glob.escape(to.name)}-*.part"):
        process = re.fullmatch(r"-([1-9]\d{0,8})\.part", path.name[len(to.name) + 1 :])
        if process is None:
            continue
        try:
            os.kill(int(process[1]), 0)  # asks only
        except ProcessLookupError:
            shutil.rmtree(path, ignore_errors=True)
        except PermissionError:
            pass  # somebody else's, and at work


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes], int]]:
    """Name and contents of every file of an archive, and the bytes of the archive up to there."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as held:
            for entry in held.infolist():
                if not entry.is_dir():
                    with held.open(entry) as file:
                        yield entry.filename, file, entry.header_offset + entry.compress_size
        return
    with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:*") as held:
        for member in held:
            if member.isdir():
                continue
            file = held.extractfile(member) if member.isreg() else None
            if file is None:
                raise DataError(f"{archive}: {member.name!r} is no plain file; nothing was unpacked")
            with file:
                yield member.name, file, raw.tell()


def _place(archive: Path, name: str, inner: str) -> PurePosixPath:
    """Where a member lies within the folder."""
    path = PurePosixPath(name.removeprefix("./"))
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise DataError(f"{archive}: {name!r} would lie outside of the folder; nothing was unpacked")
    if len(path.parts) < 2 or path.parts[0] != inner:
        raise DataError(f"{archive}: should hold the folder {inner} alone (got {name!r}); nothing was unpacked")
    return PurePosixPath(*path.parts[1:])


def _copy(file: IO[bytes], target: Path) -> str:
    """Write a file; its SHA-256."""
    digest = hashlib.sha256()
    with target.open("wb") as out:
        while piece := file.read(1 << 20):
            digest.update(piece)
            out.write(piece)
    return digest.hexdigest()
