"""Running one arm, so that a kill costs little: its run folder has checkpoints, and its file appears at the end."""

from __future__ import annotations

import json
from typing import Any

import torch

from analogsim.bench.head import head
from analogsim.errors import AnalogsimError
from analogsim.results import read_curves, read_result
from analogsim.study.folder import RunFolder
from analogsim.study.resume import resume
from analogsim.study.run import Watcher, run
from reproduction.jobs import ROOT, Job, what_counts
from reproduction.joined import further, together

WORK = ROOT / "runs" / "papers"


def work(job: Job, device: torch.device, watcher: Watcher | None = None) -> dict[str, Any]:
    """Run an arm, or go on with it, and keep its result; further chips join those that its file holds.

    Returns:
        The machine that it was run on, and the seconds that it took.

    Raises:
        AnalogsimError: it cannot be run.
    """
    scenario, parent = job.scenario(), WORK / job.paper / job.arm
    begun = [folder for folder in map(RunFolder, sorted(parent.glob("*/"))) if _is_of(folder, what_counts(scenario))]
    folder = resume(begun[-1].path, device, watcher) if begun else run(scenario, parent, device, watcher)
    told, now = json.loads((folder.path / "info.json").read_text()), head(device)
    machine = {key: now[key] for key in ("date", "hardware", "cores", "device", "compiled_loops")}
    machine |= {key: told[key] for key in ("threads", "versions", "wall_seconds")}
    found = read_result(folder.path / "result.json"), read_curves(folder.path / "metrics.jsonl"), machine
    held = job.held()
    if held is not None and not job.outdated(held) and further(job, held):
        together(job, held, *found)
    else:
        job.keep(scenario, *found)
    return machine


def _is_of(folder: RunFolder, wanted: dict[str, Any]) -> bool:
    """Whether a folder holds a run of this scenario."""
    try:
        return what_counts(folder.scenario()) == wanted
    except AnalogsimError:
        return False
