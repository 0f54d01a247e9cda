"""Programmed against target."""

from __future__ import annotations

import numpy as np

from analogsim.characterize.lab import EXACT, MICRO, Lab, microsiemens
from analogsim.characterize.page import Absent, Axis, Line, Panel, Points, spread

_TARGETS = 25
_SHOWN = 4  # single devices of each target


def programming(lab: Lab) -> Panel | Absent:
    """What absolute writes leave, over the range of targets."""
    targets = np.linspace(*lab.range, _TARGETS)
    programmed = lab.station(targets).programmed.reshape(_TARGETS, -1)
    if np.abs(programmed - targets[:, None]).max() < EXACT * lab.range[1]:
        return Absent("Writes are exact: a device becomes what was asked for.")
    sd = (programmed - targets[:, None]).std(axis=1)
    half = _TARGETS // 2
    exact = sd[half] < EXACT * lab.range[1]  # only where a device's own range ends does it miss its target
    few = programmed[:, :_SHOWN]
    band, median = spread(targets * MICRO, programmed * MICRO, "median, 5-95 %")
    ends = [Line(targets * MICRO, np.full(_TARGETS, end * MICRO), "", None, "dotted") for end in lab.range]
    return Panel(
        "Programmed against target",
        Axis("target, µS"),
        Axis("programmed, µS"),
        (
            band,
            median,
            Points(np.repeat(targets * MICRO, _SHOWN), few.ravel() * MICRO, "single devices", 1),
            Line(targets * MICRO, targets * MICRO, "target", None, "dashed"),
            *ends,
        ),
        f"{'exact, but for own bounds' if exact else 'right after the write'}; {lab.devices} devices a target",
        () if exact else (("programming sd", f"{microsiemens(sd[half])} at {microsiemens(targets[half])}"),),
        legend="lower right",
    )
