"""What every effect of a device shares: a validated description in YAML that `build`s into tensors for C chips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor
from typing_extensions import Self

from device_models.errors import ProfileError
from device_models.limits import Limit
from device_models.units import Each, Time


class Description(BaseModel):
    """A part of a profile: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Timing(Description):
    """When a chip reads: it decides which noise is white, which remembers from pass to pass and which stands still."""

    pass_time: Annotated[Time, Limit("100 ps", "1 h", "a read of an array takes nanoseconds or more")] = 1e-6
    """From one pass of a sample to the next, seconds."""
    step_time: Annotated[Time, Limit("100 ps", "1 year", "a step is one or more reads")] = 1e-3
    """Noise slower than this is a state of the device, which all passes of a step share; seconds."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.step_time < self.pass_time:
            raise ValueError(
                f"step_time must not be below pass_time (got {self.step_time:g} s and {self.pass_time:g} s)"
            )
        return self


class Split(NamedTuple):
    """Where the bands of correlation times begin, seconds: what remembers between passes, and what outlives a step."""

    passing: float
    slow: float


_TIMING = Timing()


@dataclass(frozen=True)
class Site:
    """Where a description becomes tensors.

    Attributes:
        chips: number of chips C.
        g_min, g_max: conductance range of a device, siemens.
        device, dtype: of the tensors to make.
        timing: of reads.
        temperature: kelvin, of all chips or of each.
    """

    chips: int
    g_min: float
    g_max: float
    device: torch.device
    dtype: torch.dtype
    timing: Timing = _TIMING
    temperature: float | Each[float] = 300.0

    def split(self, shortest: float) -> Split:
        """The bands of a noise whose shortest correlation time is given, seconds.

        What is five times faster than the spacing of passes is white: it is remembered to less than e^-5.
        """
        passing = max(shortest, self.timing.pass_time / 5)
        return Split(passing, max(passing, self.timing.step_time))

    def per_chip(self, value: float | Each[float], trailing: int, where: str) -> Tensor:
        """One number per chip, shape (C, 1, ..., 1) with `trailing` ones.

        Raises:
            ProfileError: `each` has another number of values than there are chips.
        """
        values: Sequence[float] = value.values if isinstance(value, Each) else (value,) * self.chips
        if len(values) != self.chips:
            raise ProfileError(
                f"{where}: `each` gives {len(values)} values for {self.chips} chips; give one value per chip"
            )
        shape = (self.chips, *(1,) * trailing)
        return torch.tensor(values, dtype=self.dtype).reshape(shape).to(self.device)
