"""Oracle: a chip's inner state, for diagnostics and tests."""

from __future__ import annotations

from torch import Tensor

from analogsim.chip.crossbar import Crossbar
from analogsim.chip.pair import Pair
from device_models import Cells


class Oracle:
    """A chip's inner state, which no learner sees."""

    def __init__(self, layers: tuple[Crossbar, ...]) -> None:
        self._layers = layers

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """Per layer the weights that the devices stand for, read noise aside, (C, outputs, rows).

        As of the last read, write or `Chip.settle`.
        """
        return tuple(crossbar.array.weights for crossbar in self._layers)

    @property
    def compensation(self) -> tuple[Tensor | None, ...]:
        """Per layer the digital factor on its results that compensates drift, (C,), or None: there is none."""
        return tuple(crossbar.compensation.factor for crossbar in self._layers)

    @property
    def conductances(self) -> tuple[tuple[Tensor, ...], ...]:
        """Per layer (G+, G-), siemens, each (C, outputs, rows); as of the last read, write or `Chip.settle`.

        With slices (G+, G-, G+, G-, ...), the most significant first.
        """
        return tuple(tuple(cells.conductance for cells in layer) for layer in self.cells)

    @property
    def cells(self) -> tuple[tuple[Cells, ...], ...]:
        """Per layer the devices of either polarity: targets, conductances, drift exponents, times of their writes.

        With slices those of each, the most significant first.
        """
        return tuple(tuple(cells for pair in layer for cells in pair.sides) for layer in self.pairs)

    @property
    def pairs(self) -> tuple[tuple[Pair, ...], ...]:
        """Per layer its device pairs, by slice; live."""
        return tuple(tuple(crossbar.array.pairs) for crossbar in self._layers)
