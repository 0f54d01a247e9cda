"""Metrics of a run: what they say, and that they change nothing else."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path

import pytest
import torch

from analogsim.diagnostics import METRICS, participation_ratio, true_gradient
from analogsim.errors import ScenarioError
from analogsim.learning import RULES
from analogsim.results import read_curves, read_result
from analogsim.study.arm import Arm
from analogsim.study.check import check
from analogsim.study.run import load_data, run
from analogsim.study.scenario import load_scenario

CPU = torch.device("cpu")
ALL = f"train.metrics=[{', '.join(METRICS)}]"
BASE = [
    "network.layers=[8, 10]",
    "chip.population=2",
    "data.batch=200",
    "train.epochs=1",
    "train.evaluate_every=3 steps",
    "train.metrics_batch=20",
    "arms={bp: {rule: bp, oracle: [output_error, transposed_read]}, np: {rule: np, sigma: 0.3}, "
    "danp: {rule: danp, samples: 2, decorrelation: {rate: 0.01}}}",
]
LIVING = [  # all that a read may leave behind: disturbed devices, noise that remembers or wanders, drift
    "chip.profile={name: living, conductance: {max: 25 uS}, cell: reference, faults: {stuck_low: 1 %}, "
    "update: {kind: soft_bounds, dw_min: 0.004, cycle_to_cycle: 0.3, write_noise: 1.0}, "
    "endurance: {cycles: 500, spread: 0.3}, read_disturb: {rate: 1.0e-7}, "
    "drift: {kind: constant, t0: 1 s, mean: 0.01}, read_noise: [{sigma: 1 %}, "
    "{kind: flicker, q: 0.005, t_r: 250 ns, t0: 20 s}, "
    "{kind: telegraph, amplitude: 5 %, tau: 0.1 s}, {kind: lorentzian, sigma: 1 %, tau: 3 us}]}",
    "train.step_time=30 ms",
    "train.optimizer={mixed_precision: {lr: 0.1, momentum: 0.5}}",
]
CROSSBARS = [  # R on devices of its own, which a look must not write
    "chip.profile=pcm",
    "train.step_time=1 s",
    "arms={danp: {rule: danp, samples: 2, decorrelation: {rate: 0.01, where: crossbar}}, np: {rule: np, sigma: 0.3}}",
]
UNITS = [
    "chip.order=pass",
    "chip.overrides={adc: {bits: 8, range: calibrated}, unit_noise: {kind: telegraph, amplitude: 0.01, flip: 8 %}}",
]


def bare(path: Path) -> list[dict]:
    """Lines of metrics.jsonl without diagnostics."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        for chip in line["chips"]:
            del chip["diagnostics"]
    return lines


def bare_result(path: Path) -> dict:
    data = json.loads(path.read_text())
    for chip in (chip for arm in data["arms"].values() for chip in arm["chips"]):
        del chip["final"]["diagnostics"], chip["best"]["diagnostics"]
    return data


@pytest.mark.parametrize("profile", [[], LIVING, UNITS, CROSSBARS], ids=["noisy", "living", "units", "crossbars"])
def test_metrics_change_nothing_else(tmp_path: Path, profile: list[str]) -> None:
    """To the byte: whether, how often and by which metrics one looks."""
    settings = {"without": [], "all": [ALL], "often": [ALL, "train.evaluate_every=1 steps"]}
    folders = {
        name: run(load_scenario("quickstart", [*BASE, *profile, *more]), tmp_path, CPU).path
        for name, more in settings.items()
    }
    without, looked, often = folders.values()
    assert bare(without / "metrics.jsonl") == bare(looked / "metrics.jsonl")
    assert bare_result(without / "result.json") == bare_result(looked / "result.json")
    seen = {(curve.arm, curve.step): curve.chips for curve in read_curves(often / "metrics.jsonl")}
    for curve in read_curves(looked / "metrics.jsonl"):
        for chip, other in zip(curve.chips, seen[curve.arm, curve.step], strict=True):
            assert chip.diagnostics == other.diagnostics, "how often one looks changes no metric"
    for chip in read_result(looked / "result.json").arms["np"].chips:
        assert set(chip.final.diagnostics) == set(METRICS)


def test_one_metric_says_the_same_as_among_others() -> None:
    scenarios = [
        load_scenario("quickstart", [*BASE, f"train.metrics={names}"])
        for names in ("[angle]", "[update_variance]", "[sign_agreement, update_variance, angle]")
    ]
    angle, variance, both = (Arm(each, "np", load_data(each), CPU).evaluate().chips[0] for each in scenarios)
    assert both.diagnostics["angle"] == angle.diagnostics["angle"]
    assert both.diagnostics["update_variance"] == variance.diagnostics["update_variance"]


def test_the_controllers_r_is_looked_through() -> None:
    scenario = load_scenario("quickstart", [*BASE, "train.metrics=[participation_ratio]", "chip.precision=float64"])
    arm = Arm(scenario, "danp", load_data(scenario), CPU)
    for _ in range(5):
        arm.advance()
    found = [chip.diagnostics["participation_ratio"][0] for chip in arm.evaluate().chips]
    x, targets = (each.expand(2, -1, -1) for each in arm._task.first_samples(20))
    for periphery, right in ((arm._controller.copy.periphery, True), (None, False)):
        outputs = true_gradient(arm._rig.chip, x, targets, arm._task.loss, periphery, now=arm._rig.clock.now).outputs
        assert (participation_ratio(outputs[0]).tolist() == pytest.approx(found, rel=1e-9)) is right


