"""Column noise: what the amplifier of a column adds to its summed current, before the ADC."""

from __future__ import annotations

from torch import Tensor

from device_models.effect import Description, Site
from device_models.units import PerChip, Share


class ColumnNoise(Description):
    """White Gaussian noise on each column's current, drawn anew in every read and for every tile on its own."""

    sigma: PerChip[Share]
    """Standard deviation, percent of the current of one fully-on device (G = G_max) under a full-scale input."""

    def build(self, site: Site) -> Tensor:
        """Share of a fully-on device's full-scale current, shape (chips, 1, 1)."""
        return site.per_chip(self.sigma, 2, "column_noise.sigma")
