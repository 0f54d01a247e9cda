"""Chips whose temperature changes: noise follows at once, and lives are used up along the way."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from analogsim.chip import Chip
from analogsim.network import Network
from analogsim.port import LayerWrite, Pass

NETWORK = Network.mlp([6, 11, 4])
K_B, EV = 1.380649e-23, 1.602176634e-19
FAILURE = {
    "kind": "retention_failure",
    "distribution": "exponential",
    "time": "1e6 s",
    "activation_energy": "1.1 eV",
    "reference_temperature": "310 K",
    "to": "g_max",
}
THERMAL = {"kind": "thermal", "read_voltage": "0.2 V", "integration_time": "1 ps"}
HISTORY = [(310.0, 2e5), (400.0, 150.0), (250.0, 1e6), (358.0, 1e3), (310.0, 1e5)]


def _af(kelvin: float) -> float:
    return math.exp(1.1 * EV / K_B * (1 / 310 - 1 / kelvin))


@pytest.fixture
def failing(chip_of: Any, profile_of: Any) -> Any:
    """(population, parts) -> chips whose devices end at G_max, where no weight brings them."""
    return lambda population=1, **parts: chip_of(NETWORK, profile_of(relaxation=FAILURE, **parts), population)


def _lives(chip: Chip) -> Tensor:
    """Of the devices of the first layer's G+, seconds at 310 K."""
    [(_, state), *_] = chip.oracle.cells[0][0].remembered
    return state["life"] * 1e6


def _failed(chip: Chip) -> Tensor:
    return chip.oracle.cells[0][0].conductance == 25e-6


def _live(chip: Chip, history: Any, now: float = 0.0) -> tuple[float, float]:
    """Where the clock stands after stretches at temperatures, and what they come to at 310 K."""
    used = 0.0
    for kelvin, dt in history:
        chip.set_temperature(kelvin, now)
        now += dt
        used += dt * _af(kelvin)
    return now, used


@pytest.mark.parametrize("steps", range(1, len(HISTORY) + 1))
def test_devices_fail_when_what_was_used_up_reaches_their_life(failing: Any, steps: int) -> None:
    """Each alive device just before and just after the time at which sum dt_i AF_i is its life, to 1e-9 of it."""
    chip = failing(read_noise=THERMAL)
    now, used = _live(chip, HISTORY[:steps])
    chip.settle(now)
    lives = _lives(chip)
    assert torch.equal(_failed(chip), lives <= used)
    assert steps < 2 or 0.1 < _failed(chip).double().mean() < 0.9
    rate = _af(HISTORY[steps - 1][0])
    for life in sorted(lives[lives > used].tolist())[:20]:
        fails = now + (life - used) / rate
        for moment, expected in ((fails * (1 - 1e-9), False), (fails * (1 + 1e-9), True)):
            chip.settle(moment)
            assert _failed(chip)[lives == life].item() is expected


def test_what_has_failed_stays_so_in_sight(failing: Any) -> None:
    """Devices are shown as of the last time that they were looked at, even after a change of temperature since."""
    chip = failing()
    chip.settle(1e6)
    before = _failed(chip)
    chip.set_temperature(1500.0, 2e6)
    assert before.any() and _failed(chip)[before].all()


def test_one_temperature_all_along_is_the_profiles_own(failing: Any) -> None:
    plain, set_ = failing(temperature="350 K"), failing(temperature="310 K")
    set_.set_temperature(350.0, 0.0)
    for now in (1e3, 1e4, 5e4):
        for chip in (plain, set_):
            chip.settle(now)
        assert torch.equal(_failed(plain), _failed(set_))
        assert _failed(plain).any()


def test_what_was_used_up_before_a_write_is_gone(failing: Any, weights_of: Any) -> None:
    chip = failing()
    now, _ = _live(chip, HISTORY[:2])
    chip.settle(now)
    before, lives = _failed(chip), _lives(chip)
    weights = weights_of(NETWORK, [0], torch.float64)
    chip.write([LayerWrite(0.9 * w) for w in weights], now=now)
    again, used = _live(chip, [(358.0, 5e3)], now)
    chip.settle(again)
    written = weights[0] > 0
    assert (before & written).any() and (_lives(chip)[written] != lives[written]).all()
    assert torch.equal(_failed(chip)[written], (_lives(chip) <= used)[written])
    kept = _failed(chip)[~written]
    assert torch.equal(kept, (lives <= used + HISTORY[0][1] + HISTORY[1][1] * _af(400.0))[~written])


def test_each_chip_may_have_its_own(failing: Any) -> None:
    chip, alone = failing([5, 5]), failing([5])
    chip.set_temperature([300.0, 360.0], 100.0)
    alone.set_temperature(360.0, 100.0)
    for each in (chip, alone):
        each.settle(2e4)
    assert torch.equal(_failed(chip)[1], _failed(alone)[0])
    assert _failed(chip)[1].sum() > _failed(chip)[0].sum()
    assert chip.temperature == (300.0, 360.0) and failing().temperature is None


