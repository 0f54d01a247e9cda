"""DeviceProfile: what a crossbar technology is, in one YAML file that fits on a screen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from pydantic import Field, ValidationError, field_validator, model_validator
from typing_extensions import Self

from device_models.column_noise import ColumnNoise
from device_models.compose import composed, named
from device_models.consistency import contradictions
from device_models.converters import ADC, DAC
from device_models.costs import Costs
from device_models.device import Device
from device_models.disturb import HalfSelect, ReadDisturb
from device_models.effect import Description, Site, Timing
from device_models.endurance import Endurance
from device_models.errors import ProfileError, bulleted, faults
from device_models.faults import Faults
from device_models.iv import SinhConduction
from device_models.outer_product import OuterProduct
from device_models.pulsed import Refresh
from device_models.reference import Reference
from device_models.registry import (
    EFFECTS,
    DriftDescription,
    ProgrammingDescription,
    ReadNoiseDescription,
    RelaxationDescription,
    UnitNoiseDescription,
    UpdateDescription,
)
from device_models.slices import Slices
from device_models.units import UNION_TAGS, Conductance, PerChip, Temperature
from device_models.weight_perturbation import WeightPerturbation
from device_models.wires import Wires
from device_models.write_verify import WriteVerify


def path_as_written(loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The path of a fault without the tags of unions: those of per-chip values, and the kinds of effects."""
    pairs = zip(loc, (None, *loc), strict=False)
    return tuple(part for part, before in pairs if part not in UNION_TAGS and not (part in _KINDS and _holds(before)))


def _holds(part: str | int | None) -> bool:
    """Whether an effect stands here: a place in a list of effects, or a field for one."""
    return isinstance(part, int) or part in ("programming", "drift", "law", "update", "unit_noise")


_KINDS = {kind for effect in EFFECTS for kind in get_args(effect.model_fields["kind"].annotation)}


