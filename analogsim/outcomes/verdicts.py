"""What becomes of a scenario's claims in a study: judged at each of its points, as at one of a run of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from analogsim.claims import Claim, Verdict, judge
from analogsim.claims.points import axes_called
from analogsim.claims.tree import quantities
from analogsim.errors import RunError
from analogsim.outcomes.folder import StudyFolder
from analogsim.outcomes.plan import Axis, Job, Plan
from analogsim.results import ArmResult, Curve, Result

Place = dict[str, str]
"""By axis."""


@dataclass(frozen=True)
class PlaceVerdict:
    """A verdict at one point of a study.

    Attributes:
        place: on the axes that the claim's arms have, the seed aside: chips of all seeds are judged together.
        verdict: on the claim there.
        jobs: ids of those that its numbers come from.
    """

    place: Place
    verdict: Verdict
    jobs: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudyVerdicts:
    """What became of all claims.

    Attributes:
        quick: whether the study is a quick look, which decides nothing about what is claimed.
        claims: of each claim the verdicts at its points; in the scenario's order.
    """

    quick: bool
    claims: tuple[tuple[PlaceVerdict, ...], ...]


def verdicts_of(folder: StudyFolder) -> StudyVerdicts:
    """The verdicts at each point of the axes, whether they are folded into populations or not.

    A claim has the points of the axes that its arms have. While one arm leaves the first place of an axis of its own
    the others stand at theirs. Of an axis that a claim names itself, `np[lr=0.01]`, it has the whole population. Where
    a seed lacks its result a claim was not run.

    Args:
        folder: of the study, in whatever state it is.

    Raises:
        RunError: a result is damaged.
    """
    jobs = [job for job in folder.plan.jobs if not job.reference]
    claims, quick = _claims(folder, jobs[0]) if jobs else ((), False)
    found: list[list[PlaceVerdict]] = [[] for _ in claims]
    if claims:
        planned = _Planned(folder.plan, jobs)
        for shared in planned.shared:
            point = _Point(folder, planned, shared)
            for claim, told in zip(claims, found, strict=True):
                told += point.judged(claim)
    return StudyVerdicts(quick, tuple(map(tuple, found)))


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


@dataclass
class _Planned:
    """Jobs by where they stand.

    Attributes:
        folded: axes that are folded into populations, the seed aside.
        shared: places on the axes that are neither folded nor of a single arm.
        own: of an arm the places on those of its own.
        jobs: by arm and place on all axes that are not folded, one for each seed.
    """

    folded: list[Axis]
    shared: list[Place]
    own: dict[str, list[Place]]
    jobs: dict[tuple[str, frozenset[tuple[str, str]]], list[Job]]

    def __init__(self, plan: Plan, jobs: Iterable[Job]) -> None:
        owners = {axis.name: axis.arm for axis in plan.axes if axis.kind != "seed"}
        self.folded = [axis for axis in plan.axes if axis.coordinate is not None and axis.kind != "seed"]
        shared: dict[frozenset[tuple[str, str]], Place] = {}
        own: dict[str, dict[frozenset[tuple[str, str]], Place]] = {}
        self.jobs = {}
        for job in jobs:
            place = {axis: at for axis, at in job.place.items() if axis in owners}
            common = {axis: at for axis, at in place.items() if owners[axis] is None}
            apart = {axis: at for axis, at in place.items() if owners[axis] is not None}
            shared.setdefault(frozenset(common.items()), common)
            own.setdefault(job.arm, {}).setdefault(frozenset(apart.items()), apart)
            self.jobs.setdefault((job.arm, frozenset(place.items())), []).append(job)
        self.shared = list(shared.values())
        self.own = {arm: list(places.values()) for arm, places in own.items()}


@dataclass
class _Point:
    """A place on the axes that are neither folded nor of a single arm; reads each result once."""

    folder: StudyFolder
    planned: _Planned
    shared: Place
    _read: dict[tuple[str, ...], tuple[Result, list[Curve]]] = field(default_factory=dict)

    def judged(self, claim: Claim) -> Iterator[PlaceVerdict]:
        """The verdicts on a claim, at each place on the axes left that its arms have."""
        arms = list(dict.fromkeys(quantity.arm for quantity in quantities(claim.tree)))
        split = [axis for axis in self.planned.folded if self._varies(axis, claim, arms)]
        common = list(_places([axis for axis in split if axis.arm is None]))
        own: dict[str, list[tuple[Place, Place]]] = {}  # places on axes that are not folded, and that are
        for arm in arms:
            inside = list(_places([axis for axis in split if axis.arm == arm]))
            own[arm] = list(itertools.product(self.planned.own.get(arm, [{}]), inside))
        for at in common:
            for moved in _one_at_a_time(own):
                yield self._judge(claim, at, moved)

    def _varies(self, axis: Axis, claim: Claim, arms: Sequence[str]) -> bool:
        """Whether a folded axis parts the points of a claim: its arms have it, and none names its place."""
        if axis.arm is not None and axis.arm not in arms:
            return False
        for quantity in quantities(claim.tree):
            if axis.arm in (None, quantity.arm) and any(
                axes_called(word, [str(axis.coordinate)]) for word, _ in quantity.point
            ):
                return False
        first = {arm: self._jobs(arm, self.planned.own.get(arm, [{}])[0]) for arm in arms}
        done = [self._result(arm, jobs)[0] for arm, jobs in first.items() if jobs and not self._undone(jobs)]
        chips = [chip for result in done for arm in result.arms.values() for chip in arm.chips]
        return not chips or any(axis.coordinate in chip.coordinates for chip in chips)

    def _judge(self, claim: Claim, at: Place, moved: Mapping[str, tuple[Place, Place]]) -> PlaceVerdict:
        place = self.shared | at
        for outside, inside in moved.values():
            place |= outside | inside
        arms: dict[str, ArmResult] = {}
        curves: list[Curve] = []
        ids: list[str] = []
        kind = "chips"
        for arm, (outside, inside) in moved.items():
            jobs = self._jobs(arm, outside)
            if undone := self._undone(jobs):
                why = f"{len(undone)} of {len(jobs)} jobs of {arm} have no result" if len(jobs) > 1 else ""
                return PlaceVerdict(place, _not_run(claim, why or f"{arm} has no result"))
            if jobs:
                result, history = self._result(arm, jobs)
                kind = result.kind
                arms[arm], own = _part(result.arms[arm], history, self._coordinates(at | inside))
                curves += own
                ids += [job.id for job in jobs]
        whole = Result(kind=kind, name=self.folder.plan.name, seed=0, arms=arms)
        return PlaceVerdict(place, judge([claim], whole, curves).claims[0], tuple(ids))

    def _jobs(self, arm: str, own: Place) -> list[Job]:
        return self.planned.jobs.get((arm, frozenset((self.shared | own).items())), [])

    def _undone(self, jobs: Sequence[Job]) -> list[Job]:
        return [job for job in jobs if self.folder.state(job) != "done"]

    def _result(self, arm: str, jobs: Sequence[Job]) -> tuple[Result, list[Curve]]:
        """An arm with the chips of all seeds, and its curves."""
        ids = tuple(job.id for job in jobs)
        if ids not in self._read:
            found = [self.folder.result(job) for job in jobs]
            chips = [
                chip.model_copy(update={"coordinates": {"seed": result.seed, **chip.coordinates}})
                for result in found
                for chip in result.arms[arm].chips
            ]
            whole = found[0].arms[arm].model_copy(update={"chips": tuple(chips)})
            curves = list(_joined([self.folder.curves(job) for job in jobs]))
            self._read[ids] = found[0].model_copy(update={"arms": {arm: whole}}), curves
        return self._read[ids]

    def _coordinates(self, place: Place) -> dict[str, str]:
        """A place on folded axes, as chips' coordinates write it."""
        return {
            str(axis.coordinate): axis.coordinates[axis.places.index(place[axis.name])]
            for axis in self.planned.folded
            if axis.name in place
        }


