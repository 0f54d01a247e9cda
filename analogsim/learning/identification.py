"""Identification: a model of a crossbar's weights, learned from what drove its rows and what its columns gave.

The regression is local to a layer. What drove the rows is known exactly, noise is in what was read: the setting in
which least squares is consistent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from analogsim.learning.digital import cholesky
from analogsim.network import Layer


class Reading(NamedTuple):
    """What was observed of a layer, the mean over the passes of a step.

    Attributes:
        layer: how vectors are cut.
        inputs: as observed, (C, B, observed).
        pre_activations: (C, B, units).
        rails: +1 or -1 where the converter clipped in one of the passes, else 0, (C, B, units); None: it never clips.
        decorrelation: R, or None.
    """

    layer: Layer
    inputs: Tensor
    pre_activations: Tensor
    rails: Tensor | None
    decorrelation: Tensor | None

    @property
    def vectors(self) -> int:
        """Number of vectors in the batch."""
        return self.pre_activations.shape[1] * self.layer.positions

    def residuals(self, weights: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Errors e = a - W^ v and vectors v in blocks, (C, M, columns) and (C, M, rows).

        A clipped value is a bound: the error counts only if the model's value lies inside of it.
        """
        turned = weights.transpose(1, 2)
        for block, v in self.layer.vectors(self.inputs, self.decorrelation):
            e = self.layer.by_column(self.pre_activations[:, block]) - torch.bmm(v, turned)
            if self.rails is not None:
                e = torch.where(self.layer.by_column(self.rails[:, block]) * e < 0, 0.0, e)
            yield e, v


def rails_of(mean: Tensor, peak: Tensor, limit: float | Tensor | None) -> Tensor | None:
    """+1 or -1 where |a| reached the converter's limit in one of the passes, else 0.

    Args:
        mean: mean a of the passes, (C, B, units).
        peak: largest |a| of the passes, (C, B, units).
        limit: of the converter, or one for each chip, (C,); None: it does not clip.
    """
    if limit is None:
        return None
    if isinstance(limit, Tensor):
        limit = limit[:, None, None]
    return torch.where(peak >= limit * (1 - 1e-6), mean.sign(), 0.0)


def nlms(weights: Tensor, reading: Reading, rate: float) -> Tensor:
    """Normalised LMS: the step rate x mean of e v^T / ||v||^2, to be added, (C, columns, rows).

    The error of the model turns with I - rate x mean of v v^T / ||v||^2, whose eigenvalues lie in [1 - rate, 1]: stable
    for every rate in (0, 2), whatever the inputs. White inputs of n rows shrink it by 1 - rate / n a step.
    """
    total = torch.zeros_like(weights)
    for e, v in reading.residuals(weights):
        power = v.square().sum(2, keepdim=True)
        total += torch.bmm((e / power.where(power > 0, 1.0)).transpose(1, 2), v)
    return total * (rate / reading.vectors)


def nlms_operations(layer: Layer, batch: int) -> int:
    """Arithmetic operations of a step: W^ v and e v^T of each vector, ||v||^2, and the step of W^."""
    weights = layer.columns * layer.rows
    return batch * layer.positions * (4 * weights + 2 * layer.rows) + 2 * weights


def rls_operations(layer: Layer, batch: int) -> int:
    """Arithmetic operations of a step: W^ v, e v^T and v v^T of each vector, the solution, and the step of W^."""
    weights = layer.columns * layer.rows
    sums = batch * layer.positions * (4 * weights + 2 * layer.rows**2)
    return sums + cholesky(layer.rows, layer.columns) + weights


def rls(
    weights: Tensor, information: Tensor, reading: Reading, forgetting: float, ridge: float
) -> tuple[Tensor, Tensor]:
    """Recursive least squares by blocks: P <- forgetting P + sum v v^T; the step sum e v^T (P + ridge I)^-1.

    Without forgetting W^ is after every step the minimum of sum ||a - W^ v||^2 + ridge ||W^ - W^_0||^2 over all data.
    With it old data count less, and the ridge bounds the step in directions that are not driven any more. The error
    D of the model obeys D (P + ridge I) D^T <= that of the step before: stable for any inputs. Rounding adds a few
    units in the last place of tr P to the ridge.

    Args:
        weights: W^ (C, columns, rows).
        information: P (C, rows, rows).
        reading: of the layer.
        forgetting: in (0, 1].
        ridge: above 0, in units of an input squared.

    Returns:
        What to add to W^, and the next P.
    """
    information, cross = information * forgetting, torch.zeros_like(weights)
    for e, v in reading.residuals(weights):
        information += torch.bmm(v.transpose(1, 2), v)
        cross += torch.bmm(e.transpose(1, 2), v)
    floor = 8 * torch.finfo(weights.dtype).eps * information.diagonal(dim1=1, dim2=2).sum(1)
    eye = torch.eye(weights.shape[2], dtype=weights.dtype, device=weights.device)
    system = information + (ridge + floor)[:, None, None] * eye
    factor = torch.linalg.cholesky_ex(system, check_errors=False)[0]
    return torch.cholesky_solve(cross.transpose(1, 2), factor).transpose(1, 2), information
