"""Prices in whole seconds, so that times add up exactly."""

from __future__ import annotations

from typing import Any

import pytest

from analogsim.clock import LayerShape, StepShape
from device_models import Costs, DeviceProfile


class Prices:
    """Costs, layers and profiles. Times are whole seconds, and the digital units do an operation in a second."""

    def costs(self, array: int = 1, adc: int = 1, broadcast: int = 0, write: int = 1) -> Costs:
        times = {"array": array, "adc": adc, "broadcast": broadcast, "write": write}
        return self.priced(**{name: {"time": float(time)} for name, time in times.items()})

    def priced(self, **parts: Any) -> Costs:
        """Costs of seconds and joules that no chip has, past their limits."""
        kinds = {name: field.annotation for name, field in Costs.model_fields.items() if name != "standby"}
        nothing = {"time": 0.0, "energy": 0.0, "shared_by": 1, "parallel": "row"}
        given = {"digital": {"rate": 1.0, "energy": 0.0}, **parts}
        made = {name: kind.model_construct(**{**nothing, **given.get(name, {})}) for name, kind in kinds.items()}
        return Costs.model_construct(**made, standby=0.0)

    def layer(self, costs: Costs | None = None, **more: Any) -> LayerShape:
        sizes: dict[str, Any] = {
            "rows": 3,
            "fan_in": 2,
            "columns": 1,
            "positions": 1,
            "before": 0,
            "after": 0,
            "back": 0,
        }
        return LayerShape(**{**sizes, "costs": costs or self.costs(), **more})

    def step(self, *layers: LayerShape, batch: int = 1, passes: int = 1, **more: Any) -> StepShape:
        return StepShape(layers, 256, batch, passes, **{"costs": layers[-1].costs, "write": "none", **more})

    def profile(self, costs: Costs | None = None, **more: Any) -> DeviceProfile:
        profile = DeviceProfile.from_data({"name": "priced", "conductance": {"max": "25 uS"}, **more})
        return profile.model_copy(update={"costs": costs})


@pytest.fixture(scope="session")
def prices() -> Prices:
    return Prices()
