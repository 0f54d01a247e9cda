"""What working off a study costs beside its jobs: jobs a minute with one and two workers, and the driver alone.

    python benchmarks/study_cost.py pace [--jobs 40]        real jobs of a second or two, one worker, then two
    python benchmarks/study_cost.py driver [--jobs 10000]   jobs that do nothing but leave a result: time, memory
    python benchmarks/study_cost.py plan [--jobs 1000]      planning a study, judging its points, making its folder

Nothing else should run meanwhile. Ratios are of one run; memory is what the driver holds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analogsim.outcomes import Job, StudyFolder, write_plan
from analogsim.outcomes.progress import Progress
from analogsim.study.scenario import read_scenario
from analogsim.sweep.begin import begin
from analogsim.sweep.drive import Unwatched, drive
from analogsim.sweep.feasible import require_feasible
from analogsim.sweep.job import Ended
from analogsim.sweep.planning import Draft, make_plan
from analogsim.sweep.workers import Workers

SETTINGS = (
    "network.layers=[32, 10]",
    "chip.population=4",
    "train={epochs: 20, optimizer: {adam: {lr: 3.0e-3}}, evaluate_every: 5 epochs}",
    "arms={danp: {rule: danp, samples: 2}}",
)


def nothing(study: Path, job: Job, device: str) -> Ended:
    """What a worker does with a job that does nothing: leaves the result of another."""
    folder = study / "jobs" / job.id
    folder.mkdir()
    for name in ("result.json", "info.json"):
        shutil.copyfile(study / "template" / name, folder / name)
    return Ended("done")


class Clock(Unwatched):
    """Notes when the first job begins: what workers take to begin is over by then."""

    def __init__(self) -> None:
        self.start = 0.0

    def began(self, job: Job) -> None:
        """A job begins."""
        self.start = self.start or time.perf_counter()


class Watch(Unwatched):
    """Keeps count as the command line does, and notes the driver's memory now and then."""

    def __init__(self, folder: StudyFolder, every: int) -> None:
        self._progress, self._every = Progress.of(folder), every
        self.memory: list[int] = []
        self.start = 0.0

    def ended(self, job: Job, how: Ended) -> None:
        """A job has ended."""
        self.start = self.start or time.perf_counter()
        self._progress.ended(job, failed=False)
        if self._progress.done % self._every == 0:
            self.memory.append(_resident())


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _draft(jobs: int, *settings: str) -> Draft:
    data = read_scenario("quickstart", [*SETTINGS, *settings])
    sigmas = [f"{1 + 0.001 * n:g} %" for n in range(jobs)]
    return make_plan(*data, {"axes": {"chip.overrides.read_noise.sigma": sigmas}, "fold": "none"})


def pace(jobs: int) -> None:
    """Jobs a minute, with one worker and with two."""
    minutes = {}
    for workers in (1, 2):
        with _folder() as parent:
            study = begin(parent, _draft(jobs))
            clock = Clock()
            drive(study, Workers(workers, "cpu"), clock)
            minutes[workers] = (time.perf_counter() - clock.start) / 60
            inside = sum(study.seconds(job) or 0.0 for job in study.plan.jobs) / 60
            share = inside / (workers * minutes[workers])
            print(f"{workers} workers: {jobs / minutes[workers]:.1f} jobs a minute, {share:.0%} of their time in jobs")
    print(f"ratio of two workers to one: {minutes[1] / minutes[2]:.2f}")


def driver(jobs: int) -> None:
    """What the driver takes for each job, and whether its memory grows."""
    with _folder() as parent:
        study = begin(parent, _draft(1))
        drive(study, Workers(1, "cpu"))
        shutil.move(study.path / "jobs" / study.plan.jobs[0].id, study.path / "template")
        (first,) = study.plan.jobs
        copies = tuple(first.model_copy(update={"id": f"{n:05d}-danp"}) for n in range(jobs))
        (study.path / "plan.json").unlink()
        write_plan(study.plan.model_copy(update={"jobs": copies}), study.path / "plan.json")
        study = StudyFolder(study.path)
        watch = Watch(study, max(1, jobs // 10))
        drive(study, Workers(2, "cpu", "study_cost:nothing"), watch)
        seconds = time.perf_counter() - watch.start
        print(
            f"{jobs} jobs that do nothing, two workers: {1e3 * seconds / jobs:.2f} ms for each, once workers have begun"
        )
        held = ", ".join(f"{kib / 1024:.0f}" for kib in watch.memory)
        print(f"memory of the driver after each tenth, MiB: {held}")
        start = time.perf_counter()
        Progress.of(study)
        print(f"status of {jobs} jobs that are done: {1e3 * (time.perf_counter() - start) / jobs:.2f} ms for each")


def plan(jobs: int) -> None:
    """What planning takes for each point, and judging whether it can run."""
    with _folder() as parent:
        start = time.perf_counter()
        draft = _draft(jobs)
        planned = time.perf_counter()
        require_feasible(draft)
        judged = time.perf_counter()
        begin(parent, draft)
        written = time.perf_counter()
    print(f"{jobs} points: {1e3 * (planned - start) / jobs:.1f} ms for each to plan, ", end="")
    print(f"{1e3 * (judged - planned) / jobs:.1f} ms to judge, {1e3 * (written - judged) / jobs:.1f} ms to write")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["pace", "driver", "plan"])
    parser.add_argument("--jobs", type=int)
    given = parser.parse_args()
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    {"pace": pace, "driver": driver, "plan": plan}[given.what](
        given.jobs or {"pace": 40, "driver": 10000, "plan": 1000}[given.what]
    )


if __name__ == "__main__":
    main()
