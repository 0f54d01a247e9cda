"""All results of a study as one tidy table: a row for each chip of each arm at each point."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from analogsim._files import written
from analogsim.errors import RunError
from analogsim.outcomes.folder import StudyFolder
from analogsim.outcomes.plan import Axis, Job, Plan
from analogsim.results import ArmResult, ChipResult, Result


@dataclass(frozen=True, slots=True)
class Outcome:
    """One chip of one arm at one point of a study.

    Attributes:
        job: id of the job that it comes from.
        arm: of the scenario, with its place on axes that are its alone: `np (sigma 0.1)`; of a reference the name that
            its job gives it.
        rule: of the arm, with a leading d where it decorrelates.
        family: settings of one rule have one, such as those on an axis of an arm alone; None: the arm stands for
            itself.
        marks: what makes it a comparison, no candidate: `oracle`, `ex situ`.
        reference: whether it is the study's common reference.
        place: by axis of the study, those of the seed and of single arms aside.
        seed, chip: of the fabricated chip: chips of equal seed and number are the same under every arm.
        lr: learning rate.
        status: `finished` or `diverged`.
        accuracy, loss, best_accuracy: on test data at the end, and at the best evaluation; None: not finite, or targets
            are no classes.
        steps, passes: of learning; forward passes of a batch.
        tuning_passes: that the search of learning rates cost, for this chip's share of the arm.
        writes, wear: of devices; None without prices.
        joules, seconds: that learning took, as the profile's costs say; None without prices.
        silent: share of batch elements without information.
        saturated: share of weights at the end of their range.
    """

    job: str
    arm: str
    rule: str
    family: str | None
    marks: tuple[str, ...]
    reference: bool
    place: dict[str, str]
    seed: str
    chip: int
    lr: float
    status: str
    accuracy: float | None
    loss: float | None
    best_accuracy: float | None
    steps: int
    passes: int
    tuning_passes: int
    writes: int
    joules: float | None
    seconds: float | None
    silent: float
    saturated: float

    @property
    def key(self) -> tuple[str, int]:
        """Of the chip: (seed, number)."""
        return self.seed, self.chip


def outcomes(folder: StudyFolder) -> Iterator[Outcome]:
    """The rows of all jobs that are done, read one job at a time.

    Raises:
        RunError: a result is damaged.
    """
    for job, result in folder.results():
        yield from rows(folder.plan, job, result)


class _Place(NamedTuple):
    """Where chips of a job stand: places by axis, what they add to the arm's name, and their seed."""

    by_axis: dict[str, str]
    own: tuple[str, ...]
    seed: str


def rows(plan: Plan, job: Job, result: Result) -> Iterator[Outcome]:
    """The rows of one job; those of one place share what says so.

    Raises:
        RunError: the result has a place that the plan has not.
    """
    for name, arm in result.arms.items():
        folded = [axis for axis in plan.axes if axis.coordinate is not None and axis.arm in (None, name)]
        places: dict[str, _Place] = {}
        for chip in arm.chips:
            there = {axis.name: chip.coordinates.get(str(axis.coordinate)) for axis in folded}
            at = repr(there)
            found = places.get(at) or places.setdefault(at, _place_of(plan, job, result, name, there))
            yield _row(job, name, arm, chip, found)


def _place_of(plan: Plan, job: Job, result: Result, name: str, there: Mapping[str, Any]) -> _Place:
    """Of the chips of an arm that have these coordinates on folded axes; None: not this one."""
    place = {axis.name: job.place[axis.name] for axis in plan.axes if axis.name in job.place}
    place |= {
        axis.name: _written(axis, there[axis.name], job) for axis in plan.axes if there.get(axis.name) is not None
    }
    own = [f"{axis.title.removeprefix(name).strip()} {place.pop(axis.name)}" for axis in plan.axes if axis.arm == name]
    seed = next((place.pop(axis.name) for axis in plan.axes if axis.kind == "seed" and axis.name in place), result.seed)
    return _Place(place, tuple(own), str(seed))


def _row(job: Job, name: str, arm: ArmResult, chip: ChipResult, place: _Place) -> Outcome:
    counts, spent = chip.counts, chip.spent
    return Outcome(
        job=job.id,
        arm=f"{name} ({', '.join(place.own)})" if place.own else name,
        rule=f"d{arm.rule}" if arm.decorrelated else arm.rule,
        family=arm.family or (name if place.own else None),
        marks=arm.marks,
        reference=job.reference,
        place=place.by_axis,
        seed=place.seed,
        chip=chip.coordinates["chip"],
        lr=chip.lr,
        status=chip.status,
        accuracy=chip.final.test_accuracy,
        loss=chip.final.test_loss,
        best_accuracy=chip.best.test_accuracy,
        steps=arm.steps,
        passes=counts.passes,
        tuning_passes=arm.tuning.passes if arm.tuning else 0,
        writes=counts.device_writes,
        joules=spent.joules if spent else None,
        seconds=spent.seconds if spent else None,
        silent=counts.silent / max(1, counts.vectors),
        saturated=counts.saturated,
    )


def _written(axis: Axis, coordinate: Any, job: Job) -> str:
    try:
        return axis.places[axis.coordinates.index(str(coordinate))]
    except ValueError:
        raise RunError(
            f"job {job.id}: its result has a place {coordinate} on {axis.name}, which the plan has not"
        ) from None


_COLUMNS = (
    "seed", "chip", "lr", "status", "test_accuracy", "test_loss", "best_test_accuracy", "steps", "passes",
    "tuning_passes", "device_writes", "joules", "seconds", "silent", "saturated",
)  # fmt: skip


def columns(plan: Plan) -> list[str]:
    """The columns of the table as CSV."""
    axes = [axis.name for axis in plan.axes if axis.kind != "seed" and axis.arm is None]
    return ["job", "arm", "rule", "family", "marks", "reference", *axes, *_COLUMNS]


def csv_text(plan: Plan, table: Iterable[Outcome]) -> str:
    """The table as CSV, a header first; what is not known is empty."""
    file = io.StringIO()
    _write(file, plan, table)
    return file.getvalue()


def write_csv(plan: Plan, table: Iterable[Outcome], path: Path) -> None:
    """Write the table, whole or not at all; rows are written as they come, and not kept."""
    with written(path) as file:
        _write(file, plan, table)


def _write(file: TextIO, plan: Plan, table: Iterable[Outcome]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns(plan))
    axes = [axis.name for axis in plan.axes if axis.kind != "seed" and axis.arm is None]
    for row in table:
        place: Sequence[str] = [row.place.get(axis, "") for axis in axes]
        writer.writerow(
            [
                *(row.job, row.arm, row.rule, row.family or "", " ".join(row.marks), int(row.reference), *place),
                *(row.seed, row.chip, row.lr, row.status, row.accuracy, row.loss, row.best_accuracy, row.steps),
                *(row.passes, row.tuning_passes, row.writes, row.joules, row.seconds, row.silent, row.saturated),
            ]
        )
