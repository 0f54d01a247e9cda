"""Rank correlations: exact where there are few pairs, Student's t beyond, and no test where there is none."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from analogsim.statistics import rank_correlation
from analogsim.statistics.rank import EXACT_TO

PAIRS = ([3.0, 1.0, 2.0, 2.0, 5.0], [10.0, 2.0, 2.0, 7.0, 4.0])


def test_it_is_spearmans_sum_of_squares() -> None:
    """1 - 6 sum d^2 / (n^3 - n), with d = 1, 1, 1, 1, 2."""
    found = rank_correlation([1, 2, 3, 4, 5], [2, 1, 4, 5, 3])
    assert found.rho == pytest.approx(1 - 6 * 8 / 120)
    assert found.n == 5


def test_few_pairs_go_through_all_orders() -> None:
    x, y = PAIRS
    found = rank_correlation(x, y)
    every = [spearmanr(x, order).statistic for order in itertools.permutations(y)]
    assert found.rho == pytest.approx(spearmanr(x, y).statistic)
    assert found.p == pytest.approx(np.mean(np.abs(every) >= abs(spearmanr(x, y).statistic) - 1e-9))


@pytest.mark.parametrize("n", [3, 5, EXACT_TO])
def test_of_all_orders_two_are_perfect(n: int) -> None:
    """Student's t would give them p = 0."""
    found = rank_correlation(range(n), [2.0**value for value in range(n)])
    assert found.rho == pytest.approx(1)
    assert found.p == pytest.approx(2 / math.factorial(n))


def test_many_pairs_are_scipys() -> None:
    numbers = np.random.default_rng(0).integers(0, 9, (2, 40))
    found = rank_correlation(*numbers.tolist())
    assert (found.rho, found.p, found.n) == (*map(float, spearmanr(*numbers)), 40)


@pytest.mark.parametrize("n", [6, 12, 30])
def test_where_there_is_nothing_few_are_found(n: int) -> None:
    """Of 1000 samples; 4 standard deviations of a share of 5 % are 2.8 %."""
    generator = np.random.default_rng(n)
    pairs = [rank_correlation(*generator.random((2, n)).tolist()) for _ in range(1000)]
    found = np.mean([each.p <= 0.05 for each in pairs if each.p is not None])
    assert found < 0.05 + 0.028


@pytest.mark.parametrize(
    ("x", "y", "rho"),
    [([1.0], [2.0], None), ([1, 2], [5, 3], -1.0), ([2, 2, 2], [1, 2, 3], None), ([1, 2, 3], [0, 0, 0], None)],
)
def test_without_a_test(x: list[float], y: list[float], rho: float | None) -> None:
    found = rank_correlation(x, y)
    assert (found.rho, found.p, found.n) == (rho, None, len(x))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [([], [], "no values"), ([1, 2], [1], r"got 2 and 1"), ([1, math.inf], [1, 2], "only finite numbers")],
)
def test_what_is_no_pairs(x: list[float], y: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rank_correlation(x, y)
