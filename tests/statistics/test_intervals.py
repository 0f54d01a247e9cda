"""Intervals of a mean."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analogsim.results import interval
from analogsim.statistics import Interval, mean_interval, student, studentised_bootstrap

BOTH = pytest.mark.parametrize("method", [student, studentised_bootstrap])
SKEWED = np.random.default_rng(5).lognormal(size=30).tolist()
numbers = st.lists(st.integers(0, 1000).map(lambda images: images / 1000), min_size=2, max_size=40)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_students_is_that_of_the_results(confidence: float) -> None:
    found = student(SKEWED, confidence)
    mean, half = interval(SKEWED, confidence)
    assert half is not None
    expected = stats.ttest_1samp(SKEWED, 0.0).confidence_interval(confidence)
    assert (found.low, found.high) == pytest.approx((mean - half, mean + half), rel=1e-12)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert found.n == 30


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_the_bootstraps_is_what_resamples_say(confidence: float) -> None:
    """Against t of 49,999 resamples that are drawn here one by one. A quantile at p of B resamples has a standard error
    of sqrt(p (1 - p) / B) in probability: bounds lie between those at 4 such errors to both sides."""
    sample, generator = np.array(SKEWED), np.random.default_rng(6)
    drawn = sample[generator.integers(30, size=(49_999, 30))]
    t = (drawn.mean(axis=1) - sample.mean()) / (drawn.std(axis=1, ddof=1) / math.sqrt(30))
    error = sample.std(ddof=1) / math.sqrt(30)
    tail = (1 - confidence) / 2
    give = 4 * math.sqrt(tail * (1 - tail) / 4999)
    found = studentised_bootstrap(SKEWED, confidence)
    for bound, p in ((found.low, 1 - tail), (found.high, tail)):
        far, near = sample.mean() - np.quantile(t, [min(1, p + give), max(0, p - give)]) * error
        assert far < bound < near


def test_it_follows_skewness() -> None:
    found = studentised_bootstrap(SKEWED)
    assert found.low is not None and found.high is not None
    assert found.high - found.mean > 1.3 * (found.mean - found.low)


@pytest.mark.parametrize("settings", [(), (0.9, 1999, 7)])
def test_the_mean_interval_is_students_below_20_and_then_the_wider(settings: tuple[Any, ...]) -> None:
    assert mean_interval(SKEWED[:19], *settings) == student(SKEWED[:19], *settings[:1])
    for sign in (1, -1):
        values = [sign * value for value in SKEWED[:20]]
        found, usual, skew = (
            method(values, *given)
            for method, given in ((mean_interval, settings), (student, settings[:1]), (studentised_bootstrap, settings))
        )
        assert found.low == min(usual.low, skew.low) < max(usual.low, skew.low)
        assert found.high == max(usual.high, skew.high) > min(usual.high, skew.high)
        assert (found.mean, found.n) == (usual.mean, 20)


def test_nothing_is_left_to_chance() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert studentised_bootstrap(SKEWED) == studentised_bootstrap(SKEWED)
    assert studentised_bootstrap(SKEWED) == studentised_bootstrap(SKEWED[::-1])
    assert studentised_bootstrap(SKEWED) != studentised_bootstrap(SKEWED, seed=1)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_resamples_in_several_blocks_are_as_good() -> None:
    """600 values: 12 blocks of resamples. Of so many normal numbers t is Student's; 2.5 % of 4,999 resamples are 2.5 +-
    0.22 %, so bounds differ by less than 4 x 0.22 % / density at that quantile."""
    values = np.random.default_rng(8).normal(size=600).tolist()
    found, expected = studentised_bootstrap(values), student(values)
    assert expected.high is not None
    error = (expected.high - expected.mean) / stats.t.ppf(0.975, 599)
    give = 4 * math.sqrt(0.025 * 0.975 / 4999) / stats.t.pdf(stats.t.ppf(0.975, 599), 599) * error
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=give)


@BOTH
@given(values=numbers, shift=st.integers(-3, 3), factor=st.sampled_from([-2.0, -1.0, 0.5, 4.0, 1e200]))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_intervals_move_with_their_values(
    method: Callable[..., Interval], values: list[float], shift: int, factor: float
) -> None:
    """And contain the mean. Bounds of negatives are negatives of the bounds, unless skewness is 0."""
    found, moved = method(values), method([factor * (value + shift) for value in values])
    centre = np.array(values) - np.mean(values)
    if method is studentised_bootstrap and abs(np.sum(centre**3)) < 1e-9:
        return
    assert found.low is not None and found.high is not None
    assert found.low <= found.mean <= found.high
    expected = sorted([factor * (found.low + shift), factor * (found.high + shift)])
    assert [moved.low, moved.high] == pytest.approx(expected, rel=1e-7, abs=abs(factor) * 1e-7)
    assert (found.low == found.high) == (len(set(values)) == 1)


@BOTH
def test_single_values_have_no_interval(method: Callable[..., Interval]) -> None:
    assert method([0.7]) == Interval(0.7, None, None, 1)


@BOTH
@pytest.mark.parametrize(
    "values", [[0.0] * 30, [0.003] * 3, [0.1] * 30, [0.3, 0.1 + 0.2] * 15, [-1e-300] * 2, [1e308] * 25]
)
def test_equal_values_have_one_of_no_width(method: Callable[..., Interval], values: list[float]) -> None:
    found = method(values)
    assert found.low == found.mean == found.high
    assert min(values) <= found.mean <= max(values)


def test_a_few_dead_chips_give_students_interval() -> None:
    """Resamples without them have hardly any spread, and t of hundreds: bounds would be far from any accuracy."""
    working = np.random.default_rng(9).normal(0.95, 0.005, 30).tolist()
    for dead in (1, 2, 3, 4):
        values = [0.1] * dead + working[dead:]
        assert studentised_bootstrap(values) == student(values)
    assert studentised_bootstrap([0.1] * 15 + working[15:]) != student([0.1] * 15 + working[15:])


@given(st.integers(0, 30), st.integers(20, 40), st.integers(0, 2**32))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_bounds_are_never_infinite_or_absurd(dead: int, n: int, seed: int) -> None:
    """Nor are they of chips of two kinds: less than 10 standard errors away."""
    values = np.random.default_rng(seed).normal(0.95, 0.01, n)
    values[: min(dead, n)] = 0.1
    found, usual = mean_interval(values.tolist()), student(values.tolist())
    assert found.low is not None and found.high is not None and usual.low is not None
    error = (usual.mean - usual.low) / stats.t.ppf(0.975, n - 1)
    assert found.mean - found.low < 10 * error + 1e-12
    assert found.high - found.mean < 10 * error + 1e-12


@BOTH
def test_more_confidence_needs_more_width(method: Callable[..., Interval]) -> None:
    widths = [found.high - found.low for found in (method(SKEWED, level) for level in (0.5, 0.8, 0.95, 0.99))]
    assert all(narrow < wide for narrow, wide in pairwise(widths))


@BOTH
@pytest.mark.parametrize(
    ("values", "confidence", "message"),
    [
        ([], 0.95, "no values: a mean needs one at least"),
        ([0.5, math.nan], 0.95, "value 1 of 2 is nan: only finite numbers have a mean"),
        ([math.inf], 0.95, "value 0 of 1 is inf"),
        ([0.5, 0.6], 95, r"between 0 and 1 \(got 95\)"),
        ([0.5], 0.0, r"between 0 and 1 \(got 0.0\)"),
    ],
)
def test_what_has_no_interval_is_refused(
    method: Callable[..., Interval], values: list[float], confidence: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        method(values, confidence)


def test_confidence_needs_resamples() -> None:
    with pytest.raises(ValueError, match=r"38 resamples are too few for a confidence of 0.95: take 39 at least"):
        studentised_bootstrap(SKEWED, resamples=38)
    studentised_bootstrap(SKEWED, resamples=39)
    studentised_bootstrap(SKEWED, 0.9, resamples=19)  # though (1 - 0.9) x 20 / 2 is a little less than 1
