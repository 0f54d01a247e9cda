"""Geometry: how a layer lies on tiles."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Geometry:
    """How a layer lies on tiles.

    Attributes:
        tile: rows and columns of one tile.
    """

    tile: int

    def __post_init__(self) -> None:
        if self.tile < 1:
            raise ValueError(f"a tile has at least one row (got {self.tile})")

    def blocks(self, lines: int) -> list[slice]:
        """The lines of each block, in order; partial sums of blocks are added digitally."""
        return [slice(start, min(start + self.tile, lines)) for start in range(0, lines, self.tile)]
