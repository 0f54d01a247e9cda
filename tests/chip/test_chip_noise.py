"""Faults that simulators have: noise that repeats, is off in evaluation, ends at some sigma, is on in clean passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from analogsim.chip import Mapping
from analogsim.network import LeakyReLU, Network
from analogsim.port import Injection, Pass
from analogsim.randomness import Purpose, Streams
from device_models import load_profile

NETWORK = Network.mlp([6, 11, 4])
CLEAN, NOISY = Pass(clean=True), Pass()
SAMPLINGS = pytest.mark.parametrize("sampling", ["column", "device"])
NOISES: list[dict[str, Any]] = [
    {"read_noise": {"sigma": "2 %"}},
    {"read_noise": {"kind": "proportional", "sigma": "2 %"}},
    {"column_noise": {"sigma": "2 %"}},
    {"read_noise": [{"sigma": "1 %"}, {"kind": "proportional", "sigma": "2 %"}], "column_noise": {"sigma": "2 %"}},
]
EACH_NOISE = pytest.mark.parametrize("parts", NOISES, ids=["additive", "proportional", "column", "all"])


def _read(chip: Any, x: Tensor, passes: tuple[Pass, ...] = (NOISY,), samples: int = 1, **arguments: Any) -> Tensor:
    """Pre-activations of the first layer, (C, S, P, B, units)."""
    return chip.forward(x, passes, samples, **arguments).pre_activations[0]


@SAMPLINGS
@EACH_NOISE
@pytest.mark.parametrize("purpose", [Purpose.READ, Purpose.EVALUATION])
def test_no_two_reads_have_the_same_noise(
    chip_of: Any, profile_of: Any, inputs_of: Any, purpose: Purpose, parts: Any, sampling: Any
) -> None:
    x = inputs_of(2, 1, 6).expand(-1, 3, -1)  # three times the same vector
    chip = chip_of(NETWORK, profile_of(**parts), 2, sampling=sampling)
    reads = torch.cat([_read(chip, x, (NOISY, NOISY), samples=2, purpose=purpose) for _ in range(3)], 1)
    noise = reads - _read(chip, x, (CLEAN,))
    assert (noise != 0).all()
    # 2 x 6 x 2 x 3 x 11 = 792 Gaussian numbers of at least 40 bits: two are equal with probability 3e-7.
    assert len(noise.unique()) == noise.numel()


@SAMPLINGS
@EACH_NOISE
def test_evaluation_is_as_noisy_as_training(
    chip_of: Any, profile_of: Any, inputs_of: Any, parts: Any, sampling: Any
) -> None:
    n = 2000
    x = inputs_of(1, 1, 6)
    chip = chip_of(NETWORK, profile_of(**parts), sampling=sampling)
    variances = [
        _read(chip, x, samples=n, purpose=purpose).var(1).flatten() for purpose in (Purpose.READ, Purpose.EVALUATION)
    ]
    # Ratio of two sample variances of n reads: F with n - 1 and n - 1 degrees of freedom, 11 columns at 1e-6 together.
    low, high = stats.f.isf([1 - 1e-6 / 22, 1e-6 / 22], n - 1, n - 1)
    ratio = variances[0] / variances[1]
    assert low < ratio.min()
    assert ratio.max() < high


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tails_reach_beyond_four_and_a_half_sigma(dtype: torch.dtype) -> None:
    n = 4_000_000
    numbers = Streams([1], [0], torch.device("cpu")).draw(Purpose.READ, 0, 250, (16_000,), dtype).flatten()
    assert numbers.numel() == n
    for bound in (3.0, 4.0, 4.5, 5.0):
        for count in ((numbers > bound).sum().item(), (numbers < -bound).sum().item()):
            # A count of n tries is binomial; 27 / 2 are expected beyond 4.5 on either side. 16 limits at 1e-6 each.
            low, high = stats.binom.ppf([1e-6, 1 - 1e-6], n, stats.norm.sf(bound))
            assert low <= count <= high, bound
    assert numbers.abs().max() > 4.5


def test_a_chips_reads_reach_beyond_four_and_a_half_sigma(chip_of: Any, profile_of: Any, linear: Any) -> None:
    # n = 10^6 reads of one column with column noise alone: sd = 2 % of w_max. 6.8 are expected beyond 4.5 sd.
    n = 1_000_000
    network = linear(1, 100, bias=False)
    chip = chip_of(network, profile_of(column_noise={"sigma": "2 %"}))
    sd = 0.02 * chip.limits.weights[0].item()
    noise = _read(chip, torch.zeros(1, n // 100, 1, dtype=torch.float64)) / sd
    low, high = stats.binom.ppf([1e-6, 1 - 1e-6], n, 2 * stats.norm.sf(4.5))
    assert low <= (noise.abs() > 4.5).sum() <= high
    assert noise.abs().max() > 4.5


# Clean passes


def _exact_chip(chip_of: Any, profile_of: Any, network: Network, **parts: Any) -> Any:
    """Two chips whose weights and signals are small binary fractions, so that no order of summation shows."""
    profile = profile_of(conductance={"max": "1 S"}, **parts)
    chip = chip_of(network, profile, 2)
    weights = []
    for layer in network.layers:
        w = torch.randint(-8, 9, (2, layer.columns, layer.rows), generator=torch.Generator().manual_seed(layer.rows))
        w[:, 0, 0] = 8
        weights.append(w.double() / 8)  # w_max = 2
    chip.program(weights)
    return chip


@SAMPLINGS
@EACH_NOISE
@pytest.mark.parametrize("converters", [{}, {"dac": {"bits": 8, "range": 6}, "adc": {"bits": 8, "range": 12}}])
def test_clean_passes_among_noisy_ones(
    chip_of: Any, profile_of: Any, inputs_of: Any, converters: Any, parts: Any, sampling: Any
) -> None:
    x = inputs_of(2, 3, 6)
    passes = (CLEAN, NOISY, CLEAN, Pass(inject=Injection(0.3)), NOISY)
    chip = chip_of(NETWORK, profile_of(**parts, **converters), 2, sampling=sampling)
    silent = chip_of(NETWORK, profile_of(**converters), 2)
    reference, trace = silent.forward(x), chip.forward(x, passes, samples=4)
    for index in range(NETWORK.depth):
        a, expected = trace.pre_activations[index], reference.pre_activations[index]
        # Twelve rows in float64, in any order of summation; a code may not differ at all, bar a current between two.
        torch.testing.assert_close(a[:, :, [0, 2]], expected.expand(-1, 4, 2, -1, -1), rtol=1e-12, atol=1e-12)
    a = trace.pre_activations[0]
    if not converters:
        noise = a[:, :, [1, 4]] - reference.pre_activations[0]
        assert (noise != 0).all()
        assert len(noise.unique()) == noise.numel()
        assert (a[:, :, 3] - trace.injected[0][:, :, 3] - reference.pre_activations[0][:, :, 0]).abs().min() > 0
    else:
        for position in (1, 4):
            assert (a[:, :, position] != reference.pre_activations[0][:, :, 0]).float().mean() > 0.1


def test_noise_of_the_noisy_is_the_same_whatever_clean_passes_stand_between(
    chip_of: Any, profile_of: Any, inputs_of: Any
) -> None:
    x = inputs_of(2, 3, 6)
    parts = NOISES[-1]
    alone = _read(chip_of(NETWORK, profile_of(**parts), 2), x, (NOISY, NOISY), samples=3)
    mixed = _read(chip_of(NETWORK, profile_of(**parts), 2), x, (CLEAN, NOISY, CLEAN, CLEAN, NOISY), samples=3)
    assert torch.equal(mixed[:, :, [1, 4]], alone)


@EACH_NOISE
@pytest.mark.parametrize("batch", [1, 3, 16])
def test_clean_passes_are_bit_equal(chip_of: Any, profile_of: Any, parts: Any, batch: int) -> None:
    network = Network.mlp([6, 11, 4, 1], LeakyReLU(0.25))
    chip = _exact_chip(chip_of, profile_of, network, **parts)
    x = torch.randint(-3, 4, (2, batch, 6), generator=torch.Generator().manual_seed(1)).double()
    outputs = chip.forward(x, (CLEAN, NOISY, CLEAN), samples=5).outputs[:, :, [0, 2]].flatten(1, 2)
    assert torch.equal(outputs, outputs[:, :1].expand_as(outputs))
    again = chip.forward(x, (NOISY, CLEAN), samples=2).outputs[:, 1, 1]
    assert torch.equal(again, outputs[:, 0])


def test_transposed_reads_are_always_noisy(chip_of: Any, profile_of: Any, inputs_of: Any, backward: Any) -> None:
    chip = chip_of(NETWORK, profile_of(**NOISES[0]), 2)
    silent = chip_of(NETWORK, profile_of(), 2)
    v, a = inputs_of(2, 3, 4), (inputs_of(2, 3, 11), inputs_of(2, 3, 4))
    first, second = backward(chip, v, a)[0], backward(chip, v, a)[0]
    assert (first != second).all()
    assert (first != backward(silent, v, a)[0]).all()


# Chips of several noise levels in a population


@SAMPLINGS
@EACH_NOISE
def test_each_chip_has_its_own_sigma(
    chip_of: Any,
    profile_of: Any,
    inputs_of: Any,
    read_law: Any,
    ranges_of: Any,
    weights_of: Any,
    parts: Any,
    sampling: Any,
) -> None:
    n, levels = 4000, ["0 %", "1 %", "3 %"]
    each = {"each": levels}
    noises = parts.get("read_noise", [])
    profile = profile_of(
        read_noise=[{**noise, "sigma": each} for noise in (noises if isinstance(noises, list) else [noises])],
        column_noise={"sigma": each} if "column_noise" in parts else None,
    )
    chip = chip_of(NETWORK, profile, 3, sampling=sampling)
    x = inputs_of(1, 2, 6).expand(3, -1, -1)
    a = _read(chip, x, samples=n)[:, :, 0]
    w_max = ranges_of(weights_of(NETWORK, range(3), torch.float64), Mapping())[0]
    lines = torch.nn.functional.pad(x, (0, 1), value=1.0).numpy()
    law = read_law(profile, chip.oracle.conductances[0], w_max, lines, 256)
    assert torch.equal(a[0], a[0, :1].expand_as(a[0]))
    np.testing.assert_allclose(a[0, 0].numpy(), law.mean[0], rtol=1e-12, atol=1e-12)
    # n squares over their variance: chi-square with n degrees of freedom, 2 x 2 x 11 cells at 1e-6 together.
    squares = ((a[1:].numpy() - law.mean[1:, None]) ** 2).sum(1) / law.variance[1:]
    low, high = stats.chi2.isf([1 - 1e-6 / 88, 1e-6 / 88], n)
    assert low < squares.min()
    assert squares.max() < high


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_a_silent_chip_among_noisy_ones_has_bit_equal_passes(chip_of: Any, profile_of: Any, batch: int) -> None:
    network = Network.mlp([6, 11, 4, 1], LeakyReLU(0.25))
    parts = {"read_noise": {"sigma": {"each": ["0 %", "2 %"]}}, "column_noise": {"sigma": {"each": ["0 %", "2 %"]}}}
    chip = _exact_chip(chip_of, profile_of, network, **parts)
    x = torch.randint(-3, 4, (2, batch, 6), generator=torch.Generator().manual_seed(1)).double()
    outputs = chip.forward(x, (NOISY, NOISY), samples=5).outputs.flatten(1, 2)
    assert torch.equal(outputs[0], outputs[0, :1].expand_as(outputs[0]))
    assert len(outputs[1].unique()) == outputs[1].numel()


@pytest.mark.parametrize("outputs", [1, 2, 10])
@pytest.mark.parametrize("batch", [1, 3, 16])
def test_rounding_does_not_tell_passes_without_noise_apart(
    chip_of: Any, inputs_of: Any, batch: int, outputs: int
) -> None:
    # Equal rows of a product may differ in their last bits, by their position; their codes do not, bar a current that
    # lies between two codes to within 1e-6 of a step: of 3 x 16 x 10 currents, not one in a thousand choices of inputs.
    chip = chip_of(Network.mlp([64, 64, outputs]), load_profile("noisy"), 3, dtype=torch.float32)
    a = chip.forward(inputs_of(3, batch, 64, dtype=torch.float32), (CLEAN, NOISY, CLEAN), samples=5).outputs
    clean = a[:, :, [0, 2]].flatten(1, 2)
    assert torch.equal(clean, clean[:, :1].expand_as(clean))
    assert not torch.equal(a[:, :, 1], a[:, :, 0])


@pytest.mark.parametrize("batch", [1, 16])
def test_passes_of_a_chip_without_noise_are_one_product_and_so_have_equal_bits(
    chip_of: Any, inputs_of: Any, batch: int
) -> None:
    chip = chip_of(Network.mlp([64, 64, 2]), load_profile("ideal"), 3, dtype=torch.float32)
    a = chip.forward(inputs_of(3, batch, 64, dtype=torch.float32), (NOISY, CLEAN), samples=5).outputs.flatten(1, 2)
    assert torch.equal(a, a[:, :1].expand_as(a))


@pytest.mark.parametrize(
    "noise",
    [
        {"kind": "lorentzian", "sigma": "5 %", "tau": "0.9 ms"},
        {"kind": "telegraph", "amplitude": "5 %", "tau": "0.9 ms", "share": "40 %"},
    ],
    ids=lambda noise: noise["kind"],
)
def test_devices_remember_each_vector_however_reads_are_cut(
    chip_of: Any, profile_of: Any, inputs_of: Any, linear: Any, monkeypatch: pytest.MonkeyPatch, noise: Any
) -> None:
    """With passes that follow each other at once, noise stands still, from one call of a step to the next, too."""
    monkeypatch.setattr(
        "analogsim.chip.noise._DEVICE_NUMBERS", 2 * 7 * 4 * 5
    )  # 5 vectors of one pass, or 1 of 4 passes
    chip = chip_of(linear(6, 4), profile_of(read_noise=noise, timing={"pass_time": "100 ps"}), 2, sampling="device")
    x = inputs_of(2, 8, 6)
    first = chip.forward(x, (Pass(),)).pre_activations[0]
    then = chip.forward(x, (Pass(),) * 4, go_on=True).pre_activations[0]
    torch.testing.assert_close(then, first.expand_as(then), rtol=0, atol=1e-3)
    fresh = chip.forward(x, (Pass(),)).pre_activations[0]
    assert (fresh - first).abs().mean() > 0.01
