"""`analogsim resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analogsim.cli.run import Check, Json, require_claims, show
from analogsim.cli.sweep import Board, Gpus, Ray, Workers, chosen_engine, go_on


def resume(
    run_dir: Annotated[
        Path, typer.Argument(help="Folder of a run, or of a study, that was interrupted.", show_default=False)
    ],
    device: Annotated[
        str, typer.Option("--device", help="auto (the kind that the run began on), cpu or cuda.")
    ] = "auto",
    check: Check = False,
    as_json: Json = False,
    workers: Workers = None,
    ray: Ray = None,
    gpus: Gpus = 1.0,
    retry: Annotated[bool, typer.Option("--retry", help="Of a study: try jobs again that have failed.")] = False,
    tensorboard: Board = False,
) -> None:
    """Go on with an interrupted run or study; its files become what they would have been."""
    from analogsim.outcomes import StudyFolder

    if StudyFolder.is_study(run_dir):
        _refuse("a study", json=as_json)
        study = StudyFolder(run_dir)
        if check:
            from analogsim.study.scenario import load_scenario

            point = next(job for job in study.plan.jobs if not job.reference)
            require_claims(load_scenario(study.point(point)), check)
        kind = study.kind if device == "auto" and study.kind else device
        go_on(study, chosen_engine(workers, ray, kind, gpus, tensorboard), retry, check)
        return
    _refuse("a run", workers=workers is not None, ray=ray is not None, retry=retry, tensorboard=tensorboard)
    _resume_run(run_dir, device, check, as_json)


def _refuse(what: str, **given: bool) -> None:
    """Refuse options that are not of what is resumed.

    Raises:
        ScenarioError: one is given.
    """
    from analogsim.errors import ScenarioError

    for name, has in given.items():
        if has:
            raise ScenarioError(f"--{name}: this is the folder of {what}, which has no such option; leave it out")


def _resume_run(run_dir: Path, device: str, check: bool, as_json: bool) -> None:
    from analogsim.cli.progress import Progress
    from analogsim.study.folder import RunFolder
    from analogsim.study.resume import resume as resume_run
    from analogsim.study.run import choose_device

    chosen = None if device == "auto" else choose_device(device)
    scenario = RunFolder.open(run_dir).scenario()
    require_claims(scenario, check)
    with Progress(len(scenario.arms)) as progress:
        folder = resume_run(run_dir, chosen, progress)
    show(folder.path, as_json, scenario, check)
