"""How often verdicts are wrong where chance alone is at work."""

import math

import numpy as np
import pytest

from analogsim.claims.decide import above, inside

N, REPEATS = 8, 2000
ERROR = 0.025
LARGEST = REPEATS * ERROR + 4 * math.sqrt(REPEATS * ERROR * (1 - ERROR))  # 4 sd of a binomial: one in 30,000
LEAST = REPEATS * ERROR - 4 * math.sqrt(REPEATS * ERROR * (1 - ERROR))


def _counts(samples: np.ndarray) -> tuple[int, int]:
    words = [above(row.tolist(), strict=True)[0] for row in samples]
    return words.count("holds"), words.count("fails")


def test_a_difference_of_nothing_is_seldom_decided() -> None:
    """Student's interval is exact for normal differences: 2.5 % on each side, no more and no fewer."""
    holds, fails = _counts(np.random.default_rng(1).normal(0.0, 0.3, (REPEATS, N)))
    assert LEAST < holds < LARGEST
    assert LEAST < fails < LARGEST


def test_nor_where_some_differences_are_infinite() -> None:
    """Of 8 signs all have to agree, which chance does once in 256 times on each side."""
    samples = np.random.default_rng(2).normal(0.0, 0.3, (REPEATS, N))
    samples[np.abs(samples) > 0.4] *= math.inf
    mixed = samples[np.isinf(samples).any(axis=1)]
    holds, fails = _counts(mixed)
    assert len(mixed) > REPEATS / 2
    assert holds <= LARGEST
    assert fails <= LARGEST


@pytest.mark.parametrize("mean", [-0.1, 0.1])
def test_a_value_at_the_edge_of_a_tolerance_is_seldom_within(mean: float) -> None:
    samples = np.random.default_rng(3).normal(mean, 0.05, (REPEATS, N))
    words = [inside(row.tolist(), 0.1)[0] for row in samples]
    assert words.count("holds") < LARGEST
    assert words.count("fails") < LARGEST


def test_a_clear_difference_is_decided() -> None:
    holds, fails = _counts(np.random.default_rng(4).normal(1.0, 0.3, (REPEATS, N)))
    assert holds > 0.999 * REPEATS
    assert fails == 0
