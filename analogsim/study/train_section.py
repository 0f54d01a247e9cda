"""The section `train` of a scenario: how long and how to learn, and when to look."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from typing_extensions import Self

from analogsim.chip.samples import memory_bytes
from analogsim.diagnostics import METRICS
from analogsim.study.chip_section import distinct
from analogsim.study.optimizer import Optimizer
from analogsim.study.section import PositiveFloat, PositiveInt, Section, one_of
from device_models.units import Time

if TYPE_CHECKING:
    MetricName = str
else:
    MetricName = one_of(METRICS, "metric")


class Doubling(Section):
    """A grid of rates, each twice the one before."""

    first: PositiveFloat = Field(alias="from")
    """The lowest."""
    rates: Annotated[int, Field(ge=2, le=40, strict=True)]
    """How many there are."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


def _grid(value: Any) -> Any:
    """The rates of a doubling grid, listed; anything else as it is."""
    if not isinstance(value, dict):
        return value
    grid = Doubling.model_validate(value)
    return tuple(grid.first * 2.0**index for index in range(grid.rates))


class Tune(Section):
    """Search each arm's learning rate, for each point of the axes, before it is trained.

    Every rate of the grid trains chips of its own on the training data without the held-out samples. The `best`
    protocol takes the rate with the highest mean accuracy on these at the end of training (where there is none, with
    the lowest loss), the smaller of equals. `highest_stable` takes the highest rate at which no chip has
    diverged, and at no lower rate of the grid either; the lowest rate where there is none.
    """

    lr: Annotated[tuple[PositiveFloat, ...], BeforeValidator(_grid), Field(min_length=2), AfterValidator(distinct)]
    """The grid: a list, or `{from: 1.0e-4, rates: 8}`, each rate twice the one before."""
    protocol: Literal["best", "highest_stable"] = "best"
    """What is taken: the rate that is best on held-out samples, or the highest at which learning is stable."""
    validation: PositiveInt
    """Training samples that are held out to choose by, the last of the set; the final training has them again."""
    chips: PositiveInt = 2
    """Chips at each point and rate; they are not among those that are trained afterwards."""


class Train(Section):
    """How long and how to learn."""

    epochs: int = Field(ge=0, strict=True)
    """Passes through the training data. 0: chips are evaluated as they are at first, `metrics` included, and nothing is
    learned."""
    optimizer: Optimizer = Optimizer.model_validate({"adam": {"lr": 1e-3}})
    """Steps the controller's copy of the weights; an arm may have its own."""
    tune: Tune | None = None
    """Search the learning rate by a grid; it takes the place of the optimiser's `lr`."""
    evaluate_every: str = "1 epoch"
    """Time between evaluations: `1 epoch`, `5 epochs`, `100 steps`. The start and the end are evaluated anyhow."""
    checkpoint_every: str = "1 epoch"
    """Time between checkpoints, from which an interrupted run goes on; they change no result."""
    metrics: tuple[MetricName, ...] = ()
    """What to measure at each evaluation beside accuracy and loss, layer by layer, with an oracle's eyes."""
    metrics_batch: PositiveInt = 100
    """Training samples on which these are measured, the first of the set; 2 or more."""
    step_time: Time = 0.0
    """Time that passes from one step to the next, such as `1 ms`: drift goes on meanwhile. 0 s: the clock stands during
    training, and steps on a timeline take what the profile's `costs` say."""
    reach: Annotated[float, Field(gt=0, lt=1, strict=True)] | None = None
    """An accuracy whose price is told: what learning had cost at the first evaluation that reached it."""
    chunk: PositiveInt | None = None
    """Largest number of samples that a step runs at once, to save memory; a chunk's size changes no random
    number, and results by rounding only."""
    memory: str | None = None
    """Memory for the signals of the samples that a step runs at once, such as `2 GiB`: decides on `chunk`. What chips
    and learner hold comes on top."""

    @field_validator("metrics")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"names each metric once (got {', '.join(value)})")
        return value

    @model_validator(mode="after")
    def _something_to_tune(self) -> Self:
        if self.tune is not None and not self.epochs:
            raise ValueError(
                "tune: searches learning rates by learning, which takes epochs; give some, or leave it out"
            )
        return self

    @field_validator("memory")
    @classmethod
    def _size(cls, value: str | None) -> str | None:
        if value is not None:
            memory_bytes(value)
        return value

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if self.memory is not None and self.chunk is not None:
            raise ValueError("memory decides on chunk: give one of them")
        return self

    @field_validator("evaluate_every", "checkpoint_every", mode="before")
    @classmethod
    def _period(cls, value: Any) -> Any:
        if not isinstance(value, str) or not re.fullmatch(r"[1-9]\d* (?:epochs?|steps?)", value):
            raise ValueError(f"not a period (got {value!r}); write for example '1 epoch' or '100 steps'")
        return value

    def evaluation_steps(self, steps_per_epoch: int) -> int:
        """Steps between evaluations."""
        return _steps(self.evaluate_every, steps_per_epoch)

    def checkpoint_steps(self, steps_per_epoch: int) -> int:
        """Steps between checkpoints."""
        return _steps(self.checkpoint_every, steps_per_epoch)


def _steps(period: str, steps_per_epoch: int) -> int:
    number, unit = period.split()
    return int(number) * (steps_per_epoch if unit.startswith("epoch") else 1)
