"""Engines: the same files from all of them; failures, lost workers, second drivers and full disks lose nothing."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from analogsim._files import locked
from analogsim.errors import RunError, StorageError
from analogsim.outcomes import StudyFolder, outcomes
from analogsim.outcomes.progress import Progress
from analogsim.study.run import Nobody
from analogsim.sweep import job as jobs
from analogsim.sweep.drive import driving
from analogsim.sweep.engine import Here
from analogsim.sweep.workers import Workers

HERE = Path(__file__).parent
ANALOGSIM = [sys.executable, "-c", "from analogsim.cli import main; main()"]


@pytest.fixture
def mischief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find broken.py."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))


def test_worker_processes_write_the_files_of_a_single_process(studies: Any) -> None:
    folder = studies.study()
    told = studies.drive(folder, Workers(2, "cpu"))
    assert studies.bytes_of(folder) == studies.undisturbed()
    assert [how.how for how in told.ended_.values()] == ["done"] * len(folder.plan.jobs)
    assert not list(folder.path.glob("jobs/*/checkpoint"))


def test_a_study_that_is_done_is_left_alone(studies: Any) -> None:
    folder = studies.study()
    studies.drive(folder, Here("cpu"))
    before = {path: path.stat().st_mtime_ns for path in folder.path.glob("jobs/*/*")}
    assert not studies.drive(folder, Here("cpu")).began_
    assert {path: path.stat().st_mtime_ns for path in folder.path.glob("jobs/*/*")} == before


def test_a_job_whose_worker_dies_goes_on_with_another(studies: Any, mischief: None) -> None:
    folder = studies.study()
    told = studies.drive(folder, Workers(1, "cpu", "broken:dies_once"))
    assert len(told.lost_) == 1
    assert studies.bytes_of(folder) == studies.undisturbed()


def test_a_job_that_kills_its_workers_fails_alone_and_can_be_tried_again(studies: Any, mischief: None) -> None:
    folder = studies.study()
    told = studies.drive(folder, Workers(1, "cpu", "broken:always_dies"))
    states = {job.id: (job.arm, folder.state(job)) for job in folder.plan.jobs}
    assert {state for arm, state in states.values() if arm == "danp"} == {"failed"}
    assert {state for arm, state in states.values() if arm != "danp"} == {"done"}
    cause = next(how.cause for how in told.ended_.values() if how.how == "failed")
    assert cause == "its worker process died 3 times: killed by SIGKILL"
    progress = Progress.of(folder)
    assert progress.to_data()["failed"] == {job: cause for job, (arm, _) in states.items() if arm == "danp"}
    assert not studies.drive(folder, Here("cpu")).began_  # what has failed is not tried again unasked
    studies.drive(folder, Here("cpu"), retry=True)
    assert studies.bytes_of(folder) == studies.undisturbed()
    assert not list(folder.path.glob("jobs/*/failure.json"))


def test_a_job_that_has_a_result_is_not_a_failure(studies: Any) -> None:
    folder = studies.study()
    studies.drive(folder, Here("cpu"))
    job = folder.plan.jobs[0]
    assert jobs.record_failure(folder.job(job), "its worker died").how == "done"
    assert not (folder.job(job) / "failure.json").exists()


def test_a_worker_that_is_killed_while_it_begins_is_replaced(
    studies: Any, mischief: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIES_AT_ITS_BEGINNING", "1")
    folder = studies.study()
    studies.drive(folder, Workers(1, "cpu", "dying:perform"))
    assert studies.bytes_of(folder) == studies.undisturbed()
    monkeypatch.setenv("DIES_AT_ITS_BEGINNING", "always")
    with pytest.raises(RunError, match="a worker process cannot begin: killed by SIGKILL"):
        studies.drive(studies.study(), Workers(1, "cpu", "dying:perform"))


def test_workers_that_cannot_begin_say_why(studies: Any, mischief: None) -> None:
    with pytest.raises(RunError, match=r"a worker process cannot begin: ended with code 1; .*no attribute 'nosuch'"):
        studies.drive(studies.study(), Workers(1, "cpu", "broken:nosuch"))


def test_a_job_that_cannot_run_is_a_failure_with_its_cause(studies: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = studies.study()
    load = jobs.load_scenario

    def damaged(path: str) -> Any:
        if path.endswith("0001.yaml"):
            raise ZeroDivisionError("a fault of ours")
        return load(path)

    monkeypatch.setattr(jobs, "load_scenario", damaged)
    studies.drive(folder, Here("cpu"))
    failed = [job for job in folder.plan.jobs if folder.state(job) == "failed"]
    assert {job.scenario for job in failed} == {"0001"}
    assert folder.failure(failed[0]).cause == "ZeroDivisionError: a fault of ours"
    assert "in damaged" in folder.failure(failed[0]).traceback
    assert {row.job for row in outcomes(folder)} == {job.id for job in folder.plan.jobs} - {job.id for job in failed}


def test_a_job_whose_checkpoint_is_of_another_release_begins_anew(
    studies: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StoppedError(BaseException):
        """Stands for a process's end."""

    class Stop(Nobody):
        def step(self, done: int) -> None:
            if done == 5:
                raise StoppedError

    folder = studies.study()
    job = next(job for job in folder.plan.jobs if job.arm == "danp")
    with pytest.raises(StoppedError):
        jobs.perform(folder.path, job, "cpu", watcher=Stop())
    assert list((folder.job(job) / "checkpoint").glob("*.pt"))
    monkeypatch.setattr("analogsim.study.checkpoint.CHECKPOINT_VERSION", 99)
    studies.drive(folder, Here("cpu"))
    assert studies.bytes_of(folder) == studies.undisturbed()


