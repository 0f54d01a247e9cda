"""Perturbations that a learner asks for: what is reported is what was added."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from analogsim.network import Network
from analogsim.port import Injection, Pass
from analogsim.randomness import Purpose
from device_models import load_profile

NETWORK = Network.mlp([6, 11, 4])
CONVERTERS: dict[str, Any] = {"dac": {"bits": 8, "range": 6}, "adc": {"bits": 6, "range": 6}}


def _passes(*injections: Injection | None) -> tuple[Pass, ...]:
    return tuple(Pass(inject=injection) for injection in injections)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("parts", [{}, CONVERTERS], ids=["exact", "converters"])
def test_digital_injection_is_exact(
    chip_of: Any, profile_of: Any, inputs_of: Any, parts: Any, dtype: torch.dtype
) -> None:
    chip = chip_of(NETWORK, profile_of(**parts), 2, dtype=dtype)
    x = inputs_of(2, 5, 6, dtype=dtype)
    trace = chip.forward(x, _passes(None, Injection(0.3), Injection(0.3, draw=1)), samples=4)
    for index, eps in enumerate(trace.injected):
        assert eps is not None
        assert eps.shape == (2, 4, 3, 5, NETWORK.layers[index].columns)
        assert (eps[:, :, 0] == 0).all()
        assert len(eps[:, :, 1:].unique()) == eps[:, :, 1:].numel(), "each sample and draw has numbers of its own"
    a, eps = trace.pre_activations[0], trace.injected[0]
    assert eps is not None
    assert torch.equal(a, a[:, :1, :1] + eps), "the first layer sees the same input in every pass"
    # Seen from the second layer: what came out of the first, perturbed, is what drove it.
    signal = leaky_relu(a, 0.01)
    if not parts:
        assert torch.equal(trace.inputs[1][..., :-1], signal)
    else:
        step = chip.profile.dac.step
        assert ((trace.inputs[1][..., :-1] - signal.clamp(-6, 6)).abs() <= step / 2 * 1.0001).all()


@pytest.mark.parametrize("parts", [{}, CONVERTERS], ids=["exact", "converters"])
def test_digital_injection_adds_to_the_noise_and_does_not_move_it(
    chip_of: Any, profile_of: Any, inputs_of: Any, parts: Any
) -> None:
    profile = profile_of(read_noise={"sigma": "3 %"}, **parts)
    x = inputs_of(2, 5, 6)
    without = chip_of(NETWORK, profile, 2).forward(x, _passes(None, None), samples=3)
    injected = chip_of(NETWORK, profile, 2).forward(x, _passes(None, Injection(0.3)), samples=3)
    assert injected.injected[0] is not None
    assert torch.equal(injected.pre_activations[0], without.pre_activations[0] + injected.injected[0])


def test_equal_draws_share_numbers_and_scale_flips_them(chip_of: Any, inputs_of: Any) -> None:
    chip = chip_of(NETWORK, load_profile("noisy"), 2)
    asked = (
        Injection(0.1),
        Injection(0.1, scale=-1.0),
        Injection(0.2),
        Injection(0.1, draw=7),
        None,
        Injection(0.1, draw=7, scale=-1.0),
    )
    for index, eps in enumerate(chip.forward(inputs_of(2, 5, 6), _passes(*asked), samples=3).injected):
        assert eps is not None, index
        first, flipped, double, other, none, other_flipped = eps.unbind(2)
        assert torch.equal(flipped, -first)
        assert torch.equal(double, 2 * first)
        assert torch.equal(other_flipped, -other)
        assert (none == 0).all()
        assert (other != first).all()


@pytest.mark.parametrize("law", ["normal", "rademacher"])
def test_sigma_is_a_standard_deviation(chip_of: Any, inputs_of: Any, law: Any) -> None:
    chip = chip_of(NETWORK, load_profile("ideal"), 2)
    sigma, samples = 0.25, 400
    eps = chip.forward(inputs_of(2, 5, 6), _passes(Injection(sigma, law=law)), samples=samples).injected[0]
    assert eps is not None
    n = eps.numel()  # 2 x 400 x 5 x 11 = 44,000
    # Mean: N(0, sigma^2 / n). Mean square of normal numbers: relative error N(0, 2 / n). Five standard errors.
    assert eps.mean().abs() < 5 * sigma / n**0.5
    if law == "rademacher":
        assert torch.equal(eps.abs(), torch.full_like(eps, sigma))
    else:
        assert abs(eps.square().mean().item() / sigma**2 - 1) < 5 * (2 / n) ** 0.5


def test_rademacher_is_a_fair_sign(chip_of: Any, inputs_of: Any) -> None:
    n = 100_000
    chip = chip_of(NETWORK, load_profile("ideal"), 1)
    inject = Pass(inject=Injection(1.0, law="rademacher"))
    first = chip.forward(inputs_of(1, 1, 6), (inject,), samples=n // 10).injected[0]
    assert first is not None
    signs = first.flatten()[:n]
    assert (signs.abs() == 1).all()
    # The mean of n signs is N(0, 1 / n); five standard errors are passed by chance once in 1.7 million.
    assert signs.mean().abs() < 5 / n**0.5
    assert (signs[1:] * signs[:-1]).mean().abs() < 5 / n**0.5


def test_both_laws_in_one_step(chip_of: Any, inputs_of: Any) -> None:
    chip = chip_of(NETWORK, load_profile("ideal"), 2)
    asked = (Injection(0.1), Injection(0.2, law="rademacher"), Injection(0.1, scale=-1.0))
    for eps in chip.forward(inputs_of(2, 5, 6), _passes(*asked), samples=3).injected:
        assert eps is not None
        assert torch.equal(eps[:, :, 1].abs(), torch.full_like(eps[:, :, 1], 0.2))
        assert torch.equal(eps[:, :, 2], -eps[:, :, 0])
        assert len(eps[:, :, 0].unique()) == eps[:, :, 0].numel()


@pytest.mark.parametrize("layers", [(0,), (1,), (0, 2), ()])
def test_layers_selects(chip_of: Any, inputs_of: Any, layers: tuple[int, ...]) -> None:
    network = Network.mlp([6, 11, 7, 4])
    chip = chip_of(network, load_profile("ideal"), 2)
    trace = chip.forward(inputs_of(2, 5, 6), _passes(None, Injection(0.1, layers=layers)), samples=3)
    for index, eps in enumerate(trace.injected):
        if index in layers:
            assert eps is not None
            assert (eps[:, :, 1] != 0).all()
            assert (eps[:, :, 0] == 0).all()
        else:
            assert eps is None
        if index < min(layers, default=network.depth):
            a = trace.pre_activations[index]
            torch.testing.assert_close(a[:, :, 1], a[:, :, 0], rtol=1e-13, atol=1e-13)


def test_passes_may_perturb_different_layers(chip_of: Any, inputs_of: Any) -> None:
    chip = chip_of(NETWORK, load_profile("ideal"), 2)
    asked = _passes(Injection(0.1, layers=(0,)), Injection(0.1, layers=(1,), draw=1))
    first, second = chip.forward(inputs_of(2, 5, 6), asked, samples=3).injected
    assert first is not None and second is not None
    assert (first[:, :, 0] != 0).all() and (first[:, :, 1] == 0).all()
    assert (second[:, :, 0] == 0).all() and (second[:, :, 1] != 0).all()


@pytest.mark.parametrize("injection", ["digital", "analog"])
@pytest.mark.parametrize("mixed", [False, True])
def test_the_activation_site_is_after_the_activation_function(
    chip_of: Any, inputs_of: Any, mixed: bool, injection: Any
) -> None:
    chip = chip_of(NETWORK, load_profile("ideal"), 2, injection=injection)
    other = Injection(0.1, draw=1) if mixed else None
    trace = chip.forward(inputs_of(2, 5, 6), _passes(None, Injection(0.1, site="activation"), other), samples=3)
    a, eps = trace.pre_activations[0], trace.injected[0]
    assert eps is not None
    assert torch.equal(a[:, :, 1], a[:, :, 0]), "the pre-activation is not perturbed"
    assert torch.equal(trace.inputs[1][:, :, 1, :, :-1], leaky_relu(a[:, :, 1], 0.01) + eps[:, :, 1])
    last = trace.injected[1]
    assert last is not None
    assert torch.equal(trace.outputs[:, :, 1], trace.pre_activations[1][:, :, 1] + last[:, :, 1])
    if mixed:
        assert torch.equal(a[:, :, 2], a[:, :, 0] + eps[:, :, 2])
        assert torch.equal(trace.inputs[1][:, :, 2, :, :-1], leaky_relu(a[:, :, 2], 0.01))


def _on_grid(a: Tensor, step: float) -> Tensor:
    return ((a / step) - (a / step).round()).abs() < 1e-9


def test_analog_injection_is_quantised_by_the_adc(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    profile = profile_of(adc={"bits": 6, "range": 6})
    x, asked = inputs_of(2, 5, 6), _passes(None, Injection(0.3), Injection(40.0, draw=1))
    analog = chip_of(NETWORK, profile, 2, injection="analog").forward(x, asked, samples=4)
    digital = chip_of(NETWORK, profile, 2, injection="digital").forward(x, asked, samples=4)
    exact = chip_of(NETWORK, profile_of(), 2).forward(x)
    step = profile.adc.step
    eps, a = analog.injected[0], analog.pre_activations[0]
    assert eps is not None and digital.injected[0] is not None
    assert torch.equal(eps, digital.injected[0]), "the same perturbations are asked for"
    assert _on_grid(a, step).all()
    assert not _on_grid(digital.pre_activations[0][:, :, 1:], step).any()
    expected = ((exact.pre_activations[0] + eps) / step).round().clamp(-31, 31) * step
    torch.testing.assert_close(a, expected, rtol=1e-12, atol=1e-12)
    assert (a.abs() > 5.99).any() and a.abs().max() <= 6 * (1 + 1e-12), "what lies beyond the range is clipped"


def test_analog_injection_below_the_resolution_leaves_no_trace(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    profile = profile_of(adc={"bits": 4, "range": 12})
    chip = chip_of(NETWORK, profile, 2, injection="analog")
    a = chip.forward(inputs_of(2, 5, 6), _passes(None, Injection(1e-9)), samples=3).pre_activations[0]
    assert torch.equal(a[:, :, 1], a[:, :, 0])


def test_analog_injection_enters_one_tile_once(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    # A converter so fine that its rounding (7 rows, 3 tiles: at most 1.5 steps of 3.7e-4) hides beside eps.
    profile = profile_of(adc={"bits": 16, "range": 12})
    chip = chip_of(NETWORK, profile, 2, injection="analog", tile=3)
    trace = chip.forward(inputs_of(2, 5, 6), _passes(None, Injection(1.0)), samples=3)
    a, eps = trace.pre_activations[0], trace.injected[0]
    assert eps is not None
    torch.testing.assert_close(a[:, :, 1] - a[:, :, 0], eps[:, :, 1], rtol=0, atol=2 * 1.5 * profile.adc.step)


def test_injection_and_read_noise_are_drawn_apart(chip_of: Any, inputs_of: Any) -> None:
    x = inputs_of(2, 5, 6)
    one, other = (chip_of(NETWORK, load_profile("noisy"), 2) for _ in range(2))
    one.forward(x, _passes(None, None), samples=4)
    first = one.forward(x, _passes(Injection(0.1))).injected[0]
    second = other.forward(x, _passes(Injection(0.1)), purpose=Purpose.EVALUATION).injected[0]
    assert first is not None and second is not None
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"sigma": -0.1}, "sigma must be finite and not negative"),
        ({"sigma": float("nan")}, "sigma must be finite and not negative"),
        ({"sigma": float("inf")}, "sigma must be finite and not negative"),
        ({"sigma": 0.1, "scale": float("nan")}, "scale finite"),
        ({"sigma": 0.1, "site": "output"}, "no such perturbation: site 'output'"),
        ({"sigma": 0.1, "law": "uniform"}, "law 'uniform'"),
        ({"sigma": 0.1, "layers": (-1,)}, "layers are numbered from 0"),
    ],
)
def test_a_perturbation_that_there_is_not_is_refused(arguments: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Injection(**arguments)


def test_a_layer_that_there_is_not_is_refused(chip_of: Any, inputs_of: Any) -> None:
    chip = chip_of(NETWORK, load_profile("ideal"), 2)
    with pytest.raises(ValueError, match="layer 2 cannot be perturbed: layers are numbered 0 to 1"):
        chip.forward(inputs_of(2, 5, 6), _passes(Injection(0.1, layers=(0, 2))))
