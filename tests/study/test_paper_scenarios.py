"""Scenarios of papers: each fits its data, and its quick form runs on what is packaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from analogsim.claims import judge
from analogsim.results import read_curves, read_result
from analogsim.study.check import check
from analogsim.study.packaged import scenario_names, scenario_text
from analogsim.study.run import run
from analogsim.study.scenario import load_scenario
from analogsim.study.schema import ArmBase, Scenario
from analogsim.tasks import DataSet

CPU = torch.device("cpu")
PAPERS = [name for name in scenario_names() if name.startswith("papers/")]
SHAPES = {
    "cifar-10": ((3, 32, 32), 10),
    "mnist": ((1, 28, 28), 10),
    "fashion-mnist": ((1, 28, 28), 10),
    "digits": ((1, 8, 8), 10),
    "sarcos": (None, 7),
    "tiny-imagenet": ((3, 64, 64), 200),
}
"""Inputs and outputs of data sets whose files need not be there."""


def _blank(scenario: Scenario) -> DataSet:
    """Three batches in the shape of the scenario's data."""
    shape, outputs = SHAPES[scenario.data.set]
    features = 21 if shape is None else shape[0] * shape[1] * shape[2]
    count = max(3 * scenario.data.batch, scenario.train.metrics_batch)
    if scenario.train.tune is not None:
        count += scenario.train.tune.validation
    x, t = torch.zeros(count, features), torch.zeros(count, outputs)
    classes = scenario.data.set != "sarcos" and scenario.data.target == "label"
    return DataSet(x, x if scenario.data.target == "input" else t, x, t, shape, classes)


@pytest.mark.parametrize("name", PAPERS)
def test_the_scenario_fits_its_data(name: str) -> None:
    """Loads as it is; no arm asks for more than it is given."""
    scenario = load_scenario(name)
    assert f"papers/{scenario.name}" == name
    assert scenario.description
    if isinstance(scenario, Scenario):
        check(scenario, _blank(scenario))


@pytest.mark.parametrize("name", PAPERS)
def test_a_quick_run_without_data_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few steps on packaged data, to a whole result with every arm; every claim is judged."""
    monkeypatch.delenv("ANALOGSIM_DATA", raising=False)
    scenario = load_scenario(name, quick=True)
    folder = run(scenario, tmp_path, CPU)
    result = read_result(folder.path / "result.json")
    curves = read_curves(folder.path / "metrics.jsonl")
    assert list(result.arms) == list(scenario.arms) == list(load_scenario(name).arms)
    for title, arm in result.arms.items():
        assert arm.steps <= 20, title
        last = [curve for curve in curves if curve.arm == title][-1]
        assert [chip.final for chip in arm.chips] == list(last.chips)
        assert last.step == arm.steps
    for verdict in judge(scenario.claims, result, curves, quick=True).claims:
        assert verdict.verdict != "not run" or "asks for a later one" in verdict.why  # an epoch beyond the few


TABLE_2 = {
    "dalm-fig3": {"np": 1e-3, "dnp": 1e-3, "bp": 1e-3, "dbp": 1e-3},
    "dalm-fig4-top": {
        **dict.fromkeys(("np", "anp", "inp", "bp"), 1e-4),
        **dict.fromkeys(("dnp", "danp", "dinp", "dbp"), 1e-3),
    },
    "dalm-fig4-middle-6": dict.fromkeys(("dnp", "danp", "dinp"), 5e-3),
    "dalm-fig4-middle-9": dict.fromkeys(("dnp", "danp", "dinp"), 5e-3),
    "dalm-fig4-bottom": {
        **dict.fromkeys(("anp", "danp", "inp", "dinp"), 1e-4),
        **dict.fromkeys(("bp", "dbp"), 1e-3),
    },
    "dalm-fig6": {"bp": 1e-4, **dict.fromkeys(("dnp_100", "danp_1", "danp_100", "dinp_1", "dinp_100"), 1e-3)},
}
"""Learning rates of Dalm et al., Table 2."""


@pytest.mark.parametrize("name", TABLE_2)
def test_settings_of_dalm_et_al(name: str) -> None:
    """Appendix F: rates, batch, Adam, perturbations, decorrelation where the rule's name has a leading d."""
    scenario = load_scenario(f"papers/{name}")
    assert isinstance(scenario, Scenario)
    assert (scenario.data.batch, scenario.data.loss, scenario.chip.population) == (1000, "cross_entropy", 3)
    for title, arm in scenario.arms.items():
        assert isinstance(arm, ArmBase)
        optimizer = arm.optimizer or scenario.train.optimizer
        assert optimizer.options == {"eps": 1e-7}, title
        assert title not in TABLE_2[name] or optimizer.lr == TABLE_2[name][title], title
        assert arm.decorrelation is None or arm.decorrelation.rate == 1e-3, title
        assert (arm.decorrelation is not None) == title.removeprefix("own_").startswith("d"), title
        assert arm.rule == "bp" or getattr(arm.build_rule(), "sigma") == 1e-3, title  # noqa: B009


def _peaks(*peaks: float) -> dict[str, float]:
    """In the table's order."""
    return dict(zip(("bp", "dbp", "np", "dnp", "anp", "danp", "inp", "dinp"), peaks, strict=True))


TABLE_3 = {
    "dalm-fig3": {"bp": 39.3, "dbp": 40.9, "np": 38.2, "dnp": 40.2},
    "dalm-fig4-top": _peaks(51.5, 54.3, 28.1, 42.1, 30.6, 44.4, 32.0, 46.3),
    "dalm-fig4-middle-6": {"dnp": 43.1, "danp": 44.2, "dinp": 46.6},
    "dalm-fig4-middle-9": {"dnp": 38.6, "danp": 42.7, "dinp": 45.3},
    "dalm-fig4-bottom": _peaks(62.1, 60.5, 44.5, 47.9, 49.9, 52.6, 49.9, 52.2),
}
"""Peak test accuracies of Dalm et al., Table 3, percent."""


@pytest.mark.parametrize("name", TABLE_3)
def test_every_peak_of_table_3_is_a_claim(name: str) -> None:
    text, _ = scenario_text(f"papers/{name}")
    claims = {each["claim"]: each for each in yaml.safe_load(text)["claims"]}
    for arm, peak in TABLE_3[name].items():
        claim = claims[f"within(best({arm}.test_accuracy), {peak / 100:.3f}, 0.02)"]
        assert claim["paper"] == f"{peak} %"
