"""What a fit hands back: estimates with their errors, tests of the model, warnings, and the part of a profile."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from device_models.fit.likelihood import Array, Maximum
from device_models.units import format_quantity

NOT_DETERMINED = "not determined"
GIVEN = "given"
ASSUMED = "assumed"
AT_BOUND = "at its bound"


@dataclass(frozen=True)
class Estimate:
    """One number of a profile.

    Attributes:
        path: where it stands in the profile, such as `drift.mean.slope`.
        value: in `unit`.
        se: standard error; None where the number was not fitted.
        low, high: 95 % interval; None where there is no standard error.
        unit: uS, s, % or nothing.
        flag: empty for a plain estimate; else `not determined`, `given`, `assumed` or `at its bound`.
        note: why.
    """

    path: str
    value: float
    se: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    flag: str = ""
    note: str = ""


@dataclass(frozen=True)
class Check:
    """A test of the fitted model. A small p says that the data are not like the model."""

    name: str
    statistic: float
    p: float
    means: str
    """What a small p would mean."""


@dataclass(frozen=True)
class Candidate:
    """A model that was considered."""

    name: str
    parameters: int
    score: float
    """AIC, or what the fit's rule says; the least is best."""


@dataclass(frozen=True)
class Picture:
    """Data against model, and residuals, for a figure.

    Attributes:
        x, y: data (n,).
        line: places (m,) at which `centre`, `low` and `high` of the model are drawn.
        band: what `low` to `high` spans.
        residuals: standard normal under the model (n,).
    """

    x: Array
    y: Array
    line: Array
    centre: Array
    low: Array
    high: Array
    residuals: Array
    x_label: str
    y_label: str
    band: str
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True)
class Fit:
    """One part of a profile, fitted to the tables of one kind.

    Attributes:
        part: key of the profile, such as `read_noise`.
        model: the chosen model in words.
        rule: how it was chosen.
        data: the part as plain data for `DeviceProfile.from_data`.
        estimates: every number of it.
        checks: goodness of fit.
        warnings: sentences for the person who measured.
        candidates: models that were considered.
        devices: how many were measured; None where the tables do not name them.
        points: how many rows were used.
        files: names of the tables.
        picture: for the figure.
    """

    part: str
    model: str
    rule: str
    data: Any
    estimates: tuple[Estimate, ...]
    checks: tuple[Check, ...]
    warnings: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    devices: int | None
    points: int
    files: tuple[str, ...]
    picture: Picture | None = field(compare=False)

    @property
    def origin(self) -> str:
        """What the profile's `references` say of it."""
        devices = "devices not named" if self.devices is None else f"{self.devices} devices"
        files = ", ".join(Path(file).name for file in self.files)
        return f"fitted to {files} ({devices}, {self.points} points)"


def estimate(
    path: str, found: Maximum, index: int, unit: str = "", factor: float = 1.0, low: float = -math.inf
) -> Estimate:
    """The estimate of parameter `index`, with the 95 % interval that its standard error gives.

    Args:
        factor: turns the parameter into `unit`.
        low: the parameter's lower bound, in `unit`; an interval ends there.
    """
    from scipy.stats import t

    value, se = factor * float(found.theta[index]), factor * float(found.se[index])
    if math.isnan(se):
        return Estimate(path, value, unit=unit, flag=NOT_DETERMINED, note="the likelihood is flat along it")
    half = float(t.isf(0.025, found.degrees)) * se
    return Estimate(path, value, se, max(low, value - half), value + half, unit)


def micro(siemens: float) -> str:
    """A conductance for a profile."""
    return format_quantity(siemens, "S", "uS")


def percent(share: float) -> str:
    """A share for a profile."""
    return format_quantity(share, "%", "%")


def seconds(time: float) -> str:
    """A time for a profile."""
    return format_quantity(time, "s", "s")


def standard(name: str, statistic: float, means: str) -> Check:
    """A two-sided test of a number that is standard normal if the model holds."""
    from scipy.stats import norm

    return Check(f"{name} (z)", statistic, float(2 * norm.sf(abs(statistic))), means)


def kolmogorov(uniform: Array, name: str, means: str) -> Check:
    """Kolmogorov-Smirnov test of numbers that are uniform on (0, 1) under the model. Conservative, as the model was
    fitted to the same data."""
    from scipy.stats import kstest

    found: Any = kstest(uniform, "uniform")
    return Check(name, float(found.statistic), float(found.pvalue), means)


def quantile_groups(x: Array, most: int) -> Array:
    """Groups for a test: distinct values where there are few, else quantiles of the data."""
    if len(np.unique(x)) <= 2 * most:
        return x
    return np.asarray(np.searchsorted(np.quantile(x, np.linspace(0, 1, most + 1)[1:-1]), x), dtype=np.float64)


def spread_by_group(
    squares: Array, degrees: Array, groups: Array, parameters: int, name: str, means: str
) -> Check | None:
    """Chi-square test that spreads are as modelled in every group.

    Args:
        squares: sums of squared standardised residuals (n,), each chi-square of `degrees` (n,).
        groups: to which group each belongs (n,).
        parameters: of the model, which cost degrees of freedom.

    Returns:
        The check, or None with too few groups. Groups with fewer than 5 degrees of freedom are left out.
    """
    from scipy.stats import chi2

    labels, index = np.unique(groups, return_inverse=True)
    total, n = np.bincount(index, squares, len(labels)), np.bincount(index, degrees, len(labels))
    total, n = total[n >= 5], n[n >= 5]
    if len(n) <= parameters:
        return None
    # Wilson and Hilferty: the cube root of a chi-square is nearly normal.
    z = ((total / n) ** (1 / 3) - (1 - 2 / (9 * n))) / np.sqrt(2 / (9 * n))
    statistic = float((z**2).sum())
    return Check(name, statistic, float(chi2.sf(statistic, len(n) - parameters)), means)


def mean_by_group(z: Array, groups: Array, parameters: int, name: str, means: str) -> Check | None:
    """Chi-square test that standard normal residuals z (n,) have mean zero in every group; see `spread_by_group`."""
    from scipy.stats import chi2

    labels, index = np.unique(groups, return_inverse=True)
    if len(labels) <= parameters:
        return None
    total, n = np.bincount(index, z, len(labels)), np.bincount(index, minlength=len(labels))
    statistic = float((total**2 / n).sum())
    return Check(name, statistic, float(chi2.sf(statistic, len(labels) - parameters)), means)
