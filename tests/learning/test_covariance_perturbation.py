"""Covariance-aware ANP: unbiased with each layer's own covariance, and why the inverse is never taken across layers."""

from __future__ import annotations

import pytest
import torch

from analogsim.learning import RULES, Controller
from analogsim.learning.covariance_perturbation import beyond_rounding, unmixed
from analogsim.learning.rule import Counters
from analogsim.network import Identity, Network, Stack

SIGMA = 0.1


def spread(kind, chips=1):
    """Unequal, correlated variances of five units."""
    draw = torch.randn(chips, 5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    full = draw @ draw.transpose(1, 2) + 0.1 * torch.eye(5, dtype=torch.float64)
    return full if kind == "full" else full.diagonal(dim1=1, dim2=2)


def test_unmixing_solves_for_the_covariance():
    p = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    full = spread("full", 2)
    torch.testing.assert_close(unmixed(p, full, 0.0) @ full, p)
    variance = spread("diagonal", 2)
    torch.testing.assert_close(unmixed(p, variance, 0.0) * variance[:, None], p)
    mean = variance.mean(1)[:, None, None]
    for covariance in (full, variance):
        torch.testing.assert_close(unmixed(p, covariance, 1.0), p / mean)
    torch.testing.assert_close(unmixed(p, full, 0.3) @ (0.7 * full + 0.3 * mean * torch.eye(5)), p)


@pytest.mark.parametrize("kind", ["full", "diagonal"])
@pytest.mark.parametrize("shrinkage", [0.0, 0.3])
def test_units_that_never_move_get_nothing_and_disturb_nobody(kind, shrinkage):
    covariance, p = spread(kind), torch.ones(1, 3, 5, dtype=torch.float64)
    larger = torch.zeros(1, 6, *(6,) * (kind == "full"), dtype=torch.float64)
    larger[(slice(None), *(slice(5),) * (larger.dim() - 1))] = covariance
    found = unmixed(torch.cat([p, p[..., :1]], dim=2), larger, shrinkage)
    assert not found[..., 5].any()
    torch.testing.assert_close(found[..., :5], unmixed(p, covariance, shrinkage))
    assert not unmixed(p, torch.zeros_like(covariance), shrinkage).any()


def test_rounding_is_no_variance():
    tiny = torch.tensor([[1.0, 1e-33, 0.0]], dtype=torch.float64)
    assert beyond_rounding(tiny, torch.ones_like(tiny)).tolist() == [[1.0, 0.0, 0.0]]
    found = beyond_rounding(torch.diag_embed(tiny) + 1e-20 * (1 - torch.eye(3)), torch.ones_like(tiny))
    assert torch.equal(found[0].count_nonzero(), torch.tensor(1))


def linear_net(lab, chips):
    """Two linear layers, the noise injected before each: its exact covariances of a pass, s^2 I and s^2 (I + W W^T)."""
    bench = lab.bench([3, 5, 4], activation=Identity(), chips=chips, batch=2, alike=True)
    w = bench.weights[1][0, :, :5]
    first, second = (SIGMA**2 * torch.eye(n, dtype=w.dtype) for n in (5, 4))
    return bench, w, (first, second + SIGMA**2 * w @ w.T)


def with_covariances(rule, bench, covariances):
    copy = Controller(bench.rig, rule, bench.weights, torch.optim.SGD, 0.1).copy
    state = rule.init(copy, [])
    each = [c if rule.covariance == "full" else c.diagonal() for c in covariances]
    sums = tuple(c.expand(bench.rig.chips, *c.shape) for c in each)
    return copy, state._replace(sums=sums, weight=torch.ones_like(state.weight))


@pytest.mark.parametrize("samples", [1, 3])
def test_its_mean_is_the_gradient_in_a_linear_net_with_the_exact_covariance(lab, samples):
    """n = 2000 chips, squared loss: the quadratic part of L is odd in the estimate. ANP's mean is another."""
    bench, _, covariances = linear_net(lab, 2000)
    true, _ = bench.gradients()
    rule = RULES["canp"](sigma=SIGMA, samples=samples, covariance="full", shrinkage=1e-12)
    copy, state = with_covariances(rule, bench, covariances)
    baseline, estimate = bench.observe(rule)
    updates, _ = rule.update(baseline, estimate, None, copy, state)
    largest, bound = lab.largest_t([u.post - g for u, g in zip(updates, true, strict=True)])
    assert largest < bound
    anp = RULES["anp"](sigma=SIGMA, baseline="centred", samples=samples)
    updates, _ = bench.update(anp, *bench.observe(anp))
    largest, bound = lab.largest_t([u.post - g for u, g in zip(updates, true, strict=True)])
    assert largest > bound, "n is too small to see ANP's bias"


def test_across_layers_all_credit_goes_to_the_output(lab):
    """To first order p = (s^2 W^T g, (I + W W^T) s^2 g). Layer by layer its inverse is the gradient (W^T g, g); that of
    the joint covariance is (0, g): hidden layers would never learn. Exact, and with what chips show (n = 2000).
    """
    bench, w, (first, second) = linear_net(lab, 2000)
    g = torch.randn(1, 1, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    joint = torch.cat([torch.cat([first, first @ w.T], 1), torch.cat([w @ first, second], 1)], 0)[None]
    p = g @ torch.cat([w @ first, second], 1)
    alone = [unmixed(p[..., :5], first[None], 0.0), unmixed(p[..., 5:], second[None], 0.0)]
    torch.testing.assert_close(alone[0], g @ w)
    torch.testing.assert_close(alone[1], g)
    across = unmixed(p, joint, 0.0)
    torch.testing.assert_close(across[..., 5:], g)
    assert across[..., :5].abs().max() < 1e-10
    rule = RULES["canp"](sigma=SIGMA, samples=3, covariance="full", shrinkage=1e-12)
    _, estimate = bench.observe(rule)
    true, _ = bench.gradients()
    found = torch.cat([q / estimate.contrasts.free for q in estimate.contrasts.products], dim=2)
    across = unmixed(found, joint.expand(2000, 9, 9), 0.0)
    largest, bound = lab.largest_t([across[..., :5]])
    assert largest < bound
    largest, bound = lab.largest_t([across[..., 5:] - true[1]])
    assert largest < bound
    largest, bound = lab.largest_t([across[..., :5] - true[0]])
    assert largest > bound


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
@pytest.mark.parametrize("baseline", ["centred", "pairs"])
def test_the_running_covariance_is_that_of_the_noise(lab, covariance, baseline):
    """Injected noise of known covariance; mean over 200 chips' running estimates of 20 steps, K = 4, batch 2.

    `pairs` move one pass only, so its differences have the variance of one pass, as a centred group's co-moments have.
    n = 200 chips; the bound is Bonferroni's over all entries.
    """
    bench, _, covariances = linear_net(lab, 200)
    rule = RULES["canp"](sigma=SIGMA, samples=4, covariance=covariance, baseline=baseline, decay=0.9)
    controller = Controller(bench.rig, rule, bench.weights, torch.optim.SGD, 1e-30)
    for _ in range(20):
        controller.step()
    weight = controller.state.weight.reshape(-1, 1)
    assert weight[0].item() == pytest.approx(sum(0.9**k for k in range(20)))
    for found, exact in zip(controller.state.sums, covariances, strict=True):
        mean = found.flatten(1) / weight
        expected = (exact if covariance == "full" else exact.diagonal()).flatten()
        largest, bound = lab.largest_t([mean - expected])
        assert largest < bound
        largest, bound = lab.largest_t([mean - 0.8 * expected])
        assert largest > bound


def test_the_first_step_only_looks(lab):
    bench = lab.bench([5, 4, 3], lab.profile(column=1), chips=2, batch=4)
    controller = Controller(bench.rig, RULES["canp"](), bench.weights, torch.optim.SGD, 0.1)
    controller.step()
    assert all(torch.equal(a, b) for a, b in zip(controller.copy.weights, bench.weights, strict=True))
    assert controller.counters.silent.tolist() == [0, 0]
    controller.step()
    assert not any(torch.equal(a, b) for a, b in zip(controller.copy.weights, bench.weights, strict=True))
    assert isinstance(controller.counters, Counters)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_rounding_is_no_information(lab, covariance):
    """One chip of a noisy population has noise of 0 %, float32: it learns nothing, and its elements are silent."""
    bench = lab.bench([65, 33, 3], lab.profile(read=[0, 1]), chips=2, batch=7, dtype=torch.float32)
    rule = RULES["canp"](covariance=covariance, samples=4)
    controller = Controller(bench.rig, rule, bench.weights, torch.optim.SGD, 0.1, chunk=2)
    for _ in range(3):
        controller.step()
    silent = controller.counters.silent.tolist()
    assert silent[0] >= 14, "the second and third step"
    assert silent[1] == 0
    for now, before in zip(controller.copy.weights, bench.weights, strict=True):
        assert torch.equal(now[0], before[0])
        assert not torch.equal(now[1], before[1])


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_a_convolution_has_the_covariance_of_its_columns(lab, covariance):
    """Its positions share it: Sigma^-1 is applied to each position's channels."""
    stack = Stack((2, 6, 5))
    stack.conv(3, 3, 2, 1, Identity())
    stack.dense(4)
    network = Network(tuple(stack.layers))
    bench = lab.bench([network.inputs, network.outputs], lab.profile(column=1), network=network, chips=2, batch=6)
    rule = RULES["canp"](covariance=covariance, samples=3)
    controller = Controller(bench.rig, rule, bench.weights, torch.optim.SGD, 1e-30)
    for _ in range(2):
        controller.step()
    shape = (2, 3, 3) if covariance == "full" else (2, 3)
    assert controller.state.sums[0].shape == shape
    baseline, estimate = bench.observe(rule)
    updates, _ = rule.update(baseline, estimate, None, controller.copy, controller.state)
    maps = estimate.contrasts.products[0].unflatten(2, (3, 9)) / 3
    sigma = controller.state.sums[0] / controller.state.weight.reshape(2, *(1,) * (len(shape) - 1))
    for place in range(9):
        found = updates[0].post.unflatten(2, (3, 9))[..., place]
        torch.testing.assert_close(found, unmixed(maps[..., place], sigma, rule.shrinkage))
