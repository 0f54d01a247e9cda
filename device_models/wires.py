"""Wires: the resistance of word and bit lines, as an effective conductance.

An ohmic array is linear in its inputs, so its wires make y = G_eff x, whatever x: computed after a write, free in a
read. A conductance g[c,j,i] belongs to chip c, column j (bit line, output) and row i (word line, input) of one physical
array: the two polarities of differential pairs are two arrays, or, where their columns share the word lines, one array
with twice the columns. Row i is driven in front of column 0, column j is sensed (virtual ground) behind row n - 1; one
segment lies between neighbouring crossings, one more before the driver and one before the sense amplifier.

**First order** in the resistances, with D the share of each device's current that is lost:

    G_eff = G o (1 - D),   D[j,i] = r_b sum_k (n - max(i,k)) G[j,k] + r_w sum_k (min(j,k) + 1) G[k,i]

Two cumulative sums along each line give D in O(n m).

**Resummed**: G_eff = G / (1 + D), the same to first order, and between 0 and G for any resistance.

**Nodal**: the network's exact solution, see `wires_nodal`.

The deviation is ||G - G_nodal|| / ||G||, and a law misses the share ||G_law - G_nodal|| / ||G - G_nodal|| of it
(Frobenius norms). Measured on eight kinds of arrays (random, uniform, half of the devices off, blocks, single strong
lines, tall) of 32 and 64 lines, at most:

| largest D              | 4 %   | 8 %   | 25 %  | 50 %  |
|------------------------|-------|-------|-------|-------|
| deviation              | 2.9 % | 5.6 % | 16 %  | 26 %  |
| missed by first order  | 0.033 | 0.065 | 0.20  | 0.41  |
| missed when resummed   | 0.005 | 0.010 | 0.03  | 0.05  |

At a deviation of 8 % (D up to 13 %) first order misses 0.09 (random) and 0.10 (uniform). Of 64 x 64 (128 x 128) devices
the nodal solution takes 11 ms (76 ms) on one core, its attenuation three times that, a law less than 1 ms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from torch import Tensor

from device_models.effect import Description, Site
from device_models.limits import Limit
from device_models.units import PerChip, Resistance, Share
from device_models.wires_nodal import nodal_attenuation, nodal_conductance

_SEGMENT = Limit("0 ohm", "1 Mohm", "a segment from cell to cell has 0.1 to 10 ohm")

Solve = Literal["auto", "first_order", "resummed", "nodal"]

_RESUMMED_RANGE = 0.5
"""Largest D up to which the resummed law misses at most 6 % of the deviation (measured: 5 %)."""


class Wires(Description):
    """Resistance of the lines of an array."""

    resistance: PerChip[Annotated[Resistance, _SEGMENT]]
    """Of one segment of a word line, and of a bit line where `bit_line` does not differ, ohms."""
    bit_line: PerChip[Annotated[Resistance, _SEGMENT]] | None = None
    """Of one segment of a bit line, ohms."""
    solve: Solve = "auto"
    """`first_order` and `resummed` are cheap laws; `nodal` is exact; `auto` is the first order for each chip on which
    no device loses more than `tolerance`, nodal for the others."""
    tolerance: Share = 0.08
    """Largest share that a device may lose to first order for that law to be trusted, percent."""
    backward: Literal["same", "far"] = "same"
    """Ends that a backward read uses: `same`: columns are driven where they are sensed else, rows sensed where they are
    driven else; `far`: at the opposite ends."""

    def build(self, site: Site) -> IRDrop:
        exact = replace(site, dtype=torch.float64)
        word = exact.per_chip(self.resistance, 2, "wires.resistance")
        bit = word if self.bit_line is None else exact.per_chip(self.bit_line, 2, "wires.bit_line")
        return IRDrop(word, bit, self.solve, self.tolerance, self.backward)


@dataclass(frozen=True)
class IRDrop:
    """Wires of a population of chips. Conductances are (C, out, rows), siemens, throughout, for backward reads too.

    Attributes:
        word, bit: resistance of one segment of a word line, of a bit line; ohms, (C, 1, 1), double precision.
        solve, tolerance, backward: see `Wires`.
    """

    word: Tensor
    bit: Tensor
    solve: Solve
    tolerance: float
    backward: Literal["same", "far"]

    def effective(self, g: Tensor, *, backward: bool = False) -> Tensor:
        """G_eff: currents are y_j = sum_i G_eff[j,i] x_i; backward, y_i = sum_j G_eff[j,i] v_j.

        With `backward="same"` both directions have the same matrix, because resistor networks are reciprocal. In a
        backward read all rows are held at virtual ground, also those that nobody reads. `solve="auto"` looks at the
        largest loss of each chip: a tensor on an accelerator is waited for.

        Args:
            g: conductances.
            backward: columns are driven and rows sensed.
        """
        if backward and self.backward == "far":
            return self._from_the_far_ends().effective(g.transpose(1, 2)).transpose(1, 2)
        if self.solve == "nodal":
            return nodal_conductance(g, self.word, self.bit).to(g.dtype)
        loss = self.loss(g)
        result = g / (1 + loss) if self.solve == "resummed" else g * (1 - loss)
        if (chips := self._solved_exactly(loss)) is not None:
            result[chips] = nodal_conductance(g[chips], self.word[chips], self.bit[chips]).to(g.dtype)
        return result

    def attenuation(self, g: Tensor, *, backward: bool = False) -> Tensor:
        """The share of a device's own fluctuation that arrives in its column, also for G = 0: Var_eff = Var a^2.

        G_eff / G for the two laws; dG_eff / dG of the same device for the nodal solution, since the sneak currents of
        the others also flow where G = 0. The three agree to first order up to the loss that a device causes itself,
        of the order of D over the number of lines. Left out is what the other rows' currents do to the voltage across
        a noisy device: with inputs of random signs next to nothing, with equal inputs a column's standard deviation
        comes out 2 % too large at a largest D of 7 %, 6 % at 23 % (64 x 64, random). Left out, too, is the little of a
        device's noise that arrives in other columns.

        Args:
            g, backward: see `effective`.

        Returns:
            Between 0 and 1 in the range of the laws, no unit, shape of g.
        """
        if backward and self.backward == "far":
            return self._from_the_far_ends().attenuation(g.transpose(1, 2)).transpose(1, 2)
        if self.solve == "nodal":
            return nodal_attenuation(g, self.word, self.bit)[1].to(g.dtype)
        loss = self.loss(g)
        result = 1 / (1 + loss) if self.solve == "resummed" else 1 - loss
        if (chips := self._solved_exactly(loss)) is not None:
            result[chips] = nodal_attenuation(g[chips], self.word[chips], self.bit[chips])[1].to(g.dtype)
        return result

    def loss(self, g: Tensor) -> Tensor:
        """D: the share of each device's current that is lost to first order; no unit, shape of g.

        A segment carries the current of all devices beyond it, and its drop counts for all of them: one sum outwards,
        one sum back.
        """
        along_word = g.flip(1).cumsum(1).flip(1).cumsum(1)
        along_bit = g.cumsum(2).flip(2).cumsum(2).flip(2)
        return self.word.to(g.dtype) * along_word + self.bit.to(g.dtype) * along_bit

    def trusted(self, g: Tensor) -> Tensor:
        """Chips whose `effective(g)` lies within the range of the model that computes it, (C,)."""
        if self.solve in ("auto", "nodal"):
            return torch.ones(len(g), dtype=torch.bool, device=g.device)
        limit = self.tolerance if self.solve == "first_order" else _RESUMMED_RANGE
        return self.loss(g).amax(dim=(1, 2)) <= limit

    def _solved_exactly(self, loss: Tensor) -> Tensor | None:
        """Chips that `auto` hands to the nodal solution, (C,); None where there are none."""
        if self.solve != "auto":
            return None
        chips = loss.amax(dim=(1, 2)) > self.tolerance
        return chips if chips.any() else None

    def _from_the_far_ends(self) -> IRDrop:
        """Columns as word lines driven before row 0, rows as bit lines sensed behind the last column."""
        return replace(self, word=self.bit, bit=self.word, backward="same")