def test_thermal_noise_follows_at_once(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    """With the same numbers noise goes with the square root of the temperature."""
    x, noises = inputs_of(1, 5, 6), []
    for kelvin in (300.0, 75.0):
        chip = chip_of(NETWORK, profile_of(read_noise=THERMAL))
        chip.forward(x, (Pass(clean=True),))
        chip.set_temperature(kelvin, 0.0)
        a = chip.forward(x, (Pass(), Pass(clean=True))).pre_activations[0]
        noises.append(a[:, 0, 0] - a[:, 0, 1])
    assert (noises[0] != 0).all()
    torch.testing.assert_close(noises[1], noises[0] / 2, rtol=1e-9, atol=1e-12)


def test_where_nothing_depends_on_it_it_is_noted(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    parts = {
        "programming": {"kind": "constant", "sigma": "0.5 uS"},
        "read_noise": {"kind": "proportional", "sigma": "2 %"},
    }
    plain, warm = (chip_of(NETWORK, profile_of(**parts), 2) for _ in range(2))
    warm.set_temperature(400.0, 1.0)
    x = inputs_of(2, 5, 6)
    assert torch.equal(plain.forward(x, now=2.0).outputs, warm.forward(x, now=2.0).outputs)
    assert warm.temperature == (400.0, 400.0)


def test_no_other_numbers_move(failing: Any, inputs_of: Any) -> None:
    """What wanders does so at reads and writes; a change of temperature between them draws nothing."""
    wandering = {"read_noise": {"kind": "lorentzian", "sigma": "5 %", "tau": "10 s"}}
    plain, warm = failing(**wandering), failing(**wandering)
    warm.set_temperature(310.0, 3.0)
    for chip in (plain, warm):
        chip.forward(inputs_of(1, 5, 6), now=5.0)
    assert torch.equal(plain.oracle.weights[0], warm.oracle.weights[0])


def test_devices_made_later_have_it_too(failing: Any) -> None:
    chip, plain = failing(), failing(temperature="350 K")
    chip.set_temperature(350.0, 0.0)
    r = [torch.eye(6, dtype=torch.float64)[None], None]
    for each in (chip, plain):
        each.write_decorrelation(r, now=0.0)
        each.settle(3e4)
    ours, theirs = (each.oracle.decorrelation[0] for each in (chip, plain))
    assert ours is not None and theirs is not None and torch.equal(ours, theirs)
    chip.program([torch.ones_like(w) for w in chip.oracle.weights], now=4e4)
    plain.program([torch.ones_like(w) for w in plain.oracle.weights], now=4e4)
    for each in (chip, plain):
        each.settle(7e4)
    assert torch.equal(_failed(chip), _failed(plain)) and _failed(chip).any()


def test_a_checkpoint_brings_it_back(failing: Any, inputs_of: Any) -> None:
    chip, other = failing(2, read_noise=THERMAL), failing(2, read_noise=THERMAL)
    now, _ = _live(chip, [*HISTORY[:2], (320.0, 10.0)])
    other.load_state_dict(copy.deepcopy(chip.state_dict()))
    assert other.temperature == (320.0, 320.0)
    for each in (chip, other):
        each.set_temperature(355.0, now + 5)
    x = inputs_of(2, 5, 6)
    assert torch.equal(chip.forward(x, now=now + 8e3).outputs, other.forward(x, now=now + 8e3).outputs)
    assert torch.equal(_failed(chip), _failed(other)) and 0 < _failed(chip).sum() < _failed(chip).numel()
    chip.load_state_dict(copy.deepcopy(failing(2, read_noise=THERMAL).state_dict()))
    assert chip.temperature is None
    a, b = (each.forward(x).outputs for each in (chip, failing(2, read_noise=THERMAL)))
    assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("kelvin", "message"),
    [
        (0.0, "kelvin: must lie above absolute zero"),
        (math.nan, "kelvin: "),
        (2000.0, "kelvin: must not be above 1687 K"),
        ([300.0], "kelvin: give one temperature, or one for each of the 2 chips"),
    ],
    ids=str,
)
def test_refused_temperatures(failing: Any, kelvin: Any, message: str) -> None:
    chip = failing(2)
    with pytest.raises(ValueError, match=message):
        chip.set_temperature(kelvin, 0.0)
    assert chip.temperature is None


def test_time_does_not_run_backwards_over_a_change(failing: Any) -> None:
    chip = failing()
    chip.set_temperature(350.0, 50.0)
    with pytest.raises(ValueError, match="now must not lie before the last change of temperature at 50 s"):
        chip.settle(49.0)
