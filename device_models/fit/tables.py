"""Tables of measurements: tidy CSV with units in the header, read strictly and with every fault named.

| kind         | columns                                                        | one row is                          |
|--------------|----------------------------------------------------------------|-------------------------------------|
| `reads`      | device, time [s], conductance [uS]; run                        | a read of a device that rests       |
| `drift`      | device, elapsed [s], conductance [uS]; target [uS], run        | a read, `elapsed` after the write   |
| `programmed` | target [uS], conductance [uS]; device                          | a write and its outcome             |
| `pulses`     | device, pulse, direction, conductance [uS]                     | the conductance after a pulse       |

A unit stands in square brackets behind the name and may be any unit of its quantity. What comes after the semicolon
may be left out. Lines that begin with # are comments.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device_models.errors import MeasurementError, bulleted
from device_models.fit.likelihood import Array
from device_models.units import unit_factor

QUANTITIES = {"target": ("S", "uS"), "conductance": ("S", "uS"), "time": ("s", "s"), "elapsed": ("s", "s")}
"""Columns with a unit: its SI unit, and the one that messages suggest."""
LABELS = ("device", "run", "pulse", "direction")
"""Columns without one."""
KINDS = {
    "reads": (("device", "time", "conductance"), ("run",)),
    "drift": (("device", "elapsed", "conductance"), ("target", "run")),
    "programmed": (("target", "conductance"), ("device",)),
    "pulses": (("device", "pulse", "direction", "conductance"), ()),
}
"""Columns that each kind of table must have, and those that it may have."""
_DIRECTIONS = {"up": 1.0, "down": -1.0, "+1": 1.0, "1": 1.0, "-1": -1.0}
_SHOWN = 10  # faults of one file


@dataclass(frozen=True)
class Table:
    """A table in SI units.

    Attributes:
        file: its name.
        kind: a key of `KINDS`.
        numbers: columns of numbers (n,).
        labels: columns of names (n,).
        lines: line of the file of each row (n,).
    """

    file: str
    kind: str
    numbers: dict[str, Array]
    labels: dict[str, NDArray[np.str_]]
    lines: NDArray[np.int64]


@dataclass(frozen=True)
class Series:
    """The rows of one device and run, in the table's order.

    Attributes:
        device: its name.
        numbers: columns of numbers (n,).
    """

    device: str
    numbers: dict[str, Array]


def read_table(path: Path) -> Table:
    """Read and check one table.

    Raises:
        MeasurementError: it cannot be used; names file, line and column of every fault.
    """
    file = str(path)
    lines = _lines(path)
    if not lines:
        raise MeasurementError(f"{file}: is empty; the first line must name the columns, such as {_example('reads')}")
    number, header = lines[0]
    columns, kind = _header(file, number, header)
    if len(lines) < 3:
        rows = "no row" if len(lines) == 1 else "one row"
        raise MeasurementError(
            f"{file}: has {rows} below its header; a fit needs at least two, and many more to be worth it"
        )
    faults: list[str] = []
    values: dict[str, list[float | str]] = {name: [] for name, _ in columns}
    for number, cells in lines[1:]:
        if len(cells) != len(columns):
            faults.append(
                f"line {number}: has {len(cells)} cells where the header has {len(columns)}; commas part cells"
            )
            continue
        for (name, factor), written, cell in zip(columns, header, cells, strict=True):
            try:
                values[name].append(_label(name, cell) if factor is None else _number(name, cell) * factor)
            except ValueError as error:
                faults.append(f"line {number}, column {written.strip()!r}: {error}")
    _refuse(file, faults)
    numbers = {
        name: np.array(column, dtype=np.float64) for name, column in values.items() if name not in ("device", "run")
    }
    labels = {name: np.array(column, dtype=np.str_) for name, column in values.items() if name in ("device", "run")}
    table = Table(file, kind, numbers, labels, np.array([number for number, _ in lines[1:]]))
    _refuse(file, _order(table, dict(zip((name for name, _ in columns), header, strict=True))))
    return table


def series(tables: Sequence[Table]) -> list[Series]:
    """The tables' rows by file, device and run. One name is one device in all files."""
    found = []
    for table in tables:
        for device, rows in _groups(table):
            found.append(Series(device, {name: column[rows] for name, column in table.numbers.items()}))
    return found


def _groups(table: Table) -> list[tuple[str, NDArray[np.intp]]]:
    """(device, its rows) for every device and run."""
    runs = table.labels.get("run", np.full(len(table.lines), ""))
    rows: dict[tuple[str, str], list[int]] = {}
    for index, key in enumerate(zip(table.labels["device"].tolist(), runs.tolist(), strict=True)):
        rows.setdefault(key, []).append(index)
    return [(device, np.array(indices)) for (device, _), indices in rows.items()]


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every line that is not empty and no comment."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise MeasurementError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MeasurementError(f"{path}: cannot be read: the file is not UTF-8 text") from None
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            (cells,) = csv.reader([line], strict=True)
        except (csv.Error, ValueError):
            raise MeasurementError(f"{path}: line {number}: not readable as CSV; check its quotation marks") from None
        found.append((number, cells))
    return found


