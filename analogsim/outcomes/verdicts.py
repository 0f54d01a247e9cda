"""What becomes of a scenario's claims in a study: judged at each of its points, as at one of a run of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from analogsim.claims import Claim, Verdict, Verdicts, judge
from analogsim.claims.tree import quantities
from analogsim.errors import RunError
from analogsim.outcomes.folder import StudyFolder
from analogsim.outcomes.plan import Axis, Job, Plan
from analogsim.results import ArmResult, Curve, Result

Place = dict[str, str]
"""By axis."""


@dataclass(frozen=True)
class PlaceVerdicts:
    """Verdicts at one point of a study.

    Attributes:
        place: on the axes of the study, the seed aside: chips of all seeds are judged together.
        verdicts: on the claims there.
        jobs: ids of those that the numbers come from.
    """

    place: Place
    verdicts: Verdicts
    jobs: tuple[str, ...]


def verdicts_of(folder: StudyFolder) -> Iterator[PlaceVerdicts]:
    """The verdicts at each point of the axes, whether they are folded into populations or not.

    An axis of a single other arm stands at its first place. Claims that name a point themselves, `np[lr=0.01]`, are
    judged on whole populations.

    Args:
        folder: of the study, in whatever state it is.

    Raises:
        RunError: a result is damaged.
    """
    plan = folder.plan
    jobs = [job for job in plan.jobs if not job.reference]
    claims, quick = _claims(folder, jobs[0]) if jobs else ((), False)
    if not claims:
        return
    named = [claim for claim in claims if any(each.point for each in quantities(claim.tree))]
    others = [claim for claim in claims if claim not in named]
    folded = [axis for axis in plan.axes if axis.coordinate is not None and axis.kind != "seed"]
    seeds = frozenset(axis.name for axis in plan.axes if axis.kind == "seed")
    for place, chosen in _points(jobs, seeds):
        result, curves = _whole(folder, plan, chosen)
        ids = tuple(job.id for found in chosen.values() for job in found if job.arm in result.arms)
        whole, split = (claims, ()) if not folded else (named, others)
        if whole:
            yield PlaceVerdicts(place, judge(whole, result, curves, quick), ids)
        if split:
            for at in itertools.product(*(range(len(axis.places)) for axis in folded)):
                here = {axis.name: axis.places[index] for axis, index in zip(folded, at, strict=True)}
                part = _part(result, curves, list(zip(folded, at, strict=True)))
                yield PlaceVerdicts(place | here, judge(split, *part, quick), ids)


def by_claim(found: Sequence[PlaceVerdicts]) -> dict[str, list[tuple[PlaceVerdicts, Verdict]]]:
    """The verdicts on each claim, by its statement; points in their order."""
    claims: dict[str, list[tuple[PlaceVerdicts, Verdict]]] = {}
    for place in found:
        for verdict in place.verdicts.claims:
            claims.setdefault(verdict.claim, []).append((place, verdict))
    return claims


def _claims(folder: StudyFolder, job: Job) -> tuple[tuple[Claim, ...], bool]:
    """Of the scenario, which are the same at all points, and whether the study is a quick look."""
    path = folder.point(job)
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        claims = tuple(Claim.model_validate(each) for each in data.get("claims", ()))
        return claims, bool(data.get("excerpt", {}).get("quick"))
    except FileNotFoundError:  # a copy of the results alone
        return (), False
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, AttributeError, TypeError):
        raise RunError(f"{path}: damaged, or of another release") from None


def _points(jobs: Sequence[Job], seeds: frozenset[str]) -> Iterator[tuple[Place, dict[str, list[Job]]]]:
    """The points of the axes that are not folded, each with the jobs of every arm there: one for each seed."""

    def of(job: Job) -> Place:
        return {axis: place for axis, place in job.place.items() if axis not in seeds}

    points: dict[str, Place] = {}
    by_arm: dict[str, list[tuple[Place, Job]]] = {}
    for job in jobs:
        points.setdefault(job.scenario, {}).update(of(job))
        by_arm.setdefault(job.arm, []).append((of(job), job))
    told: list[Place] = []
    for point in points.values():
        chosen: dict[str, list[Job]] = {}
        place = dict(point)
        for arm, found in by_arm.items():
            first = next((at for at, _ in found if _agree(at, place)), None)
            if first is not None:
                chosen[arm] = [job for at, job in found if at == first]
                place |= first
        if place not in told:
            told.append(place)
            yield place, chosen


def _agree(one: Place, other: Place) -> bool:
    return all(other.get(axis, each) == each for axis, each in one.items())


def _whole(folder: StudyFolder, plan: Plan, chosen: Mapping[str, Sequence[Job]]) -> tuple[Result, list[Curve]]:
    """One result of all arms, and its curves; jobs that are not done are left out."""
    arms: dict[str, ArmResult] = {}
    curves: list[Curve] = []
    kind: Any = "chips"
    for name, jobs in chosen.items():
        done = [(folder.result(job), folder.curves(job)) for job in jobs if folder.state(job) == "done"]
        if not done:
            continue
        kind = done[0][0].kind
        chips = [
            chip.model_copy(update={"coordinates": {"seed": result.seed, **chip.coordinates}})
            for result, _ in done
            for chip in result.arms[name].chips
        ]
        arms[name] = done[0][0].arms[name].model_copy(update={"chips": tuple(chips)})
        curves += _joined([own for _, own in done])
    return Result(kind=kind, name=plan.name, seed=0, arms=arms), curves


def _joined(found: Sequence[Sequence[Curve]]) -> Iterator[Curve]:
    """Evaluations that all jobs have, with the chips of all, in their order."""
    for curves in zip(*found, strict=False):
        first = curves[0]
        if any((curve.stage, curve.step) != (first.stage, first.step) for curve in curves):
            return
        yield first.model_copy(update={"chips": tuple(chip for curve in curves for chip in curve.chips), "spent": ()})


def _part(result: Result, curves: Sequence[Curve], at: Sequence[tuple[Axis, int]]) -> tuple[Result, list[Curve]]:
    """The chips at a place of folded axes; all chips of an arm that lacks one of these."""
    kept: dict[str, list[int]] = {}
    for name, arm in result.arms.items():
        here = [(str(axis.coordinate), axis.coordinates[index]) for axis, index in at]
        kept[name] = [
            number
            for number, chip in enumerate(arm.chips)
            if all(str(chip.coordinates.get(coordinate, place)) == place for coordinate, place in here)
        ]
    arms = {
        name: arm.model_copy(update={"chips": tuple(arm.chips[number] for number in kept[name])})
        for name, arm in result.arms.items()
        if kept[name]
    }
    return result.model_copy(update={"arms": arms}), [
        curve.model_copy(update={"chips": tuple(curve.chips[number] for number in kept[curve.arm]), "spent": ()})
        for curve in curves
        if curve.arm in arms
    ]
