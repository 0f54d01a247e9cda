"""Endurance, half-select disturb and read disturb against their laws.

Statistical tolerances: each test states n; a bound of Z standard errors is exceeded with probability 6e-7.
"""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import TypeAdapter
from scipy import stats
from torch import Tensor

from device_models.disturb import HalfSelect, ReadDisturb
from device_models.effect import Site
from device_models.endurance import Endurance
from device_models.linear_steps import SoftBounds

Z = 5.0
N = 20_000


def _site(chips: int = 1) -> Site:
    return Site(chips, 0.0, 25e-6, torch.device("cpu"), torch.float64)


def _normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _counts(*values: int) -> Tensor:
    return torch.tensor([[values]])


# Endurance


@pytest.mark.parametrize("writes", [10, 100, 1000, 30_000])
def test_the_share_of_failed_devices_is_log_normal(writes: int) -> None:
    lifetimes = Endurance(cycles=1000.0, spread=1.5).build(_site(), _normal(1, 1, 1, N))
    used = torch.zeros(1, 1, N, dtype=torch.int64)
    one = torch.ones(1, 1, N, dtype=torch.int64)
    for part in (writes // 2, writes - writes // 2):
        _, _, used = lifetimes.spend(used, part * one, 0 * one)
    share = (~lifetimes.alive(used)).to(torch.float64).mean().item()
    law = float(stats.norm.cdf(math.log(writes / 1000.0) / 1.5))
    assert abs(share - law) < Z * math.sqrt(law * (1 - law) / N)


def test_lifetimes_have_the_median_and_spread_that_were_asked_for() -> None:
    life = Endurance(cycles=1e6, spread=0.8).build(_site(), _normal(1, 1, 1, N, seed=2)).life
    assert stats.kstest(life.log().flatten().numpy(), stats.norm(math.log(1e6), 0.8).cdf).pvalue > 6e-7


def test_a_device_takes_as_many_pulses_as_it_lives() -> None:
    lifetimes = Endurance(cycles=5.0).build(_site(), torch.zeros(1, 1, 1, 4, dtype=torch.float64))
    used = _counts(0, 0, 3, 5)
    ups, downs, used = lifetimes.spend(used, _counts(2, 9, 1, 2), _counts(3, 1, 4, 1))
    assert (ups.flatten().tolist(), downs.flatten().tolist()) == ([2, 5, 1, 0], [3, 0, 1, 0])
    assert used.flatten().tolist() == [5, 10, 8, 8]
    assert not lifetimes.alive(used).any()
    ups, downs, used = lifetimes.spend(used, _counts(1, 1, 1, 1), _counts(1, 1, 1, 1))
    assert not ups.any() and not downs.any()


def test_the_pulses_that_act_add_up_to_the_life_however_they_are_given() -> None:
    lifetimes = Endurance(cycles=40.0, spread=1.0).build(_site(), _normal(1, 1, 1, 500))
    generator, used = torch.Generator().manual_seed(3), torch.zeros(1, 1, 500, dtype=torch.int64)
    acted = torch.zeros_like(used)
    for _ in range(400):
        given = torch.randint(0, 5, (2, 1, 1, 500), generator=generator)
        ups, downs, used = lifetimes.spend(used, given[0], given[1])
        acted += ups + downs
    assert torch.equal(acted, torch.minimum(lifetimes.life.ceil(), used.to(torch.float64)).to(torch.int64))


def test_writes_may_count_instead_of_pulses() -> None:
    endurance = Endurance(cycles=2.0, counts="writes")
    lifetimes = endurance.build(_site(), torch.zeros(1, 1, 1, 3, dtype=torch.float64))
    used = _counts(0, 0, 0)
    for expected in ([7, 0, 1], [7, 0, 1], [0, 0, 0]):
        ups, _, used = lifetimes.spend(used, _counts(7, 0, 1), _counts(0, 0, 2))
        assert ups.flatten().tolist() == expected
    assert used.flatten().tolist() == [3, 0, 3]


@pytest.mark.parametrize(("failure", "expected"), [("frozen", 0.3), ("low", -0.9), ("high", 1.1)])
def test_failed_devices_are_frozen_or_stick(failure: str, expected: float) -> None:
    endurance = TypeAdapter(Endurance).validate_python({"cycles": 10.0, "failure": failure})
    lifetimes = endurance.build(_site(), torch.zeros(1, 1, 1, 2, dtype=torch.float64))
    u, low, high = (torch.full((1, 1, 2), value, dtype=torch.float64) for value in (0.3, -0.9, 1.1))
    assert lifetimes.fail(u, _counts(9, 10), low, high).flatten().tolist() == [0.3, expected]


# Half select


def test_half_selected_devices_feel_the_pulses_of_their_row_and_column() -> None:
    counts = torch.randint(0, 4, (2, 3, 5), generator=torch.Generator().manual_seed(1)).to(torch.float64)
    disturbed = HalfSelect.model_validate({"fraction": {"each": ["1 %", "0 %"]}}).build(_site(2)).pulses(counts)
    expected = torch.zeros(3, 5, dtype=torch.float64)
    for i in range(3):
        for j in range(5):
            others = [counts[0, i, k] for k in range(5) if k != j] + [counts[0, k, j] for k in range(3) if k != i]
            expected[i, j] = 0.01 * torch.stack(others).sum()
    torch.testing.assert_close(disturbed[0], expected)
    assert not disturbed[1].any()


def test_lines_driven_in_parallel_half_select_less() -> None:
    half = HalfSelect.model_validate({"fraction": "10 %"}).build(_site())
    # One slot: row 0 and both columns carry a pulse. Devices of row 0 move, those of row 1 feel their column only.
    counts = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]], dtype=torch.float64)  # (C, out = columns, rows)
    got = half.pulses(counts, rows=torch.tensor([[[1.0, 0.0]]]), columns=torch.tensor([[[1.0], [1.0]]]))
    torch.testing.assert_close(got, torch.tensor([[[0.0, 0.1], [0.0, 0.1]]], dtype=torch.float64))


