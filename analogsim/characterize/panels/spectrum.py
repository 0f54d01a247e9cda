"""Noise spectrum of one conductance, from reads a microsecond apart to reads hours apart.

Series of reads with different spacings are stitched. A series of reads delta apart measures S(f) up to a quarter of its
Nyquist frequency, and on top of it whatever lies beyond, folded down:

    S_raw(f) = S(f) + sum_k [S(k / delta - f) + S(k / delta + f)],     k = 1, 2, ...

The faster series have measured S there, so the sum is known when a slower one is evaluated, and taken off. Where
little remains (less than `_SIGNIFICANT` standard errors of S_raw) nothing was measured, and nothing is shown.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import signal

from analogsim.characterize.lab import EXACT, WRITING, Lab, microsiemens
from analogsim.characterize.page import Absent, Array, Axis, Line, Panel, Points

_SHARE = 0.5  # place in the range
_FAST = 2048  # reads of the fast series, at most
_SLOW = 128  # reads of each slow series
_RATIO = 8  # of the spacings of successive series
_SERIES = 9
_PER_DECADE = 6  # points shown
_SIGNIFICANT = 4.0
_BIAS = 0.01  # of S_raw: allowed for the interpolation of S
_EXACT_TERMS = 32
_STRAIGHT = 0.4  # largest scatter of ln S about a power law that is called one


def spectrum(lab: Lab) -> Panel | Absent:
    """One-sided power spectral density of (G_read - G) / mean G over many decades of frequency."""
    timing, target = lab.profile.timing, lab.conductance(_SHARE)
    station = lab.station(target[None], without=WRITING)

    def relative(now: float, times: int = 1) -> Array:
        reads = station.read(now, times)
        return (reads - station.level) / station.level.mean()  # a device near 0 must not outweigh all others

    now = 1.0
    series = []
    length = min(_FAST, int(timing.step_time / timing.pass_time))
    if length >= 32:
        series.append((timing.pass_time, relative(now, length)))
    for index in range(_SERIES):
        spacing = timing.step_time * _RATIO**index
        now += _SLOW * spacing  # noise this slow is there only where a device was written that long ago
        series.append((spacing, np.concatenate([relative(now + k * spacing) for k in range(_SLOW)])))
        now += _SLOW * spacing
    if all(np.abs(values).max() < EXACT for _, values in series):
        return Absent("")
    f, s = stitch(series)
    traces: list[Points | Line] = [Points(f, s, "measured", 0)]
    figures, note = (), "flat: white, drawn anew in every pass"
    if s[0] / s[-1] > 10:
        middle = math.exp(np.log(f * s).mean())
        traces.append(Line(f[[0, -1]], middle / f[[0, -1]], "1/f", None, "dashed"))
        note = f"{len(series)} series of reads of {lab.devices} devices, stitched"
        slope, level = np.polyfit(np.log(f), np.log(s), 1)
        if np.std(np.log(s) - level - slope * np.log(f)) < _STRAIGHT:
            figures = (("spectral slope", f"{slope:.2f}"),)
    return Panel(
        f"Spectrum at {microsiemens(target)}",
        Axis("frequency, Hz", "log"),
        Axis(r"$S_G / G^2$, 1/Hz", "log", (float(s.min()) / 10, float(s.max()) * 10)),
        tuple(traces),
        note,
        figures,
    )


def stitch(series: list[tuple[float, Array]]) -> tuple[Array, Array]:
    """Spectral density from series of reads of growing spacing.

    Args:
        series: spacing in seconds, and values (reads, devices), the fastest first.

    Returns:
        Frequencies in Hz and one-sided densities, both (points,), in rising order.
    """
    f, s = np.empty(0), np.empty(0)
    for index, (spacing, values) in enumerate(series):
        raw_f, raw = signal.periodogram(values, 1 / spacing, window="hann", detrend="constant", axis=0)
        raw = raw.mean(axis=1)
        top = 0.5 if index == 0 else 0.125  # nothing was measured beyond the first series: its fold stays
        some = (np.arange(len(raw_f)) >= 2) & (raw_f <= top / spacing)
        at, values_at, counts = _binned(raw_f[some], raw[some])
        own = values_at - folded(at, spacing, f, s) if index else values_at
        error = values_at * np.sqrt(2 / (counts * values.shape[1]))  # neighbours share half under this window
        kept = own > _SIGNIFICANT * error + _BIAS * values_at if index else own > 0
        f, s = np.concatenate([at[kept], f]), np.concatenate([own[kept], s])
    return f, s


def folded(at: Array, spacing: float, f: Array, s: Array) -> Array:
    """What reads `spacing` seconds apart fold down onto the frequencies `at` from beyond, given S on rising f.

    Between and below its points S is a power law, beyond them 0.
    """
    if not len(f):
        return np.zeros_like(at)
    x, y = np.log(f), np.log(s)
    slope = np.polyfit(x[:4], y[:4], 1)[0] if len(f) >= 4 else 0.0

    def density(frequency: Array) -> Array:
        log = np.log(frequency)
        value = np.where(log < x[0], y[0] + slope * (log - x[0]), np.interp(log, x, y))
        return np.where(frequency <= f[-1], np.exp(value), 0.0)

    k = np.arange(1, _EXACT_TERMS + 1)[:, None]
    total = (density(k / spacing - at) + density(k / spacing + at)).sum(axis=0)
    rest = np.log((_EXACT_TERMS + 0.5) / spacing), x[-1]
    if rest[0] < rest[1]:
        grid = np.linspace(*rest, 2000)
        total += 2 * spacing * np.trapezoid(density(np.exp(grid)) * np.exp(grid), grid)
    return total


def _binned(f: Array, s: Array) -> tuple[Array, Array, Array]:
    """Bins of equal width in log f: frequencies, densities such that a 1/f spectrum keeps its level, counts."""
    bins = np.floor(np.log10(f) * _PER_DECADE).astype(int)
    _, where, counts = np.unique(bins, return_inverse=True, return_counts=True)
    middle = np.exp(np.bincount(where, np.log(f)) / counts)
    return middle, np.bincount(where, s * f) / counts / middle, counts
