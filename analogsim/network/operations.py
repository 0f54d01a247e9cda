"""Operations: what a layer computes digitally after its activation function, and the way back through it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor


class Operation(ABC):
    """A digital operation on the results of a layer. It has no weights."""

    masked: ClassVar[bool] = False
    """Whether it takes a mask that is drawn once for a batch (dropout)."""

    @abstractmethod
    def results(self, count: int) -> int:
        """Numbers that it makes of `count` numbers.

        Raises:
            ValueError: it cannot take that many.
        """

    def mask(self, uniform: Tensor) -> Tensor:
        """The mask that it takes, of uniform numbers shaped as its input.

        Raises:
            TypeError: it takes none.
        """
        raise TypeError(f"{type(self).__name__} takes no mask")

    @abstractmethod
    def __call__(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """The results.

        Args:
            x: (..., B, n); feature maps flat: channels, then rows, then columns.
            mask: broadcastable to x, or None where there is none.
        """

    @abstractmethod
    def adjoint(self, g: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
        """Derivatives by its inputs.

        Args:
            g: derivatives by its results, (..., B, results).
            x, mask: as in the forward direction.

        Returns:
            (..., B, n).
        """
