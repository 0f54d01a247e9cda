"""Arms of stages: what goes over from one to the next, on which chips, and what is told of it."""

from pathlib import Path

import pytest
import torch

from analogsim.chip import Chip
from analogsim.port import Pass
from analogsim.report.table import final_table, stages_table
from analogsim.results import ArmResult, Metrics, Tuning, read_curves, read_result
from analogsim.study.arm import Arm
from analogsim.study.population import lay_out
from analogsim.study.run import load_data, run
from analogsim.study.scenario import load_scenario
from analogsim.study.schema import Scenario
from analogsim.study.tuning import Search

CPU = torch.device("cpu")
ORACLE = "oracle: [output_error, transposed_read]"
FAULTY = "chip.overrides={faults: {stuck_low: 20 %}, programming: {kind: constant, sigma: 0.75 uS}}"


def _tiny(arms: str, *settings: str) -> Scenario:
    base = ["train.epochs=2", "network.layers=[16, 10]", "chip.population=3", "data.batch=200", f"arms={{{arms}}}"]
    return load_scenario("quickstart", [*base, *settings])


def _run(tmp_path: Path, arms: str, *settings: str) -> dict[str, ArmResult]:
    return read_result(run(_tiny(arms, *settings), tmp_path, CPU).path / "result.json").arms


def _worked_off(arm: Arm) -> Arm:
    arm.evaluate()
    while not arm.done:
        if arm.stage_done:
            arm.next_stage()
            arm.evaluate()
            continue
        arm.advance()
        if arm.evaluation_due:
            arm.evaluate()
    return arm


def _last(arm: ArmResult) -> list[Metrics]:
    return [chip.final for chip in arm.chips]


def test_stages_on_the_same_chips_without_memory_are_one_arm(tmp_path: Path) -> None:
    """Plain gradient descent remembers nothing, so four epochs are one and three, to the bit: chips, order of data,
    noise and the clock go on."""
    bp = f"rule: bp, {ORACLE}, optimizer: {{sgd: {{lr: 0.1}}}}"
    profile = (
        "chip.overrides={programming: {kind: constant, sigma: 0.75 uS}, drift: {kind: constant, t0: 20 s, mean: 0.05}}"
    )
    settings = (profile, "train.step_time=10 s", "timeline=[{do: evaluate, at: 1 h}]")
    arms = f"whole: {{{bp}}}, parts: [{{{bp}, epochs: 1}}, {{rule: none}}, {{{bp}, epochs: 3}}]"
    found = _run(tmp_path, arms, "train.epochs=4", *settings)
    whole, parts = found["whole"], found["parts"]
    assert _last(whole) == [
        chip.model_copy(update={"train_loss": a.train_loss}) for chip, a in zip(_last(parts), _last(whole), strict=True)
    ]
    assert whole.lives == parts.lives
    assert [chip.counts for chip in whole.chips] == [chip.counts for chip in parts.chips]
    assert whole.steps == parts.steps == 28
    assert [stage.steps for stage in parts.stages] == [7, 0, 21]
    assert [stage.programmed for stage in parts.stages] == [True, False, False]
    assert sum(stage.chips[0].counts.device_writes for stage in parts.stages) == whole.chips[0].counts.device_writes
    assert not parts.marks[1:]
    assert parts.marks == ("oracle",)


@pytest.mark.parametrize("mapping", ["", "mapping: {range: follow}"])
def test_between_ideal_chips_nothing_is_lost(tmp_path: Path, mapping: str) -> None:
    arms = (
        f"x: [{{rule: bp, chip: {{profile: ideal, {mapping}}}, optimizer: {{adam: {{lr: 1.0e-2}}}}}}, {{rule: none}}]"
    )
    [arm] = _run(tmp_path, arms, "chip.profile=ideal", "chip.mapping.headroom=3.0").values()
    first, second = arm.stages
    assert (first.ex_situ, second.ex_situ) == (True, False)
    assert second.programmed
    for before, after in zip(first.chips, second.chips, strict=True):
        assert before.final.test_accuracy == after.final.test_accuracy
        assert before.final.test_loss == pytest.approx(after.final.test_loss, rel=1e-5)
        assert before.final.test_accuracy > before.begin.test_accuracy + 0.2


