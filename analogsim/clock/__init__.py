"""Simulated time: the clock, what a learning step takes, and traffic."""

from analogsim.clock.clock import TICKS, Clock, ticks
from analogsim.clock.digital import optimizer_operations
from analogsim.clock.shape import Decorrelated, LayerShape, StepShape, Writes, step_shape
from analogsim.clock.station import Span
from analogsim.clock.step import InferenceCost, StepCost, inference_cost, step_cost
from analogsim.clock.traffic import Arrivals, Periodic, Poisson, Priority, Server, SharedChip, Trace

__all__ = [
    "TICKS",
    "Arrivals",
    "Clock",
    "Decorrelated",
    "InferenceCost",
    "LayerShape",
    "Periodic",
    "Poisson",
    "Priority",
    "Server",
    "SharedChip",
    "Span",
    "StepCost",
    "StepShape",
    "Trace",
    "Writes",
    "inference_cost",
    "optimizer_operations",
    "step_cost",
    "step_shape",
    "ticks",
]
