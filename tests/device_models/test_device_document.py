"""docs/profiles.md: its examples are taken, its lists are whole, and what it shows survives being written out."""

import re
from pathlib import Path

import pytest
import torch

from device_models import DeviceProfile, preset_names
from device_models._yaml import dump_yaml, load_yaml

TEXT = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text(encoding="utf-8")
CELL = {"name": "cell", "conductance": {"max": "25 uS"}, "programming": {"kind": "constant", "sigma": "1 uS"}}


def _rows(heading: str) -> list[list[str]]:
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


def test_every_effect_is_listed_with_an_example_that_is_taken() -> None:
    listed = set()
    for names, _, example in _rows("Effects"):
        for name in re.findall(r"`(\w+)`", names):
            listed.add(name)
            profile = DeviceProfile.from_data({**CELL, name: load_yaml(example.strip("`"), "example")})
            profile.build(2, torch.device("cpu"), torch.float32)
            assert DeviceProfile.from_data(load_yaml(dump_yaml(profile.to_data()), "again")) == profile
    assert listed == set(DeviceProfile.model_fields) - {"name", "description", "references"}


@pytest.mark.parametrize("kind", ["ideal", "constant_step", "linear_step", "soft_bounds", "power_step"])
def test_updates_survive_being_written_out(kind: str) -> None:
    profile = DeviceProfile.from_data({**CELL, "update": {"kind": kind, "dw_min": 0.1}})
    assert DeviceProfile.from_data(load_yaml(dump_yaml(profile.to_data()), "again")) == profile


def test_the_profile_that_one_starts_from_is_taken() -> None:
    profile = DeviceProfile.from_data(load_yaml(TEXT.split("```yaml\n")[1].split("```")[0], "example"))
    assert profile.name == "my-cell"
    assert profile.drift is None


def test_every_preset_is_listed() -> None:
    named = [name for row in _rows("Presets")[:20] for name in re.findall(r"`([\w-]+)`", row[0])]
    assert sorted(set(named)) == preset_names()
