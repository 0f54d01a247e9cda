"""Random numbers that are handed out in order."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


class Handed:
    """Random numbers that several parts of a device take one after the other.

    Args:
        numbers: (C, count, out, rows); None: there are none.
    """

    def __init__(self, numbers: Tensor | None) -> None:
        self._left: list[Tensor] = [] if numbers is None else list(numbers.unbind(1))

    def take(self, count: int) -> Sequence[Tensor]:
        """The next ones, each (C, out, rows)."""
        taken, self._left = self._left[:count], self._left[count:]
        return taken
