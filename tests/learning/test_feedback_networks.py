"""Feedback through networks of every kind: dense, masked, halved and convolutional ones, on passes that are made up."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from analogsim.learning import RULES, Copy
from analogsim.learning.feedback import at_activations, at_pre_activations, descend, signal
from analogsim.learning.rule import Activities
from analogsim.network import Dense, Identity, LeakyReLU, Network, Operation, Stack
from analogsim.port import Limits, Periphery


@dataclass(frozen=True)
class Halve(Operation):
    """The larger of two neighbours: fewer numbers go out than come in, and it is not linear."""

    def results(self, count):
        return count // 2

    def __call__(self, x, mask):
        return x.unflatten(-1, (-1, 2)).amax(-1)

    def adjoint(self, g, x, mask):
        pairs = x.unflatten(-1, (-1, 2))
        return (g[..., None] * (pairs == pairs.amax(-1, keepdim=True))).flatten(-2)


@dataclass(frozen=True)
class Mask(Operation):
    masked = True

    def results(self, count):
        return count

    def mask(self, uniform):
        return uniform

    def __call__(self, x, mask):
        return x if mask is None else x * mask

    def adjoint(self, g, x, mask):
        return g if mask is None else g * mask


def generators(chips):
    return [torch.Generator().manual_seed(chip) for chip in range(chips)]


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense(after):
    sizes = (6, 8) if Halve() not in after else (3, 4)
    return Network(
        (
            Dense(5, 6, LeakyReLU(0.2), after=after),
            Dense(sizes[0], 8, LeakyReLU(0.3), after=after),
            Dense(sizes[1], 3, Identity()),
        )
    )


def convolutional():
    """Overlapping pools, dropout, strides and padding."""
    stack = Stack((2, 6, 5))
    stack.conv(3, 3, 1, 1, LeakyReLU(0.2))
    stack.max_pool(3, 2)
    stack.dropout(0.4)
    stack.conv(4, 2, 1, 1, LeakyReLU(0.3))
    stack.avg_pool(2, 1)
    stack.dense(3)
    return Network(tuple(stack.layers))


def by_hand(network):
    """What a pass saw, made up, with R and converters that clip."""
    layers = network.layers
    seen = Activities(
        tuple(random(2, 7, layer.observed, seed=i) for i, layer in enumerate(layers)),
        tuple(random(2, 7, layer.units, seed=10 + i) for i, layer in enumerate(layers)),
        tuple(None if x.masks is None else random(2, 7, x.masks, seed=20 + i) for i, x in enumerate(layers)),
    )
    weights = tuple(random(2, layer.columns, layer.rows, seed=30 + i) for i, layer in enumerate(layers))
    r = tuple(random(2, layer.fan_in, layer.fan_in, seed=40 + i) for i, layer in enumerate(layers))
    limits = Limits((None,) * 3, (1.0,) * 3, (1.5,) * 3)
    return Copy(network, weights, Periphery(r), limits), seen


NETWORKS = {
    "plain": dense(()),
    "masked": dense((Mask(),)),
    "masked and halved": dense((Mask(), Halve())),
    "convolutional": convolutional(),
}


@pytest.mark.parametrize("network", list(NETWORKS))
def test_the_way_back_through_a_layer_is_the_adjoint_of_the_way_there(network):
    """Through chains of operations, against autograd of what the layer computes; 0 where an ADC clipped."""
    copy, seen = by_hand(NETWORKS[network])
    for index, layer in enumerate(copy.network.layers[:-1]):
        a, outgoing = seen.pre_activations[index], random(2, 7, layer.results, seed=70 + index)
        shift = torch.zeros_like(a).requires_grad_()
        free = a.clone().requires_grad_()
        given = layer.finish(free, seen.masks[index], shift)
        at_f, at_a = torch.autograd.grad(given, (shift, free), outgoing)
        torch.testing.assert_close(at_activations(copy, index, outgoing, seen), at_f)
        at_a = torch.where(a.abs() < 1.5 * (1 - 1e-6), at_a, 0.0)
        torch.testing.assert_close(at_pre_activations(copy, index, outgoing, seen), at_a)


@pytest.mark.parametrize("network", list(NETWORKS))
@pytest.mark.parametrize("decorrelated", [False, True])
@pytest.mark.parametrize("form", ["fa", "dfa"])
def test_a_step_goes_down_the_squared_distance(form, decorrelated, network):
    """With R, clipping DACs and operations: the step is that of autograd on the mean of 1/2 ||estimate - target||^2."""
    copy, seen = by_hand(NETWORKS[network])
    if not decorrelated:
        copy = copy._replace(periphery=Periphery((None,) * 3))
    vectors = [random(2, 7, layer.units, seed=50 + i) for i, layer in enumerate(copy.network.layers)]
    targets = [random(2, 7, layer.units, seed=60 + i) for i, layer in enumerate(copy.network.layers[:-1])]
    feedback = RULES["learned_feedback"](form=form).init(copy, generators(2)).feedback
    assert all(b.any() for b in feedback)
    expected, residuals = [], []
    for index, (b, target) in enumerate(zip(feedback, targets, strict=True)):
        free = b.clone().requires_grad_()
        residual = at_activations(copy, index, signal(copy, form, index, free, vectors, seen), seen) - target
        (slope,) = torch.autograd.grad(residual.square().sum() / (2 * 7), free)
        expected.append(b - 0.3 * slope)
        residuals.append(residual.detach())
        assert slope.any()
    found = descend(copy, form, feedback, vectors, seen, residuals, 0.3)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("network", ["masked", "convolutional"])
@pytest.mark.parametrize("form", ["fa", "dfa"])
def test_ridge_refuses_what_is_no_plain_matrix(form, network):
    rule = RULES["learned_feedback"](form=form, solver="ridge")
    with pytest.raises(ValueError, match="no operations behind hidden layers"):
        rule.plan(NETWORKS[network])
    rule.plan(NETWORKS["plain"])


def test_direct_ridge_takes_convolutions_without_operations():
    stack = Stack((2, 6, 5))
    stack.conv(3, 3, 1, 1, LeakyReLU(0.2))
    stack.dense(3)
    network = Network(tuple(stack.layers))
    copy, _ = by_hand(network)
    rule = RULES["learned_feedback"](form="dfa", solver="ridge")
    rule.plan(network)
    assert rule.init(copy, generators(2)).ridge.products[0].shape == (2, 3, network.layers[0].units)
    stack = Stack((2, 6, 5))
    stack.conv(3, 3, 1, 1, LeakyReLU(0.2))
    stack.conv(3, 3, 1, 1, LeakyReLU(0.2))
    network = Network(tuple(stack.layers))
    with pytest.raises(ValueError, match=r"with form fa, no convolutions behind the first \(got Conv2d behind layer 0"):
        RULES["learned_feedback"](solver="ridge").plan(network)
