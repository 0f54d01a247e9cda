"""Compensation of drift in a scenario: what it gives back, and that it changes nothing before."""

from typing import NamedTuple

import pytest
import torch

from analogsim.errors import ScenarioError
from analogsim.study.arm import Arm
from analogsim.study.run import load_data
from analogsim.study.scenario import load_scenario
from analogsim.study.schema import Scenario

CPU = torch.device("cpu")


def _tiny(*settings: str) -> Scenario:
    base = ["train.epochs=6", "network.layers=[32, 32, 10]", "chip.population=3", "data.batch=100", "chip.profile=pcm"]
    arms = "arms={bp: {rule: bp, oracle: [output_error, transposed_read]}}"
    rest = ["train.optimizer={adam: {lr: 3.0e-3}}", "train.later=[1 month]", "train.step_time=1 ms"]
    return load_scenario("quickstart", [*base, arms, *rest, *settings])


class Life(NamedTuple):
    """Of an arm's chips: accuracy and loss at the end of training and a month later."""

    accuracy: list[float]
    loss: list[float]
    late_accuracy: list[float]
    late_loss: list[float]


def _live(*settings: str) -> Life:
    scenario = _tiny(*settings)
    arm = Arm(scenario, "bp", load_data(scenario), CPU)
    while not arm.done:
        arm.advance()
    chips = arm.evaluate().chips
    arm.age()
    late_accuracy, late_loss = arm._rig.evaluate(arm.steps + 1)
    life = Life(
        [each.test_accuracy or 0.0 for each in chips],
        [each.test_loss or 0.0 for each in chips],
        late_accuracy.tolist(),
        late_loss.tolist(),
    )
    assert arm.result().later[0].before == tuple(late_accuracy.double().tolist()), "evaluated as compensated"
    assert arm._rig.chip.reference_reads == (64 if scenario.train.drift_compensation else 0)
    return life


def test_compensation_recovers_pcm_after_a_month() -> None:
    # Twice the preset's drift: its own leaves the largest of few outputs the largest.
    left, cared = (_live("chip.overrides.drift.scale=2", f"train.drift_compensation={on}") for on in ("false", "true"))
    assert left.accuracy == cared.accuracy and left.loss == cared.loss, "training knows nothing of it"
    assert min(left.accuracy) > 0.8
    # The factor knows nothing of the spread of the exponents, nor does it bring back bits that small currents lost.
    for chip in range(3):
        assert left.late_accuracy[chip] < cared.late_accuracy[chip] - 0.05
        assert cared.late_accuracy[chip] < left.accuracy[chip] + 0.01
        assert cared.late_loss[chip] < left.late_loss[chip] / 2


def test_learning_later_goes_on_with_the_factor_and_a_new_reference() -> None:
    scenario = _tiny("train.later=[1 h, 1 month]", "train.drift_compensation=true", "arms.bp.later_steps=3")
    arm = Arm(scenario, "bp", load_data(scenario), CPU)
    chip, factors, calls = arm._rig.chip, [], []
    compensate, take = chip.compensate, chip.take_reference
    chip.compensate = lambda now: factors.append(compensate(now)) or calls.append("compensate") or factors[-1]
    chip.take_reference = lambda now: take(now) or calls.append("reference")
    for _ in range(3):
        arm.advance()
    arm.age()
    assert calls == ["reference", "compensate", "reference", "compensate", "reference"]
    assert (factors[0] > 1.1).all() and (factors[1] > factors[0] * 0.9).all()


def test_there_must_be_a_time_to_compensate_at() -> None:
    with pytest.raises(ScenarioError, match=r"train: drift_compensation acts at the times under `later`"):
        _tiny("train.later=[]", "train.drift_compensation=true")
    with pytest.raises(ScenarioError, match=r"train\.drift_compensation: "):
        _tiny("train.drift_compensation=1")
