"""The plan of a study: axes, references and jobs. Nothing has run, nothing is written."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from analogsim.errors import ScenarioError
from analogsim.outcomes import Axis, Job, Plan
from analogsim.study.arm_axes import axes_of_arm
from analogsim.study.kinds import AnyScenario
from analogsim.study.scenario import resolve
from analogsim.study.schema import Scenario
from analogsim.study.timeless import stands_still, timeless
from analogsim.study.train_section import Tune
from analogsim.sweep.as_planned import as_planned
from analogsim.sweep.axes import axes_of_section, drawn_from, is_shared, label, numbers_of, sampled, title
from analogsim.sweep.folding import Folded, fold
from analogsim.sweep.points import Asked, Point, chips_of, named_at
from analogsim.sweep.section import read_section, written_section

REFERENCE = "reference"
"""Name of the reference's arm."""
_OF_REFERENCE = ("name", "description", "seed", "data", "network", "train")


@dataclass(frozen=True)
class Draft:
    """A plan, and the scenarios that its jobs are of.

    Attributes:
        plan: of the study.
        points: by name, the resolved scenario of each point, with all arms.
        where: by name, what to call each point in messages: `which-rule at chip.profile=pcm`.
        scenario: plain data of the scenario with the section `sweep` that was planned; planning it gives the same plan.
    """

    plan: Plan
    points: dict[str, AnyScenario]
    where: dict[str, str]
    scenario: dict[str, Any]


def make_plan(data: Mapping[str, Any], where: str, folder: Path | None, more: Mapping[str, Any] | None = None) -> Draft:
    """Plan the study of a scenario.

    Args:
        data: plain data of a scenario, as `read_scenario` gives it.
        where: what to call it in messages.
        folder: that relative paths in profiles start from.
        more: keys of the section `sweep`, laid over the scenario's; axes beside its axes.

    Raises:
        ScenarioError: a path that is no setting, a place that cannot be used, or a scenario that cannot at any point;
            faults with their paths.
    """
    written = written_section(data, where, more or {})
    section = read_section(written, where)
    base = {key: value for key, value in data.items() if key != "sweep"}
    axes = axes_of_section(section, base.get("seed", 0))
    for axis in axes:
        if axis.name == section.noise:
            _check_ascending(axis.name, axis.numbers)
    samples = _distinct(sampled(section.sample)) if section.sample else []
    asked = Asked(base, where, folder, section, axes, samples)
    return _Planning(asked, fold(asked)).draft(as_planned(data, written, folder))


