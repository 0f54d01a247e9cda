"""How far a study is: what is done, running and failed, the time left, and the best of each arm so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from analogsim._files import is_locked
from analogsim.outcomes.folder import StudyFolder
from analogsim.outcomes.plan import Job
from analogsim.outcomes.tidy import Outcome, rows
from analogsim.results import interval


@dataclass
class ArmProgress:
    """How far an arm is.

    Attributes:
        jobs, done, failed, diverged: numbers of jobs, and of chips that diverged.
        best: mean accuracy (or, where there is none, loss) at its best point so far, and that point; None: none yet.
        accurate: whether that is an accuracy.
        marks: what makes the arm a comparison.
    """

    jobs: int = 0
    done: int = 0
    failed: int = 0
    diverged: int = 0
    best: tuple[float, dict[str, str]] | None = None
    accurate: bool = True
    marks: tuple[str, ...] = ()


@dataclass
class Progress:
    """How far a study is; kept up to date by `began` and `ended`, or by `look`.

    A result is read once: a job that is done stays so. One that has failed may be tried again.

    Attributes:
        folder: of the study.
        arms: by name.
        running: jobs under way on this machine.
        failed: jobs that have failed.
        seconds: that finished jobs took, in wall time.
        weights: chips of the jobs to which these belong.
        left: chips of the jobs that have not ended.
    """

    folder: StudyFolder
    arms: dict[str, ArmProgress] = field(default_factory=dict)
    running: dict[str, Job] = field(default_factory=dict)
    failed: dict[str, Job] = field(default_factory=dict)
    done: int = 0
    seconds: float = 0.0
    weights: int = 0
    left: int = 0
    _done: set[str] = field(default_factory=set, init=False, repr=False)

    @classmethod
    def of(cls, folder: StudyFolder) -> Progress:
        """As the folder says; of jobs that were begun, those are running whose lock a process holds.

        Raises:
            RunError: a result is damaged.
        """
        progress = cls(folder)
        for job in folder.plan.jobs:
            progress.arms.setdefault(job.arm, ArmProgress()).jobs += 1
            progress.left += job.chips
        progress.look()
        return progress

    def look(self) -> None:
        """Take in what the folder says by now; only results that have come since are read.

        Raises:
            RunError: a result is damaged.
        """
        running: dict[str, Job] = {}
        for job in self.folder.plan.jobs:
            if job.id in self._done:
                continue
            state = self.folder.state(job)
            if state == "failed" and job.id in self.failed:
                continue
            self._again(job)
            if state in ("done", "failed"):
                self.ended(job, state == "failed")
            elif state == "begun" and is_locked(self.folder.job(job) / "checkpoint" / "lock"):
                running[job.id] = job
        self.running = running

    @property
    def jobs(self) -> int:
        """Of the whole study."""
        return len(self.folder.plan.jobs)

    def began(self, job: Job) -> None:
        """A job begins, or begins again."""
        self.running[job.id] = job
        self._again(job)

    def _again(self, job: Job) -> None:
        """One that had failed is tried again."""
        if self.failed.pop(job.id, None):
            self.arms[job.arm].failed -= 1
            self.left += job.chips

    def ended(self, job: Job, failed: bool) -> None:
        """A job has ended.

        Raises:
            RunError: its result is damaged.
        """
        self.running.pop(job.id, None)
        arm = self.arms[job.arm]
        self.left -= job.chips
        if failed:
            arm.failed += 1
            self.failed[job.id] = job
            return
        arm.done += 1
        self.done += 1
        self._done.add(job.id)
        seconds = self.folder.seconds(job)
        if seconds is not None:
            self.seconds += seconds
            self.weights += job.chips
        self._judge(arm, list(rows(self.folder.plan, job, self.folder.result(job))))

    def time_left(self, slots: int) -> float | None:
        """Seconds that the rest takes at the pace of what is done, by chips; None: nothing is done yet."""
        return self.seconds / self.weights * self.left / max(1, slots) if self.weights else None

    def _judge(self, arm: ArmProgress, table: Sequence[Outcome]) -> None:
        points: dict[str, tuple[dict[str, str], list[Outcome]]] = {}
        for row in table:
            arm.diverged += row.status == "diverged"
            arm.marks = row.marks
            points.setdefault(repr(row.place), (row.place, []))[1].append(row)
        for place, found in points.values():
            arm.accurate = any(row.best_accuracy is not None for row in found)
            values = [row.accuracy or 0.0 if arm.accurate else _finite(row.loss) for row in found]
            mean = interval(values)[0] if all(map(math.isfinite, values)) else math.inf
            if arm.best is None or (mean > arm.best[0] if arm.accurate else mean < arm.best[0]):
                arm.best = mean, place

    def to_data(self, slots: int = 1) -> dict[str, Any]:
        """As plain data."""
        return {
            "study": str(self.folder.path),
            "jobs": self.jobs,
            "done": self.done,
            "running": sorted(self.running),
            "failed": {name: self.folder.failure(job).cause for name, job in sorted(self.failed.items())},
            "seconds_left": self.time_left(slots),
            "arms": {
                name: {
                    "jobs": arm.jobs,
                    "done": arm.done,
                    "failed": arm.failed,
                    "diverged_chips": arm.diverged,
                    "best": None if arm.best is None or math.isinf(arm.best[0]) else arm.best[0],
                    "at": None if arm.best is None else arm.best[1],
                }
                for name, arm in self.arms.items()
            },
        }


def _finite(loss: float | None) -> float:
    return math.inf if loss is None else loss
