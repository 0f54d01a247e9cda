"""Every kind of effect that a profile may name. A new one is a file and one entry here, in the tuple and the union."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from device_models.drift import ConstantDrift, LogarithmicDrift
from device_models.flicker_noise import FlickerNoise
from device_models.linear_steps import ConstantStep, IdealUpdate, LinearStep, SoftBounds
from device_models.nonlinear_steps import ExponentialStep, PowerStep
from device_models.programming import ConstantProgramming, PolynomialProgramming, SaturatingProgramming, Spread
from device_models.read_noise import (
    AdditiveReadNoise,
    PolynomialReadNoise,
    ProportionalReadNoise,
    SaturatingReadNoise,
)
from device_models.relaxation import LogarithmicRelaxation, SpreadRelaxation
from device_models.retention import RetentionFailure
from device_models.telegraph_noise import RelaxationNoise, TelegraphNoise
from device_models.thermal_noise import ShotNoise, ThermalNoise
from device_models.unit_noise import BernoulliUnitNoise, GaussianUnitNoise, TelegraphUnitNoise

EFFECTS = (
    AdditiveReadNoise,
    ProportionalReadNoise,
    PolynomialReadNoise,
    SaturatingReadNoise,
    FlickerNoise,
    RelaxationNoise,
    TelegraphNoise,
    ThermalNoise,
    ShotNoise,
    PolynomialProgramming,
    ConstantProgramming,
    SaturatingProgramming,
    LogarithmicDrift,
    ConstantDrift,
    IdealUpdate,
    ConstantStep,
    LinearStep,
    SoftBounds,
    ExponentialStep,
    PowerStep,
    LogarithmicRelaxation,
    SpreadRelaxation,
    RetentionFailure,
    GaussianUnitNoise,
    BernoulliUnitNoise,
    TelegraphUnitNoise,
)
"""All that have a `kind`."""

ReadNoiseDescription = Annotated[
    AdditiveReadNoise
    | ProportionalReadNoise
    | PolynomialReadNoise
    | SaturatingReadNoise
    | FlickerNoise
    | RelaxationNoise
    | TelegraphNoise
    | ThermalNoise
    | ShotNoise,
    Field(discriminator="kind"),
]
ProgrammingDescription = Spread
DriftDescription = Annotated[LogarithmicDrift | ConstantDrift, Field(discriminator="kind")]
UpdateDescription = Annotated[
    IdealUpdate | ConstantStep | LinearStep | SoftBounds | ExponentialStep | PowerStep, Field(discriminator="kind")
]
RelaxationDescription = Annotated[
    LogarithmicRelaxation | SpreadRelaxation | RetentionFailure, Field(discriminator="kind")
]
UnitNoiseDescription = Annotated[
    GaussianUnitNoise | BernoulliUnitNoise | TelegraphUnitNoise, Field(discriminator="kind")
]
