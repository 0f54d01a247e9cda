"""What a chip is given by mistake is told in one sentence, and nothing is read or written."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from analogsim import Chip, Mapping, Network
from analogsim.port import LayerWrite
from device_models import DeviceProfile, ProfileError, load_profile

NETWORK = Network.mlp([4, 3, 2])
X = torch.linspace(-1, 1, 40).reshape(2, 5, 4)


def weights(chips: int = 2) -> tuple[Tensor, ...]:
    return NETWORK.initial_weights("he_normal", [torch.Generator().manual_seed(i) for i in range(chips)])


def chip(**settings: Any) -> Chip:
    built = Chip(NETWORK, load_profile("noisy"), 2, **settings)
    built.program(weights())
    return built


def pre_activations(x: Tensor) -> Tensor:
    return chip().forward(x).outputs


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"sampling": "columns"}, "sampling must be one of 'column', 'device' (got 'columns')"),
        ({"order": "batch"}, "order must be one of 'sample', 'pass' (got 'batch')"),
        ({"injection": "adc"}, "injection must be one of 'digital', 'analog' (got 'adc')"),
        ({"products": "Fast"}, "products must be one of 'exact', 'fast' (got 'Fast')"),
        ({"dtype": torch.int8}, "dtype must be a floating-point type, such as torch.float32 (got torch.int8)"),
    ],
)
def test_a_setting_that_is_none_of_its_choices_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        chip(**settings)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"range": "free"}, "range must be one of 'fixed', 'follow'"),
        ({"per": "row"}, "per must be one of 'layer', 'col"),
    ],
)
def test_a_mapping_that_there_is_not_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Mapping(**settings)


@pytest.mark.parametrize(
    "act",
    [
        lambda built: built.forward(X),
        lambda built: built.write([LayerWrite(w) for w in weights()]),
        lambda built: built.reprogram(weights()),
        lambda built: built.settle(1.0),
        lambda built: built.take_reference(1.0),
        lambda built: built.backward(X, (X, X), (X, X)),
        lambda built: built.calibrate(X),
        lambda built: built.limits,
        lambda built: built.state_dict(),
    ],
)
def test_chips_without_weights_say_so(act: Callable[[Chip], Any]) -> None:
    with pytest.raises(RuntimeError, match="these chips hold no weights yet; call program"):
        act(Chip(NETWORK, load_profile("noisy"), 2))


@pytest.mark.parametrize("shape", [(5, 4), (3, 5, 4), (2, 5, 3), (2, 1, 5, 4)])
def test_a_batch_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"x must have shape \(2 chips, batch, 4 inputs\) \(got "):
        chip().forward(torch.zeros(shape))


def test_a_batch_may_have_numbers_of_another_type() -> None:
    whole = (4 * X).round()
    assert torch.equal(pre_activations(whole.double()), pre_activations(whole))
    assert torch.equal(pre_activations(whole.int()), pre_activations(whole))


def test_numbers_of_chips_and_seeds_may_be_numpys() -> None:
    built = Chip(NETWORK, load_profile("noisy"), np.int64(2), np.int64(3))  # pyright: ignore[reportArgumentType]
    built.program(weights())
    same = Chip(NETWORK, load_profile("noisy"), 2, 3)
    same.program(weights())
    assert torch.equal(built.forward(X).outputs, same.forward(X).outputs)


def test_weights_of_another_network_or_population_are_refused() -> None:
    built = chip()
    before = [w.clone() for w in built.oracle.weights]
    with pytest.raises(ValueError, match=r"weights: one for each of the 2 layers \(got 1\)"):
        built.program(weights()[:1])
    with pytest.raises(ValueError, match=r"weights of layer 0 must have shape \(2, 3, 5\) \(got \(3, 3, 5\)\)"):
        built.program(weights(3))
    with pytest.raises(ValueError, match=r"weights of layer 1 must have shape"):
        built.program([weights()[0], weights()[0]])
    with pytest.raises(ValueError, match=r"weights: one for each of the 2 layers \(got 1\)"):
        built.reprogram(weights()[:1])
    with pytest.raises(ValueError, match=r"weights of layer 0 must have shape \(2, 3, 5\)"):
        built.reprogram(weights(1))
    with pytest.raises(ValueError, match=r"weights of layer 0 must be a torch tensor of real numbers \(got ndarray\)"):
        built.program([w.numpy() for w in weights()])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"writes: one for each of the 2 layers \(got 0\)"):
        built.write([], now=7.0)
    assert all(map(torch.equal, built.oracle.weights, before))
    built.forward(X, now=1.0)  # nothing of all this has happened


def test_what_goes_backwards_or_calibrates_has_its_shape() -> None:
    with pytest.raises(ValueError, match=r"inputs: one for each of the 2 layers \(got 0\)"):
        chip().backward(X, (), ())
    adc = {"bits": 8, "range": "calibrated"}
    built = Chip(NETWORK, DeviceProfile.from_data({"name": "own", "extends": "noisy", "adc": adc}), 2)
    built.program(weights())
    with pytest.raises(ValueError, match=r"x must have shape \(2 chips, batch, 4 inputs\) \(got \(2, 5, 2\)\)"):
        built.calibrate(X[:, :, :2])
    built.calibrate(X.double())


def test_names_in_the_place_of_things_are_refused() -> None:
    with pytest.raises(ProfileError, match=r"not names; device_models\.load_profile\('noisy'\) reads one"):
        Chip(NETWORK, "noisy")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ProfileError, match=r"a chip takes profiles \(got 'noisy'\)"):
        Chip(NETWORK, ["noisy", "noisy"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"mapping must be a Mapping, .* \(got 'follow'\)"):
        chip(mapping="follow")
    with pytest.raises(ValueError, match=r"dtype must be a floating-point type, .* \(got 'float32'\)"):
        chip(dtype="float32")
    with pytest.raises(ValueError, match=r"x must be a torch tensor of real numbers \(got dtype torch.complex64\)"):
        chip().forward(X.to(torch.complex64))
    with pytest.raises(ValueError, match=r"activation must be a function, such as LeakyReLU\(\), not its name"):
        Network.mlp([4, 2], activation="relu")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"scheme must be one of he_normal, .* \(got 'he'\)"):
        NETWORK.initial_weights("he", [])  # pyright: ignore[reportArgumentType]
