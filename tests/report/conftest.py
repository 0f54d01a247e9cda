"""Results made by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from analogsim.results import ArmResult, ChipResult, Counts, Curve, Metrics, Result

Point = tuple[dict[str, Any], Sequence[float | None]]


class Maker:
    """Arms, results and curves from accuracies or losses of the chips of each point; None: not finite."""

    accurate = True

    def losses(self) -> "Maker":
        """From now on the numbers are losses, and there is no accuracy."""
        self.accurate = False
        return self

    def metrics(self, value: float | None, epoch: float = 2.0, **diagnostics: tuple[float | None, ...]) -> Metrics:
        accuracy, loss = (value, 0.5) if self.accurate else (None, value)
        return Metrics(
            epoch=epoch, test_accuracy=accuracy, test_loss=loss, train_loss=None, diagnostics=dict(diagnostics)
        )

    def arm(self, *points: Point, silent: int = 0, saturated: float = 0.0, **more: Any) -> ArmResult:
        chips = [
            ChipResult(
                coordinates={**point, "chip": number},
                lr=point.get("lr", 0.001),
                status="diverged" if value is None else "finished",
                final=self.metrics(value),
                best=self.metrics(value),
                counts=Counts(passes=4, device_writes=9, vectors=100, silent=silent, saturated=saturated),
            )
            for point, values in points
            for number, value in enumerate(values)
        ]
        settings = {"rule": "anp", "decorrelated": False, "oracle": (), "steps": 2, "passes_per_step": 2, **more}
        return ArmResult(chips=tuple(chips), **settings)

    def result(self, arms: Mapping[str, ArmResult]) -> Result:
        return Result(name="made up", seed=0, arms=dict(arms))

    def curves(self, result: Result, **diagnostics: tuple[float | None, ...]) -> list[Curve]:
        """Two evaluations of each arm."""
        return [
            Curve(
                arm=name,
                step=step,
                chips=tuple(self.metrics(0.3 + 0.1 * step, step, **diagnostics) for _ in arm.chips),
            )
            for name, arm in result.arms.items()
            for step in range(2)
        ]


@pytest.fixture
def made() -> Maker:
    return Maker()
