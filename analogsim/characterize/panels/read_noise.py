"""Read noise against conductance: what a step sees anew, what two passes do not share, what a device accumulates."""

from __future__ import annotations

import numpy as np

from analogsim.characterize.lab import EXACT, MICRO, WRITING, Lab, microsiemens
from analogsim.characterize.page import Absent, Axis, Line, Panel

_LEVELS = 15
_READS = 16
HOUR = 3600.0


def read_noise(lab: Lab) -> Panel | Absent:
    """Standard deviations over repeated reads of devices that were written exactly, an hour after the write."""
    levels = lab.conductance(np.linspace(0, 1, _LEVELS) ** 2)  # dense where laws are steep
    station = lab.station(levels, without=WRITING)
    reads = station.read(HOUR, _READS)

    def sd(deviation: np.ndarray) -> np.ndarray:
        return np.sqrt(np.square(deviation).reshape(len(deviation), _LEVELS, -1).mean(axis=(0, 2))) * MICRO

    accumulated = sd(reads - station.level)
    if accumulated.max() < EXACT * lab.range[1] * MICRO:
        return Absent("Reads repeat: a device shows the same conductance in every read.")
    step, difference = sd(reads - station.state), sd(reads[1::2] - reads[::2]) / np.sqrt(2)
    x, half = levels * MICRO, int(0.7 * _LEVELS)
    return Panel(
        "Noise of a read",
        Axis("conductance at the write, µS"),
        Axis("standard deviation, µS", limits=(0.0, 1.4 * float(accumulated.max()))),
        (
            Line(x, accumulated, "accumulated since the write", 1, width=3.0),
            Line(x, step, "within a step", 0, marked=True),
            Line(x, difference, "difference of two passes / √2", 2, "dashed"),
        ),
        f"1 h after the write; {_READS} passes of {lab.devices} devices a level",
        (("noise of a read after 1 h", f"{microsiemens(accumulated[half] / MICRO)} at {microsiemens(levels[half])}"),),
    )
