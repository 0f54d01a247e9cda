"""Scenarios that write by pulses: what cannot be is refused before anything runs; what can be learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from analogsim.errors import ScenarioError
from analogsim.results import read_result
from analogsim.study.run import run
from analogsim.study.scenario import load_scenario

CPU = torch.device("cpu")
SHORT = ["network.layers=[24, 10]", "chip.population=2", "train.epochs=2", "train.tune=null", "data.batch=50"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("chip.profile=noisy", "train.optimizer: in_memory writes by pulses, but a device profile has no `update`"),
        ("chip.layers={-1: {profile: noisy}}", "in_memory writes by pulses, but a device profile has no `update`"),
        ("chip.mapping.range=follow", "chip.mapping.range: must be fixed for in_memory: pulses step in a range"),
        ("arms.danp_pulses.weight_normalisation={}", "arms.danp_pulses.weight_normalisation: cannot be kept by pulses"),
        ("train.optimizer={in_memory: {lr: 0.1, momentum: 0.9}}", "in_memory does not take momentum; it takes nothing"),
        ("chip.overrides={slices: {count: 2, bits: 3}}", "slices: digits are programmed, pulses cannot carry over"),
    ],
)
def test_writes_that_cannot_be_are_refused(setting: str, message: str) -> None:
    with pytest.raises(ScenarioError) as error:
        load_scenario("in-memory", [*SHORT, setting])
    assert message in str(error.value)
    assert str(error.value).count(message) == 1, "once, however many arms"


def test_devices_that_form_updates_themselves_learn(tmp_path: Path) -> None:
    """Far from chance, 10 %, after two epochs; the controller counts what it asked for."""
    arms = read_result(run(load_scenario("in-memory", SHORT), tmp_path, CPU).path / "result.json").arms
    assert all((chip.final.test_accuracy or 0) > 0.5 for chip in arms["bp_pulses"].chips)
    for name, arm in arms.items():
        for chip in arm.chips:
            assert (chip.counts.pulses > 1_000) == (name != "danp_programmed")
            assert 0 <= chip.counts.overdriven < 1
            assert chip.counts.device_writes > 0


def test_pairs_that_only_step_up_learn_with_refreshes(tmp_path: Path) -> None:
    arm = "{rule: bp, oracle: [output_error, transposed_read], optimizer: {mixed_precision: {lr: 0.03}}}"
    scenario = load_scenario("in-memory", [*SHORT, "chip.profile=pcm-one-sided", f"arms={{bp: {arm}}}"])
    chips = read_result(run(scenario, tmp_path, CPU).path / "result.json").arms["bp"].chips
    assert all((chip.final.test_accuracy or 0) > 0.5 for chip in chips)
    assert all(chip.counts.pulses > 1_000 for chip in chips)


def test_weights_that_pulses_move_are_perturbed_by_a_path_only(tmp_path: Path) -> None:
    """Without one the scenario is refused before a folder is made; absolute writes and the path go on."""
    grants = "chip.grants=[activities, loss, injection, weight_injection]"
    settings = [*SHORT, grants, "train.epochs=1", "train.evaluate_every=1 epoch"]
    pulsed, written = (
        f"arms={{spsa: {{rule: spsa, optimizer: {{{way}: {{lr: 0.01}}}}}}}}" for way in ("in_memory", "sgd")
    )
    path = "chip.overrides={weight_perturbation: {path: true}}"
    with pytest.raises(
        ScenarioError, match=r"arms\.spsa: spsa perturbs weights by writes, and nobody knows what to wri"
    ):
        run(load_scenario("in-memory", [*settings, pulsed]), tmp_path, CPU)
    assert list(tmp_path.iterdir()) == []
    for setting in ([pulsed, path], [written, "network.layers=[10]", "data.batch=500"]):
        folder = run(load_scenario("in-memory", [*settings, *setting]), tmp_path, CPU).path
        assert read_result(folder / "result.json").arms["spsa"].chips[0].counts.device_writes > 0