def _distinct(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each of them once: whole numbers may be drawn twice."""
    return list({repr(sample): sample for sample in samples}.values())


def _check_ascending(name: str, numbers: tuple[float, ...] | None) -> None:
    if numbers is None or list(numbers) != sorted(set(numbers)) or numbers[0] < 0:
        raise ScenarioError(
            f"sweep.noise: the places of {name} must be ascending numbers of one unit, from 0 on; name another axis, "
            "or write them so"
        )


class _Planning:
    """From points to jobs."""

    def __init__(self, asked: Asked, folded: Folded) -> None:
        self._asked, self._folded = asked, folded
        self._first = folded.points[0].scenario
        self._arms = {axis.name: axis.arm for axis in asked.axes}
        self._own = self._axes_of(folded.points[0])
        for point in folded.points[1:]:
            if self._axes_of(point) != self._own:
                raise ScenarioError(
                    f"{point.where}: its populations have other axes ({{each: ...}}) than at the first point; "
                    "write them as axes of the study"
                )
        self._noise = self._noise_axis()
        self._called = asked.section.called
        known = [*self._arms, *self._own, *(asked.samples[0] if asked.samples else ())]
        for name in self._called:
            if name not in known:
                raise ScenarioError(f"sweep.called: there is no axis {name}; there are {', '.join(known)}")
        self._jobs: list[Job] = []
        self._points: dict[str, AnyScenario] = {}
        self._where: dict[str, str] = {}

    def _axes_of(self, point: Point) -> dict[str, dict[str, Sequence[Any]]]:
        """By name in coordinates, the places that each arm has on an axis."""
        found: dict[str, dict[str, Sequence[Any]]] = {}
        for name, arm in point.scenario.arms.items():
            for path, values in axes_of_arm(point.scenario, arm).items():
                found.setdefault(path, {})[name] = values
        return found

    def _values(self, path: str, arm: str | None) -> Sequence[Any]:
        of = self._own[path]
        return of[arm] if arm else next(iter(of.values()))

    def draft(self, scenario: dict[str, Any]) -> Draft:
        """The plan, and its points; `scenario`: what it is a plan of."""
        section, first = self._asked.section, self._first
        wanted = section.reference if section.reference is not None else self._noise is not None
        if wanted is not False and REFERENCE in first.arms:
            raise ScenarioError(f"arms.{REFERENCE}: is what a study calls its common reference; call the arm otherwise")
        if wanted is not False and isinstance(first, Scenario):
            self._add_references()
        self._add_jobs()
        tune = first.train.tune if isinstance(first, Scenario) else None
        if tune is not None and ("lr" in self._own or any(axis.name.endswith(".lr") for axis in self._asked.axes)):
            raise ScenarioError(
                f"{self._asked.where}: train.tune searches learning rates, and an axis gives them; leave one out"
            )
        plan = Plan(
            release=metadata.version("analogsim"),
            name=first.name,
            description=first.description,
            axes=(*self._asked_axes(), *self._sampled_axes(), *self._own_axes()),
            share=section.share,
            threads=section.threads,
            protocol=None if tune is None else _protocol(tune),
            notes=(*self._folded.notes, *self._told()),
            jobs=tuple(self._jobs),
        )
        return Draft(plan, self._points, self._where, scenario)

    def _add_jobs(self) -> None:
        done: set[tuple[str, str]] = set()
        for number, point in enumerate(self._folded.points):
            name = f"{number:04d}"
            self._points[name], self._where[name] = point.scenario, point.where
            for arm in point.scenario.arms:
                place = {axis: at.label for axis, at in point.places.items() if self._arms.get(axis) in (None, arm)}
                if (arm, repr(place)) in done:  # a point of an axis that only another arm has
                    continue
                done.add((arm, repr(place)))
                self._add(arm, name, place)

    def _add_references(self) -> None:
        """Backpropagation in a computer, once at each point of the axes that it has, too."""
        own = self._asked.section.reference
        shared = {axis.name for axis in self._asked.axes if axis.shared}
        shared |= {path for sample in self._asked.samples for path in sample if is_shared([path])}
        seen: set[str] = set()
        for point in self._folded.points:
            place = {name: at.label for name, at in point.places.items() if name in shared}
            if repr(place) in seen:
                continue
            seen.add(repr(place))
            data = {key: copy.deepcopy(point.data[key]) for key in _OF_REFERENCE if key in point.data}
            given = point.data.get("chip")
            chip = given if isinstance(given, dict) else {}
            kept = {key: chip[key] for key in ("population", "only", "precision") if key in chip}
            data["chip"] = {"profile": "ideal", "mapping": {"range": "follow"}, **kept}
            arm = {"rule": "bp", "oracle": ["output_error", "transposed_read"]}
            data["arms"] = {REFERENCE: {**arm, **(own if isinstance(own, dict) else {})}}
            name = f"reference-{len(seen) - 1:04d}"
            self._where[name] = named_at(f"{self._asked.where}: sweep.reference", place)
            self._points[name] = resolve(data, self._where[name], self._asked.folder)
            self._add(REFERENCE, name, place, reference=True)

    def _add(self, arm: str, point: str, place: dict[str, str], reference: bool = False) -> None:
        slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", arm)
        chips = chips_of(self._points[point], arm)
        name = f"{len(self._jobs):05d}-{slug}"
        self._jobs.append(Job(id=name, arm=arm, scenario=point, place=place, chips=chips, reference=reference))

    def _noise_axis(self) -> str | None:
        """The name of the noise axis, which may be one of the scenario's own.

        Raises:
            ScenarioError: there is no such axis, or its places are not ascending numbers.
        """
        wanted = self._asked.section.noise
        if wanted is None:
            return None
        names = [axis.name for axis in self._asked.axes] + [path for path, _ in self._left()]
        alike = [wanted] if wanted in names else [name for name in names if title(name) == title(wanted)]
        if len(alike) != 1:
            raise ScenarioError(f"sweep.noise: there is no axis {wanted}; there are {', '.join(names)}")
        if alike[0] in self._own:
            _check_ascending(alike[0], numbers_of([label(value) for value in self._values(alike[0], None)])[0])
        for axis in self._asked.axes:
            if axis.name == alike[0]:
                _check_ascending(axis.name, axis.numbers)
        return alike[0]

    def _title(self, name: str) -> str:
        return self._called[name].title if name in self._called else title(name)

    def _unit(self, name: str) -> str:
        return self._called[name].unit if name in self._called else ""

    def _kind(self, name: str) -> Any:
        return "noise" if name == self._noise else "seed" if name == "seed" else "setting"

    def _asked_axes(self) -> Iterator[Axis]:
        for axis in self._asked.axes:
            coordinate = self._folded.coordinates.get(axis.name)
            yield Axis(
                name=axis.name,
                title=self._title(axis.name),
                kind=self._kind(axis.name),
                places=tuple(place.label for place in axis.places),
                numbers=axis.numbers,
                unit=axis.unit or self._unit(axis.name),
                coordinate=coordinate,
                coordinates=tuple(map(str, self._values(coordinate, axis.arm))) if coordinate else (),
                arm=axis.arm,
                shared=axis.shared,
            )

    def _sampled_axes(self) -> Iterator[Axis]:
        sample = self._asked.section.sample
        for path in self._asked.samples[0] if self._asked.samples else ():
            drawn = list(dict.fromkeys(label(sample[path]) for sample in self._asked.samples))
            numbers, unit = numbers_of(drawn)
            if numbers is not None:
                drawn = [text for _, text in sorted(zip(numbers, drawn, strict=True))]
                numbers = tuple(sorted(numbers))
            yield Axis(
                name=path,
                title=self._title(path),
                kind="setting",
                places=tuple(drawn),
                numbers=numbers,
                unit=unit or self._unit(path),
                shared=is_shared([path]),
                sampled=drawn_from(sample, path) if sample else None,
            )

    def _left(self) -> Iterator[tuple[str, dict[str, Sequence[Any]]]]:
        """The axes that arms have by themselves: those that are not folded from the study's."""
        for path, arms in self._own.items():
            folded = [axis for axis in self._asked.axes if self._folded.coordinates.get(axis.name) == path]
            left = {name: values for name, values in arms.items() if not any(a.arm in (None, name) for a in folded)}
            if left:
                yield path, left

    def _own_axes(self) -> Iterator[Axis]:
        """Axes that the scenario has by itself."""
        for path, arms in self._left():
            values = next(iter(arms.values()))
            if any(others != values for others in arms.values()):
                raise ScenarioError(
                    f"{self._asked.where}: arms {', '.join(arms)} have axes {path} with different places, but a study "
                    "compares arms at the same ones: give each an axis of its own, sweep.axes: {arms.NAME...: [...]}"
                )
            places = tuple(label(value) for value in values)
            numbers, unit = numbers_of(places)
            yield Axis(
                name=path,
                title=self._title(path),
                kind=self._kind(path),
                places=places,
                numbers=numbers,
                unit=unit or self._unit(path),
                coordinate=path,
                coordinates=tuple(map(str, values)),
                arm=next(iter(arms)) if len(arms) == 1 < len(self._first.arms) else None,
                shared=path == "seed",
            )

    def _varied(self) -> Iterator[str]:
        """Paths of the settings that differ within jobs, or between them."""
        for path, of_arms in self._own.items():
            if any(len(values) > 1 for values in of_arms.values()):
                yield path
        for axis in self._asked.axes:
            if len(axis.places) > 1 and axis.name not in self._folded.coordinates:
                yield from sorted(axis.paths)
        yield from self._asked.samples[0] if self._asked.samples else ()

    def _told(self) -> Iterator[str]:
        for axis in self._asked.axes:
            count = len(axis.places)
            places = f"{self._title(axis.name)}: {count} place{'s' * (count > 1)}"
            if axis.name in self._folded.coordinates:
                yield f"{places} folded into populations"
            elif axis.arm:
                yield f"{places}, jobs of their own, of arm {axis.arm} alone"
            elif count == 1:
                yield f"{places} for all jobs"
            else:
                yield f"{places}, jobs of their own"
        scenarios = [point.scenario for point in self._folded.points]
        if all(isinstance(scenario, Scenario) and stands_still(scenario) for scenario in scenarios):
            yield from timeless(self._varied())
        if self._asked.samples:
            yield f"{len(self._asked.samples)} sampled points, jobs of their own"
        excerpt = self._first.excerpt
        if excerpt.quick:
            yield "a quick look, with the scenario's `quick` settings: its numbers say little about the study itself"
        if excerpt.left_out:
            yield f"arms left out: {', '.join(excerpt.left_out)}"


def _protocol(tune: Tune) -> str:
    grid = ", ".join(f"{rate:g}" for rate in tune.lr)
    what = {
        "best": f"the best of {grid} on {tune.validation} held-out training samples",
        "highest_stable": (
            f"the highest of {grid} with stable learning, without {tune.validation} held-out training samples"
        ),
    }[tune.protocol]
    return f"{what}, for each arm and point, on {tune.chips} further chips for each rate"
