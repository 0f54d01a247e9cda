"""Companions on networks with convolutions: every patch is a sample, a channel is a unit."""

from __future__ import annotations

import pytest
import torch

from analogsim.learning import RULES, Controller, Decorrelation, WeightDecay, WeightNormalisation
from analogsim.network import LeakyReLU, Network, Stack

IMAGE = (2, 4, 4)
VARIANTS = [
    {},
    {"kappa": 0.4},
    {"preserve_power": True},
    {"share": 0.4},
    {"share": 0.1, "kappa": 0.4, "preserve_power": True},
    {"layers": (0,)},
    {"where": "crossbar"},
    {"where": "crossbar", "share": 0.4, "preserve_power": True},
]


def network_of(kind):
    """Two layers of 32-5-3: dense; a first kernel as large as its image; or images of one pixel."""
    f, stack = LeakyReLU(0.1), Stack(IMAGE if kind == "whole" else (32, 1, 1))
    if kind == "dense":
        return Network.mlp([32, 5, 3], f)
    stack.conv(5, 4 if kind == "whole" else 1, 1, 0, f)
    stack.dense(3)
    return Network(tuple(stack.layers))


def train(lab, network, rule="np", profile=None, steps=4, decorrelation=None, **companions):
    made = lab.bench([network.inputs, network.outputs], profile, network=network, chips=2, batch=5)
    controller = Controller(made.rig, RULES[rule](), made.weights, torch.optim.SGD, 0.01, decorrelation, **companions)
    for _ in range(steps):
        controller.step()
    return made, controller


@pytest.mark.parametrize("kind", ["whole", "pixel"])
@pytest.mark.parametrize(
    ("settings", "noisy"),
    [
        *((settings, False) for settings in VARIANTS),
        *((settings, True) for settings in VARIANTS if "where" not in settings),  # feature maps do not show R's noise
    ],
    ids=str,
)
def test_a_convolution_with_one_patch_is_a_dense_layer(lab, settings, kind, noisy):
    """Weights and R after four steps, ideal or with 1 % read noise."""
    profile = lab.profile(read=1) if noisy else None
    found = []
    for each in (kind, "dense"):
        _, controller = train(
            lab, network_of(each), profile=profile, decorrelation=Decorrelation(rate=0.05, **settings)
        )
        r = controller.copy.periphery.decorrelation
        found.append([*controller.copy.weights, *(one for one in r if one is not None)])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def several():
    """Patches that overlap, at 3 x 3 and 2 x 2 places."""
    stack = Stack(IMAGE)
    stack.conv(3, 2, 1, 0, LeakyReLU(0.1))
    stack.conv(4, 2, 1, 0, LeakyReLU(0.1))
    stack.dense(3)
    return Network(tuple(stack.layers))


@pytest.mark.parametrize("rule", ["bp", "np"])
def test_r_on_ideal_crossbars_is_a_digital_r(lab, rule):
    """Within the range that the identity fixes: no entry of R comes to 2."""
    found = []
    for where in ("digital", "crossbar"):
        settings = Decorrelation(rate=1e-3, kappa=0.3, preserve_power=True, where=where)
        _, controller = train(lab, several(), rule, decorrelation=settings)
        found.append([*controller.copy.weights, *controller.copy.periphery.decorrelation])
        assert all(float(r.abs().amax()) < 2 for r in controller.copy.periphery.decorrelation)
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kappa", [0.0, 0.3])
def test_every_patch_is_a_sample(lab, kappa):
    """One step by hand with torch's unfold: C is the mean over elements and places."""
    network = several()
    made, controller = train(lab, network, "np", steps=1, decorrelation=Decorrelation(rate=0.05, kappa=kappa))
    maps = made.task.inputs.unflatten(2, IMAGE).flatten(0, 1)
    patches = torch.nn.functional.unfold(maps, 2).transpose(1, 2).reshape(2, -1, 8)
    assert patches.shape[1] == 5 * 9
    c = patches.transpose(1, 2) @ patches / patches.shape[1]
    own = torch.diag_embed(c.diagonal(dim1=1, dim2=2))
    unit = torch.eye(8, dtype=c.dtype)
    expected = unit - 0.05 * ((1 - kappa) * (c - own) + kappa * (own - unit))
    torch.testing.assert_close(controller.copy.periphery.decorrelation[0], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_power_is_kept_over_all_patches(lab, share):
    """Exactly with all patches; with a share only of those that were chosen."""
    settings = Decorrelation(rate=0.05, preserve_power=True, share=share)
    made, controller = train(lab, several(), "np", steps=1, decorrelation=settings)
    layer, r = made.rig.network.layers[0], controller.copy.periphery.decorrelation[0]
    powers = []
    for matrix in (None, r):
        vectors = torch.cat([v[..., :8] for _, v in layer.vectors(made.task.inputs, matrix)], dim=1)
        powers.append(vectors.square().sum((1, 2)))
    off = (powers[1] / powers[0] - 1).abs()
    assert (off < 1e-12).all() if share == 1 else (off > 1e-6).all()


def test_normalisation_and_decay_of_kernels(lab):
    """A channel's incoming weights have a root mean square of sqrt(2 / (fan_in + fan_out)) with k^2 in both counts."""
    _, controller = train(lab, several(), normalisation=WeightNormalisation())
    for layer, w in zip(controller.copy.network.layers[:2], controller.copy.weights, strict=False):
        channels_in = layer.fan_in // 4
        root = w[..., : layer.fan_in].square().mean(2).sqrt()
        expected = (2 / (4 * channels_in + 4 * layer.columns)) ** 0.5
        torch.testing.assert_close(root, torch.full_like(root, expected))
    made, controller = train(lab, several(), steps=0, decay=WeightDecay(strength=50.0))
    before = [w.clone() for w in controller.copy.weights]
    made.task.inputs.zero_()
    controller.step()
    first = controller.copy.weights[0]
    torch.testing.assert_close(first[..., :8], before[0][..., :8] * 0.5, rtol=1e-9, atol=1e-12)
