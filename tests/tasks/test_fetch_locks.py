"""Processes that fetch the same file at once: nobody spoils what another writes or has named."""

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from analogsim.errors import DataError
from analogsim.tasks import download


def test_two_at_once_do_not_mix(server: Any, small: Any, tmp_path: Path) -> None:
    part = tmp_path / "small" / "a.bin.part"
    part.parent.mkdir()
    with part.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another process is fetching this file"):
            small.fetch(small.source(), tmp_path)
    assert not server.asked


@pytest.mark.parametrize("step", ["mismatch", "replace"])
def test_nobody_comes_between_the_last_byte_and_the_name(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """While the checksum is taken, and while the file gets its name, others are refused."""
    source, refused = small.source(), []
    owner: Any = download if step == "mismatch" else os
    done = getattr(owner, step)

    def intruded(path: Path, *args: Any) -> Any:
        with path.open("ab") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                refused.append(path.name)
        return done(path, *args)

    monkeypatch.setattr(owner, step, intruded)
    assert small.fetch(source, tmp_path)
    assert refused == ["a.bin.part", "b.bin.part"]
    assert small.held(tmp_path) == small.whole


@pytest.mark.parametrize("meanwhile", ["named", "removed"])
def test_a_lock_on_what_is_no_part_any_more_is_given_up(
    server: Any, small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """Another process ends between the opening of the part and its locking here."""
    source, lock = small.source(), fcntl.flock

    def late(file: Any, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        if meanwhile == "named":
            assert small.fetch(source, tmp_path)
        else:
            (tmp_path / "small" / "a.bin.part").unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    assert small.fetch(source, tmp_path)
    assert small.held(tmp_path) == small.whole
    assert [name for name, _ in server.asked] == ["a.bin", "b.bin"], "each once"


def test_bytes_that_came_between_opening_and_locking_count(
    server: Any, small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, lock = small.source(), fcntl.flock
    part = tmp_path / "small" / "a.bin.part"

    def late(file: Any, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        part.write_bytes(small.contents["a.bin"][:1000])
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    assert small.fetch(source, tmp_path)
    assert server.asked[0] == ("a.bin", "bytes=1000-")
    assert small.held(tmp_path) == small.whole
