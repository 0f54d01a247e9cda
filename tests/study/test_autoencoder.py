"""Autoencoders: the loss takes the place of the accuracy, in evaluations, choices, tables and figures."""

import math
from pathlib import Path

import pytest
import torch

from analogsim.cli.progress import Progress
from analogsim.errors import ScenarioError
from analogsim.port import Injection, Pass
from analogsim.report.axis import accuracy_against
from analogsim.report.curves import learning_curves
from analogsim.report.summary import classified, rows, standings
from analogsim.report.table import final_table, stages_table, standings_table
from analogsim.results import Metrics, Result, read_curves, read_result
from analogsim.study.arm import Arm, _best
from analogsim.study.run import load_data, run
from analogsim.study.scenario import load_scenario
from analogsim.study.schema import Scenario

CPU = torch.device("cpu")
DATA = "data={set: digits, target: input, loss: squared, corruption: {mask: 0.3}, batch: 100}"
ARMS = """arms={slow: {rule: fa, family: fa, oracle: [output_error], optimizer: {adam: {lr: 1.0e-6}}},
fast: {rule: fa, family: fa, oracle: [output_error], optimizer: {adam: {lr: 1.0e-3}}},
anp: {rule: anp, optimizer: {adam: {lr: 1.0e-5}}}}"""


def _tiny(*settings: str) -> Scenario:
    base = [
        "train.epochs=1",
        "train.evaluate_every=7 steps",
        "network.layers=[16, 64]",
        "chip.population=2",
        DATA,
        ARMS,
    ]
    return load_scenario("quickstart", [*base, *settings])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    levels = "chip.overrides.read_noise.sigma={each: [1 %, 3 %]}"
    return run(_tiny(levels), tmp_path_factory.mktemp("runs"), CPU).path


@pytest.fixture(scope="module")
def result(folder: Path) -> Result:
    return read_result(folder / "result.json")


def test_evaluations_report_the_loss_alone(folder: Path, result: Result) -> None:
    for curve in read_curves(folder / "metrics.jsonl"):
        assert all(chip.test_accuracy is None and chip.test_loss is not None for chip in curve.chips)
    for arm in result.arms.values():
        for index, chip in enumerate(arm.chips):
            found = [c.chips[index] for c in read_curves(folder / "metrics.jsonl") if result.arms[c.arm] is arm]
            assert chip.final == found[-1]
            assert chip.best == min(found, key=lambda metrics: metrics.test_loss or math.inf)
            assert chip.status == "finished"
    assert not classified(result)


def test_it_learns_to_give_its_inputs() -> None:
    """An ideal chip, denoising: better than the mean of the training set, from the data."""
    arms = "arms={bp: {rule: bp, backward: copy, oracle: [output_error], optimizer: {adam: {lr: 5.0e-3}}}}"
    scenario = _tiny(arms, "chip.profile=ideal", "chip.population=1", "train.epochs=8")
    data = load_data(scenario)
    mean = (data.test_targets - data.train_targets.mean(0)).square().sum(1).mean() / 2
    arm = Arm(scenario, "bp", data, CPU)
    while not arm.done:
        arm.advance()
    loss = arm.evaluate().chips[0].test_loss
    assert loss is not None
    assert loss < mean


def test_summaries_compare_losses(result: Result) -> None:
    for point, found in standings(result):
        first, second = found
        assert (first.arm, second.arm) == ("fast", "anp")
        losses = [
            chip.final.test_loss for chip in result.arms["fast"].chips if point.items() <= chip.coordinates.items()
        ]
        assert first.final[0] == pytest.approx(sum(filter(None, losses)) / 2)
        assert second.behind is None, "the best of those that are no oracle"
    assert all(math.isnan(row.final[0]) and row.loss[0] > 0 for row in rows(result))


def test_behind_is_a_difference_of_losses(result: Result) -> None:
    honest = {name: arm.model_copy(update={"oracle": ()}) for name, arm in result.arms.items()}
    for _, (first, second) in standings(result.model_copy(update={"arms": honest})):
        assert first.behind is None
        assert second.behind is not None
        assert second.behind[0] == pytest.approx(second.final[0] - first.final[0])


