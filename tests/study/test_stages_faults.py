"""Arms of stages: what is refused, with its path, and what is read and written back."""

from pathlib import Path
from typing import Any

import pytest
import torch

from analogsim.errors import ScenarioError
from analogsim.study.population import lay_out
from analogsim.study.run import run
from analogsim.study.scenario import load_scenario, resolve, to_data
from analogsim.study.schema import Scenario
from analogsim.study.stages import stages_of
from device_models._yaml import dump_yaml, load_yaml

CPU = torch.device("cpu")
IDEAL = {"profile": "ideal"}


def _tiny(arms: str) -> Scenario:
    base = ["train.epochs=2", "network.layers=[16, 10]", "chip.population=3", "data.batch=200", f"arms={{{arms}}}"]
    return load_scenario("quickstart", base)


def _with(arm: Any, **changes: Any) -> dict[str, Any]:
    minimal = {
        "name": "tiny",
        "data": {"set": "digits"},
        "network": {"layers": [10]},
        "chip": {"profile": "noisy", "population": 2},
        "train": {"epochs": 7},
        "arms": {"a": arm},
    }
    return {**minimal, **changes}


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ([], "arms.a.stages: an arm needs at least one stage"),
        ({"stages": []}, "arms.a.stages: an arm needs at least one stage"),
        ({"stages": 5}, "arms.a.stages: "),
        ([{"rule": "none"}], "arms.a.stages: the first stage must learn"),
        ([{"rule": "np", "epochs": 0}], "arms.a.stages: the first stage must learn"),
        ([{"rule": "np", "sgima": 1}], "arms.a.stages.0.sgima: unknown key"),
        ([{"rule": "np"}, {"rule": "np", "epochs": -1}], "arms.a.stages.1.epochs: must be greater than or equal to 0"),
        ([{"rule": "np", "sigma": -1}], "arms.a.stages.0.sigma: must be greater than 0 (got -1)"),
        ([{"rule": "magic"}], "arms.a.stages.0.rule: not a known choice (got 'magic'); choose one of"),
        ([{"epochs": 3}], "arms.a.stages.0: must say which rule it is"),
        ([5], "arms.a.stages.0: must be a mapping of settings (got 5)"),
        ([{"rule": "np", "chip": IDEAL}], "arms.a.stages: the last stage is on the scenario's chips"),
        ([{"rule": "np", "family": "x"}], "arms.a.stages.0: family: of the whole arm"),
        ([{"rule": "np", "timeline": [{"do": "evaluate"}]}], "arms.a.stages.0: timeline: of the whole arm"),
        ([{"rule": "np"}, {"rule": "none", "sigma": 1}], "arms.a.stages.1.sigma: unknown key"),
        (
            [{"rule": "np"}, {"rule": "none", "epochs": 1}],
            "arms.a.stages.1: rule none learns nothing, so it takes no epochs",
        ),
        (
            [{"rule": "np"}, {"rule": "none", "optimizer": {"sgd": {"lr": 1}}}],
            "arms.a.stages.1: rule none learns nothing, so it takes no optimizer",
        ),
        (
            {"stages": [{"rule": "np"}, {"rule": "none"}], "timeline": [{"do": "train", "steps": 1}]},
            "arms.a.timeline.0: the last stage of arm a is {rule: none}",
        ),
        ({"stages": [{"rule": "np"}], "rule": "np"}, "arms.a.rule: unknown key"),
        ({"rule": "np", "epochs": 3}, "arms.a.epochs: unknown key"),
        ({"rule": "none"}, "arms.a.rule: not a known choice (got 'none')"),
        (
            [{"rule": "np", "chip": {"profile": "pmc"}}, {"rule": "none"}],
            "arms.a.stages.0.chip.profile: no profile is called",
        ),
        ([{"rule": "np", "chip": {"tile": 3}}, {"rule": "none"}], "arms.a.stages.0.chip.tile: unknown key"),
        (
            [{"rule": "np", "chip": {"overrides": {"adc": {"bits": 1, "range": 3}}}}, {"rule": "none"}],
            "arms.a.stages.0.chip.profile.adc.bits: ",
        ),
        (
            [{"rule": "np", "chip": {"overrides": {"read_noise": {"sigma": {"each": ["0 %"]}}}}}, {"rule": "none"}],
            "arms.a.stages.0.chip.profile.read_noise.0.sigma: cannot be an axis here",
        ),
        (
            [{"rule": "np"}, {"rule": "np", "optimizer": {"in_memory": {"lr": 0.1}}}],
            "arms.a.stages.1.optimizer: in_memory writes by pulses, but",
        ),
    ],
)
def test_a_fault_in_a_stage_is_named_with_its_path(arm: Any, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        resolve(_with(arm), "tiny.yaml")
    assert f"\n  - {message}" in str(caught.value)
    assert str(caught.value).count("\n") <= 2


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ("x: [{rule: bp}, {rule: none}]", "arms.x.stages.0: rule 'bp' needs"),
        ("x: [{rule: np}, {rule: bp}]", "arms.x.stages.1: rule 'bp' needs"),
        (
            "x: [{rule: np, weight_normalisation: {gains: [1.0]}}, {rule: none}]",
            "arms.x.stages.0.weight_normalisation.gains: must be one for each of the 2 layers",
        ),
        (
            "x: [{rule: bp, chip: {profile: noisy, overrides: {dac: {range: 0.5}}}}, {rule: none}]",
            "arms.x.stages.0.chip.profile.dac.range: clips the bias row",
        ),
        (
            "x: [{rule: np, optimizer: {sgd: {lr: {each: [1, 2]}}}}, {rule: np, optimizer: {sgd: {lr: {each: [1]}}}}]",
            "arms.x: two stages have an axis of learning rates",
        ),
    ],
)
def test_what_a_stage_cannot_do_is_told_before_anything_runs(arms: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        run(_tiny(arms), tmp_path / "runs", CPU)
    assert message in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_an_arm_of_stages_survives_a_round_trip() -> None:
    stages = [
        {
            "rule": "dbp",
            "epochs": 3,
            "chip": {"overrides": {"read_noise": {"sigma": "2 %"}}, "mapping": {"range": "follow"}},
        },
        {"rule": "none", "chip": {"profile": "pcm"}},
        {
            "rule": "danp",
            "samples": 2,
            "baseline": "shared",
            "optimizer": {"sgd": {"lr": 0.1}},
            "decorrelation": {"rate": 0.01},
        },
        {"rule": "none"},
    ]
    overrides = {"read_noise": {"sigma": {"each": ["0 %", "1 %"]}}}
    data = _with(stages, chip={"profile": "noisy", "overrides": overrides, "layers": {-1: {"profile": "noisy"}}})
    data["network"] = {"layers": [8, 10]}
    scenario = resolve(data, "x")
    again = resolve(load_yaml(dump_yaml(to_data(scenario)), "again"), "again")
    assert to_data(again) == to_data(scenario)
    plans, others = (stages_of(each, each.arms["a"]) for each in (scenario, again))
    assert plans == others
    assert [(plan.epochs, plan.ex_situ, plan.goes_on) for plan in plans] == [
        (3, True, False),
        (0, True, False),
        (7, False, False),
        (0, False, True),
    ]
    first, second = plans[0].chip, plans[1].chip
    assert isinstance(first.profile, dict)
    assert isinstance(second.profile, dict)
    assert first.profile["read_noise"][0]["sigma"] == "2 %"
    assert first.layers.keys() == {1}, "without a profile of its own a stage keeps what differs in layers"
    assert second.layers == {}
    assert (first.mapping.range, second.mapping.range) == ("follow", "fixed")
    profiles = lay_out(scenario, scenario.arms["a"], 0).profiles
    assert profiles[0].read_noise[0].sigma == pytest.approx(0.02)
