"""Scenario: what `analogsim run` runs, as frozen and validated sections."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping as MappingABC
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import (
    AfterValidator,
    Field,
    create_model,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from analogsim.diagnostics import METRICS
from analogsim.learning import DECORRELATED, RULES, Decorrelation, Rule, WeightDecay, WeightNormalisation
from analogsim.port import DEFAULT_GRANTS, Access
from analogsim.study.loss_channel import LossChannelSettings
from analogsim.study.network_section import NetworkSection
from analogsim.study.optimizer import Optimizer
from analogsim.study.section import PositiveFloat, PositiveInt, Section
from analogsim.tasks import DATA_SETS, LOSSES
from device_models.units import PerChip, Time


def _one_of(known: Any, what: str) -> Any:
    names = sorted(known)

    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"no {what} is called {value!r}; choose one of {', '.join(names)}")
        return value

    return Annotated[str, AfterValidator(check), Field(json_schema_extra={"enum": names})]


_ACCESS = tuple(name for flag in Access for name in flag.names)

if TYPE_CHECKING:
    AccessName = DataName = LossName = MetricName = str
else:
    AccessName = _one_of(_ACCESS, "access")
    DataName = _one_of(DATA_SETS, "data set")
    LossName = _one_of(LOSSES, "loss")
    MetricName = _one_of(METRICS, "metric")


class Data(Section):
    """What is learned."""

    set: DataName
    """Name of the data set."""
    loss: LossName = "cross_entropy"
    """What judges an output: `cross_entropy` of its softmax, or half the `squared` distance to the target."""
    standardise: bool = Field(default=False, strict=True)
    """Shift and scale every input feature to mean 0 and standard deviation 1 over the training set."""
    batch: PositiveInt = 50
    """Batch size."""


class MappingSection(Section):
    """How weights become conductances."""

    range: Literal["fixed", "follow"] = "fixed"
    """`fixed`: G_max stands for `headroom` x the largest initial weight; writes beyond are clipped. `follow`: for the
    largest weight of each write; a change of range rewrites all devices."""
    per: Literal["layer", "column"] = "layer"
    """One range for each layer, or for each column."""
    headroom: float = Field(default=2.0, ge=1, allow_inf_nan=False, strict=True)
    """Of the fixed range."""


class LayerSection(Section):
    """What differs in one layer of a chip."""

    profile: str | dict[str, Any] | None = None
    """In place of the chip's profile and its overrides."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Settings laid over the profile given here, or else over the chip's with its overrides."""


class ChipSection(Section):
    """A population of chips."""

    profile: str | dict[str, Any]
    """Name of a device profile, path of its YAML file, or the profile itself."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Settings laid over the profile. A number may be `{each: [...]}`: an axis of the population."""
    layers: dict[int, LayerSection] = Field(default_factory=dict)
    """What differs in single layers, by their numbers: from 0, or from -1 for the last backwards."""
    population: PositiveInt = 8
    """Chips for each point of the population's axes."""
    only: tuple[Annotated[int, Field(ge=0, strict=True)], ...] | None = Field(default=None, min_length=1)
    """Numbers of the chips to run, of each point; all unless given. A chip meets the same random numbers either way."""
    tile: PositiveInt = 256
    """Rows of a tile. A layer with more is read in row-blocks, each with ADCs of its own."""
    mapping: MappingSection = MappingSection()
    """How weights become conductances."""
    injection: Literal["digital", "analog"] = "digital"
    """Where perturbations are added: after the ADC, exactly, or before it."""
    order: Literal["sample", "pass"] = "sample"
    """Order of a step's reads, which noise with memory follows: all passes of a batch element, then the next element
    (`sample`); or the whole batch, then the next pass (`pass`)."""
    sampling: Literal["column", "device"] = "column"
    """How read noise is drawn: exact in distribution per column, or device by device (slow; a proof of the former)."""
    precision: Literal["float32", "float64"] = "float32"
    """Floating-point format of the simulation."""
    grants: tuple[AccessName, ...] = DEFAULT_GRANTS.names
    """What the hardware offers to a learner."""


class Tune(Section):
    """Search each arm's learning rate, for each point of the axes, before it is trained.

    Every rate of the grid trains chips of its own on the training data without the held-out samples; the rate with the
    highest mean accuracy on these at the end of training is taken, the smaller of equals.
    """

    lr: tuple[PositiveFloat, ...] = Field(min_length=2)
    """The grid."""
    validation: PositiveInt
    """Training samples that are held out to choose by, the last of the set; the final training has them again."""
    chips: PositiveInt = 2
    """Chips at each point and rate; they are not among those that are trained afterwards."""