def test_a_second_driver_is_refused(studies: Any) -> None:
    folder = studies.study()
    with driving(folder), pytest.raises(RunError, match="another driver is at work on this study"):
        studies.drive(folder, Here("cpu"))
    studies.drive(folder, Here("cpu"))


def test_a_study_keeps_to_its_kind_of_device(studies: Any) -> None:
    folder = studies.study()
    assert folder.kind is None
    studies.drive(folder, Here("cpu"))
    assert folder.kind == "cpu"
    before = studies.bytes_of(folder)
    with pytest.raises(RunError, match="this study began on cpu, and cannot go on on cuda, which draws other random"):
        studies.drive(folder, Workers(1, "cuda"))
    assert studies.bytes_of(folder) == before


def test_a_full_disk_stops_the_study_and_loses_nothing(studies: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = studies.study()
    write = jobs.RunFolder.finish
    left = 2

    def finish(*arguments: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*arguments)

    monkeypatch.setattr(jobs.RunFolder, "finish", finish)
    with pytest.raises(StorageError, match=r"No space left on device.*What is done is kept; make room"):
        studies.drive(folder, Here("cpu"))
    assert sum(folder.state(job) == "done" for job in folder.plan.jobs) == 2
    assert not any(folder.state(job) == "failed" for job in folder.plan.jobs)
    monkeypatch.undo()
    studies.drive(folder, Here("cpu"))
    assert studies.bytes_of(folder) == studies.undisturbed()


def test_a_damaged_result_is_told_by_its_path(studies: Any) -> None:
    folder = studies.study()
    studies.drive(folder, Here("cpu"))
    result = folder.job(folder.plan.jobs[1]) / "result.json"
    result.write_bytes(result.read_bytes()[:100])
    with pytest.raises(RunError, match=r"00001-danp/result\.json: damaged: not JSON"):
        list(outcomes(folder))


def test_plans_of_other_versions_and_folders_that_are_none(studies: Any, tmp_path: Path) -> None:
    folder = studies.study()
    data = json.loads((folder.path / "plan.json").read_text())
    (folder.path / "plan.json").write_text(json.dumps({**data, "schema_version": 99, "release": "9.0"}))
    with pytest.raises(RunError, match=r"a study of schema version 99, made by release 9\.0; this release reads"):
        StudyFolder(folder.path)
    (folder.path / "plan.json").write_text(json.dumps({**data, "jobs": 3}))
    with pytest.raises(RunError, match=r"plan\.json: damaged: 1 fields are missing or wrong"):
        StudyFolder(folder.path)
    with pytest.raises(RunError, match=r"not the folder of a study: holds no plan\.json"):
        StudyFolder(tmp_path)
    with pytest.raises(RunError, match="there is no such folder"):
        StudyFolder(tmp_path / "none")


def test_every_chip_is_one_row_with_its_place(studies: Any) -> None:
    folder = studies.study({"axes": {**studies.axes, "arms.danp.samples": [2, 3]}, "noise": studies.noise, "seeds": 2})
    studies.drive(folder, Here("cpu"))
    table = list(outcomes(folder))
    danp = [row for row in table if row.family == "danp"]
    assert {row.arm for row in danp} == {"danp (samples 2)", "danp (samples 3)"}
    places = [(row.arm, *row.place.values(), *row.key) for row in danp]
    expected = {
        (f"danp (samples {samples})", bits, noise, seed, chip)
        for samples in (2, 3)
        for bits in ("4", "8")
        for noise in ("0 %", "3 %")
        for seed in ("0", "1")
        for chip in (0, 1)
    }
    assert len(places) == len(expected)
    assert set(places) == expected
    assert {row.place["chip.overrides.adc.bits"] for row in table if not row.reference} == {"4", "8"}
    assert {tuple(row.place) for row in table if row.reference} == {()}
    noisy = next(row for row in danp if row.place[studies.noise] == "3 %")
    result = folder.result(next(job for job in folder.plan.jobs if job.id == noisy.job))
    same = [
        chip
        for chip in result.arms["danp"].chips
        if chip.coordinates == {"seed": int(noisy.seed), "chip.profile.read_noise.0.sigma": "3 %", "chip": noisy.chip}
    ]
    assert [chip.final.test_accuracy for chip in same] == [noisy.accuracy]


@pytest.mark.slow
def test_a_small_disk(studies: Any, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], check=False)
    if mounted.returncode:
        pytest.skip("a tmpfs can only be mounted by root")
    command = [*ANALOGSIM, "sweep", "quickstart", "--out", str(disk), "--workers", "1"]
    command += ["--axis", "chip.overrides.adc.bits=3,4,5,6,7,8,9,10"]
    command += [text for setting in studies.settings for text in ("--set", setting)]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 2
        assert "Traceback" not in run.stderr
        assert "No space left on device" in run.stderr or "cannot be" in run.stderr
        (folder,) = map(StudyFolder, disk.iterdir())
        before = {job.id for job, _ in folder.results()}
        assert not any(folder.state(job) == "failed" for job in folder.plan.jobs)
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        again = [*ANALOGSIM, "resume", str(folder.path), "--workers", "1"]
        assert subprocess.run(again, capture_output=True, check=False).returncode == 0
        assert before < {job.id for job, _ in folder.results()}
        assert all(folder.state(job) == "done" for job in folder.plan.jobs)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_job_waits_for_a_process_that_is_about_to_let_go(studies: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = studies.study()
    job = folder.plan.jobs[0]
    jobs.RunFolder.begin(folder.job(job), jobs.only_arms(jobs.load_scenario(str(folder.point(job))), [job.arm]))
    (folder.job(job) / "checkpoint").mkdir()

    def holding(seconds: float) -> Any:
        with locked(folder.job(job) / "checkpoint" / "lock", ""):
            threading.Timer(seconds, let_go.set).start()
            held.set()
            let_go.wait()

    for patience, how in ((0.0, "failed"), (20.0, "done")):
        monkeypatch.setattr(jobs, "_LOCKED", patience)
        held, let_go = threading.Event(), threading.Event()
        thread = threading.Thread(target=holding, args=(1.0,))
        thread.start()
        held.wait()
        ended = jobs.perform(folder.path, job, "cpu")
        assert ended.how == how
        assert ("another process is working on this run" in ended.cause) == (how == "failed")
        thread.join()
