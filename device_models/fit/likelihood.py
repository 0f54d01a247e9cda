"""Maximum likelihood: estimates, their standard errors, and what the data leave open.

The log-likelihood is a sum of independent terms l_u(theta), one for each unit u: a row, or a device with all its rows.
With H the Hessian of -sum l_u at the maximum and s_u the gradient of l_u there, the covariance of the estimate is

    observed information        H^-1
    sandwich, over units        H^-1 (sum s_u s_u^T) H^-1  U / (U - p)

(D. A. Freedman, The American Statistician 60:299, 2006). The sandwich holds also where devices differ by more than the
model says: the number of units, not that of points, sets the error. Of the two the larger is taken, as the sandwich
scatters where units are few. Intervals then use Student's t of U - p degrees of freedom. Derivatives are central
differences, with steps that follow the standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Terms = Callable[[Array], Array]
"""theta (p,) -> log-likelihood of each unit (U,); -inf or nan where theta is not allowed."""

SANDWICH_FROM = 10
"""Units from which on the sandwich is used; it is unreliable with fewer."""
_CHI2 = 3.841458820694124  # 95 % point of chi-square of one degree of freedom
_ENOUGH = 1e-3  # gain in log-likelihood at which climbing stops; polishing goes on
_LONGEST = 30.0  # of a direction, in units of the parameters' typical magnitudes
_SINGULAR = 0.05  # curvature along a direction of the longest length below which the data say nothing of it


@dataclass(frozen=True)
class Maximum:
    """A maximum of a likelihood.

    Attributes:
        theta: estimate (p,).
        loglik: log-likelihood there.
        covariance: of the estimate (p, p).
        open: which parameters the data leave open (p,): the information is singular along them.
        degrees: of freedom of Student's t for intervals; infinite for the observed information.
    """

    theta: Array
    loglik: float
    covariance: Array
    open: NDArray[np.bool_]
    degrees: float

    @property
    def aic(self) -> float:
        """Akaike's criterion, 2 p - 2 log-likelihood."""
        return 2 * len(self.theta) - 2 * self.loglik

    @property
    def se(self) -> Array:
        """Standard errors (p,); nan where a parameter is open."""
        return np.where(self.open, np.nan, np.sqrt(np.maximum(np.diag(self.covariance), 0)))


def maximise(terms: Terms, starts: list[Array], sizes: Array, *, sandwich: bool) -> Maximum:
    """Maximise a log-likelihood.

    Args:
        terms: the log-likelihood of each unit.
        starts: where to begin, each (p,); the best end counts.
        sizes: typical magnitude of each parameter (p,), positive.
        sandwich: take the covariance from the spread of the units' scores, where there are enough of them.
    """
    theta, loglik = climb(terms, starts, sizes)
    for _ in range(3):  # polish in coordinates in which the likelihood is round, and look again
        axes, _ = _axes(terms, theta, sizes)
        moved, value = _polish(terms, theta, axes)
        gain, loglik = value - loglik, max(value, loglik)
        theta = moved if gain > 0 else theta
        if gain < 1e-6:
            break
    axes, curvature = _axes(terms, theta, sizes)
    inverse, left_open = _invert(axes, curvature, sizes)
    scores = _scores(terms, theta, axes)
    units, p = scores.shape
    if not sandwich or units - p < SANDWICH_FROM or not np.isfinite(scores).all():
        return Maximum(theta, loglik, inverse, left_open, math.inf)
    curved = curvature > _SINGULAR
    bread = np.where(curved, axes / np.where(curved, curvature, 1.0), 0.0)
    covariance = bread @ (scores.T @ scores) @ bread.T * (units / (units - p))
    larger = np.sqrt(np.maximum(1, np.diag(inverse) / np.maximum(np.diag(covariance), 1e-300)))
    return Maximum(theta, loglik, covariance * larger[:, None] * larger, left_open, float(units - p))


def climb(terms: Terms, starts: list[Array], sizes: Array, most: int = 3) -> tuple[Array, float]:
    """The highest point reached from the `most` best starts, and the log-likelihood there; see `maximise`."""
    ranked = sorted(starts, key=lambda start: -_total(terms, start))[:most]
    return max((_ascend(terms, start, sizes) for start in ranked), key=lambda found: found[1])