def _places(axes: Sequence[Axis]) -> Iterator[Place]:
    """All places on folded axes; one of none where there are none."""
    for places in itertools.product(*(axis.places for axis in axes)):
        yield {axis.name: place for axis, place in zip(axes, places, strict=True)}


def _one_at_a_time(
    own: Mapping[str, Sequence[tuple[Place, Place]]],
) -> Iterator[dict[str, tuple[Place, Place]]]:
    """All arms at their first places, and then each of them alone at its others."""
    first = {arm: places[0] for arm, places in own.items()}
    yield first
    for arm, (_, *others) in own.items():
        yield from ({**first, arm: other} for other in others)


def _part(arm: ArmResult, curves: Sequence[Curve], at: Mapping[str, str]) -> tuple[ArmResult, list[Curve]]:
    """The chips of an arm at a place on those folded axes that it has, which their coordinates no longer tell."""
    kept = [
        number
        for number, chip in enumerate(arm.chips)
        if all(str(chip.coordinates.get(axis, place)) == place for axis, place in at.items())
    ]
    chips = []
    for number in kept:
        left = {axis: each for axis, each in arm.chips[number].coordinates.items() if axis not in at}
        chips.append(arm.chips[number].model_copy(update={"coordinates": left}))
    return arm.model_copy(update={"chips": tuple(chips)}), [
        curve.model_copy(update={"chips": tuple(curve.chips[number] for number in kept), "spent": ()})
        for curve in curves
    ]


def _joined(found: Sequence[Sequence[Curve]]) -> Iterator[Curve]:
    """Evaluations that all jobs have, with the chips of all, in their order."""
    for curves in zip(*found, strict=False):
        first = curves[0]
        if any((curve.stage, curve.step) != (first.stage, first.step) for curve in curves):
            return
        yield first.model_copy(update={"chips": tuple(chip for curve in curves for chip in curve.chips), "spent": ()})


def _not_run(claim: Claim, why: str) -> Verdict:
    return Verdict(**claim.model_dump(), verdict="not run", why=why)
