"""What every effect of a device shares: a validated description in YAML that `build`s into tensors for C chips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from device_models.errors import ProfileError
from device_models.units import Each


class Description(BaseModel):
    """A part of a profile: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


@dataclass(frozen=True)
class Site:
    """Where a description becomes tensors.

    Attributes:
        chips: number of chips C.
        g_min, g_max: conductance range of a device, siemens.
        device, dtype: of the tensors to make.
    """

    chips: int
    g_min: float
    g_max: float
    device: torch.device
    dtype: torch.dtype

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
