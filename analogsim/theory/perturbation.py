"""How noisy an update of node perturbation is: its angle to the gradient (eq. 6) and its covariance (eq. 8).

N. Hiratani, Y. Mehta, T. Lillicrap, P. Latham, "On the stability and scalability of node perturbation learning",
NeurIPS 2022, section 3. All as sigma -> 0, for one perturbation of each sample: the update of layer k is
s xi_k x_{k-1}^T with s = sum_m xi_m.g_m and g_m = dL/da_m (eq. 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


def mean_cosine(units: int, share: float = 1.0) -> float:
    """Mean cosine between the update of a layer by one sample and that sample's gradient.

        <cos> = Gamma((L+1)/2) / (sqrt(pi) Gamma(L/2+1)) rho 2F1(1/2, 1/2; L/2+1; rho^2),

    rho = |g_k| / sqrt(sum_m |g_m|^2), for L units of layer k. It goes as sqrt(2/pi) rho / sqrt(L) for large L, below
    the bound 1/sqrt(L) of eq. 6; for L = 1 it is the arcsine law, 2/pi arcsin(rho).

    Derivation: the cosine is sign(s) xi.u/|xi| with xi normal in L dimensions, u = g_k/|g_k| and s = rho xi.u +
    sqrt(1 - rho^2) w, where w is normal too. Its mean over w is erf(kappa xi.u / sqrt(2)) xi.u/|xi| with
    kappa = rho/sqrt(1 - rho^2); the derivative of its mean by kappa is an integral over the length of xi, then over its
    direction, which is a hypergeometric function, and so is its integral over rho.

    Args:
        units: L, at least 1.
        share: rho, between 0 and 1.

    Raises:
        ValueError: an argument is out of range.
    """
    if units < 1 or not 0 <= share <= 1:
        raise ValueError(f"a layer has at least one unit, a share is between 0 and 1 (got {units}, {share})")
    from scipy.special import gammaln

    log = gammaln((units + 1) / 2) - gammaln(units / 2 + 1)
    return float(np.exp(log) / np.sqrt(np.pi) * share * _halves(units / 2 + 1, share**2))


def _halves(c: float, z: float) -> float:
    """2F1(1/2, 1/2; c; z), which scipy's function does not know near z = 1 where c is large."""
    if c < 16:
        from scipy.special import hyp2f1

        return float(hyp2f1(0.5, 0.5, c, z))
    n = np.arange(40)  # the terms fall faster than n^-c
    return 1 + float(np.cumprod((n + 0.5) ** 2 / ((n + 1) * (n + c)) * z).sum())


class Covariance(NamedTuple):
    """Covariance of the updates of a layer pair or a whole network, by its terms: P weights, (P, P) each.

    Attributes:
        gradient: C_sgd, the covariance of the gradients of single samples.
        mean: <g x^T> (x) <g x^T>, the term that the paper's eq. 8 leaves out.
        noise: delta_kl <sum over all layers m of |g_m|^2 I (x) x x^T>.
    """

    gradient: Tensor
    mean: Tensor
    noise: Tensor

    @property
    def total(self) -> Tensor:
        """C_np = 2 C_sgd + mean + noise."""
        return 2 * self.gradient + self.mean + self.noise

    @property
    def published(self) -> Tensor:
        """2 C_sgd + noise, as eq. 8 has it."""
        return 2 * self.gradient + self.noise


def update_covariance(gradients: Sequence[Tensor], inputs: Sequence[Tensor]) -> Covariance:
    """Covariance of node perturbation's update by one sample, over samples and perturbations (eq. 8, completed).

    Derivation: <xi_ki xi_lj s^2> = delta_kl delta_ij sum_m |g_m|^2 + 2 g_ki g_lj, so the second moment of the update is
    2 <g x^T (x) g x^T> plus the noise term; the covariance is that minus the square of the mean, and
    2 <g x^T (x) g x^T> - <g x^T> (x) <g x^T> = 2 C_sgd + <g x^T> (x) <g x^T>.

    The mean of B independent samples has 1/B of it. Memory: P^2 numbers for P weights.

    Args:
        gradients: per layer dL/da of M samples that stand for all data, (M, units).
        inputs: per layer what drove the rows, (M, rows).

    Returns:
        The terms, (P, P); weights in the order of layers, units, rows.

    Raises:
        ValueError: numbers of samples differ.
    """
    counts = {len(each) for each in (*gradients, *inputs)}
    if len(counts) != 1 or len(gradients) != len(inputs):
        raise ValueError(f"give gradients and inputs of the same samples for each layer (got {sorted(counts)} samples)")
    samples = counts.pop()
    pairs = list(zip(gradients, inputs, strict=True))
    single = torch.cat([torch.einsum("mi,mj->mij", g, x).flatten(1) for g, x in pairs], dim=1)
    power = torch.stack([g.square().sum(1) for g in gradients]).sum(0)
    blocks = []
    for g, x in pairs:
        correlation = torch.einsum("m,mi,mj->ij", power, x, x) / samples
        blocks.append(torch.kron(torch.eye(g.shape[1], dtype=g.dtype, device=g.device), correlation))
    average = single.mean(0)
    mean = torch.outer(average, average)
    return Covariance(single.T @ single / samples - mean, mean, torch.block_diag(*blocks))
