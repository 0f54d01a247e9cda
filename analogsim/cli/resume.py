"""`analogsim resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analogsim.cli.run import Check, Json, require_claims, show


def resume(
    run_dir: Annotated[Path, typer.Argument(help="Folder of a run that was interrupted.", show_default=False)],
    device: Annotated[
        str, typer.Option("--device", help="auto (the kind that the run began on), cpu or cuda.")
    ] = "auto",
    check: Check = False,
    as_json: Json = False,
) -> None:
    """Go on with an interrupted run from its last checkpoint; its files become what they would have been."""
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
