"""Resamples of a sample, and their studentised means."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from analogsim.statistics.sample import mean_and_error

RESAMPLES = 4999
"""So that 2.5 % of resamples + 1 is a whole number, and the bounds need no interpolation."""
_BLOCK = 1 << 18  # numbers drawn at a time: 2 MB
_POOR, _SHARE = 0.2, 0.01
_NOTHING = 1e-10  # spread of a resample that holds one number only: t is enormous there, or 0, but finite


def studentised_means(values: Sequence[float], resamples: int, seed: int) -> NDArray[np.float64] | None:
    """(mean* - mean) / error* of each resample, ascending, shape (resamples,): the distribution of t.

    Efron & Tibshirani 1993, ch. 12, with the standard error of a mean, s* / sqrt(n). The draws depend on the number of
    values alone, and the values are sorted first: the same numbers give the same result in any order, and their
    negatives its negative (unless their skewness is exactly 0).

    None, and Student's distribution is to be taken, where more than 1 % of resamples have less than a fifth of the
    sample's spread: then one or a few values far from all others make up the spread, as do three dead chips of thirty.
    Resamples without them have a t of tens or hundreds, and the interval would reach far beyond what an accuracy can
    be.

    Args:
        values: finite numbers that are not all alike.
        resamples: how many.
        seed: of their draws.
    """
    n = len(values)
    mean, error = mean_and_error(values)
    sample = (np.sort(np.asarray(values, dtype=np.float64)) - mean) / (error * math.sqrt(n))
    turned = math.fsum(sample**3) < 0
    if turned:
        sample = -sample[::-1]
    powers = np.stack([sample, sample**2], axis=1) / n
    first, second = np.concatenate([counts @ powers for counts in _draws(n, resamples, seed)]).T
    spread = np.sqrt(np.maximum(second - first**2, 0.0) * n / (n - 1))
    if np.count_nonzero(spread < _POOR) > _SHARE * resamples:
        return None
    t = np.sort(first * math.sqrt(n) / np.maximum(spread, _NOTHING))
    return -t[::-1] if turned else t


def _draws(n: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each of n values is drawn, shape (resamples, n), in blocks of rows."""
    rows = max(1, _BLOCK // n)
    for number, start in enumerate(range(0, resamples, rows)):
        yield _block(n, min(rows, resamples - start), seed, number)


@lru_cache(maxsize=8)
def _block(n: int, rows: int, seed: int, number: int) -> NDArray[np.float64]:
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(n, number)))
    drawn = generator.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
    counts.flags.writeable = False
    return counts
