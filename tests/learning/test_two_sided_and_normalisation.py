"""Two-sided node perturbation, and weight normalisation."""

import math

import pytest
import torch

from analogsim.learning import RULES, WeightNormalisation
from analogsim.network import Identity, LeakyReLU, Network
from analogsim.port import Access, Observation


def _observed(loss: torch.Tensor, x: torch.Tensor, eps: torch.Tensor) -> Observation:
    return Observation(loss=loss, inputs=(x,), injected=(eps,))


def test_two_sided_is_half_the_difference_of_opposite_perturbations() -> None:
    g = torch.Generator().manual_seed(1)
    rule = RULES["np"](sigma=0.2, baseline="two_sided", samples=3)
    plan = rule.plan(Network.mlp([3, 2]))
    assert plan.baseline is None
    assert plan.passes == 6
    plus, minus = plan.probes
    assert plus.inject is not None
    assert minus.inject is not None
    assert (plus.inject.draw, plus.inject.scale) == (minus.inject.draw, -minus.inject.scale)
    assert Access.CLEAN_PASS not in rule.requires
    losses = torch.rand(2, 1, 3, 5, generator=g, dtype=torch.float64)
    inputs = torch.randn(2, 1, 3, 5, 4, generator=g, dtype=torch.float64)
    eps = torch.randn(1, 3, 5, 2, generator=g, dtype=torch.float64)
    probes = [_observed(losses[0], inputs[0], eps), _observed(losses[1], inputs[1], -eps)]
    estimate = rule.estimate(None, probes, Network.mlp([3, 2]))
    expected = ((losses[0] - losses[1])[..., None] * eps / (2 * 0.2**2)).mean(1)
    torch.testing.assert_close(estimate.directions[0], expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(estimate.inputs[0], inputs.mean((0, 2)), rtol=1e-12, atol=1e-14)


def test_even_orders_of_the_loss_cancel() -> None:
    """L(a) = b.a + a.H.a / 2: one estimate is (b + H a).eps eps / sigma^2, without the second order in eps."""
    g = torch.Generator().manual_seed(2)
    b, h = torch.randn(4, generator=g).double(), torch.randn(4, 4, generator=g).double()
    a, eps = torch.randn(4, generator=g).double(), torch.randn(4, generator=g).double()

    def loss(at: torch.Tensor) -> torch.Tensor:
        return (b @ at + at @ (h + h.T) @ at / 4).reshape(1, 1, 1)

    x = torch.zeros(1, 1, 1, 2, dtype=torch.float64)
    shaped = eps.reshape(1, 1, 1, 4)
    probes = [_observed(loss(a + eps), x, shaped), _observed(loss(a - eps), x, -shaped)]
    rule = RULES["np"](sigma=1.0, baseline="two_sided")
    found = rule.estimate(None, probes, Network.mlp([1, 4])).directions[0].flatten()
    gradient = b + (h + h.T) @ a / 2
    torch.testing.assert_close(found, (gradient @ eps) * eps, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gains", [None, (10.0, 1.0)])
def test_each_units_weights_get_the_published_length(gains: tuple[float, ...] | None) -> None:
    network = Network.mlp([30, 20, 10], LeakyReLU())
    g = torch.Generator().manual_seed(3)
    weights = [torch.randn(4, layer.columns, layer.rows, generator=g).double() for layer in network.layers]
    weights[0][1, 2, :-1] = 0
    before = [w.clone() for w in weights]
    WeightNormalisation(gains=gains).apply(network, weights)
    for gain, layer, w, old in zip(gains or (1.0, 1.0), network.layers, weights, before, strict=True):
        assert torch.equal(w[..., -1], old[..., -1]), "biases are left alone"
        root = w[..., :-1].square().mean(2).sqrt()
        silent = (old[..., :-1] == 0).all(2)
        expected = torch.full_like(root, gain * math.sqrt(2 / (layer.inputs + layer.columns)))
        torch.testing.assert_close(root, expected.masked_fill(silent, 0.0), rtol=1e-12, atol=0)
        cosine = torch.nn.functional.cosine_similarity(w[..., :-1], old[..., :-1], dim=2)
        torch.testing.assert_close(cosine[~silent], torch.ones_like(cosine[~silent]), rtol=1e-12, atol=0)


def test_a_wrong_number_of_gains_is_told() -> None:
    network = Network.mlp([3, 2], Identity())
    with pytest.raises(ValueError, match="one gain for each of the 1 layers"):
        WeightNormalisation(gains=(1.0, 2.0)).apply(network, [torch.ones(1, 2, 4)])
