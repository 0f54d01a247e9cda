"""One job: a run of one arm at one point, begun or gone on with, in the job's folder."""

from __future__ import annotations

import errno
import json
import os
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from analogsim._files import write_text
from analogsim.errors import AnalogsimError, BusyError, OtherVersionError, StorageError
from analogsim.outcomes import Job, StudyFolder
from analogsim.study.checkpoint import Checkpoints
from analogsim.study.folder import RunFolder
from analogsim.study.resume import resume
from analogsim.study.run import Nobody, Watcher, load_data
from analogsim.study.scenario import load_scenario, only_arms
from analogsim.study.schema import Scenario
from analogsim.sweep.tensorboard import SWITCH, Board
from analogsim.tasks import DataSet

_LOCKED = 120.0  # seconds in which a process that was killed lets go; a file server keeps locks of a dead node longer


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Attributes:
        how: `done`; `failed`: the job's own fault, which is written in its folder; `stopped`: nobody's fault but that
            of the machine, such as a full disk, and nothing was written.
        cause: of the latter two, one sentence.
    """

    how: Literal["done", "failed", "stopped"]
    cause: str = ""


def perform(study: Path, job: Job, device: str, data: DataSet | None = None, watcher: Watcher | None = None) -> Ended:
    """Work off a job from where it stands, to its result or its failure.

    Args:
        study: the folder of the study.
        job: of it.
        device: to simulate on: `cpu`, `cuda`, `cuda:1`.
        data: its data set, if it is at hand; None: it is loaded, once in a process for each kind.
        watcher: is told how it goes on.
    """
    folder = study / "jobs" / job.id
    try:
        (folder / "failure.json").unlink(missing_ok=True)
        begun = _begun(study / "points" / f"{job.scenario}.yaml", folder, job.arm)
        scenario = begun.scenario()
        if data is None and isinstance(scenario, Scenario):
            data = _DATA_SETS.of(scenario)
        if watcher is None and os.environ.get(SWITCH):
            watcher = Board(study, job, begun.curves(job.arm))
        _resumed(folder, torch.device(device), watcher or Nobody(), data)
    except Exception as error:
        cause = _sentence(error)
        if _of_the_machine(error):
            return Ended("stopped", cause)
        told = "" if isinstance(error, AnalogsimError) else "".join(traceback.format_exception(error))
        return record_failure(folder, cause, told)
    return Ended("done")


def record_failure(folder: Path, cause: str, told: str = "") -> Ended:
    """Write down that a job has failed; its checkpoint stays, for a retry. One that has a result is done."""
    if (folder / "result.json").exists():
        return Ended("done")
    try:
        folder.mkdir(exist_ok=True)
        write_text(folder / "failure.json", json.dumps({"cause": cause, "traceback": told}, indent=1) + "\n")
    except OSError as error:
        return Ended("stopped", f"{folder}: cannot be written: {error.strerror}")
    return Ended("failed", cause)


def _begun(point: Path, folder: Path, arm: str) -> RunFolder:
    """The job's folder, with its scenario in it."""
    if not (folder / "scenario.yaml").exists():
        RunFolder.begin(folder, only_arms(load_scenario(str(point)), [arm]))
    return RunFolder.open(folder)


def _resumed(folder: Path, device: torch.device, watcher: Watcher, data: DataSet | None) -> None:
    """Go on with it; a process that was killed may keep its lock for a moment."""
    deadline = time.monotonic() + _LOCKED
    while True:
        try:
            resume(folder, device, watcher, data)
            return
        except OtherVersionError as error:  # no retry would cure that, and nothing else is lost by it
            watcher.note(f"{error}. The job begins anew")
            Checkpoints(folder / "checkpoint").clear()
        except BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


class _DataSets:
    """The data sets that a process used last, so that jobs of one kind load theirs once."""

    def __init__(self, kept: int = 2) -> None:
        self._kept, self._held = kept, dict[str, DataSet]()

    def of(self, scenario: Scenario) -> DataSet:
        """The data set of a scenario."""
        key = name_of_data(scenario)
        data = self._held.pop(key, None)
        self._held[key] = data = load_data(scenario) if data is None else data
        while len(self._held) > self._kept:
            del self._held[next(iter(self._held))]
        return data


_DATA_SETS = _DataSets()


def name_of_data(scenario: Scenario) -> str:
    """Tells data sets of scenarios apart; what a run makes of one aside."""
    return scenario.data.model_dump_json(exclude={"batch", "loss", "corruption"})


def data_of(study: StudyFolder, job: Job) -> tuple[str, DataSet] | None:
    """(what tells it from others, the data set) of a job's point; None of a kind without.

    Raises:
        ScenarioError: it cannot be had so.
        DataError: its files are missing or damaged.
    """
    scenario = load_scenario(str(study.point(job)))
    return (name_of_data(scenario), _DATA_SETS.of(scenario)) if isinstance(scenario, Scenario) else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def _of_the_machine(error: BaseException) -> bool:
    """Whether the next job would meet the same: a disk that is full, or cannot be written."""
    codes = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
    return any(
        isinstance(each, StorageError) or (isinstance(each, OSError) and each.errno in codes) for each in _chain(error)
    )


def _sentence(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text if isinstance(error, AnalogsimError) else f"{type(error).__name__}: {text}"
