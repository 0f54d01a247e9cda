"""The section `sweep` of a scenario: the axes of a study, and what its rules are measured by."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator
from typing_extensions import Self

from analogsim.study.section import PositiveInt, Section

Places = Annotated[list[Any], Field(min_length=1)] | Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
"""Values of a path; or places by name, each with settings by dotted path."""


class Range(Section):
    """What a sampled setting lies between; numbers may carry a unit, the same at both ends."""

    low: float | str = Field(alias="from")
    """The lowest."""
    high: float | str = Field(alias="to")
    """The highest."""
    scale: Literal["linear", "log"] = "linear"
    """Whether numbers, or their logarithms, are uniform."""
    integer: Annotated[bool, Field(strict=True)] = False
    """Whole numbers, both ends included, as for bits of a converter."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


class Sample(Section):
    """Points that are sampled, in place of a grid or beside one."""

    method: Literal["random", "latin_hypercube"] = "latin_hypercube"
    """Independent points; or points of which each range, cut in as many parts as there are points, has one in each part
    (McKay, Beckman and Conover, Technometrics 1979)."""
    points: PositiveInt
    """How many; each has jobs of its own."""
    seed: int = Field(default=0, ge=0, strict=True)
    """Of the sample alone."""
    ranges: dict[str, Range] = Field(min_length=1)
    """By the path of a setting."""


class Called(Section):
    """What people call an axis."""

    title: str = Field(min_length=1, max_length=60)
    """Such as `ADC bits`, or `the device's own read noise`."""
    unit: str = Field(default="", max_length=12)
    """Of places that are numbers without one, such as `x`."""


class Sweep(Section):
    """A study: the scenario at every point of its axes."""

    axes: dict[str, Places] = Field(default_factory=dict)
    """By the path of a setting its values, such as `chip.profile: [pcm, reram]`; or, by a name of one's own, places
    with settings by path. The first is the slowest. An axis under `arms.NAME` is that arm's alone."""
    sample: Sample | None = None
    """Sampled points, at each point of the axes."""
    seeds: PositiveInt = 1
    """Repeats: seeds from the scenario's on, each with chips, initial weights and an order of data of its own."""
    fold: Literal["all", "none"] | tuple[str, ...] = "all"
    """Axes that are simulated as one population instead of by jobs of their own: all that can be, none, or these. What
    can be are continuous parameters of a profile, learning rates and seeds."""
    chips_per_job: PositiveInt = 64
    """No axis is folded that would make a job's population larger than this; the noise axis comes first, seeds last."""
    noise: str | None = None
    """The axis along which rules are to survive, whose places ascend."""
    share: float = Field(default=0.9, gt=0, le=1, strict=True)
    """Operating windows reach as far as a rule has this share of the reference's accuracy."""
    reference: Annotated[bool, Field(strict=True)] | dict[str, Any] | None = None
    """The common reference: keys of an arm, laid over `{rule: bp}` on ideal chips with the same network and data. It is
    there where there is a noise axis; `true` or `false` say so otherwise."""
    called: dict[str, Called] = Field(default_factory=dict)
    """What reports call an axis; unless given, the last words of its path."""
    threads: PositiveInt = 1
    """Threads of each job. Bits of sums depend on them."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.axes and self.sample is None and self.seeds == 1:
            raise ValueError("has no axis: give axes, a sample, or seeds")
        return self

    @field_validator("axes")
    @classmethod
    def _distinct(cls, value: dict[str, Places]) -> dict[str, Places]:
        for name, places in value.items():
            written = [repr(place) for place in places]
            if len(set(written)) < len(written):
                raise ValueError(f"{name}: names each place once (got {', '.join(written)})")
        return value
