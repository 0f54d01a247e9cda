"""The simulated hardware: crossbars on tiles, a network mapped on them, whole populations at once."""

from analogsim.chip.chip import Chip, Trace
from analogsim.chip.mapping import Mapping
from analogsim.chip.oracle import Oracle

__all__ = ["Chip", "Mapping", "Oracle", "Trace"]
