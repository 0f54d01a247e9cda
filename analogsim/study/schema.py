"""Scenario: what `analogsim run` runs, as frozen and validated sections."""

from __future__ import annotations

import inspect
from collections.abc import Mapping as MappingABC
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import (
    Discriminator,
    Field,
    Tag,
    create_model,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from analogsim.errors import RuleError
from analogsim.learning import (
    DECORRELATED,
    RULES,
    Decorrelation,
    Rule,
    WeightDecay,
    WeightNormalisation,
    other_packages,
)
from analogsim.study.chip_section import AccessName, ChipSection, StageChip, distinct
from analogsim.study.loss_channel import LossChannelSettings
from analogsim.study.network_section import NetworkSection
from analogsim.study.optimizer import Optimizer
from analogsim.study.scenario_base import ScenarioBase
from analogsim.study.section import PositiveInt, Section, one_of
from analogsim.study.teacher_section import TeacherSettings
from analogsim.study.timeline_section import Timeline
from analogsim.study.train_section import Train
from analogsim.tasks import DATA_SETS, LOSSES, Corruption, GaussianNoise, Masking
from device_models.units import Each, PerChip

if TYPE_CHECKING:
    DataName = LossName = str
else:
    DataName = one_of(DATA_SETS, "data set")
    LossName = one_of(LOSSES, "loss")


class CorruptionSetting(Section):
    """How inputs are corrupted: one of these."""

    mask: float | None = Field(default=None, gt=0, lt=1, allow_inf_nan=False, strict=True)
    """Each number of an input becomes 0 with this probability."""
    gaussian: float | None = Field(default=None, gt=0, allow_inf_nan=False, strict=True)
    """Add normal noise of this standard deviation."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.mask is None) == (self.gaussian is None):
            raise ValueError("give exactly one corruption, such as {mask: 0.3} or {gaussian: 0.3}")
        return self

    def build(self) -> Corruption:
        """The corruption."""
        return GaussianNoise(self.gaussian) if self.gaussian is not None else Masking(self.mask or 0.0)


class Data(Section):
    """What is learned."""

    set: DataName
    """Name of the data set."""
    loss: LossName = "cross_entropy"
    """What judges an output: `cross_entropy` of its softmax, or half the `squared` distance to the target."""
    teacher: TeacherSettings | None = None
    """The random network that gives the samples of `set: teacher`."""
    standardise: Literal["channel"] | Annotated[bool, Field(strict=True)] = False
    """Shift and scale every input feature to mean 0 and standard deviation 1 over the training set; `channel`: every
    channel of images, over its pixels."""
    samples: PositiveInt | None = None
    """Training samples to learn from, the first of the set; all unless given. Tests are on the whole test set."""
    pool: PositiveInt | None = None
    """Average images over blocks of this many pixels squared, for smaller networks."""
    batch: PositiveInt = 50
    """Batch size."""
    target: Literal["label", "input"] = "label"
    """What is to come out: the sample's label; or its input, as standardised (an autoencoder): evaluations then report
    the loss, and there is no accuracy."""
    corruption: CorruptionSetting | None = None
    """Corrupt the inputs of training, for denoising; targets and the test stay clean, all passes of a step see the
    same."""

    @model_validator(mode="after")
    def _a_teacher_for_its_set(self) -> Self:
        if (self.set == "teacher") != (self.teacher is not None):
            raise ValueError(
                "set teacher: needs the section `teacher`, such as {inputs: 20, outputs: 5}"
                if self.set == "teacher"
                else f"teacher: only for `set: teacher` (got {self.set}); leave it out, or null"
            )
        return self

    @model_validator(mode="after")
    def _a_loss_for_inputs(self) -> Self:
        if self.target == "input" and self.loss != "squared":
            raise ValueError(f"target input: inputs are no classes, so it takes `loss: squared` (got {self.loss})")
        return self


class ArmBase(Section):
    """A learning rule with its settings and companions."""

    rule: str
    """Name of the rule; a leading d (`danp`) adds decorrelation."""
    decorrelation: Decorrelation | None = None
    """Decorrelate layer inputs; `{}` for the default rate."""
    timeline: Timeline = ()
    """What happens to this arm's chips after training, beside the events that all arms share."""
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


class StageBase(ArmBase):
    """A stage of an arm: a learning rule with its settings and companions, for some epochs, on some chips."""

    epochs: int | None = Field(default=None, ge=0, strict=True)
    """Passes through the training data; `train.epochs` unless given. 0: evaluate only."""
    chip: StageChip | None = None
    """Chips of its own. The controller's copy of the weights is then programmed onto the chips of the next stage."""

    @model_validator(mode="after")
    def _of_the_arm(self) -> Self:
        found = [key for key in ("family", "timeline") if key in self.model_fields_set]
        if found:
            raise ValueError(f"{' and '.join(found)}: of the whole arm, not of a stage; put it beside `stages`")
        return self


class Deployment(StageBase):
    """The weights as they are: programmed, and evaluated."""

    rule: Literal["none"]  # pyright: ignore[reportIncompatibleVariableOverride]
    """Nothing is learned."""

    @model_validator(mode="after")
    def _learns_nothing(self) -> Self:
        found = sorted(self.model_fields_set - {"rule", "chip", "epochs"})
        if found or self.epochs:
            found = found or ["epochs"]
            raise ValueError(f"rule none learns nothing, so it takes no {', '.join(found)}; leave it out")
        return self


def arm_of_rule(name: str, kind: type[Rule], base: type[ArmBase]) -> type[ArmBase]:
    """An arm, or a stage, that takes the settings of a rule beside its own.

    Raises:
        RuleError: both have a setting of the same name.
    """
    fields: dict[str, Any] = {key: (field.annotation, field) for key, field in kind.model_fields.items()}
    taken = sorted(fields.keys() & {*base.model_fields, "stages"})
    if taken:
        other = other_packages().get(name)
        whose = f" of the package {other.package}" if other else ""
        raise RuleError(
            f"rule {name!r}{whose}: arms have {', '.join(taken)} themselves; call that setting something else"
        )
    fields["rule"] = (Literal[name], ...)  # type: ignore[valid-type]
    what = base.__name__.removesuffix("Base")
    # their fields have their descriptions: to look for docstrings in the source of every caller takes seconds
    undocumented = {"use_attribute_docstrings": False}
    return create_model(
        f"{kind.__name__}{what}", __base__=base, __cls_kwargs__=undocumented, __doc__=inspect.getdoc(kind), **fields
    )


if TYPE_CHECKING:
    Stage = StageBase
else:
    Stage = Annotated[
        Union[(*(arm_of_rule(name, kind, StageBase) for name, kind in RULES.items()), Deployment)],
        Field(discriminator="rule"),
    ]


class StagedArm(Section):
    """Stages one after the other: digital training, programming, learning on the chip."""

    stages: tuple[Stage, ...]
    """In order. The last is on the scenario's chips, which all arms have in common. Between stages the digital R stays
    as it is; optimisers and rules begin anew."""
    timeline: Timeline = ()
    """What happens to this arm's chips after the last stage, beside the events that all arms share."""
    family: str | None = Field(default=None, min_length=1, max_length=40)
    """Arms of a family are settings of one rule; summaries show the best of them at each point of the axes."""

    @field_validator("stages")
    @classmethod
    def _in_order(cls, stages: tuple[StageBase, ...]) -> tuple[StageBase, ...]:
        if not stages:
            raise ValueError("an arm needs at least one stage, such as {rule: np} (got an empty list)")
        if isinstance(stages[0], Deployment) or stages[0].epochs == 0:
            raise ValueError("the first stage must learn, or there is nothing to deploy; give it a rule and epochs")
        if stages[-1].chip is not None:
            raise ValueError(
                "the last stage is on the scenario's chips, on which arms are compared: leave its `chip` out, or add "
                "{rule: none} after it"
            )
        return stages


def _kind_of_arm(arm: Any) -> str:
    staged = isinstance(arm, StagedArm) or (isinstance(arm, MappingABC) and "stages" in arm)
    return "stages" if staged else "rule"


if TYPE_CHECKING:
    Arm = ArmBase | StagedArm
else:
    Arm = Annotated[
        Union[  # noqa: UP007
            Annotated[
                Annotated[
                    Union[tuple(arm_of_rule(name, kind, ArmBase) for name, kind in RULES.items())],  # noqa: UP007
                    Field(discriminator="rule"),
                ],
                Tag("rule"),
            ],
            Annotated[StagedArm, Tag("stages")],
        ],
        Discriminator(_kind_of_arm),
    ]


class Scenario(ScenarioBase):
    """What to run: data, a network, a population of chips, and arms that are compared on them."""

    seed: PerChip[Annotated[int, Field(ge=0, strict=True)]] = 0
    """Of all random numbers; `{each: [...]}` makes it an axis of the population. The same seed gives the same chips,
    initial weights and data order under every rule."""
    data: Data
    network: NetworkSection
    chip: ChipSection
    train: Train
    timeline: Timeline = ()
    """What happens to the chips of all arms after training: events over seconds to years."""
    arms: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+-]*$")], Arm] = Field(min_length=1)
    """What is compared; each trains the same chips from the same initial weights. A list is an arm of stages."""

    @property
    def depth(self) -> int:
        """Number of layers with weights."""
        return self.network.depth

    @model_validator(mode="after")
    def _different_seeds(self) -> Self:
        if isinstance(self.seed, Each):
            try:
                distinct(self.seed.values)
            except ValueError as error:
                raise ValueError(f"seed: {error}") from None
        return self

    @field_validator("arms", mode="before")
    @classmethod
    def _aliases(cls, arms: Any) -> Any:
        if not isinstance(arms, MappingABC):
            return arms
        return {name: _unalias(arm) for name, arm in arms.items()}


def _unalias(arm: Any) -> Any:
    """With stages under their name, and aliases of rules written out."""
    if isinstance(arm, list | tuple):
        arm = {"stages": arm}
    if isinstance(arm, MappingABC) and isinstance(arm.get("stages"), list | tuple):
        return {**arm, "stages": [_with_decorrelation(stage) for stage in arm["stages"]]}
    return _with_decorrelation(arm)


def _with_decorrelation(arm: Any) -> Any:
    name = arm.get("rule") if isinstance(arm, MappingABC) else None
    if not isinstance(name, str) or name not in DECORRELATED:
        return arm
    plain = {**arm, "rule": DECORRELATED[name]}
    if plain.get("decorrelation") is None:
        plain["decorrelation"] = {}
    return plain
