"""Learned feedback: its fits have closed forms; what it fits is unbiased; at rate 0 it is feedback alignment."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analogsim.learning import RULES, Controller, Copy
from analogsim.learning.feedback import signal
from analogsim.learning.rule import Activities
from analogsim.network import Identity, Network, Sigmoid
from analogsim.port import Periphery

FOREVER = 10**9


def generators(chips):
    return [torch.Generator().manual_seed(chip) for chip in range(chips)]


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def clipping(lab):
    """A noisy chip whose converters clip, with R, and its copy."""
    bench = lab.bench([5, 6, 4, 3], lab.profile(read=2, bits=8, dac=0.5, adc=3.0), chips=2, batch=30)
    r = tuple(
        torch.eye(n, dtype=torch.float64) + 0.3 * random(2, n, n, seed=n)
        for n in (layer.inputs for layer in bench.rig.network.layers)
    )
    bench.rig.set_periphery(Periphery(r))
    return bench, Copy(bench.rig.network, tuple(bench.weights), Periphery(r), bench.rig.limits)


@pytest.mark.parametrize("form", ["fa", "dfa"])
@pytest.mark.parametrize("solver", ["sgd", "ridge"])
def test_at_rate_zero_it_is_feedback_alignment(lab, form, solver):
    """From the same observations on a noisy chip, updates and B are equal bit for bit; a fit makes them differ."""
    bench, copy = clipping(lab)
    rule = RULES["learned_feedback"](form=form, solver=solver, rate=0.0, sigma=0.1)
    fixed = RULES[form]()
    state, other = rule.init(copy, generators(2)), fixed.init(copy, generators(2))
    for step in range(3):
        baseline, estimate = bench.observe(rule)
        updates, state = rule.update(baseline, estimate, None, copy, state)
        expected, other = fixed.update(baseline, None, None, copy, other)
        same = [torch.equal(a.direction(), b.direction()) for a, b in zip(updates, expected, strict=True)]
        assert all(same) if solver == "sgd" else same == [step == 0, step == 0, True]
        for w, update in zip(bench.weights, updates, strict=True):
            w -= 0.1 * update.direction()
    equal = all(torch.equal(a, b) for a, b in zip(state.feedback, other.feedback, strict=True))
    assert equal == (solver == "sgd")


@pytest.mark.parametrize("form", ["fa", "dfa"])
def test_the_rule_goes_down_the_squared_distance(lab, form):
    """One step of the rule on a noisy chip: its estimates are the targets, its own vectors are sent back."""
    bench, copy = clipping(lab)
    rule = RULES["learned_feedback"](form=form, rate=0.2, sigma=0.1)
    state = rule.init(copy, generators(2))
    baseline, estimate = bench.observe(rule)
    updates, after = rule.update(baseline, estimate, None, copy, state)
    seen, vectors = Activities.of(baseline), [update.post for update in updates]
    for index, (b, moved) in enumerate(zip(state.feedback, after.feedback, strict=True)):
        free = b.clone().requires_grad_()
        residual = signal(copy, form, index, free, vectors, seen) - estimate.directions[index]
        (slope,) = torch.autograd.grad(residual.square().sum() / (2 * 30), free)
        torch.testing.assert_close(moved, b - 0.2 * slope, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("decorrelated", [False, True])
@pytest.mark.parametrize("form", ["fa", "dfa"])
def test_ridge_is_the_closed_form(lab, form, decorrelated):
    """numpy, over all samples of four steps; with R the estimates are first brought to where B ends."""
    bench, copy = clipping(lab)
    if not decorrelated:
        copy = copy._replace(periphery=Periphery((None,) * 3))
        bench.rig.set_periphery(copy.periphery)
    rule = RULES["learned_feedback"](form=form, solver="ridge", penalty=0.7, sigma=0.1, samples=2)
    state, seen = rule.init(copy, generators(2)), []
    for _ in range(4):
        baseline, estimate = bench.observe(rule)
        updates, state = rule.update(baseline, estimate, None, copy, state)
        seen.append(([update.post for update in updates], estimate.directions))
    for index, b in enumerate(state.feedback):
        for chip in range(2):
            behind = index + 1 if form == "fa" else -1
            g = np.concatenate([posts[behind][chip].numpy() for posts, _ in seen])
            targets = np.concatenate([directions[index][chip].numpy() for _, directions in seen])
            r = copy.periphery.decorrelation[index + 1]
            if r is not None and form == "fa":
                targets = targets @ np.linalg.inv(r[chip].numpy())
            want = np.linalg.solve(g.T @ g + 0.7 * np.eye(g.shape[1]), g.T @ targets)
            np.testing.assert_allclose(b[chip].numpy(), want, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("baseline", ["clean", "shared", "pairs"])
def test_chunks_and_means_of_samples(lab, baseline):
    """Five samples at once, and in chunks of two and three; each the mean of its samples."""
    bench, _ = clipping(lab)
    rule = RULES["learned_feedback"](baseline=baseline, samples=5, sigma=0.1)
    network, plan = bench.rig.network, rule.plan(bench.rig.network)
    bench.rig.next_batch()
    reference = None if plan.baseline is None else bench.rig.run((plan.baseline,))[0].clone()
    probes = [each.clone() for each in bench.rig.run(plan.probes, 5)]

    def part(samples):
        cut = lambda layers: None if layers is None else tuple(x[:, samples] for x in layers)  # noqa: E731
        error = [None if each.output_error is None else each.output_error[:, samples] for each in probes]
        chosen = [
            each._replace(
                loss=each.loss[:, samples],
                inputs=cut(each.inputs),
                pre_activations=cut(each.pre_activations),
                injected=cut(each.injected),
                output_error=e,
            )
            for each, e in zip(probes, error, strict=True)
        ]
        return rule.estimate(reference, chosen, network)

    whole, merged = part(slice(None)), part(slice(0, 2)).merge(part(slice(2, 5)))
    singles = [part(slice(k, k + 1)) for k in range(5)]
    for index, direction in enumerate(whole.directions):
        torch.testing.assert_close(direction, merged.directions[index], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(direction, sum(each.directions[index] for each in singles) / 5)
    (seen, error), (other, same) = whole.taught(reference), merged.taught(reference)
    torch.testing.assert_close(error, same)
    torch.testing.assert_close(error, sum(each.taught(reference)[1] for each in singles) / 5)
    for a, b in zip((*seen.inputs, *seen.pre_activations), (*other.inputs, *other.pre_activations), strict=True):
        torch.testing.assert_close(a, b)
    single = (whole if reference is None else reference).inputs[1]
    torch.testing.assert_close(seen.inputs[1], single if reference is None else single[:, 0])


@pytest.mark.parametrize("baseline", ["clean", "shared", "pairs"])
def test_estimates_are_unbiased(lab, baseline):
    """E[dL xi / sigma^2] = dL/dx of every hidden layer: linear network, squared loss, n = 500 noisy chips, alike."""
    profile = lab.profile(column=2)
    bench = lab.bench([4, 5, 6, 3], profile, activation=Identity(), chips=500, alike=True, batch=2)
    rule = RULES["learned_feedback"](baseline=baseline, samples=4, sigma=0.1)
    _, estimate = bench.observe(rule)
    true, _ = bench.gradients()
    deviations = [found - g for found, g in zip(estimate.directions[:-1], true[:-1], strict=True)]
    largest, bound = lab.largest_t(deviations)
    assert largest < bound
    assert not estimate.directions[-1].any(), "the output layer is not perturbed"
    assert lab.largest_t([1.5 * found for found in estimate.directions[:-1]])[0] > bound


@pytest.mark.parametrize("steps", [20, 80])
def test_the_upper_feedback_converges_as_least_squares_does(lab, steps):
    """W fixed, n = 80 chips alike: the mean squared error of the upper B is the closed form's, so it falls as 1/steps.

    With S = sum g g^T and Gaussian xi an estimate's error has covariance |lambda|^2 I + lambda_l lambda_l^T, |lambda|
    over all perturbed units: E||B - W||^2 = trace(S^-1 sum g g^T v S^-1), v = n_l |lambda|^2 + |lambda_l|^2.
    """
    bench = lab.bench([6, 8, 5, 3], activation=Sigmoid(), chips=80, alike=True, batch=12)
    rule = RULES["learned_feedback"](solver="ridge", penalty=1e-9, sigma=1e-3, warm_up=FOREVER)
    controller = Controller(bench.rig, rule, bench.weights, torch.optim.SGD, 0.1)
    for _ in range(steps):
        controller.step()
    assert all(torch.equal(a, b) for a, b in zip(controller.copy.weights, bench.weights, strict=True))
    w = bench.weights[2][:, :, :5]
    error = (controller.state.feedback[1] - w).square().sum((1, 2))
    true, _ = bench.gradients()
    e = true[-1][0]
    upper = e @ w[0]
    x = bench.task.inputs[0]
    a = [x := torch.nn.functional.pad(x, (0, 1), value=1.0) @ bench.weights[0][0].T]
    a.append(torch.nn.functional.pad(torch.sigmoid(a[0]), (0, 1), value=1.0) @ bench.weights[1][0].T)
    lower = (upper * Sigmoid().derivative(a[1])) @ bench.weights[1][0][:, :8]
    v = 5 * (upper.square().sum(1) + lower.square().sum(1)) + upper.square().sum(1)
    inverse = torch.linalg.inv(steps * e.T @ e)
    expected = torch.trace(inverse @ (steps * (e * v[:, None]).T @ e) @ inverse)
    largest, bound = lab.largest_t([(error / expected - 1)[:, None]])
    assert largest < bound
    assert lab.largest_t([(error / (4 * expected) - 1)[:, None]])[0] > bound, "and it tells a factor of four"


def test_weights_wait_for_the_feedback(lab):
    """In the warm-up B moves and W does not."""
    bench = lab.bench([5, 6, 3], lab.profile(read=1), chips=2)
    rule = RULES["learned_feedback"](warm_up=3, sigma=0.1)
    controller = Controller(bench.rig, rule, bench.weights, torch.optim.Adam, 0.1)
    for step in range(5):
        before = [w.clone() for w in controller.copy.weights], controller.state.feedback
        controller.step()
        moved = [not torch.equal(a, b) for a, b in zip(before[0], controller.copy.weights, strict=True)]
        assert moved == [step >= 3] * 2
        assert not torch.equal(before[1][0], controller.state.feedback[0])
    assert controller.counters.vectors.tolist() == [15, 15]


def test_passes(lab):
    network = Network.mlp([5, 6, 4, 3])
    passes = {"clean": 4, "shared": 4, "pairs": 6}
    for baseline, count in passes.items():
        plan = RULES["learned_feedback"](baseline=baseline, samples=3).plan(network)
        assert plan.passes == count
        assert {each.inject.layers for each in plan.probes if each.inject} == {(0, 1)}
        assert {each.inject.site for each in plan.probes if each.inject} == {"activation"}


def test_noisy_regressors_shrink_the_fit(lab):
    """One hidden layer, W fixed: B tends to E[g g^T] (E[g g^T] + Cov(noise of g))^-1 W, here with known parts.

    Cov(noise) is that of the recorded errors: n = 40 chips alike, their mean B against the fit with these moments.
    """
    bench = lab.bench([4, 5, 3], lab.profile(column=30), activation=Identity(), chips=40, alike=True, batch=8)
    rule = RULES["learned_feedback"](solver="ridge", penalty=1e-9, sigma=1.0, warm_up=FOREVER, samples=4)
    controller = Controller(bench.rig, rule, bench.weights, torch.optim.SGD, 0.1)
    for _ in range(100):
        controller.step()
    w, b = bench.weights[1][0, :, :5], controller.state.feedback[0]
    true, _ = bench.gradients()
    clean = true[-1][0].T @ true[-1][0] / 8
    noisy = controller.state.ridge.squares[0].mean(0) / 800
    want = torch.linalg.solve(noisy, clean @ w)
    assert (want - w).norm() > 0.1 * w.norm(), "the effect is there"
    largest, bound = lab.largest_t([(b - want).flatten(1)])
    assert largest < bound
    assert lab.largest_t([(b - w).flatten(1)])[0] > bound