def test_disturbance_follows_the_step_curve_and_stops_at_the_bounds() -> None:
    soft = SoftBounds(kind="soft_bounds", dw_min=0.01)
    response = soft.build(_site(), torch.zeros(1, soft.fabricated, 1, 3, dtype=torch.float64))
    u = torch.tensor([[[-1.0, 0.0, 1.0]]], dtype=torch.float64)
    ups = HalfSelect.model_validate({"fraction": "5 %"}).build(_site()).pulses(torch.ones(1, 1, 3))
    # Each has two neighbours in its column and none in its row: 2 x 5 % of a step dw (1 - u).
    torch.testing.assert_close(response.nudge(u, ups, 0 * ups) - u, 0.1 * 0.01 * (1 - u))


# Read disturb


def test_reads_bring_devices_nearer_to_the_end_however_they_are_grouped() -> None:
    disturb = ReadDisturb(rate=1e-3).build(_site())
    u = _normal(1, 4, 6).clamp(-1, 1)
    activity = torch.rand(1, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 500
    at_once = disturb.apply(u, 3 * activity, -1.0, 1.0)
    by_parts = u
    for _ in range(3):
        by_parts = disturb.apply(by_parts, activity, -1.0, 1.0)
    torch.testing.assert_close(at_once, by_parts)
    assert (at_once >= u).all() and (at_once <= 1).all()
    small = ReadDisturb(rate=1e-9, towards="low").build(_site()).apply(u, activity, -1.0, 1.0)
    torch.testing.assert_close(small - u, -1e-9 * activity[:, None] * (u + 1), rtol=1e-5, atol=1e-15)


def test_rows_that_are_not_driven_are_not_disturbed() -> None:
    u = _normal(1, 4, 2)
    got = ReadDisturb(rate=0.1).build(_site()).apply(u, torch.tensor([[0.0, 3.0]], dtype=torch.float64), -9.0, 9.0)
    assert torch.equal(got[..., 0], u[..., 0])
    assert (got[..., 1] > u[..., 1]).all()
