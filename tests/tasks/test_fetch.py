"""Fetching data sets: whole and verified under the final name, or not there; interrupted downloads go on."""

import errno
import fcntl
import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analogsim.errors import DataError
from analogsim.tasks import download
from analogsim.tasks.fetch import fetch
from analogsim.tasks.source import Download, File, Source
from analogsim.tasks.sources import SOURCES
from analogsim.tasks.verify import verify

CONTENTS = {name: np.random.default_rng(seed).bytes(300_000) for seed, name in enumerate(("a.bin", "b.bin"))}


def _md5(data: bytes) -> str:
    return f"md5:{hashlib.md5(data, usedforsecurity=False).hexdigest()}"


def _source(server: Any, **changed: Any) -> Source:
    """A set of two files."""
    server.files |= CONTENTS
    files = tuple(
        File(name, len(data), _md5(data), Download(server.url + name, len(data), _md5(data)))
        for name, data in CONTENTS.items()
    )
    return Source(
        **{"name": "small", "title": "Small", "contents": "", "licence": "", "citation": "", "files": files} | changed
    )


def _fetch(source: Source, root: Path) -> bool:
    return fetch(source, root, lambda what, done, total: None)


def _held(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


WHOLE = {f"small/{name}": data for name, data in CONTENTS.items()}


def test_files_come_whole_and_once(server: Any, tmp_path: Path) -> None:
    source = _source(server)
    assert _fetch(source, tmp_path)
    assert _held(tmp_path) == WHOLE
    asked = len(server.asked)
    assert not _fetch(source, tmp_path)
    assert len(server.asked) == asked == 2
    (tmp_path / "small" / "a.bin").unlink()
    assert _fetch(source, tmp_path)
    assert server.asked[asked:] == [("a.bin", None)], "only what is missing"


def test_progress_is_told_in_bytes(server: Any, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    fetch(_source(server), tmp_path, lambda *told: seen.append(told))
    assert [each for each in seen if each[1] == each[2]] == [(name, 300_000, 300_000) for name in CONTENTS]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_line_loses_nothing(server: Any, tmp_path: Path, ranges: bool) -> None:
    source, server.cut, server.ranges = _source(server), 200_000, ranges
    with pytest.raises(
        DataError, match=r"a\.bin: cannot be fetched: the line was cut; \d+ bytes of 300000 are kept in "
    ) as error:
        _fetch(source, tmp_path)
    part = tmp_path / "small" / "a.bin.part"
    assert str(part) in str(error.value)
    assert "\n" not in str(error.value)
    kept = part.read_bytes()
    assert _held(tmp_path) == {"small/a.bin.part": kept}, "nothing under the final name"
    assert 0 < len(kept) <= 200_000
    assert CONTENTS["a.bin"].startswith(kept)
    server.cut = None
    assert _fetch(source, tmp_path)
    assert server.asked[1] == ("a.bin", f"bytes={len(kept)}-")
    assert _held(tmp_path) == WHOLE


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("change", [lambda data: b"x" + data[1:], lambda data: data[:-1]])
def test_other_bytes_are_refused(server: Any, tmp_path: Path, ranges: bool, change: Any) -> None:
    source, server.ranges = _source(server), ranges
    server.files["a.bin"] = change(CONTENTS["a.bin"])
    with pytest.raises(
        DataError, match=r"what came is not the published file: its MD5 is \w+, where \w+ is published"
    ) as error:
        _fetch(source, tmp_path)
    assert _md5(server.files["a.bin"])[4:] in str(error.value)
    assert _held(tmp_path) == {}
    server.files |= CONTENTS
    assert _fetch(source, tmp_path)
    assert _held(tmp_path) == WHOLE


def test_no_more_is_read_than_was_published(server: Any, tmp_path: Path) -> None:
    source, seen = _source(server), [0]
    server.files["a.bin"] = CONTENTS["a.bin"] + bytes(5_000_000)
    with pytest.raises(DataError, match=r"not the published file: it has more than 300000 bytes; it was removed"):
        fetch(source, tmp_path, lambda what, done, total: seen.append(done))
    assert max(seen) <= 300_000
    assert _held(tmp_path) == {}


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_line_without_a_length_loses_nothing(server: Any, tmp_path: Path, ranges: bool) -> None:
    source, server.announces, server.cut, server.ranges = _source(server), False, 200_000, ranges
    with pytest.raises(
        DataError, match=r"a\.bin: cannot be fetched: the line was cut; 200000 bytes of 300000 are kept in .* goes on"
    ):
        _fetch(source, tmp_path)
    assert _held(tmp_path) == {"small/a.bin.part": CONTENTS["a.bin"][:200_000]}
    server.cut = None
    assert _fetch(source, tmp_path)
    assert server.asked[1] == ("a.bin", "bytes=200000-")
    assert _held(tmp_path) == WHOLE


def test_a_line_cut_before_the_first_byte_leaves_nothing(server: Any, tmp_path: Path) -> None:
    source, server.announces, server.cut = _source(server), False, 0
    with pytest.raises(DataError, match="the line was cut; nothing has come"):
        _fetch(source, tmp_path)
    assert _held(tmp_path) == {}


@pytest.mark.parametrize("garbage", [b"not the beginning", bytes(400_000)])
def test_a_part_of_something_else_is_given_up(server: Any, tmp_path: Path, garbage: bytes) -> None:
    source, part = _source(server), tmp_path / "small" / "a.bin.part"
    part.parent.mkdir()
    part.write_bytes(garbage)
    with pytest.raises(DataError, match=r"what came is not the published file.*the same command starts anew"):
        _fetch(source, tmp_path)
    assert _held(tmp_path) == {}
    assert _fetch(source, tmp_path)
    assert _held(tmp_path) == WHOLE


def test_a_whole_part_is_taken(server: Any, tmp_path: Path) -> None:
    source, part = _source(server), tmp_path / "small" / "a.bin.part"
    part.parent.mkdir()
    part.write_bytes(CONTENTS["a.bin"])
    assert _fetch(source, tmp_path)
    assert _held(tmp_path) == WHOLE


@pytest.mark.parametrize("wrong", [CONTENTS["a.bin"][:1000], b"x" + CONTENTS["a.bin"][1:], b""])
def test_what_is_there_is_not_overwritten(server: Any, tmp_path: Path, wrong: bytes) -> None:
    source, path = _source(server), tmp_path / "small" / "a.bin"
    path.parent.mkdir()
    path.write_bytes(wrong)
    with pytest.raises(DataError, match=r"is there, but it.* right; move it away, and fetch again") as error:
        _fetch(source, tmp_path)
    assert str(path) in str(error.value)
    assert _held(tmp_path) == {"small/a.bin": wrong}
    assert not server.asked


def test_a_server_without_the_file(server: Any, tmp_path: Path) -> None:
    source = _source(server)
    del server.files["a.bin"]
    with pytest.raises(DataError, match="cannot be fetched: the server answers 404 Not Found; nothing has come"):
        _fetch(source, tmp_path)
    assert _held(tmp_path) == {}


def test_no_server(server: Any, tmp_path: Path) -> None:
    source = _source(server)
    server._http.server_close()
    with pytest.raises(DataError, match="cannot be fetched: there is no connection"):
        _fetch(source, tmp_path)
    assert _held(tmp_path) == {}


def test_a_folder_that_cannot_be_made(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="cannot be written: Not a directory; choose another folder with --to") as error:
        _fetch(_source(server), tmp_path / "file")
    assert str(tmp_path / "file" / "small") in str(error.value)
    assert _held(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_cannot_be_written(
    server: Any, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, write = _source(server), Path.open

    def refuse(path: Path, mode: str = "r", *others: Any, **more: Any) -> Any:
        if mode == "ab":
            raise OSError(number, "refused by the test")
        return write(path, mode, *others, **more)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match="cannot be written: refused by the test; choose another folder with --to"):
        _fetch(source, tmp_path)
    assert not server.asked
    assert _held(tmp_path) == {}


def test_two_at_once_do_not_mix(server: Any, tmp_path: Path) -> None:
    part = tmp_path / "small" / "a.bin.part"
    part.parent.mkdir()
    with part.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another process is fetching this file"):
            _fetch(_source(server), tmp_path)
    assert not server.asked


@pytest.mark.parametrize("step", ["mismatch", "replace"])
def test_nobody_comes_between_the_last_byte_and_the_name(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """While the checksum is taken, and while the file gets its name, others are refused."""
    source, refused = _source(server), []
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
    assert _fetch(source, tmp_path)
    assert refused == ["a.bin.part", "b.bin.part"]
    assert _held(tmp_path) == WHOLE


@pytest.mark.parametrize("meanwhile", ["named", "removed"])
def test_a_lock_on_what_is_no_part_any_more_is_given_up(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """Another process ends between the opening of the part and its locking here."""
    source, lock = _source(server), fcntl.flock

    def late(file: Any, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        if meanwhile == "named":
            assert _fetch(source, tmp_path)
        else:
            (tmp_path / "small" / "a.bin.part").unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    assert _fetch(source, tmp_path)
    assert _held(tmp_path) == WHOLE
    assert [name for name, _ in server.asked] == ["a.bin", "b.bin"], "each once"


def test_bytes_that_came_between_opening_and_locking_count(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, lock = _source(server), fcntl.flock
    part = tmp_path / "small" / "a.bin.part"

    def late(file: Any, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        part.write_bytes(CONTENTS["a.bin"][:1000])
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    assert _fetch(source, tmp_path)
    assert server.asked[0] == ("a.bin", "bytes=1000-")
    assert _held(tmp_path) == WHOLE


def test_without_checksums_a_set_is_not_fetched(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no checksum is published.*http://.*put into .*sarcos_inv\.mat") as error:
        _fetch(SOURCES["sarcos"], tmp_path)
    assert str(tmp_path / "sarcos") in str(error.value)
    with pytest.raises(DataError, match=r"no files to fetch: .*scikit-learn"):
        _fetch(SOURCES["digits"], tmp_path)


def _packed(kind: str, members: dict[str, bytes | None]) -> bytes:
    """An archive; None: a link to the outside, in a .tar."""
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as held:
            for name, data in members.items():
                held.writestr(name, data or b"")
        return out.getvalue()
    with tarfile.open(fileobj=out, mode="w:gz") as held:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            if data is None:
                member.type, member.linkname = tarfile.SYMTYPE, "/etc"
            else:
                member.size = len(data)
            held.addfile(member, io.BytesIO(data or b""))
    return out.getvalue()


def _archived(server: Any, kind: str, members: dict[str, bytes | None] | None = None) -> Source:
    given: dict[str, bytes | None] = {f"small-1/{name}": data for name, data in CONTENTS.items()}
    data = _packed(kind, {**given, "small-1/deep/more.txt": b"more", **(members or {})})
    source = _source(server)
    server.files = {"all.archive": data}
    files = tuple(File(file.name, file.size) for file in source.files)
    archive = Download(f"{server.url}all.archive", len(data), _md5(data))
    return _source(server, files=files, archive=archive, inner="small-1")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archives_are_unpacked_and_their_checksums_listed(server: Any, tmp_path: Path, kind: str) -> None:
    source = _archived(server, kind)
    assert _fetch(source, tmp_path)
    held = _held(tmp_path)
    sums = held.pop("small/SHA256SUMS").decode()
    assert held == {**WHOLE, "small/deep/more.txt": b"more"}, "without the archive, without its outer folder"
    assert f"{hashlib.sha256(b'more').hexdigest()}  deep/more.txt\n" in sums
    assert [(each.file, each.state) for each in verify(source, tmp_path)] == [
        ("a.bin", "ok"),
        ("b.bin", "ok"),
        ("1 others", "ok"),
    ]
    assert not _fetch(source, tmp_path)
    (tmp_path / "small" / "deep" / "more.txt").write_bytes(b"less")
    (tmp_path / "small" / "b.bin").unlink()
    assert [(each.file, each.state) for each in verify(source, tmp_path)] == [
        ("a.bin", "ok"),
        ("b.bin", "missing"),
        ("deep/more.txt", "corrupt"),
    ]


def test_an_archive_that_is_there_is_used_and_stays(server: Any, tmp_path: Path) -> None:
    source = _archived(server, "tar")
    (tmp_path / "all.archive").write_bytes(server.files["all.archive"])
    assert _fetch(source, tmp_path)
    assert not server.asked
    assert {"all.archive", "small/a.bin"} < set(_held(tmp_path))


def test_another_archive_that_is_there_is_refused(server: Any, tmp_path: Path) -> None:
    (tmp_path / "all.archive").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"all\.archive: is there, but its MD5 is .* move it away"):
        _fetch(_archived(server, "tar"), tmp_path)
    assert _held(tmp_path) == {"all.archive": b"mine"}


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("small-1/../../out", "would lie outside"),
        ("/out", "would lie outside"),
        ("../out", "would lie outside"),
        ("small-1\\..\\out", "would lie outside"),
        ("other/file", "should hold the folder small-1 alone"),
        ("small-1", "should hold the folder small-1 alone"),
    ],
)
def test_members_must_stay_within(server: Any, tmp_path: Path, kind: str, name: str, message: str) -> None:
    root = tmp_path / "data"
    with pytest.raises(DataError, match=message):
        _fetch(_archived(server, kind, {name: b"evil"}), root)
    assert set(_held(tmp_path)) == {"data/all.archive"}


def test_links_are_refused(server: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'small-1/link' is no plain file; nothing was unpacked"):
        _fetch(_archived(server, "tar", {"small-1/link": None}), tmp_path)
    assert not (tmp_path / "small").exists()


def test_unpacking_that_fails_leaves_no_folder(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import analogsim.tasks.unpack as module

    source, copy, calls = _archived(server, "tar"), module._copy, []

    def full(*args: Any) -> str:
        calls.append(args)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return copy(*args)

    monkeypatch.setattr(module, "_copy", full)
    with pytest.raises(DataError, match="cannot be written: No space left on device; choose another"):
        _fetch(source, tmp_path)
    assert set(_held(tmp_path)) == {"all.archive"}
    assert _fetch(source, tmp_path), "the archive is not downloaded again"
    assert len(server.asked) == 1


def test_a_folder_that_lacks_something_is_not_mixed_with_an_archive(server: Any, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "a.bin").write_bytes(CONTENTS["a.bin"])
    with pytest.raises(DataError, match=r"small: is there, but lacks b\.bin; complete it, or move it away"):
        _fetch(_archived(server, "tar"), tmp_path)
    assert not server.asked


@pytest.mark.parametrize("lost", ["b.bin", "deep/more.txt"])
def test_what_an_unpacked_set_has_lost_is_told(server: Any, tmp_path: Path, lost: str) -> None:
    source = _archived(server, "tar")
    assert _fetch(source, tmp_path)
    (tmp_path / "small" / lost).unlink()
    held, asked = _held(tmp_path), list(server.asked)
    with pytest.raises(DataError, match=rf"small: is there, but lacks {lost}; complete it, or move it away and fetch"):
        _fetch(source, tmp_path)
    assert _held(tmp_path) == held
    assert server.asked == asked
    (tmp_path / "small").rename(tmp_path / "away")
    assert _fetch(source, tmp_path)
    assert (tmp_path / "small" / lost).is_file()


def test_of_many_lost_files_a_few_are_named(server: Any, tmp_path: Path) -> None:
    source = _archived(server, "tar", {f"small-1/{number}": b"x" for number in range(8)})
    assert _fetch(source, tmp_path)
    for number in range(8):
        (tmp_path / "small" / str(number)).unlink()
    with pytest.raises(DataError, match="lacks 0, 1, 2, 3, 4 and 3 more; complete it"):
        _fetch(source, tmp_path)
