"""Every kind of effect that a profile may name. A new one is a file and one entry here, in the tuple and the union."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from device_models.drift import ConstantDrift, LogarithmicDrift
from device_models.flicker_noise import FlickerNoise
from device_models.linear_steps import ConstantStep, IdealUpdate, LinearStep, SoftBounds
from device_models.nonlinear_steps import ExponentialStep, PowerStep
from device_models.programming import ConstantProgramming, PolynomialProgramming
from device_models.read_noise import AdditiveReadNoise, ProportionalReadNoise

EFFECTS = (
    AdditiveReadNoise,
    ProportionalReadNoise,
    FlickerNoise,
    PolynomialProgramming,
    ConstantProgramming,
    LogarithmicDrift,
    ConstantDrift,
    IdealUpdate,
    ConstantStep,
    LinearStep,
    SoftBounds,
    ExponentialStep,
    PowerStep,
)
"""All that have a `kind`."""

ReadNoiseDescription = Annotated[AdditiveReadNoise | ProportionalReadNoise | FlickerNoise, Field(discriminator="kind")]
ProgrammingDescription = Annotated[PolynomialProgramming | ConstantProgramming, Field(discriminator="kind")]
DriftDescription = Annotated[LogarithmicDrift | ConstantDrift, Field(discriminator="kind")]
UpdateDescription = Annotated[
    IdealUpdate | ConstantStep | LinearStep | SoftBounds | ExponentialStep | PowerStep, Field(discriminator="kind")
]
