"""Downloads that an interruption does not lose, for pooch."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pooch
import requests
import urllib3

from analogsim.errors import DataError
from analogsim.tasks.source import Download

Told = Callable[[str, int, int], None]
"""Is told how work goes on: what is worked on, bytes done, bytes in all."""

_WAIT = (15, 60)
"""Seconds for a server to answer, and between two pieces."""


def retrieve(download: Download, path: Path, told: Told) -> None:
    """Bring a file whose name appears once it is whole and verified.

    What an interruption leaves is `<name>.part` beside it, from which the next call goes on. A file that is there is
    taken if its checksum is right.

    Args:
        download: what to bring.
        path: where it is to be; its folder is made.
        told: is told how it goes on.

    Raises:
        DataError: the server does not give it, or gives something else; or another file is there.
        OSError: it cannot be written.
    """
    if path.exists():
        wrong = mismatch(path, download.digest)
        if wrong:
            raise DataError(f"{path}: is there, but {wrong}; move it away, and fetch again")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    pooch.get_logger().setLevel("WARNING")
    downloader: Any = _Resuming(download, path.with_name(f"{path.name}.part"), told)  # pooch types its own ones only
    pooch.retrieve(download.url, download.digest, path.name, path.parent, downloader=downloader)


def mismatch(path: Path, digest: str) -> str | None:
    """How a file's checksum differs from `algorithm:hex`; None where it does not."""
    algorithm, _, wanted = digest.partition(":")
    found = pooch.file_hash(str(path), alg=algorithm)
    return None if found == wanted else f"its {algorithm.upper()} is {found}, where {wanted} is published"


@dataclass(frozen=True)
class _Resuming:
    """A downloader as pooch wants it: goes on from the part, verifies, and hands over.

    Attributes:
        download: what to bring.
        part: holds what has come so far.
        told: is told how it goes on.
    """

    download: Download
    part: Path
    told: Told

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        with self.part.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataError(f"{self.part}: another process is fetching this file; wait for it") from None
            try:
                self._receive(url, file)
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                size = file.tell()
                kept = (
                    f"{size} bytes of {self.download.size} are kept in {self.part}; the same command goes on from there"
                )
                if not size:
                    kept = "nothing has come; try again later, or fetch it by hand"
                    self.part.unlink()
                raise DataError(f"{url}: cannot be fetched: {_reason(error)}; {kept}") from None
        wrong = mismatch(self.part, self.download.digest)
        if wrong:
            size = self.part.stat().st_size
            self.part.unlink()
            raise DataError(
                f"{url}: what came is not the published file: {wrong} ({size} bytes of {self.download.size}); it was "
                "removed; the same command starts anew"
            )
        os.replace(self.part, output_file)

    def _receive(self, url: str, file: IO[bytes]) -> None:
        """Append what is missing, or all of it where the server does not go on from the middle."""
        have = file.tell()
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
        with requests.get(url, headers=headers, stream=True, timeout=_WAIT) as response:
            if have and response.status_code == requests.codes.requested_range_not_satisfiable:
                return  # nothing beyond what is here: the checksum decides
            response.raise_for_status()
            begins = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            if not (response.status_code == requests.codes.partial_content and begins):
                file.truncate(0)
                file.seek(0)
            for piece in response.raw.stream(1 << 16, decode_content=False):
                file.write(piece)
                self.told(self.part.stem, file.tell(), self.download.size)


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "the server does not answer in time"
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return "the line was cut"
    return f"there is no connection ({type(error).__name__})"
