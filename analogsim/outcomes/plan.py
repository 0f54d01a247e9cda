"""The schema of `plan.json`: the axes of a study, how they fold into populations, and its jobs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from analogsim._files import as_record, read_json, write_text
from analogsim.errors import RunError

PLAN_VERSION = 1
"""Of plan.json: count up with every change of its meaning."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Drawn(_Record):
    """What the places of a sampled axis were drawn from."""

    method: Literal["random", "latin_hypercube"]
    """Independent points; or points of which each range, cut in as many parts as there are points, has one in each part
    (McKay, Beckman and Conover, Technometrics 1979)."""
    low: float
    """End of the range, in the axis' unit."""
    high: float
    """The other end."""
    scale: Literal["linear", "log"]
    """What is uniform: numbers, or their logarithms."""


class Axis(_Record):
    """One axis of a study."""

    name: str
    """A scenario's path, or a name of its own where places are bundles of settings."""
    title: str
    """What people call it: `read noise sigma`."""
    kind: Literal["noise", "setting", "seed"]
    """`noise`: what rules are to survive; `seed`: repeats; `setting`: all others, whose points are told apart."""
    places: tuple[str, ...]
    """As written, in the order in which they are shown."""
    numbers: tuple[float, ...] | None = None
    """Of places that are numbers of one dimension, all in `unit`; None: places have no order."""
    unit: str = ""
    coordinate: str | None = None
    """Of an axis that is folded into populations: what results call it in a chip's coordinates. None: every place has
    jobs of its own."""
    coordinates: tuple[str, ...] = ()
    """Of a folded axis: how a chip's coordinates write each of the places."""
    arm: str | None = None
    """The one arm that has the axis; its places are then settings of that arm, and not points of the study."""
    shared: bool = False
    """Whether the reference has this axis too: it is of the data, the network, the training or the seed, not of chips
    or rules."""
    sampled: Drawn | None = None
    """Of an axis whose places were drawn together with those of all other sampled ones, so that points are no grid."""

    def written(self, place: str) -> str:
        """A place with the axis' unit, also where it was written without."""
        return place if self.numbers is None or place.endswith(self.unit) else f"{place} {self.unit}"


class Job(_Record):
    """What is worked off as a whole: one arm at one point of the axes that are not folded."""

    id: str
    """Names its folder; unique in the study."""
    arm: str
    scenario: str
    """Name of the point's scenario, `points/<scenario>.yaml`."""
    place: dict[str, str]
    """By axis, for those that are not folded."""
    chips: int
    """Of its population, all folded axes included."""
    reference: bool = False
    """Whether it is the common reference, backpropagation in a computer, and no arm of the scenario."""


class Plan(_Record):
    """What `plan.json` holds; written before the first job and never changed."""

    schema_version: int = PLAN_VERSION
    release: str
    """Of analogsim that made the plan."""
    name: str
    description: str = ""
    axes: tuple[Axis, ...]
    """Slowest first."""
    share: float
    """Of the reference's accuracy, which a rule is to reach."""
    threads: int
    """Of each job. Sums of floats depend on them, so they belong to the plan and not to the machine."""
    protocol: str | None = None
    """How learning rates are searched; None: they are the scenario's."""
    notes: tuple[str, ...] = ()
    """What a reader of results should know: folded axes, what was left out."""
    jobs: tuple[Job, ...]

    @property
    def noise(self) -> Axis | None:
        """The axis along which rules are to survive."""
        return next((axis for axis in self.axes if axis.kind == "noise"), None)

    @property
    def settings(self) -> tuple[Axis, ...]:
        """Axes whose points are told apart: devices, converters, networks."""
        return tuple(axis for axis in self.axes if axis.kind == "setting" and axis.arm is None)

    @property
    def sampled(self) -> tuple[Axis, ...]:
        """Axes whose places were drawn, all together: each point has one on each of them."""
        return tuple(axis for axis in self.axes if axis.sampled is not None)


def write_plan(plan: Plan, path: Path) -> None:
    """Write `plan.json`, whole or not at all."""
    write_text(path, json.dumps(plan.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")


def read_plan(path: Path) -> Plan:
    """Read `plan.json`.

    Raises:
        RunError: it is missing, damaged or of another schema version.
    """
    data = read_json(path)
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != PLAN_VERSION:
        release = data.get("release", "unknown") if isinstance(data, dict) else "unknown"
        raise RunError(
            f"{path}: a study of schema version {version!r}, made by release {release}; this release reads version "
            f"{PLAN_VERSION}. Go on with the release that made it, or plan the study anew with `analogsim sweep`"
        )
    return as_record(Plan, data, path)
