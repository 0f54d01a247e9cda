"""Faults: how many, where, and that equal seeds compare shares in pairs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from scipy import stats
from torch import Tensor

from device_models import ProfileError
from device_models.effect import Site
from device_models.faults import FaultMap, Faults

G_MIN, G_MAX = 2e-6, 25e-6
CHIPS, OUT, ROWS = 2, 150, 400
N = 2 * OUT * ROWS  # devices of a chip
Z = 5.2  # standard errors; any of 20 comparisons exceeds it with probability 4e-6


def _numbers(seed: int = 1, chips: int = CHIPS, out: int = OUT, rows: int = ROWS) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((chips, 2, out, rows), (chips, rows), (chips, 2, out))
    devices, lines, columns = (torch.randn(shape, generator=generator) for shape in shapes)
    return devices, lines, columns


def _map(numbers: tuple[Tensor, Tensor, Tensor] | None = None, **shares: Any) -> FaultMap:
    numbers = _numbers() if numbers is None else numbers
    site = Site(len(numbers[0]), G_MIN, G_MAX, torch.device("cpu"), torch.float64)
    return Faults.model_validate(shares).build(site).fabricate(*numbers)


def _conductances(shape: torch.Size) -> Tensor:
    generator = torch.Generator().manual_seed(9)
    return 5e-6 + 1e-6 * torch.rand(shape, generator=generator, dtype=torch.float64)


def test_counts_are_exact_on_a_grid_of_quantiles() -> None:
    """1000 numbers at the mid-quantiles of the normal distribution: a share of k per mille hits k of them."""
    grid = torch.special.ndtri((torch.arange(1000, dtype=torch.float64) + 0.5) / 1000)
    devices, rows = grid.expand(1, 2, 3, 1000), grid.expand(1, 1000)
    columns = torch.zeros(1, 2, 3, dtype=torch.float64)
    faults = _map((devices, rows, columns), stuck_low="3.7 %", stuck_high="12 %", dead_rows="0.4 %")
    assert (faults.stuck_low.sum(-1) == 37).all()
    assert (faults.stuck_high.sum(-1) == 120).all()
    assert (faults.open.sum(-1) == 4).all()


def test_thresholds_do_not_depend_on_the_precision_of_conductances() -> None:
    single, double = (
        Faults.model_validate({"stuck_low": "10 %", "dead_rows": "0.0000001 %"}).build(
            Site(1, G_MIN, G_MAX, torch.device("cpu"), dtype)
        )
        for dtype in (torch.float32, torch.float64)
    )
    assert torch.equal(single.stuck_low, double.stuck_low)
    assert torch.equal(single.dead_rows, double.dead_rows)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.1), (0.001, 0.0), (0.05, 0.1), (0.3, 0.7)])
def test_counts_are_binomial(low: float, high: float) -> None:
    faults = _map(stuck_low=f"{100 * low} %", stuck_high=f"{100 * high} %")
    for mask, share in ((faults.stuck_low, low), (faults.stuck_high, high)):
        counts = mask.sum(dim=(1, 2, 3))
        assert ((counts - N * share).abs() <= Z * (N * share * (1 - share)) ** 0.5).all()
    assert not (faults.stuck_low & faults.stuck_high).any()
    assert not faults.open.any()


def test_devices_fail_independently() -> None:
    """Pairs whose devices are both stuck, and faults per row: their spread is that of a binomial."""
    mask = _map(stuck_low="20 %").stuck_low
    both, pairs = (mask[:, 0] & mask[:, 1]).sum().item(), CHIPS * OUT * ROWS
    assert abs(both - 0.04 * pairs) <= Z * (pairs * 0.04 * 0.96) ** 0.5
    per_row = mask.double().sum(dim=(1, 2)).flatten()  # of 2 OUT devices, on CHIPS ROWS rows
    spread = ((per_row - 2 * OUT * 0.2).square() / (2 * OUT * 0.2 * 0.8)).sum().item()
    assert stats.chi2.cdf(spread, CHIPS * ROWS) == pytest.approx(0.5, abs=0.5 - 1e-6)


def test_lines_are_open_in_their_own_numbers() -> None:
    faults = _map(_numbers(2, 8, 400, 500), dead_rows="2 %", dead_columns="1 %")
    dead_rows, dead_columns = faults.open.all(2), faults.open.all(3)  # (C, 2, rows), (C, 2, out)
    assert torch.equal(dead_rows[:, 0], dead_rows[:, 1]), "both polarities share a word line"
    assert not torch.equal(dead_columns[:, 0], dead_columns[:, 1]), "each polarity has its own bit lines"
    for mask, n, share in ((dead_rows[:, 0], 4000, 0.02), (dead_columns, 6400, 0.01)):
        assert abs(mask.sum().item() - n * share) <= Z * (n * share * (1 - share)) ** 0.5
    assert torch.equal(faults.open, dead_rows[:, :, None, :] | dead_columns[..., None])


def test_chips_have_their_own_faults() -> None:
    mask = _map(stuck_low="10 %").stuck_low
    both = (mask[0] & mask[1]).sum().item()
    assert abs(both - 0.01 * N) <= Z * (N * 0.01 * 0.99) ** 0.5


def test_equal_numbers_at_larger_shares_add_faults() -> None:
    small = _map(stuck_low="1 %", stuck_high="2 %", dead_rows="1 %", dead_columns="2 %")
    large = _map(stuck_low="4 %", stuck_high="3 %", dead_rows="5 %", dead_columns="2.5 %")
    for name in ("stuck_low", "stuck_high", "open"):
        fewer, more = getattr(small, name), getattr(large, name)
        assert not (fewer & ~more).any()
        assert more.sum() > fewer.sum()
    alone = _map(stuck_low="1 %")
    assert torch.equal(alone.stuck_low, small.stuck_low), "other shares must not matter"


def test_each_chip_may_have_its_own_share() -> None:
    faults = _map(stuck_low={"each": ["0 %", "100 %"]}, dead_rows={"each": ["100 %", "0 %"]})
    assert faults.stuck_low.float().mean(dim=(1, 2, 3)).tolist() == [0, 1]
    assert faults.open.float().mean(dim=(1, 2, 3)).tolist() == [1, 0]


def test_what_faulty_devices_conduct() -> None:
    shares = {"stuck_low": "20 %", "stuck_high": "30 %", "dead_rows": "10 %", "dead_columns": "10 %"}
    faults = _map(**shares)
    g = _conductances(faults.open.shape)
    before = g.clone()
    after = faults.apply(g)
    assert (after[faults.open] == 0).all(), "an open line is stronger than a stuck device"
    assert (after[faults.stuck_low & ~faults.open] == G_MIN).all()
    assert (after[faults.stuck_high & ~faults.open] == G_MAX).all()
    well = ~(faults.open | faults.stuck_low | faults.stuck_high)
    assert torch.equal(after[well], g[well])
    assert torch.equal(faults.apply(after), after)
    assert torch.equal(g, before)
    chosen = _map(**shares, low="1 uS", high="90 uS").apply(g)
    assert set(chosen[~well & ~faults.open].tolist()) == {1e-6, 90e-6}
    for dtype in (torch.float32, torch.float64):
        assert faults.apply(g.to(dtype)).dtype == dtype


def test_polarities_are_the_halves_of_the_map() -> None:
    faults = _map(stuck_low="20 %", stuck_high="30 %", dead_rows="10 %", dead_columns="10 %")
    g = _conductances(faults.open.shape)
    halves = [half.apply(side) for half, side in zip(faults.polarities(), g.unbind(1), strict=True)]
    assert torch.equal(torch.stack(halves, 1), faults.apply(g))


def test_open_lines_are_silent() -> None:
    faults = _map(dead_rows="10 %", stuck_low="20 %").polarities()[0]
    variance = faults.silence(torch.full((CHIPS, 1, 1), 2.0))
    assert variance.shape == (CHIPS, OUT, ROWS)
    assert torch.equal(variance, torch.where(faults.open, 0.0, 2.0))


def test_no_faults_change_no_bit() -> None:
    faults = _map()
    g = _conductances(faults.open.shape)
    assert torch.equal(faults.apply(g), g)


def test_shares_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"must not exceed 100 % together \(got 110 %\)"):
        Faults.model_validate({"stuck_low": "60 %", "stuck_high": "50 %"})
    with pytest.raises(ValidationError, match=r"must not exceed 100 % together \(got 110 %\)"):
        Faults.model_validate({"stuck_low": {"each": ["10 %", "60 %"]}, "stuck_high": "50 %"})
    assert _map(stuck_low="60 %", stuck_high="40 %").stuck_low.any()
    with pytest.raises(ProfileError, match=r"faults.dead_rows: `each` gives 3 values for 2 chips"):
        _map(dead_rows={"each": ["1 %", "2 %", "3 %"]})
    with pytest.raises(ProfileError, match="gives 3 values"):
        _map(stuck_low={"each": ["1 %", "2 %", "3 %"]}, stuck_high={"each": ["1 %", "2 %"]})


def test_numbers_of_other_shapes_are_refused() -> None:
    devices, rows, columns = _numbers()
    with pytest.raises(ValueError, match=r"must have shapes \(2, 400\) and \(2, 2, 150\)"):
        _map((devices, rows[:, :-1], columns), dead_rows="1 %")


def test_a_description_is_written_and_read() -> None:
    faults = Faults.model_validate({"stuck_low": {"each": ["1 %", "2 %"]}, "stuck_high": "0.5 %", "high": "30 uS"})
    assert Faults.model_validate(faults.model_dump(mode="json")) == faults


# Faults that come later


def test_what_was_stuck_stays_where_it_was_and_lines_silence_it() -> None:
    first = _map(stuck_low="20 %", stuck_high="10 %", dead_rows="5 %")
    later = _map(_numbers(seed=2), stuck_low="30 %", stuck_high="30 %", dead_columns="10 %", low="3 uS", high="9 uS")
    g = _conductances(first.open.shape)
    both = first.joined(later, g.dtype).apply(g)
    dead = first.stuck_low | first.stuck_high
    open_ = first.open | later.open
    assert (both[open_] == 0).all()
    assert torch.equal(both[dead & ~open_], first.apply(g)[dead & ~open_])
    assert torch.equal(both[~dead & ~open_], later.apply(g)[~dead & ~open_])
    for mask in (first.stuck_low & later.stuck_high, later.stuck_low & ~dead & ~open_, dead & later.open):
        assert mask.any(), "the case occurs"
    assert first.joined(later, torch.float32).apply(g.float()).dtype == torch.float32


def test_faults_may_come_many_times_with_levels_of_their_own() -> None:
    """The level of each device is that of the first call that struck it; nothing but masks grows where they agree."""
    maps = [_map(_numbers(seed=k), stuck_low="20 %", low=f"{k} uS") for k in range(1, 5)]
    joined, expected = maps[0], torch.where(maps[0].stuck_low, 1e-6, 0.0)
    for k, each in enumerate(maps[1:], start=2):
        joined = joined.joined(each, torch.float64)
        expected = torch.where((expected == 0) & each.stuck_low, k * 1e-6, expected)
    got = joined.apply(torch.zeros_like(expected, dtype=torch.float64))
    torch.testing.assert_close(got, expected.double(), rtol=1e-6, atol=0)
    same = _map(stuck_low="20 %").joined(_map(_numbers(seed=2), stuck_low="20 %"), torch.float64)
    assert isinstance(same.low, float)


def test_a_map_is_made_anew_from_its_plain_data() -> None:
    later = _map(_numbers(seed=2), stuck_high="20 %", high="9 uS", dead_rows="5 %")
    joined = _map(stuck_high="20 %").joined(later, torch.float64)
    g = _conductances(joined.open.shape)
    assert torch.equal(FaultMap(**joined.state_dict()).apply(g), joined.apply(g))
