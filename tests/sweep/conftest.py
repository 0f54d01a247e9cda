"""Studies of a tiny scenario."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analogsim.outcomes import Job, StudyFolder
from analogsim.study.scenario import read_scenario
from analogsim.sweep.begin import begin
from analogsim.sweep.drive import Unwatched, drive
from analogsim.sweep.engine import Engine, Here
from analogsim.sweep.job import Ended
from analogsim.sweep.planning import Draft, make_plan

SETTINGS = [
    "network.layers=[8, 10]",
    "chip.population=2",
    "data.batch=100",
    "data.samples=400",
    "train={epochs: 2, optimizer: {adam: {lr: 3.0e-3}}, evaluate_every: 3 steps, checkpoint_every: 2 steps}",
    "arms={danp: {rule: danp, samples: 2}, bp: {rule: bp, oracle: [output_error, transposed_read]}}",
]
NOISE = "chip.overrides.read_noise.sigma"
AXES = {"chip.overrides.adc.bits": [4, 8], NOISE: ["0 %", "3 %"]}
FILES = ("scenario.yaml", "metrics.jsonl", "result.json")


class Told(Unwatched):
    """Keeps what a driver told."""

    def __init__(self) -> None:
        self.began_: list[str] = []
        self.ended_: dict[str, Ended] = {}
        self.lost_: list[str] = []

    def began(self, job: Job) -> None:
        self.began_.append(job.id)

    def ended(self, job: Job, how: Ended) -> None:
        self.ended_[job.id] = how

    def lost(self, job: Job, why: str) -> None:
        self.lost_.append(job.id)


def plan(more: Mapping[str, Any] | None = None, *settings: str) -> Draft:
    """The plan of a tiny study: 5 jobs."""
    return make_plan(*read_scenario("quickstart", [*SETTINGS, *settings]), more or {"axes": AXES, "noise": NOISE})


def study(parent: Path, more: Mapping[str, Any] | None = None, *settings: str) -> StudyFolder:
    """The folder of such a study, of which nothing has run."""
    return begin(parent, plan(more, *settings))


def bytes_of(folder: StudyFolder) -> dict[str, bytes]:
    """The result files of all jobs that are there."""
    files = sorted(folder.path.glob("jobs/*/*"))
    return {str(file.relative_to(folder.path)): file.read_bytes() for file in files if file.name in FILES}


_undisturbed: dict[str, bytes] = {}


def undisturbed(tmp: Path) -> dict[str, bytes]:
    """The files of the tiny study, worked off in this process."""
    if not _undisturbed:
        folder = study(tmp / "undisturbed")
        drive(folder, Here("cpu"))
        _undisturbed.update(bytes_of(folder))
    return _undisturbed


@pytest.fixture
def studies(tmp_path: Path) -> Any:
    """What tests of studies need."""

    def driven(folder: StudyFolder, engine: Engine, retry: bool = False) -> Told:
        told = Told()
        drive(folder, engine, told, retry)
        return told

    return SimpleNamespace(
        plan=plan,
        study=lambda *arguments: study(tmp_path / "studies", *arguments),
        bytes_of=bytes_of,
        undisturbed=lambda: undisturbed(tmp_path),
        drive=driven,
        axes=AXES,
        noise=NOISE,
        settings=SETTINGS,
    )
