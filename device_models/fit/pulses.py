"""Pulse responses from trains of pulses: step, its curve, its spread over devices, its noise over pulses.

On the scale u = -1 at G_min to 1 at G_max, a pulse that finds a device at u moves it by

    u' - u = d (a - b u) (1 + sigma xi)        d = +1 up, -1 down; b = 0: constant steps
    u' - u = d (a - b u) + sigma a xi          additive noise

with a and b of each device and direction: weighted least squares of the increments, each given the state before it, so
that noise which accumulates does no harm. From these, for each device,

    dw = (a_up + a_down) / 2        asymmetry = (a_up - a_down) / (a_up + a_down)
    soft bounds: high = a_up / b_up, low = a_down / b_down
    linear step: gamma_up = b_up / a_up, gamma_down = -b_down / a_down

Means over devices, and spreads from which the error of each device's own numbers is taken off, make the profile; their
errors are those of the jackknife over devices (Efron and Stein, Ann. Stat. 9:586, 1981), so the number of devices sets
them, not that of pulses. Slopes of a device with few pulses are a little too steep, as errors move the states that they
are regressed on: by some 5 % of gamma for 60 pulses. Constant or falling steps, proportional or additive noise: the
least AIC, summed over devices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr

from device_models.errors import MeasurementError
from device_models.fit.likelihood import Array
from device_models.fit.pulse_lines import Increments, Line, Noise, fit_line, gamma_of, increments, moves, ratio_error
from device_models.fit.result import (
    ASSUMED,
    AT_BOUND,
    NOT_DETERMINED,
    Candidate,
    Check,
    Estimate,
    Fit,
    Picture,
    kolmogorov,
    mean_by_group,
    quantile_groups,
    standard,
)
from device_models.fit.tables import Table, series

FEW_DEVICES = 10
FEW_PULSES = 8
"""Pulses of a device in one direction under which it cannot be fitted."""
_REACHED = 0.5  # steps must have shrunk to half before their end is taken from where they lead


def fit_pulses(tables: Sequence[Table], g_min: float, g_max: float) -> Fit:
    """Fit pulse responses.

    Args:
        tables: of kind `pulses`.
        g_min, g_max: siemens; what u = -1 and u = 1 stand for.

    Raises:
        MeasurementError: fewer than two devices with enough pulses both up and down.
    """
    files = tuple(table.file for table in tables)
    every = series(tables)
    pairs = [(increments(each.numbers, 1, g_min, g_max), increments(each.numbers, -1, g_min, g_max)) for each in every]
    usable = [pair for pair in pairs if min(len(pair[0].u), len(pair[1].u)) >= FEW_PULSES]
    moving = [pair for pair in usable if moves(pair)]
    warnings: list[str] = []
    if len(usable) < len(pairs):
        warnings.append(f"{len(pairs) - len(usable)} device(s) with fewer than {FEW_PULSES} pulses up or down left out")
    if len(moving) < 2:
        raise MeasurementError(
            f"{', '.join(files)}: pulse responses need at least two moving devices with {FEW_PULSES} pulses up and "
            f"{FEW_PULSES} down each (got {len(moving)})"
        )
    noises: tuple[Noise, ...] = ("proportional", "additive")
    fits: dict[tuple[bool, Noise], list[tuple[Line, ...]]] = {
        (sloped, noise): [tuple(fit_line(each, sloped, noise) for each in pair) for pair in moving]
        for sloped in (False, True)
        for noise in noises
    }
    scores = {
        key: sum(2 * (3 + key[0]) - 2 * line.loglik for pair in found for line in pair) for key, found in fits.items()
    }
    sloped, noise = min(fits, key=lambda key: scores[key])
    lines = fits[sloped, noise]
    if len(moving) < FEW_DEVICES:
        warnings.append(f"{len(moving)} moving devices: spreads over devices, and errors of means, are rough")
    kind = _kind(lines) if sloped else "constant_step"
    part, estimates = _describe(kind, lines, noise, len(usable), len(moving), warnings)
    return Fit(
        part="update",
        model=f"{kind.replace('_', ' ')}, {noise} noise",
        rule="least AIC; linear steps where bounds differ from the conductance range",
        data=part,
        estimates=tuple(estimates),
        checks=_checks(moving, lines),
        warnings=tuple(warnings),
        candidates=tuple(
            Candidate(
                f"{'falling' if key[0] else 'constant'} steps, {key[1]} noise", 2 * len(moving) * (3 + key[0]), score
            )
            for key, score in scores.items()
        ),
        devices=len(every),
        points=int(sum(len(each.numbers["pulse"]) for each in every)),
        files=files,
        picture=_picture(moving, lines, g_min, g_max),
    )


def bounds_of(tables: Sequence[Table]) -> tuple[float, float] | None:
    """Mean conductances (low, high), siemens, at which steps vanish; None where steps do not fall towards them."""
    g = np.concatenate([table.numbers["conductance"] for table in tables])
    if g.max() <= g.min():
        return None
    try:
        fit = fit_pulses(tables, float(g.min()), float(g.max()))
    except MeasurementError:
        return None
    if fit.data["kind"] == "constant_step":
        return None
    every = [
        (increments(each.numbers, 1, g.min(), g.max()), increments(each.numbers, -1, g.min(), g.max()))
        for each in series(tables)
    ]
    usable = [pair for pair in every if min(len(pair[0].u), len(pair[1].u)) >= FEW_PULSES and moves(pair)]
    lines = [tuple(fit_line(each, True, fit.data["step_noise"]) for each in pair) for pair in usable]
    gamma = [float(np.median([gamma_of(pair, which) for pair in lines])) for which in (0, 1)]
    if min(gamma) < _REACHED:
        return None
    ends = [np.mean([1 / gamma_of(pair, which) for pair in lines]) for which in (0, 1)]
    low, high = (g.min() + (x + 1) / 2 * (g.max() - g.min()) for x in (-ends[1], ends[0]))
    return (float(max(low, 0.0)), float(high)) if high > max(low, 0.0) else None


def _kind(lines: Sequence[tuple[Line, ...]]) -> str:
    """Soft bounds where mean steps vanish at the ends of the range (gamma = 1), else linear steps."""
    for which in (0, 1):
        gamma = np.array([gamma_of(pair, which) for pair in lines])
        error = gamma.std(ddof=1) / math.sqrt(len(gamma))
        if abs(float(np.mean(gamma)) - 1) > max(4 * error, 0.1):
            return "linear_step"
    return "soft_bounds"


def _numbers(kind: str, lines: Sequence[tuple[Line, ...]]) -> dict[str, float]:
    """The parameters of a set of devices; spreads without the error of each device's own numbers."""
    a = np.array([[line.a for line in pair] for pair in lines])
    error = np.array([[line.covariance[0, 0] for line in pair] for pair in lines])
    dw, tilt = a.mean(1), (a[:, 0] - a[:, 1]) / a.sum(1)
    sigma2 = np.array([[line.sigma**2 for line in pair] for pair in lines])
    mean = float(dw.mean())
    found = {
        "dw_min": mean,
        "device_to_device": _spread(dw, error.sum(1) / 4) / mean,
        "asymmetry": float(tilt.mean()),
        "asymmetry_spread": _spread(
            tilt, (error[:, 0] * a[:, 1] ** 2 + error[:, 1] * a[:, 0] ** 2) * 4 / a.sum(1) ** 4
        ),
        "cycle_to_cycle": math.sqrt(float(sigma2.mean())),
    }
    ratio = np.array([[gamma_of(pair, which) for which in (0, 1)] for pair in lines])
    if kind == "linear_step":
        noise = np.array([[ratio_error(line) for line in pair] for pair in lines])
        for which, name in enumerate(("gamma_up", "gamma_down")):
            found[name] = float(ratio[:, which].mean())
            found[f"{name}_spread"] = _spread(ratio[:, which], noise[:, which])
    if kind == "soft_bounds":
        noise = np.array([[ratio_error(line) for line in pair] for pair in lines]) / ratio**4
        for which, name in enumerate(("bounds.high_spread", "bounds.low_spread")):
            found[name] = _spread(1 / ratio[:, which], noise[:, which])
    return found


