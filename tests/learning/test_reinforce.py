"""REINFORCE: with an exact estimate it is backpropagation; without one its mean is."""

from __future__ import annotations

import pytest
import torch

from analogsim.learning import RULES, Controller
from analogsim.learning.estimates import MeanEstimate
from analogsim.learning.reinforce import OutputEstimate
from analogsim.learning.rule import Activities
from analogsim.network import Identity, LeakyReLU

BASELINES = ["clean", "shared", "pairs", "centred"]


@pytest.mark.parametrize("of_probes", [False, True])
@pytest.mark.parametrize("backward", ["copy", "transposed"])
def test_with_the_exact_error_it_is_backpropagation(lab, backward, of_probes):
    """Bit for bit, from one noisy pass: activities of the baseline, or as the mean of probes."""
    bench = lab.bench(
        [5, 7, 6, 3], lab.profile(read=1, bits=8), activation=LeakyReLU(0.1), chips=2, loss="cross_entropy"
    )
    bp, rule = RULES["bp"](backward=backward), RULES["reinforce"](backward=backward)
    bench.rig.next_batch()
    (seen,) = bench.rig.run((bp.plan(bench.rig.network).baseline,))
    error = seen.output_error[:, 0]
    exact = MeanEstimate(1, (error,), torch.zeros_like(error[..., 0]), None)
    estimate = OutputEstimate(exact, Activities.of(seen) if of_probes else None)
    baseline, deltas = (None if of_probes else seen), None
    if backward == "transposed":
        vector = rule.output_vector(baseline, estimate, None, None)
        assert torch.equal(vector, error)
        deltas = bench.rig.backward(vector, *rule.activities(baseline, estimate))
    expected, _ = bench.update(bp, seen, None, deltas)
    updates, _ = bench.update(rule, baseline, estimate, deltas)
    for a, b in zip(updates, expected, strict=True):
        assert torch.equal(a.post, b.post)
        assert torch.equal(a.pre, b.pre)


@pytest.mark.parametrize("perturb", ["output", "all"])
@pytest.mark.parametrize("baseline", BASELINES)
def test_its_mean_is_the_gradient(lab, baseline, perturb):
    """Linear net, squared loss, column noise: exact at every sigma, since even orders of L are odd moments here.

    n = 400 chips that differ in noise only, K = 8; Bonferroni's bound over all components of all layers.
    """
    bench = lab.bench([4, 5, 3, 2], lab.profile(column=3), activation=Identity(), chips=400, alike=True)
    true, _ = bench.gradients()
    rule = RULES["reinforce"](sigma=0.2, baseline=baseline, samples=8, perturb=perturb)
    updates, counters = bench.update(rule, *bench.observe(rule))
    found = [update.post for update in updates]
    largest, bound = lab.largest_t([g - t for g, t in zip(found, true, strict=True)])
    assert largest < bound
    largest, bound = lab.largest_t([g - 0.75 * t for g, t in zip(found, true, strict=True)])
    assert largest > bound, "n is too small to see a bias of a quarter"
    assert counters.vectors.unique().tolist() == [3]


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_estimate_at_the_output(lab, baseline):
    """Eq. 15 by hand; centred: both sides about the mean of the group, over its K = G - 1 degrees of freedom."""
    bench = lab.bench([4, 6, 3], lab.profile(read=1), chips=2, batch=5)
    rule = RULES["reinforce"](sigma=0.3, baseline=baseline, samples=3)
    plan = rule.plan(bench.rig.network)
    bench.rig.next_batch()
    reference = None if plan.baseline is None else bench.rig.run((plan.baseline,))[0].clone()
    probes = bench.rig.run(plan.probes, plan.samples)
    found = rule.estimate(reference, probes, bench.rig.network).gradient(0.3)
    xi, loss = probes[-1].injected[-1], probes[-1].loss
    if baseline == "centred":
        xi = xi - xi.mean(1, keepdim=True)
        before = loss.mean(1, keepdim=True)
    else:
        before = (probes[0] if reference is None else reference).loss
    torch.testing.assert_close(found, ((loss - before)[..., None] * xi).sum(1) / (3 * 0.3**2))


