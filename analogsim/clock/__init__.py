"""Simulated time."""

from analogsim.clock.clock import Clock

__all__ = ["Clock"]
