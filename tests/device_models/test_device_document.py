"""docs/profiles.md: its examples are taken, its lists are whole, and what it shows survives being written out."""

import re
from pathlib import Path

import pytest
import torch

from device_models import DeviceProfile, load_profile, preset_names
from device_models._yaml import dump_yaml, load_yaml
from device_models.units import format_prefixed

TEXT = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text(encoding="utf-8")
NEEDS = {"half_select": {"update": {"kind": "constant_step", "dw_min": 0.01}}}
CELL = {"name": "cell", "conductance": {"max": "25 uS"}, "programming": {"kind": "constant", "sigma": "1 uS"}}


def _section(heading: str) -> str:
    return TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def _rows(heading: str) -> list[list[str]]:
    lines = [line for line in _section(heading).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


def test_every_effect_is_listed_with_an_example_that_is_taken() -> None:
    listed = set()
    for names, _, example in _rows("Effects"):
        for name in re.findall(r"`(\w+)`", names):
            listed.add(name)
            if example == "[below](#costs)":
                data = load_yaml(_section("Costs").split("```yaml\n")[1].split("```")[0], "example")
            else:
                data = {name: load_yaml(example.strip("`"), "example"), **NEEDS.get(name, {})}
            profile = DeviceProfile.from_data({**CELL, **data})
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


def test_the_costs_of_every_preset_are_listed() -> None:
    rows = [row for row in _rows("Costs") if len(row) == 8]
    for names, *listed in rows:
        for name in re.findall(r"`([\w-]+)`", names):
            costs = load_profile(name).costs
            assert costs is not None
            adc = f"{format_prefixed(costs.adc.time, 's', 3)}, {format_prefixed(costs.adc.energy, 'J', 3)}"
            assert listed == [
                format_prefixed(costs.array.time, "s", 3),
                format_prefixed(costs.array.energy, "J", 3),
                adc,
                str(costs.adc.shared_by),
                format_prefixed(costs.write.time, "s", 3),
                format_prefixed(costs.write.energy, "J", 3),
                costs.write.parallel,
            ]
    named = [name for row in rows for name in re.findall(r"`([\w-]+)`", row[0])]
    assert sorted(named) == [name for name in preset_names() if load_profile(name).costs is not None]


def test_the_example_of_costs_is_the_generic_array() -> None:
    data = load_yaml(_section("Costs").split("```yaml\n")[1].split("```")[0], "example")
    assert DeviceProfile.from_data({**CELL, **data}).costs == load_profile("noisy").costs


def test_an_exact_profile_with_costs_is_what_the_text_says() -> None:
    (text,) = re.findall(r"`profile: (\{extends: noisy, [^`]+\})`", _section("Costs"))
    profile, ideal = DeviceProfile.from_data(load_yaml(text, "example")), load_profile("ideal")
    about = {"name": "", "description": "", "references": (), "costs": None}
    assert profile.model_copy(update=about) == ideal.model_copy(update=about)
    assert profile.costs == load_profile("noisy").costs
