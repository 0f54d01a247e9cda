"""Activation functions and operations: forward against torch, derivatives and adjoints against autograd."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from analogsim.network import (
    AvgPool2d,
    Binary,
    Conv2d,
    Dense,
    Dropout,
    HardThreshold,
    Identity,
    LeakyReLU,
    MaxPool2d,
    Operation,
    Sigmoid,
    Softmax,
    Tanh,
    Window,
)

WINDOWS = [
    Window(2, 7, 6, (2, 2), (2, 2), (0, 0)),
    Window(2, 7, 6, (3, 3), (2, 2), (1, 1)),
    Window(2, 7, 6, (3, 2), (1, 3), (1, 0)),
]


def normal(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def uniform(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def adjoint_by_autograd(operation: Operation, x: torch.Tensor, mask: torch.Tensor | None = None) -> None:
    x.requires_grad_()
    y = operation(x, mask)
    g = normal(*y.shape, seed=4)
    (expected,) = torch.autograd.grad(y, x, g)
    torch.testing.assert_close(operation.adjoint(g, x.detach(), mask), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("kind", [MaxPool2d, AvgPool2d])
def test_pooling_is_torchs(kind: type[MaxPool2d | AvgPool2d], window: Window) -> None:
    pool = kind(window)
    x = normal(3, 2, 4, window.pixels)
    assert pool.results(window.pixels) == pool(x, None).shape[-1]
    reference = functional.max_pool2d if kind is MaxPool2d else functional.avg_pool2d
    image = x[1, 1].unflatten(1, (2, 7, 6))
    expected = reference(image, window.kernel, window.stride, window.padding).flatten(1)
    assert torch.equal(pool(x, None)[1, 1], expected)
    adjoint_by_autograd(pool, x)


def test_of_equal_numbers_the_first_gets_the_derivative() -> None:
    """Rectified maps are full of equal zeros: their sum of derivatives must not grow with their number."""
    pool = MaxPool2d(WINDOWS[1])
    adjoint_by_autograd(pool, normal(3, 4, pool.window.pixels).clamp_(min=0.8))
    x = torch.zeros(1, 1, pool.window.pixels, dtype=torch.float64)
    assert pool.adjoint(torch.ones(1, 1, 24, dtype=torch.float64), x, None).sum() == 24


def test_pooling_of_other_maps_or_of_padding_alone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"maps of 2x7x6 takes 84 numbers \(got 80\)"):
        MaxPool2d(WINDOWS[0]).results(80)
    with pytest.raises(ValueError, match="at most half of its kernel"):
        AvgPool2d(Window(2, 7, 6, (2, 2), (1, 1), (2, 0)))


def test_dropout_keeps_the_mean_and_does_nothing_without_a_mask() -> None:
    """10^5 uniform numbers: the share that stays lies within 5 sigma, which it misses once in 1.7 million cases."""
    dropout, n = Dropout(0.3), 100_000
    mask = dropout.mask(uniform(n))
    assert set(mask.unique().tolist()) == {0.0, 1 / 0.7}
    assert abs(float((mask > 0).double().mean()) - 0.7) < 5 * (0.3 * 0.7 / n) ** 0.5
    x = normal(2, 3, 5)
    assert dropout(x, None) is x and dropout.adjoint(x, x, None) is x
    adjoint_by_autograd(dropout, normal(2, 3, 5), dropout.mask(uniform(2, 3, 5)))
    with pytest.raises(ValueError, match=r"below 1 \(got 1\)"):
        Dropout(1)
    with pytest.raises(TypeError, match="Softmax takes no mask"):
        Softmax().mask(x)


def test_softmax_is_torchs_and_its_adjoint_the_jacobian() -> None:
    x = normal(2, 3, 5)
    assert torch.equal(Softmax()(x, None), torch.softmax(x, -1))
    adjoint_by_autograd(Softmax(), x)


@pytest.mark.parametrize("activation", [Identity(), LeakyReLU(), LeakyReLU(0.0), Tanh(), Sigmoid()], ids=str)
def test_derivatives_are_autograds(activation) -> None:
    a = normal(50).requires_grad_()
    (expected,) = torch.autograd.grad(activation(a).sum(), a)
    torch.testing.assert_close(activation.derivative(a.detach()), expected, rtol=1e-12, atol=1e-12)


def test_steps_have_two_values_and_no_derivative() -> None:
    a = torch.tensor([-2.0, 0.0, 3.0])
    assert HardThreshold()(a).tolist() == [0, 0, 1]
    assert Binary()(a).tolist() == [-1, -1, 1]
    for step in (HardThreshold(), Binary()):
        assert not step.differentiable
        with pytest.raises(ValueError, match=f"{step.name} has no derivative"):
            step.derivative(a)


def test_a_layer_goes_back_through_all_its_operations() -> None:
    first = Conv2d(2, 9, 8, 3, 3, Tanh(), padding=1)
    window = Window(3, 9, 8, (3, 3), (2, 2), (1, 1))
    average = Window(3, 5, 4, (2, 2), (1, 1), (0, 0))
    layer = Conv2d(2, 9, 8, 3, 3, Tanh(), padding=1, after=(MaxPool2d(window), Dropout(0.5), AvgPool2d(average)))
    assert (layer.units, layer.results, layer.masks, first.masks) == (216, 36, 60, None)
    a = normal(2, 4, layer.units).requires_grad_()
    mask = layer.after[1].mask(uniform(2, 4, 60))
    y = layer.finish(a, mask)
    g = normal(*y.shape, seed=4)
    (expected,) = torch.autograd.grad(y, a, g)
    torch.testing.assert_close(layer.finish_adjoint(g, a.detach(), mask), expected, rtol=1e-12, atol=1e-12)
    readout = Dense(4, 3, Identity(), after=(Softmax(),))
    assert readout.results == 3 and readout.masks is None
