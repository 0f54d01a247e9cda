"""Pulse staircase: what pulses up, then pulses down, do to devices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analogsim.characterize.lab import MICRO, Lab
from analogsim.characterize.page import Absent, Array, Axis, Line, Panel, spread

_SHOWN = 3  # single devices


def pulses(lab: Lab) -> Panel | Absent:
    """Profiles write absolutely, towards a target."""
    return Absent("Absolute writes only: no pulsed updates.")


def staircase(start: Array, pulse: Callable[[bool], Array], count: int) -> Panel:
    """`count` pulses up, then as many down.

    Args:
        start: conductances of the devices before, siemens, (n,).
        pulse: gives every device one pulse, up or down, and returns the conductances after it.
        count: pulses of either direction.
    """
    steps = np.stack([start, *(pulse(True) for _ in range(count)), *(pulse(False) for _ in range(count))]) * MICRO
    number = np.arange(len(steps))
    single = [Line(number, steps[:, k], "" if k else "single devices", 1, width=0.7) for k in range(_SHOWN)]
    band, median = spread(number, steps, "median, 5-95 %")
    return Panel(
        "Pulses up, then down",
        Axis("pulses", limits=(0.0, float(number[-1]))),
        Axis("conductance, µS"),
        (band, *single, median),
        f"{count} pulses of either direction; {len(start)} devices",
    )
