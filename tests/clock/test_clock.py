"""The clock."""

from __future__ import annotations

import math

import pytest

from analogsim.clock import Clock


def test_time_adds_up() -> None:
    clock = Clock()
    assert clock.now == 0.0
    for seconds in (0.5, 0.0, 1e-9, 86_400.0):
        before = clock.now
        clock.advance(seconds)
        assert clock.now == before + seconds
    assert Clock(7.0).now == 7.0


def test_a_time_too_short_to_matter_passes_without_effect() -> None:
    clock = Clock(1e9)
    clock.advance(1e-12)
    assert clock.now == 1e9


@pytest.mark.parametrize("seconds", [-1.0, math.inf, math.nan])
def test_time_that_cannot_pass_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="finite, non-negative"):
        Clock().advance(seconds)
