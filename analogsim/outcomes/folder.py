"""The folder of a study, and where its jobs stand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from analogsim.errors import RunError
from analogsim.outcomes.plan import Job, Plan, read_plan
from analogsim.results import Curve, Result, read_curves, read_result

JobState = Literal["done", "failed", "begun", "waiting"]
"""Where a job stands: `begun` is running, or was interrupted."""


@dataclass(frozen=True)
class Failure:
    """Why a job ended without a result.

    Attributes:
        cause: one sentence.
        traceback: for those who look for a fault in the simulator; empty where there is none.
    """

    cause: str
    traceback: str = ""


class StudyFolder:
    """`<parent>/<name>-<time>/` with plan.json, scenario.yaml, points/*.yaml and jobs/<id>/.

    A job's folder is that of a run of one arm: scenario.yaml, metrics.jsonl, result.json, info.json. Without a result
    it has a checkpoint/, or failure.json.

    Attributes:
        path: of the folder.
        plan: of the study.

    Raises:
        RunError: it is no study's folder, or its plan is damaged or of another version.
    """

    def __init__(self, path: Path) -> None:
        if not self.is_study(path):
            what = "holds no plan.json" if path.is_dir() else "there is no such folder"
            raise RunError(f"{path}: not the folder of a study: {what}; give the one that `analogsim sweep` made")
        self.path = path
        self.plan: Plan = read_plan(path / "plan.json")

    @staticmethod
    def is_study(path: Path) -> bool:
        """Whether a folder is that of a study."""
        return (path / "plan.json").is_file()

    @property
    def kind(self) -> str | None:
        """Of device that its jobs are simulated on; None: none has begun."""
        try:
            return (self.path / "device").read_text(encoding="utf-8").strip()
        except OSError:
            return None

    def job(self, job: Job) -> Path:
        """The folder of a job."""
        return self.path / "jobs" / job.id

    def point(self, job: Job) -> Path:
        """The scenario of a job's point, with all of its arms."""
        return self.path / "points" / f"{job.scenario}.yaml"

    def state(self, job: Job) -> JobState:
        """Where a job stands."""
        folder = self.job(job)
        if (folder / "result.json").exists():
            return "done"
        if (folder / "failure.json").exists():
            return "failed"
        return "begun" if (folder / "scenario.yaml").exists() else "waiting"

    def result(self, job: Job) -> Result:
        """Of a job that is done.

        Raises:
            RunError: it is missing or damaged.
        """
        return read_result(self.job(job) / "result.json")

    def results(self) -> Iterator[tuple[Job, Result]]:
        """Of all jobs that are done.

        Raises:
            RunError: one is damaged.
        """
        for job in self.plan.jobs:
            if self.state(job) == "done":
                yield job, self.result(job)

    def curves(self, job: Job) -> list[Curve]:
        """Evaluations of a job so far."""
        path = self.job(job) / "metrics.jsonl"
        return read_curves(path) if path.exists() else []

    def scenario_text(self, job: Job) -> str:
        """The resolved scenario of a job that was begun, as YAML."""
        return (self.job(job) / "scenario.yaml").read_text(encoding="utf-8")

    def failure(self, job: Job) -> Failure:
        """Why a job failed."""
        try:
            data = json.loads((self.job(job) / "failure.json").read_text(encoding="utf-8"))
            return Failure(data["cause"], data.get("traceback", ""))
        except (OSError, ValueError, KeyError, TypeError):
            return Failure("unknown: failure.json is damaged")

    def seconds(self, job: Job) -> float | None:
        """What a finished job took, in wall time; None where that is not told."""
        try:
            return float(json.loads((self.job(job) / "info.json").read_text(encoding="utf-8"))["wall_seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
