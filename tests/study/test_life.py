"""Chips on a timeline: what happens to them, what it costs, and that a killed life goes on to the same end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from analogsim.errors import ScenarioError
from analogsim.results import ArmResult, Result, read_curves, read_result
from analogsim.study.arm import Arm
from analogsim.study.life import Life
from analogsim.study.resume import resume
from analogsim.study.run import load_data, run
from analogsim.study.scenario import load_scenario, to_data
from analogsim.study.schema import Scenario

CPU = torch.device("cpu")
BASE = [
    "network.layers=[16, 10]",
    "chip.population=3",
    "chip.tile=64",
    "data.batch=100",
    "train={epochs: 2, optimizer: {adam: {lr: 3.0e-3}}, checkpoint_every: 3 steps}",
]
PCM = ("chip.profile=pcm", "train.step_time=1 ms")


def scenario(*settings: str) -> Scenario:
    return load_scenario("quickstart", [*BASE, *settings])


def result_of(tmp_path: Path, *settings: str) -> Result:
    return read_result(run(scenario(*settings), tmp_path, CPU).path / "result.json")


def events(arm: ArmResult, life: int = 0) -> list[tuple[float, str]]:
    return [(round(moment.seconds, 9), moment.event) for moment in arm.lives[life].moments]


def test_drifted_chips_are_evaluated_and_learn_on(tmp_path: Path) -> None:
    looks = "timeline=[{do: evaluate, at: [1 s, 1 h, 1 month]}]"
    more = "[{do: train, steps: 14, at: [1 s, 1 h, 1 month], then: [{do: evaluate}]}]"
    arms = f"arms={{left: {{rule: anp, samples: 4}}, taught: {{rule: anp, samples: 4, timeline: {more}}}}}"
    result = result_of(tmp_path, *PCM, looks, arms, "train.epochs=4")
    left, taught = result.arms["left"], result.arms["taught"]
    assert events(left) == [(1.0, "evaluate"), (3600.0, "evaluate"), (2629800.0, "evaluate")]
    seen, learned = ([m.accuracy for m in arm.lives[0].moments if m.event == "evaluate"] for arm in (left, taught))
    assert len(learned) == 6
    assert seen[0] == learned[0], "until then nothing distinguishes them"
    assert seen[1] != learned[2]
    assert seen[0] != seen[2], "devices drift"
    assert [m.steps for m in taught.lives[0].moments if m.event == "train"] == [14, 28, 42]
    assert taught.chips[0].counts.passes == left.chips[0].counts.passes + 3 * 14 * 5
    assert sum(learned[5] or ()) > sum(seen[2] or ()), "an epoch more at each time, after four, helps"
    assert taught.chips[0].final == left.chips[0].final, "what learning came to before"


def test_without_drift_time_changes_only_the_noise_of_reads(tmp_path: Path) -> None:
    result = result_of(
        tmp_path, "chip.profile=ideal", "timeline=[{do: evaluate, at: [1 s, 1 month]}]", "arms={a: {rule: anp}}"
    )
    first, last = result.arms["a"].lives[0].moments
    assert first.accuracy == last.accuracy
    assert first.joules is None and result.arms["a"].step is None, "ideal chips have no prices"


def test_compensation_recovers_pcm_after_a_month(tmp_path: Path) -> None:
    # Twice the preset's drift: its own leaves the largest of few outputs the largest.
    bp = "rule: bp, oracle: [output_error, transposed_read]"
    cared = "timeline: [{do: compensate, at: 1 month, then: [{do: evaluate}]}]"
    settings = ("chip.overrides.drift.scale=2", "network.layers=[32, 32, 10]", "train.epochs=6")
    arms = f"arms={{left: {{{bp}}}, cared: {{{bp}, {cared}}}}}"
    result = result_of(tmp_path, *PCM, *settings, arms, "timeline=[{do: evaluate, at: [0 s, 1 month]}]")
    begin, left = result.arms["left"].lives[0].moments
    *_, after = result.arms["cared"].lives[0].moments
    for chip in range(3):
        start, old, new = ((m.accuracy or ())[chip] or 0.0 for m in (begin, left, after))
        assert start > 0.8 and old < new - 0.05
        # The factor knows nothing of the spread of the exponents, nor brings back bits that small currents lost.
        assert new < start + 0.01
        assert ((after.loss or ())[chip] or 0.0) < ((left.loss or ())[chip] or 0.0) / 2


def test_what_is_learned_with_the_factor_is_the_new_reference() -> None:
    own = "[{do: compensate, at: [1 h, 1 month], then: [{do: train, steps: 3}]}]"
    study = scenario(*PCM, f"arms={{anp: {{rule: anp, timeline: {own}}}}}")
    arm = Arm(study, "anp", load_data(study), CPU)
    chip, calls = arm._rig.chip, []
    compensate, take = chip.compensate, chip.take_reference
    chip.compensate = lambda now: (compensate(now), calls.append("compensate"))
    chip.take_reference = lambda now: (take(now), calls.append("reference"))
    while arm.lives_on:
        arm.live()
    assert calls == ["reference", "compensate", "reference", "compensate", "reference"]


EVERYTHING = (
    "chip.profile=noisy",
    "chip.overrides={cell: reference, adc: {range: calibrated}, update: {kind: constant_step, dw_min: 0.002}, "
    "drift: {kind: constant, t0: 20 s, mean: 0.05}, read_noise: [{sigma: 1 %}, {kind: flicker, q: 0.005, t_r: 250 ns, "
    "t0: 20 s}], write_verify: {iterations: 3, tolerance: 0.2 uS}, programming: {kind: constant, sigma: 0.3 uS}}",
    "timeline=[{do: evaluate, every: 1 h, since: 0 s, until: 5 h}, {do: temperature, to: 330 K, at: 30 min}, "
    "{do: fault, faults: {stuck_low: 5 %}, at: 90 min}]",
    "arms={danp: {rule: danp, samples: 2, decorrelation: {rate: 0.01}, timeline: ["
    "{do: train, steps: 5, every: 1 h, then: [{do: self_test, samples: 50}]}, {do: compensate, every: 50 min}, "
    "{do: reprogram, at: 100 min}, {do: calibrate, at: 110 min}, "
    "{do: traffic, poisson: 100 kHz, time: 1 ms, at: 1 h}, "
    "{do: power_loss, at: 200 min, keeps: [decorrelation, rule]}]}, "
    "when: {rule: anp, optimizer: {mixed_precision: {lr: 0.1}}, "
    "timeline: [{do: train, steps: 4, when: accuracy < 0.99}]}}",
)


class StoppedError(Exception):
    """Stands for a process's end."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(scenario(*EVERYTHING), tmp_path_factory.mktemp("undisturbed"), CPU).path


