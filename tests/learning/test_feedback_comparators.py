"""Synthetic gradients and matching: fixed points and closed forms."""

from __future__ import annotations

import pytest
import torch

from analogsim.learning import RULES, Controller, Decorrelation, WeightDecay
from analogsim.network import LeakyReLU


def trained(bench, rule, optimizer, steps, decay=None):
    """The controller, and B - W of every layer but the first at the beginning and after each step."""
    controller = Controller(bench.rig, rule, bench.weights, optimizer, 0.05, decay=decay)
    apart = [distances(controller)]
    for _ in range(steps):
        controller.step()
        apart.append(distances(controller))
    return controller, apart


def distances(controller):
    """B as of the last update belongs to the weights before it."""
    state = controller.state
    return [b - w for b, w in zip(state.feedback, state.last, strict=True)]


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_matching_without_decay_keeps_its_distance(lab, optimizer):
    """B - W stays as it was drawn, whatever the optimiser does; noisy chips."""
    bench = lab.bench([5, 6, 4, 3], lab.profile(read=1, bits=8), chips=2, batch=7)
    controller, apart = trained(bench, RULES["matching"](), optimizer, 12)
    assert not torch.allclose(controller.copy.weights[1], bench.weights[1], atol=1e-2), "W has moved"
    for layer, first in enumerate(apart[0]):
        assert first.norm() > 0.5
        torch.testing.assert_close(apart[-1][layer], first, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_matching_with_decay_shrinks_its_distance(lab, optimizer):
    """Weight decay takes rate x strength of W at a step: B - W shrinks by 1 - decay at every step after the first."""
    bench = lab.bench([5, 6, 4, 3], lab.profile(read=1, bits=8), chips=2, batch=7)
    steps, decay = 12, 0.05 * 0.8
    rule = RULES["matching"](decay=decay)
    controller, apart = trained(bench, rule, optimizer, steps, WeightDecay(strength=0.8))
    for done in range(1, steps + 1):
        for layer, first in enumerate(apart[0]):
            torch.testing.assert_close(apart[done][layer], first * (1 - decay) ** (done - 1), rtol=1e-10, atol=1e-12)
    assert controller.state.steps.tolist() == [steps, steps]


@pytest.mark.parametrize("backward", ["transposed", "copy"])
def test_synthetic_gradients_rest_where_feedback_is_the_weights(lab, backward):
    """On an ideal chip B = W^T is a fixed point with R, and its update is the gradient; another B moves."""
    bench = lab.bench([5, 6, 4, 3], activation=LeakyReLU(0.2), chips=2, batch=7, loss="cross_entropy")
    rule = RULES["synthetic_gradient"](backward=backward, rate=0.3)
    rates = torch.optim.SGD, 1e-3, Decorrelation(rate=0.05)
    controller = Controller(bench.rig, rule, bench.weights, *rates)
    for _ in range(3):
        controller.step()
    before = controller.state.feedback
    weights = [w.clone() for w in controller.copy.weights]
    exact = tuple(w[:, :, :-1].clone() for w in weights[1:])
    controller.state = controller.state._replace(feedback=exact)
    _, true = bench.gradients(controller.copy.periphery.decorrelation)
    controller.step()
    for b, w in zip(controller.state.feedback, exact, strict=True):
        torch.testing.assert_close(b, w, rtol=1e-9, atol=1e-11)
    for now, old, g in zip(controller.copy.weights, weights, true, strict=True):
        torch.testing.assert_close(old - now, 1e-3 * g, rtol=1e-7, atol=1e-12)
    controller.state = controller.state._replace(feedback=before)
    controller.step()
    assert not any(torch.allclose(a, b, rtol=1e-6) for a, b in zip(controller.state.feedback, before, strict=True))


@pytest.mark.parametrize("form", ["fa", "dfa"])
def test_synthetic_gradients_step_down_their_distance(lab, form):
    """The step is autograd's on the mean of 1/2 ||g(B) - g||^2 at the pre-activations, the g behind held fixed."""
    bench = lab.bench([5, 6, 4, 3], activation=LeakyReLU(0.2), chips=2, batch=7)
    rule = RULES["synthetic_gradient"](backward="copy", form=form, rate=0.3)
    controller = Controller(bench.rig, rule, bench.weights, torch.optim.SGD, 1e-9)
    before = controller.state.feedback
    true, _ = bench.gradients()
    bench.rig.next_batch()
    (seen,) = bench.rig.run((rule.plan(bench.rig.network).baseline,))
    slope = [LeakyReLU(0.2).derivative(a[:, 0]) for a in seen.pre_activations]
    error, sent = true[-1], [None, None, true[-1]]
    if form == "fa":
        sent[1] = slope[1] * (error @ before[1])
    controller.step()
    for index, (b, moved) in enumerate(zip(before, controller.state.feedback, strict=True)):
        free = b.clone().requires_grad_()
        behind = sent[index + 1] if form == "fa" else error
        distance = (slope[index] * (behind @ free) - true[index]).square().sum() / (2 * 7)
        (down,) = torch.autograd.grad(distance, free)
        torch.testing.assert_close(moved, b - 0.3 * down, rtol=1e-9, atol=1e-12)


def test_rate_zero_is_feedback_alignment(lab):
    """Bit for bit, step by step, on the same noisy chip: both take one pass of it."""
    ends = []
    for name, settings in (("fa", {}), ("synthetic_gradient", {"backward": "copy", "rate": 0.0})):
        bench = lab.bench([5, 6, 4, 3], lab.profile(read=1, bits=8), chips=2, batch=7)
        controller = Controller(bench.rig, RULES[name](**settings), bench.weights, torch.optim.Adam, 0.05)
        for _ in range(4):
            controller.step()
        ends.append(controller.copy.weights)
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
