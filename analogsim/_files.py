"""Files that appear whole or not at all, also when the process or the machine dies meanwhile."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from analogsim.errors import RunError


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name beside its own, and rename it."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    commit(part, path)


def commit(part: Path, path: Path) -> None:
    """Put a file that was written under a temporary name of the same folder in its place."""
    sync(part)
    os.replace(part, path)
    with contextlib.suppress(OSError):  # some file systems cannot sync a folder
        sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
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
        RunError: another process holds it, or the file cannot be written.
    """
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(refused) from None
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
