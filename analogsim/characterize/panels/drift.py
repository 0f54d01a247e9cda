"""Drift: how much of what was programmed is left, from a second to a year."""

from __future__ import annotations

import numpy as np

from analogsim.characterize.lab import EXACT, Lab, microsiemens
from analogsim.characterize.page import Absent, Axis, Panel, spread

TIMES = np.logspace(0, np.log10(365.25 * 86_400), 46)
"""Seconds after the write."""
_SHARES = (1.0, 0.1, 0.03)  # places in the range
_MONTH = 30 * 86_400.0


def drift(lab: Lab) -> Panel | Absent:
    """Median and band of the level of devices over their own conductance right after the write."""
    targets = lab.conductance(np.array(_SHARES))
    station = lab.station(targets)
    start = station.programmed
    left = np.empty((len(TIMES), len(start)))
    for index, now in enumerate(TIMES):
        station.wait(float(now))
        left[index] = station.level / np.where(start > 0, start, np.nan)  # what is 0 has no share left
    if np.nanmax(np.abs(left - 1)) < EXACT:
        return Absent("No drift: a device stays what it was programmed to.")
    traces = []
    for tone, (part, target) in enumerate(zip(np.split(left, len(_SHARES), axis=1), targets, strict=True)):
        traces += spread(TIMES, part, microsiemens(target), tone)
    month = float(np.interp(np.log(_MONTH), np.log(TIMES), traces[1].y))
    return Panel(
        "Drift",
        Axis("time since the write, s", "log", (float(TIMES[0]), float(TIMES[-1]))),
        Axis("share of what was programmed"),
        tuple(traces),
        f"noise aside; median and 5-95 % of {lab.devices} devices each",
        (("left after 30 days", f"{100 * month:.3g} % at {microsiemens(targets[0])}"),),
    )
