"""A linear teacher: new samples at every step, without end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from analogsim.randomness import Purpose, Streams
from analogsim.tasks.losses import Loss, SquaredError


class LinearTeacher:
    """y* = A x + sigma_t zeta, with A ~ N(0, 2/(inputs + outputs)) of each chip, x and zeta standard normal.

    The task of N. Hiratani, Y. Mehta, T. Lillicrap, P. Latham, NeurIPS 2022, section 4: the loss is 1/2 ||y - y*||^2.

    Args:
        inputs, outputs: numbers of them.
        seeds, ids: seed and number of each chip, which seed its teacher and its samples.
        noise: sigma_t.
        batch: samples of a step.
        dtype: of the tensors.

    Attributes:
        loss: of outputs.
        teachers: A, (C, outputs, inputs).

    Raises:
        ValueError: the noise is negative or not finite.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        seeds: Sequence[int],
        ids: Sequence[int],
        *,
        noise: float = 0.0,
        batch: int = 1,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        if not 0 <= noise < math.inf:
            raise ValueError(f"teacher noise is a finite standard deviation, not negative (got {noise})")
        self.loss: Loss = SquaredError()
        self._shape, self._noise, self._dtype = (batch, inputs + outputs), noise, dtype
        self._streams = Streams(seeds, ids, torch.device("cpu"))
        drawn = self._normal((outputs, inputs))
        self.teachers = drawn * math.sqrt(2 / (inputs + outputs))

    def next_batch(self) -> tuple[Tensor, Tensor]:
        """Inputs (C, B, inputs) and targets (C, B, outputs) of the next step."""
        drawn = self._normal(self._shape)
        x, zeta = drawn.split(self.teachers.shape[:0:-1], dim=2)
        return x, x @ self.teachers.transpose(1, 2) + self._noise * zeta

    def _normal(self, shape: tuple[int, int]) -> Tensor:
        generators = self._streams.generators(Purpose.DATA_ORDER)
        return torch.stack([torch.randn(shape, generator=g, dtype=self._dtype) for g in generators])
