"""Devices and lines that die in a chip's life: who, how many, and what of it a checkpoint brings back."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from analogsim.chip import Chip
from analogsim.network import Network
from analogsim.port import LayerWrite, Pass
from device_models import Cells, ProfileError, load_profile
from device_models.faults import Faults

NETWORK = Network.mlp([6, 11, 4])
SOME = {"stuck_low": "10 %", "stuck_high": "20 %", "dead_rows": "10 %", "dead_columns": "10 %"}
PROFILES: dict[str, dict[str, Any]] = {
    "exact": {},
    "faults": {"faults": {"stuck_low": "30 %", "dead_rows": "10 %"}},
    "slices": {"slices": {"count": 3, "bits": 2}},
    "reference": {"cell": "reference"},
    "wires": {"wires": {"resistance": "1 ohm"}},
    "drift": {"drift": {"kind": "constant", "t0": "1 s", "mean": 0.1}},
    "fluctuating": {"read_noise": {"kind": "lorentzian", "sigma": "5 %", "tau": "1 s"}},
}


def _faults(**shares: Any) -> Faults:
    return Faults.model_validate(shares or SOME)


def _cells(chip: Chip) -> list[Cells]:
    return [cells for crossbar in chip.crossbars for cells in crossbar.array.cells]


def _masks(chip: Chip) -> list[Tensor]:
    found = [cells.faults for cells in _cells(chip)]
    return [mask.clone() for each in found if each is not None for mask in (each.stuck_low, each.stuck_high, each.open)]


@pytest.mark.parametrize("name", PROFILES)
def test_what_has_died_ignores_writes_and_time(
    chip_of: Any, profile_of: Any, weights_of: Any, inputs_of: Any, name: str
) -> None:
    chip = chip_of(NETWORK, profile_of(conductance={"min": "1 uS", "max": "25 uS"}, **PROFILES[name]), 2)
    chip.fail(_faults(), 3.0)
    for factor, now in ((1.0, 3.0), (0.9, 4.0), (-0.5, 9.0)):
        if now > 3:
            chip.write([LayerWrite(w * factor) for w in weights_of(NETWORK, range(2), torch.float64)], now=now)
        chip.settle(now + 0.5)
        for cells in _cells(chip):
            faults, g = cells.faults, cells.conductance
            assert faults is not None
            noise = 1.0 if name == "fluctuating" else 0.0
            assert (g[faults.open] == 0).all()
            for mask, level in ((faults.stuck_low, 1e-6), (faults.stuck_high, 25e-6)):
                stuck = cells.drifted[mask & ~faults.open]
                torch.testing.assert_close(stuck, torch.full_like(stuck, level), rtol=0, atol=0)
                assert len(stuck) > 0 and (noise or torch.equal(g[mask & ~faults.open], stuck))
    weights = chip.oracle.weights[0]
    y = chip.forward(inputs_of(2, 5, 6), (Pass(clean=True),), now=9.5)
    torch.testing.assert_close(y.pre_activations[0][:, 0, 0], y.inputs[0][:, 0, 0] @ weights.transpose(1, 2))


def test_the_compiled_write_is_left_where_a_device_is_dead(chip_of: Any, profile_of: Any, weights_of: Any) -> None:
    """Devices that hold what they are written are written in one pass, until one of them does not."""
    plain, struck, none = (chip_of(NETWORK, profile_of(), dtype=torch.float32) for _ in range(3))
    struck.fail(_faults(), 0.0)
    none.fail(_faults(stuck_low="0 %"), 0.0)
    targets = [LayerWrite(0.7 * w) for w in weights_of(NETWORK, [0], torch.float32)]
    for chip in (plain, struck, none):
        chip.write(targets, now=1.0)
    assert plain.crossbars[0].array.pair.exact and not struck.crossbars[0].array.pair.exact
    for ours, well, other in zip(struck.oracle.weights, plain.oracle.weights, none.oracle.weights, strict=True):
        assert torch.equal(other, well)
        assert not torch.equal(ours, well)
    for cells, well in zip(_cells(struck), _cells(plain), strict=True):
        assert cells.faults is not None
        alive = ~(cells.faults.stuck_low | cells.faults.stuck_high | cells.faults.open)
        assert torch.equal(cells.conductance[alive], well.conductance[alive])


def test_counts_are_binomial_among_all_devices_and_calls_strike_others(linear: Any, profile_of: Any) -> None:
    """n = 100,000 devices, twice 10 %: each call strikes a tenth of all, and both a hundredth; Z = 5."""
    n, p = 100_000, 0.1
    chip = Chip(linear(250, 200, bias=False), profile_of(), dtype=torch.float64)
    chip.program([torch.randn(1, 200, 250, generator=torch.Generator().manual_seed(1), dtype=torch.float64)])
    shares = []
    for call in range(2):
        chip.fail(_faults(stuck_low=f"{100 * p} %", low=f"{call + 1} uS"), 0.0)
        total = sum(int(cells.faults.stuck_low.sum()) for cells in _cells(chip) if cells.faults is not None)
        shares.append(total / n)
    for share, law in zip(shares, (p, 1 - (1 - p) ** 2), strict=True):
        low, high = stats.binom.ppf([3e-7, 1 - 3e-7], n, law) / n
        assert low <= share <= high
    first = torch.cat([cells.drifted[cells.faults.stuck_low] for cells in _cells(chip) if cells.faults is not None])
    assert (first == 1e-6).double().mean().item() == pytest.approx(shares[0] / shares[1], abs=1e-12), "they stay"
    assert set(first.tolist()) == {1e-6, 2e-6}


def test_no_other_numbers_move(chip_of: Any, weights_of: Any, inputs_of: Any) -> None:
    """Writes, noise, wandering: a chip that nothing has struck is the chip that was left alone, bit for bit."""
    x, outputs = inputs_of(2, 5, 6), []
    for strikes in (0, 3):
        chip = chip_of(NETWORK, load_profile("pcm"), 2)
        for now in (1.0, 50.0, 90.0):
            chip.forward(x, now=now)
            for _ in range(strikes):
                chip.fail(_faults(stuck_low="0 %"), now + 2)
            chip.write([LayerWrite(w * (1 + now)) for w in weights_of(NETWORK, range(2), torch.float64)], now=now + 3)
        outputs.append(chip.forward(x, (Pass(), Pass()), 2, now=95.0).outputs)
    assert torch.equal(*outputs)


@pytest.mark.parametrize("name", PROFILES)
def test_a_chip_alone_loses_the_devices_that_it_loses_in_a_population(chip_of: Any, profile_of: Any, name: str) -> None:
    profile, masks = profile_of(**PROFILES[name]), []
    together = chip_of(NETWORK, profile, 3)
    for chip in (together, *(chip_of(NETWORK, profile, [k]) for k in range(3))):
        chip.fail(_faults(), 1.0)
        chip.fail(_faults(), 2.0)
        masks.append(_masks(chip))
    for k, own in enumerate(masks[1:]):
        assert all(torch.equal(mask[0], all_[k]) for mask, all_ in zip(own, masks[0], strict=True))
    assert any((mask[0] != mask[1]).any() for mask in masks[0])


def test_each_chip_may_have_its_own_share(chip_of: Any, profile_of: Any) -> None:
    chip = chip_of(NETWORK, profile_of(), 2)
    chip.fail(_faults(stuck_high={"each": ["0 %", "100 %"]}), 0.0)
    for cells in _cells(chip):
        assert cells.faults is not None
        assert cells.faults.stuck_high.float().mean(dim=(1, 2)).tolist() == [0, 1]
    with pytest.raises(ProfileError, match=r"faults\.stuck_low: `each` gives 3 values for 2 chips"):
        chip.fail(_faults(stuck_low={"each": ["1 %"] * 3}), 0.0)


def test_crossbars_of_r_lose_devices_of_their_own(chip_of: Any, profile_of: Any) -> None:
    chip = chip_of(NETWORK, profile_of(), 2)
    chip.write_decorrelation([torch.eye(6, dtype=torch.float64).expand(2, 6, 6), None])
    chip.fail(_faults(stuck_low="50 %"), 0.0)
    r = chip.oracle.decorrelation[0]
    assert r is not None
    died = (r.diagonal(dim1=1, dim2=2) == 0).sum()
    assert 0 < died < 12


def test_new_devices_have_faults_of_fabrication_only(chip_of: Any, profile_of: Any, weights_of: Any) -> None:
    for name in ("exact", "faults"):
        chip = chip_of(NETWORK, profile_of(**PROFILES[name]))
        before = _masks(chip)
        chip.fail(_faults(), 0.0)
        assert len(_masks(chip)) != len(before) or any(
            (a != b).any() for a, b in zip(_masks(chip), before, strict=True)
        )
        chip.program(weights_of(NETWORK, [0], torch.float64), now=5.0)
        shares = [mask.float().mean().item() for mask in _masks(chip)]
        assert name == "faults" or not shares
        assert name == "exact" or (shares[1] == 0 and max(shares) < 0.6), "stuck high there was none"


@pytest.mark.parametrize("name", PROFILES)
def test_a_checkpoint_brings_them_back(
    chip_of: Any, profile_of: Any, weights_of: Any, inputs_of: Any, name: str
) -> None:
    x, profile = inputs_of(2, 5, 6), profile_of(**PROFILES[name])
    chip, other = (chip_of(NETWORK, profile, 2) for _ in range(2))
    chip.fail(_faults(), 1.0)
    chip.fail(_faults(stuck_high="10 %", low="3 uS", high="4 uS"), 1.0)
    other.load_state_dict(copy.deepcopy(chip.state_dict()))
    for each in (chip, other):
        each.fail(_faults(), 2.0)
        each.write([LayerWrite(w * 0.4) for w in weights_of(NETWORK, range(2), torch.float64)], now=3.0)
    for ours, theirs in zip(_masks(chip), _masks(other), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(_cells(chip), _cells(other), strict=True):
        assert torch.equal(ours.conductance, theirs.conductance)
    assert torch.equal(chip.forward(x, now=4.0).outputs, other.forward(x, now=4.0).outputs)
    fresh = chip_of(NETWORK, profile, 2)
    chip.load_state_dict(copy.deepcopy(fresh.state_dict()))
    assert all(torch.equal(a, b) for a, b in zip(_masks(chip), _masks(fresh), strict=True)), "and those before back"


def test_time_does_not_run_backwards_over_a_failure(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    chip = chip_of(NETWORK, profile_of())
    chip.fail(_faults(), 50.0)
    with pytest.raises(ValueError, match="now must not lie before the last failure at 50 s"):
        chip.forward(inputs_of(1, 5, 6), now=49.0)
    with pytest.raises(ValueError, match="now must not lie before the last failure at 50 s"):
        chip.fail(_faults(), 49.0)


def test_fast_products_see_them(chip_of: Any, profile_of: Any, inputs_of: Any, linear: Any) -> None:
    """Weights in bytes are prepared once and kept until the devices change."""
    profile = profile_of(dac={"bits": 8, "range": 3.0})
    chips = [chip_of(linear(460, 600), profile, dtype=torch.float32, tile=4096, products=p) for p in ("exact", "fast")]
    x = inputs_of(1, 128, 460, dtype=torch.float32)
    before = [chip.forward(x).outputs for chip in chips]
    for chip in chips:
        chip.fail(_faults(stuck_low="30 %"), 0.0)
    after = [chip.forward(x).outputs for chip in chips]
    assert (after[1] - before[1]).abs().max() > 0.5
    torch.testing.assert_close(after[1], after[0], rtol=0, atol=0.02)
