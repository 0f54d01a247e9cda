"""Whether the files of a data set are what is published."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from analogsim.tasks.folder import look_for, places
from analogsim.tasks.source import File, Source
from analogsim.tasks.unpack import SUMS


@dataclass(frozen=True)
class Finding:
    """What was found of a file, or of several.

    Attributes:
        file: its name; `N others` for files that only the list of an archive names.
        path: where it lies; None: nowhere.
        state: `ok`: as published; `unknown`: nobody published a checksum to compare with.
        says: in words, what is wrong or not known; empty where the state says all.
    """

    file: str
    path: Path | None
    state: Literal["ok", "missing", "corrupt", "unknown"]
    says: str = ""


def verify(source: Source, root: Path) -> list[Finding]:
    """Compare the files of a set with their checksums, unpacked: those that are published, else those in SHA256SUMS.

    Args:
        source: of the set.
        root: the folder of data sets.
    """
    folder = next((place for place in places(source, root) if (place / SUMS).is_file()), None)
    sums = {} if folder is None else _listed(folder / SUMS)
    found = [_judged(source, file, root, sums) for file in source.files]
    if folder is not None:
        known = {file.name for file in source.files}
        found += _others(folder, {name: digest for name, digest in sums.items() if name not in known})
    return found


def _listed(path: Path) -> dict[str, str]:
    """Digests by name of a list that `unpack` wrote; what is no such line is passed over."""
    lines = (line.split("  ", 1) for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    return {line[1]: f"sha256:{line[0]}" for line in lines if len(line) == 2}


def _judged(source: Source, file: File, root: Path, sums: dict[str, str]) -> Finding:
    path = look_for(source, file.name, root)
    if path is None and file.instead is not None:
        path = look_for(source, file.instead.name, root)
        file = file if path is None else file.instead
    if path is None:
        return Finding(file.name, None, "missing")
    digest = file.digest or sums.get(file.name)
    fault = _fault(path, file.size, digest)
    if fault:
        return Finding(file.name, path, "corrupt", fault)
    if digest is None:
        return Finding(file.name, path, "unknown", "no checksum is published for it")
    return Finding(file.name, path, "ok")


def _others(folder: Path, sums: dict[str, str]) -> Iterator[Finding]:
    good = 0
    for name, digest in sums.items():
        path = folder / name
        if not path.is_file():
            yield Finding(name, None, "missing", f"its archive held it: {SUMS} in {folder} lists it")
        elif fault := _fault(path, None, digest):
            yield Finding(name, path, "corrupt", fault)
        else:
            good += 1
    if good:
        yield Finding(f"{good} others", folder, "ok")


def _fault(path: Path, size: int | None, digest: str | None) -> str | None:
    """What is wrong with a file; None where nothing is."""
    algorithm, _, wanted = (digest or "sha256:").partition(":")
    found, length = hashlib.new(algorithm), 0
    try:
        with _opened(path) as file:
            while piece := file.read(1 << 20):
                found.update(piece)
                length += len(piece)
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as error:
        return f"it cannot be unpacked: {error}"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    if size is not None and length != size:
        return f"it has {length} bytes, where {size} are right"
    if wanted and found.hexdigest() != wanted:
        return f"its {algorithm.upper()} is {found.hexdigest()}, where {wanted} is right"
    return None


def _opened(path: Path) -> gzip.GzipFile | lzma.LZMAFile:
    """A file, unpacked while it is read."""
    if path.suffix == ".gz":
        return gzip.GzipFile(path)
    return lzma.LZMAFile(path) if path.suffix == ".xz" else path.open("rb")  # pyright: ignore[reportReturnType]
