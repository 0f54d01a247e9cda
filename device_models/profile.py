"""DeviceProfile: what a crossbar technology is, in one YAML file that fits on a screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import torch
from pydantic import Field, ValidationError, field_validator, model_validator
from torch import Tensor
from typing_extensions import Self

from device_models._yaml import load_yaml, read_yaml
from device_models.column_noise import ColumnNoise
from device_models.converters import ADC, DAC
from device_models.drift import Drift
from device_models.effect import Description, Site
from device_models.errors import ProfileError, bulleted, faults
from device_models.programming import Programming
from device_models.read_noise import ReadNoise
from device_models.registry import (
    EFFECTS,
    DriftDescription,
    ProgrammingDescription,
    ReadNoiseDescription,
    UpdateDescription,
)
from device_models.slow_noise import SlowNoise
from device_models.units import UNION_TAGS, Conductance


def path_as_written(loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The path of a fault without the tags of unions: those of per-chip values, and the kinds of effects."""
    pairs = zip(loc, (None, *loc), strict=False)
    return tuple(part for part, before in pairs if part not in UNION_TAGS and not (part in _KINDS and _holds(before)))


def _holds(part: str | int | None) -> bool:
    """Whether an effect stands here: a place in a list of effects, or a field for one."""
    return isinstance(part, int) or part in ("programming", "drift", "update")


_KINDS = {kind for effect in EFFECTS for kind in get_args(effect.model_fields["kind"].annotation)}


class ConductanceRange(Description):
    """What a device can be programmed to."""

    min: Conductance = 0.0
    """Conductance of the off state; both devices of a pair carry it, and its read noise, at weight zero."""
    max: Conductance
    """Conductance of the on state, G_max."""

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
    granularity: Conductance = 0.0
    """A device is written only where its target moved by at least half of this conductance since its last write."""
    drift: DriftDescription | None = None
    """How conductances fall with the time since their last write."""
    update: UpdateDescription | None = None
    """How pulses move a device in an incremental write; absolute writes do not look at it."""
    read_noise: tuple[ReadNoiseDescription, ...] = ()
    """Noise of one device in one read. One effect, or a list of effects whose variances add."""
    column_noise: ColumnNoise | None = None
    """Noise of a column's amplifier in one read."""
    dac: DAC | None = None
    """Row drivers; without them inputs are exact."""
    adc: ADC | None = None
    """Column converters; without them outputs are exact."""
    references: tuple[str, ...] = ()
    """Where the figures come from."""

    @field_validator("read_noise", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        entries = value if isinstance(value, list | tuple) else [] if value is None else [value]
        return [{"kind": "additive", **entry} if isinstance(entry, Mapping) else entry for entry in entries]

    def build(self, chips: int, device: torch.device, dtype: torch.dtype) -> Device:
        """The tensors of a population.

        Args:
            chips: number of chips C.
            device, dtype: of the tensors.

        Raises:
            ProfileError: a per-chip parameter has another number of values than C.
        """
        site = Site(chips, self.conductance.min, self.conductance.max, device, dtype)
        return Device(
            g_min=self.conductance.min,
            g_max=self.conductance.max,
            programming=None if self.programming is None else self.programming.build(site),
            granularity=self.granularity,
            drift=None if self.drift is None else self.drift.build(site),
            read_noise=tuple(noise.build(site) for noise in self.read_noise),
            column_noise=None if self.column_noise is None else self.column_noise.build(site),
            dac=self.dac,
            adc=self.adc,
        )

    def to_data(self) -> dict[str, Any]:
        """Plain data with units, from which `from_data` makes an equal profile."""
        return self.model_dump(mode="json", exclude_none=True, exclude_defaults=False)

    @classmethod
    def from_data(cls, data: Any, where: str = "profile") -> Self:
        """Validate plain data.

        Raises:
            ProfileError: listing every fault, each with its path.
        """
        if not isinstance(data, Mapping):
            raise ProfileError(f"{where}: must be a mapping of settings (got {type(data).__name__})")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ProfileError(bulleted(f"{where} cannot be used:", faults(error, path_as_written))) from None


@dataclass(frozen=True)
class Device:
    """A profile as tensors for a population of C chips.

    Attributes:
        g_min, g_max: conductance range, siemens.
        programming: noise of a write.
        granularity: siemens, twice the smallest change of a target that is written.
        drift: of what was written.
        read_noise: effects whose variances add.
        column_noise: share of a fully-on device's full-scale current, (C, 1, 1).
        dac, adc: converters.
    """

    g_min: float
    g_max: float
    programming: Programming | None
    granularity: float
    drift: Drift | None
    read_noise: tuple[ReadNoise, ...]
    column_noise: Tensor | None
    dac: DAC | None
    adc: ADC | None

    @property
    def full_scale(self) -> float:
        """Full-scale input in units of the activations; 1 where inputs have no DAC."""
        return 1.0 if self.dac is None else self.dac.range

    @property
    def slow_noise(self) -> tuple[SlowNoise, ...]:
        """The parts of the read noise that outlive a step."""
        return tuple(noise.slow for noise in self.read_noise if noise.slow is not None)

    @property
    def ages(self) -> bool:
        """Whether a conductance depends on the time since its write."""
        return self.drift is not None or bool(self.slow_noise)

    @property
    def numbers(self) -> int:
        """Random numbers that the write of a device takes."""
        return (self.programming is not None) + (self.drift is not None) + len(self.slow_noise)


def merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `overrides` laid over it, mapping by mapping.

    A mapping whose `kind` changes, and one that becomes a single value or `{each: ...}`, is replaced as a whole.

    Raises:
        ProfileError: a mapping is laid over a list of several effects: which one it means would be a guess.
    """
    result = dict(base)
    for key, value in overrides.items():
        old = result.get(key)
        if isinstance(old, list) and isinstance(value, Mapping):
            if len(old) > 1:
                raise ProfileError(f"{key}: is a list of {len(old)} effects; an override must give the whole list")
            old = old[0] if old else None
        if isinstance(old, Mapping) and isinstance(value, Mapping) and _same_form(old, value):
            result[key] = merge(old, value)
        else:
            result[key] = value
    return result


def _same_form(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    kinds = {mapping["kind"] for mapping in (old, new) if "kind" in mapping}
    return "each" not in old and "each" not in new and len(kinds) < 2


def preset_names() -> list[str]:
    """Names of the packaged profiles."""
    folder = resources.files("device_models") / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def preset_data(name: str) -> dict[str, Any]:
    """A packaged profile as plain data.

    Raises:
        ProfileError: no such profile; the message lists those that there are.
    """
    if name not in preset_names():
        raise ProfileError(f"no profile is called {name!r}; there are {', '.join(preset_names())}")
    text = (resources.files("device_models") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    return load_yaml(text, f"profile {name}")


def load_profile(name_or_path: str | Path) -> DeviceProfile:
    """A packaged profile by its name, or one's own by the path of its YAML file.

    Raises:
        ProfileError: no such profile or file, or one that cannot be used.
    """
    text = str(name_or_path)
    if text.endswith((".yaml", ".yml")):
        return DeviceProfile.from_data(read_yaml(Path(text)), text)
    return DeviceProfile.from_data(preset_data(text), f"profile {text}")
