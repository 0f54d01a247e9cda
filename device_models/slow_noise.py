"""Slow noise: fluctuations that outlive a learning step, so that its passes all see the same.

A white read noise draws anew in every pass. Noise with memory must not: what two passes share is no difference between
them. It is a state of each device, one number drawn at each write.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor


class SlowNoise(ABC):
    """Slow noise of a population of chips."""

    @abstractmethod
    def apply(self, g: Tensor, programmed: Tensor, xi: Tensor, elapsed: Tensor) -> Tensor:
        """Conductances with the noise, siemens; not below zero.

        Args:
            g: drifted conductances, siemens, (chips, out, rows).
            programmed: conductances right after the write, same shape.
            xi: the devices' standard normal states, same shape.
            elapsed: seconds since each device's write, double precision, same shape.
        """
