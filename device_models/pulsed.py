"""Pulsed devices: what incremental writes have made of the devices of one layer and polarity."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from device_models.effect import Description, Site
from device_models.pulsed_update import Bounds, PulsedUpdate
from device_models.units import Share


class Refresh(Description):
    """When a pair whose devices step up only is programmed anew: both have grown, and the larger is nearly at its end.

    The shares are those of the range; Nandakumar et al., Front. Neurosci. 14:406 (2020), refresh such pairs now
    and then.
    """

    upper: Share = 0.75
    """The larger device lies above this share of its range, percent."""
    lower: Share = 0.25
    """And the smaller one above this, percent."""


class Pulsed:
    """Devices that pulses move.

    Attributes:
        bounds: of the coordinate u; see `pulse_response`.
        hidden: u as pulses move it, (C, out, rows).
    """

    hidden: Tensor

    def __init__(self, update: PulsedUpdate, site: Site, numbers: Sequence[Tensor]) -> None:
        self._site = site
        self._response = update.build(site, torch.stack(list(numbers), 1))
        self.bounds: Bounds = update.bounds

    @property
    def numbers(self) -> int:
        """Standard normal numbers that an incremental write takes."""
        return self._response.numbers

    @property
    def ends(self) -> tuple[Tensor, Tensor]:
        """Conductances of each device at its own bounds, siemens."""
        return self._conductance(self._response.devices.low), self._conductance(self._response.devices.high)

    @property
    def programming_numbers(self) -> int:
        """Those that an absolute write takes."""
        return 1

    def start(self, g: Tensor, numbers: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Devices programmed to g, siemens: (hidden u, conductances), within each one's own bounds."""
        state = self._response.start(self.bounds.from_conductance(g, self._site), *numbers[:1])
        return state.hidden, self._conductance(state.visible)

    def write(self, ups: Tensor, downs: Tensor, numbers: Sequence[Tensor], change: Tensor | float) -> Tensor:
        """Pulses, those up first, and new write noise; moves `hidden`.

        Args:
            ups, downs: of each device, (C, out, rows).
            numbers: standard normal, `self.numbers` of shape (C, out, rows).
            change: of each device's conductance since its last write, by drift and what else there is, siemens.

        Returns:
            Conductances after it, siemens; those of devices without a pulse mean nothing.
        """
        g = self.bounds.to_conductance(self.hidden, self._site) + change
        state = self._response.start(self.bounds.from_conductance(g, self._site))
        drawn = torch.stack(list(numbers), 1) if numbers else None
        state = self._response.write(state, ups, downs, drawn)
        self.hidden = torch.where((ups + downs) > 0, state.hidden, self.hidden)
        return self._conductance(state.visible)

    def nudge(self, ups: Tensor, downs: Tensor) -> Tensor:
        """Fractions of pulses; moves `hidden` and returns by how much the conductances change, siemens."""
        before = self.hidden
        self.hidden = self._response.nudge(before, ups, downs)
        return (self.hidden - before) * ((self._site.g_max - self._site.g_min) / (self.bounds.high - self.bounds.low))

    def _conductance(self, u: Tensor) -> Tensor:
        return self.bounds.to_conductance(u, self._site).clamp_(min=0)
