"""Laws of drift exponents, their likelihood, and the search for one; see `device_models.fit.drift` for the formulas."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from device_models.fit.likelihood import Array, Maximum, Terms, climb, maximise

TRIMMED = 0.15
"""Share of the devices that must lie on either side of the place where a bound sets in."""
TINY = 1e-5


@dataclass(frozen=True)
class Lines:
    """What the series tell of exponents and read noise: (n,) each."""

    device: np.ndarray
    r: Array
    nu: Array
    h: Array
    degrees: Array
    squares: Array
    constant: Array
    curvature: Array


@dataclass(frozen=True)
class Law:
    """Which parameters describe the mean and the spread of nu, before the two of the read noise."""

    mean: tuple[str, ...]
    sd: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.mean) + len(self.sd)

    @property
    def name(self) -> str:
        return f"mean {_named(self.mean)}, spread {_named(self.sd)}"

    def values(self, theta: Array, log_r: Array) -> tuple[Array, Array]:
        """(m, s) at ln r."""
        k = len(self.mean)
        return clipped(self.mean, theta[:k], log_r), clipped(self.sd, theta[k : self.size], log_r)


def _named(parameters: tuple[str, ...]) -> str:
    if parameters == ("value",):
        return "constant"
    return " and ".join(["a line in ln r", *parameters[2:]]) if len(parameters) > 2 else "a line in ln r"


def clipped(parameters: tuple[str, ...], theta: Array, log_r: Array) -> Array:
    named = dict(zip(parameters, theta, strict=True))
    if "value" in named:
        return np.full_like(log_r, named["value"])
    line = named["slope"] * log_r + named["offset"]
    return np.clip(line, named.get("min", 0.0), named.get("max", np.inf))


def score(law: Law, loglik: float, devices: int) -> float:
    """AIC with ln(devices) in the place of 2 for each bound."""
    bounds = sum(name in ("min", "max") for name in law.mean + law.sd)
    return 2 * (law.size + 2 - bounds) + math.log(devices) * bounds - 2 * loglik


def inner(law: Law, theta: Array, log_r: Array) -> bool:
    """Whether bounds set in away from the ends of the data, where they fit noise (Andrews, Econometrica 1993)."""
    k = len(law.mean)
    for parameters, own in ((law.mean, theta[:k]), (law.sd, theta[k : law.size])):
        if len(parameters) > 2:
            named = dict(zip(parameters, own, strict=True))
            line = named["slope"] * log_r + named["offset"]
            below, above = line < named.get("min", -np.inf), line > named.get("max", np.inf)
            shares = [below.mean()] * ("min" in named) + [above.mean()] * ("max" in named)
            if min(*shares, (~below & ~above).mean()) < TRIMMED:
                return False
    return True


def read_variance(theta: Array, law: Law, lines: Lines) -> Array:
    """Variance v^2 of the read noise in ln G; never quite zero, as tables have digits."""
    return TINY**2 + np.exp(2 * (theta[law.size] + theta[law.size + 1] * np.log(lines.r)))


def device_terms(lines: Lines, law: Law) -> Terms:
    """Log-likelihood of every device."""
    log_r, noisy = np.log(lines.r), bool(lines.degrees.sum() > 0)

    def terms(theta: Array) -> Array:
        units = int(lines.device.max()) + 1
        m, s = law.values(theta, log_r)
        bounds = dict(zip(law.mean + law.sd, theta, strict=False))
        if (s <= TINY / 10).any() or (m < 0).any() or bounds.get("value", 0.0) < 0:
            return np.full(units, -np.inf)
        v2 = read_variance(theta, law, lines) if noisy else np.full_like(m, TINY**2)
        rest = -0.5 * lines.degrees * np.log(2 * math.pi * v2) - 0.5 * lines.squares / v2 + lines.constant
        rows = rest + folded_density(lines.nu, m, s, v2 * lines.h)
        return np.asarray(np.bincount(lines.device, rows, minlength=units), dtype=np.float64)

    return terms


def typical_sizes(lines: Lines, law: Law) -> Array:
    """Magnitudes of the parameters, those of the read noise last."""
    scale = max(float(np.median(np.abs(lines.nu))), float(np.std(lines.nu)), 1e-3)
    return np.array([*(0.3 * scale for _ in range(law.size)), 0.3, 0.3])


def fit_constant(lines: Lines) -> Maximum:
    """The constant law."""
    law = Law(("value",), ("value",))
    v = math.sqrt(max(float(lines.squares.sum()) / max(float(lines.degrees.sum()), 1.0), 1e-12))
    typical, spread = float(np.median(np.abs(lines.nu))), max(float(np.std(lines.nu)), 1e-3)
    starts = [np.array([typical, share * spread, math.log(v), 0.0]) for share in (1.0, 0.5)]
    return maximise(device_terms(lines, law), starts, typical_sizes(lines, law), sandwich=True)


def folded_density(nu: Array, m: Array, s: Array, w: Array) -> Array:
    """Log density of |m + s xi| + sqrt(w) eta at nu."""
    total = s**2 + w
    found = -0.5 * (nu - m) ** 2 / total
    below = np.sqrt(s**2 * w * total)
    above, under = (m * w + nu * s**2) / below, (-m * w + nu * s**2) / below
    near = (above < 7) | (m * nu < 12 * total)  # elsewhere the fold adds less than 1e-10
    folded = -0.5 * (nu[near] + m[near]) ** 2 / total[near] + log_ndtr(under[near])
    found[near] = np.logaddexp(found[near] + log_ndtr(above[near]), folded)
    return found - 0.5 * np.log(2 * math.pi * total)


def add_features(lines: Lines, start: tuple[Law, Maximum], *, force: bool) -> list[tuple[Law, Maximum]]:
    """Add lines and bounds step by step while the score falls."""
    steps, here, devices = [], start, len(np.unique(lines.device))
    log_r = np.log(lines.r)
    while True:
        tried = []
        for law, starts in _larger(here, log_r):
            theta, loglik = climb(device_terms(lines, law), starts, typical_sizes(lines, law))
            if inner(law, theta, log_r):
                tried.append((score(law, loglik, devices), law, theta))
        if not tried:
            return steps
        _, law, theta = min(tried, key=lambda one: one[0])
        best = (law, maximise(device_terms(lines, law), [theta], typical_sizes(lines, law), sandwich=False))
        needs_line = force and here[0].mean == ("value",)
        if score(law, best[1].loglik, devices) > score(here[0], here[1].loglik, devices) - 1e-9 and not needs_line:
            return steps
        steps.append(best)
        here = best


def _larger(here: tuple[Law, Maximum], log_r: Array) -> list[tuple[Law, list[Array]]]:
    """Laws with one feature more, and where to start them."""
    law, theta, found = here[0], here[1].theta, []
    k = len(law.mean)
    ends = np.quantile(log_r, [0.2, 0.4, 0.6, 0.8])
    for which, parameters, own in (("mean", law.mean, theta[:k]), ("sd", law.sd, theta[k : law.size])):
        options: list[tuple[tuple[str, ...], list[Array]]] = []
        if parameters == ("value",):
            centre = float(np.mean(log_r))
            tilts = (-0.15 * own[0], 0.15 * own[0])
            options.append((("slope", "offset"), [np.array([b, own[0] - b * centre]) for b in tilts]))
            for bound in ("min", "max"):  # flat on one side, a line on the other
                bent = [np.array([2 * b, own[0] - 2 * b * at, own[0]]) for at in ends[::2] for b in tilts]
                options.append((("slope", "offset", bound), bent))
        else:
            for bound in ("min", "max"):
                if bound in parameters:
                    continue
                names = (*parameters, bound)
                order = tuple(name for name in ("slope", "offset", "min", "max") if name in names)
                options.append((order, [_bent(parameters, own, order, bound, at) for at in ends]))
        for names, starts in options:
            other = Law(names, law.sd) if which == "mean" else Law(law.mean, names)
            rest = (theta[k:],) if which == "mean" else (theta[law.size :],)
            head = () if which == "mean" else (theta[:k],)
            found.append((other, [np.concatenate([*head, each, *rest]) for each in starts]))
    return found


def _bent(parameters: tuple[str, ...], own: Array, order: tuple[str, ...], bound: str, at: float) -> Array:
    """A start where the line meets the new bound at ln r = at, steeper than before on the other side."""
    named = dict(zip(parameters, own, strict=True))
    value = named["slope"] * at + named["offset"]
    named["slope"] *= 1.4
    named["offset"] = value - named["slope"] * at
    named[bound] = max(value, 2 * TINY)
    return np.array([named[name] for name in order])
