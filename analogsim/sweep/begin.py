"""Make the folder of a study."""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path

from analogsim._files import sync_names, write_text, write_texts
from analogsim.errors import RunError
from analogsim.outcomes import StudyFolder, write_plan
from analogsim.study.scenario import to_data
from analogsim.sweep.planning import Draft
from device_models._yaml import dump_yaml


def begin(parent: Path, draft: Draft) -> StudyFolder:
    """Make a new folder with a plan and the scenarios of its points; it appears whole, also when power is cut.

    Args:
        parent: where it is made, as `<name>-<time>`.
        draft: of the study.

    Raises:
        RunError: it cannot be made.
    """
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    part = parent / f".{draft.plan.name}-{stamp}-{os.getpid()}.part"
    try:
        (part / "points").mkdir(parents=True)
        (part / "jobs").mkdir()
        points = ((f"{name}.yaml", dump_yaml(to_data(scenario))) for name, scenario in draft.points.items())
        write_texts(part / "points", points)
        write_text(part / "scenario.yaml", dump_yaml(draft.scenario))
        write_plan(draft.plan, part / "plan.json")
        for number in range(1000):
            path = parent / (f"{draft.plan.name}-{stamp}" + (f"-{number}" if number else ""))
            try:
                os.rename(part, path)
                break
            except OSError as error:
                if not path.exists():
                    raise error
        else:
            raise RunError(f"{parent}: holds a thousand studies of {draft.plan.name} of this second already")
        sync_names(parent)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise RunError(f"{parent}: the study's folder cannot be made: {error.strerror}; choose another --out") from None
    return StudyFolder(path)