class Train(Section):
    """How long and how to learn."""

    epochs: PositiveInt
    """Passes through the training data."""
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
    """Time that passes from one step to the next, such as `1 ms`: drift goes on meanwhile. 0 s: the clock stands."""
    later: tuple[Time, ...] = ()
    """Times after the end of training at which the chips are evaluated again, in rising order: `[1 s, 1 h, 1 day]`."""
    drift_compensation: bool = Field(default=False, strict=True)
    """Compensate the drift at these times: one digital factor per layer, from reads of known vectors then and at the
    end of training."""
    chunk: PositiveInt | None = None
    """Largest number of samples that a step runs at once, to save memory; a chunk's size changes no result."""

    @field_validator("metrics")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"names each metric once (got {', '.join(value)})")
        return value

    @field_validator("later")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError("must rise from each time to the next")
        return value

    @model_validator(mode="after")
    def _something_to_compensate(self) -> Self:
        if self.drift_compensation and not self.later:
            raise ValueError("drift_compensation acts at the times under `later`, and there are none; add some")
        return self

    @field_validator("evaluate_every", "checkpoint_every")
    @classmethod
    def _period(cls, value: str) -> str:
        if not re.fullmatch(r"[1-9]\d* (?:epochs?|steps?)", value):
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


class ArmBase(Section):
    """A learning rule with its settings and companions."""

    rule: str
    """Name of the rule; a leading d (`danp`) adds decorrelation."""
    decorrelation: Decorrelation | None = None
    """Decorrelate layer inputs; `{}` for the default rate."""
    later_steps: int = Field(default=0, ge=0, strict=True)
    """Learning steps at each of the times under `train.later`, after an evaluation and before another."""
    family: str | None = Field(default=None, min_length=1, max_length=40)
    """Arms of a family are settings of one rule; summaries show the best of them at each point of the axes."""
    weight_normalisation: WeightNormalisation | None = None
    """Keep each unit's incoming weights at a fixed length; `{}` for the published one."""
    weight_decay: WeightDecay | None = None
    """Let weights decay at each step, in proportion to the learning rate; a number stands for its strength."""
    loss_channel: LossChannelSettings | None = None
    """How losses reach the learner; exactly and at once unless given."""
    oracle: tuple[AccessName, ...] = ()
    """What this arm may use beyond the chip's grants, for comparison; it is marked "oracle" everywhere."""
    optimizer: Optimizer | None = None
    """In place of the one under `train`."""

    def build_rule(self) -> Rule:
        """The rule with its settings."""
        kind = RULES[self.rule]
        return kind.model_validate(
            {key: getattr(self, key) for key in kind.model_fields if key in self.model_fields_set}
        )


def _arm_of(name: str, kind: type[Rule]) -> type[ArmBase]:
    fields: dict[str, Any] = {key: (field.annotation, field) for key, field in kind.model_fields.items()}
    fields["rule"] = (Literal[name], ...)  # type: ignore[valid-type]
    return create_model(f"{kind.__name__}Arm", __base__=ArmBase, __doc__=inspect.getdoc(kind), **fields)


if TYPE_CHECKING:
    Arm = ArmBase
else:
    Arm = Annotated[
        Union[tuple(_arm_of(name, kind) for name, kind in RULES.items())],  # noqa: UP007
        Field(discriminator="rule"),
    ]


class Scenario(Section):
    """What to run: data, a network, a population of chips, and arms that are compared on them."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Names the run folder."""
    description: str = ""
    """A sentence or two for people."""
    seed: PerChip[Annotated[int, Field(ge=0, strict=True)]] = 0
    """Of all random numbers; `{each: [...]}` makes it an axis of the population. The same seed gives the same chips,
    initial weights and data order under every rule."""
    data: Data
    network: NetworkSection
    chip: ChipSection
    train: Train
    arms: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+-]*$")], Arm] = Field(min_length=1)
    """What is compared; each trains the same chips from the same initial weights."""
    quick: dict[str, Any] = Field(default_factory=dict)
    """Settings by dotted path that `--quick` puts in place, for a short look."""

    @field_validator("arms", mode="before")
    @classmethod
    def _aliases(cls, arms: Any) -> Any:
        if not isinstance(arms, MappingABC):
            return arms
        return {name: _unalias(arm) for name, arm in arms.items()}


def _unalias(arm: Any) -> Any:
    name = arm.get("rule") if isinstance(arm, MappingABC) else None
    if not isinstance(name, str) or name not in DECORRELATED:
        return arm
    plain = {**arm, "rule": DECORRELATED[name]}
    if plain.get("decorrelation") is None:
        plain["decorrelation"] = {}
    return plain
