"""Noise of units on a chip: where it enters, which passes remember which, and what stays without it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.nn.functional import leaky_relu

from analogsim.chip import Chip
from analogsim.network import Network
from analogsim.port import Injection, Pass
from analogsim.randomness import Purpose

ALPHA = 1e-6
NETWORK = Network.mlp([6, 11, 4])
MTJ = {"kind": "telegraph", "mean": 0.042092104, "amplitude": 0.0059316154, "flip": "8.09 %", "sigma": 9.0841466e-4}
FLIP, AMPLITUDE, SIGMA = 0.0809, 0.0059316154, 9.0841466e-4
BARE = {**MTJ, "sigma": 0.0, "mean": 0.0}  # the sign alone can be read off


def _signs(chip: Chip, x: Tensor, passes: int, samples: int = 1) -> Tensor:
    """Of the first layer's units, (C, S, P, B, units)."""
    a = chip.forward(x, (Pass(clean=True), *[Pass()] * passes), samples).pre_activations[0]
    noise = a[:, :, 1:] - a[:, :, :1]
    torch.testing.assert_close(noise.abs(), torch.full_like(noise, AMPLITUDE), rtol=1e-9, atol=0)
    return noise.sign()


def _flip_rate(first: Tensor, second: Tensor, expected: float) -> None:
    flips = int((first != second).sum())
    assert stats.binomtest(flips, first.numel(), expected).pvalue > ALPHA


def test_it_is_added_once_after_the_sum_and_before_the_activation(
    chip_of: Any, profile_of: Any, inputs_of: Any
) -> None:
    x, adc = inputs_of(2, 5, 6), {"bits": 8, "range": 12}
    quiet = chip_of(NETWORK, profile_of(adc=adc), 2, tile=2).forward(x)
    noisy = chip_of(
        NETWORK,
        profile_of(adc=adc, unit_noise={"kind": "bernoulli", "low": 0.3, "high": 0.3, "probability": "50 %"}),
        2,
        tile=2,
    )
    passes = (Pass(), Pass(clean=True), Pass(inject=Injection(0.1)))
    trace = noisy.forward(x, passes)
    a, eps = trace.pre_activations[0], trace.injected[0]
    assert eps is not None
    torch.testing.assert_close(a[:, :, 0], quiet.pre_activations[0][:, :, 0] + 0.3, rtol=0, atol=1e-12)
    torch.testing.assert_close(a[:, :, 1], quiet.pre_activations[0][:, :, 0], rtol=0, atol=0)
    torch.testing.assert_close(a[:, :, 2], a[:, :, 0] + eps[:, :, 2], rtol=0, atol=1e-12)
    torch.testing.assert_close(trace.inputs[1][..., :-1], leaky_relu(a, 0.01), rtol=0, atol=0)
    torch.testing.assert_close(trace.outputs[:, :, 1], quiet.outputs[:, :, 0], rtol=0, atol=0)


def test_backward_reads_have_none(chip_of: Any, profile_of: Any, inputs_of: Any, backward: Any) -> None:
    x, ones = inputs_of(2, 5, 4), tuple(torch.ones(2, 5, n, dtype=torch.float64) for n in (11, 4))
    with_noise, without = (
        backward(chip_of(NETWORK, profile_of(unit_noise=noise), 2), x, ones) for noise in (MTJ, None)
    )
    assert all(torch.equal(a, b) for a, b in zip(with_noise, without, strict=True))


@pytest.mark.parametrize("order", ["sample", "pass"])
def test_the_order_of_passes_decides_who_remembers_whom(
    chip_of: Any, profile_of: Any, inputs_of: Any, order: Any
) -> None:
    batch, passes = 200, 3
    chip = chip_of(Network.mlp([6, 40]), profile_of(unit_noise=BARE), 2, order=order)
    signs = _signs(chip, inputs_of(2, batch, 6), passes, samples=2).flatten(1, 2)  # (C, 6 passes, B, units)
    assert stats.binomtest(int((signs[:, 0] > 0).sum()), signs[:, 0].numel(), 0.5).pvalue > ALPHA or order == "pass"
    along_passes, along_batch = (signs[:, 1:], signs[:, :-1]), (signs[:, :, 1:], signs[:, :, :-1])
    # An even number of flips in B of them: (1 - (1 - 2 p)^B) / 2, one half after a batch.
    apart = (1 - (1 - 2 * FLIP) ** batch) / 2
    if order == "sample":
        _flip_rate(*along_passes, FLIP)
        _flip_rate(*along_batch, 0.5)
    else:
        # Values of one chain are no independent draws; those of its steps are: a step flips or does not.
        _flip_rate(*along_batch, FLIP)
        _flip_rate(signs[:, 1:, 0], signs[:, :-1, -1], FLIP)  # the first element follows the last of the pass before
        assert abs((signs[:, 1:] != signs[:, :-1]).double().mean() - apart) < 0.02