def test_the_copy_is_programmed_onto_the_fabricated_chips_of_all_arms() -> None:
    """Beside it a chip built by hand, with the weights of a stage and nothing else: equal reads, equal devices."""
    arms = "x: [{rule: dbp, epochs: 1, chip: {profile: ideal}}, {rule: none}], np: {rule: np}"
    scenario = _tiny(arms, FAULTY)
    data = load_data(scenario)
    arm, plain = Arm(scenario, "x", data, CPU), Arm(scenario, "np", data, CPU)
    while not arm.stage_done:
        arm.advance()
    arm.evaluate()
    begin = arm._stage.hand_over()
    arm.next_stage()
    population = lay_out(scenario, scenario.arms["np"])
    chip = Chip(arm._network, population.profiles, population=[0, 1, 2], tile=scenario.chip.tile)
    chip.program(begin.weights)
    deployed = arm._rig.chip
    for one, other in zip(deployed.oracle.weights, chip.oracle.weights, strict=True):
        assert torch.equal(one, other)
    for w_max, w in zip(deployed.limits.weights, begin.weights, strict=True):
        assert w_max is not None
        assert torch.equal(w_max.flatten(), 2 * w.abs().amax(dim=(1, 2))), "the range is fixed by the trained weights"
    eye = [torch.eye(64).expand(3, -1, -1), torch.eye(16).expand(3, -1, -1)]
    assert all(r is not None and not torch.equal(r, e) for r, e in zip(begin.periphery.decorrelation, eye, strict=True))
    x = data.test_inputs[None, :50].expand(3, -1, -1)
    one = deployed.forward(x, (Pass(),), 1, arm._rig._periphery).outputs
    other = chip.forward(x, (Pass(),), 1, begin.periphery).outputs
    assert torch.equal(one, other)
    for one, other in zip(deployed.oracle.cells, plain._rig.chip.oracle.cells, strict=True):
        for side, fellow in zip(one, other, strict=True):
            assert side.faults is not None and fellow.faults is not None
            assert torch.equal(side.faults.stuck_low, fellow.faults.stuck_low)
            assert 0.1 < side.faults.stuck_low.float().mean() < 0.3


def test_decorrelation_is_kept_and_goes_on(tmp_path: Path) -> None:
    """R is digital: a stage without a rate keeps it as it is, one with a rate goes on from it."""
    scenario = _tiny(
        "x: [{rule: dbp, epochs: 1, chip: {profile: ideal}}, {rule: np, epochs: 1}, {rule: danp, epochs: 1}]"
    )
    arm = Arm(scenario, "x", load_data(scenario), CPU)
    seen = []
    while not arm.done:
        if arm.stage_done:
            arm.evaluate()
            seen.append(arm._stage.hand_over().periphery.decorrelation)
            arm.next_stage()
            assert arm._controller is not None
            begun = arm._controller.copy.periphery.decorrelation
            assert all(torch.equal(a, b) for a, b in zip(begun, seen[-1], strict=True))
            continue
        arm.advance()
    first, second = seen
    last = arm._stage.hand_over().periphery.decorrelation
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(second, last, strict=True))


def test_the_decorrelation_of_layers_that_a_stage_leaves_alone_is_kept() -> None:
    scenario = _tiny(
        "x: [{rule: dbp, epochs: 1, chip: {profile: ideal}}, {rule: danp, epochs: 1, decorrelation: {layers: [-1]}}]"
    )
    arm = Arm(scenario, "x", load_data(scenario), CPU)
    while not arm.stage_done:
        arm.advance()
    arm.evaluate()
    before = arm._stage.hand_over().periphery.decorrelation
    arm.next_stage()
    while not arm.done:
        arm.advance()
    after = arm._stage.hand_over().periphery.decorrelation
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True) if a is not None] == [True, False]
    used = arm._rig._periphery
    assert used is not None and used.decorrelation[0] is after[0]


