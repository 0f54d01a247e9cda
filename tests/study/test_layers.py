"""Scenarios whose layers are made of different devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from analogsim.errors import ScenarioError
from analogsim.report.summary import axis_label
from analogsim.study.own_files import with_absolute_paths
from analogsim.study.population import Population, lay_out
from analogsim.study.run import run
from analogsim.study.scenario import load_scenario, resolve, to_data
from device_models import DeviceProfile, load_profile
from device_models._yaml import dump_yaml, load_yaml

SIGMA = "read_noise.0.sigma"


def _scenario(layers: Any, **chip: Any) -> dict[str, Any]:
    return {
        "name": "tiny",
        "data": {"set": "digits", "batch": 500},
        "network": {"layers": [8, 6, 10]},
        "chip": {"profile": "noisy", "population": 2, "layers": layers, **chip},
        "train": {"epochs": 1},
        "arms": {"anp": {"rule": "anp"}},
    }


def _population(data: dict[str, Any]) -> Population:
    scenario = resolve(data, "x")
    again = resolve(load_yaml(dump_yaml(to_data(scenario)), "again"), "again")
    assert to_data(again) == to_data(scenario)
    first, second = (lay_out(each, each.arms["anp"]) for each in (scenario, again))
    assert first == second
    return first


def _sigmas(profile: DeviceProfile) -> Any:
    sigma = profile.read_noise[0].sigma  # pyright: ignore[reportAttributeAccessIssue]
    return getattr(sigma, "values", sigma)


def test_a_layer_has_a_profile_of_its_own_or_overrides_of_the_chips() -> None:
    layers = {0: {"profile": "reram"}, -1: {"overrides": {"adc": {"bits": 5}}}}
    first, second, third = _population(_scenario(layers, overrides={"dac": {"bits": 7}})).profiles
    assert first == load_profile("reram"), "the chip's overrides are for the chip's profile"
    assert second.dac is not None and (second.name, second.dac.bits) == ("noisy", 7)
    assert third.dac is not None and third.adc is not None
    assert (third.name, third.dac.bits, third.adc.bits, third.adc.range) == ("noisy", 7, 5, 12)
    both = {1: {"profile": "reram", "overrides": {"read_noise": {"sigma": "3 %"}}}}
    profiles = _population(_scenario(both)).profiles
    assert profiles[1].programming == load_profile("reram").programming
    assert _sigmas(profiles[1]) == 0.03
    assert profiles[0] is profiles[2]


def test_axes_of_layers_join_the_populations_axes() -> None:
    two = {"each": ["1 %", "2 %"]}
    layers = {0: {"profile": {"extends": "noisy", "read_noise": {"sigma": two}}}, 2: {"overrides": {"column_noise": {"sigma": two}}}}  # fmt: skip # noqa: E501
    population = _population(_scenario(layers, overrides={"read_noise": {"sigma": {"each": ["3 %", "4 %"]}}}))
    assert len(population.ids) == 2 * 2 * 2 * 2
    own, shared, last = population.profiles
    assert _sigmas(own) == ((0.01,) * 4 + (0.02,) * 4) * 2
    assert _sigmas(shared) == (0.03,) * 8 + (0.04,) * 8
    assert _sigmas(last) == _sigmas(shared), "an axis of the chip is one axis for all layers that have it"
    assert last.column_noise is not None
    assert last.column_noise.sigma.values == (0.01, 0.01, 0.02, 0.02) * 4  # pyright: ignore[reportAttributeAccessIssue]
    place = population.coordinates[5]
    assert place == {
        f"chip.profile.{SIGMA}": "3 %",
        f"chip.layers.0.profile.{SIGMA}": "2 %",
        "chip.layers.2.overrides.column_noise.sigma": "1 %",
        "chip": 1,
    }
    assert [axis_label(axis) for axis in place] == [
        "read noise sigma",
        "layer 0 read noise sigma",
        "layer 2 column noise sigma",
        "chip",
    ]


@pytest.mark.parametrize(
    ("layers", "fault"),
    [
        ({3: {"profile": "pcm"}}, "chip.layers.3: there is no such layer; layers are numbered 0 to 2"),
        ({-4: {}}, "chip.layers.-4: there is no such layer"),
        ({0: {}, -3: {}}, "chip.layers.-3: layer 0 is given twice"),
        ({"first": {}}, "chip.layers.first"),
        ({0: {"profil": "pcm"}}, "chip.layers.0.profil: unknown key"),
        ({0: {"profile": "pmc"}}, "chip.layers.0.profile: no profile is called 'pmc'"),
        ({-1: {"overrides": {"adc": {"bits": 1}}}}, "chip.layers.-1.profile.adc.bits: must not be below 2"),
        ({1: {"profile": {"extends": "pmc"}}}, "chip.layers.1.profile: profile: extends: no profile is called 'pmc'"),
        ({1: {"overrides": {"extends": "pcm"}}}, "chip.layers.1.profile: overrides cannot extend a profile"),
        ({1: {"overrides": {"timing": {"pass_time": "1 ms"}}}}, "chip.layers: layer 1: `timing` must be that of"),
    ],
)  # fmt: skip
def test_faults_name_the_layer(layers: Any, fault: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        resolve(_scenario(layers), "tiny.yaml")
    assert f"\n  - {fault}" in str(caught.value)


def test_faults_of_layers_stand_beside_all_others() -> None:
    data = _scenario({0: {"profile": "pmc"}, 1: {"overrides": {"dac": {"bits": 99}}}}) | {"seed": -1}
    data["chip"]["overrides"] = {"adc": {"range": -1}}
    with pytest.raises(ScenarioError) as caught:
        resolve(data, "tiny.yaml")
    for path in ("seed:", "chip.profile.adc.range:", "chip.layers.0.profile:"):
        assert f"\n  - {path}" in str(caught.value)


def test_a_layers_own_dac_must_not_clip_the_bias(tmp_path: Path) -> None:
    scenario = resolve(_scenario({1: {"overrides": {"dac": {"range": 0.5}}}}), "x")
    with pytest.raises(ScenarioError, match=r"chip\.layers\.1\.profile\.dac\.range: clips the bias row"):
        run(scenario, tmp_path, torch.device("cpu"))
    scenario = resolve(_scenario({}, overrides={"dac": {"range": 0.5}}), "x")
    with pytest.raises(ScenarioError) as caught:
        run(scenario, tmp_path, torch.device("cpu"))
    assert str(caught.value).count("clips the bias row") == 1
    assert "chip.profile.dac.range" in str(caught.value)


def test_set_reaches_a_layer(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(dump_yaml(_scenario({0: {"profile": "pcm"}})))
    settings = ["chip.layers.0.profile=reram", "chip.layers.-1.overrides.adc.bits=5"]
    scenario = load_scenario(str(path), settings)
    first, _, last = lay_out(scenario, scenario.arms["anp"]).profiles
    assert first.name == "reram"
    assert last.adc is not None and last.adc.bits == 5


def test_profiles_lie_beside_the_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cell.yaml").write_text(dump_yaml({"name": "cell", "conductance": {"max": "9 uS"}}))
    layers = {0: {"profile": "cell.yaml"}, 1: {"profile": {"extends": "cell.yaml", "granularity": "1 uS"}}}
    path = tmp_path / "tiny.yaml"
    path.write_text(dump_yaml(_scenario(layers, profile={"extends": "cell.yaml", "name": "mine"})))
    monkeypatch.chdir("/")
    scenario = load_scenario(str(path))
    profiles = lay_out(scenario, scenario.arms["anp"]).profiles
    assert [profile.conductance.max for profile in profiles] == [9e-6] * 3
    assert [profile.name for profile in profiles] == ["cell", "cell, changed", "mine"]


def test_a_file_beside_the_scenario_comes_before_one_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for what is set on the command line; a study keeps the same file."""
    beside, here = tmp_path / "beside", tmp_path / "here"
    for folder, most in ((beside, "9 uS"), (here, "99 uS")):
        folder.mkdir()
        (folder / "cell.yaml").write_text(dump_yaml({"name": "cell", "conductance": {"max": most}}))
    path = beside / "tiny.yaml"
    path.write_text(dump_yaml(_scenario({}, profile="cell.yaml")))
    monkeypatch.chdir(here)
    for settings, most in ((), 9e-6), (("chip.profile=cell.yaml",), 99e-6):
        scenario = load_scenario(str(path), settings)
        assert lay_out(scenario, scenario.arms["anp"]).profiles[0].conductance.max == most
    assert with_absolute_paths({"profile": "cell.yaml"}, beside) == {"profile": str(beside / "cell.yaml")}
    (beside / "cell.yaml").unlink()
    scenario = load_scenario(str(path))
    assert lay_out(scenario, scenario.arms["anp"]).profiles[0].conductance.max == 99e-6


def test_a_run_is_repeated_from_its_own_scenario(tmp_path: Path) -> None:
    layers = {0: {"profile": "reram"}, -1: {"overrides": {"read_noise": {"sigma": {"each": ["1 %", "5 %"]}}}}}
    first = run(resolve(_scenario(layers), "x"), tmp_path, torch.device("cpu")).path
    again = run(load_scenario(str(first / "scenario.yaml")), tmp_path, torch.device("cpu")).path
    for name in ("scenario.yaml", "result.json", "metrics.jsonl"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    assert "    0:\n" in (first / "scenario.yaml").read_text()