def test_everything_that_can_happen(undisturbed: Path) -> None:
    arm = read_result(undisturbed / "result.json").arms["danp"]
    kinds = [kind for _, kind in events(arm)]
    assert kinds.count("evaluate") == 6 and kinds.count("train") == 4 and kinds.count("compensate") == 5
    for once in ("temperature", "fault", "reprogram", "calibrate", "traffic", "power_loss"):
        assert kinds.count(once) == 1
    joules = [moment.joules for moment in arm.lives[0].moments]
    assert all(a[0] <= b[0] for a, b in zip(joules, joules[1:], strict=False))
    served = next(moment.requests for moment in arm.lives[0].moments if moment.requests)
    assert 60 < served.count < 140  # Poisson with mean 100: four standard deviations


def test_chips_that_decide_live_apart(undisturbed: Path) -> None:
    arm = read_result(undisturbed / "result.json").arms["when"]
    assert [life.chips for life in arm.lives] == [(0,), (1,), (2,)]
    assert [len(chip.coordinates) for chip in arm.chips] == [1, 1, 1]
    for life in arm.lives:
        trained = [moment for moment in life.moments if moment.event == "train"]
        below = [m for m in life.moments if m.event == "evaluate" and (m.accuracy or ())[0] < 0.99]
        assert len(trained) == len(below)


def test_a_chip_that_lives_apart_is_the_one_of_the_population(undisturbed: Path, tmp_path: Path) -> None:
    alone = result_of(tmp_path, *EVERYTHING, "chip.only=[1]").arms["when"]
    whole = read_result(undisturbed / "result.json").arms["when"]
    assert alone.lives[0].moments == whole.lives[1].moments
    assert alone.chips[0] == whole.chips[1]


