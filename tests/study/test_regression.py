"""Regression from end to end: targets that are no classes, from a scenario to its table and figures."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from analogsim.errors import ScenarioError
from analogsim.results import read_curves, read_result
from analogsim.study.run import load_data
from analogsim.study.scenario import load_scenario

TEACHER = "data={set: teacher, loss: squared, teacher: {inputs: 8, outputs: 3, train: 300, test: 50}, batch: 50}"
SETTINGS = [
    TEACHER,
    "train.epochs=6",
    "network.layers=[12, 3]",
    "chip.profile=ideal",
    "chip.population=2",
    "train.tune={lr: [1.0e-5, 1.0e-2], validation: 50, chips: 1}",
    "arms={bp: {rule: bp, backward: copy, oracle: [output_error]}, np: {rule: np, sigma: 0.01}}",
]


def _run(command: Callable[..., int], out: Path, *settings: str) -> int:
    given = [part for setting in settings for part in ("--set", setting)]
    return command("run", "quickstart", *given, "--out", str(out))


def test_a_teacher_is_learned(command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert _run(command, tmp_path, *SETTINGS) == 0
    out = capsys.readouterr().out
    assert "loss" in out
    assert "accuracy" not in out
    (folder,) = tmp_path.iterdir()
    assert "test loss" in (folder / "figures" / "learning_curves.svg").read_text()
    result = read_result(folder / "result.json")
    data = load_data(load_scenario("quickstart", SETTINGS))
    nothing = (data.test_targets - data.train_targets.mean(0)).square().sum(1).mean().item() / 2
    for arm in result.arms.values():
        assert arm.tuning is not None
        assert arm.tuning.points[0].chosen == 1e-2
        assert arm.tuning.points[0].accuracy == (None, None)
        for chip in arm.chips:
            assert chip.status == "finished"
            assert chip.final.test_accuracy is None
    assert all((chip.final.test_loss or math.inf) < nothing / 2 for chip in result.arms["bp"].chips)
    for curve in read_curves(folder / "metrics.jsonl"):
        assert all(chip.test_accuracy is None and chip.test_loss is not None for chip in curve.chips)


def test_notes_of_a_set_stand_with_its_numbers(
    command: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("ANALOGSIM_DATA", str(tmp_path))
    (tmp_path / "sarcos").mkdir()
    rows = np.random.default_rng(0).normal(size=(60, 28))
    np.savez(tmp_path / "sarcos" / "sarcos_inv_subset.npz", sarcos_inv=rows)
    savemat(tmp_path / "sarcos" / "sarcos_inv_test.mat", {"sarcos_inv_test": rows[:20]})
    settings = [*SETTINGS, "data={set: sarcos, loss: squared, batch: 10}", "network.layers=[7]", "train.tune=null"]
    assert _run(command, tmp_path / "runs", *settings) == 0
    out, err = capsys.readouterr()
    (folder,) = (tmp_path / "runs").iterdir()
    notes = json.loads((folder / "result.json").read_text())["notes"]
    assert len(notes) == 2
    for note in notes:
        assert f"note: {note}" in out
        assert note in err


def test_classes_of_a_teacher_have_an_accuracy() -> None:
    classes = "data={set: teacher, teacher: {inputs: 4, outputs: 3, classes: true}}"
    data = load_data(load_scenario("quickstart", [classes]))
    assert data.classes
    assert (data.features, data.outputs, len(data.train_inputs), len(data.test_inputs)) == (4, 3, 1000, 200)


def test_images_are_standardised_by_channel() -> None:
    data = load_data(load_scenario("quickstart", ["data.standardise=channel"]))
    assert data.train_inputs.mean().item() == pytest.approx(0, abs=1e-5)
    assert data.train_inputs.std().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (["data.loss=cross_entropy"], "data.loss: cross_entropy is of classes, and teacher has none; choose squared"),
        (["network.layers=[12, 4]"], r"must have the 3 outputs of teacher \(got 4\)"),
        (["timeline=[{do: self_test}]"], "timeline.0: asks for an accuracy, and in teacher there is none"),
        (["data.standardise=channel"], "data.standardise: only images have channels"),
        (["data.standardise=row"], "standardise"),
        (["data={set: teacher, loss: squared}"], "set teacher: needs the section `teacher`"),
        (["data.set=digits"], "teacher: only for `set: teacher`"),
        (["data.teacher.outputs=0"], "data.teacher.outputs: "),
        (["data.teacher.noise=-1.0"], "data.teacher.noise: "),
        (["data.teacher={inputs: 3, outputs: 1, classes: true}"], "classes: take at least 2 outputs"),
        (["data.teacher.activation=step"], "no activation function is called 'step'"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: list[str], fault: str, tmp_path: Path) -> None:
    import torch

    from analogsim.study.run import run

    with pytest.raises(ScenarioError, match=fault):
        run(load_scenario("quickstart", [*SETTINGS, *settings]), tmp_path, torch.device("cpu"))
    assert not list(tmp_path.iterdir())