class ConductanceRange(Description):
    """What a device can be programmed to."""

    min: Conductance = 0.0
    """Conductance of the off state, siemens; both devices of a pair carry it, and its read noise, at weight zero."""
    max: Conductance
    """Conductance of the on state, G_max, siemens."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.min < self.max:
            raise ValueError(f"min must lie below max (got min {self.min:g} S, max {self.max:g} S)")
        return self


class DeviceProfile(Description):
    """A crossbar technology: its devices, its column amplifiers and its converters.

    Leave an effect out and the device does not have it. Parameters typed "per chip" take one value for all chips or
    `{each: [...]}`, one for each chip of a population.
    """

    name: str = Field(min_length=1)
    """How scenarios refer to it."""
    description: str = ""
    """One or two sentences for people."""
    conductance: ConductanceRange
    """Range of a device; a weight is the difference of two devices."""
    programming: ProgrammingDescription | None = None
    """How far a write ends from its target."""
    write_verify: WriteVerify | None = None
    """Repeat a write until a read of the device confirms it."""
    granularity: Conductance = 0.0
    """A device is written only where its target moved by at least half of this since its last write; siemens."""
    update: UpdateDescription | None = None
    """How far pulses move a device; without it there are absolute writes only."""
    outer_product: OuterProduct = OuterProduct()
    """How an update in factors becomes pulses."""
    refresh: Refresh = Refresh()
    """When a pair whose devices step up only is programmed anew."""
    endurance: Endurance | None = None
    """How long devices can be written."""
    half_select: HalfSelect | None = None
    """What pulses do to the other devices of their lines."""
    read_disturb: ReadDisturb | None = None
    """What reads do to a device."""
    cell: Literal["pair", "reference"] = "pair"
    """`pair`: a weight is the difference of two devices, which pulses move up only; `reference`: one device against a
    fixed one in the middle of its range, of which each has one of its own; pulses move it both ways."""
    slices: Slices | None = None
    """Several device pairs for each weight, read one by one; without them one pair holds it."""
    drift: DriftDescription | None = None
    """How conductances fall with the time since their last write."""
    relaxation: tuple[RelaxationDescription, ...] = ()
    """What else they do after a write, after the drift. One effect, or a list of effects, one after the other."""
    read_noise: tuple[ReadNoiseDescription, ...] = ()
    """Noise of one device in one read. One effect, or a list of effects whose variances add."""
    column_noise: ColumnNoise | None = None
    """Noise of a column's amplifier in one read."""
    faults: Faults | None = None
    """Devices that cannot be programmed, and open lines."""
    wires: Wires | None = None
    """Resistance of the lines."""
    conduction: SinhConduction | None = None
    """How a device's current follows its voltage; without it in proportion."""
    dac: DAC | None = None
    """Row drivers; without them inputs are exact."""
    adc: ADC | None = None
    """Column converters; without them outputs are exact."""
    unit_noise: UnitNoiseDescription | None = None
    """Noise of the units themselves, once per pass, after the digital sum."""
    weight_perturbation: WeightPerturbation = WeightPerturbation()
    """How the chip adds to its weights for the time of a pass."""
    timing: Timing = Timing()
    """When the chip reads."""
    costs: Costs | None = None
    """What the chip's operations take, in seconds and joules; without it nobody counts them."""
    temperature: PerChip[Temperature] = 300.0
    """Of the chip, for what depends on it: thermal noise, retention failure; kelvin, 300 K unless given."""
    references: tuple[Reference, ...] = ()
    """Where the figures come from: entries `{what: "programming, drift", cite: key}`, or plain text."""

    @field_validator("read_noise", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        entries = value if isinstance(value, list | tuple) else [] if value is None else [value]
        return [{"kind": "additive", **entry} if isinstance(entry, Mapping) else entry for entry in entries]

    @field_validator("relaxation", mode="before")
    @classmethod
    def _one_or_many_in_turn(cls, value: Any) -> Any:
        return value if isinstance(value, list | tuple) else [] if value is None else [value]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        found = contradictions(self)
        if found:
            raise ValueError("\n  - ".join(found))
        return self

    def build(self, chips: int, device: torch.device, dtype: torch.dtype) -> Device:
        """The tensors of a population.

        Args:
            chips: number of chips C.
            device, dtype: of the tensors.

        Raises:
            ProfileError: a per-chip parameter has another number of values than C.
        """
        site = Site(chips, self.conductance.min, self.conductance.max, device, dtype, self.timing, self.temperature)
        programming = None if self.programming is None else self.programming.build(site)
        verified = None
        if self.write_verify is not None and programming is not None:
            verified = self.write_verify.build(site, programming)
        return Device(
            g_min=self.conductance.min,
            g_max=self.conductance.max,
            programming=programming,
            write_verify=verified,
            granularity=self.granularity,
            cell=self.cell,
            site=site,
            update=self.update,
            step=None if self.update is None else site.per_chip(self.update.dw_min, 2, "update.dw_min"),
            outer_product=self.outer_product,
            refresh=self.refresh,
            endurance=self.endurance,
            half_select=None if self.half_select is None else self.half_select.build(site),
            read_disturb=None if self.read_disturb is None else self.read_disturb.build(site),
            slices=self.slices,
            drift=None if self.drift is None else self.drift.build(site),
            relaxation=tuple(effect.build(site) for effect in self.relaxation),
            read_noise=tuple(noise.build(site) for noise in self.read_noise),
            column_noise=None if self.column_noise is None else self.column_noise.build(site),
            faults=None if self.faults is None else self.faults.build(site),
            wires=None if self.wires is None else self.wires.build(site),
            conduction=None if self.conduction is None else self.conduction.build(site),
            dac=self.dac,
            adc=None if self.adc is None else self.adc.build(site),
            unit_noise=None if self.unit_noise is None else self.unit_noise.build(site),
            perturbation_path=self.weight_perturbation.path,
        )

    def to_data(self) -> dict[str, Any]:
        """Plain data with units, from which `from_data` makes an equal profile."""
        return self.model_dump(mode="json", exclude_none=True, exclude_defaults=False)

    @classmethod
    def from_data(cls, data: Any, where: str = "profile", folder: Path | None = None) -> Self:
        """Validate plain data.

        Args:
            data: settings; with `extends` they are laid over those of another profile.
            where: what to call it in messages.
            folder: that relative paths start from; None: the working directory.

        Raises:
            ProfileError: listing every fault, each with its path.
        """
        if not isinstance(data, Mapping):
            raise ProfileError(f"{where}: must be a mapping of settings (got {type(data).__name__})")
        data = composed(data, where, folder, DeviceProfile.from_data)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ProfileError(bulleted(f"{where} cannot be used:", faults(error, path_as_written, cls))) from None


def profile_data(source: str | Path | Mapping[str, Any], folder: Path | None = None) -> dict[str, Any]:
    """A profile as plain data, with what it extends in place, not yet validated.

    Args:
        source: name of a packaged profile, path of a file, or a profile written out.
        folder: that relative paths in a profile written out start from; None: the working directory.

    Raises:
        ProfileError: no such profile or file, or it extends one that cannot be used.
    """
    if isinstance(source, Mapping):
        return composed(source, "profile", folder, DeviceProfile.from_data)
    data, where = named(str(source), DeviceProfile.from_data)
    if not isinstance(data, Mapping):
        raise ProfileError(f"{where}: must be a mapping of settings (got {type(data).__name__})")
    return dict(data)


def load_profile(name_or_path: str | Path) -> DeviceProfile:
    """A packaged profile by its name, or one's own by the path of its YAML file.

    Raises:
        ProfileError: no such profile or file, or one that cannot be used.
    """
    return DeviceProfile.from_data(*named(str(name_or_path), DeviceProfile.from_data))
