"""The clock."""

from __future__ import annotations

import math

import pytest

from analogsim.clock import Clock, ticks


def test_time_adds_up() -> None:
    clock = Clock()
    assert clock.now == 0.0
    for seconds, picoseconds in ((0.5, 5 * 10**11), (0.0, 0), (1e-9, 1000), (86_400.0, 864 * 10**14)):
        before = clock.ticks
        clock.advance(seconds)
        assert clock.ticks == before + picoseconds
    assert clock.now == 86_400.500000001
    assert Clock(7 * 10**12).now == 7.0


def test_seconds_are_rounded_to_picoseconds() -> None:
    assert [ticks(seconds) for seconds in (0.57, 4.35, 2.5e-13, 0.0)] == [57 * 10**10, 435 * 10**10, 0, 0]


def test_nothing_is_lost_on_an_old_chip() -> None:
    year = 31_557_600 * 10**12
    clock = Clock(year)
    for _ in range(1000):
        clock.advance(1e-9)
    assert clock.ticks == year + 10**6
    clock.advance(1e-13)  # less than half a picosecond
    assert clock.ticks == year + 10**6


@pytest.mark.parametrize("seconds", [-1.0, math.inf, math.nan])
def test_time_that_cannot_pass_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="finite, non-negative"):
        Clock().advance(seconds)
