"""Downloads that an interruption does not lose, and that two processes do not mix."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

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
        DataError: the server does not give it, or gives something else; or another file is there; or another process
            is bringing it.
        OSError: it cannot be written.
    """
    if _there(download, path):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with _locked(part) as file:
        if _there(download, path):  # since another process had the lock before
            part.unlink()
            return
        _complete(download, file, part, told)
        os.replace(part, path)


def _there(download: Download, path: Path) -> bool:
    """Whether the file is there; raises DataError where it is another one."""
    if not path.exists():
        return False
    wrong = mismatch(path, download.digest)
    if wrong:
        raise DataError(f"{path}: is there, but {wrong}; move it away, and fetch again")
    return True


def mismatch(path: Path, digest: str) -> str | None:
    """How a file's checksum differs from `algorithm:hex`; None where it does not."""
    algorithm, _, wanted = digest.partition(":")
    found = pooch.file_hash(str(path), alg=algorithm)
    return None if found == wanted else f"its {algorithm.upper()} is {found}, where {wanted} is published"


@contextmanager
def _locked(part: Path) -> Iterator[IO[bytes]]:
    """A part to append to, which no other process writes, renames or removes meanwhile; gone after if it is empty."""
    while True:
        with part.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataError(f"{part}: another process is fetching this file; wait for it") from None
            if not _named(file, part):
                continue  # whoever had the lock has renamed or removed it after it was opened here
            file.seek(0, os.SEEK_END)
            try:
                yield file
            finally:
                if not file.tell() and _named(file, part):
                    part.unlink()
            return


def _named(file: IO[bytes], path: Path) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _complete(download: Download, file: IO[bytes], part: Path, told: Told) -> None:
    """Append to the part until it is the published file; a part that can never become it is removed."""
    try:
        whole = _receive(download, file, lambda done: told(part.stem, done, download.size))
        failed = None if whole else "the line was cut"
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        failed = _reason(error)
    file.flush()
    size = file.tell()
    if failed:
        kept = f"{size} bytes of {download.size} are kept in {part}; the same command goes on from there"
        kept = kept if size else "nothing has come; try again later, or fetch it by hand"
        raise DataError(f"{download.url}: cannot be fetched: {failed}; {kept}")
    wrong = f"it has more than {download.size} bytes" if size > download.size else mismatch(part, download.digest)
    if wrong:
        part.unlink()
        held = "" if size > download.size else f" ({size} bytes of {download.size})"
        raise DataError(
            f"{download.url}: what came is not the published file: {wrong}{held}; it was removed; the same command "
            "starts anew"
        )


def _receive(download: Download, file: IO[bytes], told: Callable[[int], None]) -> bool:
    """Append what is missing, or all of it where the server does not go on from the middle, and little beyond it.

    Returns:
        Whether the server has given all that it has; False: the line may have been cut, for too little has come, and
        no length was announced that would tell.
    """
    have = file.tell()
    if have >= download.size:
        return True  # the checksum decides
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with requests.get(download.url, headers=headers, stream=True, timeout=_WAIT) as response:
        if have and response.status_code == requests.codes.requested_range_not_satisfiable:
            return True  # nothing beyond what is here: the checksum decides
        response.raise_for_status()
        begins = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if not (response.status_code == requests.codes.partial_content and begins):
            file.truncate(0)
            file.seek(0)
        for piece in response.raw.stream(1 << 16, decode_content=False):
            file.write(piece)
            if file.tell() > download.size:
                return True
            told(file.tell())
        announced = "Content-Length" in response.headers or "Transfer-Encoding" in response.headers
        return announced or file.tell() == download.size


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "the server does not answer in time"
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return "the line was cut"
    return f"there is no connection ({type(error).__name__})"
