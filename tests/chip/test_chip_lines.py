"""Wires, faults and the I-V curve in reads: what arrives is what the effects' own modules say, tile by tile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from analogsim.chip import Chip
from analogsim.network import Network
from analogsim.port import LayerWrite, Pass
from device_models import DeviceProfile
from device_models.wires_nodal import nodal_conductance

ALPHA = 1e-6
CLEAN = (Pass(clean=True),)
SIZES = (11, 9)
FAULTS = {"stuck_low": "10 %", "stuck_high": "5 %", "dead_rows": "10 %", "dead_columns": "10 %"}


def _effective(g: Tensor, tile: int, ohms: float) -> Tensor:
    result = torch.empty_like(g)
    r = torch.full((len(g), 1, 1), ohms, dtype=torch.float64)
    for j in range(0, g.shape[1], tile):
        for i in range(0, g.shape[2], tile):
            block = slice(j, j + tile), slice(i, i + tile)
            result[:, block[0], block[1]] = nodal_conductance(g[:, block[0], block[1]], r, r)
    return result


@pytest.mark.parametrize("tile", [5, 64])
@pytest.mark.parametrize("backward", ["same", "far"])
def test_wires_act_tile_by_tile(
    chip_of: Any, profile_of: Any, inputs_of: Any, linear: Any, tile: int, backward: str
) -> None:
    wires = {"resistance": "40 ohm", "solve": "nodal", "backward": backward}
    chip = chip_of(linear(3, *SIZES), profile_of(wires=wires), 2, tile=tile)
    x = inputs_of(2, 4, 3)
    trace = chip.forward(x, CLEAN)
    plus, minus = (_effective(cells.conductance, tile, 40.0) for cells in chip.oracle.cells[1])
    w_max = chip.limits.weights[1]
    assert w_max is not None
    w = (plus - minus) / 25e-6 * w_max
    drives = trace.inputs[1][:, 0, 0]
    torch.testing.assert_close(trace.pre_activations[1][:, 0, 0], drives @ w.transpose(1, 2))
    torch.testing.assert_close(chip.oracle.weights[1], w)
    ideal = (chip.oracle.cells[1][0].conductance - chip.oracle.cells[1][1].conductance) / 25e-6 * w_max
    assert (w - ideal).norm() > 0.001 * ideal.norm(), "the wires do something"
    v = inputs_of(2, 4, 9)
    back = chip.backward(v, tuple(a[:, 0, 0] for a in trace.inputs), tuple(a[:, 0, 0] for a in trace.pre_activations))
    forwards = torch.allclose(back[0], v @ w[:, :, :11], rtol=1e-9)
    assert forwards == (backward == "same")


@pytest.mark.parametrize("sampling", ["column", "device"])
@pytest.mark.parametrize("parts", [{"wires": {"resistance": "60 ohm"}}, {"faults": FAULTS}])
def test_noise_is_attenuated_with_the_current(
    chip_of: Any, profile_of: Any, inputs_of: Any, linear: Any, sampling: Any, parts: dict[str, Any]
) -> None:
    """n = 20,000 reads of one vector; the variance of each column is chi-square."""
    n = 20_000
    noise = [{"kind": "additive", "sigma": "1 %"}, {"kind": "proportional", "sigma": "3 %"}]
    chip = chip_of(linear(*SIZES), profile_of(read_noise=noise, **parts), 2, sampling=sampling, tile=6, seed=4)
    x = inputs_of(2, 1, 11)
    trace = chip.forward(x.expand(2, n, 11))
    drives, y = trace.inputs[0][:, 0, 0, :1], trace.pre_activations[0][:, 0, 0]
    clean = chip.forward(x, CLEAN).pre_activations[0][:, 0, 0]
    variance = torch.zeros_like(clean)
    w_max = chip.limits.weights[0]
    assert w_max is not None
    for cells in chip.oracle.cells[0]:
        g = cells.conductance
        single = (0.01 * 25e-6) ** 2 + (0.03 * g) ** 2
        if cells.faults is not None:
            single = torch.where(cells.faults.open, 0.0, single)
        else:
            wires = profile_of(**parts).build(2, torch.device("cpu"), torch.float64).wires
            for j in range(0, 9, 6):
                for i in range(0, 12, 6):
                    block = slice(None), slice(j, j + 6), slice(i, i + 6)
                    single[block] = single[block] * wires.attenuation(g[block]) ** 2
        variance = variance + drives.square() @ single.transpose(1, 2)
    variance = variance * (w_max / 25e-6).transpose(1, 2) ** 2
    squares = (y - clean).square().sum(1) / variance[:, 0].clamp(min=1e-30)
    seen = variance[:, 0] > 0
    low, high = stats.chi2.isf([1 - ALPHA / 2 / seen.sum().item(), ALPHA / 2 / seen.sum().item()], n)
    assert low < squares[seen].min()
    assert squares[seen].max() < high
    assert ((y - clean).abs().amax(1)[~seen] == 0).all(), "an open column has no current"


def test_faulty_devices_ignore_writes_and_drift(chip_of: Any, profile_of: Any, weights_of: Any) -> None:
    network = Network.mlp([30, 40])
    drift = {"kind": "constant", "t0": "1 s", "mean": 0.1}
    programming = {"kind": "constant", "sigma": "1 uS"}
    chip = chip_of(network, profile_of(faults=FAULTS, drift=drift, programming=programming), 2)
    weights = weights_of(network, range(2), torch.float64)[0]
    for factor in (0.5, -1.0):
        chip.write([LayerWrite(factor * weights)], now=10.0)
    chip.settle(1000.0)
    for cells in chip.oracle.cells[0]:
        faults = cells.faults
        assert faults is not None
        assert (cells.conductance[faults.open] == 0).all()
        assert (cells.conductance[faults.stuck_low & ~faults.open] == 0).all()
        assert (cells.conductance[faults.stuck_high & ~faults.open] == 25e-6).all()
        well = ~(faults.open | faults.stuck_low | faults.stuck_high)
        torch.testing.assert_close(cells.conductance[well], (cells.programmed * 990**-0.1)[well])


def test_every_chip_has_its_own_faults_alone_and_together(chip_of: Any, profile_of: Any) -> None:
    network = Network.mlp([20, 30, 10])
    together = chip_of(network, profile_of(faults=FAULTS), 3)
    masks = [[cells.faults.stuck_low for cells in pair] for pair in together.oracle.cells]
    for k in range(3):
        alone = chip_of(network, profile_of(faults=FAULTS), [k])
        for layer, pair in enumerate(alone.oracle.cells):
            for side, cells in enumerate(pair):
                assert torch.equal(cells.faults.stuck_low[0], masks[layer][side][k])
    assert not torch.equal(masks[0][0][0], masks[0][0][1])
    assert not torch.equal(masks[0][0][0], masks[0][1][0])
    more = chip_of(network, profile_of(faults={**FAULTS, "stuck_low": {"each": ["10 %", "20 %", "30 %"]}}), [0, 0, 0])
    counts = more.oracle.cells[0][0].faults.stuck_low
    assert (counts[0] <= counts[1]).all() and (counts[1] <= counts[2]).all(), "levels are compared in pairs"


@pytest.mark.parametrize("scaling", ["fixed", "per_vector"])
def test_the_current_follows_the_iv_curve(
    chip_of: Any, profile_of: Any, inputs_of: Any, linear: Any, scaling: str
) -> None:
    parts = {"conduction": {"kappa": 2.0}, "dac": {"bits": 8, "range": 3, "scaling": scaling}}
    chip: Chip = chip_of(linear(6, 4), profile_of(**parts), 2)
    trace = chip.forward(inputs_of(2, 5, 6), CLEAN)
    levels = trace.inputs[0][:, 0, 0].numpy()
    full = 3.0 if scaling == "fixed" else np.abs(levels).max(-1, keepdims=True)
    current = full * np.sinh(2.0 * levels / full) / np.sinh(2.0)
    expected = current @ chip.oracle.weights[0].numpy().transpose(0, 2, 1)
    np.testing.assert_allclose(trace.pre_activations[0][:, 0, 0].numpy(), expected, rtol=1e-9, atol=1e-12)
    assert isinstance(chip.profile, DeviceProfile)
