"""Conv2d against torch's own convolutions, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from analogsim.network import Conv2d, Identity, Window, convolution

CHIPS, BATCH, IMAGE, CHANNELS = 2, 5, (2, 7, 6), 4
CASES = [
    {"kernel": 3},
    {"kernel": 3, "stride": 2, "padding": 1},
    {"kernel": (2, 3), "stride": (1, 2), "padding": (0, 1)},
    {"kernel": (7, 6)},
    {"kernel": 1, "stride": 3, "bias": False},
    {"kernel": 5, "padding": 3, "stride": (2, 1)},
]


def layer_of(case: dict[str, Any]) -> Conv2d:
    return Conv2d(*IMAGE, CHANNELS, activation=Identity(), **case)


def normal(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def as_torch(layer: Conv2d, x: Tensor, w: Tensor) -> Tensor:
    """(B, inputs) and (columns, rows) -> (B, units), by torch."""
    kernel = w[:, : layer.fan_in].unflatten(1, (layer.channels_in, *layer.window.kernel))
    bias = w[:, -1] if layer.bias else None
    image = x.unflatten(1, IMAGE)
    return functional.conv2d(image, kernel, bias, layer.window.stride, layer.window.padding).flatten(1)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_patches_are_those_of_unfold_and_the_product_is_conv2d(case: dict[str, Any]) -> None:
    layer = layer_of(case)
    x, w = normal(CHIPS, BATCH, layer.inputs), normal(CHIPS, CHANNELS, layer.rows, seed=4)
    y = layer.product(w, x, None)
    assert y.shape == (CHIPS, BATCH, layer.units)
    (block, vectors), *rest = layer.vectors(x, None)
    assert not rest and len(range(BATCH)[block]) == BATCH
    patches = vectors[..., : layer.fan_in].unflatten(1, (BATCH, layer.positions))
    window = layer.window
    for chip in range(CHIPS):
        torch.testing.assert_close(y[chip], as_torch(layer, x[chip], w[chip]), rtol=1e-12, atol=1e-12)
        unfolded = functional.unfold(x[chip].unflatten(1, IMAGE), window.kernel, 1, window.padding, window.stride)
        assert torch.equal(patches[chip], unfolded.transpose(1, 2))
    if layer.bias:
        assert bool((vectors[..., -1] == 1).all())
    assert layer.fan_out == CHANNELS * window.kernel[0] * window.kernel[1]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_products_of_the_way_back_are_autograds(case: dict[str, Any]) -> None:
    """`outer` is the gradient by the weights of the batch's mean, `backward` that by the input."""
    layer = layer_of(case)
    x, w = normal(CHIPS, BATCH, layer.inputs).requires_grad_(), normal(CHIPS, CHANNELS, layer.rows, seed=4)
    w.requires_grad_()
    y = torch.stack([as_torch(layer, x[chip], w[chip]) for chip in range(CHIPS)])
    g = normal(*y.shape, seed=5)
    by_input, by_weights = torch.autograd.grad((y * g).sum(), (x, w))
    seen, matrix = x.detach(), w.detach()[:, :, : layer.fan_in]
    torch.testing.assert_close(layer.outer(g, seen, None), by_weights / BATCH, rtol=1e-12, atol=1e-12)
    back = layer.backward(lambda v: torch.bmm(v, matrix), g, seen, None, None)
    torch.testing.assert_close(back, by_input, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("limit", [None, 1.5])
def test_decorrelation_turns_patches_and_its_adjoint_turns_back(limit: float | None) -> None:
    """Clipping is straight-through: 0 where a level of the decorrelated patch lies beyond the limit."""
    layer = layer_of(CASES[1])
    x, w = normal(CHIPS, BATCH, layer.inputs).requires_grad_(), normal(CHIPS, CHANNELS, layer.rows, seed=4)
    r = normal(CHIPS, layer.fan_in, layer.fan_in, seed=6) / 4
    kernel, stride, padding = layer.window.kernel, layer.window.stride, layer.window.padding
    outputs = []
    for chip in range(CHIPS):
        patches = functional.unfold(x[chip].unflatten(1, IMAGE), kernel, 1, padding, stride)
        turned = r[chip] @ patches
        if limit is not None:
            turned = turned.clamp(-limit, limit)
        outputs.append((w[chip, :, :-1] @ turned).flatten(1))
    y = torch.stack(outputs)
    g = normal(*y.shape, seed=5)
    (expected,) = torch.autograd.grad((y * g).sum(), x)
    back = layer.backward(lambda v: torch.bmm(v, w[:, :, : layer.fan_in]), g, x.detach(), r, limit)
    torch.testing.assert_close(back, expected, rtol=1e-12, atol=1e-12)
    if limit is None:
        offset = w[:, :, -1].repeat_interleave(layer.positions, dim=1)[:, None]
        product = layer.product(w, x.detach(), r)
        torch.testing.assert_close(product - offset, y.detach(), rtol=1e-12, atol=1e-12)


def test_a_clipped_pixel_passes_nothing_back() -> None:
    layer = layer_of(CASES[1])
    x = normal(CHIPS, BATCH, layer.inputs).clamp_(-1, 1)
    w, g = normal(CHIPS, CHANNELS, layer.rows), normal(CHIPS, BATCH, layer.units, seed=5)

    def back(limit: float | None) -> Tensor:
        return layer.backward(lambda v: torch.bmm(v, w[:, :, : layer.fan_in]), g, x, None, limit)

    clipped = x.abs() == 1
    assert 0.2 < clipped.double().mean() < 0.5
    assert torch.equal(back(1.0), torch.where(clipped, 0.0, back(None)))


def test_blocks_of_different_size_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = layer_of(CASES[1])
    x, w = normal(CHIPS, BATCH, layer.inputs), normal(CHIPS, CHANNELS, layer.rows, seed=4)
    r, g = normal(CHIPS, layer.fan_in, layer.fan_in, seed=6), normal(CHIPS, BATCH, layer.units, seed=5)
    found = []
    for block in (BATCH, 1, 2):
        monkeypatch.setattr(convolution, "BLOCK", block * layer.positions * layer.rows)
        assert layer.block == block
        sizes = [v.shape[1] for _, v in layer.vectors(x, r)]
        assert sum(sizes) == BATCH * layer.positions and max(sizes) == block * layer.positions
        back = layer.backward(lambda v: torch.bmm(v, w[:, :, : layer.fan_in]), g, x, r, 2.0)
        found.append((layer.product(w, x, r), layer.outer(g, x, r), back))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-12, atol=1e-12)


