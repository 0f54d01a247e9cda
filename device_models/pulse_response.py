"""Pulse response: how far the pulses of an incremental write move a device, and with which error.

The state of a device is u, dimensionless, on a nominal range [low, high] (-1 to 1 unless given) that maps linearly onto
[G_min, G_max]. Pulse k of a write moves it by

    u <- clip(u + d (1 + sigma xi_k)),      d = dw_up f_up(u) or -dw_down f_down(u)

with the family's step curves f >= 0 (`linear_steps`, `nonlinear_steps`) and xi_k ~ N(0, 1): cycle-to-cycle noise, which
accumulates. `step_noise: additive` takes it as dw_up or dw_down times sigma xi_k wherever the device is. The clip is at
the device's own bounds, whatever its step curve.

Two ways to write. `train` goes pulse by pulse and draws a number for each. `advance` takes all steps up, then all steps
down, in one go with one number for each direction: mean and variance of n pulses from the family's closed form or exact
recursion, a Gaussian of these moments, clipped once at the end. Without cycle-to-cycle noise the two agree to rounding.
With it they agree exactly for one pulse, and for any number of constant steps away from the bounds. Elsewhere there are
three errors, measured in docs/pulses.md: the Gaussian has no skewness; at a bound that many noisy pulses push against,
it is clipped once where the device is clipped at each pulse; and pulses of both signs that really alternate do not
commute: for soft bounds m up and n down end up to m n dw_up dw_down (1/high - 1/low) apart. Where steps are coarse,
advance over parts of a batch in turn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor


class PulseState(NamedTuple):
    """Devices under incremental writes, each (C, out, rows).

    Attributes:
        hidden: u as pulses move it; within the device's own bounds.
        visible: u as reads see it: hidden plus write noise, which may carry it beyond the bounds.
    """

    hidden: Tensor
    visible: Tensor


@dataclass(frozen=True)
class Devices:
    """What fabrication left; (C, out, rows) but for those marked (C, 1, 1), all in units of u.

    Attributes:
        low, high: own bounds.
        up, down: mean size of a step where the step curve is 1.
        corrupt: devices that no pulse moves, bool.
        stuck: where they are.
        cycle: sd of a pulse's step relative to its mean, (C, 1, 1).
        write_noise: sd of the visible about the hidden state, (C, 1, 1).
        additive: the noise of a step is relative to `up` or `down`, not to the step at u.
        noisy, written_noisily: whether any chip has cycle-to-cycle noise, or write noise.
    """

    low: Tensor
    high: Tensor
    up: Tensor
    down: Tensor
    corrupt: Tensor
    stuck: Tensor
    cycle: Tensor
    write_noise: Tensor
    additive: bool
    noisy: bool
    written_noisily: bool

    def settle(self, u: Tensor) -> Tensor:
        """u within the devices' own bounds, corrupt ones where they are stuck."""
        return torch.where(self.corrupt, self.stuck, torch.minimum(torch.maximum(u, self.low), self.high))

    def tensors(self) -> dict[str, Tensor]:
        """All parameters by name; they follow from the fabrication numbers, so a checkpoint needs none of them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}


class PulseResponse(ABC):
    """Incremental writes of a population of chips.

    Counts of pulses are tensors of any dtype that hold whole numbers; `ups` come first, then `downs`.
    """

    devices: Devices

    @abstractmethod
    def rate(self, u: Tensor, up: bool) -> Tensor:
        """The step curve f(u) >= 0 of one direction: the mean step relative to `devices.up` or `devices.down`."""

    @abstractmethod
    def moments(self, u: Tensor, counts: Tensor, up: bool, noisy: bool) -> tuple[Tensor, Tensor | None]:
        """Mean and variance of u after `counts` pulses in one direction, before the last clip.

        Without cycle-to-cycle noise (`noisy` False) the mean is the exact staircase and the variance None.
        """

    @property
    def numbers(self) -> int:
        """Standard normal numbers that a write of a device takes: up, down, write noise.

        They are taken whether there is noise or not: a chip's do not depend on the other chips of a population.
        """
        return 3

    def step(self, u: Tensor, up: bool) -> Tensor:
        """Mean change of u by one pulse, not clipped; negative or 0 for a pulse down."""
        d = self.devices
        return d.up * self.rate(u, True) if up else -(d.down * self.rate(u, False))

    def pulse(self, u: Tensor, direction: Tensor, xi: Tensor | None = None) -> Tensor:
        """One pulse, exactly.

        Args:
            u: hidden states (C, out, rows).
            direction: same shape; above 0 a pulse up, below 0 one down, 0 none.
            xi: standard normal, same shape, above 0 where noise carries u up; None: no cycle-to-cycle noise.

        Returns:
            The hidden states after it.
        """
        d, is_up = self.devices, direction > 0
        step = torch.where(is_up, self.step(u, True), self.step(u, False))
        if xi is not None and d.noisy:
            scale = torch.where(is_up, d.up, d.down) if d.additive else step.abs()
            step = step + d.cycle * scale * xi
        return torch.where(direction == 0, u, d.settle(u + step))

    def train(self, u: Tensor, ups: Tensor, downs: Tensor, draw: Callable[[], Tensor] | None = None) -> Tensor:
        """All pulses one by one, those up first: the law that `advance` approximates.

        Args:
            u: hidden states (C, out, rows).
            ups, downs: pulses of each device, same shape.
            draw: gives standard normal numbers of that shape, once for each pulse; None: no cycle-to-cycle noise.
        """
        for counts, sign in ((ups, 1), (downs, -1)):
            for k in range(int(counts.max().item())):
                u = self.pulse(u, (counts > k) * sign, None if draw is None else draw())
        return u

    def advance(self, u: Tensor, ups: Tensor, downs: Tensor, numbers: Tensor | None = None) -> Tensor:
        """All pulses at once, those up first; see the module's text for what is exact.

        Args:
            u: hidden states (C, out, rows).
            ups, downs: pulses of each device, same shape.
            numbers: standard normal, (C, 2, out, rows), one for each direction; None: no cycle-to-cycle noise.
        """
        xi = (None, None) if numbers is None else numbers.unbind(1)
        for counts, up, number in ((ups, True, xi[0]), (downs, False, xi[1])):
            mean, variance = self.moments(u, counts, up, number is not None and self.devices.noisy)
            if number is not None and variance is not None:
                mean = mean + variance.sqrt() * number
            u = torch.where(counts == 0, u, self.devices.settle(mean))
        return u

    def nudge(self, u: Tensor, ups: Tensor, downs: Tensor) -> Tensor:
        """Fractions of pulses, to first order in their size and without noise: what a disturbance does."""
        return self.devices.settle(u + ups * self.step(u, True) + downs * self.step(u, False))

    def start(self, u: Tensor, number: Tensor | None = None) -> PulseState:
        """Devices set to u (C, out, rows), each within its own bounds; `number` feeds the write noise."""
        hidden = self.devices.settle(u)
        return PulseState(hidden, hidden if number is None else hidden + self.devices.write_noise * number)

    def write(self, state: PulseState, ups: Tensor, downs: Tensor, numbers: Tensor | None = None) -> PulseState:
        """An incremental write: pulses, and new write noise on every device that received one.

        Args:
            state: before it.
            ups, downs: pulses of each device, (C, out, rows).
            numbers: standard normal, (C, `self.numbers`, out, rows); None: no noise.
        """
        d = self.devices
        hidden = self.advance(state.hidden, ups, downs, numbers[:, :2] if d.noisy and numbers is not None else None)
        visible = hidden
        if d.written_noisily and numbers is not None:
            visible = hidden + d.write_noise * numbers[:, 2]
        return PulseState(hidden, torch.where((ups == 0) & (downs == 0), state.visible, visible))

    def symmetry_point(self) -> Tensor:
        """Where a mean step up and a mean step down cancel, (C, out, rows): alternating pulses lead there.

        Where one direction is stronger everywhere it is the bound which that leads to. Found by bisection, for curves
        that fall towards the bound which they lead to.
        """
        d = self.devices
        low, high = d.low, d.high
        for _ in range(60 if low.dtype == torch.float64 else 30):
            middle = (low + high) / 2
            rises = self.step(middle, True) + self.step(middle, False) > 0
            low, high = torch.where(rises, middle, low), torch.where(rises, high, middle)
        return d.settle((low + high) / 2)