def test_values_on_an_ideal_chip() -> None:
    """Backpropagation follows the gradient there, the same way each time; node perturbation does not."""
    scenario = load_scenario("quickstart", [*BASE, ALL, "chip.profile=ideal", "chip.precision=float64"])
    data = load_data(scenario)
    found = {}
    for name in ("bp", "np"):
        arm = Arm(scenario, name, data, CPU)
        arm.advance()
        found[name] = [chip.diagnostics for chip in arm.evaluate().chips]
        for chip, seen in enumerate(found[name]):
            for w, norm in zip(arm._rig.chip.oracle.weights, seen["weight_norm"], strict=True):
                assert norm == pytest.approx(math.sqrt((w[chip, :, :-1] ** 2).sum()), rel=1e-12)
    for bp, np in zip(found["bp"], found["np"], strict=True):
        assert max(bp["angle"]) < 1e-5
        assert max(bp["update_variance"]) < 1e-20
        assert 20 < min(np["angle"]) <= max(np["angle"]) < 110
        assert min(np["update_variance"]) > 1e-3
        assert 1 < bp["participation_ratio"][0] < 8
        assert bp["participation_ratio"][1] is None
        assert bp["feedback_angle"] == (None, None)


def test_noise_of_reads_is_in_the_metrics_and_the_chips_differ() -> None:
    scenario = load_scenario("quickstart", [*BASE, ALL])
    first, second = (chip.diagnostics for chip in Arm(scenario, "bp", load_data(scenario), CPU).evaluate().chips)
    for seen in (first, second):
        assert min(seen["angle"]) > 1
        assert min(seen["update_variance"]) > 1e-6
    assert first["angle"] != second["angle"]


def test_feedback_weights_are_compared_with_the_chips(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule says what it sends derivatives back through; here what it would be without errors, but for its sign."""
    scenario = load_scenario("quickstart", [*BASE, ALL, "chip.profile=ideal"])
    arm = Arm(scenario, "np", load_data(scenario), CPU)
    held = arm._rig.chip.oracle.weights[1][:, :, :-1].clone()
    held[1] *= -1
    monkeypatch.setattr(RULES["np"], "feedback", lambda self, copy, state: (None, held))
    same, opposite = (chip.diagnostics for chip in arm.evaluate().chips)
    for name, first, second in (("angle", 0, 180), ("alignment", 0, 2)):
        name = f"feedback_{name}"
        assert (same[name][0], opposite[name][0]) == (None, None)
        assert same[name][1] == pytest.approx(first, abs=1e-4)
        assert opposite[name][1] == pytest.approx(second, rel=1e-6)
    assert (same["sign_agreement"][1], opposite["sign_agreement"][1]) == (1, 0)


@pytest.mark.parametrize("name", RULES)
def test_looking_leaves_a_rule_as_it_was(name: str) -> None:
    oracle = "oracle: [clean_pass, output_error, transposed_read, weight_injection, weight_read]"
    settings = [*BASE, ALL, f"arms={{one: {{rule: {name}, {oracle}}}}}"]
    scenario = load_scenario("quickstart", settings)
    arm = Arm(scenario, "one", load_data(scenario), CPU)
    arm.advance()
    before = _copied(arm.state_dict())
    chips = arm._diagnosis().measure(1)
    assert all(value is not None for value in chips[0]["angle"])
    _assert_same(before, arm.state_dict())


def _copied(state):
    if isinstance(state, dict):
        return {key: _copied(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [_copied(value) for value in state]
    return state.clone() if isinstance(state, torch.Tensor) else state


def _assert_same(before, after, where="state"):
    if isinstance(before, dict):
        assert before.keys() == after.keys(), where
        for key, value in before.items():
            _assert_same(value, after[key], f"{where}.{key}")
    elif isinstance(before, list):
        for index, (x, y) in enumerate(zip(before, after, strict=True)):
            _assert_same(x, y, f"{where}.{index}")
    elif isinstance(before, torch.Tensor):
        assert torch.equal(before, after), where
    else:
        assert before == after, where


def test_a_resumed_arm_measures_the_same() -> None:
    scenario = load_scenario("quickstart", [*BASE, ALL])
    data = load_data(scenario)
    arm, resumed = (Arm(scenario, "danp", data, CPU) for _ in range(2))
    arm.evaluate()
    for _ in range(2):
        arm.advance()
    resumed.load_state_dict(copy.deepcopy(arm.state_dict()), arm.curves)
    assert resumed.evaluate().chips[0].diagnostics == arm.evaluate().chips[0].diagnostics


def test_a_convolutional_network_is_measured() -> None:
    layers = "[{conv: {channels: 3, kernel: 3, stride: 2}}, {dense: 10}]"
    scenario = load_scenario("quickstart", [*BASE, ALL, f"network.layers={layers}", "chip.profile=ideal"])
    arm = Arm(scenario, "bp", load_data(scenario), CPU)
    arm.advance()
    for chip in arm.evaluate().chips:
        assert max(chip.diagnostics["angle"]) < 0.01
        assert len(chip.diagnostics["weight_norm"]) == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.metrics=[angel]", "no metric is called 'angel'; choose one of angle, feedback_alignment"),
        ("train.metrics=[angle, angle]", "names each metric once"),
    ],
)
def test_wrong_metrics_are_refused(setting: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        load_scenario("quickstart", [*BASE, setting])


@pytest.mark.parametrize("size", [1, 1401])
def test_a_probe_batch_that_the_data_cannot_give_is_refused(size: int) -> None:
    scenario = load_scenario("quickstart", [*BASE, ALL, f"train.metrics_batch={size}"])
    with pytest.raises(ScenarioError, match=rf"metrics_batch: must lie between 2 and the 1400 .* \(got {size}\)"):
        check(scenario, load_data(scenario))
