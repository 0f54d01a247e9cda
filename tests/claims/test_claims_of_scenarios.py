"""Claims that a scenario cannot answer are refused when it is loaded, with path and column."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from analogsim.claims.metrics import MORE_IS_BETTER, OF_NETWORK
from analogsim.claims.parser import OF_ARM, OF_METRIC
from analogsim.diagnostics import METRICS
from analogsim.errors import ScenarioError
from analogsim.study.check import check
from analogsim.study.run import load_data
from analogsim.study.scenario import load_scenario, only_arms, resolve, to_data


def _scenario(*claims: str, **more: Any) -> Mapping[str, Any]:
    return {
        "name": "claimed",
        "data": {"set": "digits"},
        "network": {"layers": [8, 10]},
        "chip": {"profile": "noisy", "overrides": {"read_noise": {"sigma": {"each": ["1 %", "10 %"]}}}},
        "train": {"epochs": 2, "metrics": ["angle", "weight_norm"]},
        "arms": {
            "np": {"rule": "np"},
            "danp": {"rule": "danp"},
            "swept": {"rule": "np", "optimizer": {"adam": {"lr": {"each": [0.1, 0.01]}}}},
            "other": {"rule": "np", "optimizer": {"adam": {"lr": {"each": [0.1, 0.02]}}}},
        },
        "claims": [{"claim": claim, "says": "it is so"} for claim in claims],
        **more,
    }


@pytest.mark.parametrize(
    ("claim", "fault"),
    [
        ("final(np.angle) <", "column 18: expected a number"),
        ("final(anp.angle) < 1", "column 7: there is no arm 'anp'; there are np, danp, swept, other"),
        (
            "1 < 2 * final(np.angel)",
            "column 9: no metric is called 'angel'; choose one of test_accuracy, test_loss, tra",
        ),
        ("final(np.update_variance) < 1", "column 1: update_variance is not measured; list it under train.metrics"),
        ("final(np.angle, layer=2) < 1", "column 1: there is no layer 2; the network has 2, numbered from 0"),
        ("final(np.test_accuracy) > 44.4", "column 1: final(np.test_accuracy) is a share, at most 1, and never 44.4"),
        ("44.4 < best(np.test_accuracy)", "column 8: best(np.test_accuracy) is a share, at most 1, and never 44.4"),
        ("reach(np.test_accuracy, 90) < 5", "column 1: test_accuracy is a share, at most 1, and never 90; write 90 %"),
        ("best(np.weight_norm) < 1", "column 1: whether more of weight_norm is better, nobody knows; take least, most"),
        ("initial(np.train_loss) < 1", "column 1: train_loss is a mean since the evaluation before"),
        ("at(np.train_loss, 0) < 1", "column 1: train_loss is a mean since the evaluation before"),
        ("final(np[lr=0.1].angle) < 1", "column 7: np has no axis lr; its axes are chip.profile.read_noise.0.sigma"),
        ("final(np[sigma=2 %].angle) < 1", "column 7: np has no sigma of 2 %; there are 1 %, 10 %"),
        ("final(np[sigma=1 %, sigma=1 %].angle) < 1", "column 7: names each axis once"),
        (
            "final(np.angle) < final(swept.angle)",
            "column 19: final(swept.angle) spans the axis lr, and final(np.angle) does not; name a point, such as "
            "swept[lr=0.1]",
        ),
        (
            "final(np[sigma=1 %].angle) < final(np.angle)",
            "column 30: final(np.angle) spans the axis sigma, and final(np[sigma=1 %].angle) does not",
        ),
        (
            "final(other.angle) < final(swept.angle)",
            "column 22: final(other.angle) and final(swept.angle) have other values of lr, so their chips make no",
        ),
    ],
)
def test_a_claim_that_cannot_be_answered_is_refused(claim: str, fault: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        resolve(_scenario("final(np.angle) < 90", claim), "study.yaml")
    assert f"  - claims.1.claim: {fault}" in str(caught.value)
    assert "claims.0" not in str(caught.value)


def test_all_faults_are_told_at_once_and_unknown_keys_are_some() -> None:
    wrong = _scenario(
        "final(x.angle) < 1", "final(np.y) < final(z.angle)", "final(np.angle) < 1", "final(np.angle)  < 1"
    )
    with pytest.raises(ScenarioError) as caught:
        resolve(wrong, "study.yaml")
    message = str(caught.value)
    for path in ("claims.0.claim: column 7", "claims.1.claim: column 1", "claims.1.claim: column 21"):
        assert path in message
    assert "claims.3.claim: the same as claims.2; leave one of them out" in message
    with pytest.raises(ScenarioError) as caught:
        resolve(_scenario(claims=[{"claim": "final(np.angle) < 1", "say": "so"}]), "study.yaml")
    assert "claims.0.says: is missing" in str(caught.value)
    assert "claims.0.say: unknown key" in str(caught.value)


@pytest.mark.parametrize(
    "claim",
    [
        "final(swept[lr=0.1].angle) < final(swept[lr=1e-2].angle)",
        "final(np[sigma=0.01].angle) < final(danp[read_noise.0.sigma=1%].angle)",
        "final(swept[lr=0.1, sigma=1 %].angle) < final(np[sigma=10 %].angle)",
        "final(np.angle, layer=-2) < final(danp.angle, layer=1) + 3 * 2",
    ],
)
def test_points_of_axes(claim: str) -> None:
    assert resolve(_scenario(claim), "x").claims[0].claim == claim


def test_seeds_tell_chips_apart() -> None:
    seeds = {"seed": {"each": [3, 4]}}
    assert resolve(_scenario("final(np[seed=3].angle) < final(danp.angle)", **seeds), "x").claims
    with pytest.raises(ScenarioError, match="other values of seed"):
        resolve(_scenario("final(np[seed=3].angle) < final(danp[seed=4].angle)", **seeds), "x")


def test_no_accuracy_where_targets_are_no_classes() -> None:
    claim = "final(np.test_accuracy) > 0.5"
    inputs = {"set": "digits", "target": "input", "loss": "squared"}
    with pytest.raises(
        ScenarioError, match=r"claims\.0\.claim: column 1: there is no accuracy, because targets are no cl"
    ):
        resolve(_scenario(claim, data=inputs, network={"layers": [8, 64]}), "x")
    scenario = resolve(_scenario(claim), "x")
    data = load_data(scenario)
    check(scenario, data)
    with pytest.raises(ScenarioError, match=r"claims\.0\.claim: column 1: there is no accuracy"):
        check(scenario, data.autoencoding())


def test_a_resolved_scenario_keeps_its_claims() -> None:
    claims = [{"claim": "final(np.angle) < 90", "says": "learns", "paper": "80 degrees", "source": "Fig. 1"}]
    scenario = resolve(_scenario(claims=claims), "x")
    assert to_data(scenario)["claims"] == claims
    assert resolve(to_data(scenario), "again") == scenario
    assert "claims" not in to_data(resolve(_scenario(), "x"))
    assert "excerpt" not in to_data(scenario)


def test_some_arms_only() -> None:
    scenario = resolve(_scenario("final(np.angle) < final(danp.angle)", "final(np[sigma=1 %].angle) < 80"), "x")
    part = only_arms(scenario, ["danp"])
    assert list(part.arms) == ["danp"]
    assert part.excerpt.left_out == ("np", "swept", "other")
    assert resolve(to_data(part), "again") == part
    assert only_arms(only_arms(scenario, ["np", "danp"]), ["np"]).excerpt.left_out == ("swept", "other", "danp")
    with pytest.raises(ScenarioError, match="--arm anp: scenario claimed has no such arm; there are np, danp, swept"):
        only_arms(scenario, ["anp"])


def test_a_quick_look_may_lack_what_claims_speak_of(tmp_path: Path) -> None:
    claims = ["final(np[sigma=10 %].angle, layer=1) < 80", "final(np.angle) < final(danp.angle)"]
    quick = {
        "chip.overrides": {},
        "train.metrics": [],
        "network.layers": [10],
        "arms.danp.optimizer": {"adam": {"lr": {"each": [1.0, 0.1]}}},
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**_scenario(*claims), "quick": quick}))
    assert not load_scenario(str(path)).excerpt.quick
    scenario = load_scenario(str(path), quick=True)
    assert scenario.excerpt.quick
    assert resolve(to_data(scenario), "again") == scenario
    with pytest.raises(ScenarioError, match=r"claims\.0\.claim"):
        load_scenario(str(path), ["train.metrics=[]"])


def test_every_metric_with_a_good_end_is_known() -> None:
    assert set(MORE_IS_BETTER) <= {*OF_NETWORK, *METRICS}


def test_the_examples_of_the_page_are_claims() -> None:
    page = (Path(__file__).parents[2] / "docs" / "claims.md").read_text()
    [block] = [part.split("```")[0] for part in page.split("```yaml\n")[1:]]
    claims = yaml.safe_load(block)["claims"]
    assert resolve(_scenario(claims=claims, chip={"profile": "noisy"}), "page").claims
    table = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    quantities = [part for cell in table for part in cell.split("`")[1::2] if "ARM" in part]
    assert [part.split("(")[0] for part in quantities if "ARM." not in part] == list(OF_ARM)
    assert {part.split("(")[0] for part in quantities if "ARM." in part} == set(OF_METRIC)
    for quantity in quantities:
        words = {"ARM": "np", "METRIC": "test_loss", "EPOCH": "2", "VALUE": "0.1"}
        for word, value in words.items():
            quantity = quantity.replace(word, value)
        assert resolve(_scenario(f"{quantity} < 1"), "page").claims