def _header(file: str, line: int, header: list[str]) -> tuple[list[tuple[str, float | None]], str]:
    """(name, factor to SI or None for labels) of every column, and the kind of table."""
    if len(header) == 1 and re.search(r"[;\t]", header[0]):
        raise MeasurementError(f"{file}: line {line}: columns must be parted by commas (got {header[0]!r})")
    columns: list[tuple[str, float | None]] = []
    faults: list[str] = []
    for place, written in enumerate(header, start=1):
        where = f"line {line}, column {written.strip()!r}" if written.strip() else f"line {line}, column {place}"
        try:
            name, factor = _column(written)
        except ValueError as error:
            faults.append(f"{where}: {error}")
            continue
        if name in (known for known, _ in columns):
            faults.append(f"{where}: this column stands twice; keep one of the two")
        columns.append((name, factor))
    _refuse(file, faults)
    names = {name for name, _ in columns}
    kind = _kind(file, line, names)
    needed, optional = KINDS[kind]
    faults = [f"line {line}: column {_titled(name)!r} is missing" for name in needed if name not in names]
    faults += [
        f"line {line}, column {name!r}: does not belong to a table of {kind} ({_example(kind)})"
        for name in sorted(names - set(needed) - set(optional))
    ]
    _refuse(file, faults)
    return columns, kind


def _column(written: str) -> tuple[str, float | None]:
    match = re.fullmatch(r"\s*([^\[\]]*?)\s*(?:\[([^\[\]]*)\])?\s*", written)
    if match is None or not match[1]:
        raise ValueError("has no name that can be read; write a name and its unit, such as 'conductance [uS]'")
    name, unit = match[1].lower(), match[2]
    if name in LABELS:
        if unit is not None:
            raise ValueError(f"{name!r} has no unit; leave out [{unit}]")
        return name, None
    if name not in QUANTITIES:
        head, _, tail = match[1].rpartition("_")
        if head.lower() in QUANTITIES:
            raise ValueError(f"units stand in square brackets; write '{head.lower()} [{tail}]'")
        known = ", ".join([*LABELS, *map(_titled, QUANTITIES)])
        raise ValueError(f"unknown column; known are {known}; take others out")
    si, nice = QUANTITIES[name]
    if unit is None or not unit.strip():
        raise ValueError(f"the unit is missing; write it in square brackets, such as '{name} [{nice}]'")
    try:
        return name, unit_factor(unit.strip(), si)
    except ValueError as error:
        raise ValueError(f"{error}; write for example '{name} [{nice}]'") from None


def _kind(file: str, line: int, names: set[str]) -> str:
    if "time" in names and names & {"target", "elapsed"}:
        raise MeasurementError(
            f"{file}: line {line}: is this about reads or about drift? 'elapsed' is the time since programming (drift, "
            "with 'target' where known); 'time' is the clock of repeated reads, without 'target'; use one of them"
        )
    for key, kind in (("pulse", "pulses"), ("elapsed", "drift"), ("time", "reads"), ("target", "programmed")):
        if key in names:
            return kind
    kinds = "\n".join(f"  - {kind}: {_example(kind)}" for kind in KINDS)
    raise MeasurementError(f"{file}: line {line}: columns are missing; a table is one of\n{kinds}")


def _number(name: str, cell: str) -> float:
    try:
        value = float(cell.replace("_", "?"))  # 1_000 is a number for Python only
    except ValueError:
        raise ValueError("is empty" if not cell.strip() else f"not a number (got {cell.strip()!r})") from None
    if not math.isfinite(value):
        raise ValueError(f"must be finite (got {cell.strip()!r}); leave out rows that were not measured")
    if value < 0:
        raise ValueError(f"must not be negative (got {cell.strip()!r})")
    if name == "elapsed" and value == 0:
        raise ValueError(f"must be positive: time since programming (got {cell.strip()!r})")
    return value


def _label(name: str, cell: str) -> float | str:
    text = cell.strip()
    if not text:
        raise ValueError("is empty")
    if name == "direction":
        if text.lower() not in _DIRECTIONS:
            raise ValueError(f"must be up or down (got {text!r})")
        return _DIRECTIONS[text.lower()]
    if name == "pulse":
        if not re.fullmatch(r"\d+", text):
            raise ValueError(f"must be the number of a pulse, 0, 1, 2, ... (got {text!r})")
        return float(text)
    return text


def _order(table: Table, header: dict[str, str]) -> list[str]:
    """Faults of order: time and pulse number rise within each device and run."""
    faults: list[tuple[int, str]] = []
    for name in ("time", "elapsed", "pulse"):
        if name not in table.numbers:
            continue
        for device, rows in _groups(table):
            column = table.numbers[name][rows]
            for index in np.flatnonzero(np.diff(column) <= 0):
                line = int(table.lines[rows[index + 1]])
                text = f"line {line}, column {header[name].strip()!r}: must rise from row to row of device {device!r}"
                again = "" if name == "pulse" else "; tell repeated series of a device apart by a column 'run'"
                faults.append((line, f"{text}{again}"))
    return [text for _, text in sorted(faults)]


def _refuse(file: str, faults: Sequence[str]) -> None:
    """Raise one error for all faults of a file."""
    if len(faults) == 1:
        raise MeasurementError(f"{file}: {faults[0]}")
    if faults:
        more = [f"and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
        raise MeasurementError(bulleted(f"{file} cannot be used:", [*faults[:_SHOWN], *more]))


def _titled(name: str) -> str:
    return f"{name} [{QUANTITIES[name][1]}]" if name in QUANTITIES else name


def _example(kind: str) -> str:
    needed, optional = KINDS[kind]
    text = ", ".join(map(_titled, needed))
    return f"{text}; optional {', '.join(map(_titled, optional))}" if optional else text
