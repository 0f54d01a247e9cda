"""1/f read noise, split into what differs between passes and what they share.

The spectrum of a device's conductance is S(f) = Q^2 G^2 / f between f_l = 1 / (t + t_r), with t the time since the
write, and f_h = 1 / (2 t_r), with t_r the duration of a read. Its variance, the accumulated noise that one read shows
against the programmed value, and its autocovariance are

    V(t)      = Q^2 G^2 ln(f_h / f_l) = Q^2 G^2 ln((t + t_r) / (2 t_r))
    R(tau, t) = Q^2 G^2 [Ci(2 pi f_h tau) - Ci(2 pi f_l tau)] = V(t) rho(tau)

with the cosine integral Ci. Two passes tau apart differ with variance 2 (V - R). For tau << t

    V - R = Q^2 G^2 Cin(pi tau / t_r),     Cin(x) = gamma + ln x - Ci(x)

which no longer depends on t. So a pass is modelled as G + sqrt(V - R) xi + sqrt(R) eta: xi white, drawn in every pass;
eta a standard normal state of the device, drawn at each write (sqrt(R) follows t). Exact are the variance of a read at
any time, and that of the difference of two successive passes. The approximation: passes k tau apart really differ
with 2 Q^2 G^2 Cin(k pi tau / t_r), logarithmically more (for t_r = 250 ns, tau = 1 us: 1.2 x for k = 2, 1.7 x for
k = 10), and eta really wanders (rho of the whole is 0.86 after 1 us, 0.56 after 1 ms and 0.25 after 1 s, an hour after
the write): reads of different steps are more alike here than on a chip, unless the device is written between them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor
from typing_extensions import Self

from device_models.effect import Description, Site
from device_models.read_noise import ReadNoise
from device_models.slow_noise import SlowNoise
from device_models.units import Factor, PerChip, Time

_SMALLEST = 1e-30  # stands for r = 0
_EULER = 0.5772156649015329


@dataclass(frozen=True)
class _Amplitude:
    """Q(r) = scale min(q / r^exponent, q_max), r = G_prog / G_max."""

    q: float
    exponent: float
    q_max: float
    g_max: float
    scale: Tensor  # (chips, 1, 1)

    def __call__(self, programmed: Tensor) -> Tensor:
        r = programmed.div(self.g_max).clamp_(min=_SMALLEST)
        return r.pow_(-self.exponent).mul_(self.q).clamp_(max=self.q_max) * self.scale


@dataclass(frozen=True)
class _SlowFlicker(SlowNoise):
    amplitude: _Amplitude
    t_r: float
    t0: float
    fast: float  # Cin(pi tau / t_r)

    def apply(self, g: Tensor, programmed: Tensor, xi: Tensor, elapsed: Tensor) -> Tensor:
        t = elapsed.clamp(min=self.t0)
        share = t.add_(self.t_r).div_(2 * self.t_r).log_().sub_(self.fast).clamp_(min=0).sqrt_().to(g.dtype)
        return (g + g * self.amplitude(programmed) * share * xi).clamp_(min=0)


@dataclass(frozen=True)
class _Flicker(ReadNoise):
    amplitude: _Amplitude
    fast: float  # Cin(pi tau / t_r)
    slow: SlowNoise | None
    uniform = False

    def variance(self, g: Tensor, programmed: Tensor | None = None) -> Tensor:
        q = self.amplitude(g if programmed is None else programmed)
        return (q * g).square_().mul_(self.fast)


class FlickerNoise(Description):
    """1/f noise of PSD Q^2 G^2 / f, Q = scale min(q / r^exponent, q_max), r = G_prog / G_max."""

    kind: Literal["flicker"]
    q: Factor
    """Q of a device at G_max, no unit."""
    exponent: Factor = 0.0
    """How fast Q grows towards small conductances, no unit."""
    q_max: Factor = 1.0
    """Largest Q, no unit."""
    t_r: Time = Field(gt=0)
    """Duration of a read, seconds: faster noise averages out."""
    t0: Time = Field(gt=0)
    """Time after a write, seconds, at which the published law begins; earlier reads are taken as of then."""
    pass_time: Time = Field(default=1e-6, gt=0)
    """Time from one pass of a step to the next, seconds: noise faster than that is white, the rest a device's state."""
    scale: PerChip[Factor] = 1.0
    """Factor on Q, no unit; 1 is the published device."""

    @model_validator(mode="after")
    def _passes_are_short(self) -> Self:
        if self.pass_time > self.t0 / 100 or self.t_r > self.t0 / 100:
            raise ValueError(
                f"pass_time and t_r must be at most a hundredth of t0 "
                f"(got pass_time {self.pass_time:g} s, t_r {self.t_r:g} s, t0 {self.t0:g} s)"
            )
        return self

    def build(self, site: Site) -> ReadNoise:
        scale = site.per_chip(self.scale, 2, "read_noise.scale")
        amplitude = _Amplitude(self.q, self.exponent, self.q_max, site.g_max, scale)
        fast = _cin(math.pi * self.pass_time / self.t_r)
        return _Flicker(amplitude, fast, _SlowFlicker(amplitude, self.t_r, self.t0, fast))


def _cin(x: float) -> float:
    """Cin(x) = gamma + ln x - Ci(x), the integral of (1 - cos u) / u from 0 to x."""
    from scipy.special import sici

    return x * x / 4 if x < 1e-4 else _EULER + math.log(x) - float(sici(x)[1])
