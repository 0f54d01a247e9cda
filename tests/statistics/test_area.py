"""The area under a curve of accuracy against noise."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analogsim.statistics import area, areas, mean_interval

LEVELS = [0.01, 0.1, 10.0]


def test_areas_by_hand() -> None:
    """One decade at a mean of 0.8, two at one of 0.5: 0.6."""
    assert areas(LEVELS, {(0, 0): [0.9, 0.7, 0.3]}) == {(0, 0): pytest.approx(0.6)}


def test_no_noise_is_left_out() -> None:
    assert areas([0.0, *LEVELS], {0: [1.0, 0.9, 0.7, 0.3]}) == areas(LEVELS, {0: [0.9, 0.7, 0.3]})


@pytest.mark.parametrize("n", [1, 5, 25])
def test_the_interval_is_over_chips(n: int) -> None:
    scores = dict(enumerate(np.random.default_rng(1).uniform(size=(n, 3)).tolist()))
    found = areas(LEVELS, scores)
    assert list(found) == list(scores)
    for chip, curve in scores.items():
        assert found[chip] == pytest.approx(np.interp(np.linspace(-2, 1, 30_001), [-2, -1, 1], curve).mean(), abs=1e-4)
    assert area(LEVELS, scores) == mean_interval(list(found.values()))
    assert area(LEVELS, scores, 0.9) == mean_interval(list(found.values()), 0.9)


@given(st.floats(0, 1), st.sampled_from([1e-6, 3.0]), st.lists(st.floats(1e-3, 1), min_size=2, max_size=6))
@settings(deadline=None, derandomize=True)
def test_a_constant_is_its_own_area_in_any_unit(score: float, factor: float, steps: list[float]) -> None:
    levels = (factor * np.exp(np.cumsum(steps))).tolist()
    assert areas(levels, {0: [score] * len(levels)})[0] == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize(
    ("levels", "scores", "message"),
    [
        ([0.0, 1.0], {0: [0.9, 0.8]}, r"two levels of noise above 0 at least \(got 1\)"),
        ([1.0, 0.5], {0: [0.9, 0.8]}, "ascend"),
        ([1.0, 2.0], {0: [0.9, math.nan]}, "chip 0: value 1 of 2 is nan"),
    ],
)
def test_bad_input_is_refused(levels: list[float], scores: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        areas(levels, scores)
