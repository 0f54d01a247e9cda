"""Convolutions on a chip: what a crossbar gives when it is read with every patch, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from analogsim.chip import Chip
from analogsim.network import (
    AvgPool2d,
    Conv2d,
    Dense,
    Dropout,
    Identity,
    LeakyReLU,
    MaxPool2d,
    Network,
    Softmax,
    Tanh,
    convolution,
)
from analogsim.network.stack import Stack
from analogsim.port import Injection, LayerPulses, LayerUpdate, Pass, Periphery
from device_models import DeviceProfile, load_profile

PASSES = (Pass(), Pass(inject=Injection(0.3)), Pass(clean=True))
IMAGE, BATCH, SAMPLES = (2, 5, 4), 3, 2
FLICKER = {"kind": "flicker", "q": 0.02, "t_r": "250 ns", "t0": "20 s", "exponent": 0.65, "q_max": 0.2}
PROFILES: dict[str, dict[str, Any]] = {
    "noise and converters": {
        "read_noise": {"kind": "additive", "sigma": "2 %"},
        "column_noise": {"sigma": "1 %"},
        "dac": {"bits": 6, "range": 2},
        "adc": {"bits": 7, "range": 6},
    },
    "memory": {"read_noise": FLICKER},
    "bits and phases": {
        "read_noise": {"kind": "additive", "sigma": "2 %"},
        "dac": {"bits": 4, "range": 2, "encoding": "bit_serial", "polarity": "two_phase"},
        "adc": {"bits": 7, "range": 6},
    },
    "scaled vectors": {"column_noise": {"sigma": "1 %"}, "dac": {"bits": 6, "range": 2, "scaling": "per_vector"}},
}


@pytest.fixture(params=PROFILES, ids=str)
def profile(request: pytest.FixtureRequest, profile_of: Callable[..., DeviceProfile]) -> DeviceProfile:
    return profile_of(**PROFILES[request.param])


def conv(**settings: Any) -> Conv2d:
    return Conv2d(*IMAGE, **{"channels_out": 3, "kernel": 3, "activation": Tanh(), "padding": 1, **settings})


def as_patches(layer: Conv2d, x: Tensor) -> Tensor:
    """(C, B, inputs) -> (C, B x positions, fan_in), by torch."""
    window = layer.window
    patches = functional.unfold(x.reshape(-1, *IMAGE), window.kernel, 1, window.padding, window.stride)
    return patches.transpose(1, 2).reshape(len(x), -1, layer.fan_in)


@pytest.mark.parametrize("sampling", ["column", "device"])
def test_a_convolution_is_the_crossbar_read_with_its_patches(
    chip_of: Any, inputs_of: Any, profile: DeviceProfile, sampling: str
) -> None:
    """Bit for bit, from the same random numbers: a dense layer whose batch are the patches."""
    layer = conv(stride=(1, 2))
    x = inputs_of(2, BATCH, layer.inputs)
    settings: dict[str, Any] = {"sampling": sampling, "tile": 7}
    passes = (Pass(), Pass(), Pass(clean=True))
    dense = Network((Dense(layer.fan_in, 3, Tanh()),))
    reads = chip_of(dense, profile, 2, **settings).forward(as_patches(layer, x), passes, SAMPLES)
    trace = chip_of(Network((layer,)), profile, 2, **settings).forward(x, passes, SAMPLES)
    assert torch.equal(trace.pre_activations[0], layer.by_unit(reads.pre_activations[0]))
    assert torch.equal(trace.outputs, layer.by_unit(reads.outputs))


def test_a_kernel_of_the_images_size_is_the_dense_layer(chip_of: Any, inputs_of: Any, profile: DeviceProfile) -> None:
    """Bit for bit, forward and backward, through noise, converters, injection and decorrelation."""
    n = 2 * 5 * 4
    whole = Conv2d(*IMAGE, 6, (5, 4), LeakyReLU(0.1))
    networks = [Network((Dense(7, n, Tanh()), each, Dense(6, 4, Identity()))) for each in (Dense(n, 6, LeakyReLU(0.1)), whole)]  # fmt: skip # noqa: E501
    x, vector = inputs_of(2, BATCH, 7), inputs_of(2, BATCH, 4)
    r = [None, torch.eye(n, dtype=torch.float64) + 0.1 * inputs_of(2, n, n), None]
    for periphery in (None, Periphery(tuple(r))):
        found = []
        for network in networks:
            chip = chip_of(network, profile, 2, tile=16)
            trace = chip.forward(x, PASSES, SAMPLES, periphery)
            spread = [t.expand(2, SAMPLES, len(PASSES), BATCH, -1)[:, 0, 0] for t in trace.inputs]
            back = chip.backward(vector, spread, [a[:, 0, 0] for a in trace.pre_activations], periphery)
            found.append((*trace.pre_activations, *back[1:], back[0] if periphery is None else None))
        for one, other in zip(*found, strict=True):
            assert one is other is None or torch.equal(one, other)


def test_the_way_back_is_autograds(chip_of: Any, inputs_of: Any, profile_of: Any) -> None:
    """An ideal chip with convolutions, pooling, dropout, softmax and R on patches; every parameter's gradient."""
    stack = Stack((2, 9, 8))
    stack.conv(4, 3, 1, 1, LeakyReLU(0.1))
    stack.max_pool(3, 2, 1)
    stack.dropout(0.5)
    stack.conv(5, (2, 3), (2, 1), 0, Tanh())
    stack.avg_pool(2, 1)
    stack.dense(6, Tanh())
    stack.dropout(0.2)
    stack.dense(4)
    stack.softmax()
    network = Network(tuple(stack.layers))
    kinds = [type(each) for layer in network.layers for each in layer.after]
    assert kinds == [MaxPool2d, Dropout, AvgPool2d, Dropout, Softmax]
    chip = chip_of(network, profile_of(), 2)
    x, generator = inputs_of(2, BATCH, network.inputs), torch.Generator().manual_seed(3)
    masks: list[Tensor | None] = []
    for layer in network.layers:
        drops = [each for each in layer.after if each.masked]
        drawn = torch.rand(2, BATCH, layer.masks or 1, dtype=torch.float64, generator=generator)
        masks.append(drops[0].mask(drawn) if drops else None)
    r = tuple(
        torch.eye(each.fan_in, dtype=torch.float64) + 0.2 * inputs_of(2, each.fan_in, each.fan_in)
        for each in network.layers
    )
    trace = chip.forward(x, periphery=Periphery(r), masks=masks)

    weights = [w.clone().requires_grad_() for w in chip.oracle.weights]
    signal, points = x, []
    for layer, w, each, mask in zip(network.layers, weights, r, masks, strict=True):
        if isinstance(layer, Conv2d):
            image = signal.reshape(2 * BATCH, layer.channels_in, layer.height, layer.width)
            window = layer.window
            patches = functional.unfold(image, window.kernel, 1, window.padding, window.stride)
            turned = each[:, None] @ patches.unflatten(0, (2, BATCH))
            a = (w[:, None, :, :-1] @ turned + w[:, None, :, -1:]).flatten(2)
        else:
            a = torch.cat([signal @ each.mT, torch.ones(2, BATCH, 1, dtype=torch.float64)], dim=2) @ w.mT
        points.append(a)
        signal = layer.finish(a, mask)
    torch.testing.assert_close(trace.outputs[:, 0, 0], signal.detach(), rtol=1e-10, atol=1e-12)

    g = inputs_of(2, BATCH, 4)
    expected = torch.autograd.grad((signal * g).sum(), [*points, *weights])
    start = network.layers[-1].finish_adjoint(g, trace.pre_activations[-1][:, 0, 0], None)
    inputs = [t[:, 0, 0] for t in trace.inputs]
    found = chip.backward(start, inputs, [a[:, 0, 0] for a in trace.pre_activations], Periphery(r), masks=masks)
    for one, other in zip(found, expected, strict=False):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)
    for layer, post, pre, each, other in zip(network.layers, found, inputs, r, expected[4:], strict=True):
        direction = LayerUpdate(post, pre, layer=layer, decorrelation=each).direction()
        torch.testing.assert_close(direction * BATCH, other, rtol=1e-9, atol=1e-11)


