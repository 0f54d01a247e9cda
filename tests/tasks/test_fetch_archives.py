"""Archives: unpacked whole within their folder or not at all, and what an unpacked set has lost is told."""

import errno
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from analogsim.errors import DataError
from analogsim.tasks.source import Download, File, Source
from analogsim.tasks.verify import verify


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


def _archived(server: Any, small: Any, kind: str, members: dict[str, bytes | None] | None = None) -> Source:
    given: dict[str, bytes | None] = {f"small-1/{name}": data for name, data in small.contents.items()}
    data = _packed(kind, {**given, "small-1/deep/more.txt": b"more", **(members or {})})
    source = small.source()
    server.files = {"all.archive": data}
    files = tuple(File(file.name, file.size) for file in source.files)
    archive = Download(f"{server.url}all.archive", len(data), small.md5(data))
    return small.source(files=files, archive=archive, inner="small-1")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archives_are_unpacked_and_their_checksums_listed(server: Any, small: Any, tmp_path: Path, kind: str) -> None:
    source = _archived(server, small, kind)
    assert small.fetch(source, tmp_path)
    held = small.held(tmp_path)
    sums = held.pop("small/SHA256SUMS").decode()
    assert held == {**small.whole, "small/deep/more.txt": b"more"}, "without the archive, without its outer folder"
    assert f"{hashlib.sha256(b'more').hexdigest()}  deep/more.txt\n" in sums
    assert [(each.file, each.state) for each in verify(source, tmp_path)] == [
        ("a.bin", "ok"),
        ("b.bin", "ok"),
        ("1 others", "ok"),
    ]
    assert not small.fetch(source, tmp_path)
    (tmp_path / "small" / "deep" / "more.txt").write_bytes(b"less")
    (tmp_path / "small" / "b.bin").unlink()
    assert [(each.file, each.state) for each in verify(source, tmp_path)] == [
        ("a.bin", "ok"),
        ("b.bin", "missing"),
        ("deep/more.txt", "corrupt"),
    ]


def test_an_archive_that_is_there_is_used_and_stays(server: Any, small: Any, tmp_path: Path) -> None:
    source = _archived(server, small, "tar")
    (tmp_path / "all.archive").write_bytes(server.files["all.archive"])
    assert small.fetch(source, tmp_path)
    assert not server.asked
    assert {"all.archive", "small/a.bin"} < set(small.held(tmp_path))


def test_another_archive_that_is_there_is_refused(server: Any, small: Any, tmp_path: Path) -> None:
    (tmp_path / "all.archive").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"all\.archive: is there, but its MD5 is .* move it away"):
        small.fetch(_archived(server, small, "tar"), tmp_path)
    assert small.held(tmp_path) == {"all.archive": b"mine"}


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
def test_members_must_stay_within(server: Any, small: Any, tmp_path: Path, kind: str, name: str, message: str) -> None:
    root = tmp_path / "data"
    with pytest.raises(DataError, match=message):
        small.fetch(_archived(server, small, kind, {name: b"evil"}), root)
    assert set(small.held(tmp_path)) == {"data/all.archive"}


def test_links_are_refused(server: Any, small: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'small-1/link' is no plain file; nothing was unpacked"):
        small.fetch(_archived(server, small, "tar", {"small-1/link": None}), tmp_path)
    assert not (tmp_path / "small").exists()


def test_unpacking_that_fails_leaves_no_folder(
    server: Any, small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import analogsim.tasks.unpack as module

    source, copy, calls = _archived(server, small, "tar"), module._copy, []

    def full(*args: Any) -> str:
        calls.append(args)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return copy(*args)

    monkeypatch.setattr(module, "_copy", full)
    with pytest.raises(DataError, match="cannot be written: No space left on device; choose another"):
        small.fetch(source, tmp_path)
    assert set(small.held(tmp_path)) == {"all.archive"}
    assert small.fetch(source, tmp_path), "the archive is not downloaded again"
    assert len(server.asked) == 1


def test_a_folder_that_lacks_something_is_not_mixed_with_an_archive(server: Any, small: Any, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "a.bin").write_bytes(small.contents["a.bin"])
    with pytest.raises(DataError, match=r"small: is there, but lacks b\.bin; complete it, or move it away"):
        small.fetch(_archived(server, small, "tar"), tmp_path)
    assert not server.asked


@pytest.mark.parametrize("lost", ["b.bin", "deep/more.txt"])
def test_what_an_unpacked_set_has_lost_is_told(server: Any, small: Any, tmp_path: Path, lost: str) -> None:
    source = _archived(server, small, "tar")
    assert small.fetch(source, tmp_path)
    (tmp_path / "small" / lost).unlink()
    held, asked = small.held(tmp_path), list(server.asked)
    with pytest.raises(DataError, match=rf"small: is there, but lacks {lost}; complete it, or move it away and fetch"):
        small.fetch(source, tmp_path)
    assert small.held(tmp_path) == held
    assert server.asked == asked
    (tmp_path / "small").rename(tmp_path / "away")
    assert small.fetch(source, tmp_path)
    assert (tmp_path / "small" / lost).is_file()


def test_of_many_lost_files_a_few_are_named(server: Any, small: Any, tmp_path: Path) -> None:
    source = _archived(server, small, "tar", {f"small-1/{number}": b"x" for number in range(8)})
    assert small.fetch(source, tmp_path)
    for number in range(8):
        (tmp_path / "small" / str(number)).unlink()
    with pytest.raises(DataError, match="lacks 0, 1, 2, 3, 4 and 3 more; complete it"):
        small.fetch(source, tmp_path)
