"""Weight perturbation: how a chip adds to its weights for the time of a pass.

Without a path of its own a perturbation is a write, and taking it back is another. A path (a switched capacitor at each
crossing, say) adds it to the column currents of the pass and leaves the devices alone. Assumed form: exact, without
noise, not bounded by the range of the devices.
"""

from __future__ import annotations

from pydantic import Field

from device_models.effect import Description


class WeightPerturbation(Description):
    """How perturbations of weights come about."""

    path: bool = Field(default=False, strict=True)
    """Whether there is a path for them. Without one the devices are written before the pass and after it."""
