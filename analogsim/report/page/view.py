"""A study as its report sees it: its results, sorted by rule, device and noise level."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from analogsim.outcomes import Axis, Job, JobState, Outcome, Plan, StudyFolder
from analogsim.outcomes.tidy import rows
from analogsim.report.page.cells import Cell, Device, Level, Place, Rule, Setting, rule_of
from analogsim.report.words import Words, words
from analogsim.results import Result


@dataclass(frozen=True)
class View:
    """A study's results, sorted.

    Attributes:
        plan: of the study.
        rows: of the tidy table.
        states: where each job stands, by id.
        passes_per_step: of each job that is done.
        first_stages: of each job that is done the number of the stage from which on it has the chips that it ends on.
        notes: what results say of themselves.
        words: what chips and epochs are called.
    """

    plan: Plan
    rows: tuple[Outcome, ...]
    states: Mapping[str, JobState]
    passes_per_step: Mapping[str, int]
    first_stages: Mapping[str, int]
    notes: tuple[str, ...]
    words: Words
    _cells: dict[tuple[Rule, Device, Level], Cell] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        groups: dict[tuple[Rule, Device, Level], dict[tuple[str, Place], list[Outcome]]] = {}
        for row in self.candidates:
            for device in self._devices_of(row):
                for level in self._levels_of(row):
                    settings = groups.setdefault((rule_of(row), device, level), {})
                    settings.setdefault((row.arm, self.own(row)), []).append(row)
        for where, settings in groups.items():
            self._cells[where] = self._cell(settings)

    def _cell(self, settings: Mapping[tuple[str, Place], Sequence[Outcome]]) -> Cell:
        names = tuple(axis.name for axis in self.sampled)
        found = [Setting(arm, own, tuple(rows), self.accurate, names) for (arm, own), rows in settings.items()]
        best = max(found, key=lambda setting: setting.score.mean if self.accurate else -setting.score.mean)
        return Cell(best, tuple(found))

    @cached_property
    def candidates(self) -> list[Outcome]:
        """Rows of all arms; those of the reference are left out."""
        return [row for row in self.rows if not row.reference]

    @cached_property
    def accurate(self) -> bool:
        """Whether there are accuracies; otherwise chips are compared by losses."""
        return any(row.accuracy is not None or row.best_accuracy is not None for row in self.rows)

    @cached_property
    def own_axes(self) -> frozenset[str]:
        """Axes that are settings of the arms that have them, and no points of the study, since not all arms do."""
        alone = {axis.name for axis in self.plan.settings if axis.arm is not None}
        folded = [axis.name for axis in self.plan.settings if axis.coordinate is not None]
        return frozenset(alone | {name for name in folded if any(name not in row.place for row in self.candidates)})

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """The axes whose points are devices."""
        return tuple(axis for axis in self.plan.settings if axis.name not in self.own_axes and axis.sampled is None)

    @property
    def sampled(self) -> tuple[Axis, ...]:
        """Axes whose places were drawn. Where there are any, their points are what results are means over."""
        return self.plan.sampled

    @property
    def replicates(self) -> str:
        """What rules are compared on: `chips`, or `sampled points`."""
        return "sampled points" if self.sampled else self.words.copies

    @cached_property
    def points(self) -> int:
        """Sampled points that were planned."""
        jobs = (job.place for job in self.plan.jobs if not job.reference)
        return len({tuple(place[axis.name] for axis in self.sampled) for place in jobs})

    @cached_property
    def noise(self) -> Axis | None:
        """The axis along which rules are to survive, if it has more places than one."""
        axis = self.plan.noise
        return axis if axis is not None and len(axis.places) > 1 else None

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """Of the noise axis, in order; one without a place where there is none."""
        axis = self.plan.noise
        if axis is None:
            return (Level(None, None),)
        return tuple(Level(place, axis.numbers[at] if axis.numbers else None) for at, place in enumerate(axis.places))

    @cached_property
    def devices(self) -> tuple[Device, ...]:
        """That jobs were planned for, in the order of the axes."""
        found = dict.fromkeys(place for job in self.plan.jobs if not job.reference for place in self._places_of(job))
        order = [axis.places.index for axis in self.axes]
        inside = sorted(found, key=lambda place: [at(each) for at, (_, each) in zip(order, place, strict=True)])
        varied = [axis.name for axis in self.axes if len({dict(place)[axis.name] for place in inside}) > 1]
        shown = varied if len(inside) > 1 else [axis.name for axis in self.axes]
        return tuple(Device(place, self.label(each for each in place if each[0] in shown)) for place in inside)

    def label(self, place: Iterable[tuple[str, str]]) -> str:
        """A place as people read it: `pcm, adc bits 8`."""
        by_name = {axis.name: axis for axis in self.axes}
        return ", ".join(_said(by_name[name], each) for name, each in place)

    def _places_of(self, job: Job) -> Iterator[Place]:
        """The devices that a job has chips of."""
        found: list[Place] = [()]
        for axis in self.axes:
            here = [job.place[axis.name]] if axis.name in job.place else axis.places
            found = [(*place, (axis.name, each)) for place in found for each in here]
        yield from found

    def _devices_of(self, row: Outcome) -> list[Device]:
        """The device of a row; all that it may stand for where it lacks an axis."""
        if all(axis.name in row.place for axis in self.axes):
            return [self._device[tuple((axis.name, row.place[axis.name]) for axis in self.axes)]]
        return [each for each in self.devices if _agrees(row, each.place)]

    def _levels_of(self, row: Outcome) -> Sequence[Level]:
        axis = self.plan.noise
        place = row.place.get(axis.name) if axis else None
        return self.levels if place is None else [level for level in self.levels if level.place == place]

    @cached_property
    def _device(self) -> dict[Place, Device]:
        return {device.place: device for device in self.devices}

    def own(self, row: Outcome) -> Place:
        """Its places on axes that not all arms have."""
        return tuple((name, place) for name, place in row.place.items() if name in self.own_axes)

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """That have results, in the plan's order of arms."""
        order = {arm: at for at, arm in enumerate(self.arms)}
        arms = {job.id: order.get(job.arm, -1) for job in self.plan.jobs}
        return tuple(dict.fromkeys(rule_of(row) for row in sorted(self.candidates, key=lambda row: arms[row.job])))

    @cached_property
    def arms(self) -> tuple[str, ...]:
        """That were planned."""
        return tuple(dict.fromkeys(job.arm for job in self.plan.jobs if not job.reference))

    @cached_property
    def waiting(self) -> tuple[str, ...]:
        """Arms without any result so far, whose rules nobody knows."""
        known = {job.arm for job in self.plan.jobs if self.states[job.id] == "done"}
        return tuple(arm for arm in self.arms if arm not in known)

    def cell(self, rule: Rule, device: Device, level: Level) -> Cell | None:
        """A rule there; None: without results."""
        return self._cells.get((rule, device, level))

    def cells(self, rule: Rule, device: Device) -> list[tuple[Level, Cell]]:
        """A rule at those levels of a device at which it has results."""
        return [(level, cell) for level in self.levels if (cell := self.cell(rule, device, level))]

    def all_cells(self) -> Iterable[Cell]:
        """All that there are."""
        return self._cells.values()

    def present(self, device: Device) -> list[Rule]:
        """Rules that have results on a device."""
        return [rule for rule in self.rules if self.cells(rule, device)]

    def planned(self, device: Device) -> list[Job]:
        """Jobs that have chips of a device."""
        at = dict(device.place)
        return [
            job
            for job in self.plan.jobs
            if not job.reference and all(job.place.get(name, place) == place for name, place in at.items())
        ]

    def reference(self, device: Device) -> Setting | None:
        """The reference's chips on a device's network and data; where noise is of the data, at its lowest level."""
        return next((found for level in self.levels if (found := self._references.get((device, level)))), None)

    @cached_property
    def _references(self) -> dict[tuple[Device, Level], Setting]:
        found: dict[tuple[Device, Level], list[Outcome]] = {}
        for row in self.rows:
            if row.reference:
                for device in self._devices_of(row):
                    for level in self._levels_of(row):
                        found.setdefault((device, level), []).append(row)
        return {where: self._reference_of(rows) for where, rows in found.items()}

    def _reference_of(self, rows: Sequence[Outcome]) -> Setting:
        """The chips of the reference; it has those sampled axes alone that are of data, network and training."""
        names = tuple(axis.name for axis in self.sampled if axis.name in rows[0].place)
        return Setting(rows[0].arm, (), tuple(rows), self.accurate, names)


