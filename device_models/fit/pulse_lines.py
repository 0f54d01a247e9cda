"""Increments of one device by single pulses, and the line of its steps; see `device_models.fit.pulses`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from device_models.fit.likelihood import Array

_FLOOR = 0.05  # smallest step, relative to a, that proportional noise is weighted by
Noise = Literal["proportional", "additive"]


@dataclass(frozen=True)
class Increments:
    """Increments of one device and direction: state before, change towards the pulse's direction, (n,) each."""

    u: Array
    change: Array
    place: Array


@dataclass(frozen=True)
class Line:
    """a - b u of one device and direction, with the covariance of (a, b), residuals and log-likelihood.

    `shared` is what the fit makes successive residuals share, (n - 1,): minus the hat matrix beside its diagonal.
    """

    a: float
    b: float
    covariance: Array
    z: Array
    shared: Array
    sigma: float
    loglik: float


def increments(numbers: dict[str, Array], direction: int, g_min: float, g_max: float) -> Increments:
    """Changes by single pulses; a gap in the numbers of pulses makes none."""
    u = 2 * (numbers["conductance"] - g_min) / (g_max - g_min) - 1
    single = (np.diff(numbers["pulse"]) == 1) & (np.sign(numbers["direction"][1:]) == direction)
    return Increments(u[:-1][single], direction * np.diff(u)[single], np.flatnonzero(single).astype(np.float64))


def moves(pair: tuple[Increments, Increments]) -> bool:
    """Whether pulses move a device at all: t of its mean steps, against a standard normal's 4."""
    for each in pair:
        sd = each.change.std(ddof=1)
        if sd == 0 and each.change.mean() == 0:
            continue
        if sd == 0 or each.change.mean() > 4 * sd / math.sqrt(len(each.u)):
            return True
    return False


def fit_line(each: Increments, sloped: bool, noise: Noise) -> Line:
    x = np.stack([np.ones_like(each.u), -each.u], axis=1)[:, : 1 + sloped]
    weight = np.ones_like(each.u)
    theta = np.zeros(x.shape[1])
    for _ in range(1 if noise == "additive" else 8):
        theta = np.linalg.lstsq(x * weight[:, None], each.change * weight, rcond=None)[0]
        if noise == "proportional":
            weight = 1 / np.maximum(x @ theta, _FLOOR * max(float(np.abs(theta[0])), 1e-12))
    size = 1 / weight if noise == "proportional" else np.full_like(each.u, max(abs(float(theta[0])), 1e-12))
    rest = (each.change - x @ theta) / size
    n, p = x.shape
    sigma = max(math.sqrt(float(rest @ rest) / (n - p)), 1e-9)
    scaled, covariance = x / size[:, None], np.zeros((2, 2))
    inverse = np.linalg.pinv(scaled.T @ scaled)
    covariance[:p, :p] = inverse * sigma**2
    shared = -np.einsum("ij,jk,ik->i", scaled[:-1], inverse, scaled[1:])
    loglik = float(-0.5 * n * math.log(2 * math.pi * sigma**2 * (n - p) / n) - np.log(size).sum() - 0.5 * n)
    return Line(float(theta[0]), float(theta[1]) if sloped else 0.0, covariance, rest / sigma, shared, sigma, loglik)


def gamma_of(pair: tuple[Line, ...], which: int) -> float:
    return (1 - 2 * which) * pair[which].b / pair[which].a


def ratio_error(line: Line) -> float:
    """Variance of b / a."""
    step = np.array([-line.b / line.a**2, 1 / line.a])
    return float(step @ line.covariance @ step)
