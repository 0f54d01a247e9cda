"""Chips of an arm that were run apart: chips are independent, so their results together are those of one run."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from analogsim.results import ArmResult, Curve, Result
from reproduction.jobs import Held, Job

_ONLY = "chip.only="


def further(job: Job, held: Held) -> bool:
    """Whether a job runs other chips than those of its file, and nothing else differs."""
    mine, theirs = _numbers(job.settings), _numbers(held.settings)
    apart = mine is not None and theirs is not None and not set(mine) & set(theirs)
    return apart and _rest(job.settings) == _rest(held.settings)


def together(job: Job, held: Held, result: Result, curves: Sequence[Curve], machine: dict[str, Any]) -> None:
    """Add further chips to a job's file.

    Args:
        job: see `further`.
        held: what its file holds.
        result, curves: of the further chips.
        machine: that they were run on.

    Raises:
        ValueError: the arm has stages, axes or a timeline, or chips were evaluated at other steps.
    """
    old, new = held.result.arms[job.arm], result.arms[job.arm]
    if any(arm.stages or arm.lives or set(arm.chips[0].coordinates) != {"chip"} for arm in (old, new)):
        raise ValueError(f"{job.name}: chips of an arm with stages, axes or a timeline are run together")
    if [curve.step for curve in held.curves] != [curve.step for curve in curves]:
        raise ValueError(f"{job.name}: chips were evaluated at other steps")
    chips = [*old.chips, *new.chips]
    order = sorted(range(len(chips)), key=lambda at: chips[at].coordinates["chip"])
    arm: ArmResult = new.model_copy(update={"chips": tuple(chips[at] for at in order)})
    both = []
    for one, other in zip(held.curves, curves, strict=True):
        of_all = [*one.chips, *other.chips]
        both.append(other.model_copy(update={"chips": tuple(of_all[at] for at in order)}))
    whole = Job(job.paper, job.source, job.arm, _settings(job, [chips[at].coordinates["chip"] for at in order]))
    seconds = round(held.machine["wall_seconds"] + machine["wall_seconds"], 3)
    told = {**machine, "wall_seconds": seconds}
    whole.keep(whole.scenario(), result.model_copy(update={"arms": {job.arm: arm}}), both, told)


def _settings(job: Job, numbers: Sequence[int]) -> tuple[str, ...]:
    """Of a run of these chips."""
    population = Job(job.paper, job.source, job.arm, _rest(job.settings)).scenario().chip.population
    only = () if list(numbers) == list(range(population)) else (f"{_ONLY}{list(numbers)}",)
    return (*_rest(job.settings), *only)


def _rest(settings: Sequence[str]) -> tuple[str, ...]:
    return tuple(setting for setting in settings if not setting.startswith(_ONLY))


def _numbers(settings: Sequence[str]) -> list[int] | None:
    """Of the chips; None where all are run, or it is not a plain list."""
    told = [setting.removeprefix(_ONLY) for setting in settings if setting.startswith(_ONLY)]
    try:
        found = ast.literal_eval(told[0]) if len(told) == 1 else None
    except (ValueError, SyntaxError):
        return None
    return found if isinstance(found, list) else None
