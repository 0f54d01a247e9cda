"""Files that appear whole or not at all, also when the process or the machine dies meanwhile."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


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