def lost(terms: Terms, top: Maximum, sizes: Array, index: int, value: float, near: Array) -> tuple[float, Array]:
    """Twice the log-likelihood lost when a parameter is held at `value` and the others give way.

    Args:
        near: where to begin (p,); where that loses much, once more from the maximum itself.

    Returns:
        What is lost, and the parameters (p,) that lose the least.
    """
    free = np.arange(len(sizes)) != index

    def held(inner: Array) -> Array:
        theta = np.full(len(sizes), value)
        theta[free] = inner
        return terms(theta)

    inner, loglik = climb(held, [near[free]], sizes[free])
    if 2 * (top.loglik - loglik) >= _CHI2 and near is not top.theta:  # more than would be believed without a second try
        again, better = climb(held, [top.theta[free]], sizes[free])
        inner, loglik = (again, better) if better > loglik else (inner, loglik)
    theta = np.full(len(sizes), value)
    theta[free] = inner
    return 2 * (top.loglik - loglik), theta


def profile_interval(terms: Terms, top: Maximum, sizes: Array, index: int) -> tuple[float, float]:
    """95 % interval of one parameter: all values at which `lost` is below the 95 % point of chi-square, 3.84.

    Where the likelihood has kinks or is skewed this holds, and an interval of so many standard errors does not. An end
    is infinite where the likelihood stays flat.
    """
    ends = []
    for sign in (-1.0, 1.0):
        width = float(top.se[index])
        step = width if math.isfinite(width) and width > 0 else 0.3 * float(sizes[index])
        inside, outside, near = 0.0, math.inf, top.theta
        drop_inside, drop_outside = 0.0, math.inf
        for _ in range(12):
            if math.isfinite(outside):  # between the two, by the square root of what is lost, which is nearly straight
                low, high = math.sqrt(max(drop_inside, 0)), math.sqrt(min(drop_outside, 100.0))
                share = (math.sqrt(_CHI2) - low) / max(high - low, 1e-9)
                at = inside + min(max(share, 0.1), 0.9) * (outside - inside)
            else:
                at = step if inside == 0 else 2 * inside
            drop, theta = lost(terms, top, sizes, index, float(top.theta[index] + sign * at), near)
            if drop < _CHI2:
                inside, drop_inside, near = at, drop, theta
            else:
                outside, drop_outside = at, drop
            if abs(drop - _CHI2) < 0.1 or outside - inside < 0.02 * outside:
                outside = at if abs(drop - _CHI2) < 0.1 else 0.5 * (inside + outside)
                break
            if inside > _LONGEST * sizes[index]:
                break
        ends.append(float(top.theta[index] + sign * outside))
    return ends[0], ends[1]


def _total(terms: Terms, theta: Array) -> float:
    with np.errstate(all="ignore"):
        value = float(terms(theta).sum())
    return value if math.isfinite(value) else -math.inf


def _ascend(terms: Terms, start: Array, sizes: Array) -> tuple[Array, float]:
    """Climb by damped steps with the scores' outer product as curvature (Berndt, Hall, Hall and Hausman, 1974)."""
    theta, value, damping, idle = start.astype(np.float64), _total(terms, start), 1e-2, 0
    axes = np.diag(1e-5 * sizes)
    for _ in range(200):
        with np.errstate(all="ignore"):
            here = terms(theta)
            scores = np.stack([(terms(theta + axis) - here) * 1e5 for axis in axes.T], axis=1)  # per `sizes`
        if not np.isfinite(scores).all():
            break
        gradient, curvature = scores.sum(0), scores.T @ scores
        ridge = np.diag(np.diag(curvature) + 1e-9 * np.trace(curvature) + 1e-12)
        higher, moved = -math.inf, theta
        for _ in range(16):
            moved = theta + sizes * np.linalg.solve(curvature + damping * ridge, gradient)
            higher = _total(terms, moved)
            if higher > value:
                break
            damping *= 4
        else:
            break
        idle = idle + 1 if higher - value < _ENOUGH else 0
        theta, value, damping = moved, higher, max(damping / 6, 1e-8)
        if idle == 2:
            break
    return theta, value


