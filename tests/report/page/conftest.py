"""Studies made by hand: folders as a sweep leaves them, with numbers that a function gives."""

import base64
import gzip
import itertools
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from analogsim.outcomes import Axis, Job, Plan, StudyFolder, write_plan
from analogsim.report.page import write_report
from analogsim.results import (
    ArmResult,
    ChipResult,
    Counts,
    Curve,
    Metrics,
    Result,
    Spent,
    TunedPoint,
    Tuning,
    write_result,
)

Value = Callable[[Mapping[str, str], random.Random], float | None]
"""What a chip ends with, by its place on the axes and with numbers of its own; None: nothing finite."""

NOISE = "chip.profile.read_noise.0.sigma"


@dataclass(frozen=True)
class Arm:
    """An arm to be made."""

    value: Value
    rule: str = "np"
    family: str | None = None
    oracle: tuple[str, ...] = ()
    passes: int = 2
    without: tuple[str, ...] = ()
    """Folded axes that it has not."""


@dataclass(frozen=True)
class Making:
    """How jobs are made.

    Attributes:
        chips: of each place of folded axes.
        accurate: whether values are accuracies, and not losses.
        priced: whether learning took joules and seconds.
        tuned: whether learning rates were searched.
        epochs: of evaluations.
    """

    chips: int = 4
    accurate: bool = True
    priced: bool = True
    tuned: bool = True
    epochs: tuple[float, ...] = (2.0,)

    def work_off(self, folder: Path, job: Job, arm: Arm, folded: Sequence[Axis]) -> None:
        """Leave what a job that is done leaves."""
        values: list[float | None] = []
        chips: list[ChipResult] = []
        points: list[TunedPoint] = []
        for places in itertools.product(*(axis.places for axis in folded)):
            point = {str(axis.coordinate): each for axis, each in zip(folded, places, strict=True)}
            place = {**job.place, **{axis.name: each for axis, each in zip(folded, places, strict=True)}}
            points.append(TunedPoint(point=point, accuracy=(0.5, 0.6), chosen=0.01))
            for chip in range(self.chips):
                values.append(arm.value(place, random.Random(f"{place.get('seed', 0)}/{chip}")))
                chips.append(self._chip({**point, "chip": chip}, values[-1], arm))
        tuning = Tuning(lr=(0.001, 0.01), passes=400 * arm.passes, validation=50, chips=2, points=tuple(points))
        result = ArmResult(
            rule=arm.rule,
            family=arm.family,
            decorrelated=False,
            oracle=arm.oracle,
            steps=100,
            passes_per_step=arm.passes,
            chips=tuple(chips),
            tuning=tuning if self.tuned else None,
        )
        write_result(Result(name="made up", seed=0, arms={job.arm: result}), folder / "result.json")
        with (folder / "metrics.jsonl").open("w", encoding="utf-8") as file:
            for epoch in self.epochs:
                seen = tuple(self._metrics(epoch, self._on_the_way(epoch, value)) for value in values)
                curve = Curve(arm=job.arm, step=int(50 * epoch), chips=seen)
                file.write(json.dumps(curve.model_dump(mode="json")) + "\n")

    def _chip(self, coordinates: dict[str, Any], value: float | None, arm: Arm) -> ChipResult:
        final = self._metrics(self.epochs[-1], value)
        spent = Spent(seconds=1e-4, joules=2e-6 * arm.passes, passes=100 * arm.passes, writes=5000, wear=90)
        return ChipResult(
            coordinates=coordinates,
            lr=0.01,
            status="diverged" if value is None else "finished",
            final=final,
            best=final if value is not None else self._metrics(self.epochs[0], 0.1),
            counts=Counts(passes=100 * arm.passes, device_writes=5000, vectors=1000, silent=0, saturated=0.01),
            spent=spent if self.priced else None,
        )

    def _on_the_way(self, epoch: float, value: float | None) -> float | None:
        start = 0.1 if self.accurate else 2.3
        return start if not epoch else None if value is None else start + (value - start) * epoch / self.epochs[-1]

    def _metrics(self, epoch: float, value: float | None) -> Metrics:
        if not self.accurate:
            return Metrics(epoch=epoch, test_accuracy=None, test_loss=value, train_loss=None)
        loss = None if value is None else 1.0 - value
        return Metrics(epoch=epoch, test_accuracy=value, test_loss=loss, train_loss=None)


