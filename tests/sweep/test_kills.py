"""`kill -9` of workers and of drivers at any moment: after a resume, results are those of an undisturbed study."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from analogsim.outcomes import StudyFolder
from analogsim.sweep.engine import Here

ANALOGSIM = [sys.executable, "-c", "from analogsim.cli import main; main()"]


def resumed(folder: StudyFolder) -> subprocess.Popen[bytes]:
    """A driver that goes on with a study, with two workers."""
    command = [*ANALOGSIM, "resume", str(folder.path), "--workers", "2", "--device", "cpu"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def children(process: subprocess.Popen[bytes]) -> list[int]:
    """Its worker processes."""
    try:
        return [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    except OSError:
        return []


def begun(folder: StudyFolder) -> set[str]:
    """Jobs that were begun and are not done."""
    return {job.id for job in folder.plan.jobs if folder.state(job) == "begun"}


def wait_until_working(process: subprocess.Popen[bytes], folder: StudyFolder, done: int) -> None:
    """Until more jobs are done than before, and one is under way."""
    while process.poll() is None and (len(results(folder)) <= done or not begun(folder)):
        time.sleep(0.01)


def results(folder: StudyFolder) -> set[str]:
    """Jobs that are done."""
    return {job.id for job in folder.plan.jobs if folder.state(job) == "done"}


def gone(workers: list[int]) -> None:
    """Wait until the workers of a dead driver have noticed."""
    deadline = time.monotonic() + 20
    for worker in workers:
        while Path(f"/proc/{worker}").exists() and "Z" not in Path(f"/proc/{worker}/stat").read_text().split()[2]:
            assert time.monotonic() < deadline, "a worker outlives its driver"
            time.sleep(0.02)


def test_a_killed_driver_and_a_killed_worker_lose_nothing(studies: Any) -> None:
    folder = studies.study()
    driver = resumed(folder)
    wait_until_working(driver, folder, 0)
    workers = children(driver)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    before = results(folder)
    assert before
    assert len(before) < len(folder.plan.jobs)
    gone(workers)
    driver = resumed(folder)
    wait_until_working(driver, folder, len(before))
    for worker in children(driver)[:1]:
        os.kill(worker, signal.SIGKILL)
    assert driver.wait() == 0
    assert studies.bytes_of(folder) == studies.undisturbed()


@pytest.mark.slow
def test_twenty_kills_of_a_study_of_200_jobs(studies: Any) -> None:
    axes = {
        "chip.overrides.adc.bits": [4, 5, 6, 7, 8],
        "chip.overrides.dac.bits": [5, 6, 7, 8],
        "chip.tile": [16, 32, 64, 128, 256],
    }
    more = {"axes": axes}
    undisturbed = studies.study(more)
    assert len(undisturbed.plan.jobs) == 200
    studies.drive(undisturbed, Here("cpu"))
    folder = studies.study(more)
    chance, kills = random.Random(0), 0
    done: set[str] = set()
    while kills < 20:
        driver = resumed(folder)
        wait_until_working(driver, folder, len(done))
        time.sleep(chance.uniform(0.0, 1.0))
        workers = children(driver)
        victim = driver.pid if kills % 2 == 0 or not workers else chance.choice(workers)
        assert driver.poll() is None, "the study was done before the last kill"
        os.kill(victim, signal.SIGKILL)
        kills += 1
        if victim != driver.pid:
            time.sleep(chance.uniform(0.0, 1.0))
            driver.send_signal(signal.SIGKILL)
        driver.wait()
        gone(workers)
        assert done <= results(folder), "a result was lost"
        done = results(folder)
    assert resumed(folder).wait() == 0
    assert studies.bytes_of(folder) == studies.bytes_of(undisturbed)
    assert not list(folder.path.glob("jobs/*/failure.json"))
