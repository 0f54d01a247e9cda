"""Programming spread from what devices were programmed to and what they became.

G_prog = max(0, T + sigma(T) xi), sigma = c0 + c1 r + c2 r^2 + ..., r = T / G_max. A conductance of zero says only that
T + sigma xi was not above zero, so a row counts with

    ln phi((G - T) / sigma) - ln sigma     where G > 0
    ln Phi(-T / sigma)                     where G = 0

(the censored Gaussian of J. Tobin, Econometrica 26:24, 1958). Taking the clamped values at their face would narrow
the spread of small targets. The degree is the one of least AIC among those that the number of distinct targets
admits, or given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from device_models.errors import MeasurementError
from device_models.fit.likelihood import Array, Maximum, maximise
from device_models.fit.result import (
    Candidate,
    Check,
    Estimate,
    Fit,
    Picture,
    estimate,
    kolmogorov,
    micro,
    quantile_groups,
    spread_by_group,
    standard,
)
from device_models.fit.tables import Table

MAX_DEGREE = 4
FEW_POINTS = 20
"""Writes for each coefficient under which a warning is given."""
FEW_DEVICES = 10
_LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)


def fit_programming(tables: Sequence[Table], g_max: float, degree: int | None = None) -> Fit:
    """Fit the spread of absolute writes.

    Args:
        tables: of kind `programmed`.
        g_max: siemens.
        degree: of the polynomial; None: the one of least AIC.

    Raises:
        MeasurementError: the given degree needs more distinct targets.
    """
    target = np.concatenate([table.numbers["target"] for table in tables])
    g = np.concatenate([table.numbers["conductance"] for table in tables])
    named = all("device" in table.labels for table in tables)
    labels = np.concatenate([table.labels["device"] for table in tables]) if named else np.arange(len(g))
    _, device = np.unique(labels, return_inverse=True)
    files = tuple(table.file for table in tables)
    levels = len(np.unique(target[_informative(target, g)]))
    if degree is not None and degree >= levels:
        raise MeasurementError(
            f"{', '.join(files)}: a polynomial of degree {degree} needs {degree + 1} distinct targets (got {levels})"
        )
    warnings: list[str] = []
    if np.allclose(g, target, rtol=1e-12, atol=0):
        raise MeasurementError(
            f"{', '.join(files)}: all writes end at their targets; the spread is below the table's digits"
        )
    if not levels or len(g) < 3 or (g == 0).all():
        raise MeasurementError(
            f"{', '.join(files)}: the spread cannot be fitted: fewer than 3 writes, or none above zero"
        )
    degrees = [degree] if degree is not None else list(range(min(MAX_DEGREE, levels - 1, len(g) // 3 - 1) + 1))
    repeated = named and len(labels) > device.max() + 1
    found = {each: _maximise(target, g, device, g_max, each, repeated) for each in degrees}
    best = min(found, key=lambda each: found[each].aic)
    maximum = found[best]
    points = len(g)
    devices = int(device.max()) + 1 if named else None
    if points < FEW_POINTS * (best + 1):
        warnings.append(f"{points} writes are few for {best + 1} parameter(s): their intervals are rough")
    if repeated and devices is not None and devices < FEW_DEVICES:
        warnings.append(
            f"{devices} device(s) with repeated writes: what differs between devices is not known, "
            "the intervals hold for these devices alone"
        )
    if degree is None and levels <= best + 1 and levels > 1:
        warnings.append(
            f"a polynomial of degree {best} meets {levels} targets exactly; its shape between them is not tested"
        )
    if target.max() < 0.9 * g_max or target.min() > 0.1 * g_max:
        low, high = target.min() * 1e6, target.max() * 1e6
        warnings.append(f"targets cover {low:g} to {high:g} uS only; elsewhere the spread is extrapolated")
    if target.max() > g_max * (1 + 1e-9):
        warnings.append(f"some targets lie above G_max ({g_max * 1e6:g} uS)")
    lines = np.linspace(0, max(g_max, target.max()), 200)
    if (_sigma(maximum.theta, lines, g_max) < 0).any():
        warnings.append("the fitted spread falls below zero inside the conductance range, where it counts as zero")
    checks = _checks(target, g, maximum.theta, g_max)
    estimates = _estimates(maximum, best, g_max)
    return Fit(
        part="programming",
        model="constant" if best == 0 else f"polynomial of degree {best}",
        rule="degree given" if degree is not None else "least AIC",
        data=_data(maximum.theta, best, g_max),
        estimates=estimates,
        checks=checks,
        warnings=tuple(warnings),
        candidates=tuple(Candidate(f"degree {each}", each + 1, found[each].aic) for each in degrees),
        devices=devices,
        points=points,
        files=files,
        picture=_picture(target, g, maximum.theta, g_max),
    )


def _sigma(theta: Array, target: Array, g_max: float) -> Array:
    return np.asarray(np.polynomial.polynomial.polyval(target / g_max, theta), dtype=np.float64)


def _informative(target: Array, g: Array) -> np.ndarray:
    """A target of zero that ended at zero says nothing: Phi(0) = 1/2 whatever the spread."""
    return (target > 0) | (g > 0)


def _log_likelihood(theta: Array, target: Array, g: Array, g_max: float) -> Array:
    sigma = _sigma(theta, target, g_max)
    if (sigma <= 0).any():
        return np.full(len(g), -np.inf)
    inside = -0.5 * ((g - target) / sigma) ** 2 - np.log(sigma) - _LOG_ROOT_2PI
    return np.where(g > 0, inside, log_ndtr(-target / sigma))


def _maximise(target: Array, g: Array, device: np.ndarray, g_max: float, degree: int, repeated: bool) -> Maximum:
    r, errors = target / g_max, np.abs(g - target) * math.sqrt(math.pi / 2)
    scale = float(np.sqrt(np.mean((g - target) ** 2))) or 1e-3 * g_max
    # Starts: the straight regression of absolute errors, mixed with a constant until it is positive everywhere.
    slope = np.polynomial.polynomial.polyfit(r, errors, degree)
    flat = np.zeros(degree + 1)
    flat[0] = scale
    starts = [flat]
    for share in (1.0, 0.7, 0.4):
        mixed = share * slope + (1 - share) * flat
        if (_sigma(mixed, target, g_max) > 0).all():
            starts.insert(0, mixed)
            break

    def terms(theta: Array) -> Array:
        rows = _log_likelihood(theta, target, g, g_max)
        return np.asarray(np.bincount(device, rows), dtype=np.float64) if repeated else rows

    return maximise(terms, starts, np.full(degree + 1, scale), sandwich=repeated)


def _data(theta: Array, degree: int, g_max: float) -> dict[str, object]:
    if degree == 0:
        return {"kind": "constant", "sigma": micro(float(theta[0]))}
    return {
        "kind": "polynomial",
        "coefficients": [micro(float(c)) for c in theta],
        "reference": micro(g_max),
    }


def _estimates(maximum: Maximum, degree: int, g_max: float) -> tuple[Estimate, ...]:
    if degree == 0:
        return (estimate("programming.sigma", maximum, 0, "uS", 1e6, 0.0),)
    return tuple(estimate(f"programming.coefficients.{k}", maximum, k, "uS", 1e6) for k in range(degree + 1))


def _uniform(target: Array, g: Array, theta: Array, g_max: float) -> Array:
    """Where each write above zero lies in its distribution above zero; uniform under the model."""
    sigma, above = _sigma(theta, target, g_max), g > 0
    zero = ndtr(-target / sigma)[above]
    return np.clip((ndtr((g - target) / sigma)[above] - zero) / (1 - zero), 1e-12, 1 - 1e-12)


def _checks(target: Array, g: Array, theta: Array, g_max: float) -> tuple[Check, ...]:

    u, above = _uniform(target, g, theta, g_max), g > 0
    checks = [kolmogorov(u, "errors are Gaussian (KS)", "errors have another distribution than a Gaussian")]
    groups = quantile_groups(target[above], 10)
    z = ndtri(u)
    spread = spread_by_group(
        z**2,
        np.ones(len(z)),
        groups,
        len(theta),
        "spread at each target (chi-square)",
        "the law of the spread misses the data",
    )
    if spread is not None:
        checks.append(spread)
    statistic = float(z.mean() * math.sqrt(len(z)))
    checks.append(
        standard(
            "mean error is zero", statistic, "devices end off their targets on average, which a profile cannot say"
        )
    )
    clamped = ndtr(-target / _sigma(theta, target, g_max))
    variance = float((clamped * (1 - clamped)).sum())
    if variance > 1:
        statistic = float(((~above).sum() - clamped.sum()) / math.sqrt(variance))
        checks.append(
            standard("devices at zero", statistic, "more or fewer devices end at zero than the clamp explains")
        )
    return tuple(checks)


def _picture(target: Array, g: Array, theta: Array, g_max: float) -> Picture:
    line = np.linspace(0, max(g_max, float(target.max())), 200)
    sigma = np.maximum(_sigma(theta, line, g_max), 0)
    residuals = np.where(g > 0, 0.0, np.nan)
    residuals[g > 0] = ndtri(_uniform(target, g, theta, g_max))
    return Picture(
        x=target * 1e6,
        y=(g - target) * 1e6,
        line=line * 1e6,
        centre=np.zeros_like(line),
        low=-2 * np.minimum(sigma, line / 2) * 1e6,
        high=2 * sigma * 1e6,
        residuals=residuals,
        x_label="target, uS",
        y_label="conductance - target, uS",
        band="two standard deviations, cut off where the conductance is zero",
    )
