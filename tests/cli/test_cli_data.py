"""`analogsim data` as a person meets it."""

import gzip
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analogsim.tasks.source import Download, File, Source
from analogsim.tasks.sources import SOURCES

NAMES = [file.name for file in SOURCES["mnist"].files]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One file of MNIST, which is not what it should be."""
    monkeypatch.setenv("ANALOGSIM_DATA", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / f"{NAMES[1]}.gz").write_bytes(gzip.compress(b"something"))
    return tmp_path


def test_list_says_what_there_is_and_where(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    assert command("data", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    states = {name: next(line for line in lines if line.strip().startswith(f"{name} ")).split() for name in SOURCES}
    assert "yes" in states["digits"]
    assert "part" in states["mnist"]
    assert "no" in states["cifar-10"]
    assert lines[-1] == f"folder: {folder} (ANALOGSIM_DATA)"
    assert command("data", "list", "--json") == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert list(entries) == list(SOURCES)
    assert entries["mnist"]["folder"] == str(folder / "mnist")
    assert entries["mnist"]["missing"] == [name for name in NAMES if name != NAMES[1]]
    assert entries["cifar-100"]["download_bytes"] == 168_513_733
    assert all(entry["licence"] and entry["citation"] for entry in entries.values())


@pytest.mark.parametrize("name", list(SOURCES))
def test_show(name: str, command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("data", "show", name) == 0
    text = capsys.readouterr().out
    assert SOURCES[name].citation in text
    assert all(file.name in text for file in SOURCES[name].files)
    assert command("data", "show", name, "--json") == 0
    assert json.loads(capsys.readouterr().out)["title"] == SOURCES[name].title


def test_check_tells_each_file_and_fails_for_a_corrupt_one(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    assert command("data", "check") == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        [f"mnist/{name}", "corrupt" if name == NAMES[1] else "missing"] for name in NAMES
    ]
    assert "it has 9 bytes, where 60008 are right" in lines[1]
    assert command("data", "check", "--json") == 1
    assert json.loads(capsys.readouterr().out)[1]["path"] == str(folder / "mnist" / f"{NAMES[1]}.gz")
    assert command("data", "check", "cifar-100") == 0
    assert capsys.readouterr().out == "cifar-100/train.bin: missing\ncifar-100/test.bin: missing\n"
    (folder / "mnist" / f"{NAMES[1]}.gz").unlink()
    assert command("data", "check") == 0
    assert f"no files of data sets in {folder}" in capsys.readouterr().out


def test_a_file_without_a_checksum_is_of_unknown_version(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "sarcos").mkdir()
    (folder / "sarcos" / "sarcos_inv.mat").write_bytes(b"x")
    assert command("data", "check", "sarcos") == 0
    assert "sarcos/sarcos_inv.mat: unknown version: no checksum is published for it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch", "mnist"], "is there, but it has 9 bytes"),
        (["fetch", "sarcos"], "cannot be fetched, since no checksum is published"),
        (["fetch", "digits"], "no files to fetch"),
        (["fetch", "minst"], "no data set is called 'minst'; there are digits, "),
        (["show", "minst"], "no data set is called 'minst'"),
        (["check", "minst"], "no data set is called 'minst'"),
    ],
)
def test_errors_are_one_message(
    arguments: list[str], message: str, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("data", *arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("terminal", [True, False])
def test_fetch_brings_and_verifies(
    terminal: bool,
    server: Any,
    command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: Path,
) -> None:
    """A set of one file, from a server of this machine, with the line cut at first."""
    server.files["a"], server.cut = b"abc" * 100_000, 100_000
    digest = f"sha256:{hashlib.sha256(server.files['a']).hexdigest()}"
    file = File("a", digest=digest, download=Download(f"{server.url}a", 300_000, digest))
    monkeypatch.setitem(SOURCES, "small", Source("small", "Small", "", "", "", files=(file,)))
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    assert command("data", "fetch", "small") == 2
    assert "error: " in capsys.readouterr().err
    server.cut = None
    assert command("data", "fetch", "small") == 0
    out, err = capsys.readouterr()
    assert out == f"Small: fetched and verified: {folder / 'small'}\n"
    assert ("a (0.3 MB)" in err) is not terminal
    assert server.asked[1][1] is not None, "it went on"
    assert command("data", "check", "small") == 0
    assert capsys.readouterr().out == "small/a: ok\n"


def test_what_is_there_is_used(
    command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    tmp_path: Path,
) -> None:
    unpublished = replace(SOURCES["cifar-100"], files=tuple(replace(f, size=None) for f in SOURCES["cifar-100"].files))
    monkeypatch.setitem(SOURCES, "cifar-100", unpublished)
    other = tmp_path / "other"
    (other / "cifar-100-binary").mkdir(parents=True)
    for file in unpublished.files:
        (other / "cifar-100-binary" / file.name).write_bytes(b"x")
    assert command("data", "fetch", "cifar-100", "--to", str(other)) == 0
    out = capsys.readouterr().out
    assert f"CIFAR-100: is there; nothing was downloaded: {other / 'cifar-100-binary'}" in out
    assert f"to use it: export ANALOGSIM_DATA={other}" in out


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["check"], ["check", "mnist"], ["show", "mnist"]])
def test_a_file_is_no_folder_of_data_sets(
    arguments: list[str],
    command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    monkeypatch.setenv("ANALOGSIM_DATA", str(tmp_path / "file"))
    assert command("data", *arguments) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err == (
        f"error: {tmp_path / 'file'} (ANALOGSIM_DATA): is no folder; set ANALOGSIM_DATA to the folder that holds data "
        "sets, or is to\n"
    )


def test_fetch_tells_what_an_unpacked_set_has_lost(
    command: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    monkeypatch.setitem(SOURCES, "small", Source("small", "Small", "", "", "", files=(File("a"),)))
    (folder / "small").mkdir()
    (folder / "small" / "a").write_bytes(b"abc")
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in (("a", b"abc"), ("b", b"x")))
    (folder / "small" / "SHA256SUMS").write_text("".join(lines))
    assert command("data", "fetch", "small") == 2
    out, err = capsys.readouterr()
    assert not out
    assert err == f"error: {folder / 'small'}: is there, but lacks b; complete it, or move it away and fetch again\n"
    assert command("data", "check", "small") == 0
    assert (
        f"small/b: missing: its archive held it: SHA256SUMS in {folder / 'small'} lists it" in capsys.readouterr().out
    )
