"""Spread: variances and covariances of updates, and the dimension of activities."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import Self


class Spread(NamedTuple):
    """Mean and variance of draws that are seen one after the other.

        m <- m + d / n,   s <- s + d (x - m),   d = x - m before;   Var = s / (n - 1)

    (B. P. Welford, Technometrics 4:419, 1962).

    Attributes:
        seen: number of draws so far.
        mean: of them, (C, ...).
        squares: sum of squared deviations from the mean, (C, ...).
    """

    seen: int
    mean: Tensor
    squares: Tensor

    @classmethod
    def of(cls, draws: Iterable[Tensor]) -> Self:
        """Of some draws, (C, ...) each.

        Raises:
            ValueError: there are none.
        """
        spread: Self | None = None
        for draw in draws:
            spread = cls(1, draw.clone(), torch.zeros_like(draw)) if spread is None else spread.with_draw(draw)
        if spread is None:
            raise ValueError("there are no draws")
        return spread

    def with_draw(self, draw: Tensor) -> Self:
        """With one draw more."""
        change, count = draw - self.mean, self.seen + 1
        mean = self.mean + change / count
        return self._replace(seen=count, mean=mean, squares=self.squares + change * (draw - mean))

    @property
    def variance(self) -> Tensor:
        """Of each entry, (C, ...), unbiased.

        Raises:
            ValueError: there are less than two draws.
        """
        if self.seen < 2:
            raise ValueError(f"a variance takes at least 2 draws (got {self.seen})")
        return self.squares / (self.seen - 1)

    @property
    def trace(self) -> Tensor:
        """tr Cov: the sum of the variances of all entries, (C,)."""
        return self.variance.flatten(1).sum(1)


def covariance(a: Tensor, b: Tensor | None = None) -> Tensor:
    """Cov(a, b) over draws, unbiased, entry by entry: for small networks, as it has n^2 numbers.

    Args:
        a: (C, draws, ...); the rest is made flat.
        b: of the same draws, say the update of another layer; None: a.

    Returns:
        (C, numbers of a, numbers of b).

    Raises:
        ValueError: there are less than two draws, or not as many of a as of b.
    """
    x = a.flatten(2)
    y = x if b is None else b.flatten(2)
    count = x.shape[1]
    if count < 2 or y.shape[1] != count:
        raise ValueError(f"a covariance takes at least 2 draws, as many of both (got {count} and {y.shape[1]})")
    x, y = (each - each.mean(1, keepdim=True) for each in (x, y))
    return torch.bmm(x.transpose(1, 2), y) / (count - 1)


def participation_ratio(x: Tensor) -> Tensor:
    """(tr C)^2 / tr C^2 with the covariance C of activities: how many dimensions they fill (Hiratani et al., Fig. S3).

    It is 1 if they lie on a line, and n if they fill n dimensions evenly. B samples span B - 1 dimensions at most, and
    their estimate of n dimensions filled evenly by normal numbers is near 1 / (1/n + 1/B): take far more samples than
    the answer. Taken from the Gram matrix of the samples where they are fewer than the units.

    Args:
        x: activities, (C, B, n).

    Returns:
        (C,); nan where nothing varies.
    """
    centred = x - x.mean(1, keepdim=True)
    turned = centred.transpose(1, 2)
    gram = torch.bmm(centred, turned) if x.shape[1] < x.shape[2] else torch.bmm(turned, centred)
    return gram.diagonal(dim1=1, dim2=2).sum(1).square() / gram.square().sum((1, 2))
