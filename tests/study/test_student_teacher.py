"""Scenarios of a linear student and its teacher: run, resumed, compared with theory, refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from analogsim.errors import ScenarioError
from analogsim.report.curves import learning_curves
from analogsim.report.diagnostics import metric_curves
from analogsim.report.table import final_table
from analogsim.results import read_curves, read_result
from analogsim.study.resume import resume
from analogsim.study.run import run
from analogsim.study.scenario import load_scenario, resolve, to_data
from analogsim.theory import RotatedSimulation, StudentTeacher

CPU = torch.device("cpu")
PROBLEM = {"inputs": 4, "hidden": 100, "outputs": 3, "steps": 150, "runs": 3, "evaluate_every": 20}
SCENARIO: dict[str, Any] = {
    "name": "line",
    "seed": 7,
    "student_teacher": {**PROBLEM, "checkpoint_every": 50},
    "arms": {
        "np": {"rate": {"each": [0.2, 0.4]}},
        "field": {"rate": 0.4, "theory": "mean_field"},
        "sgd": {"rule": "sgd", "hidden": 70, "steps": 45},
        "kept": {"rate": 0.4, "noise": 0.3, "weight_normalisation": True, "steps": 90},
    },
}


def of_arms(**arms: Any) -> dict[str, Any]:
    return {**SCENARIO, "arms": arms}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(resolve(SCENARIO, "test"), tmp_path_factory.mktemp("undisturbed"), CPU).path


@pytest.mark.parametrize(
    ("arm", "step"), [("np", 30), ("np", 100), ("np", 110), ("field", 70), ("sgd", 0), ("kept", 70)]
)
def test_a_resumed_run_has_the_bytes_of_an_undisturbed_one(
    arm: str, step: int, undisturbed: Path, runs: Any, tmp_path: Path
) -> None:
    """Before and after checkpoints at steps 50 and 100, which do not end a block of 64 steps of the simulation."""
    with pytest.raises(runs.Stopped):
        run(resolve(SCENARIO, "test"), tmp_path, CPU, runs.stop_at(arm, step))
    [folder] = tmp_path.iterdir()
    resume(folder)
    assert runs.bytes_of(folder) == runs.bytes_of(undisturbed)


def test_losses_are_the_errors_of_the_simulation(undisturbed: Path) -> None:
    problem = StudentTeacher(4, 100, 3)
    rates = [factor * problem.critical_rate for factor in (0.2, 0.4) for _ in range(3)]
    simulation = RotatedSimulation(problem, rates, [(7, run) for _ in range(2) for run in range(3)])
    for curve in (curve for curve in read_curves(undisturbed / "metrics.jsonl") if curve.arm == "np"):
        simulation.run(curve.step)
        alpha, beta, eps, _ = simulation.order_parameters().T
        assert [chip.test_loss for chip in curve.chips] == eps.tolist()
        norms = np.sqrt([4 * alpha, 3 * beta]).T
        assert np.array_equal([chip.diagnostics["weight_norm"] for chip in curve.chips], norms)
        assert {(chip.epoch, chip.test_accuracy) for chip in curve.chips} == {(curve.step, None)}
    chips = read_result(undisturbed / "result.json").arms["np"].chips
    assert [chip.coordinates for chip in chips] == [{"rate": r, "chip": c} for r in (0.2, 0.4) for c in range(3)]
    assert [chip.lr for chip in chips] == rates


def test_a_theory_starts_where_each_run_starts_and_is_marked(undisturbed: Path) -> None:
    result, curves = read_result(undisturbed / "result.json"), read_curves(undisturbed / "metrics.jsonl")
    first = {name: next(curve for curve in curves if curve.arm == name) for name in ("np", "field")}
    assert first["np"].chips[3:] == first["field"].chips  # the second point of the axis has its rate
    assert result.arms["field"].marks == ("theory",)
    assert result.arms["sgd"].marks == ("oracle",)
    final = [chip.final.test_loss for chip in result.arms["field"].chips]
    assert len(set(final)) == 3


@pytest.mark.parametrize("theory", [None, "mean_field", "mean_field_short", "two_variables"])
def test_a_rate_far_too_high_diverges(theory: str | None, tmp_path: Path) -> None:
    arm = {"rate": 100.0, **({"theory": theory} if theory else {})}
    folder = run(resolve(of_arms(wild=arm), "test"), tmp_path, CPU).path
    for chip in read_result(folder / "result.json").arms["wild"].chips:
        assert chip.status == "diverged"
        assert chip.final.test_loss is not None
        assert chip.final.test_loss > 100 * chip.best.test_loss


def test_it_is_written_down_and_read_again(undisturbed: Path) -> None:
    scenario = resolve(SCENARIO, "test")
    assert to_data(load_scenario(str(undisturbed / "scenario.yaml"))) == to_data(scenario)
    assert resolve(yaml.safe_load(yaml.safe_dump(to_data(scenario))), "again") == scenario


def test_the_table_speaks_of_runs(undisturbed: Path) -> None:
    table = final_table(read_result(undisturbed / "result.json"))
    headers = [str(column.header) for column in table.columns]
    assert "runs" in headers
    assert "chips" not in headers
    assert "mean over runs" in str(table.caption)
    assert "theory: what a mean field expects" in str(table.caption)


def test_its_figures_are_drawn(undisturbed: Path, tmp_path: Path) -> None:
    """Without a warning: three arms have no axis, one has, and a theory may have no norms."""
    result, curves = read_result(undisturbed / "result.json"), read_curves(undisturbed / "metrics.jsonl")
    files = [tmp_path / "curves.png", tmp_path / "norms.png"]
    learning_curves(result, curves, files[:1])
    metric_curves(result, curves, "weight_norm", files[1:])
    assert all(file.stat().st_size for file in files)


def test_all_faults_are_told_with_their_paths() -> None:
    bad = of_arms(a={"theory": "mean_field", "rule": "sgd"}, b={"rate": {"each": [1.0, 1.0]}}, c={"rate": -1.0})
    bad["student_teacher"] = {**PROBLEM, "hidden": 0, "sigmas": 1}
    bad["data"] = {"set": "digits"}
    with pytest.raises(ScenarioError) as error:
        resolve(bad, "bad.yaml")
    text = str(error.value)
    for path in ("student_teacher.hidden:", "student_teacher.sigmas:", "arms.a:", "arms.b:", "arms.c.rate:", "data:"):
        assert path in text, text


def refused(data: dict[str, Any]) -> list[str]:
    with pytest.raises(ScenarioError) as error:
        resolve(data, "bad.yaml")
    return str(error.value).splitlines()[1:]


def test_a_first_norm_that_normalisation_would_overwrite_is_refused() -> None:
    [fault] = refused(of_arms(a={"first_norm": 4.0, "weight_normalisation": True}))
    assert "arms.a: weight_normalisation sets every norm" in fault
    assert "(got 4); leave one of them out" in fault
    resolve(of_arms(a={"first_norm": 1.0, "weight_normalisation": True}, b={"first_norm": 4.0}), "good.yaml")


@pytest.mark.parametrize(
    "arm",
    [
        {"inputs": 1_000_000, "hidden": 1_000_000},
        {"hidden": 1_000_000, "inputs": 500, "weight_normalisation": True},
        {"theory": "mean_field", "steps": 10**30},
    ],
)
def test_an_arm_that_would_not_fit_into_memory_is_refused(arm: dict[str, Any]) -> None:
    [fault] = refused(of_arms(small={}, big=arm))
    assert "arms.big: would take " in fault
    assert fault.endswith("that take 4 GiB at most")


def test_the_memory_of_runs_counts_those_of_all_rates() -> None:
    rates = {"rate": {"each": [0.1 * rate for rate in range(1, 41)]}, "inputs": 9000, "hidden": 1000}
    [fault] = refused(of_arms(small={**rates, "rate": 1.0}, big=rates))
    assert "arms.big: " in fault
    assert "9000-1000-3, 120 runs" in fault


@pytest.mark.parametrize(
    ("key", "low", "high"),
    [("rate", 1e-6, 1e6), ("first_norm", 1e-6, 1e6), ("noise", 0.0, 1e6)],
)
def test_numbers_run_without_a_warning_up_to_their_limits(key: str, low: float, high: float, tmp_path: Path) -> None:
    [fault] = refused(of_arms(a={key: 1.0e300}))
    assert f"arms.a.{key}: must not be above 1e+06: " in fault
    ends = {"low": {key: low}, "high": {key: high}}
    theories = {
        f"{end}-{t}": {**arm, "theory": t} for end, arm in ends.items() for t in ("mean_field", "two_variables")
    }
    folder = run(resolve(of_arms(**ends, **theories), "test"), tmp_path, CPU).path
    assert set(read_result(folder / "result.json").arms) == {*ends, *theories}


@pytest.mark.parametrize("name", ["student_teachers", None])
def test_a_scenario_of_neither_kind_is_told_both(name: str | None) -> None:
    data = {key: value for key, value in SCENARIO.items() if key != "student_teacher"}
    faults = refused(data | ({name: PROBLEM} if name else {}))
    assert "of neither kind; give it data, network, chip and train, or, " in faults[0]
    assert not any("is missing" in fault for fault in faults)
    assert any(f"{name}: unknown key" in fault for fault in faults) == (name is not None)


def test_lists_that_are_none_or_empty_are_refused_in_words_of_ours() -> None:
    bad = of_arms(a={"rate": {"each": []}}, b={"rate": {"each": 3}})
    faults = refused({**bad, "claims": "foo"})
    assert [fault.removeprefix("  - ") for fault in faults] == [
        "claims: must be a list (got 'foo'); write its items in brackets or each behind a dash",
        "arms.a.rate.each: must not be empty (got []); give one item at least",
        "arms.b.rate.each: must be a list (got 3); write its items in brackets or each behind a dash",
    ]
