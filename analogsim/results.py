"""The schema of result files, and the statistics that summarise them. Imports nothing of the simulator.

`result.json` holds only what repeats: running the scenario again writes the same bytes. `info.json` holds the rest.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from analogsim._files import as_record, read_json, write_text
from analogsim.errors import RunError

SCHEMA_VERSION = 2


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Metrics(_Record):
    """One evaluation of one chip; None where a number was not finite."""

    epoch: float
    """Passes through the training data so far."""
    test_accuracy: float | None
    """Share of test inputs classified rightly by the chip as deployed, in one noisy read each; None also where targets
    are no classes."""
    test_loss: float | None
    """Mean loss on the test set, of the same reads."""
    train_loss: float | None
    """Mean loss of all passes since the evaluation before."""
    diagnostics: dict[str, tuple[float | None, ...]] = {}
    """Metrics under `train.metrics` by name, a number for each layer; None also where a layer has none."""

    def crashed_from(self, start: Metrics) -> bool:
        """Whether learning left a chip worse than it found it: a loss above 1.1 x the first (Hiratani et al.)."""
        if self.test_loss is None:
            return True
        return start.test_loss is not None and self.test_loss > 1.1 * start.test_loss


class Counts(_Record):
    """What learning asked of one chip."""

    passes: int
    """Forward passes of a batch."""
    device_writes: int
    """Device pairs that were written after the first programming."""
    pulses: int = 0
    """Pulses that incremental writes gave."""
    overdriven: float = 0.0
    """Share of line drives that would have needed more pulses than a train has: those updates came out too small."""
    vectors: int
    """Batch elements from which an update was to be estimated."""
    silent: int
    """Those of them that held no information."""
    saturated: float
    """Share of weights that rest at the end of their range at the end."""


class Spent(_Record):
    """What learning has cost a chip so far, its first programming aside."""

    seconds: float
    """Simulated time of the steps."""
    joules: float
    passes: int
    """Forward passes of a batch."""
    writes: int
    """Programming pulses, or attempts, that devices have received."""
    wear: int
    """Most of them that any one device has received since it was made, the first programming included."""

    def plus(self, other: Spent) -> Spent:
        """This, and then the other, on the same devices."""
        added = {name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields}
        return Spent(**{**added, "wear": other.wear})


class StepPrice(_Record):
    """What one learning step of a chip takes, as a model of its parts says; writes, which are counted, aside."""

    seconds: float
    """Latency."""
    joules: dict[str, float]
    """By kind of operation."""
    occupancy: dict[str, float]
    """Share of the latency for which each resource is busy."""


class ChipResult(_Record):
    """One chip of an arm."""

    coordinates: dict[str, Any]
    """Its place on the population's axes."""
    lr: float
    """Its learning rate."""
    status: Literal["finished", "diverged"]
    """`diverged`: the loss ended above 1.1 x the initial one, or was not finite and the chip frozen from then on."""
    final: Metrics
    best: Metrics
    """The evaluation with the highest test accuracy, or the lowest test loss where targets are no classes; the first of
    equals."""
    counts: Counts
    spent: Spent | None = None
    """What its learning has cost; None where a profile has no `costs`."""
    reached: Spent | None = None
    """What it had cost at the first evaluation with the accuracy `train.reach`; None where that was not reached."""


class TunedPoint(_Record):
    """The learning rate that was chosen at one point of the axes."""

    point: dict[str, Any]
    accuracy: tuple[float | None, ...]
    """Mean validation accuracy of the tuning chips under each rate of the grid, at the end of training; None where
    targets are no classes."""
    loss: tuple[float | None, ...] = ()
    """Mean validation loss, likewise; recorded where it is what decides."""
    diverged: tuple[int, ...] = ()
    """Tuning chips that diverged under each rate."""
    chosen: float


class Tuning(_Record):
    """The search for an arm's learning rates, on data that the final test never sees."""

    lr: tuple[float, ...]
    """The grid."""
    protocol: Literal["best", "highest_stable"] = "best"
    """What was taken: the rate that was best on held-out samples, or the highest at which no chip diverged."""
    passes: int = 0
    """Forward passes of a batch that the search took at each point, over all its rates and chips."""
    validation: int
    """Training samples that were held out to choose by."""
    chips: int
    """Chips of their own at each point and rate."""
    points: tuple[TunedPoint, ...]

    def rate(self, point: dict[str, Any]) -> float:
        """The rate that was chosen at a point."""
        return next(tuned.chosen for tuned in self.points if tuned.point == point)


class Requests(_Record):
    """Inference requests of a traffic event, and how long they took."""

    count: int
    mean: float | None
    """Seconds from a request to its answer; None where there was none."""
    percentiles: dict[str, float]
    """The same at `50`, `95`, `99` and `100` %, by name."""


class Moment(_Record):
    """An event of a timeline, at its end."""

    seconds: float
    """Simulated time since the beginning of the timeline."""
    began: float | None = None
    """When it began, of `traffic`."""
    event: str
    """What it was: `train`, `evaluate`, `fault`, ..."""
    steps: int
    """Learning steps since the beginning."""
    accuracy: tuple[float | None, ...] | None = None
    """Of `evaluate` the test accuracy of each chip; of `self_test` the share of its own samples; None of others."""
    loss: tuple[float | None, ...] | None = None
    """Of the same reads, the mean loss."""
    joules: tuple[float, ...] | None = None
    """What each chip has used since the beginning, standing by included; None without prices."""
    wear: tuple[int, ...] | None = None
    """Of `evaluate`: the most pulses or writes that any device of each chip has received since it was made; None where
    nobody counts."""
    requests: Requests | None = None
    """Of `traffic`."""


