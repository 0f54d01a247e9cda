"""Temperature: the constants that go with it, and how a thermally activated process depends on it.

A process of activation energy E_a runs at T faster than at T_ref by (Arrhenius 1889)

    AF = exp(E_a / k_B (1 / T_ref - 1 / T))

Constants: the SI's defining values, exact (CODATA 2018).
"""

from __future__ import annotations

import math

from torch import Tensor

from device_models.effect import Site
from device_models.units import Each

BOLTZMANN = 1.380649e-23
"""k_B, joules per kelvin."""
ELEMENTARY_CHARGE = 1.602176634e-19
"""q, coulombs."""


def acceleration(site: Site, energy: float, reference: float) -> Tensor:
    """How much faster than at `reference` a process runs at the chips' temperature, (chips, 1, 1).

    Args:
        site: whose chips.
        energy: E_a, joules.
        reference: T_ref, kelvin.
    """

    def factor(temperature: float) -> float:
        return math.exp(energy / BOLTZMANN * (1 / reference - 1 / temperature))

    t = site.temperature
    factors = Each(tuple(factor(each) for each in t.values)) if isinstance(t, Each) else factor(t)
    return site.per_chip(factors, 2, "temperature")
