"""Intervals over sampled points hold the mean over their ranges; intervals over chips do not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from analogsim.statistics import student
from analogsim.study.sweep_section import Sample
from analogsim.sweep.axes import sampled

RANGES = {
    "noise": {"from": "0.1 %", "to": "10 %", "scale": "log"},
    "bits": {"from": 4, "to": 8, "integer": True},
    "rate": {"from": 0.0, "to": 1.0},
}
REPEATS = 1000
MEAN = 0.7


def sum_of_settings(point: dict[str, Any]) -> float:
    """An accuracy whose mean over the ranges is MEAN: each setting adds something."""
    noise = math.log10(float(point["noise"].split()[0]))
    return MEAN - 0.1 * noise + 0.02 * (point["bits"] - 6) + 0.1 * (point["rate"] - 0.5)


def product_of_settings(point: dict[str, Any]) -> float:
    """Another: what one setting does depends on the other, and neither does anything on average."""
    return MEAN + 0.4 * math.log10(float(point["noise"].split()[0])) * (point["rate"] - 0.5)


def held(method: str, response: Any, n: int, chips: int = 4) -> tuple[float, float]:
    """Shares of 95 % intervals, over points and over chips, that hold the mean."""
    generator, points_hold, chips_hold = np.random.default_rng(n), 0, 0
    for seed in range(REPEATS):
        points = sampled(Sample.model_validate({"method": method, "points": n, "seed": seed, "ranges": RANGES}))
        scores = np.array([[response(point)] for point in points]) + 0.02 * generator.standard_normal((n, chips))
        for_points, for_chips = student(scores.mean(axis=1).tolist()), student(scores.ravel().tolist())
        assert for_points.low is not None and for_points.high is not None
        assert for_chips.low is not None and for_chips.high is not None
        points_hold += for_points.low <= MEAN <= for_points.high
        chips_hold += for_chips.low <= MEAN <= for_chips.high
    return points_hold / REPEATS, chips_hold / REPEATS


@pytest.mark.parametrize("n", [12, 30])
def test_of_independent_points_95_of_100_hold(n: int) -> None:
    """4 standard deviations of the share are 2.8 %. Four chips of a point, taken for four points, make it 68 %."""
    over_points, over_chips = held("random", sum_of_settings, n)
    assert abs(over_points - 0.95) < 0.028
    assert over_chips < 0.75


@pytest.mark.parametrize("n", [12, 30])
def test_of_a_latin_hypercube_no_fewer(n: int) -> None:
    """What settings do one by one averages out (Stein, Technometrics 1987): 100 %; what they do jointly does not."""
    assert held("latin_hypercube", sum_of_settings, n)[0] > 0.99
    assert held("latin_hypercube", product_of_settings, n)[0] > 0.95 - 0.028
