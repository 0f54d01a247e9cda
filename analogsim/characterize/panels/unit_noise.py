"""Noise of the units themselves: what one adds in pass after pass, and how much of it the next passes share."""

from __future__ import annotations

import numpy as np

from analogsim.characterize.lab import Lab
from analogsim.characterize.page import Absent, Array, Axis, Line, Panel

_PASSES = 256
_SHOWN = 100  # of them
_UNITS = 3  # drawn
_LAGS = 24


def unit_series(lab: Lab) -> Panel | Absent:
    """What single units add in successive passes."""
    noise = lab.units(_PASSES)
    if noise is None:
        return Absent("Units add no noise of their own.")
    number = np.arange(_SHOWN)
    sd = float(noise.std())
    return Panel(
        "Noise of a unit",
        Axis("pass", limits=(0.0, float(_SHOWN - 1))),
        Axis("added to the pre-activation"),
        tuple(
            Line(number, noise[:_SHOWN, k], "" if k else "single units", k, "steps", width=0.9)
            for k in range(min(_UNITS, lab.devices))
        ),
        f"{_SHOWN} successive passes of one batch element",
        (("unit noise", f"{noise.mean():.3g} (mean), {sd:.3g} (sd)"),),
    )


def unit_memory(lab: Lab) -> Panel | Absent:
    """Correlation of what a unit adds in two passes."""
    noise = lab.units(_PASSES)
    if noise is None:
        return Absent("")
    lags, shared = np.arange(_LAGS + 1), correlation(noise, _LAGS)
    return Panel(
        "Its memory",
        Axis("passes between", limits=(0.0, float(_LAGS))),
        Axis("correlation", limits=(min(-0.1, 1.1 * float(shared.min())), 1.1)),
        (
            Line(lags, np.zeros(len(lags)), "", None, "dotted"),
            Line(lags, shared, "", 0, marked=True),
        ),
        f"{_PASSES} passes of {lab.devices} units",
        (("correlation of successive passes", f"{shared[1]:.2f}"),),
    )


def correlation(series: Array, lags: int) -> Array:
    """Autocorrelation of equal, stationary units, about the mean of all of them.

    Args:
        series: (passes, units), of which not all are equal.
        lags: the longest; below the number of passes.

    Returns:
        (lags + 1,), the first is 1.
    """
    about = series - series.mean()
    covariance = [np.mean(about[: len(about) - k] * about[k:]) for k in range(lags + 1)]
    return np.array(covariance) / covariance[0]
