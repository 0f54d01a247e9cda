"""Global drift compensation: exact where all devices drift alike, a measured factor where they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from analogsim.chip import Chip, Mapping
from analogsim.chip.compensation import VECTORS, reference_vectors
from analogsim.network import Network, unclipped
from analogsim.port import Injection, LayerWrite, Pass
from analogsim.randomness import Purpose
from device_models import load_profile

NETWORK = Network.mlp([6, 7, 3])
HOUR, MONTH = 3600.0, 30 * 86_400.0
ALIKE = {"kind": "constant", "t0": "20 s", "mean": {"each": [0.0, 0.05, 0.1]}}
NOISE = {"kind": "additive", "sigma": "1 %"}


def _backward(chip: Chip, v: Tensor, now: float) -> Tensor:
    drives = [v.new_zeros(*v.shape[:2], layer.rows) for layer in chip.network.layers]
    a = [v.new_ones(*v.shape[:2], layer.columns) for layer in chip.network.layers]
    return chip.backward(v, drives, a, now=now)[0]


@pytest.mark.parametrize("per", ["layer", "column"])
def test_devices_that_drift_alike_are_compensated_exactly(
    chip_of: Any, profile_of: Any, inputs_of: Any, per: Any
) -> None:
    chip = chip_of(NETWORK, profile_of(drift=ALIKE), 3, mapping=Mapping(per=per))
    x, v = inputs_of(3, 5, 6), inputs_of(3, 5, 3)
    start, back = chip.forward(x).outputs, _backward(chip, v, 0.0)
    chip.take_reference(0.0)
    for now in (0.0, 20.0, HOUR, MONTH):
        factors = chip.compensate(now)
        law = torch.tensor([max(1.0, now / 20) ** nu for nu in (0.0, 0.05, 0.1)], dtype=torch.float64)
        torch.testing.assert_close(factors, law[:, None].expand(3, 2))
        torch.testing.assert_close(chip.forward(x, now=now).outputs, start)
        torch.testing.assert_close(_backward(chip, v, now), back)


def test_coarse_converters_still_drive_the_lines(chip_of: Any, profile_of: Any) -> None:
    """Inputs that should be smaller than a step of the DAC are one; some outputs clip, and the factor is low."""
    converters = {"dac": {"bits": 3, "range": 8.0}, "adc": {"bits": 10, "range": 2.0}}
    chip = chip_of(NETWORK, profile_of(drift={"kind": "constant", "t0": "1 s", "mean": 0.1}, **converters), 2)
    chip.take_reference(0.0)
    factors = chip.compensate(1e3)
    assert (factors > 1.3).all() and (factors < 1e3**0.1 * 1.05).all()


def test_the_factor_multiplies_digital_sums_and_nothing_else(chip_of: Any, inputs_of: Any) -> None:
    x, v = inputs_of(2, 5, 6), inputs_of(2, 5, 3)
    with_, without = (chip_of(NETWORK, load_profile("pcm"), 2) for _ in range(2))
    with_.take_reference(25.0)
    a, b = (chip.forward(x, (Pass(), Pass(clean=True)), 3, now=25.0) for chip in (with_, without))
    assert torch.equal(a.outputs, b.outputs), "a reference changes no read"
    without.streams.load_state_dict(with_.streams.state_dict())  # both devices wander alike
    factors = with_.compensate(HOUR)
    assert ((factors > 1.1) & (factors < 1.5)).all()
    a, b = (chip.forward(x, (Pass(), Pass(clean=True)), 3, now=HOUR) for chip in (with_, without))
    factor = factors[:, 0].reshape(2, 1, 1, 1, 1)
    torch.testing.assert_close(a.pre_activations[0], b.pre_activations[0] * factor)
    for chip in (with_, without):
        chip.streams.restart(Purpose.BACKWARD_READ, 1)
    hidden, raw = (_backward(chip, v, HOUR) for chip in (with_, without))
    torch.testing.assert_close(hidden, raw * factors[:, 1].reshape(2, 1, 1))


def test_injections_stay_as_large_as_they_are_reported(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    x, passes = inputs_of(3, 5, 6), (Pass(), Pass(inject=Injection(sigma=0.1)))
    for site in ("analog", "digital"):
        chip = chip_of(NETWORK, profile_of(drift=ALIKE), 3, injection=site)
        chip.take_reference(0.0)
        chip.compensate(MONTH)
        trace = chip.forward(x, passes, now=MONTH)
        a, (eps, *_) = trace.pre_activations[0], trace.injected
        torch.testing.assert_close(a[:, :, 1] - a[:, :, 0], eps[:, :, 1])


def test_reference_reads_are_ordinary_ones_with_noise_of_their_own_and_counted(
    chip_of: Any, profile_of: Any, inputs_of: Any
) -> None:
    quiet, noisy, other = (
        chip_of(NETWORK, profile_of(drift={**ALIKE, "mean": 0.05}, read_noise=noise), 2)
        for noise in (None, NOISE, NOISE)
    )
    for chip in (quiet, noisy):
        chip.take_reference(0.0)
    assert torch.equal(quiet.compensate(HOUR), quiet.compensate(HOUR))
    first, second = noisy.compensate(HOUR), noisy.compensate(HOUR)
    assert (first != second).all()
    assert (first != first[:1]).any()
    # The factor itself errs by about sigma_y / (|y| sqrt(vectors x outputs)) only.
    torch.testing.assert_close(first, quiet.compensate(HOUR), rtol=0.1, atol=0)
    assert noisy.reference_reads == 3 * VECTORS
    x = inputs_of(2, 5, 6)
    noisy._layers[0].compensation.factor = noisy._layers[1].compensation.factor = None
    assert torch.equal(noisy.forward(x, now=HOUR).outputs, other.forward(x, now=HOUR).outputs), "their own numbers"


def test_no_compensation_without_a_reference(chip_of: Any, profile_of: Any, weights_of: Any) -> None:
    chip = chip_of(NETWORK, profile_of())
    with pytest.raises(RuntimeError, match="call take_reference first"):
        chip.compensate(0.0)
    chip.take_reference(0.0)
    chip.compensate(0.0)
    chip.program(weights_of(NETWORK, [0], torch.float64))
    with pytest.raises(RuntimeError, match="call take_reference first"):
        chip.compensate(0.0)


def test_time_does_not_run_backwards(chip_of: Any, weights_of: Any) -> None:
    chip = chip_of(NETWORK, load_profile("pcm"))
    chip.write([LayerWrite(w) for w in weights_of(NETWORK, [0], torch.float64)], now=50.0)
    for act in (chip.take_reference, chip.compensate):
        with pytest.raises(ValueError, match="now must not lie before the last write at 50 s"):
            act(49.0)


def test_a_new_reference_keeps_the_factor_that_is_in_force(chip_of: Any, profile_of: Any, weights_of: Any) -> None:
    chip = chip_of(NETWORK, profile_of(drift={**ALIKE, "mean": 0.05}))
    chip.take_reference(0.0)
    before = chip.compensate(HOUR)
    chip.write([LayerWrite(w * 0.5) for w in weights_of(NETWORK, [0], torch.float64)], now=HOUR)
    chip.take_reference(HOUR)
    torch.testing.assert_close(chip.compensate(HOUR), before)  # what was written since is no drift
    torch.testing.assert_close(chip.compensate(3 * HOUR), before * (2 * HOUR / 20) ** 0.05)


def test_a_saved_chip_goes_on_with_its_factors(chip_of: Any, inputs_of: Any) -> None:
    first, second = (chip_of(NETWORK, load_profile("pcm"), 2) for _ in range(2))
    first.take_reference(25.0)
    second.load_state_dict(first.state_dict())  # a reference and no factor yet
    assert torch.equal(first.compensate(HOUR), second.compensate(HOUR))
    third = chip_of(NETWORK, load_profile("pcm"), 2)
    third.load_state_dict(first.state_dict())
    x = inputs_of(2, 5, 6)
    outputs = [chip.forward(x, now=HOUR).outputs for chip in (first, second, third)]
    assert torch.equal(outputs[0], outputs[1]) and torch.equal(outputs[0], outputs[2])
    assert third.reference_reads == 2 * VECTORS
    assert torch.equal(third.compensate(MONTH), first.compensate(MONTH))


def test_a_chip_alone_has_the_factors_of_the_population(chip_of: Any) -> None:
    def factors(ids: list[int]) -> Tensor:
        chip = chip_of(NETWORK, load_profile("pcm"), ids)
        chip.take_reference(25.0)
        return chip.compensate(HOUR)

    population = factors([0, 1, 2])
    for k in range(3):
        torch.testing.assert_close(factors([k])[0], population[k])
    assert len(population[:, 0].unique()) == 3


@pytest.mark.parametrize("sizes", [(6, 3), (64, 128), (400, 10)])
def test_reference_vectors_fill_the_converters_and_do_not_clip(sizes: tuple[int, int]) -> None:
    network = Network.mlp(list(sizes))
    generators = [torch.Generator().manual_seed(k) for k in range(4)]
    (weights,) = network.initial_weights("he_normal", generators)
    x = reference_vectors(weights, 6.0, 12.0)
    assert x.shape == (4, VECTORS, sizes[0] + 1)
    assert (x.abs() == x.abs()[:, :1, :1]).all() and (x.abs() <= 6).all()
    assert torch.equal(x.sign(), x.sign()[:1].expand_as(x)), "the same signs for every chip"
    y = x @ weights.transpose(1, 2)
    assert (y.abs() < 12).double().mean() > 0.999 and y.abs().amax() > 3
    assert (reference_vectors(weights, 6.0, None).abs() == 6).all()
    assert (reference_vectors(torch.zeros_like(weights), 6.0, 12.0).abs() == 6).all()


def test_limits_of_compensated_outputs_follow_the_factor(chip_of: Any, profile_of: Any) -> None:
    chip = chip_of(NETWORK, profile_of(drift=ALIKE, adc={"bits": 12, "range": 4.0}), 3)
    assert chip.limits.outputs == (4.0, 4.0)
    chip.take_reference(0.0)
    factors = chip.compensate(MONTH)
    for limit, factor in zip(chip.limits.outputs, factors.T, strict=True):
        assert isinstance(limit, Tensor)
        torch.testing.assert_close(limit, 4 * factor)
    a = torch.full((3, 2, 1, 1), 5.0, dtype=torch.float64)
    passed = unclipped(torch.ones_like(a), a, chip.limits.outputs[0])[:, 0, 0, 0]
    assert passed.tolist() == [0.0, 1.0, 1.0], "4 x 1.8 and 4 x 3.2 are more than 5"


def test_pcm_gives_back_its_mean_output_after_a_month(weights_of: Any, inputs_of: Any) -> None:
    network, chips = Network.mlp([64, 128, 10]), 8
    chip = Chip(network, load_profile("pcm"), chips)
    chip.program(weights_of(network, range(chips), torch.float32))
    x = inputs_of(chips, 40, 64, dtype=torch.float32)

    def size(now: float) -> tuple[Tensor, list[Tensor]]:
        """Mean absolute output of each chip, and its weights."""
        outputs = chip.forward(x, (Pass(clean=True),), now=now).outputs
        return outputs.abs().mean(dim=(1, 2, 3, 4)), [w.double().clone() for w in chip.oracle.weights]

    start, before = size(21.0)
    chip.take_reference(21.0)
    drifted, after = size(MONTH)
    factors = chip.compensate(MONTH)
    restored, _ = size(MONTH)
    assert ((drifted / start) < 0.45).all(), "two layers, each to about 0.57"
    gain = restored / start
    # Chips are independent: Student's t with 7 degrees of freedom, |t| > 5.4 with probability 1e-3.
    assert abs(gain.mean() - 1) < 5.4 * gain.std() / chips**0.5 and gain.std() < 0.1
    # Under random signs y_j is Gaussian with sd |w_j| to first order, so S ~ sum_j |w_j|. Of n pairs of |y| with
    # correlation c the log of the ratio errs by sqrt(2 (pi / 2 - 1) (1 - c) / n); for y with correlation rho
    # E|y y'| = (2 / pi) (sqrt(1 - rho^2) + rho asin rho). The read's white noise is 1 % of that variance.
    for layer, (w, later) in enumerate(zip(before, after, strict=True)):
        norms, late = w.norm(dim=2), later.norm(dim=2)
        rho = ((w * later).sum(2) / norms / late).mean(1).numpy() * 0.99
        c = (2 / np.pi * (np.sqrt(1 - rho**2) + rho * np.arcsin(rho)) - 2 / np.pi) / (1 - 2 / np.pi)
        sd = np.sqrt((np.pi - 2) * (1 - c) / (VECTORS * w.shape[1]))
        error = np.log(factors[:, layer].numpy() / (norms.sum(1) / late.sum(1)).numpy())
        assert (np.abs(error) < 5 * sd).all(), (error, sd)
