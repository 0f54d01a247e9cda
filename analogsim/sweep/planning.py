"""The plan of a study: points, what is folded into populations, and jobs. Nothing has run, nothing is written."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from analogsim.errors import ScenarioError
from analogsim.outcomes import Axis, Job, Plan
from analogsim.study.arm_axes import axes_of_arm
from analogsim.study.kinds import AnyScenario
from analogsim.study.population import lay_out
from analogsim.study.scenario import resolve
from analogsim.study.schema import Scenario
from analogsim.study.settings import put
from analogsim.study.sweep_section import Sweep
from analogsim.sweep.axes import Place, PlannedAxis, axes_of_section, is_shared, label, numbers_of, sampled, title
from device_models.errors import bulleted, faults

REFERENCE = "reference"
"""Name of the reference's arm."""


@dataclass(frozen=True)
class Draft:
    """A plan, and the scenarios that its jobs are of.

    Attributes:
        plan: of the study.
        points: by name, the resolved scenario of each point, with all arms.
    """

    plan: Plan
    points: dict[str, AnyScenario]


@dataclass(frozen=True)
class _Point:
    """A point of the axes that are not folded."""

    places: dict[str, Place]
    data: dict[str, Any]
    scenario: AnyScenario


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
    section = _section(data, where, more or {})
    base = {key: value for key, value in data.items() if key != "sweep"}
    axes = axes_of_section(section, base.get("seed", 0))
    samples = sampled(section.sample) if section.sample else []
    axes = _noise_checked(axes, section)
    folded, points, notes = _folded(base, where, folder, axes, samples, section)
    open_axes = [axis for axis in axes if axis.name not in folded]
    return _draft(section, where, folder, _Parts(axes, open_axes, folded, points, notes, samples))


@dataclass(frozen=True)
class _Parts:
    axes: list[PlannedAxis]
    open_axes: list[PlannedAxis]
    folded: dict[str, str]
    points: list[_Point]
    notes: list[str]
    samples: list[dict[str, Any]]


def _section(data: Mapping[str, Any], where: str, more: Mapping[str, Any]) -> Sweep:
    own = data.get("sweep") or {}
    if not isinstance(own, dict):
        raise ScenarioError(f"{where}: sweep: must be a mapping such as {{axes: {{chip.profile: [pcm, reram]}}}}")
    given = own.get("axes") or {}
    axes = {**given, **more.get("axes", {})} if isinstance(given, dict) else given
    merged = {**own, **more, **({"axes": axes} if axes else {})}
    try:
        return Sweep.model_validate(merged)
    except ValidationError as error:
        told = faults(error, lambda loc: tuple(part for part in loc if part not in _PLACES))
        raise ScenarioError(bulleted(f"{where} cannot be used:", [_sweep_fault(fault) for fault in told])) from None


_PLACES = ("list[any]", "dict[str,dict[str,any]]", "constrained-list", "constrained-dict")


def _sweep_fault(fault: str) -> str:
    return f"sweep: {fault}" if fault.startswith(("has ", "needs ")) else f"sweep.{fault}"


def _noise_checked(axes: list[PlannedAxis], section: Sweep) -> list[PlannedAxis]:
    """The axes, of which the noise axis has ascending numbers.

    A scenario's own axis is looked for later.
    """
    for axis in axes:
        if axis.name == section.noise:
            _ascending(axis.name, axis.numbers)
    return axes


def _ascending(name: str, numbers: tuple[float, ...] | None) -> None:
    if numbers is None or list(numbers) != sorted(set(numbers)) or numbers[0] < 0:
        raise ScenarioError(
            f"sweep.noise: the places of {name} must be ascending numbers of one unit, from 0 on; name another axis, "
            "or write them so"
        )