def test_a_stage_begins_where_an_ordinary_arm_with_its_weights_would(tmp_path: Path) -> None:
    """Optimiser and rule begin anew: the second stage equals a controller made by hand from the handed weights."""
    scenario = _tiny("x: [{rule: bp, epochs: 1, chip: {profile: ideal}}, {rule: anp, epochs: 1}]")
    arm = Arm(scenario, "x", load_data(scenario), CPU)
    while not arm.stage_done:
        arm.advance()
    arm.evaluate()
    before = arm._controller
    assert before is not None
    assert before.state_dict()["optimizer"]["state"]
    arm.next_stage()
    after = arm._controller
    assert after is not None
    assert not after.state_dict()["optimizer"]["state"]
    assert after.counters.vectors.tolist() == [0, 0, 0]
    assert arm._rig.clock.now == 0
    for one, other in zip(before.copy.weights, after.copy.weights, strict=True):
        assert torch.equal(one, other)


def test_a_result_tells_of_each_stage(tmp_path: Path) -> None:
    arms = (
        "x: {stages: [{rule: bp, epochs: 4, chip: {profile: ideal}}, {rule: none}, {rule: anp, samples: 2}], "
        "family: f, timeline: [{do: train, steps: 2, at: 1 s}]}, np: {rule: np}"
    )
    folder = run(_tiny(arms, FAULTY, "train.step_time=1 ms", "train.evaluate_every=2 epochs"), tmp_path, CPU).path
    result, curves = read_result(folder / "result.json"), read_curves(folder / "metrics.jsonl")
    arm, plain = result.arms["x"], result.arms["np"]
    assert plain.stages == ()
    assert [(curve.stage, curve.step) for curve in curves if curve.arm == "x"] == [
        (0, 0),
        (0, 14),
        (0, 28),
        (1, 28),
        (2, 28),
        (2, 42),
    ]
    assert [chip.epoch for chip in (curve.chips[0] for curve in curves)][:6] == [0, 2, 4, 4, 4, 6]
    ideal, deployed, learned = arm.stages
    assert [(s.rule, s.profile, s.ex_situ, s.programmed, s.steps, s.passes_per_step) for s in arm.stages] == [
        ("bp", "ideal", True, True, 28, 1),
        ("none", "noisy", False, True, 0, 0),
        ("anp", "noisy", False, False, 14, 3),
    ]
    assert (arm.rule, arm.family, arm.steps, arm.passes_per_step) == ("bp, none, anp", "f", 42, 3)
    assert (arm.oracle, arm.marks) == ((), ("ex situ",))
    assert ideal.chips[0].counts.passes == 28
    assert ideal.chips[0].counts.vectors == 28 * 200
    assert deployed.chips[0].counts.passes == deployed.chips[0].counts.device_writes == 0
    assert deployed.chips[0].lr is None
    assert learned.chips[0].counts.passes == (14 + 2) * 3
    for at, chip in enumerate(arm.chips):
        assert chip.final == learned.chips[at].final
        assert chip.counts == learned.chips[at].counts
        assert chip.best.test_accuracy == max(c.chips[at].test_accuracy for c in curves if c.arm == "x" and c.stage)
        assert deployed.chips[at].begin == deployed.chips[at].final == learned.chips[at].begin
        assert ideal.chips[at].final.test_loss < deployed.chips[at].final.test_loss, "a fifth of devices stuck"
    assert learned.chips[0].counts.device_writes > 0
    assert [(m.event, m.steps) for m in arm.lives[0].moments] == [("train", 2)]


def test_tables_show_stages(tmp_path: Path) -> None:
    from rich.console import Console

    scenario = _tiny("x: [{rule: dbp, chip: {profile: ideal}}, {rule: none}], np: {rule: np}", "train.epochs=1")
    result = read_result(run(scenario, tmp_path, CPU).path / "result.json")
    console = Console(width=80, record=True, quiet=True)
    with console.capture() as capture:
        console.quiet = False
        console.print(final_table(result))
        console.print(stages_table(result))
    text = capture.get()
    assert "x (ex situ)" in text
    assert "ex situ: trained in a computer first" in text
    [learned] = [line.split() for line in text.splitlines() if "dbp" in line]
    assert learned[:5] == ["dbp", "ideal", "(ex", "situ)", "1"]
    assert learned[-1] == "1"
    assert "…" not in text, "it fits a terminal"
    assert any("deployed" in line and "noisy" in line for line in text.splitlines())


