"""The panels of a page, in its order. A new effect's panel is one function and one entry here."""

from __future__ import annotations

from collections.abc import Callable

from analogsim.characterize.lab import Lab
from analogsim.characterize.page import Absent, Panel
from analogsim.characterize.panels.converters import staircase, transfer
from analogsim.characterize.panels.drift import drift
from analogsim.characterize.panels.programming import programming
from analogsim.characterize.panels.pulses import pulses
from analogsim.characterize.panels.read_noise import read_noise
from analogsim.characterize.panels.spectrum import spectrum
from analogsim.characterize.panels.unit_noise import unit_memory, unit_series
from analogsim.characterize.panels.wires import wires

PANELS: dict[str, Callable[[Lab], Panel | Absent]] = {
    "programming": programming,
    "pulses": pulses,
    "drift": drift,
    "read_noise": read_noise,
    "spectrum": spectrum,
    "transfer": transfer,
    "staircase": staircase,
    "unit_noise": unit_series,
    "unit_memory": unit_memory,
    "wires": wires,
}