def _data_at(base: Mapping[str, Any], settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    data = copy.deepcopy(dict(base))
    for path, value in settings.items():
        try:
            put(data, path.split("."), copy.deepcopy(value))
        except ScenarioError as error:
            raise ScenarioError(f"{where}: {error}") from None
    return data


def _combinations(
    axes: Sequence[PlannedAxis], samples: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[dict[str, Place], dict[str, Any]]]:
    """Places on axes, with all settings of the point, the sample's included."""
    for places in itertools.product(*(axis.places for axis in axes)):
        named = {axis.name: place for axis, place in zip(axes, places, strict=True)}
        settings = {path: value for place in places for path, value in place.settings.items()}
        for sample in samples or [{}]:
            drawn = {path: Place(label(value), {path: value}) for path, value in sample.items()}
            yield {**named, **drawn}, {**settings, **sample}


def _folded(
    base: Mapping[str, Any],
    where: str,
    folder: Path | None,
    axes: list[PlannedAxis],
    samples: list[dict[str, Any]],
    section: Sweep,
) -> tuple[dict[str, str], list[_Point], list[str]]:
    """What is folded (axis -> its name in a chip's coordinates), the points that are left, and what there is to say.

    An axis is folded where the scenario can have it as an axis of its populations, at every point.
    """
    asked = section.fold if isinstance(section.fold, tuple) else ()
    for name in asked:
        if name not in {axis.name for axis in axes}:
            raise ScenarioError(f"sweep.fold: there is no axis {name}; there are {', '.join(a.name for a in axes)}")
    candidates = [axis for axis in axes if axis.path is not None and len(axis.places) > 1]
    candidates = [axis for axis in candidates if section.fold == "all" or axis.name in asked]
    candidates.sort(key=lambda axis: (axis.name != section.noise, axis.path == "seed"))
    kept: list[PlannedAxis] = []
    notes: list[str] = []
    for axis in candidates:
        trial = [*kept, axis]
        rest = [other for other in axes if other not in trial]
        _, settings = next(_combinations(rest, samples))
        chips = 0
        try:
            scenario = resolve(_data_at(base, {**settings, **_each(trial)}, where), where, folder)
            chips = max(_chips(scenario, name) for name in scenario.arms)
            coordinate = _coordinate(scenario, axis)
        except ScenarioError as error:
            if axis.name in asked:
                raise ScenarioError(f"sweep.fold: {axis.name} cannot be an axis of a population: {error}") from None
            continue
        if coordinate is None and axis.name in asked:
            raise ScenarioError(f"sweep.fold: {axis.name} is no axis that every arm's population has")
        if coordinate is None or chips > section.chips_per_job:
            continue
        kept = trial
    while True:
        rest = [axis for axis in axes if axis not in kept]
        try:
            points = list(_points(base, where, folder, rest, samples, kept))
        except _NotFoldableError as error:
            kept = [axis for axis in kept if axis.name != error.axis]
            notes.append(f"{error.axis} is not folded: not every point can have it as an axis of its population")
            continue
        names = {axis.name: _coordinate(points[0].scenario, axis) or axis.name for axis in kept}
        return names, points, notes


class _NotFoldableError(Exception):
    def __init__(self, axis: str) -> None:
        self.axis = axis


def _each(axes: Sequence[PlannedAxis]) -> dict[str, Any]:
    return {axis.path or axis.name: {"each": axis.values} for axis in axes}


def _points(
    base: Mapping[str, Any],
    where: str,
    folder: Path | None,
    rest: Sequence[PlannedAxis],
    samples: Sequence[Mapping[str, Any]],
    kept: Sequence[PlannedAxis],
) -> Iterator[_Point]:
    """The points of the axes that are not folded.

    Raises:
        ScenarioError: of one that cannot be used; with the place that it is at.
        _NotFoldableError: an axis cannot be folded here, though each of its places can be used.
    """
    for places, settings in _combinations(rest, samples):
        at = ", ".join(f"{name}={place.label}" for name, place in places.items())
        named = f"{where} at {at}" if at else where
        data = _data_at(base, {**settings, **_each(kept)}, named)
        try:
            scenario = resolve(data, named, folder)
        except ScenarioError:
            for axis in kept:  # with single values: a fault of a place is told as such
                for place in axis.places:
                    single = {**settings, **_each([other for other in kept if other is not axis]), **place.settings}
                    resolve(_data_at(base, single, named), f"{named}, {axis.name}={place.label}", folder)
                raise _NotFoldableError(axis.name) from None
            raise
        for axis in kept:
            if _coordinate(scenario, axis) is None:
                raise _NotFoldableError(axis.name)
        yield _Point(places, data, scenario)


def _chips(scenario: AnyScenario, arm: str) -> int:
    if isinstance(scenario, Scenario):
        return len(lay_out(scenario, scenario.arms[arm]).ids)
    return len(scenario.places(scenario.arms[arm]))


def _coordinate(scenario: AnyScenario, axis: PlannedAxis) -> str | None:
    """What a folded axis is called in coordinates; None where not all arms have it, or several could be it."""
    assert axis.path is not None
    own = {axis.arm: scenario.arms[axis.arm]} if axis.arm else scenario.arms
    found = {name for arm in own.values() for name in axes_of_arm(scenario, arm) if _is(axis.path, name)}
    everywhere = all(found <= set(axes_of_arm(scenario, arm)) for arm in own.values())
    return found.pop() if len(found) == 1 and everywhere else None


def _is(path: str, coordinate: str) -> bool:
    """Whether an axis that was put under a path may have this name in coordinates.

    It is in the profile by then, and what was one setting may be the first of a list.
    """
    if path.endswith(".lr") or coordinate == "lr":
        return path.endswith(".lr") and coordinate == "lr"
    plain = re.sub(r"\.\d+(?=\.|$)", "", coordinate)
    return plain == re.sub(r"\.\d+(?=\.|$)", "", re.sub(r"^(chip(?:\.layers)?)\.overrides\.", r"\1.profile.", path))


def _draft(section: Sweep, where: str, folder: Path | None, parts: _Parts) -> Draft:
    """The plan, from axes and points."""
    first = parts.points[0].scenario
    jobs: list[Job] = []
    points: dict[str, AnyScenario] = {}
    noise = _own_noise(section, parts, first)
    wanted = section.reference if section.reference is not None else noise is not None
    if wanted is not False and isinstance(first, Scenario):
        _references(section, where, folder, parts, jobs, points)
    done: set[tuple[str, str]] = set()
    for number, point in enumerate(parts.points):
        name = f"{number:04d}"
        points[name] = point.scenario
        for arm in point.scenario.arms:
            place = {axis: each.label for axis, each in point.places.items() if _has(axis, parts, arm)}
            if (arm, repr(place)) in done:  # an axis of another arm alone
                continue
            done.add((arm, repr(place)))
            jobs.append(_job(len(jobs), arm, name, place, _chips(point.scenario, arm)))
    tune = first.train.tune if isinstance(first, Scenario) else None
    plan = Plan(
        release=metadata.version("analogsim"),
        name=first.name,
        description=first.description,
        axes=tuple(_axes(parts, first, noise)),
        share=section.share,
        threads=section.threads,
        protocol=None if tune is None else _protocol(tune.protocol, tune.lr, tune.validation, tune.chips),
        notes=tuple(_notes(parts)),
        jobs=tuple(jobs),
    )
    return Draft(plan, points)


def _protocol(protocol: str, rates: Sequence[float], held: int, chips: int) -> str:
    grid = ", ".join(f"{rate:g}" for rate in rates)
    what = {
        "best": f"the best of {grid} on {held} held-out training samples",
        "highest_stable": f"the highest of {grid} with stable learning, without {held} held-out training samples",
    }[protocol]
    return f"{what}, for each arm and point, on {chips} further chips for each rate"


def _has(axis: str, parts: _Parts, arm: str) -> bool:
    planned = next((each for each in parts.axes if each.name == axis), None)
    return planned is None or planned.arm in (None, arm)


def _job(number: int, arm: str, point: str, place: dict[str, str], chips: int, reference: bool = False) -> Job:
    slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", arm)
    return Job(id=f"{number:05d}-{slug}", arm=arm, scenario=point, place=place, chips=chips, reference=reference)


def _references(
    section: Sweep,
    where: str,
    folder: Path | None,
    parts: _Parts,
    jobs: list[Job],
    points: dict[str, AnyScenario],
) -> None:
    """Backpropagation in a computer, once at each point of the axes that it has, too."""
    own = section.reference if isinstance(section.reference, dict) else {}
    shared = {axis.name for axis in parts.axes if axis.shared}
    shared |= {path for sample in parts.samples for path in sample if is_shared([path])}
    seen: set[str] = set()
    for point in parts.points:
        place = {name: each.label for name, each in point.places.items() if name in shared}
        if repr(place) in seen:
            continue
        seen.add(repr(place))
        data = {key: copy.deepcopy(point.data[key]) for key in _OF_REFERENCE if key in point.data}
        given = point.data.get("chip")
        chip = given if isinstance(given, dict) else {}
        kept = {key: chip[key] for key in ("population", "only", "precision") if key in chip}
        data["chip"] = {"profile": "ideal", "mapping": {"range": "follow"}, **kept}
        data["arms"] = {REFERENCE: {"rule": "bp", "oracle": ["output_error", "transposed_read"], **own}}
        name = f"reference-{len(points):04d}"
        scenario = resolve(data, f"{where}: sweep.reference", folder)
        points[name] = scenario
        jobs.append(_job(len(jobs), REFERENCE, name, place, _chips(scenario, REFERENCE), reference=True))


_OF_REFERENCE = ("name", "description", "seed", "data", "network", "train")


def _own_noise(section: Sweep, parts: _Parts, first: AnyScenario) -> str | None:
    """The name of the noise axis, which may be one of the scenario's own.

    Raises:
        ScenarioError: there is no such axis, or its places are not ascending numbers.
    """
    if section.noise is None:
        return None
    own = {path: values for arm in first.arms.values() for path, values in axes_of_arm(first, arm).items()}
    names = [axis.name for axis in parts.axes] + [path for path in own if path not in parts.folded.values()]
    if section.noise in names:
        found = section.noise
    else:
        alike = [name for name in names if title(name) == title(section.noise)]
        if len(alike) != 1:
            raise ScenarioError(f"sweep.noise: there is no axis {section.noise}; there are {', '.join(names)}")
        found = alike[0]
    if found in own:
        _ascending(found, numbers_of([label(value) for value in own[found]])[0])
    return found


def _axes(parts: _Parts, first: AnyScenario, noise: str | None) -> Iterator[Axis]:
    """The axes of a plan: those of the study, and those that the scenario has by itself."""
    resolved: dict[str, Sequence[Any]] = {}
    for arm in first.arms.values():
        resolved |= axes_of_arm(first, arm)
    for axis in parts.axes:
        coordinate = parts.folded.get(axis.name)
        yield Axis(
            name=axis.name,
            title=axis.title,
            kind=_kind(axis.name, noise),
            places=tuple(place.label for place in axis.places),
            numbers=axis.numbers,
            unit=axis.unit,
            coordinate=coordinate,
            coordinates=tuple(str(value) for value in resolved[coordinate]) if coordinate else (),
            arm=axis.arm,
            shared=axis.shared,
        )
    for path in parts.samples[0] if parts.samples else ():
        drawn = list(dict.fromkeys(label(sample[path]) for sample in parts.samples))
        numbers, unit = numbers_of(drawn)
        if numbers is not None:
            drawn = [text for _, text in sorted(zip(numbers, drawn, strict=True))]
            numbers = tuple(sorted(numbers))
        shared = is_shared([path])
        yield Axis(
            name=path,
            title=title(path),
            kind="setting",
            places=tuple(drawn),
            numbers=numbers,
            unit=unit,
            shared=shared,
        )
    for path, values in resolved.items():
        if path in parts.folded.values():
            continue
        places = tuple(label(value) for value in values)
        numbers, unit = numbers_of(places)
        yield Axis(
            name=path,
            title=title(path),
            kind=_kind(path, noise),
            places=places,
            numbers=numbers,
            unit=unit,
            coordinate=path,
            coordinates=tuple(str(value) for value in values),
            shared=path == "seed",
        )


def _kind(name: str, noise: str | None) -> Any:
    return "noise" if name == noise else "seed" if name == "seed" else "setting"


def _notes(parts: _Parts) -> Iterator[str]:
    yield from parts.notes
    for axis in parts.axes:
        if axis.name in parts.folded:
            yield f"{axis.title}: {len(axis.places)} places folded into populations"
        elif axis.arm:
            yield f"{axis.title}: {len(axis.places)} places, jobs of their own, of arm {axis.arm} alone"
        else:
            yield f"{axis.title}: {len(axis.places)} places, jobs of their own"
    if parts.samples:
        yield f"{len(parts.samples)} sampled points, jobs of their own"
