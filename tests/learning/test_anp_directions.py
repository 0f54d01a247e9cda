"""NP and ANP side by side: parallel in one layer, different through two; ANP's mean where activities are isotropic."""

from __future__ import annotations

import pytest
import torch

from analogsim.learning import RULES
from analogsim.network import LeakyReLU
from analogsim.port import Injection, Observation, Pass

SIGMA = 0.01


def directions(rule, bench, baseline, estimate):
    """Estimates of dL/da per layer (C, B, units)."""
    updates, _ = bench.update(rule, baseline, estimate)
    return [update.post for update in updates]


def both_rules(lab, sizes, batch=20):
    """NP's and ANP's estimates from one and the same probe of a noise-free chip, and the probe's injection."""
    bench = lab.bench(sizes, chips=2, batch=batch, loss="cross_entropy")
    everything = frozenset({"inputs", "pre_activations", "injected"})
    bench.rig.next_batch()
    baseline, probe = bench.rig.run((Pass(clean=True), Pass(inject=Injection(SIGMA), record=everything)))
    found = {}
    for name in ("np", "anp"):
        rule = RULES[name](sigma=SIGMA, baseline="clean")
        estimate = rule.estimate(baseline, (probe,), bench.rig.network)
        found[name] = directions(rule, bench, baseline, estimate)
    injected = torch.cat([eps[:, 0] for eps in probe.injected], dim=2)
    return found["np"], found["anp"], injected


def cosine(a, b):
    return torch.nn.functional.cosine_similarity(a, b, dim=-1)


def test_single_layer_directions_agree_for_every_sample(lab):
    """da is eps there: ANP = N sigma^2 / ||eps||^2 x NP, sample by sample."""
    (node,), (activity,), eps = both_rules(lab, [6, 9])
    torch.testing.assert_close(cosine(node, activity), torch.ones(2, 20, dtype=torch.float64), rtol=0, atol=1e-9)
    ratio = 9 * SIGMA**2 / eps.square().sum(2, keepdim=True)
    assert ratio.std() > 0.1, "the ratio differs between samples"
    torch.testing.assert_close(activity, ratio * node, rtol=1e-8, atol=1e-12)


def test_two_layers_differ(lab):
    """Through two layers the output's da holds what the hidden layer sent there: no longer eps."""
    node, activity, eps = both_rules(lab, [6, 9, 4])
    ratio = 13 * SIGMA**2 / eps.square().sum(2, keepdim=True)
    assert (cosine(node[0], activity[0]) > 1 - 1e-9).all(), "the first layer's da is its eps still"
    assert (cosine(node[1], activity[1]).abs() < 0.999).any()
    assert not torch.allclose(activity[0], ratio * node[0], rtol=1e-3), "||da||^2 is larger than ||eps||^2"


@pytest.mark.parametrize("sizes", [[3, 5], [3, 4, 2]])
def test_every_unit_counts(lab, sizes):
    """||direction||^2 over all layers is (N dL)^2 / ||da||^2 with N the units of all layers, the output included."""
    bench = lab.bench(sizes, lab.profile(column=2), chips=3, batch=8)
    bench.rig.next_batch()
    baseline, probe = bench.rig.run((Pass(clean=True), Pass()))
    rule = RULES["anp"](baseline="clean")
    found = directions(rule, bench, baseline, rule.estimate(baseline, (probe,), bench.rig.network))
    pairs = zip(probe.pre_activations, baseline.pre_activations, strict=True)
    moved = sum((a - b)[:, 0].square().sum(2) for a, b in pairs)
    change = (probe.loss - baseline.loss)[:, 0]
    expected = (sum(sizes[1:]) * change).square() / moved
    torch.testing.assert_close(sum(g.square().sum(2) for g in found), expected)


@pytest.mark.parametrize("baseline", ["clean", "shared", "pairs", "centred"])
def test_single_layer_mean_is_the_gradient(lab, baseline):
    """ANP on the chip's own noise, one layer, squared loss: unbiased at every size of the noise.

    The noise of a layer's units is isotropic, so E[N da da^T / ||da||^2] = I, and the same with co-moments; the
    quadratic part of L is odd in the noise (of two passes: their sum is independent of their difference). n = 2000.
    """
    bench = lab.bench([3, 4], lab.profile(read=3), chips=2000, alike=True)
    true, _ = bench.gradients()
    rule = RULES["anp"](baseline=baseline, samples=2)
    found = directions(rule, bench, *bench.observe(rule))
    largest, bound = lab.largest_t([found[0] - true[0]])
    assert largest < bound
    largest, bound = lab.largest_t([found[0] - 0.75 * true[0]])
    assert largest > bound


def test_two_layers_credit_the_output_for_what_the_hidden_layer_sent_there(lab):
    """E[dL da_2] = sigma^2 (I + J J^T) g_2 and E[dL da_1] = sigma^2 g_1 to first order, J = W_2 diag f'(a_1).

    Moments of centred ANP before their scale, sigma = 1e-5, so second orders are 1e-5 of them; n = 2000 chips that
    differ in noise only, groups of 9. Without J J^T, or with it below, the same bound is broken.
    """
    sigma, sizes = 1e-5, [4, 6, 3]
    bench = lab.bench(sizes, chips=2000, batch=2, loss="cross_entropy", activation=LeakyReLU(0.3), alike=True)
    (below, above), _ = bench.gradients()
    rule = RULES["anp"](sigma=sigma, samples=8)
    _, estimate = bench.observe(rule)
    found = [p / ((estimate.samples - 1) * sigma**2) for p in estimate.products]
    layer = bench.rig.network.layers[0]
    slopes = layer.activation.derivative(layer.drive(bench.task.inputs) @ bench.weights[0].transpose(1, 2))
    j = bench.weights[1][:, None, :, :6] * slopes[:, :, None]
    sent = torch.einsum("cbij,cbkj,cbk->cbi", j, j, above)
    largest, bound = lab.largest_t([found[0] - below, found[1] - above - sent])
    assert largest < bound
    largest, bound = lab.largest_t([found[1] - above])
    assert largest > bound
    largest, bound = lab.largest_t([found[0] - 1.5 * below])
    assert largest > bound


def test_np_knows_only_its_own_perturbation(lab):
    """Whatever activities did, NP's direction comes from what was injected and from the loss."""
    bench = lab.bench([3, 4, 2], lab.profile(read=2), chips=2)
    rule = RULES["np"](sigma=0.1, baseline="shared")
    plan = rule.plan(bench.rig.network)
    (probe,) = plan.probes
    assert probe.record == {"injected"}
    bench.rig.next_batch()
    baseline, seen = bench.rig.run((plan.baseline, probe))
    estimate = rule.estimate(baseline, (seen,), bench.rig.network)
    moved = [torch.full_like(eps, torch.nan) for eps in seen.injected]
    noise = Observation(seen.loss, pre_activations=tuple(moved), injected=seen.injected)
    for a, b in zip(estimate.directions, rule.estimate(baseline, (noise,), bench.rig.network).directions, strict=True):
        assert torch.equal(a, b)
    change = (seen.loss - baseline.loss)[:, 0, :, None]
    for g, eps in zip(estimate.directions, seen.injected, strict=True):
        torch.testing.assert_close(g, change * eps[:, 0] / 0.1**2)
