"""Drift exponents from conductances at several times after the write.

A series of reads G_j at times t_j follows ln G_j = a - nu x_j + e_j, x_j = ln max(1, t_j / t0). Generalised least
squares on contrasts (which know nothing of a) gives nu^ with variance v^2 h, and a residual sum of squares of n - 2
degrees of freedom. Read noise e is white, or 1/f as in `device_models.fit.read_noise`; v = exp(k0 + k1 ln r) is its
size in ln G.

Exponents differ from device to device: nu = |m + s xi|. With u = m + s xi and a Gaussian error of variance w = v^2 h,
nu^ has the density

    p(nu^) = phi(nu^; m, s^2 + w) Phi(c+) + phi(nu^; -m, s^2 + w) Phi(c-)
    c+-    = (+-m w + nu^ s^2) / sqrt(s^2 w (s^2 + w))

So read noise is not mistaken for a spread of exponents, and the fold at zero is in the likelihood. All parameters are
fitted together; a unit is a device. m and s are constant, or clip(slope ln r + offset, min, max): lines and bounds are
added step by step while AIC falls, with ln(devices) in the place of 2 for each bound: where it sets in is a choice of
its own, which costs more. Intervals of such laws are those of the profile likelihood, which has kinks and skews. A
bound that no data reach is not fitted: there the law is held at its value at the end of the measured range.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from device_models.errors import MeasurementError
from device_models.fit.contrasts import contrasts, flicker_factor
from device_models.fit.drift_law import (
    TINY,
    Law,
    Lines,
    add_features,
    clipped,
    device_terms,
    fit_constant,
    read_variance,
    score,
    typical_sizes,
)
from device_models.fit.likelihood import Array, Maximum, profile_interval
from device_models.fit.read_noise import T_R
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
    mean_by_group,
    quantile_groups,
    seconds,
    spread_by_group,
    standard,
)
from device_models.fit.tables import Series, Table, series

SPAN = 3.0
"""Conductances must span this factor before nu is fitted as a law in ln r."""
REACH = 5
"""Devices that must lie beyond a bound before it counts as determined."""
FEW_DEVICES = 10
ALONE = 3
"""Devices under which neither a spread nor an error of the mean is given."""


def fit_drift(
    tables: Sequence[Table], g_max: float, *, t0: float | None = None, t_r: float | None = None, law: str | None = None
) -> Fit:
    """Fit drift.

    Args:
        tables: of kind `drift`.
        g_max: siemens.
        t0: begin of the law, seconds; None: the earliest time measured.
        t_r: duration of a read, seconds, for the correlation of 1/f noise; None: assumed.
        law: `constant` or `logarithmic`; None: by AIC.

    Raises:
        MeasurementError: no series spans a time.
    """
    files = tuple(table.file for table in tables)
    warnings: list[str] = []
    every = series(tables)
    start = t0 if t0 is not None else min(float(each.numbers["elapsed"][0]) for each in every)
    usable = [each for each in every if (each.numbers["conductance"] > 0).all() and _span(each, start) > 0]
    zero = sum(not (each.numbers["conductance"] > 0).all() for each in every)
    if zero:
        warnings.append(f"{zero} series with a conductance of zero left out: it has no logarithm")
    if len(every) - zero > len(usable):
        warnings.append(f"{len(every) - zero - len(usable)} series without two times after t0 left out")
    if not usable:
        raise MeasurementError(
            f"{', '.join(files)}: no device has two conductances above zero at different times after t0 = {start:g} s"
        )
    early = sum(int((each.numbers["elapsed"] < start).sum()) for each in usable)
    if early:
        warnings.append(f"{early} reads before t0 = {start:g} s count as of t0, as in the profile's law")
    duration = t_r if t_r is not None else min(T_R, *(float(np.diff(each.numbers["elapsed"]).min()) for each in usable))
    kinds = {kind: _gather(usable, start, duration, g_max, kind) for kind in ("white", "flicker")}
    spans = bool(kinds["white"].r.max() > SPAN * kinds["white"].r.min())
    if law == "logarithmic" and not spans:
        raise MeasurementError(f"--drift logarithmic: needs conductances that span a factor {SPAN:g}")
    first = {kind: fit_constant(lines) for kind, lines in kinds.items()}
    noise = max(first, key=lambda kind: first[kind].loglik)
    lines, steps = kinds[noise], [(Law(("value",), ("value",)), first[noise])]
    if spans and law != "constant":
        steps += add_features(lines, steps[0], force=law == "logarithmic")
    devices = len(np.unique(lines.device))
    best, maximum = (
        steps[-1] if law == "logarithmic" else min(steps, key=lambda step: score(step[0], step[1].loglik, devices))
    )
    warnings += _warnings(lines, devices, spans, best, maximum, law)
    part, estimates = _describe(best, maximum, lines, start, t0)
    return Fit(
        part="drift",
        model=f"{'constant' if best.mean == best.sd == ('value',) else best.name}; reads: {noise} noise",
        rule="law given, bounds by AIC" if law is not None else "least AIC, lines and bounds added step by step",
        data=part,
        estimates=tuple(estimates),
        checks=_checks(lines, best, maximum),
        warnings=tuple(warnings),
        candidates=tuple(
            Candidate(each.name, each.size + 2, score(each, found.loglik, devices)) for each, found in steps
        ),
        devices=devices,
        points=int(sum(len(each.numbers["elapsed"]) for each in usable)),
        files=files,
        picture=_picture(lines, best, maximum, g_max),
    )


def _span(each: Series, t0: float) -> float:
    x = np.log(np.maximum(each.numbers["elapsed"] / t0, 1))
    return float(x.max() - x.min())


def _gather(usable: Sequence[Series], t0: float, t_r: float, g_max: float, kind: str) -> Lines:
    """Generalised least squares of every series."""
    _, device = np.unique(np.array([each.device for each in usable]), return_inverse=True)
    factors: dict[bytes, Array] = {}
    rows = []
    for each in usable:
        time, y = each.numbers["elapsed"], np.log(each.numbers["conductance"])
        x, c = np.log(np.maximum(time / t0, 1)), contrasts(len(time))
        key = time.tobytes()
        if key not in factors:
            factors[key] = flicker_factor(time, t_r) if kind == "flicker" else np.eye(len(time) - 1)
        factor = factors[key]
        zx, zy = np.linalg.solve(factor, np.stack([c @ x, c @ y], axis=1)).T
        h = 1 / float(zx @ zx)
        nu = -h * float(zx @ zy)
        rest = zy + nu * zx
        bend = np.linalg.solve(factor, c @ x**2)
        bend = bend - zx * (h * float(zx @ bend))
        size = math.sqrt(float(bend @ bend))
        curvature = float(bend @ rest) / size if len(time) > 2 and size > 1e-9 else math.nan
        target = each.numbers.get("target")
        g = float(target[0]) if target is not None and target[0] > 0 else math.exp(float((y + nu * x).mean()))
        constant = -float(np.log(np.diag(factor)).sum()) + 0.5 * math.log(h)
        rows.append((g / g_max, nu, h, len(time) - 2, float(rest @ rest), constant, curvature))
    columns = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    return Lines(device, *columns)


def _warnings(lines: Lines, devices: int, spans: bool, best: Law, maximum: Maximum, law: str | None) -> list[str]:
    warnings = []
    if devices < FEW_DEVICES:
        warnings.append(f"{devices} device(s): the spread of nu over devices, and the error of its mean, are rough")
    if lines.degrees.max() < 1:
        warnings.append("two times a device: read noise cannot be told from the spread of nu, which holds both")
    if not spans and law != "constant":
        low, high = lines.r.min(), lines.r.max()
        warnings.append(
            f"conductances span r = {low:.3g} to {high:.3g} only: nu is taken as independent of conductance"
        )
    m, s = best.values(maximum.theta, np.log(lines.r))
    error = np.sqrt(read_variance(maximum.theta, best, lines) * lines.h)
    if np.median(error / s) > 2:
        warnings.append("read noise hides the spread of nu: measure longer, or average more reads")
    if np.median(lines.nu) < 0:
        warnings.append("conductances rise with time; the law of drift knows decay only")
    if (m < s).mean() > 0.5:
        warnings.append(
            "the mean of nu lies within its spread: mean and spread of |mean + sd xi| can hardly be told apart"
        )
    return warnings


def _describe(
    best: Law, maximum: Maximum, lines: Lines, start: float, t0: float | None
) -> tuple[dict[str, Any], list[Estimate]]:
    """The part as plain data, and its numbers."""
    flag = ASSUMED if t0 is None else GIVEN
    note = "the earliest time measured" if t0 is None else ""
    estimates = [Estimate("drift.t0", start, unit="s", flag=flag, note=note)]
    part: dict[str, Any] = {"kind": "constant", "t0": seconds(start)}
    if best.mean == best.sd == ("value",):
        for index, name in enumerate(("mean", "sd")):
            part[name] = float(maximum.theta[index])
            each = estimate(f"drift.{name}", maximum, index, low=0.0)
            estimates.append(_alone(each) if len(np.unique(lines.device)) < ALONE else _at_zero(each))
        return part, estimates
    part["kind"] = "logarithmic"
    at = 0
    for name, parameters in (("mean", best.mean), ("sd", best.sd)):
        own = [
            _profiled(f"drift.{name}.{key}", lines, best, maximum, at + index) for index, key in enumerate(parameters)
        ]
        part[name], told = _clip(name, parameters, maximum.theta[at : at + len(parameters)], own, lines.r)
        estimates += told
        at += len(parameters)
    return part, estimates


def _profiled(path: str, lines: Lines, law: Law, maximum: Maximum, index: int) -> Estimate:
    """The estimate of a parameter with the interval of its profile likelihood."""
    plain = estimate(path, maximum, index)
    low, high = profile_interval(device_terms(lines, law), maximum, typical_sizes(lines, law), index)
    if math.isinf(low) or math.isinf(high):
        return Estimate(path, plain.value, flag=NOT_DETERMINED, note="the likelihood is flat along it")
    return Estimate(path, plain.value, (high - low) / (2 * 1.959964), low, high)


def _at_zero(each: Estimate) -> Estimate:
    if each.value > 20 * TINY:
        return each
    note = "no drift was found" if each.path.endswith("mean") else "no spread beyond read noise was found"
    return Estimate(each.path, each.value, flag=AT_BOUND, note=note)


def _alone(each: Estimate) -> Estimate:
    note = f"that of the devices measured; fewer than {ALONE} devices say nothing of others"
    return Estimate(each.path, each.value, flag=NOT_DETERMINED, note=note)


def _clip(
    name: str, parameters: tuple[str, ...], theta: Array, own: list[Estimate], r: Array
) -> tuple[dict[str, float], list[Estimate]]:
    """A clipped law as plain data; bounds that no data reach are held at the law's ends."""
    log_r = np.log(r)
    if parameters == ("value",):
        value = float(theta[0])
        note = "constant: AIC asks for no law in ln r"
        fixed = Estimate(f"drift.{name}.slope", 0.0, note=note)
        (fitted,) = own
        plain = Estimate(**{**vars(fitted), "path": f"drift.{name}.offset", "note": note})
        return {"slope": 0.0, "offset": value, "min": 0.0, "max": max(1.0, value)}, [fixed, plain]
    named = dict(zip(parameters, (float(value) for value in theta), strict=True))
    line = named["slope"] * log_r + named["offset"]
    told = dict(zip(parameters, own, strict=True))
    ends = clipped(parameters, theta, np.array([log_r.min(), log_r.max()]))
    for bound, default, beyond in (
        ("min", float(ends.min()), line < named.get("min", -np.inf)),
        ("max", float(ends.max()), line > named.get("max", np.inf)),
    ):
        if bound in named and beyond.sum() >= REACH:
            continue
        note = "no data reach it: held at the law's value at the end of the measured range"
        if bound in named:
            note = f"only {int(beyond.sum())} device(s) beyond it"
        value = named.get(bound, max(default, 0.0))
        named[bound] = value
        told[bound] = Estimate(f"drift.{name}.{bound}", value, flag=NOT_DETERMINED, note=note)
    return {key: named[key] for key in ("slope", "offset", "min", "max")}, [
        told[key] for key in ("slope", "offset", "min", "max")
    ]


