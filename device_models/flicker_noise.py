"""1/f read noise, with its memory.

The spectrum of a device's conductance is S(f) = Q^2 G^2 / f between f_l = 1 / (t + t_r) and f_h = 1 / (2 t_r), with t
the time since the write and t_r the duration of a read. Its variance is the accumulated noise that one read shows
against the programmed value (Nandakumar et al., ICECS 2019),

    V(t) = Q^2 G^2 ln(f_h / f_l) = Q^2 G^2 ln((t + t_r) / (2 t_r))

and its autocorrelation rho(tau) = [Ci(2 pi f_h tau) - Ci(2 pi f_l tau)] / ln(f_h / f_l): there is no correlation time.
Here it is a sum of relaxations (see `spectrum`) of correlation times from 1 / (2 pi f_h) to 1 / (2 pi f_l), which has
the same V(t) at every t, and in place of Ci the exponential integral, rho(tau) = [E1(2 pi f_l tau) - E1(2 pi f_h tau)]
/ ln(f_h / f_l). For t_r << tau << t both are the same; rho is above the closed form by 2 pi tau / (t ln(f_h / f_l)) at
first, which is a hundredth where tau is a thirtieth of t.

With `slope` a the spectrum is Q^2 G^2 f^-a (f in Hz) between the same ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import model_validator
from torch import Tensor
from typing_extensions import Self

from device_models.clipped_log import ClippedLog
from device_models.conductance_effect import State
from device_models.effect import Description, Site
from device_models.limits import LAW_BEGINS, READ_LASTS, SCALE, Limit
from device_models.read_noise import ReadNoise
from device_models.slow_noise import SlowNoise
from device_models.spectrum import Powers, Relaxation, edges, middle
from device_models.units import Factor, PerChip, Time

_SMALLEST = 1e-30  # stands for r = 0
_Q = Limit(0, 1, "at 1 the noise of a decade of frequencies exceeds what it is a share of")
_LONGEST = 1e9  # seconds: the slowest relaxation stands for all beyond


@dataclass(frozen=True)
class _PowerLaw:
    """Q(r) = min(q / r^exponent, q_max), r = G_prog / G_max."""

    q: float
    exponent: float
    q_max: float

    def __call__(self, r: Tensor) -> Tensor:
        return r.clamp(min=_SMALLEST).pow_(-self.exponent).mul_(self.q).clamp_(max=self.q_max)


@dataclass(frozen=True)
class _Amplitude:
    """Q(G_prog) G, or Q(G_prog) G_max; siemens."""

    law: _PowerLaw | ClippedLog
    g_max: float
    absolute: bool
    scale: Tensor  # (chips, 1, 1)

    def __call__(self, g: Tensor, programmed: Tensor) -> Tensor:
        q = self.law(programmed / self.g_max) * self.scale
        return q * self.g_max if self.absolute else q * g


@dataclass(frozen=True)
class _SlowFlicker(SlowNoise):
    law: _Amplitude
    density: Powers
    bins: tuple[float, ...]  # ends, seconds, without the last
    t_r: float
    t0: float

    @property
    def taus(self) -> tuple[float, ...]:  # type: ignore[override]
        return tuple(middle(low, high) for low, high in zip(self.bins, (*self.bins[1:], _LONGEST), strict=True))

    def amplitude(self, g: Tensor, programmed: Tensor) -> Tensor:
        return self.law(g, programmed)

    def _reached(self, elapsed: Tensor) -> Tensor:
        """The primitive of the density at the longest correlation time that the time since the write allows."""
        longest = elapsed.clamp(min=self.t0).add_(self.t_r).div_(2 * math.pi)
        if self.density.slope == 1:
            return longest.log_()
        return longest.pow_(self.density.slope - 1).mul_(self.density.primitive(1.0))

    def weights(self, elapsed: Tensor) -> Sequence[Tensor]:
        reached = self._reached(elapsed)
        ends = [self.density.primitive(end) for end in self.bins]
        widths = [high - low for low, high in zip(ends, [*ends[1:], math.inf], strict=True)]
        return [(reached - end).clamp_(min=0, max=width) for end, width in zip(ends, widths, strict=True)]

    def active(self, elapsed: float) -> int:
        longest = (max(elapsed, self.t0) + self.t_r) / (2 * math.pi)
        return max(1, sum(end < longest for end in self.bins))

    def total(self, elapsed: Tensor) -> Tensor:
        return self._reached(elapsed).sub_(self.density.primitive(self.bins[0])).clamp_(min=0)


@dataclass(frozen=True)
class _Flicker(ReadNoise):
    law: _Amplitude
    white: float  # type: ignore[misc]
    passing: tuple[Relaxation, ...]  # type: ignore[misc]
    slow: SlowNoise  # type: ignore[misc]

    def variance(self, g: Tensor, programmed: Tensor | None = None, state: State | None = None) -> Tensor:
        return self.law(g, g if programmed is None else programmed).square_()


class FlickerNoise(Description):
    """1/f noise of spectrum Q^2 G^2 / f; Q = scale min(q / r^exponent, q_max), or scale law(r), r = G_prog / G_max."""

    kind: Literal["flicker"]
    q: Annotated[Factor, _Q] | None = None
    """Q of a device at G_max, no unit."""
    exponent: Annotated[Factor, Limit(0, 3, "published noise grows as r^-0.65; small r would be nothing but noise")] = (
        0.0
    )
    """How fast Q grows towards small conductances, no unit."""
    q_max: Annotated[Factor, _Q] = 1.0
    """Largest Q, no unit."""
    law: ClippedLog | None = None
    """Q as a function of r, in place of `q`, `exponent` and `q_max`; no unit."""
    relative_to: Literal["conductance", "g_max"] = "conductance"
    """What Q is a share of: the device's own conductance, or G_max."""
    slope: Annotated[Factor, Limit(0.5, 1.5, "1/f noise of devices has about 1; beyond, it is another kind")] = 1.0
    """Exponent a of the spectrum f^-a, no unit."""
    t_r: Annotated[Time, READ_LASTS]
    """Duration of a read, seconds: faster noise averages out."""
    t0: Annotated[Time, LAW_BEGINS]
    """Time after a write, seconds, at which the published law begins; earlier reads are taken as of then."""
    scale: PerChip[Annotated[Factor, SCALE]] = 1.0
    """Factor on Q, no unit; 1 is the published device."""

    @model_validator(mode="after")
    def _one_amplitude(self) -> Self:
        if (self.q is None) == (self.law is None):
            raise ValueError("give Q either by `q` (with `exponent` and `q_max`) or by `law`")
        if self.t_r > self.t0 / 100:
            raise ValueError(f"t_r must be at most a hundredth of t0 (got t_r {self.t_r:g} s, t0 {self.t0:g} s)")
        return self

    def build(self, site: Site) -> ReadNoise:
        scale = site.per_chip(self.scale, 2, "read_noise.scale")
        law = self.law or _PowerLaw(self.q or 0.0, self.exponent, self.q_max)
        amplitude = _Amplitude(law, site.g_max, self.relative_to == "g_max", scale)
        density, shortest = Powers(self.slope), self.t_r / math.pi
        split = site.split(shortest)
        parts = edges(split.passing, split.slow) if split.passing < split.slow else []
        passing = tuple(
            Relaxation(density.weight(low, high), middle(low, high))
            for low, high in zip(parts, parts[1:], strict=False)
        )
        bins = tuple(edges(split.slow, _LONGEST)[:-1])
        slow = _SlowFlicker(amplitude, density, bins, self.t_r, self.t0)
        return _Flicker(amplitude, density.weight(shortest, split.passing), passing, slow)
