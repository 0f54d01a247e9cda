"""I-V curve of a device: its current is not proportional to its voltage.

Oxide devices conduct as I = I_0 exp(-gap/g_0) sinh(V/V_0): the state sets a factor, the voltage a common curve
(Stanford model: Guan, Yu and Wong, IEEE Electron Device Lett. 33:1405 (2012); Jiang et al., IEEE Trans. Electron
Devices 63:1884 (2016)). With reads calibrated at full scale, an input x drives the current G f(x):

    f(x) = R sinh(kappa x / R) / sinh(kappa),     kappa = V_read / V_0,  R = full-scale input, driven with V_read

f is odd, exact at 0 and full scale, and below the line between them: the current at full scale is 2 cosh(kappa / 2)
times that at half scale, 2.16 for kappa = 0.8. Pulse-width inputs all have one voltage, so f does not concern them.

As f is common to the devices of an array, the array stays linear in f(x), its read noise too. Not covered: curves that
depend on the state (high-resistance states bend more), and the lower voltage of devices behind resistive wires.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from device_models.effect import Description, Site
from device_models.limits import Limit
from device_models.units import Factor, PerChip

_OHMIC = 1e-9  # below this, f differs from x by kappa^2 / 6, less than double precision resolves


class SinhConduction(Description):
    """Current as the hyperbolic sine of the voltage."""

    kappa: PerChip[Annotated[Factor, Limit(0, 100, "reads have about 0.8; at 100 a read would take 25 V")]]
    """Read voltage over V_0, no unit; 0 is an ohmic device. V_0 is 0.25 V in the default set of the Stanford RRAM model
    1.0.0 (Jiang and Wong, nanoHUB 2014, doi:10.4231/D37H1DN48): reads at 0.2 V then have 0.8."""

    def build(self, site: Site) -> Conduction:
        return Conduction(site.per_chip(self.kappa, 0, "conduction.kappa"))


@dataclass(frozen=True)
class Conduction:
    """I-V curves of a population of chips.

    Attributes:
        kappa: (C,), no unit.
    """

    kappa: Tensor

    def current(self, x: Tensor, full_scale: float) -> Tensor:
        """f(x): the input that an ohmic device would need for the same current.

        Written as sign(x) R e^(kappa (u - 1)) (1 - e^(-2 kappa u)) / (1 - e^(-2 kappa)), u = |x| / R: no large number
        is divided by another, and no small one cancels.

        Args:
            x: what drives the lines, units of the activations, (C, ..., rows).
            full_scale: R, same units.
        """
        kappa = self.kappa.reshape(-1, *(1,) * (x.dim() - 1))
        safe = kappa.clamp_min(_OHMIC)
        u = x.abs() / full_scale
        bent = (safe * (u - 1)).exp_() * torch.expm1(-2 * safe * u) / torch.expm1(-2 * safe)
        return torch.where(kappa < _OHMIC, x, torch.copysign(bent * full_scale, x))