def _uniform(lines: Lines, law: Law, theta: Array) -> Array:
    """Where each exponent lies in its distribution; uniform under the model."""
    m, s = law.values(theta, np.log(lines.r))
    error = np.sqrt(read_variance(theta, law, lines) * lines.h)
    nodes, weights = np.polynomial.legendre.leggauss(80)
    top = (np.abs(m) + 8 * s)[:, None]
    nu = 0.5 * top * (nodes + 1)
    density = np.exp(-0.5 * ((nu - m[:, None]) / s[:, None]) ** 2) + np.exp(
        -0.5 * ((nu + m[:, None]) / s[:, None]) ** 2
    )
    density = density * weights
    u = (density * ndtr((lines.nu[:, None] - nu) / error[:, None])).sum(1) / density.sum(1)
    return np.clip(u, 1e-12, 1 - 1e-12)


def _checks(lines: Lines, law: Law, maximum: Maximum) -> tuple[Check, ...]:

    checks: list[Check] = []
    u = _uniform(lines, law, maximum.theta)
    if len(u) >= 5:
        checks.append(
            kolmogorov(u, "exponents as modelled (KS)", "exponents have another distribution than |mean + sd xi|")
        )
    z = ndtri(u)
    groups = quantile_groups(lines.r, 8)
    checks += filter(
        None,
        (
            mean_by_group(
                z, groups, len(law.mean), "mean at each conductance (chi-square)", "the mean of nu misses the data"
            ),
            spread_by_group(
                z**2,
                np.ones(len(z)),
                groups,
                len(law.sd),
                "spread at each conductance (chi-square)",
                "the spread of nu misses the data",
            ),
        ),
    )
    bend = (lines.curvature / np.sqrt(read_variance(maximum.theta, law, lines)))[np.isfinite(lines.curvature)]
    if len(bend) >= 5:
        statistic = float(bend.mean() * math.sqrt(len(bend)) / max(1.0, float(bend.std())))
        checks.append(
            standard("decay is a power law", statistic, "ln G bends in ln t: the decay is no power law from t0 on")
        )
    return tuple(checks)


def _picture(lines: Lines, law: Law, maximum: Maximum, g_max: float) -> Picture:
    line = np.geomspace(lines.r.min(), lines.r.max(), 200) if lines.r.max() > lines.r.min() else lines.r[:1].repeat(2)
    m, s = law.values(maximum.theta, np.log(line))
    return Picture(
        x=lines.r * g_max * 1e6,
        y=lines.nu,
        line=line * g_max * 1e6,
        centre=m,
        low=np.maximum(m - 2 * s, 0),
        high=m + 2 * s,
        residuals=ndtri(_uniform(lines, law, maximum.theta)),
        x_label="conductance, uS",
        y_label="drift exponent",
        band="two standard deviations over devices, read noise aside",
        log_x=True,
    )
