"""What a step is made of: counts of a network on a chip."""

from __future__ import annotations

import pytest
import torch

from analogsim.chip import Chip
from analogsim.clock import optimizer_operations, step_shape
from analogsim.network import LeakyReLU, Network, Stack, Tanh

SERIAL = {"bits": 5, "range": 1.0, "encoding": "bit_serial", "polarity": "two_phase"}
ADC = {"bits": 8, "range": 4.0}
SETTINGS = [
    {},
    {"dac": SERIAL},
    {"dac": {"bits": 8, "range": 1.0, "encoding": "pulse_width"}},
    {"slices": {"count": 3, "bits": 2}, "dac": {**SERIAL, "encoding": "voltage"}},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_conversions_are_those_of_the_simulated_crossbar(prices, settings) -> None:
    network, profile = Network.mlp([20, 9, 4]), prices.profile(prices.costs(), adc=ADC, **settings)
    chip = Chip(network, profile, tile=8)
    chip.program(network.initial_weights("he_normal", [torch.Generator()]))
    shape = step_shape(network, [profile] * 2, 8, 1, 1)
    for index, layer in enumerate(shape.layers):
        currents = chip._layers[index].currents  # row-blocks, slices, phases and bits
        assert layer.forward(8).operations.adc == currents * layer.columns
        sums = (currents - 1) * layer.columns
        assert layer.after == sums + (9 if index == 0 else 0)  # leaky ReLU; the output is linear


def test_reads_of_a_product_follow_one_another(prices) -> None:
    costs = prices.costs(array=2, adc=3)
    network, profile = Network.mlp([20, 9]), prices.profile(costs, dac=SERIAL, slices={"count": 3, "bits": 2})
    (layer,) = step_shape(network, [profile], 8, 1, 1).layers
    reads = layer.forward(8)
    assert (reads.number, reads.array, reads.adc) == (8, 2, 3)
    assert reads.operations[:3] == (8 * 3 * 21 * 2, 8 * 3 * 21 * 9 * 2, 8 * 3 * 9 * 3)  # 3 x 2 tiles
    back = layer.backward(8).operations
    assert back[:3] == (8 * 3 * 9 * 3, 8 * 3 * 20 * 9 * 2, 8 * 3 * 20 * 2)


@pytest.mark.parametrize(("shared_by", "seconds"), [(1, 1), (4, 4), (100, 8)])
def test_an_adc_serves_its_columns_in_turn(prices, shared_by, seconds) -> None:
    costs = prices.priced(adc={"time": 1.0, "shared_by": shared_by})
    (layer,) = step_shape(Network.mlp([20, 9]), [prices.profile(costs)], 8, 1, 1).layers
    assert layer.forward(8).adc == seconds  # a tile has 8 columns at most


def test_a_convolution_is_read_once_for_each_position(prices) -> None:
    stack = Stack((2, 6, 6))
    stack.conv(3, 3, activation=Tanh())
    stack.max_pool(2)
    stack.dropout(0.5)
    stack.dense(10)
    stack.softmax()
    network = Network(tuple(stack.layers))
    profile = prices.profile(prices.costs())
    shape = step_shape(network, [profile] * 2, 256, 1, 1, decorrelation=["digital", "crossbar"])
    conv, dense = shape.layers
    assert (conv.positions, conv.rows, conv.columns, conv.forward(256).number) == (16, 19, 3, 16)
    pooled = 3 * 4
    after = 48 + 4 * pooled + pooled  # tanh, windows of 4, dropout
    assert (conv.before, conv.after) == (16 * 2 * 18**2, after)
    assert (dense.before, dense.after) == (0, 3 * 10)
    assert dense.back == 2 * 10 + pooled + 2 * pooled**2 + after + 48
    assert dense.decorrelating(256).operations.array == 2 * pooled**2
    assert shape.loss == 30


def test_scaled_vectors_take_digital_operations(prices) -> None:
    network = Network.mlp([6, 4])
    dac = {"bits": 8, "range": 1.0}
    fixed, scaled = (
        step_shape(network, [prices.profile(prices.costs(), dac={**dac, "scaling": scaling})], 256, 1, 1).layers[0]
        for scaling in ("fixed", "per_vector")
    )
    assert (fixed.after, scaled.after) == (0, 2 * 7 + 4)


def test_writes_are_those_of_the_profile(prices) -> None:
    more = {"programming": {"kind": "constant", "sigma": "1 uS"}}
    verified = {"write_verify": {"iterations": 5, "tolerance": "1 uS"}, **more}
    (layer,) = step_shape(Network.mlp([6, 4]), [prices.profile(prices.costs(), **verified)], 256, 1, 1).layers
    assert (layer.verified, layer.slots) == (5, 62)


def test_without_costs_there_is_no_shape(prices) -> None:
    profiles = [prices.profile(prices.costs()), prices.profile()]
    assert step_shape(Network.mlp([3, 2, 2], LeakyReLU()), profiles, 256, 1, 1) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch": 0}, "at least one .*got 1, 256, 0 and 1"),
        ({"update": (1, 2)}, "update: give one number for each of the 1 layers"),
        ({"companions": (1, 2)}, "companions: give one number"),
        ({"rewritten": 2}, "at most all 1 passes"),
    ],
)
def test_steps_that_cannot_be_are_refused(prices, settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        prices.step(prices.layer(), **settings)


def test_operations_of_optimisers() -> None:
    assert optimizer_operations("sgd") == 2
    assert optimizer_operations("sgd", {"momentum": 0.9, "weight_decay": 0.0}) == 4
    assert optimizer_operations("adam") == 12
    assert optimizer_operations("adamw", {"weight_decay": 0.1}) == 13
    assert optimizer_operations("in_memory") == 0
    with pytest.raises(ValueError, match=r"no such optimiser.*'lion'"):
        optimizer_operations("lion")


def test_every_optimiser_of_scenarios_is_counted() -> None:
    from analogsim.study.optimizer import _OPTIMIZERS

    assert all(optimizer_operations(name) >= 0 for name in _OPTIMIZERS)