def test_by_unit_undoes_by_column_and_fold_is_the_adjoint_of_cut() -> None:
    layer = layer_of(CASES[2])
    units = normal(CHIPS, 3, BATCH, layer.units)
    columns = layer.by_column(units)
    assert columns.shape == (CHIPS, 3, BATCH * layer.positions, CHANNELS)
    assert torch.equal(layer.by_unit(columns), units)
    assert torch.equal(columns[1, 2, layer.positions + 4], units[1, 2, 1, 4 :: layer.positions])
    x, v = normal(BATCH, layer.inputs), normal(BATCH, layer.positions, layer.fan_in, seed=8)
    both = (layer.window.cut(x) * v).sum(), (x * layer.window.fold(v)).sum()
    torch.testing.assert_close(*both, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": 8}, r"larger than the image .* \(got 8x8 on 7x6\)"),
        ({"kernel": (3, 9), "padding": (0, 1)}, r"got 3x9 on 7x8"),
        ({"kernel": 0}, "kernel and stride must be above 0"),
        ({"kernel": 2, "stride": 0}, "kernel and stride must be above 0"),
        ({"kernel": 2, "padding": -1}, "padding must not be negative"),
        ({"kernel": 2, "channels_out": 0}, "at least one output channel"),
    ],
)
def test_a_kernel_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    settings = {"channels_out": CHANNELS, **changes}
    with pytest.raises(ValueError, match=message):
        Conv2d(*IMAGE, activation=Identity(), **settings)


def test_a_window_knows_its_places() -> None:
    window = Window(1, 8, 5, (3, 2), (2, 1), (1, 0))
    assert (window.rows, window.columns, window.places, window.pixels) == (4, 4, 16, 40)