@dataclass
class Studies:
    """Makes studies under a folder."""

    root: Path
    made: int = 0

    arm = Arm
    NOISE = NOISE

    def __call__(
        self,
        arms: Mapping[str, Arm],
        axes: Sequence[Axis] = (),
        *,
        reference: Value | None = None,
        failed: Mapping[str, str] | None = None,
        missing: Sequence[str] = (),
        making: Mapping[str, Any] | None = None,
        points: Sequence[Mapping[str, str]] = ({},),
        **plan: Any,
    ) -> StudyFolder:
        """Make one.

        Args:
            arms: by name.
            axes: of the study.
            reference: what its chips end with; None: there is no reference.
            failed: causes, by the beginning of a job's id after its number, such as `np-pcm`.
            missing: likewise, of jobs that were not begun.
            making: how jobs are made, as `Making` has it.
            points: by sampled axis the place of each sampled point.
            plan: more of the plan.
        """
        self.made += 1
        path = self.root / f"study-{self.made}"
        (path / "jobs").mkdir(parents=True)
        every = {**({"reference": Arm(reference, "bp", oracle=("output_error",))} if reference else {}), **arms}
        how = Making(**(making or {}))
        jobs = list(self._jobs(every, axes, how.chips, points))
        settings = {"release": "0.1.0", "name": "made up", "share": 0.9, "threads": 1, **plan}
        write_plan(Plan(axes=tuple(axes), jobs=tuple(jobs), **settings), path / "plan.json")
        for job in jobs:
            name, folder = job.id.split("-", 1)[1], path / "jobs" / job.id
            if any(name.startswith(each) for each in missing):
                continue
            folder.mkdir()
            text = f"name: made up\narms: {{{job.arm}: {{rule: {every[job.arm].rule}}}}}\nplace: {job.place}\n"
            (folder / "scenario.yaml").write_text(text, encoding="utf-8")
            causes = [cause for begin, cause in (failed or {}).items() if name.startswith(begin)]
            if causes:
                (folder / "failure.json").write_text(json.dumps({"cause": causes[0]}), encoding="utf-8")
                continue
            arm = every[job.arm]
            folded = [axis for axis in axes if axis.coordinate and axis.name not in arm.without]
            how.work_off(folder, job, arm, [axis for axis in folded if axis.shared or not job.reference])
        return StudyFolder(path)

    @staticmethod
    def _jobs(arms: Mapping[str, Arm], axes: Sequence[Axis], chips: int, points: Sequence[Mapping[str, str]]) -> Any:
        number = itertools.count()
        for name in arms:
            reference = name == "reference"
            own = [axis for axis in axes if not axis.coordinate and axis.arm in (None, name)]
            own = [axis for axis in own if axis.shared or not reference]
            grid = [axis for axis in own if axis.sampled is None]
            drawn = [{axis.name: point[axis.name] for axis in own if axis.sampled} for point in points]
            drawn = [point for at, point in enumerate(drawn) if point not in drawn[:at]]
            for places, point in itertools.product(itertools.product(*(axis.places for axis in grid)), drawn):
                place = {**{axis.name: each for axis, each in zip(grid, places, strict=True)}, **point}
                words = "-".join([name, *place.values()])
                named = f"{next(number):05d}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', words)}"
                yield Job(id=named, arm=name, scenario=named, place=place, chips=chips, reference=reference)

    @staticmethod
    def axis(name: str, title: str, *places: str, kind: str = "setting", **more: Any) -> Axis:
        return Axis.model_validate({"name": name, "title": title, "kind": kind, "places": places, **more})

    def noise(self, *places: str, unit: str = "%") -> Axis:
        """A folded axis of read noise."""
        numbers = tuple(float(place.split()[0]) for place in places)
        more = {"numbers": numbers, "unit": unit, "coordinate": NOISE, "coordinates": places}
        return self.axis(NOISE, "read noise sigma", *places, kind="noise", **more)

    def sampled(self, name: str, title: str, places: Sequence[str], low: float, high: float, **more: Any) -> Axis:
        """A sampled axis; `scale` and `method` as a plan has them."""
        drawn = {"method": more.pop("method", "random"), "low": low, "high": high, "scale": more.pop("scale", "linear")}
        known = sorted(set(places), key=lambda place: float(place.split()[0]))
        numbers = tuple(float(place.split()[0]) for place in known)
        return self.axis(name, title, *known, numbers=numbers, sampled=drawn, **more)

    def profiles(self, *places: str) -> Axis:
        return self.axis("chip.profile", "profile", *places)

    def bits(self, *places: int) -> Axis:
        numbers = tuple(map(float, places))
        return self.axis("chip.overrides.adc.bits", "adc bits", *map(str, places), numbers=numbers)

    def seeds(self, count: int, folded: bool = True) -> Axis:
        places = tuple(map(str, range(count)))
        more = {"coordinate": "seed", "coordinates": places} if folded else {}
        return self.axis("seed", "seed", *places, kind="seed", shared=True, **more)

    @staticmethod
    def page(folder: StudyFolder) -> str:
        """The page of a study."""
        file = folder.path / "report.html"
        write_report(folder, file)
        return file.read_text(encoding="utf-8")

    @staticmethod
    def tables(html: str) -> dict[str, list[dict[str, str]]]:
        """By name, the rows of each table of a page, by heads of columns."""
        reader = _Tables()
        reader.feed(html)
        return {name: [dict(zip(rows[0], row, strict=True)) for row in rows[1:]] for name, rows in reader.found.items()}

    @staticmethod
    def held(html: str) -> dict[str, Any]:
        """What a page carries: jobs, scenarios and files."""
        [packed] = re.findall(r'id="data">([^<]*)<', html)
        return json.loads(gzip.decompress(base64.b64decode(packed)))


class _Tables(HTMLParser):
    """Reads the tables of a page, the small print after a space."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[list[str]]] = {}
        self._table: list[list[str]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self._table = self.found.setdefault(str(dict(attrs)["id"]), [])
        elif tag == "tr":
            self._table.append([])
        elif tag in ("td", "th"):
            self._table[-1].append("")
            self._inside = True
        elif tag == "small":
            self._table[-1][-1] += " "

    def handle_endtag(self, tag: str) -> None:
        if tag in ("tr", "thead", "table"):
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self._table[-1][-1] = f"{self._table[-1][-1]}{data}".rstrip("\n")


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Studies:
    return Studies(tmp_path_factory.mktemp("studies"))
