"""Decorrelation of layer inputs: x* = R x, with R learned from x* alone.

Ahmad, Schrader, van Gerven, "Constrained parameter inference as a principle for learning", TMLR 2023; Dalm et al.,
section 2.2. The bias input is never decorrelated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, final

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from analogsim.learning.choice import Choice
from analogsim.learning.digital import Counts
from analogsim.network import Network


@final
class Decorrelation(BaseModel):
    """R <- R - rate [(1 - kappa) offdiag(C) + kappa (diag(C) - I)] R after every step, from R = I.

    C is the mean of x* x*^T. Every vector that drives a layer's rows is a sample: one for each element of a dense
    layer's batch, one for each position of a convolution's kernel. R rests where C is diagonal with kappa 0, where
    C = I with kappa in between, and where C has a diagonal of ones, correlations left alone, with kappa 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False, strict=True)
    """Step size alpha; not divided by the number of inputs."""
    kappa: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False, strict=True)
    """Between decorrelation (0) and bringing every variance to 1 (1); in between inputs are whitened, with 1/2 by
    R <- R - rate/2 (C - I) R."""
    preserve_power: bool = Field(default=False, strict=True)
    """After each update scale R, layer by layer, so that x* has the power of x."""
    share: float = Field(default=1.0, gt=0, le=1, allow_inf_nan=False, strict=True)
    """Share of a step's vectors that C is taken from, chosen at random: elements of the batch, patches of images."""
    layers: tuple[Annotated[int, Field(strict=True)], ...] | None = Field(default=None, min_length=1)
    """Numbers of the layers that are decorrelated, from 0, or from -1 for the last backwards; all unless given."""
    where: Literal["digital", "crossbar"] = "digital"
    """Where R is: in digital memory, or on a crossbar of its own of the layer's devices, read and written like any
    other."""

    def indices(self, depth: int) -> tuple[int, ...]:
        """Numbers of the decorrelated layers of a network with `depth` layers, from 0, in order.

        Raises:
            ValueError: there is no layer of that number, or one is named twice.
        """
        if self.layers is None:
            return tuple(range(depth))
        beyond = [index for index in self.layers if not -depth <= index < depth]
        if beyond:
            raise ValueError(
                f"decorrelation: there is no layer {beyond[0]}; layers are numbered 0 to {depth - 1}, or -1 to {-depth}"
            )
        found = tuple(sorted({index % depth for index in self.layers}))
        if len(found) < len(self.layers):
            raise ValueError(f"decorrelation: name each layer once (got {list(self.layers)})")
        return found

    def init(self, network: Network, chips: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor | None, ...]:
        """R of every layer: identities (C, fan_in, fan_in), or None where nothing is decorrelated."""
        wanted = self.indices(network.depth)
        return tuple(
            torch.eye(layer.fan_in, dtype=dtype, device=device).repeat(chips, 1, 1) if index in wanted else None
            for index, layer in enumerate(network.layers)
        )

    def digital_operations(self, network: Network, batch: int) -> Counts:
        """Arithmetic operations of a step of R, per layer: two products, in the order that takes fewer of them.

        0 where a layer has no R. Beside the products, n^2 is counted for each term of the step, and for a new power.
        """
        found, wanted = [], self.indices(network.depth)
        for index, layer in enumerate(network.layers):
            n, vectors = layer.fan_in, Choice.size(layer, batch, self.share)
            moments = 2 * n * n * min(2 * vectors, vectors + n)
            power = 2 * n * n * vectors + n * n if self.preserve_power else 0
            found.append((moments + 4 * n * n + power) * (index in wanted))
        return tuple(found)

    def update(self, r: Tensor, x: Tensor | Iterable[Tensor]) -> Tensor:
        """The next R, before its power is looked at.

        Args:
            r: (C, n, n).
            x: decorrelated vectors x* (C, M, n), without the bias; or blocks of them, along M.
        """
        correlated, own, count = _moments(r, [x] if isinstance(x, Tensor) else x)
        if self.kappa:
            own = own * (1 - 2 * self.kappa) + self.kappa * count
            correlated = correlated.mul_(1 - self.kappa)
        # (1 - kappa) offdiag(S) + kappa (diag(S) - M) = (1 - kappa) S - [(1 - 2 kappa) diag(S) + kappa M]
        return correlated.addcmul_(own[..., None], r, value=-1).mul_(-self.rate / count).add_(r)


def _moments(r: Tensor, blocks: Iterable[Tensor]) -> tuple[Tensor, Tensor, int]:
    """S R (C, n, n), the diagonal of S (C, n), M; with S the sum of x* x*^T over all M vectors."""
    total: Tensor | None = None
    squares: Tensor | None = None
    correlated: Tensor | None = None
    count = 0
    for x in blocks:
        turned, m = x.transpose(1, 2), x.shape[1]
        if m < x.shape[2]:  # two products of m x n x n instead of m x n x n and n x n x n
            correlated = _added(correlated, torch.bmm(turned, torch.bmm(x, r)))
        else:
            total = _added(total, torch.bmm(turned, x))
        squares = _added(squares, x.square().sum(1))  # several times as fast as vector_norm along this axis
        count += m
    if total is not None:
        correlated = _added(correlated, torch.bmm(total, r))
    assert correlated is not None and squares is not None
    return correlated, squares, count


def _added(total: Tensor | None, part: Tensor) -> Tensor:
    return part if total is None else total.add_(part)


def keep_power(r: Tensor, x: Iterable[Tensor]) -> Tensor:
    """R scaled so that R x has the power of x: R sqrt(sum ||x||^2 / sum ||R x||^2), one factor for each chip.

    A mean of ratios ||x|| / ||R x||, as it is also published, keeps the power only where all of them are equal.

    Args:
        r: (C, n, n).
        x: vectors before decorrelation, in blocks (C, M, n).
    """
    before: Tensor | None = None
    after: Tensor | None = None
    for v in x:
        before = _added(before, v.square().sum((1, 2)))
        after = _added(after, torch.bmm(v, r.transpose(1, 2)).square().sum((1, 2)))
    assert before is not None and after is not None
    known = after > 0
    return r * torch.where(known, before / torch.where(known, after, 1.0), 1.0).sqrt()[:, None, None]
