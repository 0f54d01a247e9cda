"""What workers do in tests of the engine: `analogsim.sweep.job:perform`, and mischief at chosen jobs."""

import os
import signal
from pathlib import Path
from typing import Any

from analogsim.outcomes import Job


def dies_once(study: Path, job: Job, device: str) -> Any:
    """Kills itself at the first job of danp, the first time."""
    mark = study / "died"
    if job.arm == "danp" and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return _performed(study, job, device)


def always_dies(study: Path, job: Job, device: str) -> Any:
    """Kills itself at every job of danp."""
    if job.arm == "danp":
        os.kill(os.getpid(), signal.SIGKILL)
    return _performed(study, job, device)


def _performed(study: Path, job: Job, device: str) -> Any:
    from analogsim.sweep.job import perform  # takes seconds, which the dead need not

    return perform(study, job, device)
