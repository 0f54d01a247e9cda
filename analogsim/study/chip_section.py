"""The parts of a scenario that say what chips are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from analogsim.port import DEFAULT_GRANTS, Access
from analogsim.study.section import PositiveInt, Section, one_of
from device_models.units import Share

_ACCESS = tuple(name for flag in Access for name in flag.names)

if TYPE_CHECKING:
    AccessName = str
else:
    AccessName = one_of(_ACCESS, "access")


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


def distinct(values: Any) -> Any:
    """The values, if no two are equal.

    Raises:
        ValueError: naming the first that comes again.
    """
    listed = list(values or ())
    again = next((each for index, each in enumerate(listed) if each in listed[:index]), None)
    if again is not None:
        raise ValueError(f"must all be different (got {again} twice)")
    return values


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
    only: Annotated[
        tuple[Annotated[int, Field(ge=0, strict=True)], ...] | None, Field(min_length=1), AfterValidator(distinct)
    ] = None
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
    products: Literal["exact", "fast"] = "exact"
    """`exact`: of floating-point numbers. `fast`: large forward reads of weights in 16 bits and of variances in
    bytes, on the CPU's units for bytes, where it has them."""
    drift_tolerance: Share = 0.0
    """What time does to conductances is computed anew only where it may have changed one by more than this share of
    itself; 0 %: whenever time has passed."""
    grants: tuple[AccessName, ...] = DEFAULT_GRANTS.names
    """What the hardware offers to a learner."""


class StageChip(Section):
    """The chips of a stage that are not the scenario's; what is left out is as there."""

    profile: str | dict[str, Any] | None = None
    """In place of the chip's profile, its overrides and what differs in its layers."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Settings laid over the profile given here, or else over the chip's with its overrides."""
    layers: dict[int, LayerSection] = Field(default_factory=dict)
    """What differs in single layers."""
    mapping: MappingSection | None = None
    """How weights become conductances. `{range: follow}` clips no weight."""

    def over(self, chip: ChipSection) -> ChipSection:
        """The whole section, from the scenario's; once profiles are resolved."""
        mapping = self.mapping or chip.mapping
        return chip.model_copy(
            update={"profile": self.profile, "overrides": {}, "layers": self.layers, "mapping": mapping}
        )
