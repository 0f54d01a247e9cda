"""Scenarios: reading, overriding, resolving, and laying out populations."""

from pathlib import Path
from typing import Any

import pytest

from analogsim.errors import ScenarioError
from analogsim.learning import RULES
from analogsim.study.packaged import scenario_names
from analogsim.study.population import lay_out
from analogsim.study.scenario import load_scenario, resolve, to_data
from analogsim.study.schema import ArmBase, StagedArm
from analogsim.study.stages import stages_of
from analogsim.study.student_teacher import StudentTeacherScenario
from device_models._yaml import dump_yaml, load_yaml

MINIMAL: dict[str, Any] = {
    "name": "tiny",
    "data": {"set": "digits"},
    "network": {"layers": [10]},
    "chip": {"profile": "ideal", "population": 2},
    "train": {"epochs": 1},
    "arms": {"anp": {"rule": "anp"}},
}


def _with(path: str, value: Any) -> dict[str, Any]:
    data = load_yaml(dump_yaml(MINIMAL), "copy")
    here = data
    *parents, last = path.split(".")
    for key in parents:
        here = here.setdefault(key, {})
    here[last] = value
    return data


@pytest.mark.parametrize("name", scenario_names())
@pytest.mark.parametrize("quick", [False, True])
def test_packaged_scenarios_resolve_and_survive_a_round_trip(name: str, quick: bool) -> None:
    scenario = load_scenario(name, quick=quick)
    text = dump_yaml(to_data(scenario))
    again = resolve(load_yaml(text, "again"), "again")
    assert to_data(again) == to_data(scenario)
    assert dump_yaml(to_data(again)) == text
    assert again.arms == {arm: again.arms[arm] for arm in scenario.arms}
    if isinstance(scenario, StudentTeacherScenario):  # its arms have no stages
        assert [scenario.places(arm) for arm in scenario.arms.values()] == [
            again.places(a) for a in again.arms.values()
        ]
        return
    for name, arm in scenario.arms.items():
        plans, others = (stages_of(each, each.arms[name]) for each in (scenario, again))
        assert [(p.epochs, p.ex_situ, p.goes_on) for p in plans] == [(p.epochs, p.ex_situ, p.goes_on) for p in others]
        learning = [(p.arm, q.arm) for p, q in zip(plans, others, strict=True) if p.learns]
        assert all(one.build_rule() == other.build_rule() for one, other in learning), arm


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("nmae", "x", "nmae: unknown key; is name meant?"),
        ("qqqq", "x", "qqqq: unknown key; remove it or correct its spelling"),
        ("name", "a b", "name: must be a name without spaces"),
        ("name", 3, "name: must be text (got 3)"),
        (
            "data.standardise",
            "row",
            "data.standardise: not a known choice (got 'row'); choose 'channel'; or must be true",
        ),
        ("seed", -1, "seed: must be greater than or equal to 0 (got -1)"),
        ("data.set", "cats", "data.set: no data set is called 'cats'; choose one of cifar-10, cifar-100, digits"),
        ("data.batch", 0, "data.batch: must be greater than 0 (got 0)"),
        ("network.layers", [], "network.layers: "),
        ("network.layers", [10, 0], "network.layers.1: must be greater than 0 (got 0)"),
        ("network.activation", "swish", "network.activation: no activation function is called 'swish'"),
        ("network.activation", {"leaky_relu": 0.1, "identity": True}, "network.activation: give exactly one"),
        ("chip.profile", "pmc", "chip.profile: no profile is called 'pmc'; there are capacitor, "),
        ("train.step_time", 1, "train.step_time: needs a number and its unit as text (got 1); for example '20 s'"),
        ("train.step_time", "-1 ms", "train.step_time: must not be below 0 s"),
        ("chip.profile", {"name": "mine"}, "chip.profile.conductance: is missing; add it"),
        ("chip.overrides.adc", {"bits": 1, "range": 3}, "chip.profile.adc.bits: "),
        ("chip.overrides.read_noise", {"sigma": 0.01}, "chip.profile.read_noise.0.sigma: needs a number and its unit"),
        ("chip.overrides.read_noise", {"sigma": "-1 %"}, "chip.profile.read_noise.0.sigma: must not be below 0 %"),
        ("chip.grants", ["everything"], "chip.grants.0: no access is called 'everything'; choose one of"),
        ("chip.tile", "big", "chip.tile: must be an integer (got 'big')"),
        ("chip.tile", {"each": [8, 16]}, "chip.tile: cannot differ from chip to chip (got {'each': [8, 16]})"),
        ("chip.mappping", {}, "chip.mappping: unknown key; is mapping meant?"),
        ("train.epochs", 1.5, "train.epochs: "),
        ("train.evaluate_every", "often", "train.evaluate_every: not a period (got 'often')"),
        ("train.evaluate_every", 10, "train.evaluate_every: not a period (got 10); write for example '1 epoch'"),
        ("train.optimizer", {"adam": {"lr": 0}}, "train.optimizer.adam.lr: must be greater than 0 (got 0)"),
        ("train.optimizer", {"lbfgs": {"lr": 1}}, "train.optimizer.lbfgs: unknown key"),
        ("train.optimizer", {"sgd": {"lr": 1, "momentun": 1}}, "train.optimizer: sgd does not take momentun"),
        ("train.optimizer", {"adam": {"lr": 1, "betas": [2, 1]}}, "train.optimizer: adam: Invalid beta"),
        (
            "train.optimizer",
            {"adam": {"lr": 1, "betas": {"each": [1]}}},
            "train.optimizer: adam.betas: must be a number or",
        ),
        ("train.optimizer", {"adam": {"lr": 1, "betas": []}}, "train.optimizer: adam: "),
        (
            "chip.order",
            {"each": ["sample", "pass"]},
            "chip.order: cannot differ from chip to chip (got {'each': ['sample'",
        ),
        (
            "chip.overrides.adc",
            {"each": [4, 8]},
            "chip.profile.adc: cannot differ from chip to chip (got {'each': [4, 8]})",
        ),
        ("seed", {"each": [1, 1]}, "seed: must all be different (got 1 twice)"),
        ("arms", {}, "arms: "),
        ("arms.anp.rule", "magic", "arms.anp.rule: not a known choice (got 'magic'); choose one of bp, "),
        ("arms.anp.sigma", -1, "arms.anp.sigma: must be greater than or equal to 0 (got -1)"),
        ("arms.anp.sgima", 1, "arms.anp.sgima: unknown key; is sigma meant?"),
        (
            "arms.anp.rule",
            "dnap",
            "arms.anp.rule: not a known choice (got 'dnap'); is dnp, dinp or danp meant? There are bp",
        ),
        ("arms.anp", {"sigma": 1}, "arms.anp: must say which rule it is"),
        ("arms.anp.timeline", [{"do": "train", "step": 1}], "arms.anp.timeline.0.step: unknown key; is steps meant?"),
        ("arms.anp.decorrelation", {"rate": -1}, "arms.anp.decorrelation.rate: must be greater than 0 (got -1)"),
    ],
)
def test_a_fault_is_named_with_its_path(path: str, value: Any, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        resolve(_with(path, value), "tiny.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("tiny.yaml cannot be used:")


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_key_of_another_rule_is_not_said_to_be_meant(rule: str) -> None:
    taken = {*RULES[rule].model_fields, *StagedArm.model_fields, *ArmBase.model_fields}
    foreign = {key for other in RULES.values() for key in other.model_fields} - taken
    with pytest.raises(ScenarioError) as caught:
        resolve(_with("arms.a", {"rule": rule, **dict.fromkeys(foreign, 1)}), "tiny.yaml")
    for key in foreign:
        assert f"arms.a.{key}: unknown key" in str(caught.value)
    for line in str(caught.value).splitlines():
        if " meant?" in line:
            words = line.split("is ", 1)[1].removesuffix(" meant?").replace(" or ", ", ").split(", ")
            assert set(words) <= {*RULES[rule].model_fields, *ArmBase.model_fields}


@pytest.mark.parametrize("key", ["epochs", "sgima", "rule", "optimizer"])
def test_a_key_of_stages_is_not_said_to_be_meant_of_their_arm(key: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        resolve(_with("arms.a", {"stages": [{"rule": "np"}], key: 1}), "tiny.yaml")
    assert f"arms.a.{key}: unknown key; remove it or correct its spelling" in str(caught.value)
    with pytest.raises(ScenarioError, match=r"arms\.a\.stages\.0\.sgima: unknown key; is sigma meant\?"):
        resolve(_with("arms.a", {"stages": [{"rule": "np", "sgima": 1}]}), "tiny.yaml")


def test_all_faults_stand_in_one_message() -> None:
    data = _with("data.batch", 0) | {"seed": -1, "extra": 1}
    data["chip"] = {"profile": "noisy", "overrides": {"adc": {"bits": 99}}, "tile": 0}
    with pytest.raises(ScenarioError) as caught:
        resolve(data, "tiny.yaml")
    for path in ("seed:", "data.batch:", "chip.tile:", "extra:", "chip.profile.adc.bits:"):
        assert f"\n  - {path}" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1, 2]", "just words", "a: 1\na: 2", "a: !!python/object:os.x {}", "a: [", "\t"])
def test_what_is_no_mapping_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=r"bad\.yaml"):
        load_scenario(str(path))


def test_settings_override_by_path_and_quick_goes_first(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(dump_yaml(MINIMAL | {"quick": {"train.epochs": 7, "chip.population": 3}}))
    assert load_scenario(str(path)).train.epochs == 1
    scenario = load_scenario(str(path), ["train.epochs=9", "network.layers.0=12", "arms.b={rule: np}"], quick=True)
    assert (scenario.train.epochs, scenario.chip.population, scenario.network.layers) == (9, 3, (12,))
    assert set(scenario.arms) == {"anp", "b"}


def test_a_quick_look_needs_settings_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(dump_yaml(MINIMAL))
    with pytest.raises(ScenarioError, match=r"tiny\.yaml: has no `quick` settings for a short look"):
        load_scenario(str(path), quick=True)
    with pytest.raises(ScenarioError, match=r"--set quick\.train\.epochs=1: stands over the quick settings anyway"):
        load_scenario("quickstart", ["quick.train.epochs=1"], quick=True)
    quick = load_scenario("quickstart", ["train.epochs=1"], quick=True)
    path.write_text(dump_yaml(to_data(quick)))  # what a run keeps
    assert to_data(load_scenario(str(path), quick=True)) == to_data(quick)


@pytest.mark.parametrize("setting", ["train.epochs", "=3", "network.layers.7=3", "seed.x=1", "a=[", "name=x: y: z"])
def test_settings_that_cannot_be_are_refused(setting: str) -> None:
    with pytest.raises(ScenarioError):
        load_scenario("quickstart", [setting])


def test_an_alias_is_its_rule_with_decorrelation() -> None:
    alias = resolve(_with("arms.anp.rule", "danp"), "x").arms["anp"]
    assert alias.rule == "anp"
    assert alias.decorrelation is not None


def test_more_samples_are_centred_unless_said_otherwise() -> None:
    def baseline(**settings: Any) -> str:
        return resolve(_with("arms.anp", {"rule": "anp", **settings}), "x").arms["anp"].build_rule().baseline

    assert baseline() == "shared"
    assert baseline(samples=4) == "centred"
    assert baseline(samples=4, baseline="shared") == "shared"


def test_axes_make_a_population_point_by_point() -> None:
    data = _with("seed", {"each": [5, 6]})
    data["chip"]["overrides"] = {"read_noise": {"sigma": {"each": ["0 %", "1 %", "3 %"]}}}
    data["train"]["optimizer"] = {"adam": {"lr": {"each": [0.1, 0.2]}}}
    scenario = resolve(data, "x")
    population = lay_out(scenario, scenario.arms["anp"])
    assert len(population.ids) == 2 * 3 * 2 * 2
    assert population.seeds == [5] * 12 + [6] * 12
    assert population.ids == [0, 1] * 12
    assert population.rates[:4] == [0.1, 0.1, 0.2, 0.2]
    sigma = population.profiles[0].read_noise[0].sigma.values
    assert sigma[:12] == (0.0,) * 4 + (0.01,) * 4 + (0.03,) * 4
    place = population.coordinates[9]
    assert place == {"seed": 5, "chip.profile.read_noise.0.sigma": "3 %", "lr": 0.1, "chip": 1}


def test_only_runs_the_named_chips() -> None:
    scenario = resolve(_with("chip.only", [1]), "x")
    assert lay_out(scenario, scenario.arms["anp"]).ids == [1]
    beyond = resolve(_with("chip.only", [2]), "x")
    with pytest.raises(ScenarioError, match="there is no chip 2 in a population of 2"):
        lay_out(beyond, beyond.arms["anp"])
