"""Thermal and shot noise of columns: noise whose variance does not go with the square of the input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from analogsim.chip import Chip
from analogsim.network import Network
from analogsim.port import Pass

READ = {"read_voltage": "0.2 V", "integration_time": "1 ps"}  # short, so that the floor stands out
THERMAL = {"kind": "thermal", **READ}
SHOT = {"kind": "shot", **READ}
K_B, Q, T, V, DF = 1.380649e-23, 1.602176634e-19, 300.0, 0.2, 0.5e12
PAIR = (Pass(), Pass(clean=True))


def _noise(chip: Chip, x: Tensor) -> Tensor:
    """Of one read of each vector, (C, B, out)."""
    a = chip.forward(x, PAIR).pre_activations[0]
    return a[:, 0, 0] - a[:, 0, 1]


@pytest.mark.parametrize(("noise", "power"), [(THERMAL, 0), (SHOT, 1), ({"kind": "additive", "sigma": "1 %"}, 2)])
@pytest.mark.parametrize("sampling", ["column", "device"])
def test_with_the_same_numbers_noise_goes_with_its_power_of_the_input(
    chip_of: Any, profile_of: Any, inputs_of: Any, linear: Any, noise: Any, power: int, sampling: Any
) -> None:
    x = inputs_of(2, 5, 6)
    once, four = (
        _noise(chip_of(linear(6, 3, bias=False), profile_of(read_noise=noise), 2, sampling=sampling), factor * x)
        for factor in (1, 4)
    )
    torch.testing.assert_close(four, once * 4 ** (power / 2), rtol=1e-9, atol=1e-12)


def test_undriven_rows_have_thermal_noise_and_no_shot_noise(
    chip_of: Any, profile_of: Any, inputs_of: Any, linear: Any
) -> None:
    x = inputs_of(1, 5, 6)
    network = linear(6, 3, bias=False)
    thermal, shot = (chip_of(network, profile_of(read_noise=noise)) for noise in (THERMAL, SHOT))
    assert (_noise(thermal, 0 * x) != 0).all()
    assert (_noise(shot, 0 * x) == 0).all()


def _law(
    chip: Chip, layer: int, x: np.ndarray, full: np.ndarray | float, w_max: float, backward: bool, dac: Any
) -> np.ndarray:
    """Variance of results (B, columns) from the currents: lines at x (B, lines) draw G V x / full."""
    plus, minus = (g[0].numpy() for g in chip.oracle.conductances[layer])
    g = (plus + minus)[:, : chip.network.layers[layer].inputs]
    g = g if backward else g.T
    shares, reads = np.abs(x / full), 1.0  # of full scale, that carry a current; how often there is a floor
    if dac is not None and dac.get("encoding") == "bit_serial":  # bits of codes up to 7, weighing 1/7, 2/7 and 4/7
        codes, bits = np.rint(shares * 7).astype(int), 2.0 ** np.arange(3)
        shares = ((codes[..., None] // bits % 2) * (bits / 7) ** 2).sum(-1)
        reads = ((bits / 7) ** 2).sum()
    if dac is not None and dac.get("polarity") == "two_phase":
        reads = 2 * reads
    current = 4 * K_B * T * DF * reads * g.sum(0) + 2 * Q * DF * V * (shares @ g)
    return current * (full / V) ** 2 * (w_max / 25e-6) ** 2


DAC = {"bits": 8, "range": 3.0}


@pytest.mark.parametrize("sampling", ["column", "device"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize(
    "dac",
    [
        None,
        DAC,
        {**DAC, "scaling": "per_vector"},
        {**DAC, "encoding": "pulse_width", "polarity": "two_phase"},
        {"bits": 4, "range": 3.0, "scaling": "per_vector", "encoding": "bit_serial"},
        {"bits": 4, "range": 3.0, "encoding": "bit_serial", "polarity": "two_phase"},
    ],
)
def test_variance_has_the_closed_form(
    profile_of: Any, weights_of: Any, sampling: Any, direction: str, dac: Any
) -> None:
    n, backward = 1500, direction == "backward"
    network = Network.mlp([3, 6, 4] if backward else [6, 4], bias=False)
    chip = Chip(
        network, profile_of(read_noise=[THERMAL, SHOT], dac=dac), dtype=torch.float64, sampling=sampling, tile=4
    )
    weights = weights_of(network, [0], torch.float64)
    chip.program(weights)
    vectors = torch.tensor([[0.5, -0.3, 0.0, 0.1, 0.05, -0.7], [0.0, 0.0, 2.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    vectors = vectors[:, : 4 if backward else 6]
    x, layer = vectors.repeat(n, 1)[None], network.depth - 1
    if backward:
        drives = [torch.zeros(1, 2 * n, each.rows, dtype=torch.float64) for each in network.layers]
        passing = [torch.ones(1, 2 * n, each.columns, dtype=torch.float64) for each in network.layers]  # f' = 1
        y = chip.backward(x, drives, passing)[0]
        levels = vectors
    else:
        trace = chip.forward(x)
        y, levels = trace.pre_activations[0], trace.inputs[0][0, 0, 0, :2]
    full: np.ndarray | float = 1.0 if dac is None else 3.0
    if backward or (dac is not None and "scaling" in dac):
        full = vectors.abs().amax(dim=1, keepdim=True).numpy()
    law = _law(chip, layer, levels.numpy(), full, 2 * weights[layer].abs().max().item(), backward, dac)
    # (n - 1) s^2 / sigma^2 is chi-square; at most 12 comparisons.
    ratio = y.reshape(n, 2, -1).numpy().var(axis=0, ddof=1) / law
    low, high = stats.chi2.isf([1 - 1e-7, 1e-7], n - 1) / (n - 1)
    assert low < ratio.min() and ratio.max() < high