def two_layers() -> Network:
    stack = Stack(IMAGE)
    stack.conv(3, 3, 1, 1, Tanh())
    stack.conv(4, 2, 1, 0, LeakyReLU())
    stack.dense(3)
    return Network(tuple(stack.layers))


@pytest.mark.parametrize("injection", ["digital", "analog"])
@pytest.mark.parametrize("chunks", [(3,), (1, 2)], ids=str)
def test_blocks_and_chunks_change_nothing(
    chip_of: Any, inputs_of: Any, profile: DeviceProfile, injection: str, chunks: tuple[int, ...], monkeypatch: Any
) -> None:
    """Blocks: bit for bit. Chunks: noise with memory goes on from call to call, up to rounding."""
    network, x = two_layers(), inputs_of(2, BATCH, 40)
    found = []
    for block, sizes in ((1 << 20, (3,)), (1, chunks)):
        monkeypatch.setattr(convolution, "BLOCK", block)
        chip = chip_of(network, profile, 2, injection=injection, tile=7)
        traces = [chip.forward(x, PASSES, n, go_on=i > 0) for i, n in enumerate(sizes)]
        found.append(torch.cat([each.pre_activations[-1] for each in traces], dim=1))
    assert found[0].shape[1] == 3
    if chunks == (3,):
        assert torch.equal(*found)
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)


