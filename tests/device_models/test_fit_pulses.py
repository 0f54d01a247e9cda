"""Pulse responses from trains of pulses of known devices.

Statistical tests state n; a bound of Z standard errors is exceeded with probability 6e-7.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from device_models import DeviceProfile
from device_models.effect import Site
from device_models.fit import fit_profile, synthetic
from device_models.fit.pulses import fit_pulses

Z, US = 5.0, 1e-6
UP = {"kind": "soft_bounds", "dw_min": 0.02, "device_to_device": 0.2, "asymmetry": 0.05, "asymmetry_spread": 0.03}
TRAIN = np.tile(np.repeat([1.0, -1.0], 40), 3)


def _profile(**update: Any) -> DeviceProfile:
    return DeviceProfile.from_data({"name": "x", "conductance": {"min": "2 uS", "max": "25 uS"}, "update": update})


def _fit(lab: SimpleNamespace, known: DeviceProfile, devices: int, train: np.ndarray, seed: int) -> Any:
    table = lab.table("pulses", synthetic.pulses(known, devices, train, np.random.default_rng(seed)))
    return fit_pulses([table], known.conductance.min, known.conductance.max)


@pytest.mark.parametrize(
    "kind",
    [{"kind": "constant_step"}, {"kind": "soft_bounds"}, {"kind": "linear_step", "gamma_up": 0.6, "gamma_down": 0.4}],
)
def test_without_noise_of_pulses_every_device_is_known_exactly(kind: dict[str, Any], lab: SimpleNamespace) -> None:
    known = _profile(**{**UP, **kind})
    train = TRAIN[:60] if kind["kind"] == "constant_step" else TRAIN
    train = np.tile(np.repeat([1.0, -1.0], 10), 4) if kind["kind"] == "constant_step" else train
    fit = _fit(lab, known, 30, train, 1)
    assert fit.data["kind"] == kind["kind"]
    assert known.update is not None
    numbers = torch.from_numpy(np.random.default_rng(1).standard_normal((known.update.fabricated, 1, 30)))[None]
    site = Site(1, 2 * US, 25 * US, torch.device("cpu"), torch.float64)
    made = known.update.devices(site, numbers)
    up, down = made.up.numpy().ravel(), made.down.numpy().ravel()
    dw = (up + down) / 2
    assert fit.data["dw_min"] == pytest.approx(dw.mean(), rel=1e-6)
    assert fit.data["device_to_device"] == pytest.approx(dw.std(ddof=1) / dw.mean(), rel=1e-4)
    assert fit.data["asymmetry"] == pytest.approx(((up - down) / (up + down)).mean(), rel=1e-4)
    assert fit.data["cycle_to_cycle"] < 1e-6
    for name in ("gamma_up", "gamma_down"):
        if name in kind:
            assert fit.data[name] == pytest.approx(kind[name], rel=1e-5)
    # The error of the mean of n devices is that of the textbook.
    found = {each.path: each for each in fit.estimates}["update.dw_min"]
    assert found.se == pytest.approx(dw.std(ddof=1) / np.sqrt(30), rel=1e-4)


@pytest.mark.parametrize("noise", ["proportional", "additive"])
def test_noise_of_pulses_is_told_from_spread_over_devices(noise: str, lab: SimpleNamespace) -> None:
    known = _profile(**UP, cycle_to_cycle=0.3, step_noise=noise, bounds={"low_spread": 0.1, "high_spread": 0.1})
    fit = _fit(lab, known, 100, TRAIN, 2)
    assert fit.data["step_noise"] == noise
    found = {each.path: each for each in fit.estimates}
    for name, truth in {**UP, "cycle_to_cycle": 0.3, "bounds.high_spread": 0.1}.items():
        if name != "kind":
            each = found[f"update.{name}"]
            assert each.se is not None
            assert abs(each.value - float(truth)) < Z * each.se, name
    assert all(check.p > 1e-4 for check in fit.checks)
    assert (
        DeviceProfile.from_data({"name": "y", "conductance": {"max": "25 uS"}, "update": fit.data}).update is not None
    )


def test_devices_that_do_not_move_are_counted(lab: SimpleNamespace) -> None:
    known = _profile(**UP, cycle_to_cycle=0.3, corrupt="20 %")
    fit = _fit(lab, known, 100, TRAIN, 3)
    each = {each.path: each for each in fit.estimates}["update.corrupt"]
    assert each.low is not None and each.high is not None
    assert each.low < 20 < each.high
    assert {each.path: each.flag for each in fit.estimates}["update.write_noise"] == "not determined"


def test_read_noise_within_the_steps_is_found_out(lab: SimpleNamespace) -> None:
    table = synthetic.pulses(_profile(**UP, cycle_to_cycle=0.3), 40, TRAIN, np.random.default_rng(4))
    noise = 0.15 * US * np.random.default_rng(5).standard_normal(len(table["conductance"]))
    table["conductance"] = np.maximum(table["conductance"] + noise, 0)
    fit = fit_pulses([lab.table("pulses", table)], 2 * US, 25 * US)
    assert {check.name: check.p for check in fit.checks}["successive errors are independent (z)"] < 1e-6


def test_a_wrong_step_curve_is_found_out(lab: SimpleNamespace) -> None:
    known = _profile(kind="power_step", dw_min=0.05, gamma_up=3.0, gamma_down=3.0, cycle_to_cycle=0.2)
    fit = _fit(lab, known, 40, TRAIN, 6)
    assert {check.name: check.p for check in fit.checks}["step at each state (chi-square)"] < 1e-6


def test_without_a_range_it_is_where_steps_vanish(tmp_path: Path) -> None:
    known = _profile(**UP, cycle_to_cycle=0.3)
    path = tmp_path / "pulses.csv"
    synthetic.write_table(path, synthetic.pulses(known, 60, TRAIN, np.random.default_rng(7)))
    measured = fit_profile([path], "mine")
    assert measured.profile.conductance.min == pytest.approx(2 * US, abs=0.7 * US)
    assert measured.profile.conductance.max == pytest.approx(25 * US, abs=0.7 * US)
    assert measured.profile.update is not None
    assert measured.profile.update.kind == "soft_bounds"


def test_too_few_devices_or_pulses_are_refused_or_warned_of(lab: SimpleNamespace) -> None:
    known = _profile(**UP, cycle_to_cycle=0.3)
    with pytest.raises(ValueError, match=r"need at least two moving devices .* \(got 1\)"):
        _fit(lab, known, 1, TRAIN, 8)
    with pytest.raises(ValueError, match=r"\(got 0\)"):
        _fit(lab, known, 5, TRAIN[:20], 8)
    fit = _fit(lab, known, 3, TRAIN, 8)
    assert any("3 moving devices" in warning for warning in fit.warnings)


def test_the_error_of_single_devices_is_no_spread_over_devices(lab: SimpleNamespace) -> None:
    # 200 equal devices, 12 pulses each way: their own steps scatter by 0.3 / sqrt(24) = 6 % about the same mean.
    known = _profile(kind="constant_step", dw_min=0.02, cycle_to_cycle=0.3)
    fit = _fit(lab, known, 200, np.tile(np.repeat([1.0, -1.0], 6), 2), 9)
    assert fit.data["device_to_device"] < 0.04
    assert fit.data["asymmetry_spread"] < 0.04
    # The fit of a mean to 12 pulses makes successive residuals correlate by -1 / 12: z = -5 if that were not known.
    assert {check.name: check.p for check in fit.checks}["successive errors are independent (z)"] > 1e-3
