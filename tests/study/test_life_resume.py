"""Histories repeat: the same seed, a chip alone or among others, a life that was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from analogsim.results import ArmResult, read_result
from analogsim.study.life import Life
from analogsim.study.resume import resume
from analogsim.study.run import run
from analogsim.study.scenario import load_scenario, to_data

CPU = torch.device("cpu")


def events(arm: ArmResult, life: int = 0) -> list[tuple[float, str]]:
    return [(round(moment.seconds, 9), moment.event) for moment in arm.lives[life].moments]


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
def undisturbed(lives: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(lives.scenario(*EVERYTHING), tmp_path_factory.mktemp("undisturbed"), CPU).path


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


def test_a_chip_that_lives_apart_is_the_one_of_the_population(lives: Any, undisturbed: Path, tmp_path: Path) -> None:
    alone = lives.result(tmp_path, *EVERYTHING, "chip.only=[1]").arms["when"]
    whole = read_result(undisturbed / "result.json").arms["when"]
    assert alone.lives[0].moments == whole.lives[1].moments
    assert alone.chips[0] == whole.chips[1]


@pytest.mark.parametrize(
    ("arm", "turn"), [("danp", 1), ("danp", 9), ("danp", 16), ("danp", 19), ("when", 2), ("when", 31)]
)
def test_a_run_killed_inside_a_timeline_ends_with_the_same_bytes(
    lives: Any, arm: str, turn: int, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
        run(lives.scenario(*EVERYTHING), tmp_path, CPU)
    monkeypatch.setattr(Life, "learn", learn)
    [folder] = tmp_path.iterdir()
    resume(folder)
    for name in ("scenario.yaml", "metrics.jsonl", "result.json"):
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes()


def test_the_same_seed_gives_the_same_history(lives: Any, undisturbed: Path, tmp_path: Path) -> None:
    again = run(lives.scenario(*EVERYTHING), tmp_path, CPU).path
    assert (again / "result.json").read_bytes() == (undisturbed / "result.json").read_bytes()


def test_a_resolved_scenario_gives_the_same_timelines(lives: Any, undisturbed: Path) -> None:
    study = lives.scenario(*EVERYTHING)
    again = load_scenario(str(undisturbed / "scenario.yaml"))
    assert to_data(again) == to_data(study)
    assert again.timeline == study.timeline
    assert again.arms["danp"].timeline == study.arms["danp"].timeline
