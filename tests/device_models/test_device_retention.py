"""Retention failure: shares against their distributions, then lives by device, chip and write.

Statistical tolerances: each test states n; bounds are Z standard errors, exceeded with probability 6e-7 each.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from device_models import Cells, DeviceProfile, ProfileError

Z = 5.0
US = 1e-6
FAILURE = {"kind": "retention_failure", "distribution": "exponential", "time": "1000 s"}


def _profile(**parts: Any) -> DeviceProfile:
    return DeviceProfile.from_data({"name": "x", "conductance": {"min": "1 uS", "max": "40 uS"}, **parts})


def _normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _cells(n: int, **parts: Any) -> Cells:
    """One chip's n devices at 20 uS, written at time 0."""
    device = _profile(**parts).build(1, torch.device("cpu"), torch.float64)
    cells = Cells(device)
    made = _normal(1, device.fabricated, 1, n, seed=1001)
    target = torch.full((1, 1, n), 20 * US, dtype=torch.float64)
    cells.program(target, _normal(1, device.numbers, 1, n), 0.0, made)
    return cells


def _at(cells: Cells, now: float) -> Tensor:
    cells.settle(now)
    return cells.conductance.flatten() / US


def _failed(n: int, t: float, relaxation: dict[str, Any], **parts: Any) -> float:
    left = _at(_cells(n, relaxation=relaxation, **parts), t)
    assert ((left == 20) | (left - 1).abs().lt(1e-9)).all()
    return (left != 20).double().mean().item()


def _close(share: float, law: float, n: int) -> None:
    assert abs(share - law) < Z * math.sqrt(law * (1 - law) / n)


@pytest.mark.parametrize("t", [30.0, 1000.0, 3000.0])
@pytest.mark.parametrize("share", ["100 %", "10 %"])
def test_exponential_failure(t: float, share: str) -> None:
    n = 200_000
    law = (1.0 if share == "100 %" else 0.1) * (1 - math.exp(-t / 1000))
    _close(_failed(n, t, {**FAILURE, "share": share}), law, n)


@pytest.mark.parametrize("t", [30.0, 1000.0, 3000.0])
def test_log_normal_failure(t: float) -> None:
    n, failure = 200_000, {**FAILURE, "distribution": "log_normal", "sigma": 1.5}
    _close(_failed(n, t, failure), float(stats.lognorm.cdf(t, 1.5, scale=1000)), n)


def test_heat_ages_by_the_arrhenius_factor() -> None:
    # exp(1.1 eV / k (1 / 298.15 K - 1 / 358.15 K)): 85 C against 25 C.
    factor = math.exp(1.1 * 1.602176634e-19 / 1.380649e-23 * (1 / 298.15 - 1 / 358.15))
    assert factor == pytest.approx(1300, rel=0.01)
    failure = {**FAILURE, "time": "1e6 s", "activation_energy": "1.1 eV", "reference_temperature": "25 degC"}
    cold, hot = (_cells(5000, relaxation=failure, temperature=t) for t in ("25 degC", "358.15 K"))
    for t in (1e4, 1e6, 2e6):
        assert (_at(cold, t) != 20).sum() > 0
        assert torch.equal(_at(cold, t), _at(hot, t / factor)), "the same devices, sooner"
        assert (_at(hot, t * 0.9 / factor) != _at(cold, t)).any()


def test_each_chip_may_have_its_own_temperature() -> None:
    failure = {**FAILURE, "activation_energy": "1 eV"}
    temperature = {"each": ["300 K", "310 K"]}
    profile = _profile(relaxation=failure, temperature=temperature)
    life = []
    for chip in (0, 1):
        cells = Cells(profile.build(2, torch.device("cpu"), torch.float64))
        cells.program(
            torch.full((2, 1, 5), 20 * US, dtype=torch.float64), torch.zeros(2, 1, 1, 5), 0.0, torch.zeros(2, 1, 1, 5)
        )
        (effect,) = cells._device.levels
        life.append(effect.fails_after(cells.remembered.of(effect))[chip, 0, 0].item())  # type: ignore[attr-defined]
    assert life[0] == pytest.approx(1000 * math.log(2))
    factor = math.exp(1.602176634e-19 / 1.380649e-23 * (1 / 300 - 1 / 310))
    assert life[0] / life[1] == pytest.approx(factor)


def test_the_weak_devices_are_made_so_and_a_write_brings_them_back() -> None:
    n = 2000
    failure = {**FAILURE, "share": "20 %", "time": "1 s", "to": "g_max"}
    cells = _cells(n, relaxation=failure)
    weak = []
    for count in range(3):
        now = 1000.0 * count
        assert (_at(cells, now) == 20).all()
        failed = _at(cells, now + 999)  # all but e^-999 of the weak ones
        assert ((failed == 20) | (failed - 40).abs().lt(1e-9)).all()
        weak.append(failed != 20)
        cells.write(cells.target, _normal(1, 1, 1, n, seed=count + 5), now + 1000, torch.tensor(True))
    assert torch.equal(weak[0], weak[1]) and torch.equal(weak[0], weak[2]), "the same devices each time"
    assert abs(weak[0].double().mean().item() - 0.2) < Z * math.sqrt(0.16 / n)


def test_lives_of_successive_writes_are_independent() -> None:
    n = 20_000
    cells = _cells(n, relaxation=FAILURE)
    first = _at(cells, 693.0) != 20
    cells.write(cells.target, _normal(1, 1, 1, n, seed=2), 1000.0, torch.tensor(True))
    second = _at(cells, 1693.0) != 20
    r = np.corrcoef(first.numpy(), second.numpy())[0, 1]
    assert abs(r) < Z / math.sqrt(n)


def test_failures_are_told_to_the_moment() -> None:
    cells = _cells(200, relaxation={**FAILURE, "share": "50 %"})
    now, failed = 0.0, 0
    for _ in range(20):
        left = float(cells.steady(now, 0.5))
        assert (_at(cells, now + left * (1 - 1e-9)) != 20).sum() == failed
        now, failed = now + left * (1 + 1e-9), failed + 1
        assert (_at(cells, now) != 20).sum() == failed


REFUSED = [
    ({**FAILURE, "distribution": "log_normal"}, "relaxation.0: sigma belongs to the distribution log_normal"),
    ({**FAILURE, "sigma": 1.0}, "relaxation.0: sigma belongs to the distribution log_normal"),
    ({**FAILURE, "activation_energy": "1 V"}, "relaxation.0.activation_energy: 'V' is not a unit of this quantity"),
    ({**FAILURE, "reference_temperature": "-300 degC"}, "relaxation.0.reference_temperature: must lie above absolute"),
    ({**FAILURE, "to": "zero"}, "relaxation.0.to: not a known choice (got 'zero')"),
]


@pytest.mark.parametrize(("relaxation", "fault"), REFUSED, ids=[fault for _, fault in REFUSED])
def test_settings_that_would_not_hold_are_refused(relaxation: dict[str, Any], fault: str) -> None:
    with pytest.raises(ProfileError) as caught:
        _profile(relaxation=relaxation)
    assert str(caught.value).splitlines()[1].startswith(f"  - {fault}")


def test_a_profile_is_read_back_from_its_own_data() -> None:
    line = {"kind": "logarithmic", "mean": "-0.1 uS", "sd": "0.4 uS", "t0": "1 s"}
    profile = _profile(relaxation=[line, {**FAILURE, "activation_energy": "1.1 eV"}], temperature="85 degC")
    assert profile.temperature == 358.15
    assert DeviceProfile.from_data(profile.to_data()) == profile
    assert len(profile.relaxation) == 2
