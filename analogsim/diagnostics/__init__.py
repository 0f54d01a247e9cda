"""Diagnostics: what no learner sees, on both sides of the wall, through `chip.oracle`. Learning cannot import it."""

from analogsim.diagnostics.angles import angle, angles_against_samples
from analogsim.diagnostics.feedback import relative_error, sign_agreement, weight_norm
from analogsim.diagnostics.gradient import Gradient, true_gradient
from analogsim.diagnostics.metrics import METRICS, Look, measured
from analogsim.diagnostics.spread import Spread, covariance, participation_ratio

__all__ = [
    "METRICS",
    "Gradient",
    "Look",
    "Spread",
    "angle",
    "angles_against_samples",
    "covariance",
    "measured",
    "participation_ratio",
    "relative_error",
    "sign_agreement",
    "true_gradient",
    "weight_norm",
]