def _spread(values: Array, errors: Array) -> float:
    return math.sqrt(max(float(values.var(ddof=1) - errors.mean()), 0.0))


def _describe(
    kind: str, lines: list[tuple[Line, ...]], noise: Noise, usable: int, moving: int, warnings: list[str]
) -> tuple[dict[str, Any], list[Estimate]]:
    from scipy.stats import t

    found, n = _numbers(kind, lines), len(lines)
    without = [_numbers(kind, lines[:k] + lines[k + 1 :]) for k in range(n)] if n > 2 else []
    estimates, part = [], {"kind": kind, "step_noise": noise}
    bounds: dict[str, float] = {"low": -1.0, "high": 1.0}
    for name, value in found.items():
        path = f"update.{name}"
        left = np.array([each[name] for each in without])
        se = math.sqrt((n - 1) / n * float(((left - left.mean()) ** 2).sum())) if n > 2 else math.nan
        if name.endswith(("spread", "to_device")) and value == 0:
            estimates.append(Estimate(path, 0.0, flag=AT_BOUND, note="no more than the error of single devices"))
        elif n <= 2:
            estimates.append(Estimate(path, value, flag=NOT_DETERMINED, note="two devices give no error"))
        else:
            half = float(t.isf(0.025, n - 1)) * se
            low = -math.inf if name == "asymmetry" else 0.0
            estimates.append(Estimate(path, value, se, max(low, value - half), value + half))
        if name.startswith("bounds."):
            bounds[name.removeprefix("bounds.")] = value
        else:
            part[name] = value  # type: ignore[assignment]
    share = 1 - moving / usable
    part["corrupt"] = f"{100 * share:.6g} %"  # type: ignore[assignment]
    error = 100 * math.sqrt(share * (1 - share) / usable)
    low, high = _wilson(usable - moving, usable)
    estimates.append(
        Estimate("update.corrupt", 100 * share, error, low, high, "%", note="devices that pulses do not move")
    )
    note = "cannot be told from the noise of pulses and reads; see the check of successive errors"
    estimates.append(Estimate("update.write_noise", 0.0, flag=NOT_DETERMINED, note=note))
    if kind != "soft_bounds":
        note = "taken as those of the conductance range; spreads as none"
        estimates.append(Estimate("update.bounds", 1.0, flag=ASSUMED, note=note))
    return {**part, "bounds": bounds}, estimates


