"""Incremental writes of a chip: pulses move the present state, by the devices' own steps, and errors stay."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from analogsim.chip import Chip, Mapping
from analogsim.network import Network
from analogsim.port import LayerPulses, LayerUpdate, LayerWrite
from device_models import DeviceProfile

ALPHA = 1e-6
DW = 0.002
NETWORK = Network.mlp([5, 4])
CONSTANT = {"kind": "constant_step", "dw_min": DW}
SOFT = {"kind": "soft_bounds", "dw_min": DW}


def _profile(update: dict[str, Any], cell: str = "reference", **parts: Any) -> DeviceProfile:
    data = {"name": "x", "conductance": {"max": "25 uS"}, "update": update, "cell": cell, **parts}
    return DeviceProfile.from_data(data)


def _chip(profile: DeviceProfile, chips: int = 2, value: float = 0.1, **arguments: Any) -> Chip:
    chip = Chip(NETWORK, profile, chips, dtype=torch.float64, mapping=Mapping(headroom=1 / value), **arguments)
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(12)[:24].reshape(4, 6)
    chip.program([value * signs.expand(chips, 4, 6).clone()])  # w_max is 1
    return chip


def _whole(counts: Tensor) -> list[LayerPulses]:
    return [LayerPulses(pulses=counts)]


@pytest.mark.parametrize("cell", ["pair", "reference"])
def test_a_weight_is_what_was_written_whatever_its_cell(cell: str) -> None:
    chip = _chip(_profile(CONSTANT, cell))
    w = torch.linspace(-1, 1, 24, dtype=torch.float64).reshape(1, 4, 6).expand(2, 4, 6)
    chip.write([LayerWrite(w)])
    torch.testing.assert_close(chip.oracle.weights[0], w)


@pytest.mark.parametrize("cell", ["pair", "reference"])
def test_a_pulse_changes_a_weight_by_the_step_of_the_data_sheet(cell: str) -> None:
    """A range of 2 in u: a pair's weight of 1 is the whole of it, a reference cell's is half."""
    chip = _chip(_profile(CONSTANT, cell))
    before = chip.oracle.weights[0].clone()
    counts = torch.zeros(2, 4, 6, dtype=torch.float64)
    counts[0, 1, 2], counts[1, 3, 0] = 7, -11
    chip.write(_whole(counts))
    (step,) = chip.limits.steps
    assert step is not None
    torch.testing.assert_close(step, torch.full((2, 1, 1), DW / 2 * (1 if cell == "pair" else 2), dtype=torch.float64))
    torch.testing.assert_close(chip.oracle.weights[0] - before, counts * step)
    assert chip.device_writes.tolist() == [1, 1]
    assert chip.pulses.tolist() == [7, 11]


def test_soft_bounds_follow_their_closed_form_on_the_chip() -> None:
    chip = _chip(_profile(SOFT), value=0.25)
    up = torch.full((2, 4, 6), 300.0, dtype=torch.float64)
    u = 0.25 * chip.oracle.weights[0].sign()
    chip.write(_whole(up))
    torch.testing.assert_close(chip.oracle.weights[0], 1 - (1 - u) * (1 - DW) ** 300)


def test_pulses_of_a_pair_only_raise_conductances() -> None:
    chip = _chip(_profile(CONSTANT, "pair"))
    plus, minus = (g.clone() for g in chip.oracle.conductances[0])
    counts = torch.full((2, 4, 6), 5.0, dtype=torch.float64)
    counts[:, ::2] = -3
    chip.write(_whole(counts))
    (after_plus, after_minus), step = chip.oracle.conductances[0], 25e-6 * DW / 2
    torch.testing.assert_close(after_plus - plus, counts.clamp(min=0) * step)
    torch.testing.assert_close(after_minus - minus, counts.clamp(max=0).abs() * step)


def test_a_worn_pair_is_refreshed_and_keeps_its_weight() -> None:
    chip = _chip(_profile(CONSTANT, "pair", refresh={"upper": "60 %", "lower": "30 %"}))
    half = torch.full((2, 4, 6), 350.0, dtype=torch.float64)  # 35 % of the range
    chip.write(_whole(half))
    plus, minus = chip.oracle.conductances[0]
    assert (plus.amax() > 0.4 * 25e-6) and (minus.amin() == 0), "nothing is worn yet"
    weights = chip.oracle.weights[0].clone()
    chip.write(_whole(-half))
    assert chip.device_writes.tolist() == [48, 48]
    chip.write(_whole(0.9 * half))
    plus, minus = chip.oracle.conductances[0]
    assert not ((torch.maximum(plus, minus) > 0.6 * 25e-6) & (torch.minimum(plus, minus) > 0.3 * 25e-6)).any()
    torch.testing.assert_close(chip.oracle.weights[0], weights - 0.1 * half * DW / 2)


def test_an_outer_product_has_the_mean_of_the_dense_update() -> None:
    """500 writes of one small update, and the dense one rounded at random: means of n = 500 x 2 chips."""
    n, rate = 500, 0.05
    generator = torch.Generator().manual_seed(3)
    post = torch.empty(2, 10, 4, dtype=torch.float64).normal_(generator=generator)
    pre = torch.empty(2, 10, 6, dtype=torch.float64).normal_(generator=generator)
    for update in (LayerUpdate(post=post, pre=pre), LayerUpdate(dense=LayerUpdate(post=post, pre=pre).direction())):
        chip = _chip(_profile(CONSTANT))
        start = torch.full((2, 4, 6), 0.01, dtype=torch.float64)
        moves = []
        for _ in range(n):
            chip.write([LayerWrite(start)])
            chip.write([LayerPulses(update, torch.full((2, 1, 1), rate, dtype=torch.float64))])
            moves.append(chip.oracle.weights[0] - start)
        change = torch.stack(moves)
        wanted = -rate * update.direction()
        # A wanted change of nearly whole pulses is rarely rounded the other way: its error is below DW / n.
        t = (change.mean(0) - wanted).abs().sub(DW / n).clamp(min=0) / change.std(0).clamp(min=1e-12) * math.sqrt(n)
        assert t.max() < stats.t.isf(ALPHA / 2 / t.numel(), n - 1)
        assert change.std(0).mean() > 0.1 * DW


def test_a_rate_of_zero_leaves_a_chip_as_it_is() -> None:
    chip = _chip(_profile({**CONSTANT, "cycle_to_cycle": 1.0}))
    before = chip.oracle.weights[0].clone()
    update = LayerUpdate(post=torch.ones(2, 3, 4, dtype=torch.float64), pre=torch.ones(2, 3, 6, dtype=torch.float64))
    chip.write([LayerPulses(update, torch.tensor([0.0, 0.1], dtype=torch.float64)[:, None, None])])
    assert torch.equal(chip.oracle.weights[0][0], before[0])
    assert (chip.oracle.weights[0][1] != before[1]).any()


def test_drives_beyond_a_full_train_are_reported() -> None:
    """Two samples, of which one asks for twice what a train of 31 slots can give on every line."""
    chip = _chip(_profile(CONSTANT))
    (step,) = chip.limits.steps
    assert step is not None
    ones = torch.ones(2, 2, 4, dtype=torch.float64), torch.ones(2, 2, 6, dtype=torch.float64)
    for factors in (ones, tuple(each * torch.tensor([0.1, 2.0])[:, None] for each in ones)):
        chip.write([LayerPulses(LayerUpdate(*factors), 31 * 2 * step)])
    assert chip.overdriven.tolist() == [0.25, 0.25], "none of the first write's drives, half of the second's"
    assert chip.pulses.tolist()[0] > 31 * 2 * 24 - 1


def test_write_noise_is_about_a_hidden_state_and_does_not_add_up() -> None:
    noisy = _chip(_profile({**CONSTANT, "write_noise": 20.0}, conductance={"min": "0 uS", "max": "25 uS"}))
    still = _chip(_profile(CONSTANT))
    one = torch.ones(2, 4, 6, dtype=torch.float64)
    for k in range(200):
        for chip in (noisy, still):
            chip.write(_whole(one if k % 2 else -one))
    error = (noisy.oracle.weights[0] - still.oracle.weights[0]).flatten()
    low, high = stats.chi2.isf([1 - ALPHA / 2, ALPHA / 2], error.numel())
    # The reference device has the noise of its one write, too.
    assert low < (error / (20 * DW)).square().sum().item() / 2 < high


@pytest.mark.parametrize("failure", ["frozen", "low", "high"])
def test_devices_wear_out(failure: str) -> None:
    chip = _chip(_profile(CONSTANT, endurance={"cycles": 100, "failure": failure}))
    start = chip.oracle.weights[0].clone()
    one = torch.full((2, 4, 6), 30.0, dtype=torch.float64)
    for _ in range(5):
        chip.write(_whole(one))
    end = {"frozen": start + 100 * DW, "low": torch.full_like(start, -1), "high": torch.full_like(start, 1)}[failure]
    torch.testing.assert_close(chip.oracle.weights[0], end)
    chip.write([LayerWrite(start)])
    torch.testing.assert_close(chip.oracle.weights[0], end), "an absolute write does not mend it"


def test_absolute_writes_wear_too() -> None:
    chip = _chip(_profile(CONSTANT, endurance={"cycles": 3, "counts": "writes"}))
    for k in range(6):
        chip.write([LayerWrite(torch.full((2, 4, 6), 0.01 * (k + 1), dtype=torch.float64))])
    torch.testing.assert_close(chip.oracle.weights[0], torch.full((2, 4, 6), 0.03, dtype=torch.float64))


def test_reprogramming_writes_references_too() -> None:
    """After a drift that took nine tenths of every conductance; other writes leave references as they are."""
    drift = {"kind": "constant", "t0": "1 s", "mean": 0.5}
    chip = _chip(_profile(CONSTANT, drift=drift))
    weights = torch.full((2, 4, 6), 0.2, dtype=torch.float64)
    chip.write([LayerWrite(weights)], now=100.0)
    assert (chip.oracle.weights[0] - weights).amin() > 0.5
    chip.reprogram([weights], now=100.0)
    torch.testing.assert_close(chip.oracle.weights[0], weights)


def test_half_selected_neighbours_move_a_little() -> None:
    chip = _chip(_profile(CONSTANT, half_select={"fraction": "1 %"}))
    start = chip.oracle.weights[0].clone()
    counts = torch.zeros(2, 4, 6, dtype=torch.float64)
    counts[:, 1, 2] = 50
    chip.write(_whole(counts))
    moved = (chip.oracle.weights[0] - start) / DW
    expected = torch.zeros_like(moved)
    expected[:, 1], expected[:, :, 2] = 0.5, 0.5
    expected[:, 1, 2] = 50
    torch.testing.assert_close(moved, expected)


def test_pulses_of_a_pair_disturb_upwards_and_along_the_row_both_devices() -> None:
    """The pair shares its row's line, and has a column's line for each polarity; no pulse of it lowers anything."""
    chip = _chip(_profile(CONSTANT, "pair", half_select={"fraction": "1 %"}))
    before = [g.clone() for g in chip.oracle.conductances[0]]
    counts = torch.zeros(2, 4, 6, dtype=torch.float64)
    counts[:, 1, 2] = 50
    chip.write(_whole(counts))
    plus, minus = ((g - old) / (25e-6 * DW / 2) for g, old in zip(chip.oracle.conductances[0], before, strict=True))
    expected = torch.zeros_like(plus)
    expected[:, :, 2] = 0.5
    torch.testing.assert_close(minus, expected)
    expected[:, 1], expected[:, 1, 2] = 0.5, 50
    torch.testing.assert_close(plus, expected)


def test_so_do_trains_of_pulses() -> None:
    """A sample that drives row 0 and column 0, in every slot of its one phase; the other devices feel their lines."""
    chip = _chip(_profile(CONSTANT, "pair", half_select={"fraction": "1 %"}))
    before = [g.clone() for g in chip.oracle.conductances[0]]
    post, pre = torch.zeros(2, 1, 4, dtype=torch.float64), torch.zeros(2, 1, 6, dtype=torch.float64)
    post[..., 0], pre[..., 0] = -1.0, 1.0
    chip.write([LayerPulses(LayerUpdate(post=post, pre=pre), torch.full((2, 1, 1), 1.0, dtype=torch.float64))])
    n = 31.0  # the update is larger than a train: one pulse in each of its slots, in both phases of the lines
    plus, minus = ((g - old) / (25e-6 * DW / 2) for g, old in zip(chip.oracle.conductances[0], before, strict=True))
    expected = torch.zeros_like(plus)
    expected[:, 0], expected[:, :, 0], expected[:, 0, 0] = 0.01 * n, 0.02 * n, 1.01 * n
    torch.testing.assert_close(plus, expected)
    torch.testing.assert_close(minus, torch.where(expected == 1.01 * n, 0.03 * n, expected))


def test_reads_disturb_and_evaluation_does_not(inputs_of: Any) -> None:
    chip = _chip(_profile(CONSTANT, read_disturb={"rate": 1e-3, "towards": "high"}, cell="pair"))
    x = inputs_of(2, 8, 5)
    fresh = [g.clone() for g in chip.oracle.conductances[0]]
    trace = chip.forward(x)
    chip.forward(x)  # sees what the first read did
    activity = trace.inputs[0].abs().sum(dim=(1, 2, 3))[:, None]
    for before, after in zip(fresh, chip.oracle.conductances[0], strict=True):
        torch.testing.assert_close(after, 25e-6 + (before - 25e-6) * torch.exp(-1e-3 * activity))


def test_drift_begins_anew_from_what_a_pulse_found(weights_of: Any) -> None:
    drift = {"kind": "constant", "t0": "1 s", "mean": 0.1}
    chip = _chip(_profile(CONSTANT, "pair", drift=drift))
    start = chip.oracle.conductances[0][0].clone()
    one = torch.ones(2, 4, 6, dtype=torch.float64)
    chip.write(_whole(10 * one), now=100.0)
    expected = start * 100**-0.1 + 10 * DW / 2 * 25e-6
    torch.testing.assert_close(chip.oracle.conductances[0][0], expected)
    chip.settle(1100.0)
    torch.testing.assert_close(chip.oracle.conductances[0][0], expected * 1000**-0.1)


def test_a_chip_alone_is_pulsed_as_in_a_population() -> None:
    update = {**SOFT, "device_to_device": 0.3, "cycle_to_cycle": 2.0, "write_noise": 5.0, "asymmetry_spread": 0.1}
    factors = torch.Generator().manual_seed(1)
    post, pre = (torch.empty(3, 7, n, dtype=torch.float64).normal_(generator=factors) for n in (4, 6))

    def live(ids: list[int]) -> Tensor:
        chip = Chip(NETWORK, _profile(update), ids, dtype=torch.float64)
        chip.program([torch.full((len(ids), 4, 6), 0.1, dtype=torch.float64)])
        for _ in range(3):
            some = LayerUpdate(post=post[ids], pre=pre[ids])
            chip.write([LayerPulses(some, torch.full((len(ids), 1, 1), 0.1, dtype=torch.float64))])
        return chip.oracle.weights[0]

    together = live([0, 1, 2])
    for k in range(3):
        assert torch.equal(live([k])[0], together[k])
    assert not torch.equal(together[0], together[1])


def test_a_saved_chip_goes_on_with_the_same_pulses() -> None:
    update = {**SOFT, "cycle_to_cycle": 2.0, "write_noise": 5.0}
    profile = _profile(update, endurance={"cycles": 300, "spread": 0.3}, read_disturb={"rate": 1e-4})
    first, second = _chip(profile), _chip(profile)
    one = torch.ones(2, 4, 6, dtype=torch.float64)
    x = torch.ones(2, 3, 5, dtype=torch.float64)
    first.write(_whole(20 * one))
    first.forward(x)
    second.load_state_dict(first.state_dict())
    for chip in (first, second):
        chip.write(_whole(-7 * one))
    assert torch.equal(first.oracle.weights[0], second.oracle.weights[0])
    assert first.pulses.tolist() == second.pulses.tolist()


def test_devices_without_an_update_model_take_no_pulses() -> None:
    profile = DeviceProfile.from_data({"name": "x", "conductance": {"max": "25 uS"}})
    chip = _chip(profile)
    assert chip.limits.steps == (None,)
    with pytest.raises(ValueError, match="these devices take no pulses: their profile has no `update`"):
        chip.write(_whole(torch.ones(2, 4, 6, dtype=torch.float64)))


@pytest.mark.parametrize("parts", [{}, {"pulses": torch.ones(1, 1, 1), "rate": torch.ones(1, 1, 1)}])
def test_pulses_are_either_whole_or_of_an_update(parts: dict[str, Tensor]) -> None:
    with pytest.raises(ValueError, match="either an update with its rate, or whole pulses"):
        LayerPulses(**parts)
