"""Profiles to measure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from device_models import DeviceProfile


@pytest.fixture(scope="session")
def profile_of() -> Callable[..., DeviceProfile]:
    """Parts of a profile -> profile, with devices of 2 to 25 uS unless they say otherwise."""

    def make(**parts: Any) -> DeviceProfile:
        return DeviceProfile.from_data(
            {"name": "test", "conductance": {"min": "2 uS", "max": "25 uS"}, "references": ["made up"], **parts}
        )

    return make
