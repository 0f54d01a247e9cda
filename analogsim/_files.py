"""Files that appear whole or not at all, also when the process or the machine dies meanwhile."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO, TypeVar

from pydantic import BaseModel, ValidationError

from analogsim.errors import AnalogsimError, BusyError, RunError

_TOGETHER = 8  # files that are waited for at a time: a journal takes them with one commit


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name beside its own, and rename it."""
    with part_of(path) as part:
        part.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def written(path: Path) -> Iterator[TextIO]:
    """The same for a file that is written bit by bit."""
    with part_of(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        yield file


@contextlib.contextmanager
def part_of(path: Path) -> Iterator[Path]:
    """The temporary name of a file that is in its place afterwards; nothing is left of one that cannot be written."""
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        commit(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def require_writable(file: Path, option: str) -> None:
    """Refuse a file of a command line whose folder takes none, before there is work to lose.

    Raises:
        AnalogsimError: naming the option and the cause.
    """
    if not file.parent.is_dir():
        raise AnalogsimError(f"{option} {file}: there is no folder {file.parent}; make it first")
    try:
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise AnalogsimError(f"{option} {file}: cannot be written: {error.strerror}; choose another place") from None


def write_texts(folder: Path, texts: Iterable[tuple[str, str]]) -> None:
    """Write many files that nobody reads yet; they and their names are on the disk when it returns.

    Args:
        folder: that they are written into.
        texts: the name of each, and what it holds.
    """
    paths = []
    for name, text in texts:
        path = folder / name
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    with ThreadPoolExecutor(_TOGETHER) as pool:
        for _ in pool.map(sync, paths):  # raises what a thread raised
            pass
    sync_names(folder)


Record = TypeVar("Record", bound=BaseModel)


def read_json(path: Path) -> Any:
    """Read a file of JSON.

    Raises:
        RunError: it cannot be read, or is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise RunError(f"{path}: damaged: not JSON") from None


def as_record(kind: type[Record], data: Any, path: Path) -> Record:
    """What was read from a file as a record.

    Raises:
        RunError: it is none.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise RunError(f"{path}: damaged: {error.error_count()} fields are missing or wrong") from None


def commit(part: Path, path: Path) -> None:
    """Put a file that was written under a temporary name of the same folder in its place."""
    sync(part)
    os.replace(part, path)
    sync_names(path.parent)


def sync_names(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where its file system can tell."""
    with contextlib.suppress(OSError):
        sync(folder)


def sync(path: Path) -> None:
    """Wait until a file is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, refused: str) -> Iterator[None]:
    """Hold a lock; a process that dies lets go.

    Args:
        path: of the file that stands for it, made where it is not there.
        refused: the message where another process holds it.

    Raises:
        BusyError: another process holds it.
        RunError: the file cannot be written.
    """
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(refused) from None
        except OSError:  # a file system without locks: nobody is refused
            pass
        yield
    finally:
        os.close(lock)


def is_locked(path: Path) -> bool:
    """Whether a process on this machine holds a lock."""
    try:
        lock = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(lock)
    return False
