"""The panels of read noise and its spectrum against the closed forms that they should show.

Statistical tests: the quantity is an average or a quantile of n independent devices (or reads), its standard error
follows from n, and Z standard errors are allowed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from analogsim.characterize.lab import Lab
from analogsim.characterize.page import Absent, Line, Panel, Points
from analogsim.characterize.panels import (
    read_noise,
    spectrum,
)
from device_models import DeviceProfile

Z = 5.0  # standard errors; one of a hundred comparisons lies beyond with probability 6e-5
ProfileOf = Callable[..., DeviceProfile]

ADDITIVE = {"kind": "additive", "sigma": "2 %"}
FLICKER = {"kind": "flicker", "q": 0.0088, "exponent": 0.65, "q_max": 0.2, "t_r": "250 ns", "t0": "20 s"}


def _drawn(found: Panel | Absent) -> Panel:
    assert isinstance(found, Panel)
    return found


def test_white_noise_is_the_same_in_all_three(profile_of: ProfileOf) -> None:
    n = 300
    panel = _drawn(read_noise.read_noise(Lab(profile_of(read_noise=ADDITIVE), n)))
    reads = 16 * n
    lines = [trace for trace in panel.traces if isinstance(trace, Line)]
    assert len(lines) == 3
    for line in lines:
        count = reads / 2 if line.label.startswith("difference") else reads
        np.testing.assert_allclose(line.y, 0.02 * 25, rtol=Z / math.sqrt(2 * count))


def test_flicker_noise_accumulates_and_is_shared(profile_of: ProfileOf) -> None:
    """Accumulated: Q G sqrt(ln((t + t_r) / 2 t_r)). Within a step: ln(pi step / t_r). Two passes: what forgets."""
    n = 2000
    profile = profile_of(read_noise=FLICKER)
    panel = _drawn(read_noise.read_noise(Lab(profile, n)))
    accumulated = panel.trace(Line, "accumulated since the write")
    g = accumulated.x * 1e-6
    unit = np.minimum(0.0088 / (g / 25e-6) ** 0.65, 0.2) * accumulated.x
    t_r, step = 250e-9, 1e-3
    np.testing.assert_allclose(
        accumulated.y, unit * math.sqrt(math.log((3600 + t_r) / (2 * t_r))), rtol=Z / math.sqrt(2 * n)
    )
    # Relaxations of up to a step forget a part between the 16 passes; a device counts as one read at least.
    within = panel.trace(Line, "within a step")
    np.testing.assert_allclose(within.y, unit * math.sqrt(math.log(math.pi * step / t_r)), rtol=Z / math.sqrt(2 * n))
    (noise,) = profile.build(1, torch.device("cpu"), torch.float64).read_noise
    forgotten = noise.white + sum(part.weight * (1 - part.correlation(1e-6)) for part in noise.passing)
    assert forgotten < 0.3 * math.log(3600 / (2 * t_r))
    difference = panel.traces[2]
    assert isinstance(difference, Line)
    np.testing.assert_allclose(difference.y, unit * math.sqrt(forgotten), rtol=Z / math.sqrt(2 * n))


def test_the_spectrum_of_flicker_noise_is_q_squared_over_f(profile_of: ProfileOf) -> None:
    """f S / Q^2 = 1 over ten decades.

    A point averages 400 devices, at one frequency or more, and is what remains of up to three times as much: its
    standard error is at most 0.15, and that of the mean of the 60 points 0.02. Their log f has an sd of 6.9.
    """
    panel = _drawn(spectrum.spectrum(Lab(profile_of(read_noise=FLICKER), 400)))
    points = panel.trace(Points)
    q = 0.0088 / (13.5 / 25) ** 0.65
    some = points.x < 1e4  # above, what passes fold down from beyond is part of what they see
    level = np.log(points.x[some] * points.y[some] / q**2)
    assert points.x.min() < 1e-6
    assert len(level) > 50
    assert abs(level.mean()) < Z * 0.15 / math.sqrt(len(level))
    slope, _ = np.polyfit(np.log(points.x[some]), level, 1)
    assert abs(slope) < Z * 0.15 / math.sqrt(len(level)) / 6.9
    assert np.abs(level).max() < Z * 0.15
    assert float(panel.figures[0][1]) == pytest.approx(-1, abs=0.03)
    assert panel.trace(Line, "1/f")


def test_the_spectrum_of_white_noise_is_flat(profile_of: ProfileOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectrum, "_SLOW", 64)
    panel = _drawn(spectrum.spectrum(Lab(profile_of(read_noise=ADDITIVE), 100)))
    points = panel.trace(Points)
    assert points.x.min() > 1e3  # slower series show what was folded down, and nothing else
    level = 2 * 1e-6 * (0.02 * 25 / 13.5) ** 2
    assert len(points.x) == 16
    # 1000 reads of 100 devices; the lowest bin holds one frequency of a Hann window (variance 1).
    np.testing.assert_allclose(points.y, level, rtol=Z / math.sqrt(100))
    assert np.average(points.y, weights=points.x) == pytest.approx(level, rel=Z * math.sqrt(2 / (1000 * 100 / 4)))
    assert "flat" in panel.note


def test_what_is_folded_down_from_a_relaxation_has_a_closed_form() -> None:
    """Reads of an Ornstein-Uhlenbeck process delta apart: S = 2 delta (1 - a^2) / (1 + a^2 - 2 a cos(2 pi f delta))."""
    tau, spacing = 1e-3, 5e-3
    f = np.logspace(1, 6, 600)
    density = 4 * tau / (1 + (2 * np.pi * f * tau) ** 2)
    at = np.array([12.0, 30.0, 50.0])
    a = math.exp(-spacing / tau)
    raw = 2 * spacing * (1 - a * a) / (1 + a * a - 2 * a * np.cos(2 * np.pi * at * spacing))
    own = 4 * tau / (1 + (2 * np.pi * at * tau) ** 2)
    np.testing.assert_allclose(own + spectrum.folded(at, spacing, f, density), raw, rtol=1e-3)
