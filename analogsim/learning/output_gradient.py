"""The gradient of the loss by the outputs, from what a scalar loss did when the outputs moved."""

from __future__ import annotations

import torch
from torch import Tensor

from analogsim.learning.contrasts import Contrasts, Quadratic, informative
from analogsim.learning.digital import lu


def scaled_gradient(contrasts: Contrasts) -> tuple[Tensor, Tensor]:
    """g = N p / tr S: the directional derivative along what moved, in N output dimensions.

    To first order dL = g . da, so p = S g with the contrasts' own S = sum da da^T. For isotropic noise the mean of
    N S / tr S is the identity. With one contrast that is all there is to know.

    Args:
        contrasts: of the output pre-activations; second moments are `power`.

    Returns:
        g (C, B, N), and whether an element held no information (C, B).
    """
    (p,), (power,), (mean,) = contrasts.products, contrasts.seconds, contrasts.signals
    known = informative(power, mean.square().sum(-1) * contrasts.samples)
    return (torch.where(known, p.shape[-1] / power.where(known, 1.0), 0.0))[..., None] * p, ~known


def gradient_operations(kind: Quadratic, outputs: int, contrasts: int) -> int:
    """Arithmetic operations of one sample: moments of the contrasts, then a factor (`power`) or a solution (`gram`)."""
    if kind == "power":
        return 5 * contrasts * outputs + outputs
    return contrasts * (3 * outputs + 2 * outputs**2) + lu(outputs, outputs + 1)


def least_squares_gradient(contrasts: Contrasts, shape: Tensor | None, ridge: float) -> tuple[Tensor, Tensor]:
    """g = (N / r)(S + ridge M)^-1 p with r = tr (S + ridge M)^-1 S: ridge regression of dL on da.

    K contrasts span r <= K of the N dimensions; what lies outside of them counts as in the mean, hence N / r. As ridge
    -> 0 and K >= N this is the exact gradient of a linear loss; with K = 1 and M ~ I it is `scaled_gradient`; for a
    large ridge it becomes N M^-1 p / tr M^-1 S. M has the trace of S over N: the ridge has no unit.

    Args:
        contrasts: of the output pre-activations; second moments are `gram`.
        shape: of the outputs' covariance, (C, N, N), with trace N; None: the identity.
        ridge: above 0.

    Returns:
        g (C, B, N), and whether an element held no information (C, B).
    """
    (p,), (gram,), (mean,) = contrasts.products, contrasts.seconds, contrasts.signals
    n = p.shape[-1]
    power = gram.diagonal(dim1=-2, dim2=-1).sum(-1)
    known = informative(power, mean.square().sum(-1) * contrasts.samples)
    eye = torch.eye(n, dtype=p.dtype, device=p.device)
    metric = eye if shape is None else shape[:, None]
    scaled = gram / power.where(known, 1.0)[..., None, None] * n  # trace N
    system = torch.where(known[..., None, None], scaled + ridge * metric, eye)
    solved = torch.linalg.solve_ex(system, torch.cat([scaled, p[..., None]], dim=-1), check_errors=False)[0]
    rank = solved[..., :n].diagonal(dim1=-2, dim2=-1).sum(-1)
    scale = torch.where(known, n * n / (rank * power).where(known, 1.0), 0.0)
    return scale[..., None] * solved[..., n], ~known


def shape_of(contrasts: Contrasts) -> Tensor:
    """The batch's mean of N S / tr S, (C, N, N), which has the trace N; 0 where nothing moved."""
    (gram,), (mean,) = contrasts.seconds, contrasts.signals
    power = gram.diagonal(dim1=-2, dim2=-1).sum(-1)
    known = informative(power, mean.square().sum(-1) * contrasts.samples)
    weights = torch.where(known, gram.shape[-1] / power.where(known, 1.0), 0.0)
    return torch.einsum("cb,cbnm->cnm", weights, gram) / known.sum(1).clamp(min=1)[:, None, None]
