"""NP's mean is the gradient: tested against autograd at the chips' true weights.

Why no bias of finite sigma is left. In a linear network with squared loss, L is quadratic in the injected eps; with
noise of the chips, so is its mean over that noise given eps: the mean pre-activations are linear in eps, and the read
noise of layer l has variance v_l = s_l^2 ||x_l||^2 with inputs x_l linear in eps. NP's mean is E[L eps] / sigma^2. Of
c + g.eps + eps.Q.eps / 2, the constant and the quadratic term give odd moments of a symmetric law, which are zero, and
the linear term gives g: exactly, for every sigma. A baseline does not depend on the probe's eps, so it adds nothing.

g belongs to the loss *averaged over the chip's noise*, L(mean) + tr Cov(a_out) / 2. Column noise does not depend on
the signal, so there g is dL/da itself; read noise grows with its row's input, and its power has a gradient of its own.
"""

from __future__ import annotations

import pytest
import torch

from analogsim.learning import RULES
from analogsim.network import Identity

CHIPS = 400
SIZES = [4, 5, 3, 2]
BASELINES = ["clean", "shared", "pairs", "centred"]


def replications(lab, chips=CHIPS, batch=3, **noise):
    """Chips that are all alike but for their noise: n = 400 independent estimates, each of K samples."""
    return lab.bench(SIZES, lab.profile(**noise), activation=Identity(), chips=chips, batch=batch, alike=True)


def np_directions(bench, baseline, samples=16, sigma=0.2):
    """NP's estimates of dL/da of one step, per layer (C, B, units)."""
    rule = RULES["np"](sigma=sigma, baseline=baseline, samples=samples)
    updates, _ = bench.update(rule, *bench.observe(rule))
    return [update.post for update in updates]


def mean_loss_gradients(bench, read_sigma):
    """d E[L] / da (C, B, units) of a linear network, over read noise of sigma G_max on devices with G_min = 0.

    E L = L(mean) + tr Cov(a_out) / 2; Cov(a_l) = W Cov(x_l) W^T + 2 (sigma w_max)^2 (||mean x_l||^2 + tr Cov(x_l)) I.
    """
    chips, batch = bench.task.inputs.shape[:2]
    weights = bench.chip.oracle.weights
    shifts = [w.new_zeros(chips, batch, w.shape[1]).requires_grad_() for w in weights]
    mean = bench.task.inputs
    covariance = mean.new_zeros(chips, batch, mean.shape[2], mean.shape[2])
    for layer, w, w_max, shift in zip(
        bench.rig.network.layers, weights, bench.chip.limits.weights, shifts, strict=True
    ):
        levels = layer.drive(mean)
        power = levels.square().sum(2) + covariance.diagonal(dim1=2, dim2=3).sum(2)
        variance = 2 * (read_sigma * w_max[:, :, 0]).square() * power
        w_inputs = w[:, None, :, : layer.inputs]
        covariance = w_inputs @ covariance @ w_inputs.transpose(2, 3)
        covariance = covariance + variance[..., None, None] * torch.eye(layer.columns, dtype=w.dtype)
        mean = levels @ w.transpose(1, 2) + shift
    loss = bench.task.loss(mean, bench.task.targets) + covariance.diagonal(dim1=2, dim2=3).sum(2) / 2
    return torch.autograd.grad(loss.sum(), shifts)


@pytest.mark.parametrize("baseline", BASELINES)
def test_column_noise_mean_is_the_gradient(lab, baseline):
    bench = replications(lab, column=3)
    true, _ = bench.gradients()
    found = np_directions(bench, baseline)
    largest, bound = lab.largest_t([g - t for g, t in zip(found, true, strict=True)])
    assert largest < bound
    largest, bound = lab.largest_t([g - 0.75 * t for g, t in zip(found, true, strict=True)])
    assert largest > bound, "n is too small to see a bias of a quarter"


@pytest.mark.parametrize("baseline", BASELINES)
def test_read_noise_mean_is_the_gradient_of_the_mean_loss(lab, baseline):
    """K = 250 at a large sigma; the noise's own gradient is part of the mean: without it the same bound is broken."""
    bench = replications(lab, batch=1, read=8)
    found = np_directions(bench, baseline, samples=250, sigma=0.5)
    true = mean_loss_gradients(bench, 0.08)
    largest, bound = lab.largest_t([g - t for g, t in zip(found, true, strict=True)])
    assert largest < bound
    noise_free, _ = bench.gradients()
    largest, bound = lab.largest_t([g - t for g, t in zip(found, noise_free, strict=True)])
    assert largest > bound


def test_mean_loss_without_noise_is_the_loss(lab):
    """The closed form above and autograd through the network agree where there is no noise."""
    bench = lab.bench(SIZES, activation=Identity(), chips=2)
    for a, b in zip(mean_loss_gradients(bench, 0.0), bench.gradients()[0], strict=True):
        torch.testing.assert_close(a, b)


def test_centring_the_loss_alone_is_biased(lab):
    """sum_k (L_k - mean L) eps_k / (G sigma^2) has the mean (1 - 1/G) g: with G = 2 a half is missing. n = 1000."""
    bench = replications(lab, 1000, column=1)
    true, _ = bench.gradients()
    sigma = 0.2
    rule = RULES["np"](sigma=sigma, baseline="centred", samples=1)
    plan = rule.plan(bench.rig.network)
    group = plan.samples
    bench.rig.next_batch()
    (seen,) = bench.rig.run(plan.probes, group)
    centred = seen.loss - seen.loss.mean(1, keepdim=True)
    naive = [torch.einsum("csb,csbn->cbn", centred, eps) / (group * sigma**2) for eps in seen.injected]
    largest, bound = lab.largest_t([g - t for g, t in zip(naive, true, strict=True)])
    assert largest > bound
    largest, bound = lab.largest_t([g - (1 - 1 / group) * t for g, t in zip(naive, true, strict=True)])
    assert largest < bound
    again = replications(lab, 1000, column=1)  # the same seed: the same numbers
    for a, b in zip(naive, np_directions(again, "centred", samples=1), strict=True):
        torch.testing.assert_close(a, b * (1 - 1 / group), rtol=1e-9, atol=1e-11)
