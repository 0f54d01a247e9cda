"""Places that take no files, and disks that are full: one message, exit code 2, before the work where that is known."""

from __future__ import annotations

import errno
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that takes no files, also from root."""
    folder, whole = tmp_path / "closed", tempfile.TemporaryFile
    folder.mkdir()

    def refusing(*arguments: Any, dir: Any = None, **more: Any) -> Any:  # noqa: A002
        if dir is not None and Path(dir) == folder:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder / "tmp"))
        return whole(*arguments, dir=dir, **more)

    monkeypatch.setattr(tempfile, "TemporaryFile", refusing)
    return folder


@pytest.mark.parametrize(
    ("option", "arguments"),
    [
        ("--out", ["bench", "parts", "--quick", "--out", "x.json"]),
        ("--gantt", ["cost", "quickstart", "--arm", "np", "--gantt", "x.png"]),
        ("-o", ["profiles", "fit", "nothing.csv", "-o", "x.yaml"]),
    ],
)
def test_a_place_that_takes_no_files_is_refused_before_the_work(
    refused: Callable[..., str], closed: Path, option: str, arguments: list[str]
) -> None:
    file = closed / arguments[-1]
    refused(f"{option} {file}: cannot be written: Permission denied; choose another place", *arguments[:-1], str(file))


def test_a_disk_that_fills_is_one_message_and_leaves_nothing(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("analogsim._files.sync", full)
    file = tmp_path / "step.png"
    assert command("cost", "quickstart", "--arm", "np", "--gantt", str(file)) == 2
    assert f"error: {file}: No space left on device" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_output_that_cannot_be_written_is_one_message() -> None:
    code = "import sys; from analogsim.cli import main; sys.argv = ['analogsim', 'scenarios', 'list']; main()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: No space left on device\n")
