"""Make the folder of a study."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from analogsim._files import sync, write_text
from analogsim.errors import RunError
from analogsim.outcomes import StudyFolder, write_plan
from analogsim.study.scenario import to_data
from analogsim.sweep.planning import Draft
from device_models._yaml import dump_yaml


def begin(parent: Path, draft: Draft, data: Mapping[str, Any]) -> StudyFolder:
    """Make a new folder with a plan and the scenarios of its points; it appears whole.

    Args:
        parent: where it is made, as `<name>-<time>`.
        draft: of the study.
        data: the scenario as it was given, kept as scenario.yaml for people.

    Raises:
        RunError: it cannot be made.
    """
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    part = parent / f".{draft.plan.name}-{stamp}-{os.getpid()}.part"
    try:
        (part / "points").mkdir(parents=True)
        (part / "jobs").mkdir()
        for name, scenario in draft.points.items():
            (part / "points" / f"{name}.yaml").write_text(dump_yaml(to_data(scenario)), encoding="utf-8")
        write_text(part / "scenario.yaml", dump_yaml(dict(data)))
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
        sync(parent)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise RunError(f"{parent}: the study's folder cannot be made: {error.strerror}; choose another --out") from None
    return StudyFolder(path)