def _polish(terms: Terms, theta: Array, axes: Array) -> tuple[Array, float]:
    from scipy.optimize import minimize

    def loss(z: Array) -> float:
        return min(-_total(terms, theta + axes @ z), 1e300)

    result = minimize(loss, np.zeros(len(theta)), method="BFGS", options={"gtol": 1e-4, "maxiter": 100})
    z = np.asarray(result.x, dtype=np.float64)
    return theta + axes @ z, -loss(z)


def _axes(terms: Terms, theta: Array, sizes: Array) -> tuple[Array, Array]:
    """Directions along which the likelihood falls alike and independently, as columns (p, p), and its curvature there.

    A direction is as long as its standard error: curvature 1; where the data say nothing it is as long as `_LONGEST`
    allows, with a curvature near 0.
    """
    values, vectors = np.linalg.eigh(_outer_product(terms, theta, sizes))  # never negative: a safe beginning
    axes = sizes[:, None] * vectors / np.sqrt(np.maximum(values, _LONGEST**-2))
    curvature = np.ones(len(theta))
    for _ in range(3):
        axes = _inside(terms, theta, axes)
        values, vectors = np.linalg.eigh(_hessian(terms, theta, axes))
        axes = axes @ vectors
        longest = _LONGEST / np.max(np.abs(axes) / sizes[:, None], axis=0)
        lengths = np.where(values > 0, np.minimum(1 / np.sqrt(np.maximum(values, 1e-30)), longest), 1.0)
        axes, curvature = axes * lengths, values * lengths**2
    return axes, curvature


def _outer_product(terms: Terms, theta: Array, sizes: Array) -> Array:
    """Sum over units of the outer products of their scores per `sizes` (p, p): the information, to first order."""
    scores = _scores(terms, theta, np.diag(1e-5 * sizes), 1.0) * 1e5
    return scores.T @ scores if np.isfinite(scores).all() else np.eye(len(theta))


def _inside(terms: Terms, theta: Array, axes: Array, step: float = 0.5) -> Array:
    """`axes`, shortened where a step along them would leave the domain."""
    axes = axes.copy()
    for index in range(len(theta)):
        for _ in range(20):
            move = step * axes[:, index]
            if math.isfinite(_total(terms, theta + move)) and math.isfinite(_total(terms, theta - move)):
                break
            axes[:, index] /= 4
    return axes


def _hessian(terms: Terms, theta: Array, axes: Array, step: float = 0.5) -> Array:
    """Hessian of minus the log-likelihood along `axes`, by central differences (p, p); 0 beyond the domain."""
    p = len(theta)
    with np.errstate(all="ignore"):
        middle = terms(theta)

        def rise(*moves: tuple[int, float]) -> Array:
            return terms(theta + sum(sign * step * axes[:, index] for index, sign in moves)) - middle

        result = np.empty((p, p))
        single = [(rise((i, 1)), rise((i, -1))) for i in range(p)]
        for i in range(p):
            result[i, i] = -(single[i][0] + single[i][1]).sum() / step**2
            for j in range(i):
                both = rise((i, 1), (j, 1)) + rise((i, -1), (j, -1)) - rise((i, 1), (j, -1)) - rise((i, -1), (j, 1))
                result[i, j] = result[j, i] = -both.sum() / (4 * step**2)
    return np.where(np.isfinite(result), result, 0.0)


def _scores(terms: Terms, theta: Array, axes: Array, step: float = 0.5) -> Array:
    """Gradients of the units' log-likelihoods along `axes` (U, p)."""
    with np.errstate(all="ignore"):
        columns = [(terms(theta + step * axis) - terms(theta - step * axis)) / (2 * step) for axis in axes.T]
    return np.stack(columns, axis=1)


def _invert(axes: Array, curvature: Array, sizes: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Inverse of the information, and which parameters it says nothing about."""
    curved = curvature > _SINGULAR
    good = axes[:, curved] / np.sqrt(curvature[curved])
    flat = np.abs(axes[:, ~curved]) / np.maximum(np.abs(axes[:, ~curved]).max(axis=0), 1e-300)
    left_open = np.asarray((flat > 0.1).any(axis=1), dtype=np.bool_)
    return good @ good.T, left_open
