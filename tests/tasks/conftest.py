"""A small data set on a server of this machine, for tests of fetching."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analogsim.tasks.fetch import fetch
from analogsim.tasks.source import Download, File, Source


class Small:
    """A set of two files, what it looks like when it was fetched, and how to fetch it.

    Args:
        server: gives the files.

    Attributes:
        contents: by the names of the files.
        whole: what a folder holds when all are there, by path.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self.contents = {n: np.random.default_rng(seed).bytes(300_000) for seed, n in enumerate(("a.bin", "b.bin"))}
        self.whole = {f"small/{name}": data for name, data in self.contents.items()}

    def source(self, **changed: Any) -> Source:
        """Where it comes from."""
        self._server.files |= self.contents
        files = tuple(
            File(name, len(data), self.md5(data), Download(self._server.url + name, len(data), self.md5(data)))
            for name, data in self.contents.items()
        )
        told = {"name": "small", "title": "Small", "contents": "", "licence": "", "citation": "", "files": files}
        return Source(**told | changed)

    @staticmethod
    def fetch(source: Source, root: Path) -> bool:
        """Whether anything was downloaded."""
        return fetch(source, root, lambda what, done, total: None)

    @staticmethod
    def held(root: Path) -> dict[str, bytes]:
        """All files of a folder, by path."""
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    @staticmethod
    def md5(data: bytes) -> str:
        """A checksum."""
        return f"md5:{hashlib.md5(data, usedforsecurity=False).hexdigest()}"


@pytest.fixture
def small(server: Any) -> Small:
    """On a server of this machine."""
    return Small(server)
