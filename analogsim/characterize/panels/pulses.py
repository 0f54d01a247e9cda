"""Pulse staircase: what pulses up and down do to a device."""

from __future__ import annotations

from analogsim.characterize.lab import Lab
from analogsim.characterize.page import Absent, Panel


def pulses(lab: Lab) -> Panel | Absent:
    """Profiles write absolutely, towards a target."""
    return Absent("Absolute writes only: no pulsed updates.")
