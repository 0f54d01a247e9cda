"""No epochs: chips are evaluated as they are at first, and their metrics are those of the diagnostics."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from analogsim.chip.samples import sample_bytes
from analogsim.diagnostics import angles_against_samples
from analogsim.errors import ScenarioError
from analogsim.port import Injection, Pass
from analogsim.results import read_curves, read_result
from analogsim.study.arm import Arm
from analogsim.study.rig import Rig
from analogsim.study.run import load_data, run
from analogsim.study.scenario import load_scenario
from analogsim.study.schema import Scenario

CPU = torch.device("cpu")
SAMPLES = 6


def _looking(*settings: str) -> Scenario:
    base = [
        "network.layers=[16, 12, 10]",
        "chip={profile: ideal, population: 2, precision: float64}",
        "train={epochs: 0, metrics: [angle, weight_norm], metrics_batch: 40}",
        f"arms={{np: {{rule: np, sigma: 1.0e-3, samples: {SAMPLES}, baseline: shared}}, "
        f"anp: {{rule: anp, sigma: 1.0e-3, samples: {SAMPLES}, baseline: shared}}, "
        "bp: {rule: bp, oracle: [output_error, transposed_read]}}",
    ]
    return load_scenario("quickstart", [*base, *settings])


def test_nothing_is_learned(tmp_path: Path) -> None:
    folder = run(_looking(), tmp_path, CPU)
    result = read_result(folder.path / "result.json")
    curves = read_curves(folder.path / "metrics.jsonl")
    assert [(curve.arm, curve.step) for curve in curves] == [("np", 0), ("anp", 0), ("bp", 0)]
    norms = {chip.final.diagnostics["weight_norm"] for arm in result.arms.values() for chip in arm.chips}
    assert len(norms) == 2, "two chips, the same under every rule"
    for arm in result.arms.values():
        assert arm.steps == 0
        for chip in arm.chips:
            assert (chip.status, chip.counts.passes, chip.counts.device_writes) == ("finished", 0, 0)
            assert chip.final == chip.best
    assert max(max(chip.final.diagnostics["angle"]) for chip in result.arms["bp"].chips) < 1e-5


def test_stages_without_epochs(tmp_path: Path) -> None:
    arms = "arms={one: [{rule: anp}, {rule: none}]}"
    (arm,) = read_result(run(_looking(arms), tmp_path, CPU).path / "result.json").arms.values()
    assert (arm.steps, [stage.steps for stage in arm.stages]) == (0, [0, 0])


def test_a_rate_cannot_be_searched_without_learning() -> None:
    with pytest.raises(ScenarioError, match="tune: searches learning rates by learning, which takes epochs"):
        _looking("train.tune={lr: [0.1, 0.2], validation: 100}")


@pytest.mark.parametrize("name", ["np", "anp"])
def test_the_angle_is_that_of_the_diagnostics(name: str) -> None:
    """On the same batch and the same noise: K samples against one clean pass, and the true gradient."""
    scenario = _looking()
    arm = Arm(scenario, name, load_data(scenario), CPU)
    found = [chip.diagnostics["angle"] for chip in arm.evaluate().chips]
    controller, rule = arm._controller, scenario.arms[name].build_rule()
    batch = (each.expand(2, -1, -1) for each in arm._task.first_samples(40))
    with arm._rig.chip.streams.aside(0):
        probe = arm._rig.probe(*batch)
        gradient = probe.gradient().weights
        angles = angles_against_samples(rule, probe, controller.copy, controller.state, [1, SAMPLES], gradient)
    for chip, layers in enumerate(found):
        assert layers == pytest.approx([float(layer[-1, chip]) for layer in angles], rel=1e-9)
        assert layers != pytest.approx([float(layer[0, chip]) for layer in angles], rel=1e-2)


def test_memory_holds_for_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their batch is larger than training's: as many samples at once as fit with it."""
    run_at_once: list[tuple[int, int]] = []
    real = Rig.run

    def watched(self: Rig, passes: tuple[Pass, ...], samples: int = 1):
        seen = real(self, passes, samples)
        if passes[0].inject is not None:
            run_at_once.append((seen[0].loss.shape[2], samples))
        return seen

    monkeypatch.setattr(Rig, "run", watched)
    scenario = _looking("data.batch=20")
    chip = Arm(scenario, "np", load_data(scenario), CPU)._rig.chip
    fits = 2.5 * sample_bytes(chip, (Pass(inject=Injection(1e-3)),), 40) / 1024
    scenario = _looking("data.batch=20", f"train.memory={fits:.2f} KiB")
    arm = Arm(scenario, "np", load_data(scenario), CPU)
    arm.evaluate()
    assert run_at_once == [(40, 2)] * 3
    run_at_once.clear()
    arm.advance()
    assert run_at_once == [(20, 5), (20, 1)]
