"""What works off jobs: in this process, in processes of its own, or on a cluster. All write the same result files."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from analogsim.outcomes import Job
from analogsim.sweep.job import Ended, perform

LOSSES = 3
"""So often a job is given to another worker when the one that had it died; then it has failed."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a job: it begins, ends, or is lost with its worker and begins again.

    Attributes:
        job: that it happened to.
        ended: how it ended; None: it begins.
        lost: of a job that was lost, why.
    """

    job: Job
    ended: Ended | None = None
    lost: str = ""


class Engine(Protocol):
    """Works off jobs of one study.

    Attributes:
        slots: how many jobs it works on at a time, as far as that is known.
        kind: of device that it simulates on: `cpu`, `cuda`.
    """

    @property
    def slots(self) -> int: ...

    @property
    def kind(self) -> str: ...

    def work(self, study: Path, jobs: Sequence[Job], threads: int) -> Generator[Event]:
        """Work them off, and tell what happens. Closing it ends all work.

        Args:
            study: the folder of the study.
            jobs: in the order in which they begin.
            threads: of each job.

        Raises:
            RunError: the engine cannot work here.
        """
        ...


class Here:
    """Works off one job after the other in this process.

    Args:
        device: to simulate on.
    """

    slots = 1

    def __init__(self, device: str) -> None:
        self._device, self.kind = device, device.partition(":")[0]

    def work(self, study: Path, jobs: Sequence[Job], threads: int) -> Generator[Event]:
        """Work them off; see `Engine.work`."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            for job in jobs:
                yield Event(job)
                yield Event(job, perform(study, job, self._device))
        finally:
            torch.set_num_threads(before)
