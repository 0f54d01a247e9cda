"""Outer products by coinciding pulses, rounding to pulses, mixed precision.

Statistical tolerances: each test states n; a bound of Z standard errors is exceeded with probability 6e-7. Where many
devices are compared at once, the bound is Bonferroni's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from scipy import stats
from torch import Tensor

from device_models.dense_pulses import MixedPrecision, pulses_for
from device_models.effect import Site
from device_models.outer_product import OuterProduct, per_chip_uniform
from device_models.registry import UpdateDescription

Z = 5.0
SITE = Site(1, 0.0, 25e-6, torch.device("cpu"), torch.float64)


def _uniform(seed: int, chips: int = 1) -> Callable[[tuple[int, ...]], Tensor]:
    generators = [torch.Generator().manual_seed(100 * seed + chip) for chip in range(chips)]
    return per_chip_uniform(generators, torch.float64)


def _factors(chips: int, samples: int, out: int, rows: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    post = torch.randn(chips, samples, out, generator=generator, dtype=torch.float64)
    pre = 3 * torch.rand(chips, samples, rows, generator=generator, dtype=torch.float64) - 0.5
    return post * 0.3, pre


def _dense(post: Tensor, pre: Tensor, lr: float) -> Tensor:
    return lr * torch.bmm(post.transpose(1, 2), pre)


def _bonferroni(count: int) -> float:
    return float(stats.norm.isf(3e-7 / count))


# Probabilities


@pytest.mark.parametrize("management", [True, False])
def test_the_mean_of_unsaturated_pulses_is_the_dense_update(management: bool) -> None:
    post, pre = _factors(2, 7, 5, 6)
    outer = OuterProduct(update_management=management)
    lr, dw = 0.008, 0.002
    assert max(p.abs().max().item() for p in outer.probabilities(post, pre, lr, dw)) < 1
    torch.testing.assert_close(outer.expected(post, pre, lr, dw) * dw, _dense(post, pre, lr))


def test_update_management_balances_rows_and_columns() -> None:
    post, pre = _factors(2, 4, 5, 6)
    for scale in (1.0, 1e-4):
        d, x = OuterProduct().probabilities(post * scale, pre / scale, 0.01, 0.002)
        torch.testing.assert_close(d.abs().amax(2), x.abs().amax(2))
    d, x = OuterProduct(update_management=False).probabilities(post, pre, 0.01, 0.002)
    torch.testing.assert_close(d / post, torch.full_like(post, math.sqrt(0.01 / (31 * 0.002))))
    torch.testing.assert_close(x / pre, torch.full_like(pre, math.sqrt(0.01 / (31 * 0.002))))


def test_samples_of_zeros_give_no_pulses() -> None:
    post, pre = _factors(1, 3, 4, 5)
    post[:, 1], pre[:, 2] = 0, 0
    d, x = OuterProduct().probabilities(post, pre, 0.01, 0.002)
    assert torch.isfinite(d).all() and torch.isfinite(x).all()
    alone = OuterProduct().counts(post[:, 1:], pre[:, 1:], 0.01, 0.002, _uniform(1))
    assert not alone.ups.any() and not alone.downs.any()


def test_each_chip_may_have_its_own_rate_and_step() -> None:
    post, pre = _factors(2, 3, 4, 5)
    lr, dw = (torch.tensor(values, dtype=torch.float64).reshape(2, 1, 1) for values in ([0.01, 0.02], [0.002, 0.003]))
    both = OuterProduct().expected(post, pre, lr, dw)
    for chip in range(2):
        own = OuterProduct().expected(post[chip : chip + 1], pre[chip : chip + 1], lr[chip].item(), dw[chip].item())
        torch.testing.assert_close(both[chip], own[0])


# Counts


def _by_hand(outer: OuterProduct, post: Tensor, pre: Tensor, uniform: Callable[[tuple[int, ...]], Tensor]) -> Tensor:
    """Slot by slot, device by device: (ups, downs)."""
    probabilities = outer.probabilities(post, pre, 0.05, 0.002)
    chips, samples, out = post.shape
    total = torch.zeros(2, chips, out, pre.shape[2], dtype=torch.float64)
    for m in range(samples):
        trains = [uniform((chips, outer.length, p.shape[2])) < p[:, m, None].abs() for p in probabilities]
        for chip in range(chips):
            for slot in range(outer.length):
                for i in trains[0][chip, slot].nonzero().flatten():
                    for j in trains[1][chip, slot].nonzero().flatten():
                        down = probabilities[0][chip, m, i] * probabilities[1][chip, m, j] < 0
                        total[int(down), chip, i, j] += 1
    return total


@pytest.mark.parametrize("length", [1, 31, 600])
def test_counts_are_the_coincidences_of_the_trains(length: int) -> None:
    outer = OuterProduct(length=length)
    post, pre = _factors(2, 3, 4, 5)
    ups, downs = _by_hand(outer, post, pre, _uniform(3, 2))
    got = outer.counts(post, pre, 0.05, 0.002, _uniform(3, 2))
    assert torch.equal(got.ups, ups)
    assert torch.equal(got.downs, downs)


def test_a_chip_draws_the_same_alone_and_in_a_population() -> None:
    post, pre = _factors(3, 40, 4, 5)
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2, 3)]
    all_chips = OuterProduct().counts(post, pre, 0.01, 0.002, per_chip_uniform(generators, torch.float64))
    alone = per_chip_uniform([torch.Generator().manual_seed(2)], torch.float64)
    one = OuterProduct().counts(post[1:2], pre[1:2], 0.01, 0.002, alone)
    assert torch.equal(all_chips.ups[1], one.ups[0])
    assert torch.equal(all_chips.downs[1], one.downs[0])


@pytest.mark.parametrize("management", [True, False])
def test_counts_have_the_dense_mean_and_the_variance_of_coincidences(management: bool) -> None:
    n = 4000  # chips: independent repetitions
    outer = OuterProduct(length=10, update_management=management)
    post, pre = _factors(1, 3, 4, 5)
    lr, dw = 0.002, 0.002
    d, x = outer.probabilities(post, pre, lr, dw)
    assert max(d.abs().max().item(), x.abs().max().item()) < 1
    got = outer.counts(post.expand(n, -1, -1), pre.expand(n, -1, -1), lr, dw, _one_stream(5))
    net = got.ups - got.downs
    p = d.abs()[0, :, :, None] * x.abs()[0, :, None]  # of a coincidence in one slot, (M, out, rows)
    variance = 10 * (p * (1 - p)).sum(0)
    error = (net.mean(0) - _dense(post, pre, lr)[0] / dw).abs() / (variance / n).sqrt()
    assert error.max() < _bonferroni(20)
    # The fourth moment of a sum of Bernoulli numbers stays below 3 variance^2 + variance.
    spread = (net.var(0) - variance).abs() / ((2 * variance**2 + variance) / n).sqrt()
    assert spread.max() < _bonferroni(20)


def _one_stream(seed: int) -> Callable[[tuple[int, ...]], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda shape: torch.rand(shape, generator=generator, dtype=torch.float64)


def test_devices_of_a_row_or_column_share_its_trains() -> None:
    n, length = 4000, 10
    post = torch.tensor([[[0.5, 0.4]]], dtype=torch.float64)
    pre = torch.tensor([[[0.6, -0.7]]], dtype=torch.float64)
    outer = OuterProduct(length=length, update_management=False)
    got = outer.counts(post.expand(n, -1, -1), pre.expand(n, -1, -1), 0.02, 0.002, _one_stream(2))
    net = (got.ups - got.downs).flatten(1)
    (d0, d1), (x0, x1) = (p.flatten().tolist() for p in outer.probabilities(post, pre, 0.02, 0.002))
    # Of one slot: E[D0 X0 D1 X0] - E[D0 X0] E[D1 X0] = d0 d1 |x0| (1 - |x0|), and so for a column; none on a diagonal.
    expected = {
        (0, 2): length * d0 * d1 * abs(x0) * (1 - abs(x0)),
        (0, 1): length * x0 * x1 * abs(d0) * (1 - abs(d0)),
        (0, 3): 0.0,
        (1, 2): 0.0,
    }
    covariance = torch.cov(net.T)
    for (a, b), value in expected.items():
        product = (net[:, a] - net[:, a].mean()) * (net[:, b] - net[:, b].mean())
        assert abs(covariance[a, b].item() - value) < Z * product.std().item() / math.sqrt(n)
    assert abs(expected[0, 2]) > 10 * Z * 0.3 / math.sqrt(n), "large enough to be seen"


def test_saturation_is_reported_and_makes_updates_too_small() -> None:
    post, pre = _factors(2, 5, 6, 7)
    outer, lr, dw = OuterProduct(length=4), 0.08, 0.002
    probabilities = outer.probabilities(post, pre, lr, dw)
    beyond = sum((p.abs() > 1).sum((1, 2)) for p in probabilities) / (5 * 13)
    got = outer.counts(post, pre, lr, dw, _uniform(1, 2))
    torch.testing.assert_close(got.saturated, torch.as_tensor(beyond).to(torch.float64))
    assert (got.saturated > 0.2).all()
    # Sample by sample, a saturated outer product is never larger than the dense one, and smaller where it is saturated.
    for m in range(5):
        d, x = post[:, m : m + 1], pre[:, m : m + 1]
        mean, dense = outer.expected(d, x, lr, dw) * dw, _dense(d, x, lr)
        assert (mean.abs() <= dense.abs() * (1 + 1e-12)).all()
        pd, px = (p.abs() > 1 for p in outer.probabilities(d, x, lr, dw))
        cut = pd.transpose(1, 2) | px
        assert (mean.abs()[cut] < dense.abs()[cut]).all()
        torch.testing.assert_close(mean[~cut], dense[~cut])
    n = 4000
    many = outer.counts(post[:1].expand(n, -1, -1), pre[:1].expand(n, -1, -1), lr, dw, _one_stream(6))
    net = many.ups - many.downs
    error = (net.mean(0) - outer.expected(post, pre, lr, dw)[0]).abs() / (net.std(0) / math.sqrt(n)).clamp_min(1e-12)
    assert error.max() < _bonferroni(42)
    assert OuterProduct().counts(post, pre, 1e-3, dw, _uniform(1, 2)).saturated.tolist() == [0, 0]


def test_deterministic_trains_give_the_product_rounded_down() -> None:
    outer = OuterProduct(length=20, trains="deterministic", update_management=False)
    post = torch.tensor([[[1.0, 0.5, -0.25, 0.1, 0.0]]], dtype=torch.float64)
    pre = torch.tensor([[[1.0, -0.5, 0.3, 0.05, 0.0]]], dtype=torch.float64)
    lr, dw = 20 * 0.002, 0.002  # so that factors are probabilities
    got = outer.counts(post, pre, lr, dw)
    net = (got.ups - got.downs)[0]
    product = 20 * post[0].T @ pre[0]
    torch.testing.assert_close(net, product.sign() * (product.abs() + 1e-9).floor())
    assert not (got.ups * got.downs).any()
    assert torch.equal(outer.counts(post, pre, lr, dw).ups, got.ups)


def test_stochastic_trains_need_numbers() -> None:
    post, pre = _factors(1, 1, 2, 2)
    with pytest.raises(ValueError, match="need random numbers"):
        OuterProduct().counts(post, pre, 0.01, 0.002)
    with pytest.raises(ValidationError):
        OuterProduct(length=0)


# What devices make of the counts


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "constant_step", "dw_min": 0.002},
        {"kind": "soft_bounds", "dw_min": 0.002},
        {"kind": "power_step", "dw_min": 0.004, "gamma_up": 1.5, "gamma_down": 1.5},
    ],
    ids=lambda data: data["kind"],
)
def test_an_outer_product_moves_devices_by_the_closed_form_at_the_drawn_counts(data: dict[str, Any]) -> None:
    update = TypeAdapter(UpdateDescription).validate_python({**data, "cycle_to_cycle": 0.5})
    n, out, rows = 2000, 3, 4
    site = Site(n, 0.0, 25e-6, torch.device("cpu"), torch.float64)
    response = update.build(site, torch.zeros(n, update.fabricated, out, rows, dtype=torch.float64))
    post, pre = (f.expand(n, -1, -1) for f in _factors(1, 6, out, rows))
    counts = OuterProduct().counts(post, pre, 0.01, 0.002, _one_stream(4))
    u = torch.full((n, out, rows), 0.3, dtype=torch.float64)
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(n, 2, out, rows, generator=generator, dtype=torch.float64)
    got = response.advance(u, counts.ups, counts.downs, noise) - u
    exact = response.train(u, counts.ups, counts.downs) - u
    error = got - exact
    assert (error.mean(0).abs() / (error.std(0) / math.sqrt(n))).max() < _bonferroni(12)
    dense = _dense(post[:1], pre[:1], 0.01)[0]
    if data["kind"] == "constant_step":
        # Both the trains and the steps are noisy; the mean is the dense update.
        assert ((got.mean(0) - dense).abs() / (got.std(0) / math.sqrt(n))).max() < _bonferroni(12)
    else:
        assert ((got.mean(0) - dense).abs() / (got.std(0) / math.sqrt(n))).max() > 10, "a curved device is not linear"


# Dense changes


def test_changes_are_rounded_to_pulses_without_bias() -> None:
    n = 20_000
    change = torch.tensor([0.0, 0.0004, -0.0031, 0.005, -0.002], dtype=torch.float64).expand(n, 5)
    uniform = torch.rand(n, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    pulses = pulses_for(change, 0.002, uniform)
    net = pulses.ups - pulses.downs
    assert not (pulses.ups * pulses.downs).any()
    assert torch.equal(net, net.round())
    assert ((net - change / 0.002).abs() < 1).all()
    share = change[0] / 0.002 % 1
    error = (net.mean(0) - change[0] / 0.002).abs()
    assert (error <= _bonferroni(5) * (share * (1 - share) / n).sqrt() + 1e-12).all()


def test_without_numbers_changes_are_rounded_to_the_nearest() -> None:
    pulses = pulses_for(torch.tensor([0.9, 1.1, -2.9, 0.4, 7.0]), 2.0)
    assert (pulses.ups - pulses.downs).tolist() == [0, 1, -1, 0, 4]


def test_mixed_precision_loses_nothing() -> None:
    eps = 2.0**-9  # sums of multiples of 2^-30 are exact
    accumulator = MixedPrecision(granularity=eps).build(SITE)
    generator = torch.Generator().manual_seed(1)
    chi, asked, given = (torch.zeros(1, 6, 7, dtype=torch.float64) for _ in range(3))
    for _ in range(500):
        change = torch.randint(-(2**23), 2**23, (1, 6, 7), generator=generator).to(torch.float64) * 2.0**-31
        asked += change
        pulses, chi = accumulator.add(chi, change)
        given += (pulses.ups - pulses.downs) * eps
        assert (chi.abs() < eps).all()
        assert torch.equal(chi + given, asked)
    assert given.abs().min() > 0 or given.abs().max() > 0


def test_mixed_precision_truncates_and_knows_each_chip() -> None:
    mixed = TypeAdapter(MixedPrecision).validate_python({"granularity": {"each": [0.5, 1.0]}})
    accumulator = mixed.build(Site(2, 0.0, 1.0, torch.device("cpu"), torch.float64))
    change = torch.tensor([1.9, -1.9, 0.4], dtype=torch.float64).expand(2, 1, 3)
    pulses, chi = accumulator.add(torch.zeros_like(change), change)
    assert (pulses.ups - pulses.downs).tolist() == [[[3, -3, 0]], [[1, -1, 0]]]
    torch.testing.assert_close(chi[:, 0], torch.tensor([[0.4, -0.4, 0.4], [0.9, -0.9, 0.4]], dtype=torch.float64))
    with pytest.raises(ValidationError, match="granularity must be above 0"):
        MixedPrecision(granularity=0.0)