def test_tables_and_figures_show_losses(folder: Path, result: Result, tmp_path: Path) -> None:
    for table in (final_table(result), standings_table(result)):
        heads = " ".join(str(column.header) for column in table.columns)
        assert "loss" in heads
        assert "accuracy" not in heads
        assert "ccurac" not in str(table.caption)
    shown, axis = tmp_path / "curves.svg", tmp_path / "axis.svg"
    learning_curves(result, read_curves(folder / "metrics.jsonl"), [shown])
    accuracy_against(result, "chip.profile.read_noise.0.sigma", [axis])
    for file in (shown, axis):
        text = file.read_text()
        assert "test loss of the noisy chip" in text
        assert "accuracy" not in text


def test_stages_show_losses(tmp_path: Path) -> None:
    stages = "arms={two: [{rule: bp, backward: copy, chip: {profile: ideal}, epochs: 1}, {rule: none}]}"
    result = read_result(run(_tiny(stages, "chip.population=1"), tmp_path, CPU).path / "result.json")
    table = stages_table(result)
    assert [str(column.header) for column in table.columns][3:5] == ["before,\nloss", "after,\nloss"]
    final = result.arms["two"].chips[0].final.test_loss
    assert f"{final:.4g}" in list(table.columns[4].cells)


def test_the_best_evaluation() -> None:
    made = [
        Metrics(epoch=e, test_accuracy=None, test_loss=loss, train_loss=None) for e, loss in enumerate((3, 1, None))
    ]
    assert _best(made, classes=False).epoch == 1
    assert _best([made[2]], classes=False).epoch == 2
    right = [each.model_copy(update={"test_accuracy": a}) for each, a in zip(made, (0.2, 0.1, 0.9), strict=True)]
    assert _best(right, classes=True).epoch == 2


def test_rates_are_chosen_by_the_loss(tmp_path: Path) -> None:
    tune = "train.tune={lr: [1.0e-6, 1.0e-3], validation: 200, chips: 2}"
    arms = "arms={fa: {rule: fa, oracle: [output_error]}}"
    result = read_result(run(_tiny(tune, arms), tmp_path, CPU).path / "result.json")
    tuning = result.arms["fa"].tuning
    assert tuning is not None
    (point,) = tuning.points
    assert point.chosen == 1e-3
    assert point.accuracy == (None, None)
    assert point.loss[0] is not None and point.loss[1] is not None
    assert point.loss[1] < point.loss[0]


def test_passes_of_a_step_see_the_same_corrupted_inputs() -> None:
    """Every pass and sample of a step, a later run of it, too; the next step has others. Ideal chip."""
    rig = Arm(_tiny("chip.profile=ideal"), "anp", load_data(_tiny()), CPU)._rig
    record = frozenset({"inputs"})
    seen = []
    for _ in range(2):
        rig.next_batch()
        first = rig.run((Pass(record=record), Pass(inject=Injection(0.1), record=record)), samples=3)
        later = rig.run((Pass(record=record),))
        every = torch.cat([each.inputs[0] for each in (*first, *later) if each.inputs is not None], dim=1)
        assert every.shape[1] == 7
        assert torch.equal(every, every[:, :1].expand_as(every))
        share = (every[:, 0, :, :64] == 0).double().mean()
        clean = (load_data(_tiny()).train_inputs == 0).double().mean()
        assert share > clean + 0.05
        seen.append(every[:, 0] != 0)
    assert not torch.equal(*seen)


def test_progress_tells_the_loss(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curve = read_curves(folder / "metrics.jsonl")[-1]
    with Progress(1) as progress:
        progress.arm("anp", curve.step)
        progress.evaluated(curve)
    assert "loss " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (["data.loss=cross_entropy"], "takes `loss: squared`"),
        (["data.corruption={mask: 1.0}"], "less than 1"),
        (["data.corruption={mask: 0.1, gaussian: 0.1}"], "give exactly one corruption"),
        (["data.corruption={}"], "give exactly one corruption"),
        (["network.layers=[16, 10]"], "must have the 64 outputs"),
        (["timeline=[{do: self_test, at: 1 s}]"], "asks for an accuracy"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: list[str], fault: str, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=fault):
        run(_tiny(*settings), tmp_path, CPU)
    assert not list(tmp_path.iterdir())


def test_corruption_of_a_classifier_keeps_its_accuracy(tmp_path: Path) -> None:
    settings = "data={set: digits, corruption: {gaussian: 0.3}, batch: 100}", "network.layers=[16, 10]"
    result = read_result(run(_tiny(*settings, "train.epochs=1"), tmp_path, CPU).path / "result.json")
    assert classified(result)