class Life(_Record):
    """What happened to chips on a timeline."""

    chips: tuple[int, ...]
    """Which of the arm's: all of them together, or one that lives apart."""
    moments: tuple[Moment, ...]


class ChipOfStage(_Record):
    """One chip in a stage of an arm."""

    lr: float | None
    """Its learning rate; None where nothing was learned."""
    status: Literal["finished", "diverged"]
    """`diverged`: as in `ChipResult`, against the loss at the beginning of the arm."""
    begin: Metrics
    """Before the first step of the stage."""
    final: Metrics
    counts: Counts
    """What the stage has asked of the chip."""


class StageResult(_Record):
    """One stage of an arm."""

    rule: str
    """`none`: the weights were programmed, and nothing was learned."""
    profile: str
    """Name of the device profile of its chips."""
    ex_situ: bool
    """Whether it had chips of its own: it was a computation, on a model of chips, before the arm's chips."""
    programmed: bool
    """Whether its chips were new, and programmed at its beginning; otherwise they are those of the stage before."""
    decorrelated: bool
    """Whether it learned a decorrelation; one that was learned before is kept in any case."""
    oracle: tuple[str, ...]
    """What it used beyond the hardware's grants, unless it was ex situ."""
    steps: int
    passes_per_step: int
    chips: tuple[ChipOfStage, ...]


class ArmResult(_Record):
    """One arm of a run."""

    rule: str
    """Of an arm of stages the rules of all, with commas between them."""
    family: str | None = None
    """Arms of a family are settings of one rule."""
    tuning: Tuning | None = None
    decorrelated: bool
    oracle: tuple[str, ...]
    """What it used beyond the hardware's grants; not empty: this arm is a comparison, no candidate."""
    theory: bool = False
    """Whether nothing was simulated: its errors are what a theory expects of the runs."""
    steps: int
    passes_per_step: int
    """Of the last stage that learns."""
    chips: tuple[ChipResult, ...]
    stages: tuple[StageResult, ...] = ()
    """Of an arm of stages; `chips` then tells of those that it ends on, over all stages on them."""
    step: StepPrice | None = None
    """What one step of it costs; None where a profile has no `costs`."""
    lives: tuple[Life, ...] = ()
    """What happened after training, on the timeline: one life of all chips, or one of each."""

    @property
    def marks(self) -> tuple[str, ...]:
        """What makes it a comparison, no candidate: `oracle`, `ex situ`, `theory`."""
        ex_situ = any(stage.ex_situ for stage in self.stages)
        found = {"oracle": bool(self.oracle), "ex situ": ex_situ, "theory": self.theory}
        return tuple(mark for mark, has in found.items() if has)

    @property
    def first_stage(self) -> int:
        """Number of the stage from which on it has the chips that it ends on."""
        return max((index for index, stage in enumerate(self.stages) if stage.programmed), default=0)


class Result(_Record):
    """What `result.json` holds."""

    schema_version: int = SCHEMA_VERSION
    kind: Literal["chips", "student_teacher"] = "chips"
    """What was run: chips on a data set; or a linear student and its teacher, without chips, whose `epoch` is one step
    and whose `test_loss` is the mean squared error of the student's matrix, ||W2 W1 - A||^2 / (Lx Ly)."""
    name: str
    seed: Any
    reach: float | None = None
    """The accuracy whose price is told, `train.reach`."""
    arms: dict[str, ArmResult]
    notes: tuple[str, ...] = ()
    """What is not as one would expect of the data set: sentences for those who read the numbers."""


class Curve(_Record):
    """One line of `metrics.jsonl`: one evaluation of all chips of an arm."""

    arm: str
    stage: int = 0
    """Number of the arm's stage, from 0. A stage is evaluated at its beginning, too."""
    step: int
    """Of the whole arm."""
    chips: tuple[Metrics, ...]
    spent: tuple[Spent, ...] = ()
    """What learning has cost each chip so far; empty without prices."""


def write_result(result: Result, path: Path) -> None:
    """Write `result.json`, whole or not at all."""
    write_text(path, json.dumps(result.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")


def read_result(path: str | Path) -> Result:
    """Read `result.json`.

    Raises:
        RunError: it is missing, damaged or of another schema version.
    """
    path = Path(path)
    data = read_json(path)
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise RunError(f"{path}: has schema version {version!r}; this release reads version {SCHEMA_VERSION}")
    return as_record(Result, data, path)


def read_curves(path: str | Path) -> list[Curve]:
    """Read `metrics.jsonl`; a last line that is still being written is left out.

    Raises:
        RunError: it is damaged.
    """
    path = Path(path)
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    try:
        return [Curve.model_validate_json(line) for line in lines]
    except ValidationError:
        raise RunError(f"{path}: damaged: a line is no evaluation") from None


def marked(name: str, marks: Sequence[str]) -> str:
    """A name with its marks in brackets: `bp (oracle)`."""
    return f"{name} ({', '.join(marks)})" if marks else name


def interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float | None]:
    """Mean, and the half width of Student's t confidence interval; None for a single value."""
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return mean, None
    from scipy.special import stdtrit

    if not math.isfinite(mean):
        return mean, math.nan
    spread = math.hypot(*(value - mean for value in values))  # losses may be as large as floats allow
    return mean, float(stdtrit(n - 1, (1 + confidence) / 2)) * (spread / math.sqrt(n * (n - 1)))
