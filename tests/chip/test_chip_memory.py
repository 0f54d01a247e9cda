"""Memory: what chips hold, against a walk through all that belongs to them, and what the documentation says."""

from __future__ import annotations

import re
import types
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from analogsim.chip import Chip
from analogsim.chip.memory import bytes_per_weight, held_bytes
from analogsim.network import Network
from analogsim.port import LayerPulses, LayerWrite
from device_models import DeviceProfile, load_profile
from device_models.faults import Faults

PRESETS = sorted(
    path.name[:-5] for path in (files("device_models") / "presets").iterdir() if path.name.endswith("yaml")
)
SIZES = (120, 90, 50)
PARTS: dict[str, dict[str, Any]] = {
    "programming": {"programming": {"kind": "constant", "sigma": "0.1 uS"}},
    "faults": {"faults": {"stuck_low": "5 %"}},
    "slices": {"slices": {"count": 3, "bits": 2}, "adc": {"bits": 8, "range": 12}},
    "wires": {"wires": {"resistance": "1 ohm"}},
    "endurance": {"endurance": {"cycles": 1000}},
    "proportional": {"read_noise": {"kind": "proportional", "sigma": "2 %"}},
    "drift": {"drift": {"kind": "constant", "t0": "20 s", "mean": 0.05}},
    "telegraph": {"read_noise": {"kind": "telegraph", "amplitude": "5 %", "tau": "1 s", "share": "40 %"}},
}


def _storages(root: object) -> dict[int, int]:
    """Bytes of every storage that anything reachable from an object holds."""
    found: dict[int, int] = {}
    seen: set[int] = set()
    stack = [root]
    while stack:
        x = stack.pop()
        if isinstance(x, Tensor):
            found[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        elif id(x) not in seen and not isinstance(x, str | bytes | int | float | type | types.ModuleType):
            seen.add(id(x))
            if isinstance(x, dict):
                stack += x.values()
            elif isinstance(x, list | tuple | set):
                stack += x
            elif hasattr(x, "__dict__"):
                stack += vars(x).values()
    found.pop(0, None)
    return found


def _used(profile: DeviceProfile, dtype: torch.dtype, chips: int = 2) -> Chip:
    """Chips after a few steps, of which only what they hold is left."""
    chip = Chip(Network.mlp(SIZES), profile, chips, dtype=dtype)
    weights = chip.network.initial_weights("he_normal", [torch.Generator().manual_seed(k) for k in range(chips)])
    weights = [w.to(dtype) for w in weights]
    x = torch.randn(chips, 3, SIZES[0], generator=torch.Generator().manual_seed(9), dtype=dtype)
    chip.program(weights)
    chip.calibrate(x)
    for k in range(1, 3):
        chip.write([LayerWrite(w * 0.9**k) for w in weights], now=float(k))
        if profile.update is not None:
            chip.write([LayerPulses(pulses=torch.sign(w)) for w in weights], now=float(k))
        chip.forward(x, now=k + 0.5)
    return chip


def _check(profile: DeviceProfile, dtype: torch.dtype) -> None:
    """All that is held, and not more: weights times bytes of each, and for lines less than 3 % of that and 8 KiB."""
    chip = _used(profile, dtype)
    weights = sum(2 * n * (m + 1) for m, n in zip(SIZES, SIZES[1:], strict=False))
    total = sum(_storages(chip).values())
    expected = sum(bytes_per_weight(profile, dtype).values()) * weights
    assert sum(held_bytes(chip, 2000).values()) == expected
    assert expected <= total < expected * 1.03 + 8 * 1024


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name: str) -> None:
    _check(load_profile(name), torch.float32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("part", PARTS)
def test_effects(part: str, dtype: torch.dtype, profile_of: Any) -> None:
    _check(profile_of(**PARTS[part]), dtype)


def test_by_purpose(profile_of: Any) -> None:
    """float32: a tensor of one number for each weight is 4 bytes, for each of two devices 8."""
    plain = {"targets": 4.0, "devices": 8.0, "reads": 4.0}
    assert bytes_per_weight(profile_of()) == plain
    assert bytes_per_weight(profile_of(), torch.float64) == {name: 2 * each for name, each in plain.items()}
    noisy = bytes_per_weight(profile_of(**PARTS["proportional"]))
    assert noisy == {**plain, "reads": 8.0}, "and a variance"
    sloppy = bytes_per_weight(profile_of(**PARTS["programming"]))
    assert sloppy == {**plain, "devices": 16.0}, "what was aimed at, and what came of it"


def test_the_documentation_has_these_figures() -> None:
    """docs/memory.md, its table by profile."""
    text = (Path(__file__).parents[2] / "docs" / "memory.md").read_text()
    rows = re.findall(r"^\| (`[a-z0-9`, -]+) \| (\d+) \|$", text, re.MULTILINE)
    written = {name: float(figure) for names, figure in rows for name in re.findall(r"`([^`]+)`", names)}
    assert written == {name: sum(bytes_per_weight(load_profile(name)).values()) for name in PRESETS}


@pytest.mark.parametrize(
    ("parts", "purpose", "figure"),
    [
        (("programming",), "devices", 16),
        (("endurance",), "devices", 16),
        (("telegraph",), "devices", 16),
        (("drift",), "devices", 24),
        (("faults",), "devices", 24),
        (("drift", "telegraph"), "devices", 32),
        (("drift",), "clock", 16),
        (("telegraph",), "telegraph_noise", 4),
        (("faults",), "faults", 6),
        (("endurance",), "endurance", 24),
        (("wires",), "reads", 12),
    ],
    ids=str,
)
def test_the_documentations_table_by_effect(
    parts: tuple[str, ...], purpose: str, figure: float, profile_of: Any
) -> None:
    settings = {key: value for part in parts for key, value in PARTS[part].items()}
    assert bytes_per_weight(profile_of(**settings))[purpose] == figure


def test_the_documentations_figures_for_what_comes_later(profile_of: Any) -> None:
    """Counted wear, devices that have died, lives under several temperatures."""
    failure = {"kind": "retention_failure", "distribution": "exponential", "time": "1 h"}
    chip = Chip(Network.mlp([31, 32]), profile_of(relaxation=failure), count_wear=True)
    chip.program([torch.linspace(-1, 1, 1024).view(1, 32, 32)])

    def held() -> dict[str, float]:
        return {purpose: number / 1024 for purpose, number in held_bytes(chip, 1024).items()}

    before = held()
    assert (before["wear"], before["retention"]) == (8, 10) and "faults" not in before
    chip.set_temperature(350.0, 1.0)
    chip.fail(Faults.model_validate({"stuck_low": "10 %"}), 1.0)
    after = held()
    assert (after["wear"], after["retention"], after["faults"]) == (8, 42, 6)