def test_what_is_added_before_the_adc_reaches_its_units(chip_of: Any, inputs_of: Any, profile_of: Any) -> None:
    """Without converters analog injection is digital injection."""
    x, found = inputs_of(2, BATCH, 40), []
    for injection in ("analog", "digital"):
        trace = chip_of(two_layers(), profile_of(), 2, injection=injection).forward(x, PASSES, SAMPLES)
        found.append((*trace.pre_activations, *trace.injected))
    assert bool((found[0][3] != 0).any())
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_noise_with_memory_goes_on_from_call_to_call(chip_of: Any, inputs_of: Any, profile_of: Any) -> None:
    """The check above would not see a memory that is lost in both; here it is lost in one."""
    profile, x = profile_of(read_noise=FLICKER), inputs_of(1, BATCH, 40)
    found = []
    for go_on in (True, False):
        chip = chip_of(two_layers(), profile)
        chip.forward(x, PASSES)
        found.append(chip.forward(x, PASSES, go_on=go_on).pre_activations[0])
    assert not torch.equal(*found)


def test_a_chip_alone_is_the_chip_of_a_population(chip_of: Any, inputs_of: Any, profile: DeviceProfile) -> None:
    x = inputs_of(3, BATCH, 40)
    both = chip_of(two_layers(), profile, 3).forward(x, PASSES, SAMPLES).outputs[2:]
    alone = chip_of(two_layers(), profile, [2]).forward(x[2:], PASSES, SAMPLES).outputs
    torch.testing.assert_close(both, alone, rtol=1e-12, atol=1e-12)


def test_observed_are_the_levels_of_the_feature_map(chip_of: Any, inputs_of: Any, profile_of: Any) -> None:
    layer = conv()
    x = inputs_of(2, BATCH, layer.inputs)
    step = 2 / 31
    rounded = (x / step).round().clamp(-31, 31) * step
    exact, dac = profile_of(), profile_of(dac={"bits": 6, "range": 2})
    scaled = profile_of(dac={"bits": 6, "range": 2, "scaling": "per_vector"})
    r = Periphery((torch.eye(layer.fan_in, dtype=torch.float64).repeat(2, 1, 1),))
    cases = ((exact, None, x), (dac, None, rounded), (scaled, None, x), (dac, r, x))
    for profile, periphery, expected in cases:
        (seen,) = chip_of(Network((layer,)), profile, 2).forward(x, periphery=periphery).inputs
        torch.testing.assert_close(seen[:, 0, 0], expected, rtol=1e-12, atol=1e-12)
        assert seen.data_ptr() != x.data_ptr(), "the batch itself must not cross the wall"


