"""How far a study is, as a table for a terminal."""

from __future__ import annotations

import math

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from analogsim.outcomes import Plan
from analogsim.outcomes.progress import ArmProgress, Progress
from analogsim.results import marked

_SHOWN = 5


def progress_table(progress: Progress, slots: int, pace: bool = True) -> Group:
    """A line about the whole study, a row for each arm, and what has failed.

    Args:
        progress: of the study.
        slots: jobs that are worked on at a time.
        pace: whether to tell the time that is left.
    """
    plan = progress.folder.plan
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("arm", "jobs", "best so far", "at"):
        table.add_column(name, justify="left" if name in ("arm", "at") else "right", overflow="fold")
    for name, arm in progress.arms.items():
        failed = f", {arm.failed} failed" if arm.failed else ""
        diverged = f", {arm.diverged} chips diverged" if arm.diverged else ""
        jobs = f"{arm.done} of {arm.jobs}{failed}{diverged}"
        table.add_row(marked(name, arm.marks), jobs, _best(arm), _place(arm, plan))
    lines = [Text(_whole(progress, slots, pace), style="bold"), table]
    shown = list(progress.failed.values())[:_SHOWN]
    lines += [Text(f"failed: {job.id}: {progress.folder.failure(job).cause}", style="red") for job in shown]
    if len(progress.failed) > _SHOWN:
        lines.append(
            Text(f"and {len(progress.failed) - _SHOWN} more: `analogsim status --json` lists all", style="red")
        )
    return Group(*lines)


def span(seconds: float) -> str:
    """`75` -> `1 min 15 s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours / 24:.1f} days"


def _whole(progress: Progress, slots: int, pace: bool) -> str:
    parts = [f"{progress.done} of {progress.jobs} jobs done"]
    if progress.running:
        parts.append(f"{len(progress.running)} running")
    if progress.failed:
        parts.append(f"{len(progress.failed)} failed")
    left = progress.time_left(slots) if pace and progress.left else None
    if left is not None:
        parts.append(f"about {span(left)} left")
    return f"{progress.folder.plan.name}: {', '.join(parts)}"


def _best(arm: ArmProgress) -> str:
    if arm.best is None:
        return ""
    value = arm.best[0]
    return f"{100 * value:.1f} %" if arm.accurate else "not finite" if math.isinf(value) else f"{value:.4g}"


def _place(arm: ArmProgress, plan: Plan) -> str:
    if arm.best is None:
        return ""
    axes = {axis.name: axis for axis in plan.axes}
    return ", ".join(f"{axes[name].title} {axes[name].written(place)}" for name, place in arm.best[1].items())