@pytest.mark.parametrize("perturb", ["output", "all"])
def test_to_first_order_its_mean_is_the_gradient_of_any_network(lab, perturb):
    """Leaky ReLU and cross entropy, sigma = 1e-5, no other noise; n = 1000 chips."""
    bench = lab.bench([4, 6, 3], activation=LeakyReLU(0.3), loss="cross_entropy", chips=1000, alike=True, batch=2)
    true, _ = bench.gradients()
    rule = RULES["reinforce"](sigma=1e-5, baseline="clean", samples=4, perturb=perturb)
    updates, _ = bench.update(rule, *bench.observe(rule))
    largest, bound = lab.largest_t([u.post - t for u, t in zip(updates, true, strict=True)])
    assert largest < bound
    largest, bound = lab.largest_t([u.post - 0.75 * t for u, t in zip(updates, true, strict=True)])
    assert largest > bound


def test_noise_of_hidden_layers_is_noise_of_the_estimate(lab):
    """E ||g||^2 = (n_out + 2) ||g_out||^2 for K = 1 from the output alone, + n_out sum of ||g_l||^2 of other layers.

    Gaussian perturbations, first order (sigma = 1e-5). n = 3000 chips for each of two batch elements.
    """
    bench = lab.bench([4, 6, 3], activation=LeakyReLU(0.3), chips=3000, alike=True, batch=2)
    (below, above), _ = bench.gradients()
    own = 5 * above.square().sum(2)
    for perturb, expected in (("output", own), ("all", own + 3 * below.square().sum(2))):
        rule = RULES["reinforce"](sigma=1e-5, baseline="clean", perturb=perturb)
        _, estimate = bench.observe(rule)
        power = estimate.gradient(rule.sigma).square().sum(2)
        largest, bound = lab.largest_t([power - expected])
        assert largest < bound
        largest, bound = lab.largest_t([power - own])
        assert (largest < bound) == (perturb == "output")


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("perturb", ["output", "all"])
def test_what_is_perturbed_and_seen(lab, baseline, perturb):
    network = lab.bench([4, 6, 5, 3]).rig.network
    plan = RULES["reinforce"](baseline=baseline, samples=3, perturb=perturb).plan(network)
    assert plan.passes == {"pairs": 6}.get(baseline, 4)
    assert plan.probes[-1].inject.layers == ((2,) if perturb == "output" else None)
    reference = {"pairs": plan.probes[0], "centred": plan.probes[0]}.get(baseline, plan.baseline)
    assert reference.record >= {"inputs", "pre_activations"}
    assert reference.clean == (baseline == "clean")
    passes = (*plan.probes, *([] if plan.baseline is None else [plan.baseline]))
    assert not any("output_error" in each.record for each in passes)


@pytest.mark.parametrize("backward", ["copy", "transposed"])
@pytest.mark.parametrize("baseline", ["pairs", "centred"])
def test_derivatives_are_taken_at_mean_activities(lab, baseline, backward):
    """Where no pass stands for the unperturbed network alone, also over chunks, on its way through the controller."""
    bench = lab.bench([4, 6, 3], lab.profile(read=1), activation=LeakyReLU(0.3), chips=2)
    rule = RULES["reinforce"](baseline=baseline, backward=backward, samples=4)
    seen = {}

    class Watched:
        def __getattr__(self, name):
            return getattr(rule, name)

        def update(self, start, estimate, deltas, copy, state):
            assert start is None
            assert (deltas is None) == (backward == "copy")
            updates, state = rule.update(start, estimate, deltas, copy, state)
            seen["updates"], seen["estimate"] = updates, estimate
            seen["w"] = copy.weights[1].clone()
            return updates, state

    Controller(bench.rig, Watched(), bench.weights, torch.optim.SGD, 1e-3, chunk=2).step()
    estimate, (first, last) = seen["estimate"], seen["updates"]
    assert torch.equal(last.post, estimate.gradient(rule.sigma))
    a, x = estimate.seen.pre_activations[0], estimate.seen.inputs[1]
    torch.testing.assert_close(last.pre, x)
    assert first.post.shape == a.shape
    if backward == "copy":
        back = last.post @ seen["w"][:, :, :6]
        torch.testing.assert_close(first.post, back * torch.where(a > 0, 1.0, 0.3))


def test_it_sends_derivatives_backwards():
    """So that networks without derivatives are refused for it, unlike for the other rules of perturbation."""
    assert RULES["reinforce"]().needs_derivatives
    for name in ("np", "anp", "inp", "wp", "spsa"):
        assert not RULES[name]().needs_derivatives
