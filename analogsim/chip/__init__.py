"""The simulated hardware: crossbars on tiles, a network mapped on them, whole populations at once."""

from analogsim.chip.chip import Chip, Oracle, Trace
from analogsim.chip.mapping import Mapping

__all__ = ["Chip", "Mapping", "Oracle", "Trace"]
