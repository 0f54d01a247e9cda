"""Chips whose layers are made of different devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from analogsim.chip import Chip
from analogsim.network import Network
from device_models import DeviceProfile, ProfileError, load_profile

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def mixed(profile_of: Make) -> tuple[DeviceProfile, DeviceProfile]:
    first = profile_of(
        conductance={"max": "10 uS"},
        programming={"kind": "constant", "sigma": "0.3 uS"},
        read_noise={"sigma": "2 %"},
        dac={"bits": 6, "range": 3},
        adc={"bits": 9, "range": 8},
    )
    second = profile_of(
        drift={"kind": "constant", "t0": "1 s", "mean": 0.1, "sd": 0.02},
        read_noise={"kind": "proportional", "sigma": "1 %"},
        dac={"bits": 5, "range": 2},
        adc={"bits": 7, "range": 5},
    )
    return first, second


def test_one_profile_for_each_layer_is_one_for_all_of_them(
    mixed: Any, chip_of: Make, inputs_of: Make, linear: Make
) -> None:
    network, x = linear(6, 5, 4), inputs_of(2, 7, 6)
    for profile in mixed:
        traces = [chip_of(network, each, 2, seed=3).forward(x, now=4.0) for each in (profile, [profile] * 2)]
        assert all(torch.equal(a, b) for a, b in zip(traces[0].pre_activations, traces[1].pre_activations, strict=True))


def test_each_layer_is_as_on_a_chip_of_its_own_devices_only(
    mixed: Any, chip_of: Make, inputs_of: Make, linear: Make
) -> None:
    network, x = linear(6, 5, 4), inputs_of(2, 7, 6)
    chip = chip_of(network, mixed, 2, seed=3)
    alone = [chip_of(network, profile, 2, seed=3) for profile in mixed]
    for each in (chip, *alone):
        each.settle(50.0)
    for index, other in enumerate(alone):
        for mine, theirs in zip(chip.oracle.conductances[index], other.oracle.conductances[index], strict=True):
            assert torch.equal(mine, theirs)
        assert chip.limits.inputs[index] == other.limits.inputs[index]
        assert chip.limits.outputs[index] == other.limits.outputs[index]
    trace, first = chip.forward(x, now=60.0), alone[0].forward(x, now=60.0)
    assert torch.equal(trace.inputs[0], first.inputs[0])
    assert torch.equal(trace.pre_activations[0], first.pre_activations[0])
    assert not torch.equal(trace.pre_activations[1], first.pre_activations[1])
    step = 2 * 2 / (2**5 - 2)  # of the second layer's own DAC
    codes = trace.inputs[1] / step
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-9)
    assert chip.profiles == mixed
    assert chip.profile is mixed[0]


def test_noise_and_time_touch_the_layers_that_know_them(
    profile_of: Make, mixed: Any, chip_of: Make, inputs_of: Make, linear: Make
) -> None:
    network, x = linear(6, 5, 4), inputs_of(1, 7, 6)
    chip = chip_of(network, [profile_of(), mixed[1]], seed=3)
    quiet, loud = chip.forward(x, samples=2).pre_activations
    assert torch.equal(quiet[:, 0], quiet[:, -1])
    assert not torch.equal(loud[:, 0], loud[:, 1])
    before = [w.clone() for w in chip.oracle.weights]
    chip.settle(1000.0)
    assert torch.equal(chip.oracle.weights[0], before[0])
    assert not torch.equal(chip.oracle.weights[1], before[1])


def test_a_backward_read_goes_through_each_layers_own_devices(
    mixed: Any, chip_of: Make, inputs_of: Make, linear: Make
) -> None:
    network = linear(6, 5, 4)
    chip, alone = (chip_of(network, each, 2, seed=3) for each in (mixed, mixed[1]))
    v = inputs_of(2, 7, 4)
    inside = [torch.zeros(2, 7, layer.rows, dtype=torch.float64) for layer in network.layers]
    a = [torch.zeros(2, 7, layer.columns, dtype=torch.float64) for layer in network.layers]
    sent = [each.backward(v, inside, a)[0] for each in (chip, alone)]
    assert torch.equal(*sent)
    other = chip_of(network, mixed[::-1], 2, seed=3).backward(v, inside, a)[0]
    assert not torch.equal(sent[0], other)


def test_layers_of_one_profile_share_its_tensors(mixed: Any, linear: Make) -> None:
    first, second = mixed
    chip = Chip(linear(6, 5, 4, 3), [first, second, first])
    built = [crossbar._device for crossbar in chip._layers]
    assert built[0] is built[2]
    assert built[0] is not built[1]


def test_a_layer_may_calibrate_its_converters_and_have_noise_of_its_units(
    profile_of: Make, chip_of: Make, inputs_of: Make, linear: Make
) -> None:
    first = profile_of(adc={"bits": 8, "range": 4})
    second = profile_of(adc={"bits": 8, "range": "calibrated"}, unit_noise={"kind": "gaussian", "sigma": 0.1})
    chip, x = chip_of(linear(6, 5, 4), [first, second], 2, seed=3), inputs_of(2, 7, 6)
    assert chip.calibrates
    chip.calibrate(x)
    quiet, loud = chip.forward(x, samples=2).pre_activations
    assert torch.equal(quiet[:, 0], quiet[:, -1])
    assert not torch.equal(loud[:, 0], loud[:, 1])
    assert chip.limits.outputs[0] == 4


@pytest.mark.parametrize("count", [0, 1, 3])
def test_as_many_profiles_as_layers(count: int) -> None:
    with pytest.raises(ProfileError, match=rf"one for each of its 2 layers \(got {count}\)"):
        Chip(Network.mlp([6, 5, 4]), [load_profile("noisy")] * count)


def test_errors_name_the_layer(profile_of: Make) -> None:
    axis = profile_of(read_noise={"sigma": {"each": ["1 %", "2 %", "3 %"]}})
    with pytest.raises(ProfileError, match=r"^layer 1: read_noise\.sigma: `each` gives 3 values for 2 chips"):
        Chip(Network.mlp([6, 5, 4]), [profile_of(), axis], population=2)
    with pytest.raises(ProfileError, match=r"^read_noise\.sigma: `each` gives 3 values for 2 chips"):
        Chip(Network.mlp([6, 5, 4]), axis, population=2)
    slow = profile_of(timing={"pass_time": "1 ms", "step_time": "1 s"})
    with pytest.raises(ProfileError, match=r"^layer 1: `timing` must be that of layer 0.*got pass_time 0.001 s"):
        Chip(Network.mlp([6, 5, 4]), [profile_of(), slow])
