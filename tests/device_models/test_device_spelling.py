"""Which word was meant by a misspelt one."""

from __future__ import annotations

import pytest

from device_models import DeviceProfile
from device_models.spelling import keys_at, meant


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("sgima", "sigma"),
        ("dnap", "dnp or danp"),
        ("sigma", None),  # never the word itself, of which a union may know at another place
        ("qqqq", None),
        (3, None),
    ],
)
def test_the_nearest_words_are_meant_and_none_where_none_is_near(word: object, found: str | None) -> None:
    assert meant(word, ["sigma", "dnp", "danp", "oracle"]) == found


def test_keys_are_those_of_the_kind_at_the_place() -> None:
    additive, flicker = (keys_at(("read_noise", 0, kind), DeviceProfile) for kind in ("additive", "flicker"))
    assert "sigma" in additive
    assert "sigma" not in flicker
    assert "q" in flicker - additive
    assert "read_noise" in keys_at((), DeviceProfile)
