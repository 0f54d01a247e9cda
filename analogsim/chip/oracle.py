"""Oracle: a chip's inner state, for diagnostics and tests."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from analogsim.chip.crossbar import Crossbar
from analogsim.chip.pair import Pair
from device_models import Cells


class Oracle:
    """A chip's inner state, which no learner sees."""

    def __init__(self, layers: tuple[Crossbar, ...], decorrelators: Mapping[int, Crossbar] | None = None) -> None:
        self._layers, self._decorrelators = layers, decorrelators or {}

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """Per layer the weights that the devices stand for, read noise aside, (C, outputs, rows).

        As of the last read, write or `Chip.settle`.
        """
        return tuple(crossbar.array.weights for crossbar in self._layers)

    @property
    def decorrelation(self) -> tuple[Tensor | None, ...]:
        """Per layer the R that crossbars of R stand for, drift compensation included, (C, fan_in, fan_in).

        None where a layer's R is not on a crossbar. As of the last read, write or `Chip.settle`.
        """
        found: list[Tensor | None] = []
        for index in range(len(self._layers)):
            crossbar = self._decorrelators.get(index)
            r = None if crossbar is None else crossbar.array.weights
            factor = None if crossbar is None else crossbar.compensation.factor
            found.append(r if r is None or factor is None else r * factor[:, None, None])
        return tuple(found)

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
