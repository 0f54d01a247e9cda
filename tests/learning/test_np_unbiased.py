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

from analogsim.learning import RULES, Copy
from analogsim.learning.rule import Counters
from analogsim.network import Identity
from analogsim.port import Periphery

CHIPS, SAMPLES, SIGMA = 1500, 2, 0.5
SIZES = [4, 5, 3, 2]
BASELINES = ["clean", "shared", "pairs", "centred"]


def replications(lab, **noise):
    """Chips that are all alike but for their noise: n = 1500 independent means of K = 2 samples each."""
    return lab.bench(SIZES, lab.profile(**noise), activation=Identity(), chips=CHIPS, alike=True)


def np_directions(bench, baseline, samples=SAMPLES):
    """NP's estimates of dL/da of one step, per layer (C, B, units)."""
    rule = RULES["np"](sigma=SIGMA, baseline=baseline, samples=samples)
    observed, estimate = bench.observe(rule)
    network = bench.rig.network
    copy = Copy(network, tuple(bench.weights), Periphery((None,) * network.depth))
    updates, _ = rule.update(observed, estimate, None, copy, Counters.zero(CHIPS, torch.device("cpu")))
    return [update.post for update in updates]


def mean_loss_gradients(bench, read_sigma):
    """d E[L] / da (C, B, units) of a linear network, over read noise of sigma G_max on devices with G_min = 0.

    E L = L(mean) + tr Cov(a_out) / 2, with Cov(a_l) = W Cov(x_l) W^T + 2 (sigma w_max)^2 (||mean x_l||^2 + tr Cov(x_l)).
    """
    chips, batch = bench.task.inputs.shape[:2]
    weights = bench.chip.oracle.weights
    shifts = [w.new_zeros(chips, batch, w.shape[1]).requires_grad_() for w in weights]
    mean = bench.task.inputs
    covariance = mean.new_zeros(chips, batch, mean.shape[2], mean.shape[2])
    for layer, w, w_max, shift in zip(bench.rig.network.layers, weights, bench.chip.limits, shifts, strict=True):
        levels = layer.drive(mean)
        power = levels.square().sum(2) + covariance.diagonal(dim1=2, dim2=3).sum(2)
        variance = 2 * (read_sigma * w_max[:, :, 0]).square() * power
        w_inputs = w[:, None, :, : layer.inputs]
        covariance = w_inputs @ covariance @ w_inputs.transpose(2, 3)
        covariance = covariance + variance[..., None, None] * torch.eye(layer.outputs, dtype=w.dtype)
        mean = levels @ w.transpose(1, 2) + shift
    loss = bench.task.loss(mean, bench.task.targets) + covariance.diagonal(dim1=2, dim2=3).sum(2) / 2
    return torch.autograd.grad(loss.sum(), shifts)


@pytest.mark.parametrize("baseline", BASELINES)
def test_column_noise_mean_is_the_gradient(lab, baseline):
    bench = replications(lab, column=5)
    true, _ = bench.gradients()
    found = np_directions(bench, baseline)
    largest, bound = lab.largest_t([g - t for g, t in zip(found, true, strict=True)])
    assert largest < bound
    largest, bound = lab.largest_t([g - 0.8 * t for g, t in zip(found, true, strict=True)])
    assert largest > bound, "n is too small to see a bias of 20 %"


@pytest.mark.parametrize("baseline", BASELINES)
def test_read_noise_mean_is_the_gradient_of_the_mean_loss(lab, baseline):
    bench = replications(lab, read=6)
    true = mean_loss_gradients(bench, 0.06)
    found = np_directions(bench, baseline)
    largest, bound = lab.largest_t([g - t for g, t in zip(found, true, strict=True)])
    assert largest < bound


def test_read_noise_has_a_gradient_of_its_own(lab):
    """At 6 % the gradient of the noise-free loss is seen to be another one; at 0.5 % the difference is lost in n."""
    bench = replications(lab, read=6)
    true, _ = bench.gradients()
    largest, bound = lab.largest_t([g - t for g, t in zip(np_directions(bench, "centred"), true, strict=True)])
    assert largest > bound
    quiet = replications(lab, read=0.5)
    true, _ = quiet.gradients()
    largest, bound = lab.largest_t([g - t for g, t in zip(np_directions(quiet, "clean"), true, strict=True)])
    assert largest < bound


def test_mean_loss_without_noise_is_the_loss(lab):
    """The closed form above and autograd through the network agree where there is no noise."""
    bench = lab.bench(SIZES, activation=Identity(), chips=2)
    for a, b in zip(mean_loss_gradients(bench, 0.0), bench.gradients()[0], strict=True):
        torch.testing.assert_close(a, b)


def test_centring_the_loss_alone_is_biased(lab):
    """sum_k (L_k - mean L) eps_k / (G sigma^2) has the mean (1 - 1/G) g: with G = 3 a third is missing."""
    bench = replications(lab, column=5)
    true, _ = bench.gradients()
    rule = RULES["np"](sigma=SIGMA, baseline="centred", samples=SAMPLES)
    plan = rule.plan(bench.rig.network)
    groups = plan.samples
    bench.rig.next_batch()
    (seen,) = bench.rig.run(plan.probes, groups)
    centred = seen.loss - seen.loss.mean(1, keepdim=True)
    naive = [torch.einsum("csb,csbn->cbn", centred, eps) / (groups * SIGMA**2) for eps in seen.injected]
    largest, bound = lab.largest_t([g - t for g, t in zip(naive, true, strict=True)])
    assert largest > bound
    largest, bound = lab.largest_t([g - (1 - 1 / groups) * t for g, t in zip(naive, true, strict=True)])
    assert largest < bound
    again = replications(lab, column=5)  # the same seed: the same numbers
    for a, b in zip(naive, np_directions(again, "centred"), strict=True):
        torch.testing.assert_close(a, b * (1 - 1 / groups), rtol=1e-9, atol=1e-11)
