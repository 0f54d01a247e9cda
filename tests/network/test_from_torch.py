"""Networks from torch modules: the same numbers on an ideal chip, and refusals by name and place."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn

from analogsim.chip import Chip
from analogsim.network import Network, Sigmoid, weights_of
from device_models import load_profile

SHAPE = (2, 11, 13)


@pytest.fixture
def module() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        chain = nn.Sequential(
            nn.Identity(),
            nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1), nn.LeakyReLU(0.1), nn.MaxPool2d(3, 2), nn.Dropout(0.4)),
            nn.Conv2d(4, 5, (2, 1), padding=(1, 0), bias=False),
            nn.Tanh(),
            nn.AvgPool2d(2, 1),
            nn.Flatten(),
            nn.Linear(10, 7),
            nn.Sigmoid(),
            nn.Linear(7, 6),
            nn.ReLU(),
            nn.Linear(6, 4),
            nn.Softmax(dim=-1),
        )
    return chain.double().eval()


def test_an_ideal_chip_computes_what_the_module_computes(module: nn.Sequential) -> None:
    network = Network.from_torch(module, (2, 9, 9))
    assert [layer.bias for layer in network.layers] == [True, False, True, True, True]
    assert [layer.masks for layer in network.layers] == [16, None, None, None, None]
    weights = weights_of(module, 3)
    assert [tuple(w.shape) for w in weights] == [(3, layer.columns, layer.rows) for layer in network.layers]
    chip = Chip(network, load_profile("ideal"), 3, dtype=torch.float64)
    chip.program(weights)
    x = torch.randn(3, 6, network.inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    outputs = chip.forward(x).outputs[:, 0, 0]
    for chip_inputs, found in zip(x, outputs, strict=True):
        expected = module(chip_inputs.unflatten(1, (2, 9, 9)))
        torch.testing.assert_close(found, expected.detach(), rtol=1e-10, atol=1e-12)


def test_masks_do_what_dropout_does_in_training(module: nn.Sequential) -> None:
    """torch's own mask, as its dropout of ones shows it, on our layer."""
    layer = Network.from_torch(module, (2, 9, 9)).layers[0]
    a = torch.randn(2, layer.units, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ones = torch.ones(2, layer.masks or 0, dtype=torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        mask = nn.functional.dropout(ones, 0.4)
    pooled = nn.functional.max_pool2d(nn.functional.leaky_relu(a, 0.1).unflatten(1, (4, 5, 5)), 3, 2).flatten(1)
    assert 0 < int((mask == 0).sum()) < mask.numel()
    assert torch.equal(layer.finish(a, mask), pooled * mask)


def refused() -> dict[str, tuple[nn.Module, str]]:
    linear, conv = nn.Linear(4, 4), nn.Conv2d(2, 4, 3)
    return {
        "BatchNorm2d": (nn.Sequential(conv, nn.BatchNorm2d(4)), r"module 1 \(BatchNorm2d\): .*supported are Linear"),
        "nested": (nn.Sequential(conv, nn.Sequential(nn.GELU())), r"module 1\.0 \(GELU\)"),
        "not a chain": (conv, r"must be a torch.nn.Sequential \(got Conv2d\)"),
        "dilation": (nn.Sequential(nn.Conv2d(2, 4, 3, dilation=2)), r"module 0 \(Conv2d\): dilation must be \(1, 1\)"),
        "groups": (nn.Sequential(nn.Conv2d(2, 4, 3, groups=2)), r"groups must be 1 \(got 2\)"),
        "padding_mode": (
            nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect")),
            "padding_mode must be 'zeros' .got 'reflect'",
        ),
        "padding by name": (nn.Sequential(nn.Conv2d(2, 4, 3, padding="same")), "padding must be given as numbers"),
        "channels": (nn.Sequential(nn.Conv2d(3, 4, 3)), r"takes 3 channels \(got 2\)"),
        "kernel": (nn.Sequential(nn.Conv2d(2, 4, 12)), r"larger than the image .* \(got 12x12 on 11x13\)"),
        "ceil_mode": (nn.Sequential(conv, nn.MaxPool2d(2, ceil_mode=True)), "ceil_mode must be False"),
        "max dilation": (nn.Sequential(conv, nn.MaxPool2d(2, dilation=2)), "dilation must be 1"),
        "count_include_pad": (
            nn.Sequential(conv, nn.AvgPool2d(3, padding=1, count_include_pad=False)),
            "count_include_pad must be True",
        ),
        "not flat": (nn.Sequential(conv, nn.Linear(13, 4)), r"module 1 \(Linear\): takes 13 numbers .*Flatten"),
        "softmax of maps": (nn.Sequential(conv, nn.Softmax(-1)), r"readout of flat data \(got 4x9x11\)"),
        "softmax dim": (nn.Sequential(nn.Flatten(), nn.Linear(286, 4), nn.Softmax(0)), "dim must be -1"),
        "behind softmax": (
            nn.Sequential(nn.Flatten(), nn.Linear(286, 4), nn.Softmax(-1), linear),
            r"module 3 \(Linear\): a dense layer stands behind the softmax",
        ),
        "flatten": (nn.Sequential(conv, nn.Flatten(2)), "start_dim must be 1"),
        "activation first": (
            nn.Sequential(nn.ReLU(), conv),
            r"module 0 \(ReLU\): .* stands directly",
        ),
        "activation behind pooling": (nn.Sequential(conv, nn.MaxPool2d(2), nn.ReLU()), r"module 2 \(ReLU\)"),
        "two activations": (nn.Sequential(conv, nn.Tanh(), nn.ReLU()), r"module 2 \(ReLU\)"),
        "dropout first": (nn.Sequential(nn.Dropout(0.5), conv), "stands behind a layer with weights"),
        "two dropouts": (nn.Sequential(conv, nn.Dropout(0.5), nn.Dropout(0.5)), "a layer takes one dropout"),
        "dropout of all": (nn.Sequential(conv, nn.Dropout(1.0)), "below 1"),
        "shared": (
            nn.Sequential(nn.Flatten(), nn.Linear(286, 4), linear, linear),
            "module 3 .*second time",
        ),
        "subclass": (nn.Sequential(OrderedDict(a=type("Mine", (nn.Linear,), {})(4, 4))), r"module 0 \(Mine\)"),
        "nothing": (nn.Sequential(), "at least one layer"),
    }


@pytest.mark.parametrize("name", refused())
def test_what_is_not_supported_is_refused_by_name_and_place(name: str) -> None:
    module, message = refused()[name]
    with pytest.raises(ValueError, match=message):
        Network.from_torch(module, SHAPE)


def test_an_activation_used_twice_is_two() -> None:
    shared = nn.Sigmoid()
    network = Network.from_torch(nn.Sequential(nn.Linear(4, 3), shared, nn.Linear(3, 2), shared), (4,))
    assert [layer.activation for layer in network.layers] == [Sigmoid(), Sigmoid()]


@pytest.mark.parametrize("shape", [(2, 3), (0,), ()])
def test_an_input_is_flat_or_an_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="channels, height, width"):
        Network.from_torch(nn.Sequential(nn.Linear(4, 3)), shape)
