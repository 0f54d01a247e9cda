"""Thermal and shot noise: the floor under every read.

A conductance G at temperature T carries the current noise (Nyquist, Phys. Rev. 32:110, 1928)

    S_I = 4 k_B T G                 sigma_I^2 = S_I df,  df = 1 / (2 t_int)

whatever voltage lies across it: a row at 0 V is as noisy as a driven one. Carriers that cross a barrier one by one add
shot noise (Schottky, Ann. Phys. 362(23):541, 1918) that grows with the current,

    S_I = 2 q F |I|

with the Fano factor F: 1 for a barrier, 1/3 for a diffusive conductor, 0 for an ohmic one many scattering lengths long.
Both are white over every band of interest. An integration over t_int passes the noise bandwidth df = 1 / (2 t_int).

As a fluctuation of the conductance under the full read voltage V the variances are 4 k_B T G df / V^2 and
2 q F G df / V. Under a smaller voltage |x| V the current's variance is the same for thermal noise (`power` 0) and |x|
times that of the full voltage for shot noise (`power` 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from torch import Tensor

from device_models.conductance_effect import State
from device_models.effect import Site
from device_models.limits import READ_LASTS, Limit
from device_models.read_noise import ReadNoise, Scaled
from device_models.temperature import BOLTZMANN, ELEMENTARY_CHARGE
from device_models.units import Factor, PerChip, Time, Voltage


@dataclass(frozen=True)
class _Linear(ReadNoise):
    unit: Tensor  # variance per conductance, siemens, (chips, 1, 1)
    power: int  # type: ignore[misc]

    def variance(self, g: Tensor, programmed: Tensor | None = None, state: State | None = None) -> Tensor:
        return self.unit * g


class _Floor(Scaled):
    """What thermal and shot noise share."""

    read_voltage: Annotated[Voltage, Limit("1 uV", "100 V", "without a voltage nothing is read")]
    """Across a device under a full-scale input, volts."""
    integration_time: Annotated[Time, READ_LASTS]
    """For how long a read integrates the current, seconds; the noise bandwidth is 1 / (2 integration_time)."""

    @property
    def bandwidth(self) -> float:
        """df, hertz."""
        return 1 / (2 * self.integration_time)

    def _linear(self, site: Site, unit: Tensor, power: int) -> ReadNoise:
        """A variance of `unit` for each siemens, (C, 1, 1), before it is scaled."""
        return _Linear(self.scaled(site, 1.0).square() * unit, power)


class ThermalNoise(_Floor):
    """Nyquist noise: variance of the current 4 k_B T G df, whatever the input; T is the profile's `temperature`."""

    kind: Literal["thermal"]

    def build(self, site: Site) -> ReadNoise:
        unit = 4 * BOLTZMANN * self.bandwidth / self.read_voltage**2
        kelvin = site.per_chip(site.temperature, 2, "temperature")
        return self._linear(site, kelvin * unit, power=0)


class ShotNoise(_Floor):
    """Schottky noise: variance of the current 2 q F |I| df."""

    kind: Literal["shot"]
    fano: PerChip[Annotated[Factor, Limit(0, 1000, "full shot noise is 1; avalanches of carriers make more")]] = 1.0
    """F, no unit: 1 for carriers that cross a barrier one by one, 1/3 for a diffusive conductor."""

    def build(self, site: Site) -> ReadNoise:
        unit = 2 * ELEMENTARY_CHARGE * self.bandwidth / self.read_voltage
        return self._linear(site, site.per_chip(self.fano, 2, "read_noise.fano") * unit, power=1)
