"""Contrasts of a series of reads, which its unknown mean does not touch, and what 1/f noise makes of them."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import sici

from device_models.fit.likelihood import Array

_EULER = 0.5772156649015329


def cin(x: Array) -> Array:
    """Cin(x) = gamma + ln x - Ci(x), the integral of (1 - cos u) / u from 0 to x; 0 at 0."""
    safe = np.maximum(x, 1e-300)
    return np.where(x < 1e-4, x * x / 4, _EULER + np.log(safe) - sici(safe)[1])


def contrasts(n: int) -> Array:
    """Helmert's contrasts (n - 1, n): orthonormal rows, each orthogonal to 1."""
    rows = np.tril(np.ones((n - 1, n)), 0)
    k = np.arange(1, n)
    rows[np.arange(n - 1), k] = -k
    return rows / np.sqrt(k * (k + 1))[:, None]


def flicker_factor(time: Array, t_r: float) -> Array:
    """Cholesky factor of the contrasts' covariance under 1/f noise of Q G = 1, (n - 1, n - 1)."""
    k = -cin(math.pi * np.abs(time[:, None] - time) / t_r)
    c = contrasts(len(time))
    return np.linalg.cholesky(c @ k @ c.T)
