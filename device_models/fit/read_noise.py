"""Read noise from series of reads of devices that rest.

A series of n reads y has an unknown mean: only the n - 1 contrasts C y (rows orthonormal, orthogonal to 1) tell of the
noise. They are Gaussian with covariance s^2 C K C^T, hence SS = (C y)^T (C K C^T)^-1 (C y) is s^2 chi-square of n - 1
degrees of freedom (restricted likelihood; Patterson and Thompson, Biometrika 58:545, 1971). With g the series' mean and
r = g / G_max:

    white     K = 1,  s = a G_max                         additive
                      s = b g                             proportional
                      s^2 = (a G_max)^2 + (b g)^2         both: a polynomial of the variance in g
    1/f       K_ij = -Cin(pi |t_i - t_j| / t_r)           flicker
                      s = g min(q / r^exponent, q_max)

The last K is what S(f) = Q^2 G^2 / f leaves in contrasts: reads tau apart differ with variance 2 Q^2 G^2 Cin(pi tau /
t_r), whatever the time since the write (see `device_models.flicker_noise`). White and 1/f noise are told apart by the
correlation of reads, additive and proportional noise by their growth with g; the model of least AIC is taken. A
polynomial s = G_max (c0 + c1 r + c2 r^2) is there for the asking, where a test says that none of these fits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from device_models.errors import MeasurementError
from device_models.fit.likelihood import Array, Maximum
from device_models.fit.read_models import Contrasts, Model, candidates, fit_model, gather_contrasts
from device_models.fit.result import (
    ASSUMED,
    AT_BOUND,
    GIVEN,
    NOT_DETERMINED,
    Candidate,
    Check,
    Estimate,
    Fit,
    Picture,
    estimate,
    kolmogorov,
    percent,
    quantile_groups,
    seconds,
    spread_by_group,
    standard,
)
from device_models.fit.tables import Series, Table, series

T_R = 250e-9
"""Seconds; duration of a read where none is given."""
SPAN = 1.5
"""Conductances must span this factor before a law in g is fitted."""
FEW_DEVICES = 10
MODELS = ("additive", "proportional", "both", "polynomial", "flicker")


def fit_read_noise(
    tables: Sequence[Table],
    g_max: float,
    *,
    t_r: float | None = None,
    t0: float | None = None,
    model: str | None = None,
) -> Fit:
    """Fit the noise of reads.

    Args:
        tables: of kind `reads`.
        g_max: siemens.
        t_r: duration of a read, seconds; None: assumed.
        t0: seconds; begin of the profile's 1/f law; None: assumed.
        model: one of `MODELS`; None: the one of least AIC but for `polynomial`, which must be asked for.

    Raises:
        MeasurementError: no series has two reads.
    """
    files = tuple(table.file for table in tables)
    found = [
        each for each in series(tables) if len(each.numbers["time"]) > 1 and each.numbers["conductance"].mean() > 0
    ]
    warnings: list[str] = []
    dropped = len(series(tables)) - len(found)
    if not found:
        raise MeasurementError(
            f"{', '.join(files)}: no device has two reads above zero; read noise needs repeated reads"
        )
    if dropped:
        warnings.append(f"{dropped} series with one read, or without a read above zero, left out")
    spacing = min(float(np.diff(each.numbers["time"]).min()) for each in found)
    duration = t_r if t_r is not None else min(T_R, spacing)
    if t_r is not None and t_r > spacing * (1 + 1e-9):
        raise MeasurementError(
            f"{', '.join(files)}: a read of {t_r:g} s does not fit between reads {spacing:g} s apart; "
            "check --t-r and the unit of time"
        )
    data = gather_contrasts(found, duration)
    if (data.squares["white"] <= (1e-12 * data.g) ** 2 * data.degrees).all():
        raise MeasurementError(
            f"{', '.join(files)}: all reads of a device are equal; the noise is below the table's digits"
        )
    spans = bool(data.g.max() > SPAN * data.g.min())
    models = candidates(data, g_max, spans)
    chosen = [each for each in models if each.kind == model or (model is None and each.kind != "polynomial")]
    if not chosen:
        raise MeasurementError(
            f"--read-noise {model}: needs conductances that span a factor {SPAN:g} (or choose {', '.join(MODELS)})"
        )
    fits = [(each, fit_model(data, each)) for each in chosen]
    best, maximum = min(fits, key=lambda pair: pair[1].aic)
    devices = len(np.unique(data.device))
    warnings += _warnings(data, devices, spans, best, duration, t_r, spacing)
    parts, estimates = _describe(best, maximum, data, g_max, duration, t_r, t0, spans)
    checks = _checks(data, best, maximum, found)
    return Fit(
        part="read_noise",
        model=best.name,
        rule="model given" if model is not None else "least AIC",
        data=parts,
        estimates=tuple(estimates),
        checks=checks,
        warnings=tuple(warnings),
        candidates=tuple(Candidate(each.name, len(each.start), result.aic) for each, result in fits),
        devices=devices,
        points=int(sum(len(each.numbers["time"]) for each in found)),
        files=files,
        picture=_picture(data, best, maximum),
    )


def _warnings(
    data: Contrasts, devices: int, spans: bool, best: Model, duration: float, t_r: float | None, spacing: float
) -> list[str]:
    warnings = []
    if devices < FEW_DEVICES:
        warnings.append(
            f"{devices} device(s): what differs between devices is not known, "
            "the intervals hold for these devices alone"
        )
    if data.degrees.sum() < 30:
        warnings.append(f"{int(data.degrees.sum() + len(data.g))} reads are few: the intervals are rough")
    if not spans:
        low, high = data.g.min() * 1e6, data.g.max() * 1e6
        warnings.append(
            f"reads cover {low:.4g} to {high:.4g} uS: how the noise grows with conductance is not determined"
        )
    if data.degrees.max() < 5:
        warnings.append("series of fewer than 6 reads hardly tell white noise from 1/f noise")
    if best.kind == "flicker" and t_r is None:
        warnings.append(f"the duration of a read is assumed to be {duration:g} s (--t-r says it); Q depends on it")
    return warnings


def _describe(
    best: Model,
    maximum: Maximum,
    data: Contrasts,
    g_max: float,
    duration: float,
    t_r: float | None,
    t0: float | None,
    spans: bool,
) -> tuple[Any, list[Estimate]]:
    """The part as plain data, and its numbers."""
    theta = [float(value) for value in maximum.theta]
    unit, factor = ("", 1.0) if best.kind == "flicker" else ("%", 100.0)
    low = -math.inf if best.kind == "polynomial" else 0.0
    estimates = [
        estimate(f"read_noise.{name}", maximum, index, unit, factor, low) for index, name in enumerate(best.parameters)
    ]
    if best.kind == "polynomial":  # in percent of G_max: `sigma` is their unit
        return {"kind": "polynomial", "sigma": "1 %", "coefficients": [100 * value for value in theta]}, estimates
    if best.kind == "both":
        kinds = ("additive", "proportional")
        return [{"kind": kind, "sigma": percent(value)} for kind, value in zip(kinds, theta, strict=True)], [
            Estimate(**{**vars(e), "flag": AT_BOUND if e.value < 1e-3 * factor * b else e.flag})
            for e, b in zip(estimates, best.start, strict=True)
        ]
    if best.kind != "flicker":
        return {"kind": best.kind, "sigma": percent(theta[0])}, estimates
    named = dict(zip(best.parameters, theta, strict=True))
    exponent = named.get("exponent", 0.0)
    smallest = float(data.g.min()) / g_max
    held = named["q"] * smallest**-exponent if exponent else named["q"]
    if "exponent" not in named:
        note = "taken as 0: AIC asks for no growth" if spans else "taken as 0: one conductance only"
        estimates.append(Estimate("read_noise.exponent", 0.0, flag="" if spans else NOT_DETERMINED, note=note))
    if "q_max" not in named:
        note = "no data reach it: Q is held at its value for the smallest conductance measured"
        estimates.append(Estimate("read_noise.q_max", held, flag=NOT_DETERMINED, note=note))
    start = t0 if t0 is not None else max(20.0, 100 * duration)
    estimates.append(Estimate("read_noise.t_r", duration, unit="s", flag=ASSUMED if t_r is None else GIVEN))
    estimates.append(Estimate("read_noise.t0", start, unit="s", flag=ASSUMED if t0 is None else GIVEN))
    part = {
        "kind": "flicker",
        "q": named["q"],
        "exponent": exponent,
        "q_max": named.get("q_max", held),
        "t_r": seconds(duration),
        "t0": seconds(start),
    }
    return part, estimates


def _standard(data: Contrasts, model: Model, theta: Array) -> Array:
    """Sum of squares of each series in units of the model's variance."""
    return data.squares[model.correlation] / model.law(data.g, theta) ** 2


