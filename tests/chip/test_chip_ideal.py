"""An ideal chip computes what torch computes, however its layers lie on tiles and whatever range its weights have.

Tolerance. A sum of n products in floating point, in any order, errs by at most n u |x||w| to first order, with unit
roundoff u = eps / 2 (Higham, Accuracy and Stability of Numerical Algorithms, 3.1). Chip and reference both form it, and
a weight goes through at most 8 further roundings on its way to conductances and back (and, in a backward read, through
the scale of its column). So |chip - reference| <= (2 n + 8) u |x||w| = (n + 4) eps |x||w|.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, linear

from analogsim.chip import Chip, Mapping
from analogsim.network import Network
from analogsim.port import Injection, LayerWrite, Pass, Periphery
from device_models import load_profile

CHIPS, BATCH, SIZES = 3, 5, [7, 12, 5, 3]
MAPPINGS = [Mapping(kind, per) for kind in ("fixed", "follow") for per in ("layer", "column")]
NAMES = [f"{mapping.range}-{mapping.per}" for mapping in MAPPINGS]
TILES = [1, 4, 256]  # three of the layers are split by 4, all by 1, none by 256
DTYPES = [torch.float32, torch.float64]


def _network(bias: bool = True) -> Network:
    return Network.mlp(SIZES, bias=bias)


def _assert_product(result: Tensor, x: Tensor, weights: Tensor) -> None:
    """result (C, B, n) is x (C, B, m) times weights (C, n, m), to the tolerance above."""
    for chip in range(len(x)):
        reference = linear(x[chip], weights[chip])
        bound = linear(x[chip].abs(), weights[chip].abs()) * ((x.shape[2] + 4) * torch.finfo(x.dtype).eps)
        assert ((result[chip] - reference).abs() <= bound).all()


def _assert_forward(chip: Chip, x: Tensor, weights: tuple[Tensor, ...]) -> None:
    trace = chip.forward(x, (Pass(), Pass()), samples=2)
    signal = x[:, None, None]
    for index, layer in enumerate(chip.network.layers):
        levels, a = trace.inputs[index], trace.pre_activations[index]
        assert (levels[..., : layer.inputs] == signal).all()
        if layer.bias:
            assert (levels[..., -1] == 1).all()
        assert a.shape == (CHIPS, 2, 2, BATCH, layer.columns)
        for sample in range(2):
            for position in range(2):
                first, second = (min(i, n - 1) for i, n in zip((sample, position), levels.shape[1:3], strict=True))
                _assert_product(a[:, sample, position], levels[:, first, second], weights[index])
        signal = leaky_relu(a, 0.01) if index < chip.network.depth - 1 else a
    assert torch.equal(trace.outputs, signal)
    assert trace.injected == (None,) * chip.network.depth


@pytest.mark.parametrize("sampling", ["column", "device"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("mapping", MAPPINGS, ids=NAMES)
def test_every_layer_is_a_linear_map_and_a_leaky_relu(
    chip_of: Any, weights_of: Any, inputs_of: Any, mapping: Mapping, tile: int, dtype: torch.dtype, sampling: Any
) -> None:
    for bias in (True, False):
        network = _network(bias)
        arguments = {"mapping": mapping, "tile": tile, "dtype": dtype, "sampling": sampling}
        chip = chip_of(network, load_profile("ideal"), CHIPS, **arguments)
        weights = weights_of(network, range(CHIPS), dtype)
        _assert_forward(chip, inputs_of(CHIPS, BATCH, SIZES[0], dtype=dtype), weights)
        chip.write([LayerWrite(0.7 * w) for w in weights])
        _assert_forward(chip, inputs_of(CHIPS, BATCH, SIZES[0], dtype=dtype), tuple(0.7 * w for w in weights))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("mapping", MAPPINGS, ids=NAMES)
def test_backward_is_the_transposed_product_and_the_derivative(
    chip_of: Any, weights_of: Any, inputs_of: Any, mapping: Mapping, tile: int, dtype: torch.dtype, backward: Any
) -> None:
    network = _network()
    chip = chip_of(network, load_profile("ideal"), CHIPS, mapping=mapping, tile=tile, dtype=dtype)
    weights = weights_of(network, range(CHIPS), dtype)
    trace = chip.forward(inputs_of(CHIPS, BATCH, SIZES[0], dtype=dtype))
    pre_activations = tuple(a[:, 0, 0] for a in trace.pre_activations)
    v = inputs_of(CHIPS, BATCH, SIZES[-1], dtype=dtype)
    vectors = backward(chip, v, pre_activations)
    assert torch.equal(vectors[-1], v)
    for index in range(network.depth - 1):
        slope = leaky_relu(pre_activations[index].sign(), 0.01).abs()  # its roundings come on top of those of a weight
        _assert_product(vectors[index] / slope, vectors[index + 1], weights[index + 1][:, :, :-1].transpose(1, 2))


def test_backward_is_the_gradient(chip_of: Any, weights_of: Any, inputs_of: Any, backward: Any) -> None:
    network = _network()
    chip = chip_of(network, load_profile("ideal"), CHIPS)
    x, target = inputs_of(CHIPS, BATCH, SIZES[0]), inputs_of(CHIPS, BATCH, SIZES[-1])
    weights = [w.requires_grad_() for w in weights_of(network, range(CHIPS), torch.float64)]
    signal, pre_activations = x, []
    for index, w in enumerate(weights):
        a = torch.bmm(signal, w[:, :, :-1].transpose(1, 2)) + w[:, None, :, -1]
        a.retain_grad()
        pre_activations.append(a)
        signal = leaky_relu(a, 0.01) if index < network.depth - 1 else a
    (0.5 * (signal - target).square()).sum().backward()
    vectors = backward(chip, signal.detach() - target, tuple(a.detach() for a in pre_activations))
    for vector, a in zip(vectors, pre_activations, strict=True):
        torch.testing.assert_close(vector, a.grad, rtol=1e-12, atol=1e-13)


def test_a_digital_matrix_before_a_layer_is_applied_and_transposed(
    chip_of: Any, weights_of: Any, inputs_of: Any, backward: Any
) -> None:
    network = _network()
    chip = chip_of(network, load_profile("ideal"), CHIPS)
    weights = weights_of(network, range(CHIPS), torch.float64)
    r = [inputs_of(CHIPS, n, n) for n in SIZES[:2]]
    periphery = Periphery((*r, None))
    x = inputs_of(CHIPS, BATCH, SIZES[0])
    trace = chip.forward(x, (Pass(), Pass()), samples=2, periphery=periphery)
    torch.testing.assert_close(trace.inputs[0][:, 0, 0, :, :-1], torch.einsum("cij,cbj->cbi", r[0], x))
    assert (trace.inputs[1][..., -1] == 1).all(), "the bias is not mixed into"
    x = leaky_relu(trace.pre_activations[0], 0.01)
    one = trace.inputs[1][..., :-1], trace.inputs[2][..., :-1]  # passes without noise share their inputs
    second, third = (levels.expand(-1, 2, 2, -1, -1) for levels in one)
    torch.testing.assert_close(second, torch.einsum("cij,cspbj->cspbi", r[1], x))
    torch.testing.assert_close(third, leaky_relu(trace.pre_activations[1], 0.01))
    ones = tuple(torch.ones(CHIPS, BATCH, n, dtype=torch.float64) for n in SIZES[1:])
    vectors = backward(chip, ones[-1], ones, periphery)
    v = torch.einsum("cbo,coi->cbi", ones[-1], weights[2][:, :, :-1])
    torch.testing.assert_close(vectors[1], v)
    torch.testing.assert_close(vectors[0], torch.einsum("cbo,coi,cij->cbj", v, weights[1][:, :, :-1], r[1]))


def test_a_backward_vector_stops_where_a_converter_clipped(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    network = _network()
    # Converters so fine that only their ranges show; a level is 3e-5 of the range below the next.
    converters: dict[str, Any] = {"dac": {"bits": 16, "range": 0.8}, "adc": {"bits": 16, "range": 1.5}}
    chip = chip_of(network, profile_of(**converters), CHIPS)
    trace = chip.forward(2 * inputs_of(CHIPS, BATCH, SIZES[0]))
    inputs = tuple(x[:, 0, 0] for x in trace.inputs)
    pre_activations = tuple(a[:, 0, 0] for a in trace.pre_activations)
    vectors = chip.backward(inputs_of(CHIPS, BATCH, SIZES[-1]), inputs, pre_activations)
    alone = torch.zeros(2)
    for index in range(network.depth - 1):
        at_dac = inputs[index + 1][..., :-1].abs() > 0.8 * (1 - 1e-5)
        at_adc = pre_activations[index].abs() > 1.5 * (1 - 1e-5)
        clipped = at_dac | at_adc
        assert 0 < clipped.sum() < clipped.numel(), "a test of clipping needs both kinds"
        assert (vectors[index][clipped] == 0).all()
        assert (vectors[index][~clipped] != 0).all()
        alone += torch.stack([(at_dac & ~at_adc).sum(), (at_adc & ~at_dac).sum()])
    assert (alone > 0).all(), "and it needs each of them alone"


def test_limits_are_those_of_the_data_sheet(chip_of: Any, profile_of: Any) -> None:
    network = Network.mlp([7, 12, 5])  # rows: 8 and 13
    dac, adc = {"bits": 8, "range": 0.8}, {"bits": 8, "range": 1.5}

    def limits(tile: int = 256, **parts: Any) -> Any:
        return chip_of(network, profile_of(**parts), CHIPS, tile=tile).limits

    assert (limits().inputs, limits().outputs) == ((None, None), (None, None))
    both = limits(dac=dac, adc=adc)
    assert (both.inputs, both.outputs) == ((0.8, 0.8), (1.5, 1.5))
    assert limits(tile=8, dac=dac, adc=adc).outputs == (1.5, None), "several tiles add up"
    scaled = limits(dac={**dac, "scaling": "per_vector"}, adc=adc)
    assert (scaled.inputs, scaled.outputs) == ((None, None), (None, None)), "the ranges scale with each vector"


@pytest.mark.parametrize("bias", [True, False])
def test_what_is_recorded_is_no_view_of_the_batch_or_of_the_weights(chip_of: Any, inputs_of: Any, bias: bool) -> None:
    x = inputs_of(CHIPS, BATCH, SIZES[0])
    chip = chip_of(_network(bias), load_profile("ideal"), CHIPS)
    before = x.clone(), [w.clone() for w in chip.oracle.weights]
    trace = chip.forward(x)
    for each in (*trace.inputs, *trace.pre_activations, trace.outputs):
        each.mul_(0)
    for limit in chip.limits.weights:
        limit.mul_(0)
    assert torch.equal(x, before[0])
    assert all(torch.equal(w, old) for w, old in zip(chip.oracle.weights, before[1], strict=True))
    assert all((limit > 0).all() for limit in chip.limits.weights)


# The range of weights


@pytest.mark.parametrize("per", ["layer", "column"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_fixed_range_clips_and_reports_it(
    chip_of: Any, weights_of: Any, ranges_of: Any, per: Any, dtype: torch.dtype
) -> None:
    network, mapping = _network(), Mapping("fixed", per)
    chip = chip_of(network, load_profile("ideal"), CHIPS, mapping=mapping, dtype=dtype)
    weights = weights_of(network, range(CHIPS), dtype)
    limits = ranges_of(weights, mapping)
    assert (chip.saturated == 0).all()
    targets = [w * torch.linspace(0.5, 20, w.numel(), dtype=dtype).reshape(w.shape) for w in weights]
    chip.write([LayerWrite(target) for target in targets])
    for index, target in enumerate(targets):
        limit = torch.from_numpy(limits[index]).to(dtype)
        assert torch.equal(chip.limits.weights[index], limit)
        beyond = target.abs() >= limit
        assert 0 < beyond.sum() < beyond.numel(), "a test of clipping needs both kinds"
        clipped = torch.where(beyond, limit * target.sign(), target)
        # Six roundings on the way to conductances and back.
        torch.testing.assert_close(chip.oracle.weights[index], clipped, rtol=3 * torch.finfo(dtype).eps, atol=0)
        share = beyond.double().mean((1, 2)).to(dtype)
        torch.testing.assert_close(chip.saturated[:, index], share, rtol=1e-6, atol=0)


@pytest.mark.parametrize("per", ["layer", "column"])
def test_a_range_that_follows_does_not_clip(chip_of: Any, weights_of: Any, per: Any) -> None:
    network = _network()
    chip = chip_of(network, load_profile("ideal"), CHIPS, mapping=Mapping("follow", per))
    assert chip.limits.weights == (None,) * network.depth
    for factor in (30.0, 1e-3):
        targets = [factor * w for w in weights_of(network, range(CHIPS), torch.float64)]
        chip.write([LayerWrite(target) for target in targets])
        for index, target in enumerate(targets):
            torch.testing.assert_close(chip.oracle.weights[index], target, rtol=1e-15, atol=0)
            plus, minus = chip.oracle.conductances[index]
            largest = torch.maximum(plus, minus).amax((1, 2) if per == "layer" else 2)
            torch.testing.assert_close(largest, torch.full_like(largest, 25e-6), rtol=1e-15, atol=0)


@pytest.mark.parametrize("g_min", ["0 uS", "5 uS"])
def test_one_device_of_a_pair_rests_at_g_min(chip_of: Any, weights_of: Any, profile_of: Any, g_min: str) -> None:
    network = _network()
    profile = profile_of(conductance={"min": g_min, "max": "25 uS"})
    chip = chip_of(network, profile, CHIPS)
    low = profile.conductance.min
    for (plus, minus), w in zip(
        chip.oracle.conductances, weights_of(network, range(CHIPS), torch.float64), strict=True
    ):
        assert (torch.where(w > 0, minus, plus) == low).all()
        span = 25e-6 - low
        expected = w.abs() / (2 * w.abs().amax((1, 2), keepdim=True)) * span  # headroom 2
        torch.testing.assert_close(torch.maximum(plus, minus) - low, expected, rtol=1e-12, atol=1e-16 * 25e-6 * 4)


def test_an_all_zero_layer_is_no_fault(profile_of: Any, inputs_of: Any, linear: Any, backward: Any) -> None:
    network = linear(3, 2)
    for mapping in MAPPINGS:
        chip = Chip(network, profile_of(), mapping=mapping)
        chip.program([torch.zeros(1, 2, 4)])
        assert (chip.forward(inputs_of(1, 5, 3, dtype=torch.float32)).outputs == 0).all()
        assert torch.isfinite(backward(chip, torch.ones(1, 5, 2), (torch.ones(1, 5, 2),))[0]).all()


def test_writes_are_counted_by_device_pair(chip_of: Any, weights_of: Any) -> None:
    network = _network()
    weights = weights_of(network, range(CHIPS), torch.float64)
    chip = chip_of(network, load_profile("ideal"), CHIPS)
    assert chip.device_writes.tolist() == [0] * CHIPS
    chip.write([LayerWrite(w) for w in weights])
    assert chip.device_writes.tolist() == [0] * CHIPS, "nothing changed"
    changed = [w.clone() for w in weights]
    changed[0][0, 2, 3] += 0.01
    changed[1][0, 0, :5] += 0.01
    changed[2][2, 1, 1] += 0.01
    chip.write([LayerWrite(w) for w in changed])
    assert chip.device_writes.tolist() == [6, 0, 1]

    chip = chip_of(network, load_profile("ideal"), CHIPS, mapping=Mapping("follow"))
    chip.write([LayerWrite(1.5 * w) for w in weights])
    every = sum(w[0].numel() for w in weights)
    assert chip.device_writes.tolist() == [every] * CHIPS, "a change of range rewrites all devices"


def test_what_does_not_fit_is_refused(profile_of: Any) -> None:
    network = _network()
    with pytest.raises(ValueError, match="a population needs at least one chip"):
        Chip(network, profile_of(), population=0)
    with pytest.raises(ValueError, match="one seed per chip"):
        Chip(network, profile_of(), population=3, seed=[1, 2])
    chip = Chip(network, profile_of(), population=2)
    with pytest.raises(ValueError, match=r"weights of layer 0 must have shape \(2, 12, 8\) \(got \(1, 12, 8\)\)"):
        chip.program(network.initial_weights("he_normal", [torch.Generator()]))


@pytest.mark.parametrize("sampling", ["column", "device"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("injection", ["digital", "analog"])
def test_shapes_dtype_and_device_are_those_asked_for(
    weights_of: Any, profile_of: Any, injection: Any, dtype: torch.dtype, sampling: Any, backward: Any
) -> None:
    # Tensors on the meta device have no numbers; what is made elsewhere by mistake cannot be combined with them.
    network = _network()
    profile = profile_of(
        conductance={"min": "1 uS", "max": "25 uS"},
        read_noise=[{"sigma": "1 %"}, {"kind": "proportional", "sigma": "1 %"}],
        column_noise={"sigma": {"each": ["0 %", "1 %", "2 %"]}},
        dac={"bits": 8, "range": 1, "scaling": "per_vector"},
        adc={"bits": 8, "range": 1},
    )
    arguments: dict[str, Any] = {"dtype": dtype, "sampling": sampling, "injection": injection, "tile": 4}
    chip = Chip(network, profile, CHIPS, device="meta", generator=lambda _: None, **arguments)
    weights = weights_of(network, range(CHIPS), dtype)
    chip.program(weights)
    chip.write([LayerWrite(w.to("meta")) for w in weights])
    inject = Injection(0.1, site="activation"), Injection(0.1, draw=1, law="rademacher")
    passes = (Pass(clean=True), *(Pass(inject=each) for each in inject))
    x = torch.empty(CHIPS, BATCH, SIZES[0], dtype=dtype, device="meta")
    trace = chip.forward(x, passes, samples=2)
    vectors = backward(chip, trace.outputs[:, 0, 0], tuple(a[:, 0, 0] for a in trace.pre_activations))
    for index, layer in enumerate(network.layers):
        eps = trace.injected[index]
        assert eps is not None
        assert eps.shape == trace.pre_activations[index].shape == (CHIPS, 2, 3, BATCH, layer.columns)
        assert vectors[index].shape == (CHIPS, BATCH, layer.columns)
        assert trace.inputs[index].shape == (CHIPS, *((1, 1) if index == 0 else (2, 3)), BATCH, layer.rows)
    tensors = (*trace.inputs, *trace.pre_activations, *vectors, trace.outputs, *chip.oracle.weights)
    assert {each.dtype for each in tensors} == {dtype}
    assert {each.device.type for each in tensors} == {"meta"}
    assert chip.saturated.shape == (CHIPS, network.depth)
    assert chip.device_writes.shape == (CHIPS,)


def test_weights_must_fit_into_the_range() -> None:
    with pytest.raises(ValueError, match=r"headroom must be at least 1.*got 0\.5"):
        Mapping(headroom=0.5)
