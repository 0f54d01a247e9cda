"""IR drop: how much of each device's current arrives at the end of its column."""

from __future__ import annotations

import numpy as np

from analogsim.characterize.lab import EXACT, Lab
from analogsim.characterize.page import Absent, Axis, Map, Panel

LINES = 128


def wires(lab: Lab) -> Panel | Absent:
    """What each device of a fully-on array seems to be in a read, over what it is."""
    seems, is_ = lab.effective(LINES)
    share = seems / np.where(is_ > 0, is_, np.nan)
    if np.nanmax(np.abs(share - 1)) < EXACT:
        return Absent("Wires without resistance: a device counts wherever it lies.")
    return Panel(
        "IR drop: effective / own conductance",
        Axis("row"),
        Axis("column"),
        (Map(100 * share, "%"),),
        f"{LINES} x {LINES} devices at G_max; driven from below, sensed right",
        (("smallest share that wires leave", f"{100 * np.nanmin(share):.3g} %"),),
    )
