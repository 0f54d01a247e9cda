"""Runs: the folder, repetition to the byte, independence of chips, refusals before anything is written."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from analogsim.errors import RunError, ScenarioError
from analogsim.results import Result, read_curves, read_result
from analogsim.study.run import choose_device, run
from analogsim.study.scenario import load_scenario, resolve
from analogsim.study.schema import Scenario
from device_models._yaml import read_yaml

CPU = torch.device("cpu")


def _tiny(*settings: str) -> Scenario:
    base = ["train.epochs=2", "network.layers=[16, 10]", "chip.population=3", "data.batch=100"]
    return load_scenario("quickstart", [*base, *settings])


TWO_ARMS = "arms={np: {rule: dnp, sigma: 0.3}, anp: {rule: anp, samples: 4}}"


def _result(folder: Path) -> Result:
    return read_result(folder / "result.json")


def test_a_run_can_be_repeated_from_its_own_scenario_byte_for_byte(tmp_path: Path) -> None:
    first = run(_tiny(), tmp_path, CPU).path
    again = run(load_scenario(str(first / "scenario.yaml")), tmp_path, CPU).path
    assert first != again
    for name in ("scenario.yaml", "result.json", "metrics.jsonl"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    assert {path.name for path in first.iterdir()} == {"scenario.yaml", "result.json", "info.json", "metrics.jsonl"}
    other = run(_tiny("seed=1"), tmp_path, CPU).path
    assert (other / "result.json").read_bytes() != (first / "result.json").read_bytes()


def test_a_result_says_what_was_run(tmp_path: Path) -> None:
    folder = run(_tiny("train.evaluate_every=5 steps"), tmp_path, CPU).path
    result, curves = _result(folder), read_curves(folder / "metrics.jsonl")
    assert {name: arm.oracle for name, arm in result.arms.items()} == {
        "bp": ("output_error", "transposed_read"),
        "np": (),
        "anp": (),
        "danp": (),
    }
    assert {name: arm.passes_per_step for name, arm in result.arms.items()} == {"bp": 1, "np": 5, "anp": 5, "danp": 5}
    assert result.arms["danp"].decorrelated
    assert not result.arms["anp"].decorrelated
    for name, arm in result.arms.items():
        steps = [curve.step for curve in curves if curve.arm == name]
        assert steps == [0, 5, 10, 15, 20, 25, 28]
        assert arm.steps == 28
        for chip in arm.chips:
            assert chip.counts.passes == 28 * arm.passes_per_step
            assert chip.counts.vectors == 2800
            assert chip.counts.device_writes > 0
            assert chip.status == "finished"
        history = [[chip.test_accuracy for chip in curve.chips] for curve in curves if curve.arm == name]
        assert [chip.best.test_accuracy for chip in arm.chips] == [max(each) for each in zip(*history, strict=True)]
        assert [chip.final.test_accuracy for chip in arm.chips] == history[-1]


@pytest.mark.parametrize("profile", ["pcm", "reram"])
def test_published_devices_learn_and_repeat(tmp_path: Path, profile: str) -> None:
    arms = "arms={bp: {rule: bp, oracle: [output_error, transposed_read]}, danp: {rule: danp, samples: 4}}"
    scenario = _tiny(f"chip.profile={profile}", arms, "train.step_time=1 ms")
    first = run(scenario, tmp_path, CPU).path
    again = run(load_scenario(str(first / "scenario.yaml")), tmp_path, CPU).path
    assert (first / "metrics.jsonl").read_bytes() == (again / "metrics.jsonl").read_bytes()
    start = read_curves(first / "metrics.jsonl")[0]
    for arm in _result(first).arms.values():
        for chip, before in zip(arm.chips, start.chips, strict=True):
            assert chip.final.test_loss is not None
            assert before.test_loss is not None
            assert chip.final.test_loss < before.test_loss


def test_time_passes_between_steps(tmp_path: Path) -> None:
    arm = "arms={np: {rule: np, sigma: 0.3}}"
    drifting = ("chip.profile=pcm", "chip.overrides={programming: null, read_noise: null}", arm, "train.epochs=1")
    losses = {}
    for step_time in ("0 s", "1 s", "30 day"):
        folder = run(_tiny(*drifting, f"train.step_time={step_time}"), tmp_path, CPU).path
        curves = read_curves(folder / "metrics.jsonl")
        losses[step_time] = [chip.test_loss for chip in curves[-1].chips]
    assert losses["0 s"] == losses["1 s"], "every step rewrites what has changed; nothing drifts before t0"
    assert losses["0 s"] != losses["30 day"]


def test_every_rule_starts_from_the_same_chips(tmp_path: Path) -> None:
    folder = run(_tiny("train.epochs=1"), tmp_path, CPU).path
    starts = [curve.chips for curve in read_curves(folder / "metrics.jsonl") if curve.step == 0]
    assert len(starts) == 4
    assert all(start == starts[0] for start in starts)


def test_how_often_one_evaluates_changes_nothing(tmp_path: Path) -> None:
    often = _result(run(_tiny(TWO_ARMS, "train.evaluate_every=2 steps"), tmp_path, CPU).path)
    rarely = _result(run(_tiny(TWO_ARMS, "train.evaluate_every=2 epochs"), tmp_path, CPU).path)
    for name, arm in often.arms.items():
        for one, other in zip(arm.chips, rarely.arms[name].chips, strict=True):
            assert one.final.test_accuracy == other.final.test_accuracy
            assert one.final.test_loss == other.final.test_loss
            assert one.counts == other.counts


@pytest.mark.parametrize("point", ["", "chip.overrides.read_noise.sigma={each: [0.3 %, 1 %]}"])
def test_a_chip_alone_learns_what_it_learns_in_a_population(point: str, tmp_path: Path) -> None:
    """The same random numbers; float products may be summed in another order, so weights agree to rounding.

    Rounding can flip an ADC code (one part in 127 of full scale) and so, in time, a prediction: after 28 steps at most
    2 of 397 test images may differ. Where products are formed chip by chip, the bits are equal.
    """
    points = [point, TWO_ARMS] if point else []
    population = _result(run(_tiny("chip.population=8", *points), tmp_path, CPU).path)
    alone = _result(run(_tiny("chip.population=8", "chip.only=[5]", *points), tmp_path, CPU).path)
    for name, arm in alone.arms.items():
        companions = [chip for chip in population.arms[name].chips if chip.coordinates["chip"] == 5]
        assert len(companions) == len(arm.chips) == (2 if point else 1)
        for one, other in zip(arm.chips, companions, strict=True):
            assert one.coordinates == other.coordinates
            assert math.isclose(one.final.test_accuracy, other.final.test_accuracy, abs_tol=2.01 / 397)
            assert math.isclose(one.final.test_loss, other.final.test_loss, rel_tol=1e-2)


def test_a_level_of_noise_is_the_same_alone_and_among_others(tmp_path: Path) -> None:
    axis = _result(run(_tiny(TWO_ARMS, "chip.overrides.read_noise.sigma={each: [3 %, 1 %]}"), tmp_path, CPU).path)
    alone = _result(run(_tiny(TWO_ARMS), tmp_path, CPU).path)
    for name, arm in alone.arms.items():
        level = [chip for chip in axis.arms[name].chips if "1 %" in chip.coordinates.values()]
        for one, other in zip(arm.chips, level, strict=True):
            assert math.isclose(one.final.test_accuracy, other.final.test_accuracy, abs_tol=2.01 / 397)


def test_a_chunk_of_samples_changes_nothing_beyond_rounding(tmp_path: Path) -> None:
    whole = _result(run(_tiny(TWO_ARMS, "chip.precision=float64"), tmp_path, CPU).path)
    parts = _result(run(_tiny(TWO_ARMS, "chip.precision=float64", "train.chunk=2"), tmp_path, CPU).path)
    for name, arm in whole.arms.items():
        for one, other in zip(arm.chips, parts.arms[name].chips, strict=True):
            assert math.isclose(one.final.test_accuracy, other.final.test_accuracy, abs_tol=2.01 / 397)
            assert math.isclose(one.final.test_loss, other.final.test_loss, rel_tol=1e-2)


def test_a_rule_without_access_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        run(_tiny("arms.bp.oracle=[]", "network.layers=[16, 9]"), tmp_path / "runs", CPU)
    message = str(caught.value)
    assert "arms.bp: rule 'bp' needs activities, loss, output_error, transposed_read" in message
    assert "this chip grants activities, loss, injection" in message
    assert "Rules that would work: reinforce, np, inp, anp, canp, identified" in message
    assert "network.layers: the last layer must have the 10 outputs of digits (got 9)" in message
    assert not (tmp_path / "runs").exists()


def test_no_information_is_no_update(tmp_path: Path) -> None:
    """ANP without injection on a chip without noise: every update silent, weights and accuracy as they were."""
    quiet = _tiny("chip.overrides.read_noise.sigma=0 %", "arms={anp: {rule: anp, samples: 4}, danp: {rule: danp}}")
    folder = run(quiet, tmp_path, CPU).path
    for arm in _result(folder).arms.values():
        for chip in arm.chips:
            assert chip.counts.silent == chip.counts.vectors == 2800
            assert chip.counts.device_writes == 0
    first, *_, last = [curve for curve in read_curves(folder / "metrics.jsonl") if curve.arm == "anp"]
    assert [c.test_accuracy for c in first.chips] == [c.test_accuracy for c in last.chips]


def test_divergence_is_a_status_and_the_file_stays_valid_json(tmp_path: Path) -> None:
    wild = _tiny(
        "chip.profile=ideal",
        "chip.mapping.range=follow",
        "train.optimizer={sgd: {lr: {each: [1.0e-2, 1.0e+30]}}}",
        "arms={bp: {rule: bp, oracle: [output_error, transposed_read]}}",
    )
    folder = run(wild, tmp_path, CPU).path
    json.loads((folder / "result.json").read_text(), parse_constant=pytest.fail)
    chips = _result(folder).arms["bp"].chips
    assert [chip.status for chip in chips] == ["finished"] * 3 + ["diverged"] * 3


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="the run folder cannot be made"):
        run(_tiny(), tmp_path / "file", CPU)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 99}, "has schema version 99"),
        ({"arms": {"bp": {}}}, "damaged"),
    ],
)
def test_a_damaged_result_is_told(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"schema_version": 1, "name": "x", "seed": 0, "arms": {}} | change))
    with pytest.raises(RunError, match=message):
        read_result(path)


def test_cuda_without_a_gpu_is_one_sentence() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ScenarioError, match="--device cuda: torch finds no CUDA GPU on this machine; use --device cpu"):
        choose_device("cuda")
    assert choose_device("auto") == CPU


def test_the_written_scenario_names_every_default(tmp_path: Path) -> None:
    folder = run(_tiny("train.epochs=1", "chip.population=1"), tmp_path, CPU).path
    data = read_yaml(folder / "scenario.yaml")
    assert data["chip"]["profile"]["read_noise"] == [{"kind": "additive", "sigma": "1 %"}]
    assert data["arms"]["np"] == {"rule": "np", "sigma": 0.3, "baseline": "centred", "samples": 4}
    assert resolve(data, "again").chip.profile == data["chip"]["profile"]
