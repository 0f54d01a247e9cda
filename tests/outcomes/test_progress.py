"""How far a study is: nothing is read twice, and nothing that changes is missed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analogsim._files import locked
from analogsim.outcomes import Job, StudyFolder
from analogsim.outcomes import folder as module
from analogsim.outcomes.progress import Progress

ARMS = ("a", "b", "c", "d")


@pytest.fixture
def folder(studies: Any) -> StudyFolder:
    """Of four jobs: two are done, one has failed, one was not begun."""
    arms = {name: studies.arm(lambda *_: 0.9) for name in ARMS}
    return studies(arms, failed={"c": "no memory"}, missing=["d"])


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of which jobs results are read, in order."""
    found: list[str] = []
    reader = module.read_result

    def counted(path: Path) -> Any:
        found.append(path.parent.name)
        return reader(path)

    monkeypatch.setattr(module, "read_result", counted)
    return found


def job(folder: StudyFolder, arm: str) -> Job:
    return next(each for each in folder.plan.jobs if each.arm == arm)


def finish(folder: StudyFolder, arm: str) -> None:
    """Leave what a job leaves that ends with a result."""
    here, other = folder.job(job(folder, arm)), folder.job(job(folder, "a"))
    here.mkdir(exist_ok=True)
    (here / "failure.json").unlink(missing_ok=True)
    (here / "info.json").write_text(json.dumps({"wall_seconds": 3.0}))
    text = (other / "result.json").read_text().replace('"a"', f'"{arm}"')
    (here / "result.json").write_text(text)


def test_a_result_is_read_once(folder: StudyFolder, read: list[str]) -> None:
    progress = Progress.of(folder)
    assert read == ["00000-a", "00001-b"]
    progress.look()
    progress.look()
    assert len(read) == 2
    finish(folder, "d")
    progress.look()
    assert read[2:] == ["00003-d"]
    assert (progress.done, progress.left) == (3, 0), "what has failed is not left"
    assert progress.to_data() == Progress.of(folder).to_data()


def test_a_failure_that_is_tried_again_is_noticed(folder: StudyFolder, read: list[str]) -> None:
    progress = Progress.of(folder)
    failed = folder.job(job(folder, "c"))
    assert progress.to_data()["failed"] == {"00002-c": "no memory"}
    left = progress.left
    (failed / "failure.json").unlink()
    (failed / "checkpoint").mkdir()
    with locked(failed / "checkpoint" / "lock", "busy"):
        progress.look()
        assert list(progress.running) == ["00002-c"]
    assert (progress.failed, progress.arms["c"].failed, progress.left) == ({}, 0, left + job(folder, "c").chips)
    progress.look()
    assert progress.running == {}
    (failed / "failure.json").write_text(json.dumps({"cause": "no disk"}))
    progress.look()
    assert progress.to_data() == Progress.of(folder).to_data()
    assert progress.to_data()["failed"] == {"00002-c": "no disk"}
    finish(folder, "c")
    read.clear()
    progress.look()
    assert read == ["00002-c"]
    assert (progress.failed, progress.arms["c"].failed, progress.arms["c"].done) == ({}, 0, 1)
    assert progress.to_data() == Progress.of(folder).to_data()


def test_what_a_driver_tells_is_not_read_again(folder: StudyFolder, read: list[str]) -> None:
    progress = Progress.of(folder)
    progress.began(job(folder, "d"))
    finish(folder, "d")
    progress.ended(job(folder, "d"), failed=False)
    progress.look()
    assert read == ["00000-a", "00001-b", "00003-d"]
    assert progress.done == 3


def test_watching_reads_each_result_once(
    folder: StudyFolder,
    read: list[str],
    command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rounds = iter(["", "", "c", "", "d"])

    def later(seconds: float) -> None:
        arm = next(rounds)
        if arm == "c":
            shutil.rmtree(folder.job(job(folder, "c")))
        if arm:
            finish(folder, arm)

    monkeypatch.setattr("analogsim.cli.status.time.sleep", later)
    started = time.monotonic()
    assert command("status", str(folder.path), "--watch") == 0
    assert time.monotonic() - started < 60
    assert sorted(read) == ["00000-a", "00001-b", "00002-c", "00003-d"]
    lines = capsys.readouterr()[0].splitlines()  # no terminal: a line at each change
    assert lines == [
        "2 of 4 jobs done, 0 running, 1 failed",
        "3 of 4 jobs done, 0 running",
        "4 of 4 jobs done, 0 running",
    ]
