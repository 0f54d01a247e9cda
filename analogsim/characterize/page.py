"""What a page shows, as data: panels of traces, and sentences where a profile has nothing to show."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray
Scale = Literal["linear", "log"]
T = TypeVar("T")


@dataclass(frozen=True)
class Axis:
    """One axis of a panel.

    Attributes:
        label: quantity and unit.
        scale: of the axis.
        limits: smallest and largest value shown; None: as the traces need.
    """

    label: str
    scale: Scale = "linear"
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Line:
    """A curve; `tone` numbers the colour, None is grey, of guides."""

    x: Array
    y: Array
    label: str = ""
    tone: int | None = 0
    style: Literal["solid", "dashed", "dotted", "steps"] = "solid"
    width: float = 1.4
    marked: bool = False


@dataclass(frozen=True)
class Band:
    """The area between two curves."""

    x: Array
    low: Array
    high: Array
    label: str = ""
    tone: int | None = 0


@dataclass(frozen=True)
class Points:
    """Single values."""

    x: Array
    y: Array
    label: str = ""
    tone: int | None = 0


@dataclass(frozen=True)
class Map:
    """A value for each crossing of an array, (columns, rows)."""

    values: Array
    unit: str
    label: str = ""


Trace = Line | Band | Points | Map


@dataclass(frozen=True)
class Panel:
    """One diagram.

    Attributes:
        title, x, y, traces: what it shows.
        note: how it was measured, in at most 60 characters.
        figures: key figures read off the traces, name and value with its unit.
        legend: where it stands.
    """

    title: str
    x: Axis
    y: Axis
    traces: tuple[Trace, ...]
    note: str = ""
    figures: tuple[tuple[str, str], ...] = ()
    legend: Literal["best", "lower right"] = "best"

    def trace(self, kind: type[T], label: str | None = None) -> T:
        """The first trace of a kind, and of a label where one is given."""
        found = [each for each in self.traces if isinstance(each, kind) and label in (None, each.label)]
        if not found:
            raise KeyError(f"{self.title}: no {kind.__name__} {label or ''}")
        return found[0]


@dataclass(frozen=True)
class Absent:
    """An effect that the profile does not have, in a sentence."""

    sentence: str


@dataclass(frozen=True)
class Page:
    """All that is known of a profile by measurement.

    Attributes:
        name, description, references: of the profile.
        figures: key figures, name and value.
        panels: by their names in the registry.
        absent: sentences by the same names, for effects that the profile does not have.
        devices, seed: how many devices were simulated at each point, and with which seed.
    """

    name: str
    description: str
    references: tuple[str, ...]
    figures: tuple[tuple[str, str], ...]
    panels: dict[str, Panel]
    absent: dict[str, str]
    devices: int
    seed: int

    def to_data(self) -> dict[str, Any]:
        """Plain data for JSON; numbers with seven digits, what is not a number as null."""
        data = asdict(self)
        for name, panel in self.panels.items():
            for trace, plain in zip(panel.traces, data["panels"][name]["traces"], strict=True):
                plain["kind"] = type(trace).__name__.lower()
                plain |= {key: _plain(value) for key, value in plain.items() if isinstance(value, np.ndarray)}
        return data


def _plain(values: Array) -> Any:
    if values.ndim > 1:
        return [_plain(row) for row in values]
    return [float(f"{value:.7g}") if np.isfinite(value) else None for value in values.tolist()]


def spread(x: ArrayLike, samples: Array, label: str, tone: int | None = 0) -> tuple[Band, Line]:
    """Median and 5-95 % band of samples (points, n) over x (points,); what is not a number does not count."""
    low, middle, high = np.nanquantile(samples, [0.05, 0.5, 0.95], axis=1)
    at = np.asarray(x, dtype=float)
    return Band(at, low, high, "", tone), Line(at, middle, label, tone)
