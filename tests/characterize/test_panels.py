"""Each panel against the closed form that it should show.

Statistical tests: the quantity is an average or a quantile of n independent devices (or reads), its standard error
follows from n, and Z standard errors are allowed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from analogsim.characterize.lab import Lab, ProbeStation
from analogsim.characterize.page import Absent, Band, Line, Map, Panel, Points
from analogsim.characterize.panels import (
    converters,
    drift,
    programming,
    pulses,
    read_noise,
    spectrum,
    unit_noise,
    wires,
)
from device_models import DeviceProfile, load_profile

Z = 5.0  # standard errors; one of a hundred comparisons lies beyond with probability 6e-5
ProfileOf = Callable[..., DeviceProfile]

ADDITIVE = {"kind": "additive", "sigma": "2 %"}

EVERYTHING_ELSE = {
    "dac": {"bits": 3, "range": 1.0},
    "adc": {"bits": 3, "range": 1.0},
    "column_noise": {"sigma": "10 %"},
    "unit_noise": {"kind": "gaussian", "sigma": 0.5},
    "conduction": {"kappa": 2.0},
    "faults": {"stuck_low": "50 %", "dead_rows": "50 %"},
    "slices": {"count": 2, "bits": 4},
    "read_disturb": {"rate": 0.01},
}


def _drawn(found: Panel | Absent) -> Panel:
    assert isinstance(found, Panel)
    return found


def test_an_exact_device_reads_as_what_was_asked_for(profile_of: ProfileOf) -> None:
    targets = np.array([2e-6, 3.3e-6, 17e-6])
    station = ProbeStation(profile_of(), targets, seed=0)
    for values in (station.programmed, station.level, station.state, *station.read(5.0, 3)):
        np.testing.assert_allclose(values, targets, rtol=1e-12)


def test_the_partner_of_a_device_adds_nothing_and_noise_scales(profile_of: ProfileOf) -> None:
    targets, g_max = np.full(1000, 5e-6), 25e-6
    one, two = (
        ProbeStation(profile_of(read_noise={"sigma": sigma}), targets, seed=3).read(0.0, 40) - targets
        for sigma in ("1 %", "2 %")
    )
    np.testing.assert_allclose(two, 2 * one, rtol=1e-9)
    n = one.size
    assert np.square(one).mean() == pytest.approx((0.01 * g_max) ** 2, rel=Z * math.sqrt(2 / n))


def test_targets_beyond_the_range_are_refused(profile_of: ProfileOf) -> None:
    with pytest.raises(ValueError, match=r"up to G_max \(got 2.6e-05 S\)"):
        ProbeStation(profile_of(), np.array([26e-6]), seed=0)


def test_programming_shows_the_spread(profile_of: ProfileOf) -> None:
    n, sigma = 2000, 0.2
    lab = Lab(profile_of(programming={"kind": "constant", "sigma": f"{sigma} uS"}), n)
    panel = _drawn(programming.programming(lab))
    target = panel.trace(Line, "target").x
    median, band = panel.trace(Line, "median, 5-95 %"), panel.trace(Band)
    for values, p in ((band.low, 0.05), (median.y, 0.5), (band.high, 0.95)):
        z = stats.norm.ppf(p)
        error = math.sqrt(p * (1 - p) / n) / float(stats.norm.pdf(z)) * sigma
        np.testing.assert_allclose(values, target + z * sigma, rtol=0, atol=Z * error)
    assert panel.figures[0][1].endswith("at 13.5 µS")
    assert float(panel.figures[0][1].split()[0]) == pytest.approx(sigma, rel=Z / math.sqrt(2 * n) + 5e-3)


def test_drift_shows_the_law_and_its_spread(profile_of: ProfileOf) -> None:
    n, mean, sd, t0 = 2000, 0.06, 0.01, 20.0
    lab = Lab(profile_of(drift={"kind": "constant", "t0": f"{t0:g} s", "mean": mean, "sd": sd}), n)
    panel = _drawn(drift.drift(lab))
    lines = [trace for trace in panel.traces if isinstance(trace, Line)]
    bands = [trace for trace in panel.traces if isinstance(trace, Band)]
    assert [line.label for line in lines] == ["25 µS", "4.3 µS", "2.69 µS"]
    decades = np.log(np.maximum(1, drift.TIMES / t0))
    for line, band in zip(lines, bands, strict=True):
        for values, p in ((band.high, 0.05), (line.y, 0.5), (band.low, 0.95)):
            z = stats.norm.ppf(p)  # a large exponent leaves little; |nu| = nu here, six sd above 0
            error = math.sqrt(p * (1 - p) / n) / stats.norm.pdf(z) * sd
            np.testing.assert_allclose(
                -np.log(values), (mean + z * sd) * decades, rtol=0, atol=Z * error * decades.max()
            )
    month = float(panel.figures[0][1].split()[0]) / 100
    assert month == pytest.approx((30 * 86_400 / t0) ** -mean, rel=Z * sd * 1.2533 / math.sqrt(n) * 12 + 2e-3)


def test_slow_noise_is_no_drift(profile_of: ProfileOf) -> None:
    slow = {"kind": "telegraph", "amplitude": "10 %", "tau": "1 h"}
    assert isinstance(drift.drift(Lab(profile_of(read_noise=slow), 20)), Absent)


def test_converters_are_shown_to_the_code(profile_of: ProfileOf) -> None:
    lab = Lab(profile_of(dac={"bits": 4, "range": 6.0}, adc={"bits": 5, "range": 12.0}))
    for panel, limit in (
        (_drawn(converters.transfer(lab)), 7.8),
        (_drawn(converters.staircase(lab)), 3.5 * 12 / 14),
    ):
        output, driven = panel.trace(Line, "output"), panel.trace(Line, "driven level x weights")
        x = output.x
        assert x[-1] == pytest.approx(limit)
        levels = np.clip(np.rint(x * 7 / 6), -7, 7) * 6 / 7
        np.testing.assert_allclose(driven.y, 2.5 * levels, rtol=1e-12)
        sums = 2.5 * levels * 15 / 12
        clear = np.abs(sums - np.floor(sums) - 0.5) > 1e-6  # not on the edge of a code
        np.testing.assert_allclose(output.y[clear], (np.clip(np.rint(sums), -15, 15) * 12 / 15)[clear], atol=1e-12)
        band = panel.trace(Band)
        np.testing.assert_allclose(band.high[clear], output.y[clear], atol=1e-12)
    assert np.abs(_drawn(converters.transfer(lab)).trace(Line, "output").y).max() == pytest.approx(12)


def test_the_band_of_a_column_is_its_noise(profile_of: ProfileOf) -> None:
    lab = Lab(profile_of(column_noise={"sigma": "10 %"}))
    panel = _drawn(converters.transfer(lab))
    band = panel.trace(Band)
    w_max = 2 / 64  # twice the largest weight stands for G_max
    width = 2 * stats.norm.ppf(0.95) * 0.1 * w_max * 25 / 23
    # 200 reads: each of the band's ends has a standard error of 0.149 sd
    assert (band.high - band.low).mean() == pytest.approx(width, rel=Z * 0.149 / math.sqrt(241))
    assert isinstance(converters.staircase(lab), Absent)


def test_the_map_of_ir_drop_is_that_of_the_wires(profile_of: ProfileOf) -> None:
    assert isinstance(wires.wires(Lab(profile_of())), Absent)
    profile = profile_of(wires={"resistance": "0.05 ohm", "solve": "resummed"}, **EVERYTHING_ELSE)
    panel = _drawn(wires.wires(Lab(profile)))
    drop = profile.build(1, torch.device("cpu"), torch.float64).wires
    assert drop is not None
    full, off = (torch.full((1, wires.LINES, wires.LINES), g, dtype=torch.float64) for g in (25e-6, 2e-6))
    expected = (drop.effective(full) - drop.effective(off))[0] / 23e-6
    values = panel.trace(Map).values
    np.testing.assert_allclose(values, 100 * expected.numpy(), rtol=1e-9)
    assert values[0, -1] > values[-1, 0]  # near the driver and the amplifier; far from both
    assert f"{values.min():.3g} %" in panel.figures[0][1]


def test_a_probe_station_leaves_lines_and_converters_out(profile_of: ProfileOf) -> None:
    targets = np.array([2e-6, 3.3e-6, 25e-6])
    profile = profile_of(wires={"resistance": "1 kohm"}, **EVERYTHING_ELSE)
    station = ProbeStation(profile, targets, seed=0)
    np.testing.assert_allclose(station.read(0.0, 2), np.stack([targets] * 2), rtol=1e-12)


@pytest.mark.parametrize("cell", ["reference", "pair"])
def test_a_staircase_of_soft_bounds_is_their_closed_form(cell: str, profile_of: ProfileOf) -> None:
    """n equal steps towards a bound leave (1 - dw / span)^n of the distance: u from -1 to 1, span 1 to either bound."""
    dw = 0.02
    update = {"kind": "soft_bounds", "dw_min": dw}
    profile = profile_of(update=update, cell=cell, programming={"kind": "constant", "sigma": "1 uS"})
    panel = _drawn(pulses.pulses(Lab(profile, 5)))
    median, band = panel.trace(Line, "median, 5-95 %"), panel.trace(Band)
    n = np.arange(61) * 4  # 2 ranges of 2 / dw steps, at 60 points
    np.testing.assert_allclose(median.x[:61], n)
    up = 25 - 23 * (1 - dw) ** n
    np.testing.assert_allclose(median.y[:61], up, rtol=1e-9)
    np.testing.assert_allclose(band.high, band.low, rtol=1e-12)
    if cell == "pair":
        assert len(median.x) == 61 and "up" in panel.note
    else:
        assert len(median.x) == 121
        np.testing.assert_allclose(median.y[60:], 2 + (up[-1] - 2) * (1 - dw) ** n, rtol=1e-9)


def test_steps_differ_from_device_to_device(profile_of: ProfileOf) -> None:
    update = {"kind": "constant_step", "dw_min": 0.02, "device_to_device": 0.1}
    panel = _drawn(pulses.pulses(Lab(profile_of(update=update, cell="reference"), 1000)))
    band = panel.trace(Band)
    width = 2 * stats.norm.ppf(0.95) * 0.1 * 4 * 0.02 * 23 / 2  # after the first four pulses
    z = stats.norm.ppf(0.95)
    error = math.sqrt(2 * 0.05 * 0.95 / 1000) / float(stats.norm.pdf(z)) / (2 * z)
    assert band.high[1] - band.low[1] == pytest.approx(width, rel=Z * float(error))


def test_noise_of_units_has_its_levels_and_its_memory(profile_of: ProfileOf) -> None:
    """Two levels a half-distance A about m, and white noise s: variance A^2 + s^2, A^2 (1 - 2 p)^k of it k passes on.

    The mean of n units over 256 passes has a variance of A^2 (1 - p) / p / (256 n); that of products of passes is below
    2 (1 + q^2) / (1 - q^2) times that of as many independent ones, q = 1 - 2 p.
    """
    n, mean, a, p, s = 2000, 0.04, 0.006, 0.08, 0.003
    unit = {"kind": "telegraph", "mean": mean, "amplitude": a, "flip": "8 %", "sigma": s}
    rest = {**EVERYTHING_ELSE, "unit_noise": unit, "read_noise": ADDITIVE}
    lab = Lab(profile_of(**rest, wires={"resistance": "1 kohm"}), n)
    noise = lab.units(256)
    assert noise is not None and noise.shape == (256, n)
    assert noise.mean() == pytest.approx(mean, abs=Z * a * math.sqrt((1 - p) / p / (256 * n)))
    q, lags = 1 - 2 * p, np.arange(25)
    shared = np.where(lags == 0, 1, a * a * q**lags / (a * a + s * s))
    line = next(each for each in _drawn(unit_noise.unit_memory(lab)).traces if isinstance(each, Line) and each.marked)
    error = math.sqrt(2 * (1 + q * q) / (1 - q * q) / ((256 - 24) * n))
    np.testing.assert_allclose(line.y, shared, rtol=0, atol=Z * error)
    series = _drawn(unit_noise.unit_series(lab))
    drawn = np.stack([each.y for each in series.traces if isinstance(each, Line)])
    np.testing.assert_array_equal(drawn, noise[:100, :3].T)
    assert np.abs(np.abs(drawn - mean) - a).max() < 5 * s  # 300 values: one lies beyond with probability 2e-4


def test_units_without_noise_have_no_panel(profile_of: ProfileOf) -> None:
    for unit in (None, {"kind": "gaussian", "sigma": 0.0}):
        lab = Lab(profile_of(unit_noise=unit), 4)
        for panel in (unit_noise.unit_series, unit_noise.unit_memory):
            assert isinstance(panel(lab), Absent)


def test_a_device_that_relaxed_to_nearly_nothing_is_no_slow_noise() -> None:
    """White noise stays flat although relaxation carries single devices of 20 uS towards 0."""
    panel = _drawn(spectrum.spectrum(Lab(load_profile("reram"), 1000)))
    assert panel.trace(Points).x.min() > 1e3
    assert "flat" in panel.note


def test_a_calibrated_converter_is_calibrated(profile_of: ProfileOf) -> None:
    lab = Lab(profile_of(adc={"bits": 8, "range": "calibrated"}))
    output, exact = (_drawn(converters.transfer(lab)).trace(Line, name).y for name in ("output", "exact"))
    np.testing.assert_allclose(output, exact, atol=0.51 * 2 * 1.3 / 127)  # the range is twice the largest current
    assert isinstance(converters.staircase(lab), Absent)


def test_vectors_scaled_to_full_scale_do_not_clip(profile_of: ProfileOf) -> None:
    dac = {"bits": 8, "range": 2.0, "scaling": "per_vector"}
    panel = _drawn(converters.transfer(Lab(profile_of(dac=dac, adc={"bits": 8, "range": 5.0}))))
    output, exact = panel.trace(Line, "output").y, panel.trace(Line, "exact").y
    np.testing.assert_allclose(output, exact, rtol=0.5 / (0.8 * 127), atol=1e-9)


def test_what_is_absent_is_said_in_a_sentence(profile_of: ProfileOf) -> None:
    lab = Lab(profile_of(), 4)
    sentences = []
    for panel in (
        programming.programming,
        drift.drift,
        read_noise.read_noise,
        converters.transfer,
        wires.wires,
        pulses.pulses,
    ):
        found = panel(lab)
        assert isinstance(found, Absent)
        sentences.append(found.sentence)
    assert len(set(sentences)) == 6
    assert all(sentence.endswith(".") for sentence in sentences)


def test_pcm_as_published() -> None:
    """Spot values of Nandakumar et al. (2019): programming sd 1.055 uS at 25 uS, 0.610 at 5; nu 0.049 at 25 uS."""
    n = 1500
    lab = Lab(load_profile("pcm"), n)
    station = lab.station(np.array([5e-6, 25e-6]))
    sd = np.std(station.programmed.reshape(2, n), axis=1) * 1e6
    np.testing.assert_allclose(sd, [0.610, 1.055], rtol=Z / math.sqrt(2 * n) + 1e-3)
    line = next(trace for trace in _drawn(drift.drift(lab)).traces if isinstance(trace, Line))
    nu = -math.log(line.y[-1]) / math.log(drift.TIMES[-1] / 20)
    assert nu == pytest.approx(0.049, abs=Z * 1.2533 * 0.008 / math.sqrt(n))
