"""`analogsim status`: how far a study is."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analogsim._shell import typed
from analogsim.cli.run import Json

if TYPE_CHECKING:
    from analogsim.outcomes.progress import Progress

PAUSE = 2.0
"""Seconds between looks at a study that is watched."""


def status(
    study: Annotated[Path, typer.Argument(help="Folder of a study.", show_default=False)],
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew every two seconds, until it is done.")] = False,
    as_json: Json = False,
) -> None:
    """How far a study is: jobs done, running and failed, the time left, the best of each arm."""
    from rich.console import Console
    from rich.live import Live

    from analogsim._files import is_locked
    from analogsim.outcomes import StudyFolder
    from analogsim.outcomes.progress import Progress
    from analogsim.report.progress import progress_table

    folder = StudyFolder(study)
    progress = Progress.of(folder)
    driven = is_locked(folder.path / "lock")
    if as_json:
        typer.echo(json.dumps({**progress.to_data(len(progress.running) or 1), "driven": driven}, indent=1))
        return

    def shown() -> Any:
        return progress_table(progress, len(progress.running), pace=bool(progress.running))

    abandoned = not driven and progress.done + len(progress.failed) < progress.jobs
    if not watch:
        Console().print(shown(), crop=False)
        if abandoned:
            typer.echo(f"no driver of this machine is at work on it; to go on: analogsim resume {typed(study)}")
        return
    console = Console()
    if not console.is_terminal:
        if abandoned:
            typer.echo("no driver of this machine is at work on it", err=True)
        _told(progress)
        return
    with Live(get_renderable=shown, refresh_per_second=1, console=console):
        while progress.done + len(progress.failed) < progress.jobs:
            time.sleep(PAUSE)
            progress.look()


def _told(progress: Progress) -> None:
    """How far a study is, a line at each change, until it is done: for a file or a pipe, which shows no table anew."""
    last = ""
    while True:
        left = progress.jobs - progress.done - len(progress.failed)
        line = f"{progress.done} of {progress.jobs} jobs done, {len(progress.running)} running"
        line += f", {len(progress.failed)} failed" * bool(progress.failed)
        if line != last:
            typer.echo(line)
        if not left:
            return
        last = line
        time.sleep(PAUSE)
        progress.look()
