"""Files of inference traffic: the times of requests, one number of seconds a line."""

from __future__ import annotations

import math
from pathlib import Path

from analogsim.study.timeline_section import MOST_REQUESTS, Event, Timeline, Traffic

_SHOWN = 3


def with_traces(timeline: Timeline, where: str, folder: Path | None, found: list[str]) -> Timeline:
    """A timeline with the times of its trace files in place of their paths.

    Args:
        timeline: of a scenario or of an arm.
        where: its path, for messages.
        folder: that relative paths start from; None: the working directory.
        found: faults are added here.
    """
    return tuple(_with_trace(event, f"{where}.{index}", folder, found) for index, event in enumerate(timeline))


def _with_trace(event: Event, where: str, folder: Path | None, found: list[str]) -> Event:
    event = event.model_copy(update={"then": with_traces(event.then, f"{where}.then", folder, found)})
    if not isinstance(event, Traffic) or not isinstance(event.trace, str):
        return event
    try:
        return event.model_copy(update={"trace": read_trace((folder or Path()) / event.trace)})
    except ValueError as error:
        found.append(f"{where}.trace: {error}")
        return event


def read_trace(path: Path) -> tuple[float, ...]:
    """Times of requests, seconds, in order; empty lines and what follows a # are left out.

    Raises:
        ValueError: it cannot be read, or is no such file; naming lines.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the file is not UTF-8 text"
        raise ValueError(f"{path}: cannot be read: {reason}") from None
    times: list[float] = []
    faults: list[str] = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            time = float(text)
        except ValueError:
            faults.append(f"line {number}: not a number of seconds (got {text!r})")
            continue
        if not 0 <= time < math.inf:
            faults.append(f"line {number}: a time is finite and not negative (got {text})")
        elif times and time < times[-1]:
            faults.append(f"line {number}: out of order: {text} comes after {times[-1]:g}; sort the file")
        else:
            times.append(time)
    if faults:
        more = f"; and {len(faults) - _SHOWN} more lines" if len(faults) > _SHOWN else ""
        raise ValueError(f"{path}: " + "; ".join(faults[:_SHOWN]) + more)
    if not times:
        raise ValueError(f"{path}: holds no times; write one number of seconds a line")
    if len(times) > MOST_REQUESTS:
        raise ValueError(f"{path}: holds {len(times)} requests, and each is simulated; at most {MOST_REQUESTS:.0e}")
    return tuple(times)
