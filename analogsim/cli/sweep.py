"""`analogsim sweep`, and how a study goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analogsim._shell import typed
from analogsim.cli.run import Arms, Check, Settings, require_claims

if TYPE_CHECKING:
    from analogsim.outcomes import Job, StudyFolder
    from analogsim.sweep.drive import StudyWatcher
    from analogsim.sweep.engine import Engine
    from analogsim.sweep.job import Ended

Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=0,
        help="Worker processes; one for each core, or GPU, unless given. 0: in this process.",
        show_default=False,
    ),
]
Ray = Annotated[
    str | None,
    typer.Option("--ray", metavar="ADDRESS", help="Work on a Ray cluster: its address, auto, or local."),
]
Gpus = Annotated[float, typer.Option("--gpus", metavar="SHARE", help="Of a GPU, for each job on Ray with cuda.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda; on Ray auto is cpu.")]
Board = Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard event files into the study.")]


def sweep(
    scenario: Annotated[str, typer.Argument(help="Name of a packaged scenario, or path of a .yaml file.")],
    axes: Annotated[
        list[str] | None,
        typer.Option(
            "--axis",
            metavar="PATH=V1,V2",
            help="An axis: a setting and its values, in the place of the scenario's own of that path. Repeatable.",
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", min=1, help="Repeats, from the scenario's seed on.")] = None,
    noise: Annotated[
        str | None, typer.Option("--noise", metavar="PATH", help="The axis along which rules are to survive.")
    ] = None,
    settings: Settings = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A short look: apply the scenario's `quick` settings.")
    ] = False,
    arms: Arms = None,
    workers: Workers = None,
    ray: Ray = None,
    device: Device = "auto",
    gpus: Gpus = 1.0,
    out: Annotated[Path, typer.Option("--out", help="Where the study's folder is made.")] = Path("runs"),
    plan: Annotated[bool, typer.Option("--plan", help="Only show the plan; nothing is written or run.")] = False,
    tensorboard: Board = False,
    check: Check = False,
) -> None:
    """Make a study of a scenario: every arm at every point of the axes, over worker processes or a cluster."""
    from analogsim.errors import DataError, ScenarioError
    from analogsim.study.scenario import read_scenario
    from analogsim.sweep.axes import parse_axes
    from analogsim.sweep.begin import begin
    from analogsim.sweep.feasible import require_feasible
    from analogsim.sweep.planning import make_plan

    data, where, folder = read_scenario(scenario, settings or [], quick)
    if arms:
        known = data.get("arms")
        if not isinstance(known, dict):
            raise ScenarioError(f"{where}: arms: must be a mapping of arms by name")
        unknown = [name for name in arms if name not in known]
        if unknown:
            raise ScenarioError(f"--arm {unknown[0]}: {where} has no such arm; there are {', '.join(known)}")
        data["arms"] = {name: arm for name, arm in known.items() if name in arms}
        left_out = [name for name in known if name not in arms]
        data["excerpt"] = {**(data.get("excerpt") or {}), "left_out": left_out}
    if "sweep" not in data and not axes and (seeds or 1) == 1:
        raise ScenarioError(f"{where} has no section `sweep`; give an axis, such as --axis chip.profile=pcm,reram")
    more: dict[str, Any] = {"axes": parse_axes(axes or [])}
    more |= {key: value for key, value in (("seeds", seeds), ("noise", noise)) if value is not None}
    engine = chosen_engine(workers, ray, device, gpus, tensorboard)
    draft = make_plan(data, where, folder, more)
    require_claims(next(iter(draft.points.values())), check)
    unknown = None
    try:
        require_feasible(draft)
    except DataError as error:
        if not plan:
            raise
        unknown = f"whether each point can run was not judged: {error}"
    for line in (*_replaced(data, more["axes"]), *draft.plan.notes, _jobs(draft.plan.jobs)):
        typer.echo(line, err=not plan)
    if unknown is not None:
        typer.echo(unknown, err=True)
    if plan:
        return
    study = begin(out, draft)
    typer.echo(f"study folder: {study.path} (if interrupted: analogsim resume {typed(study.path)})", err=True)
    go_on(study, engine, check=check)


def _replaced(data: Mapping[str, Any], given: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """Axes of the scenario that the command line replaces."""
    from analogsim.sweep.axes import label

    own = (data.get("sweep") or {}).get("axes") or {}
    for path in given:
        if path in own:
            yield f"{path}: the places of --axis, instead of the scenario's {', '.join(map(label, own[path]))}"


def _jobs(jobs: tuple[Job, ...]) -> str:
    chips = sum(job.chips for job in jobs)
    references = sum(job.reference for job in jobs)
    of_them = f", {references} of them of the reference" if references else ""
    return f"{len(jobs)} jobs{of_them}, {chips} chips to be trained"


def chosen_engine(workers: int | None, ray: str | None, device: str, gpus: float, tensorboard: bool) -> Engine:
    """The engine that options ask for.

    Raises:
        ScenarioError: they contradict each other, or ask for a device that is not there.
        RunError: Ray, or TensorBoard, is not installed.
    """
    import os

    from analogsim.errors import ScenarioError
    from analogsim.study.run import choose_device
    from analogsim.sweep.engine import Here
    from analogsim.sweep.workers import Workers as Processes

    if ray is not None and workers is not None:
        raise ScenarioError("--workers and --ray are two ways to work off jobs; give one of them")
    if tensorboard:
        from analogsim.sweep.tensorboard import require

        require()
        os.environ["ANALOGSIM_TENSORBOARD"] = "1"
    if ray is not None:
        from analogsim.sweep.on_ray import OnRay

        if device not in ("auto", "cpu", "cuda"):
            raise ScenarioError(f"--device {device}: with --ray choose cpu or cuda")
        return OnRay(ray, "cuda" if device == "cuda" else "cpu", gpus)
    chosen = choose_device(device)
    if workers == 0:
        return Here(str(chosen))
    several = chosen.type == "cuda" and device in ("auto", "cuda")  # workers take the GPUs in turn
    return Processes(workers or _room(chosen.type), "cuda" if several else str(chosen))


def _room(kind: str) -> int:
    """Workers that a machine has room for: one for each GPU, or for each core."""
    import os

    if kind == "cuda":
        import torch

        return torch.cuda.device_count()
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def go_on(study: StudyFolder, engine: Engine, retry: bool = False, check: bool = False) -> None:
    """Work off what is left of a study, show how it goes on, and what came of it.

    Exits with 1 if jobs have failed, or, with `check`, if a claim fails at any of its points.
    """
    from rich.console import Console

    from analogsim.errors import StorageError
    from analogsim.outcomes import outcomes, write_csv
    from analogsim.outcomes.progress import Progress
    from analogsim.report.progress import progress_table
    from analogsim.sweep.drive import drive

    progress = Progress.of(study)
    try:
        with _watched(progress, engine) as watcher:
            drive(study, engine, watcher, retry)
    except KeyboardInterrupt:
        typer.echo(f"interrupted; what is done is kept. Go on with: analogsim resume {typed(study.path)}", err=True)
        sys.exit(130)
    Console().print(progress_table(progress, engine.slots, pace=False), crop=False)
    try:
        write_csv(study.plan, outcomes(study), study.path / "results.csv")
    except OSError as error:
        raise StorageError(f"{study.path}: results.csv cannot be written: {error.strerror}; make room") from None
    claims_fail = _tell_claims(study)
    typer.echo(f"results: {study.path / 'results.csv'}")
    typer.echo(f"report:  analogsim report {typed(study.path)}")
    if progress.failed:
        again = f"analogsim resume --retry {typed(study.path)}"
        typer.echo(f"{len(progress.failed)} jobs have failed; to try them again: {again}")
    if progress.failed or (check and claims_fail):
        raise typer.Exit(1)


def _tell_claims(study: StudyFolder) -> bool:
    """A line for each claim of the scenario: at how many points it holds; whether any fails at one."""
    from analogsim.outcomes import verdicts_of
    from analogsim.report.claims import QUICK, counted

    found = verdicts_of(study)
    for claim in found.claims:
        typer.echo(f"claim:   {claim[0].verdict.says}: {counted(each.verdict.verdict for each in claim)}")
    if found.quick and found.claims:
        typer.echo(f"         {QUICK}")
    return any(each.verdict.verdict == "fails" for claim in found.claims for each in claim)


@contextmanager
def _watched(progress: Any, engine: Engine) -> Iterator[StudyWatcher]:
    """A live table on a terminal, a line for each job elsewhere; all on stderr."""
    from rich.console import Console
    from rich.live import Live

    from analogsim.report.progress import progress_table

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(progress, engine)
        return
    with Live(console=console, refresh_per_second=2, get_renderable=lambda: progress_table(progress, engine.slots)):
        yield _Lines(progress, engine, quiet=True)


class _Lines:
    """Keeps count, and prints a line for each job that ends, at most one in a while."""

    def __init__(self, progress: Any, engine: Engine, quiet: bool = False) -> None:
        self._progress, self._engine, self._quiet, self._told = progress, engine, quiet, 0.0

    def began(self, job: Job) -> None:
        """A job begins, or goes on."""
        self._progress.began(job)

    def ended(self, job: Job, how: Ended) -> None:
        """It has ended."""
        self._progress.ended(job, how.how == "failed")
        if how.how == "failed" and not self._quiet:
            typer.echo(f"failed: {job.id}: {how.cause}", err=True)
        self._tell()

    def lost(self, job: Job, why: str) -> None:
        """Its worker has died."""
        if not self._quiet:
            typer.echo(f"{job.id}: its worker was {why}; the job goes on with another", err=True)

    def _tell(self) -> None:
        from analogsim.report.progress import span

        now = time.monotonic()
        if self._quiet or (now - self._told < 2 and self._progress.done < self._progress.jobs):
            return
        self._told = now
        left = self._progress.time_left(self._engine.slots)
        rest = f", about {span(left)} left" if left else ""
        typer.echo(f"{self._progress.done} of {self._progress.jobs} jobs done{rest}", err=True)