def test_the_variance_of_a_difference_depends_on_the_order(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    spread, batch = {}, 400
    for order in ("sample", "pass"):
        chip = chip_of(Network.mlp([6, 40]), profile_of(unit_noise=MTJ), 2, order=order)
        a = chip.forward(inputs_of(2, batch, 6), (Pass(), Pass())).pre_activations[0]
        spread[order] = (a[:, 0, 1] - a[:, 0, 0]).var().item()
    a, s = AMPLITUDE**2, SIGMA**2
    expected = {"sample": 4 * FLIP * a + 2 * s, "pass": 2 * a + 2 * s}
    assert expected["pass"] / expected["sample"] == pytest.approx(5.525, abs=5e-4)
    n = 2 * 40 * batch  # 32,000 differences
    # Squares 4 a^2 with probability p (or 1/2): relative error sqrt((kurtosis - 1) / n), kurtosis 1 / p at most. In the
    # order of passes neighbours along the batch go together: their number counts (1 + c) / (1 - c) times, c = .8382^2.
    z = stats.norm.isf(ALPHA / 4)
    assert abs(spread["sample"] / expected["sample"] - 1) < z * ((1 / FLIP - 1) / n) ** 0.5
    clumps = (1 + 0.8382**2) / (1 - 0.8382**2)
    assert abs(spread["pass"] / expected["pass"] - 1) < z * (clumps / n) ** 0.5
    assert spread["pass"] / spread["sample"] > 5


@pytest.mark.parametrize("order", ["sample", "pass"])
def test_passes_of_a_step_go_on_and_a_batch_begins_anew(
    chip_of: Any, profile_of: Any, inputs_of: Any, order: Any
) -> None:
    chip = chip_of(Network.mlp([6, 40]), profile_of(unit_noise=BARE), 2, order=order)
    x, clean = inputs_of(2, 100, 6), (Pass(clean=True), Pass())

    def signs(**arguments: Any) -> Tensor:
        a = chip.forward(x, clean, **arguments).pre_activations[0]
        return (a[:, 0, 1] - a[:, 0, 0]).sign()

    first, second, third = signs(), signs(go_on=True), signs()
    if order == "sample":
        _flip_rate(first, second, FLIP)
        _flip_rate(second, third, 0.5)
    else:  # n = 80 chains: one element after the other
        _flip_rate(first[:, -1], second[:, 0], FLIP)
        _flip_rate(second[:, -1], third[:, 0], 0.5)


def test_evaluations_have_it_and_touch_no_pass(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    x = inputs_of(2, 5, 6)
    seldom, often = (chip_of(NETWORK, profile_of(unit_noise=MTJ), 2) for _ in range(2))
    quiet = chip_of(NETWORK, profile_of(), 2).forward(x).pre_activations[0]
    for start in range(3):
        often.streams.restart(Purpose.EVALUATION, start)
        a = often.forward(x, purpose=Purpose.EVALUATION).pre_activations[0]
        assert (a != quiet).all()
        often.streams.restart(Purpose.EVALUATION, start)
        assert torch.equal(often.forward(x, purpose=Purpose.EVALUATION).pre_activations[0], a)
        assert torch.equal(often.forward(x).outputs, seldom.forward(x).outputs)


def test_reads_are_as_without_it(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    x = inputs_of(2, 5, 6)
    with_noise, without = (
        chip_of(NETWORK, profile_of(read_noise={"sigma": "2 %"}, unit_noise=noise), 2)
        for noise in ({"kind": "gaussian", "sigma": 0.0}, None)
    )
    for _ in range(2):
        assert torch.equal(with_noise.forward(x).outputs, without.forward(x).outputs)


def test_units_of_a_chip_alone_and_in_a_population_draw_the_same(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    x, passes = inputs_of(4, 5, 6), (Pass(), Pass())
    together = chip_of(NETWORK, profile_of(unit_noise=MTJ), 4).forward(x, passes).outputs
    for k in range(4):
        alone = chip_of(NETWORK, profile_of(unit_noise=MTJ), [k]).forward(x[k : k + 1], passes).outputs
        torch.testing.assert_close(alone[0], together[k], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("way", ["path", "writes"])
def test_passes_between_which_devices_are_written_are_a_batch_apart(chip_of: Any, profile_of: Any, way: str) -> None:
    """A device's noise of 20 us, and a telegraph of units, in passes of 400 elements: 1 us later by a path, or 400 us.

    Correlations of n = 400 x 10 pre-activations, sd at most 1 / sqrt(n) = 0.016; 5 sd are 0.08. Expected at 1 us: 0.95
    of the devices, 0.84 of the units.
    """
    network, more = Network.mlp([20, 10]), {"weight_perturbation": {"path": way == "path"}}
    noise = {"kind": "lorentzian", "sigma": "5 %", "tau": "20 us", "relative_to": "g_max"}
    units = {"kind": "telegraph", "amplitude": 0.5, "flip": "8.09 %"}
    x = torch.zeros(1, 400, 20, dtype=torch.float64) + 1
    tiny = [Pass(inject=Injection(1e-9, site="weights", draw=draw)) for draw in (0, 1)]
    for parts, expected in (({"read_noise": noise}, 0.951), ({"unit_noise": units}, 0.838)):
        chip = chip_of(network, profile_of(**parts, **more), 1)
        a = chip.forward(x, (Pass(), *tiny)).pre_activations[0][0, 0]
        deviations = (a - a.mean(dim=1, keepdim=True)).flatten(1)
        for one, other in ((0, 1), (1, 2)):
            found = torch.corrcoef(deviations[[one, other]])[0, 1].item()
            assert found == pytest.approx(expected if way == "path" else 0.0, abs=0.08)
