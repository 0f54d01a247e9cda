"""Resume: refusals change nothing, damaged checkpoints are done without, and a full disk is told."""

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from analogsim import _files
from analogsim.errors import OtherVersionError, RunError, ScenarioError, StorageError
from analogsim.study import checkpoint as checkpoint_module
from analogsim.study.resume import resume
from analogsim.study.run import run

CPU = torch.device("cpu")


def _everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(damage: str, runs: Any, tmp_path: Path) -> None:
    folder = runs.stopped(tmp_path, "danp", 11)
    older, newest = sorted((folder / "checkpoint").glob("*.pt"))
    data = newest.read_bytes()
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    newest.write_bytes({"cut": data[:middle], "flipped": flipped, "empty": b""}[damage])
    notes = runs.notes()
    with pytest.raises(runs.Stopped):
        resume(folder, watcher=runs.stop_at("danp", 7))
    assert older.exists()
    assert not newest.exists(), "a damaged checkpoint must not push out a whole one"
    newest.write_bytes(data[:middle])
    resume(folder, watcher=notes)
    assert f"{newest}: damaged" in notes.text
    assert "goes on from a checkpoint, arm danp at step 6" in notes.text
    assert notes.steps[:2] == [6, 7]
    assert runs.bytes_of(folder) == runs.undisturbed()


@pytest.mark.parametrize("loss", ["no folder", "all damaged", "no metrics", "other metrics"])
def test_without_a_usable_checkpoint_it_starts_over(loss: str, runs: Any, tmp_path: Path) -> None:
    folder = runs.stopped(tmp_path, "danp", 8)
    metrics = folder / "metrics.jsonl"
    for path in (folder / "checkpoint").iterdir():
        if loss == "no folder":
            path.unlink()
        elif loss == "all damaged":
            path.write_bytes(b"not a checkpoint")
    if loss == "no folder":
        (folder / "checkpoint").rmdir()
    elif loss == "no metrics":
        metrics.unlink()
    elif loss == "other metrics":
        metrics.write_text("{}\n" + metrics.read_text())
    notes = runs.notes()
    resume(folder, watcher=notes)
    assert "no usable checkpoint: the run starts over" in notes.text
    assert runs.bytes_of(folder) == runs.undisturbed()


def test_a_finished_run_is_left_alone(runs: Any, tmp_path: Path) -> None:
    folder = run(runs.scenario(), tmp_path, CPU).path
    before, notes = _everything(folder), runs.notes()
    resume(folder, watcher=notes)
    assert "this run is finished" in notes.text
    assert notes.steps == []
    assert _everything(folder) == before
    (folder / "checkpoint").mkdir()  # killed after the result was written
    resume(folder)
    assert _everything(folder) == before
    assert not (folder / "checkpoint").exists()


def test_refusals_change_nothing(runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = runs.stopped(tmp_path / "runs", "danp", 8)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"arm": "da')  # half a line
    scenario = (folder / "scenario.yaml").read_text()

    def refused(error: type[Exception], message: str, device: torch.device | None = None) -> None:
        before = _everything(folder)
        with pytest.raises(error, match=message):
            resume(folder, device)
        assert _everything(folder) == before

    (folder / "scenario.yaml").write_text(scenario.replace("epochs: 2", "epochs: 3"))
    refused(RunError, "its checkpoint is of another scenario: scenario.yaml was changed")
    (folder / "scenario.yaml").write_text(scenario[:300])
    refused(ScenarioError, r"scenario\.yaml")
    (folder / "scenario.yaml").write_text(scenario)
    refused(RunError, "began on cpu, and cannot go on on cuda", torch.device("cuda"))
    with (folder / "checkpoint" / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused(RunError, "another process is working on this run")
    monkeypatch.setattr("analogsim.study.checkpoint.CHECKPOINT_VERSION", 99)
    refused(OtherVersionError, "has schema version 7; this release reads version 99")

    for path, message in [(tmp_path, "holds no scenario.yaml"), (tmp_path / "nowhere", "there is no such folder")]:
        with pytest.raises(RunError, match=f"not a run folder: {message}"):
            resume(path)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_file_appears_whole_or_not_at_all(runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    _files.write_text(path, "old")

    def dies(*_: object) -> None:
        raise runs.Stopped

    monkeypatch.setattr(os, "replace", dies)
    with pytest.raises(runs.Stopped):
        _files.write_text(path, "new")
    assert path.read_text() == "old"


def test_a_full_disk_is_one_sentence(runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_module, "commit", full)
    with pytest.raises(RunError, match="the checkpoint cannot be written: No space left on device"):
        run(runs.scenario(), tmp_path, CPU)


def test_what_torch_cannot_write_is_told_with_the_room_that_is_left(
    runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer says where it failed, and not why."""

    def full(*_: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 6208 vs 6112")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(StorageError, match=r"cannot be written: [\d,]+ bytes are free there \(\[enforce fail"):
        run(runs.scenario(), tmp_path, CPU)