def _agrees(row: Outcome, place: Place) -> bool:
    return all(row.place.get(name, each) == each for name, each in place)


def _said(axis: Axis, place: str) -> str:
    """`pcm`, but `adc bits 8`."""
    return f"{axis.title} {place}" if axis.numbers is not None or place in ("true", "false") else place


def view(folder: StudyFolder) -> View:
    """Read a study.

    Raises:
        RunError: a result is damaged.
    """
    found: list[Outcome] = []
    passes: dict[str, int] = {}
    first: dict[str, int] = {}
    notes: dict[str, None] = {}
    kind: Words | None = None
    for job, result in folder.results():
        found += rows(folder.plan, job, result)
        passes[job.id] = max(arm.passes_per_step for arm in result.arms.values())
        first[job.id] = max(arm.first_stage for arm in result.arms.values())
        notes |= dict.fromkeys(result.notes)
        kind = kind or words(result)
    states: dict[str, JobState] = {}
    for job in folder.plan.jobs:
        state = folder.state(job)
        read = job.id in passes  # a job may end while results are being read
        states[job.id] = "done" if read else "begun" if state == "done" else state
    nothing = Result(name="", seed=0, arms={})
    return View(folder.plan, tuple(found), states, passes, first, tuple(notes), kind or words(nothing))