def test_what_was_trained_elsewhere_leads_nobody(tmp_path: Path) -> None:
    from analogsim.report.summary import standings

    arms = "x: [{rule: bp, chip: {profile: ideal}, epochs: 5}, {rule: none}], np: {rule: np, sigma: 0.3}"
    result = read_result(run(_tiny(arms, "train.epochs=1"), tmp_path, CPU).path / "result.json")
    [(_, (staged, plain))] = standings(result)
    assert staged.final[0] > plain.final[0]
    assert (staged.marks, staged.behind) == (("ex situ",), None)
    assert plain.behind is None, "it leads"


def test_a_chip_that_diverged_stays_frozen(tmp_path: Path) -> None:
    chip, wild = "chip: {profile: ideal, mapping: {range: follow}}", "sgd: {lr: {each: [1.0e-2, 1.0e+30]}}"
    arms = f"x: [{{rule: bp, epochs: 1, {chip}, optimizer: {{{wild}}}}}, {{rule: np, epochs: 1}}]"
    [arm] = _run(tmp_path, arms).values()
    assert [chip.status for chip in arm.chips] == ["finished"] * 3 + ["diverged"] * 3
    assert [chip.counts.device_writes > 0 for chip in arm.stages[1].chips] == [True] * 3 + [False] * 3
    assert [chip.coordinates.get("lr") for chip in arm.chips] == [1e-2] * 3 + [1e30] * 3


def test_the_ranges_of_converters_are_calibrated_with_the_decorrelation_that_they_will_meet() -> None:
    adc = "chip.overrides.adc={range: calibrated, calibration: {inputs: 40, per: column}}"
    scenario = _tiny("x: [{rule: dbp, epochs: 2, chip: {profile: ideal}}, {rule: none}]", adc)
    arm = Arm(scenario, "x", load_data(scenario), CPU)
    while not arm.stage_done:
        arm.advance()
    arm.evaluate()
    arm.next_stage()
    chip, inputs = arm._rig.chip, arm._task.first_inputs(40).expand(3, -1, -1)
    found = chip._layers[0].state_dict()["banks"][0]["bounds"].clone()
    chip.calibrate(inputs, arm._rig._periphery)
    assert torch.equal(found, chip._layers[0].state_dict()["banks"][0]["bounds"])
    chip.calibrate(inputs)
    assert not torch.equal(found, chip._layers[0].state_dict()["banks"][0]["bounds"])


# Learning rates


def test_the_rate_of_the_last_stage_that_learns_is_searched(tmp_path: Path) -> None:
    grid = "train.tune={lr: [1.0e-6, 1.0e-2], validation: 200, chips: 2}"
    first = "{rule: bp, epochs: 8, chip: {profile: ideal}, optimizer: {adam: {lr: 1.0e-2}}}"
    found = _run(
        tmp_path, f"x: [{first}, {{rule: none}}], y: [{first}, {{rule: none}}, {{rule: anp, samples: 4}}]", grid
    )
    x, y = found["x"], found["y"]
    assert x.tuning is not None and y.tuning is not None
    assert [chip.lr for chip in x.stages[0].chips] == [x.tuning.points[0].chosen] * 3 == [1e-2] * 3
    assert [chip.lr for chip in y.stages[0].chips] == [1e-2] * 3
    assert min(x.tuning.points[0].accuracy) < 0.3, "nothing is learned at 1e-6"
    assert min(y.tuning.points[0].accuracy) > 0.5, "though nothing more is learned, the first stage has"
    assert [chip.lr for chip in y.stages[2].chips] == [y.tuning.points[0].chosen] * 3 == [chip.lr for chip in y.chips]


def _searched(scenario: Scenario) -> Tuning:
    search = Search(scenario, "x", load_data(scenario), CPU)
    while not search.done:
        search.advance()
    return search.tuning()


def test_a_search_ends_on_the_deployed_chips() -> None:
    """The validation accuracy is that of the last stage: without its faults the same search finds others."""
    arms = "x: [{rule: bp, epochs: 3, chip: {profile: ideal}}, {rule: none}]"
    grid = "train.tune={lr: [1.0e-3, 1.0e-2], validation: 200, chips: 2}"
    whole, broken = (
        _tiny(arms, grid, over) for over in ("chip.profile=ideal", "chip.overrides={faults: {stuck_low: 90 %}}")
    )
    best = [max(_searched(s).points[0].accuracy) for s in (whole, broken)]
    assert best[0] > best[1] + 0.2