@pytest.mark.parametrize(
    ("arm", "turn"), [("danp", 1), ("danp", 9), ("danp", 16), ("danp", 19), ("when", 2), ("when", 31)]
)
def test_a_run_killed_inside_a_timeline_ends_with_the_same_bytes(
    arm: str, turn: int, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The `turn`-th learning step of the lives of an arm is the last that the process does."""
    done: dict[str, int] = {"danp": 0, "when": 0}
    learn = Life.learn

    def counted(self: Any) -> None:
        if not self._replaying:
            name = "when" if self.stage.rig.chips == 1 else "danp"
            done[name] += 1
            if done[name] == turn and name == arm:
                raise StoppedError
        learn(self)

    monkeypatch.setattr(Life, "learn", counted)
    with pytest.raises(StoppedError):
        run(scenario(*EVERYTHING), tmp_path, CPU)
    monkeypatch.setattr(Life, "learn", learn)
    [folder] = tmp_path.iterdir()
    resume(folder)
    for name in ("scenario.yaml", "metrics.jsonl", "result.json"):
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes()


def test_the_same_seed_gives_the_same_history(undisturbed: Path, tmp_path: Path) -> None:
    again = run(scenario(*EVERYTHING), tmp_path, CPU).path
    assert (again / "result.json").read_bytes() == (undisturbed / "result.json").read_bytes()


def test_a_resolved_scenario_gives_the_same_timelines(undisturbed: Path) -> None:
    study = scenario(*EVERYTHING)
    again = load_scenario(str(undisturbed / "scenario.yaml"))
    assert to_data(again) == to_data(study)
    assert again.timeline == study.timeline
    assert again.arms["danp"].timeline == study.arms["danp"].timeline


def test_energy_is_the_sum_over_counted_operations(tmp_path: Path) -> None:
    own = "[{do: self_test, samples: 70}, {do: train, steps: 3}]"
    settings = ("chip.profile=noisy", "chip.overrides.costs.standby=1 mW", "timeline=[{do: idle, time: 2 s}]")
    study = scenario(*settings, f"arms={{anp: {{rule: anp, timeline: {own}}}}}")
    folder = run(study, tmp_path, CPU).path
    arm, data = read_result(folder / "result.json").arms["anp"], load_data(study)
    prices = Arm(study, "anp", data, CPU)._stage.account
    assert prices is not None
    step, inference, costs = prices.prices.step, prices.prices.inference, prices.prices.costs
    devices = 2 * sum(layer.rows * layer.columns for layer in study.network.build(data.input_shape).layers)
    curves = read_curves(folder / "metrics.jsonl")
    for at, chip in enumerate(arm.chips):
        assert chip.spent is not None
        assert chip.spent == curves[-1].spent[at]
        assert chip.spent.passes == arm.steps * 2
        assert chip.spent.seconds == pytest.approx(arm.steps * step.latency, rel=1e-12)
        expected = arm.steps * step.energy + chip.spent.writes * costs[0].write.energy + chip.spent.seconds * 1e-3
        assert chip.spent.joules == pytest.approx(expected, rel=1e-12)
        assert devices / 4 < chip.spent.writes / arm.steps <= devices, "pixels that are never lit move nothing"
    tested, trained = (m for m in arm.lives[0].moments if m.event in ("self_test", "train"))
    reads = inference.latency + 69 * inference.interval
    assert tested.seconds == pytest.approx(reads, rel=1e-9)
    assert tested.joules == pytest.approx((70 * inference.energy + reads * 1e-3,) * 3, rel=1e-9)
    assert trained.seconds == pytest.approx(reads + 3 * step.latency, rel=1e-9)
    assert arm.step is not None and sum(arm.step.joules.values()) == pytest.approx(step.energy, rel=1e-12)
    assert set(arm.step.joules) == {"dac", "array", "adc", "writes", "verify", "digital", "broadcasts"}


def test_the_price_of_a_stated_accuracy(tmp_path: Path) -> None:
    arms = "arms={bp: {rule: bp, oracle: [output_error, transposed_read]}}"
    folder = run(
        scenario("chip.profile=noisy", "train.reach=0.3", "train.evaluate_every=2 steps", arms), tmp_path, CPU
    ).path
    result, curves = read_result(folder / "result.json"), read_curves(folder / "metrics.jsonl")
    assert result.reach == 0.3
    for at, chip in enumerate(result.arms["bp"].chips):
        first = next(curve for curve in curves if (curve.chips[at].test_accuracy or 0.0) >= 0.3)
        assert chip.reached == first.spent[at]
        assert 0 < chip.reached.joules < chip.spent.joules


def test_power_loss_falls_back_to_what_was_delivered(tmp_path: Path) -> None:
    """What a step after it writes: everything, back to the old weights; or a little, from where they stand."""
    then = "then: [{do: evaluate}, {do: train, steps: 1}, {do: evaluate}]"
    rule = "rule: bp, oracle: [output_error, transposed_read]"
    own = f"[{{do: train, steps: 30}}, {{do: power_loss, at: 1 h, %s{then}}}]"
    arms = (
        f"arms={{forgets: {{{rule}, timeline: {own % ''}}}, keeps: {{{rule}, timeline: {own % 'keeps: [weights], '}}}}}"
    )
    result = result_of(tmp_path, "chip.profile=noisy", "train.epochs=0", "timeline=[{do: evaluate}]", arms)
    looks = {name: [m for m in arm.lives[0].moments if m.event == "evaluate"] for name, arm in result.arms.items()}
    for name, (begin, lost, after) in looks.items():
        start, before, now = (sum(m.loss or ()) for m in (begin, lost, after))
        assert before < 0.8 * start, "conductances stay"
        assert (abs(now - start) < 0.1 * start) if name == "forgets" else (abs(now - before) < 0.1 * before)


def lived(study: Scenario, name: str) -> Arm:
    arm = Arm(study, name, load_data(study), CPU)
    arm.evaluate()
    while arm.lives_on:
        arm.live()
    return arm


def test_only_attempts_are_verified_and_dead_devices_are_written_too() -> None:
    """Pulses go unverified; an endurance, which counts what wears a device out, changes no energy."""
    profile = (
        "cell: reference, update: {kind: constant_step, dw_min: 0.01}, write_verify: {iterations: 3, tolerance: 0.5 uS}"
    )
    profile += ", programming: {kind: constant, sigma: 0.5 uS}"
    spent = {}
    for name, more in (("lasting", ""), ("mortal", ", endurance: {cycles: 2, counts: writes}")):
        study = scenario(
            "chip.profile=noisy",
            f"chip.overrides={{{profile}{more}}}",
            "train.epochs=0",
            "timeline=[{do: train, steps: 6}]",
            "arms={pulses: {rule: anp, optimizer: {mixed_precision: {lr: 0.5}}}, programs: {rule: anp}}",
        )
        for arm in ("pulses", "programs"):
            account = lived(study, arm)._stage.account
            assert account is not None
            step, costs = account.prices.step, account.prices.costs[0]
            seen = account.spent()[0]
            each = costs.write.energy + (costs.verify.energy if arm == "programs" else 0.0)
            assert seen.writes > 0
            assert seen.joules == pytest.approx(6 * step.energy + seen.writes * each, rel=1e-9)
            spent[name, arm] = seen.writes
    for arm in ("pulses", "programs"):  # learning goes another way, but no cheaper one
        assert spent["mortal", arm] > 0.7 * spent["lasting", arm]


def test_reads_of_references_are_paid_for() -> None:
    own = "[{do: train, steps: 2}, {do: compensate, at: 1 h}, {do: reprogram, at: 2 h}]"
    study = scenario("chip.profile=pcm", "train.epochs=0", f"arms={{anp: {{rule: anp, timeline: {own}}}}}")
    arm = lived(study, "anp")
    account = arm._life._account if arm._life is not None else None
    assert account is not None
    assert account.reads == arm._rig.chip.reference_reads == 4 * 32
    first, _, last = arm.result().lives[0].moments
    prices = account.prices
    assert first.seconds == pytest.approx(2 * prices.step_time + prices.reads_time(32), rel=1e-9)
    assert last.seconds == pytest.approx(7200 + prices.write_time + prices.reads_time(32), rel=1e-9)


def test_a_loss_of_power_moves_no_device() -> None:
    own = "[{do: train, steps: 5}, {do: power_loss, at: 1 s}, {do: idle, time: 2 s}]"
    r = "decorrelation: {rate: 0.05, where: crossbar}"
    study = scenario(
        "chip.profile=noisy", "train.epochs=0", f"arms={{danp: {{rule: danp, samples: 2, {r}, timeline: {own}}}}}"
    )
    arm = Arm(study, "danp", load_data(study), CPU)
    while not any(moment.event == "train" for moment in (arm._life.moments if arm._life else ())):
        arm.live()
    before = [r.clone() for r in arm._rig.chip.oracle.decorrelation if r is not None]
    written = arm._rig.chip.device_writes.clone()
    while arm.lives_on:
        arm.live()
    after = [r for r in arm._rig.chip.oracle.decorrelation if r is not None]
    assert len(after) == 2 and all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert torch.equal(arm._rig.chip.device_writes, written)
    assert arm._stage.controller is not None and all(w.abs().sum() > 0 for w in arm._stage.controller.copy.weights)


def test_what_was_counted_before_a_loss_of_power_counts(tmp_path: Path) -> None:
    own = "[{do: train, steps: 3}, {do: power_loss, at: 1 s, then: [{do: train, steps: 2}]}]"
    arms = f"arms={{anp: {{rule: anp, timeline: {own}}}}}"
    arm = result_of(tmp_path, "chip.profile=noisy", "train.epochs=0", arms).arms["anp"]
    assert arm.chips[0].counts.vectors == 5 * 100


def test_chips_that_are_reprogrammed_err_anew() -> None:
    own = "[{do: train, steps: 2}, {do: reprogram, at: 1 s}]"
    noise = "chip.overrides={programming: {kind: constant, sigma: 0.3 uS}}"
    study = scenario("chip.profile=noisy", noise, "train.epochs=0", f"arms={{anp: {{rule: anp, timeline: {own}}}}}")
    arm = Arm(study, "anp", load_data(study), CPU)
    chip = arm._rig.chip
    while not any(moment.event == "train" for moment in (arm._life.moments if arm._life else ())):
        arm.live()
    cells = [cells for layer in chip.oracle.cells for cells in layer]
    before = [
        (each.target.clone(), each.programmed.clone(), each.wear.clone()) for each in cells if each.wear is not None
    ]
    while arm.lives_on:
        arm.live()
    assert len(before) == len(cells) == 4
    for each, (target, programmed, wear) in zip(cells, before, strict=True):
        assert each.wear is not None
        assert torch.allclose(each.target, target, rtol=1e-5, atol=1e-12)
        assert torch.equal(each.wear, wear + 1)
        well_inside = (target > 2e-6) & (target < 23e-6)
        assert (each.programmed != programmed)[well_inside].all()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["timeline=[{do: nap}]"], r"timeline\.0: not a known choice \(got 'nap'\)"),
        (["timeline=[{do: evaluate, at: -1 s}]"], r"timeline\.0\.at\.0: must not be below 0 s"),
        (["timeline=[{do: train, steps: 1.5, every: 1 h}]"], r"timeline\.0\.steps: "),
        (
            [
                "arms={a: {rule: anp, timeline: [{do: train, steps: 1, when: accuracy < 0.5}]}}",
                "timeline=[{do: idle, time: 1 s}]",
            ],
            r"arms\.a\.timeline\.0\.when: nobody measures accuracy",
        ),
        (["timeline=[{do: evaluate, every: 1 h}]"], "timeline: has no end"),
        (["chip.profile=ideal", "timeline=[{do: train, steps: 1}]"], "nobody knows how long a learning step takes"),
        (["chip.profile=ideal", "timeline=[{do: traffic, periodic: 1 s, time: 9 s}]"], "how long a request takes"),
        (["timeline=[{do: traffic, time: 1 s, trace: [-1 s]}]"], r"timeline\.0\.trace\.0: must not be below 0 s"),
        (["timeline=[{do: self_test, samples: 100000}]"], r"timeline\.0\.samples: must not be above the"),
        (
            ["timeline=[{do: traffic, time: 1 s, trace: nowhere.txt}]"],
            r"timeline\.0\.trace: nowhere\.txt: cannot be read",
        ),
    ],
)
def test_timelines_that_cannot_be(settings: list[str], told: str, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=told):
        run(scenario(*settings), tmp_path, CPU)
    assert not list(tmp_path.iterdir())


def test_traces_come_from_files_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "times.txt").write_text("# seconds\n0.001\n0.001\n\n0.5  # the last\n")
    file = tmp_path / "study.yaml"
    text = load_text()
    file.write_text(text + "timeline: [{do: traffic, trace: times.txt, time: 1 s}]\n")
    loaded = load_scenario(str(file), BASE)
    assert isinstance(loaded, Scenario)
    assert loaded.timeline[0].trace == (0.001, 0.001, 0.5)
    for content, told in (
        ("1\n0.5\n", "line 2: out of order: 0.5 comes after 1"),
        ("-1\nx\n3\n2\n1\n0\n", "line 1: a time is finite.*line 2: not a number of seconds.*and 2 more lines"),
        ("# nothing\n", "holds no times"),
    ):
        (tmp_path / "times.txt").write_text(content)
        with pytest.raises(ScenarioError, match=r"timeline\.0\.trace: .*" + told):
            load_scenario(str(file), BASE)


def load_text() -> str:
    from analogsim.study.scenario import scenario_text

    return scenario_text("quickstart")[0]
