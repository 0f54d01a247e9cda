"""A worker that is killed before it is ready: the first time, or always."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from analogsim.outcomes import Job

_study = Path(next(word for word in sys.argv if (Path(word) / "plan.json").exists()))
if os.environ["DIES_AT_ITS_BEGINNING"] == "always" or not (_study / "died").exists():
    (_study / "died").touch()
    os.kill(os.getpid(), signal.SIGKILL)


def perform(study: Path, job: Job, device: str) -> Any:
    """What workers do."""
    from analogsim.sweep.job import perform as performed

    return performed(study, job, device)
