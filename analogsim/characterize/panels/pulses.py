"""Pulse staircase: what pulses up, then pulses down, do to devices."""

from __future__ import annotations

import math

import numpy as np

from analogsim.characterize.lab import MICRO, Lab
from analogsim.characterize.page import Absent, Axis, Line, Panel, spread

_POINTS = 60  # of either direction
_SHOWN = 3  # single devices
_RANGES = 2.0  # pulses of either direction, in those that constant steps would take through the range


def pulses(lab: Lab) -> Panel | Absent:
    """Devices at G_min receive pulses up; those that can step down then receive as many down."""
    update, low = lab.profile.update, lab.range[0]
    if update is None:
        return Absent("Absolute writes only: no pulsed updates.")
    dw = update.dw_min
    assert isinstance(dw, float)
    each = max(1, math.ceil(_RANGES * (update.bounds.high - update.bounds.low) / dw / _POINTS))
    both = lab.profile.cell == "reference"
    station = lab.station(np.array([low]), without=("programming", "write_verify"), cell="reference")
    steps = [station.level]
    for sign in (1, -1) if both else (1,):
        for _ in range(_POINTS):
            station.pulse(sign * each)
            steps.append(station.level)
    states = np.stack(steps) * MICRO
    number = np.arange(len(states)) * each
    single = [
        Line(number, states[:, k], "" if k else "single devices", 1, width=0.7) for k in range(min(_SHOWN, lab.devices))
    ]
    band, median = spread(number, states, "median, 5-95 %")
    return Panel(
        "Pulses up, then down" if both else "Pulses up",
        Axis("pulses", limits=(0.0, float(number[-1]))),
        Axis("conductance, µS"),
        (band, *single, median),
        f"{_POINTS * each} pulses {'of either direction' if both else 'up'}; {lab.devices} devices",
    )
