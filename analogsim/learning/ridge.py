"""Ridge regression of the gradients that node perturbation estimates on the vectors that feedback weights carry."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import Self

from analogsim.learning.digital import Counts, cholesky, lu
from analogsim.learning.feedback import Form
from analogsim.learning.rule import Copy
from analogsim.network import Network


class Ridge(NamedTuple):
    """Sums over all samples so far, one entry for each matrix B: B = (penalty I + S)^-1 T.

    It minimises sum ||B^T g - lambda||^2 + penalty ||B||^2 (Lansdell et al., eq. 18, as a sum: the penalty fades). With
    a digital R, lambda ~ R^T B^T g, so R^-T lambda is regressed; where a DAC clips, the true lambda is 0 and the fit
    does not know it. The sums are float64: after many samples the penalty is small beside them.

    Attributes:
        squares: S = sum g g^T, (C, m, m).
        products: T = sum g lambda^T, (C, m, n).
    """

    squares: tuple[Tensor, ...]
    products: tuple[Tensor, ...]

    @classmethod
    def zero(cls, copy: Copy, form: Form) -> Self:
        """Of no samples."""
        layers, w = copy.network.layers, copy.weights[0]
        if form == "fa":
            shapes = [(layer.columns, layer.fan_in) for layer in layers[1:]]
        else:
            shapes = [(layers[-1].units, layer.results) for layer in layers[:-1]]
        return cls(
            tuple(w.new_zeros(w.shape[0], m, m, dtype=torch.float64) for m, _ in shapes),
            tuple(w.new_zeros(w.shape[0], m, n, dtype=torch.float64) for m, n in shapes),
        )

    def add(self, copy: Copy, form: Form, vectors: Sequence[Tensor], targets: Sequence[Tensor]) -> Self:
        """With a batch.

        Args:
            copy: knows R.
            form: of the feedback.
            vectors: per layer g, (C, B, units).
            targets: for every layer but the last lambda, (C, B, units).
        """
        squares, products = [], []
        for index, target in enumerate(targets):
            g = (vectors[index + 1] if form == "fa" else vectors[-1]).double().transpose(1, 2)
            target = target.double()
            r = copy.periphery.decorrelation[index + 1] if form == "fa" else None
            if r is not None:  # lambda R^-1, row by row
                target = torch.linalg.solve_ex(r.double(), target, left=False)[0]
            squares.append(self.squares[index] + torch.bmm(g, g.transpose(1, 2)))
            products.append(self.products[index] + torch.bmm(g, target))
        return self._replace(squares=tuple(squares), products=tuple(products))

    def solve(self, penalty: float) -> tuple[Tensor, ...]:
        """B of each entry, (C, m, n), float64; not a number on chips whose sums are not."""
        found = []
        for s, t in zip(self.squares, self.products, strict=True):
            eye = torch.eye(s.shape[1], dtype=s.dtype, device=s.device)
            factor, _ = torch.linalg.cholesky_ex(s + penalty * eye)
            found.append(torch.cholesky_solve(t, factor))
        return tuple(found)


def ridge_operations(network: Network, form: Form, batch: int, decorrelated: Collection[int]) -> Counts:
    """Arithmetic operations of a step: sums of a batch, R^-1 of its targets, and a solution for B; per layer."""
    layers, found = network.layers, [0] * network.depth
    for index in range(network.depth - 1):
        place = index + 1 if form == "fa" else index
        m, n = layers[place].columns if form == "fa" else layers[-1].units, layers[index].results
        found[place] = 2 * batch * m * (m + n) + cholesky(m, n)
        if form == "fa" and place in decorrelated:
            found[place] += lu(n, batch)
    return tuple(found)


def require_plain(network: Network, form: Form) -> None:
    """Refuse a network with layers whose B is no plain matrix from g to lambda.

    Raises:
        ValueError: naming the first such pair of layers.
    """
    for index, (earlier, later) in enumerate(zip(network.layers, network.layers[1:], strict=False)):
        if earlier.after or (form == "fa" and (later.positions, later.fan_in) != (1, earlier.units)):
            behind = ", ".join(type(each).__name__ for each in (*earlier.after, later))
            raise ValueError(
                "solver ridge fits B as one matrix from layer to layer: it takes no operations behind hidden layers "
                f"and, with form fa, no convolutions behind the first (got {behind} behind layer {index}); "
                "choose solver sgd"
            )
