"""Fetching data sets: whole and verified under the final name, or not there; interrupted downloads go on."""

import errno
from pathlib import Path
from typing import Any

import pytest

from analogsim.errors import DataError
from analogsim.tasks.fetch import fetch
from analogsim.tasks.sources import SOURCES


def test_files_come_whole_and_once(server: Any, small: Any, tmp_path: Path) -> None:
    source = small.source()
    assert small.fetch(source, tmp_path)
    assert small.held(tmp_path) == small.whole
    asked = len(server.asked)
    assert not small.fetch(source, tmp_path)
    assert len(server.asked) == asked == 2
    (tmp_path / "small" / "a.bin").unlink()
    assert small.fetch(source, tmp_path)
    assert server.asked[asked:] == [("a.bin", None)], "only what is missing"


def test_progress_is_told_in_bytes(small: Any, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    fetch(small.source(), tmp_path, lambda *told: seen.append(told))
    assert [each for each in seen if each[1] == each[2]] == [(name, 300_000, 300_000) for name in small.contents]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_line_loses_nothing(server: Any, small: Any, tmp_path: Path, ranges: bool) -> None:
    source, server.cut, server.ranges = small.source(), 200_000, ranges
    with pytest.raises(
        DataError, match=r"a\.bin: cannot be fetched: the line was cut; \d+ bytes of 300000 are kept in "
    ) as error:
        small.fetch(source, tmp_path)
    part = tmp_path / "small" / "a.bin.part"
    assert str(part) in str(error.value)
    assert "\n" not in str(error.value)
    kept = part.read_bytes()
    assert small.held(tmp_path) == {"small/a.bin.part": kept}, "nothing under the final name"
    assert 0 < len(kept) <= 200_000
    assert small.contents["a.bin"].startswith(kept)
    server.cut = None
    assert small.fetch(source, tmp_path)
    assert server.asked[1] == ("a.bin", f"bytes={len(kept)}-")
    assert small.held(tmp_path) == small.whole


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("change", [lambda data: b"x" + data[1:], lambda data: data[:-1]])
def test_other_bytes_are_refused(server: Any, small: Any, tmp_path: Path, ranges: bool, change: Any) -> None:
    source, server.ranges = small.source(), ranges
    server.files["a.bin"] = change(small.contents["a.bin"])
    with pytest.raises(
        DataError, match=r"what came is not the published file: its MD5 is \w+, where \w+ is published"
    ) as error:
        small.fetch(source, tmp_path)
    assert small.md5(server.files["a.bin"])[4:] in str(error.value)
    assert small.held(tmp_path) == {}
    server.files |= small.contents
    assert small.fetch(source, tmp_path)
    assert small.held(tmp_path) == small.whole


def test_no_more_is_read_than_was_published(server: Any, small: Any, tmp_path: Path) -> None:
    source, seen = small.source(), [0]
    server.files["a.bin"] = small.contents["a.bin"] + bytes(5_000_000)
    with pytest.raises(DataError, match=r"not the published file: it has more than 300000 bytes; it was removed"):
        fetch(source, tmp_path, lambda what, done, total: seen.append(done))
    assert max(seen) <= 300_000
    assert small.held(tmp_path) == {}


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_line_without_a_length_loses_nothing(server: Any, small: Any, tmp_path: Path, ranges: bool) -> None:
    source, server.announces, server.cut, server.ranges = small.source(), False, 200_000, ranges
    with pytest.raises(
        DataError, match=r"a\.bin: cannot be fetched: the line was cut; 200000 bytes of 300000 are kept in .* goes on"
    ):
        small.fetch(source, tmp_path)
    assert small.held(tmp_path) == {"small/a.bin.part": small.contents["a.bin"][:200_000]}
    server.cut = None
    assert small.fetch(source, tmp_path)
    assert server.asked[1] == ("a.bin", "bytes=200000-")
    assert small.held(tmp_path) == small.whole


def test_a_line_cut_before_the_first_byte_leaves_nothing(server: Any, small: Any, tmp_path: Path) -> None:
    source, server.announces, server.cut = small.source(), False, 0
    with pytest.raises(DataError, match="the line was cut; nothing has come"):
        small.fetch(source, tmp_path)
    assert small.held(tmp_path) == {}


@pytest.mark.parametrize("garbage", [b"not the beginning", bytes(400_000)])
def test_a_part_of_something_else_is_given_up(small: Any, tmp_path: Path, garbage: bytes) -> None:
    source, part = small.source(), tmp_path / "small" / "a.bin.part"
    part.parent.mkdir()
    part.write_bytes(garbage)
    with pytest.raises(DataError, match=r"what came is not the published file.*the same command starts anew"):
        small.fetch(source, tmp_path)
    assert small.held(tmp_path) == {}
    assert small.fetch(source, tmp_path)
    assert small.held(tmp_path) == small.whole


def test_a_whole_part_is_taken(small: Any, tmp_path: Path) -> None:
    source, part = small.source(), tmp_path / "small" / "a.bin.part"
    part.parent.mkdir()
    part.write_bytes(small.contents["a.bin"])
    assert small.fetch(source, tmp_path)
    assert small.held(tmp_path) == small.whole


@pytest.mark.parametrize("change", [lambda data: data[:1000], lambda data: b"x" + data[1:], lambda data: b""])
def test_what_is_there_is_not_overwritten(server: Any, small: Any, tmp_path: Path, change: Any) -> None:
    wrong = change(small.contents["a.bin"])
    source, path = small.source(), tmp_path / "small" / "a.bin"
    path.parent.mkdir()
    path.write_bytes(wrong)
    with pytest.raises(DataError, match=r"is there, but it.* right; move it away, and fetch again") as error:
        small.fetch(source, tmp_path)
    assert str(path) in str(error.value)
    assert small.held(tmp_path) == {"small/a.bin": wrong}
    assert not server.asked


def test_a_server_without_the_file(server: Any, small: Any, tmp_path: Path) -> None:
    source = small.source()
    del server.files["a.bin"]
    with pytest.raises(DataError, match="cannot be fetched: the server answers 404 Not Found; nothing has come"):
        small.fetch(source, tmp_path)
    assert small.held(tmp_path) == {}


def test_no_server(server: Any, small: Any, tmp_path: Path) -> None:
    source = small.source()
    server._http.server_close()
    with pytest.raises(DataError, match="cannot be fetched: there is no connection"):
        small.fetch(source, tmp_path)
    assert small.held(tmp_path) == {}


def test_a_folder_that_cannot_be_made(small: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="cannot be written: Not a directory; choose another folder with --to") as error:
        small.fetch(small.source(), tmp_path / "file")
    assert str(tmp_path / "file" / "small") in str(error.value)
    assert small.held(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_cannot_be_written(
    server: Any, small: Any, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, write = small.source(), Path.open

    def refuse(path: Path, mode: str = "r", *others: Any, **more: Any) -> Any:
        if mode == "ab":
            raise OSError(number, "refused by the test")
        return write(path, mode, *others, **more)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match="cannot be written: refused by the test; choose another folder with --to"):
        small.fetch(source, tmp_path)
    assert not server.asked
    assert small.held(tmp_path) == {}


def test_without_checksums_a_set_is_not_fetched(small: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no checksum is published.*http://.*put into .*sarcos_inv\.mat") as error:
        small.fetch(SOURCES["sarcos"], tmp_path)
    assert str(tmp_path / "sarcos") in str(error.value)
    with pytest.raises(DataError, match=r"no files to fetch: .*scikit-learn"):
        small.fetch(SOURCES["digits"], tmp_path)
