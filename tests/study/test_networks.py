"""Networks of scenarios: from YAML to layers, faults by the layer's name, and runs through the whole chip path."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from analogsim.errors import ScenarioError
from analogsim.network import Binary, Conv2d, Dense, HardThreshold, Identity, LeakyReLU, Network, Sigmoid, Tanh
from analogsim.study.arm import Arm
from analogsim.study.check import check
from analogsim.study.population import lay_out
from analogsim.study.run import load_data
from analogsim.study.scenario import resolve, to_data
from analogsim.tasks import DATA_SETS, DataSet
from device_models._yaml import dump_yaml, load_yaml

CONV = {"conv": {"channels": 4, "kernel": 3, "stride": 2, "padding": 1}}
LAYERS = [CONV, {"max_pool": {"kernel": 2, "stride": 1}}, {"dropout": 0.25}, {"dense": 12, "activation": "tanh"}, 10]


def data_of(layers: Any, **parts: Any) -> dict[str, Any]:
    network = {"layers": layers, **parts.pop("network", {})}
    return {
        "name": "tiny",
        "data": {"set": "digits", "batch": 100},
        "network": network,
        "chip": {"profile": "noisy", "population": 2},
        "train": {"epochs": 1},
        "arms": {"anp": {"rule": "anp"}},
        **parts,
    }


def network_of(layers: Any, shape: tuple[int, ...] = (1, 8, 8), **parts: Any) -> Network:
    return resolve(data_of(layers, **parts), "x").network.build(shape)


def test_layers_are_built_as_written_and_written_as_read() -> None:
    data = data_of(LAYERS, network={"activation": "relu"})
    scenario = resolve(data, "x")
    network = scenario.network.build((1, 8, 8))
    assert scenario.network.depth == network.depth == 3
    first, second, last = network.layers
    assert isinstance(first, Conv2d) and isinstance(second, Dense) and isinstance(last, Dense)
    assert (first.window.kernel, first.window.stride, first.window.padding) == ((3, 3), (2, 2), (1, 1))
    assert [type(each).__name__ for each in first.after] == ["MaxPool2d", "Dropout"]
    assert (first.units, first.results, second.inputs, second.columns, last.columns) == (64, 36, 36, 12, 10)
    assert [each.activation for each in network.layers] == [LeakyReLU(0.0), Tanh(), Identity()]
    again = resolve(load_yaml(dump_yaml(to_data(scenario)), "again"), "again")
    assert to_data(again) == to_data(scenario) and again.network.build((1, 8, 8)) == network


def test_numbers_alone_are_the_multi_layer_perceptron() -> None:
    assert network_of([7, 10], (64,)) == network_of([7, 10]) == Network.mlp([64, 7, 10])
    assert to_data(resolve(data_of([7, 10]), "x"))["network"]["layers"] == [7, 10]
    assert network_of([{"dense": 7}, {"dense": 10, "activation": "sigmoid"}]).layers[1].activation == Sigmoid()


def test_kernels_may_have_two_sizes() -> None:
    item = {"conv": {"channels": 2, "kernel": [3, 2], "stride": [1, 2], "padding": [0, 1]}}
    (layer,) = network_of([item, {"avg_pool": 2}], (3, 6, 5)).layers
    assert isinstance(layer, Conv2d)
    assert (layer.window.kernel, layer.window.stride, layer.window.padding) == ((3, 2), (1, 2), (0, 1))
    assert (layer.units, layer.results) == (2 * 4 * 3, 2 * 2 * 1)


@pytest.mark.parametrize(
    ("written", "built"),
    [
        ("leaky_relu", LeakyReLU(0.01)),
        ({"leaky_relu": 0.2}, LeakyReLU(0.2)),
        ("relu", LeakyReLU(0.0)),
        ("tanh", Tanh()),
        ("sigmoid", Sigmoid()),
        ("hard_threshold", HardThreshold()),
        ("binary", Binary()),
        ("identity", Identity()),
    ],
    ids=str,
)
def test_activation_functions_by_name(written: Any, built: Any) -> None:
    hidden, last = network_of([5, 10], network={"activation": written}).layers
    assert (hidden.activation, last.activation) == (built, Identity())
    assert network_of([5, {"dense": 10, "activation": written}]).layers[1].activation == built


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([{"cnv": 3}, 10], "network.layers.0.cnv: unknown key"),
        (["flatten", 10], "network.layers.0: no layer is called 'flatten'"),
        ([{"conv": {"channels": 4, "kernel": 0}}, 10], "network.layers.0.conv.kernel: must be a whole number"),
        ([{"conv": {"channels": 4, "kernel": [3, 3, 3]}}, 10], r"conv.kernel: .* \(got \[3, 3, 3\]\)"),
        ([{"conv": {"channels": 4}}, 10], "network.layers.0.conv.kernel: is missing"),
        ([8, {"max_pool": "a"}, 10], "network.layers.1.max_pool.kernel: must be a whole number"),
        ([8, {"dropout": 1.0}, 10], "network.layers.1.dropout: must be less than 1"),
        ([{"dense": 3, "conv": CONV["conv"]}, 10], r"give exactly one of dense, conv, .* \(got dense, conv\)"),
        ([CONV, {"max_pool": 2, "activation": "tanh"}, 10], "only dense and conv have an activation"),
        (
            [{"dense": 3, "activation": "tan"}, 10],
            "layers.0.activation: no activation function is called 'tan'",
        ),
        ([8, True], "network.layers.1: must be an integer"),
        ([], "network.layers: must have at least one layer"),
    ],
    ids=str,
)
def test_a_layer_that_is_none_is_refused(layers: Any, message: str) -> None:
    with pytest.raises(ScenarioError, match=message) as found:
        resolve(data_of(layers), "x")
    assert str(found.value).count("\n  - ") == 1, "one fault, told once"


@pytest.mark.parametrize(
    ("layers", "parts", "message"),
    [
        (
            [{"conv": {"channels": 4, "kernel": 9}}, 10],
            {},
            r"layers.0: the kernel is larger .* \(got 9x9 on 8x8\)",
        ),
        ([CONV, {"max_pool": 5}, 10], {}, r"network.layers.1: .* \(got 5x5 on 4x4\)"),
        ([32, {"max_pool": 2}, 10], {}, r"network.layers.1: a max pooling takes an image .* \(got 32 numbers\)"),
        ([32, CONV, 10], {}, r"network.layers.1: a convolution takes an image .* \(got 32 numbers\)"),
        ([{"dropout": 0.5}, 10], {}, "network.layers.0: a dropout stands behind a layer with weights"),
        ([CONV, {"dropout": 0.5}, {"dropout": 0.5}, 10], {}, "network.layers.2: a layer takes one dropout"),
        ([CONV, "softmax"], {}, r"network.layers.1: a softmax is a readout of flat data \(got 4x4x4\)"),
        ([10, "softmax", 10], {}, "network.layers.2: a dense layer stands behind the softmax"),
        ([CONV, 9], {}, r"the last layer must have the 10 outputs of digits \(got 9\)"),
        ([CONV], {}, r"must have the 10 outputs of digits \(got 64\)"),
        ([CONV, 10, "softmax"], {}, "data.loss: cross_entropy takes the softmax itself"),
        (
            [CONV, {"dense": 8, "activation": "binary"}, 10],
            {"arms": {"bp": {"rule": "bp", "oracle": ["output_error", "transposed_read"]}, "anp": {"rule": "anp"}}},
            "arms.bp: rule 'bp' needs the derivatives .* binary of layer 1 .* would work: .*np",
        ),
        (
            LAYERS,
            {"arms": {"np": {"rule": "np", "weight_normalisation": {"gains": [1.0, 1.0, 1.0, 1.0]}}}},
            r"gains: must be one for each of the 3 layers \(got 4\)",
        ),
    ],
    ids=str,
)
def test_a_network_that_does_not_fit_is_refused(layers: Any, parts: dict[str, Any], message: str) -> None:
    scenario = resolve(data_of(layers, **parts), "x")
    with pytest.raises(ScenarioError, match=message) as found:
        check(scenario, load_data(scenario))
    assert str(found.value).count("\n  - ") == 1, "one fault, told once"


def test_layers_of_a_chip_are_those_with_weights() -> None:
    layers = {1: {"profile": "pcm"}, -1: {"overrides": {"adc": {"bits": 5}}}}
    scenario = resolve(data_of(LAYERS, chip={"profile": "noisy", "population": 1, "layers": layers}), "x")
    first, second, third = lay_out(scenario, scenario.arms["anp"]).profiles
    assert (first.name, second.name) == ("noisy", "pcm")
    assert third.adc is not None and third.adc.bits == 5
    with pytest.raises(ScenarioError, match="layers are numbered 0 to 2"):
        resolve(data_of(LAYERS, chip={"profile": "noisy", "layers": {3: {"profile": "pcm"}}}), "x")


def test_data_sets_keep_the_shape_of_their_images() -> None:
    data = DATA_SETS["digits"]()
    assert data.input_shape == (1, 8, 8)
    assert data.standardised().input_shape == data.held_out(100).input_shape == (1, 8, 8)
    assert dataclasses.replace(data, shape=None).input_shape == (64,)
    with pytest.raises(ValueError, match=r"shape \(1, 8, 9\) have 72 features \(got 64\)"):
        dataclasses.replace(data, shape=(1, 8, 9))


def small(layers: Any, **parts: Any) -> Arm:
    scenario = resolve(data_of(layers, **parts), "x")
    full = load_data(scenario)
    data = DataSet(full.train_inputs[:300], full.train_targets[:300], full.test_inputs[:50], full.test_targets[:50], full.shape)  # fmt: skip # noqa: E501
    check(scenario, data)
    return Arm(scenario, next(iter(scenario.arms)), data, torch.device("cpu"))


def test_evaluation_has_no_dropout() -> None:
    """The same chips and noise with and without dropout: it draws nothing that others would miss, and is off."""
    without = [item for item in LAYERS if item != {"dropout": 0.25}]
    found = [small(layers).evaluate().chips for layers in (LAYERS, without)]
    assert found[0] == found[1]
    trained = [small(layers) for layers in (LAYERS, without)]
    for arm in trained:
        arm.advance()
    assert trained[0].evaluate().chips != trained[1].evaluate().chips, "in training it is on"


def test_an_arm_with_convolutions_goes_on_where_it_was_saved() -> None:
    """Bit for bit: masks, noise with memory and R are restored."""
    parts = {"chip": {"profile": "pcm", "population": 2}, "arms": {"danp": {"rule": "danp", "samples": 2}}}
    straight, saved, resumed = (small(LAYERS, **parts) for _ in range(3))
    for _ in range(2):
        straight.advance()
    saved.advance()
    resumed.load_state_dict(saved.state_dict(), saved.curves)
    resumed.advance()
    assert straight.evaluate().chips == resumed.evaluate().chips


@pytest.mark.parametrize(("optimizer", "steps"), [({"adam": {"lr": 1e-2}}, 30), ({"in_memory": {"lr": 0.3}}, 30)])
def test_a_convolutional_network_learns(optimizer: dict[str, Any], steps: int) -> None:
    """Backpropagation on two chips, by absolute writes and by the pulses of its factors: the test loss falls."""
    arm = small(
        [CONV, {"max_pool": 2}, 10],
        chip={"profile": "constant-step", "population": 2},
        train={"epochs": 1, "optimizer": optimizer},
        arms={"bp": {"rule": "bp", "oracle": ["output_error", "transposed_read"]}},
    )
    before = arm.evaluate().chips
    for _ in range(steps):
        arm.advance()
    for first, last in zip(before, arm.evaluate().chips, strict=True):
        assert first.test_loss is not None and last.test_loss is not None
        assert last.test_loss < 0.8 * first.test_loss