def test_calibrated_ranges_are_those_of_the_patches(chip_of: Any, inputs_of: Any, profile_of: Any) -> None:
    profile = profile_of(
        read_noise={"kind": "additive", "sigma": "2 %"},
        adc={"bits": 7, "range": "calibrated", "calibration": {"per": "column"}},
    )
    layer = conv()
    x = inputs_of(2, BATCH, layer.inputs)
    bounds = []
    for network, inputs in ((Network((layer,)), x), (Network((Dense(layer.fan_in, 3, Tanh()),)), as_patches(layer, x))):
        chip = chip_of(network, profile, 2)
        chip.calibrate(inputs)
        bounds.append(chip.state_dict()["layers"][0]["banks"][0]["bounds"])
        assert chip.forward(inputs).outputs.isfinite().all()
    assert bounds[0].shape == (2, 1, 1, 3) and torch.equal(*bounds)


@pytest.mark.parametrize("order", ["sample", "pass"])
def test_a_columns_unit_gives_its_positions_one_after_the_other(
    chip_of: Any, inputs_of: Any, profile_of: Any, order: str
) -> None:
    """A telegraph that always flips alternates along positions, then passes (then elements, then passes)."""
    profile = profile_of(unit_noise={"kind": "telegraph", "amplitude": 1.0, "flip": "100 %"})
    layer = conv(kernel=(4, 4), padding=0, activation=Identity())
    assert layer.positions == 2
    x = inputs_of(2, BATCH, layer.inputs)
    quiet = chip_of(Network((layer,)), profile_of(), 2).forward(x).pre_activations[0]
    chip = chip_of(Network((layer,)), profile, 2, order=order)
    loud = [chip.forward(x, (Pass(),) * 2, SAMPLES, go_on=go_on).pre_activations[0] for go_on in (False, True)]
    signs = (torch.cat(loud, dim=1) - quiet).unflatten(4, (3, 2))  # (C, S, P, B, columns, positions)
    if order == "sample":
        chains = signs.permute(0, 3, 4, 1, 2, 5).flatten(3)
    else:
        chains = signs.permute(0, 4, 1, 2, 3, 5).flatten(2)
    torch.testing.assert_close(chains[..., 1:], -chains[..., :-1])
    torch.testing.assert_close(chains.abs(), torch.ones_like(chains))
    assert len(chains[..., 0].round().unique()) == 2, "chains begin with either sign"


@pytest.mark.parametrize("order", ["sample", "pass"])
def test_chunks_do_not_change_the_noise_of_units(chip_of: Any, inputs_of: Any, profile_of: Any, order: str) -> None:
    """A unit's chain goes on from call to call with the numbers of its own samples.

    Products are of other shapes, so some CPUs sum them in another order.
    """
    profile = profile_of(unit_noise={"kind": "telegraph", "amplitude": 0.5, "flip": "30 %", "sigma": 0.1})
    x, found = inputs_of(2, BATCH, 40), []
    for sizes in ((3,), (1, 2)):
        chip = chip_of(two_layers(), profile, 2, order=order)
        traces = [chip.forward(x, PASSES, n, go_on=i > 0) for i, n in enumerate(sizes)]
        found.append(torch.cat([each.pre_activations[-1] for each in traces], dim=1))
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)


def test_factors_of_an_update_are_vectors_of_the_crossbar(chip_of: Any, inputs_of: Any, profile_of: Any) -> None:
    """Their mean outer product is the direction; as pulses they do to the devices what a dense layer's factors do."""
    layer = conv()
    post, pre = inputs_of(2, BATCH, layer.units), inputs_of(2, BATCH, layer.inputs)
    update = LayerUpdate(post, pre, layer=layer)
    columns, rows = update.factors()
    assert rows.shape == (2, BATCH * layer.positions, layer.rows)
    mean = torch.einsum("cmo,cmi->coi", columns, rows) / rows.shape[1]
    torch.testing.assert_close(update.direction(), mean, rtol=1e-12, atol=1e-12)
    rate = torch.tensor([0.05, 0.1], dtype=torch.float64)[:, None, None]
    held = []
    for network, each in (
        (Network((layer,)), update),
        (Network((Dense(layer.fan_in, 3, Tanh()),)), LayerUpdate(columns, rows)),
    ):
        chip: Chip = chip_of(network, load_profile("constant-step"), 2)
        before = chip.oracle.weights[0].clone()
        chip.write([LayerPulses(each, rate)])
        held.append(chip.oracle.weights[0])
        assert not torch.equal(before, held[-1])
    assert torch.equal(*held)