def _wilson(count: int, n: int) -> tuple[float, float]:
    """95 % interval of a share, percent (E. B. Wilson, J. Am. Stat. Assoc. 22:209, 1927)."""
    z2 = 1.959964**2
    centre, half = (count + z2 / 2) / (n + z2), math.sqrt(z2 * (count * (n - count) / n + z2 / 4)) / (n + z2)
    return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)


def _checks(pairs: Sequence[tuple[Increments, ...]], lines: Sequence[tuple[Line, ...]]) -> tuple[Check, ...]:
    z = np.concatenate([line.z for pair in lines for line in pair])
    u = np.concatenate([each.u for pair in pairs for each in pair])
    checks: list[Check] = [kolmogorov(ndtr(z), "noise of pulses is Gaussian (KS)", "steps have another distribution")]
    shape = mean_by_group(
        z, quantile_groups(u, 12), 2, "step at each state (chi-square)", "the step curve misses the data"
    )
    if shape is not None:
        checks.append(shape)
    products = []
    for pair, found in zip(pairs, lines, strict=True):
        for each, line in zip(pair, found, strict=True):
            follows = np.diff(each.place) == 1
            products.append((line.z[:-1] * line.z[1:] - line.shared)[follows])
    both = np.concatenate(products)
    if len(both) >= 20:
        statistic = float(both.sum() / math.sqrt(float((both**2).sum())))
        means = "successive errors undo each other: read or write noise is part of them, cycle_to_cycle is too large"
        checks.append(standard("successive errors are independent", statistic, means))
    return tuple(checks)


def _picture(
    pairs: Sequence[tuple[Increments, ...]], lines: Sequence[tuple[Line, ...]], g_min: float, g_max: float
) -> Picture:
    u = np.concatenate([each.u for pair in pairs for each in pair])
    change = np.concatenate([sign * each.change for pair in pairs for sign, each in zip((1, -1), pair, strict=True)])
    a, b = (np.array([[getattr(line, name) for line in pair] for pair in lines]).mean(0) for name in ("a", "b"))
    grid = np.linspace(u.min(), u.max(), 100)
    up, down = a[0] - b[0] * grid, -(a[1] - b[1] * grid)

    def siemens(x: Array) -> Array:
        return (g_min + (x + 1) / 2 * (g_max - g_min)) * 1e6

    scale = 0.5 * (g_max - g_min) * 1e6
    return Picture(
        x=siemens(u),
        y=change * scale,
        line=siemens(grid),
        centre=0 * grid,
        low=down * scale,
        high=up * scale,
        residuals=np.concatenate([line.z for pair in lines for line in pair]),
        x_label="conductance before the pulse, uS",
        y_label="step, uS",
        band="between the mean steps down and up",
    )