def _checks(data: Contrasts, model: Model, maximum: Maximum, found: Sequence[Series]) -> tuple[Check, ...]:
    from scipy.stats import chi2

    squares = _standard(data, model, maximum.theta)
    checks: list[Check] = []
    if len(squares) >= 5:
        u = chi2.cdf(squares, data.degrees)
        checks.append(
            kolmogorov(u, "spread from device to device (KS)", "devices differ in noise by more than the law says")
        )
    spread = spread_by_group(
        squares,
        data.degrees,
        quantile_groups(data.g, 10),
        len(model.parameters),
        "spread at each conductance (chi-square)",
        "the law in g misses the data, or devices differ",
    )
    if spread is not None:
        checks.append(spread)
    # A trend within series: t of the correlation of reads with time, one number for each series of 8 reads or more.
    trends = []
    for each in found:
        y, time = each.numbers["conductance"], each.numbers["time"]
        if len(y) >= 8 and y.std() > 0:
            trends.append(np.corrcoef(time, y)[0, 1] * math.sqrt(len(y) - 1))
    if len(trends) >= 5:
        statistic = float(np.mean(trends) * math.sqrt(len(trends)) / max(1.0, float(np.std(trends))))
        checks.append(
            standard("devices rest", statistic, "conductances drift during the series; part of the noise is drift")
        )
    return tuple(checks)


def _picture(data: Contrasts, model: Model, maximum: Maximum) -> Picture:
    from scipy.special import ndtri
    from scipy.stats import chi2

    line = np.geomspace(data.g.min(), data.g.max(), 200) if data.g.max() > data.g.min() else data.g[:1].repeat(2)
    s = model.law(line, maximum.theta) * 1e6
    typical = float(np.median(data.degrees))
    low, high = (np.sqrt(chi2.ppf(p, typical) / typical) for p in (0.025, 0.975))
    u = np.clip(chi2.cdf(_standard(data, model, maximum.theta), data.degrees), 1e-12, 1 - 1e-12)
    return Picture(
        x=data.g * 1e6,
        y=np.sqrt(data.squares[model.correlation] / data.degrees) * 1e6,
        line=line * 1e6,
        centre=s,
        low=s * low,
        high=s * high,
        residuals=ndtri(u),
        x_label="conductance, uS",
        y_label="Q G of a series, uS" if model.kind == "flicker" else "standard deviation of a series, uS",
        band=f"95 % of series with {typical + 1:g} reads",
        log_x=True,
        log_y=True,
    )
