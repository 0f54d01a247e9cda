"""`analogsim cost`: prices of steps without running them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from matplotlib.image import imread

from analogsim.study.arm import Arm
from analogsim.study.run import load_data
from analogsim.study.scenario import load_scenario


def test_steps_and_inferences_are_told(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("cost", "quickstart") == 0
    out = capsys.readouterr().out
    assert "a step" in out and "inference" in out
    assert "danp: busiest in a step: " in out
    assert max(map(len, out.splitlines())) <= 100


def test_json_has_what_a_run_reports(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("cost", "quickstart", "--arm", "np", "--arm", "danp", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["np", "danp"]
    study = load_scenario("quickstart", ["chip.population=1"])
    arm = Arm(study, "danp", load_data(study), torch.device("cpu"))
    assert arm._stage.account is not None
    price = arm._stage.account.prices.told()
    assert told["danp"]["step"]["seconds"] == price.seconds
    assert told["danp"]["step"]["joules"] == price.joules
    assert told["danp"]["step"]["operations"]["broadcasts"] == 50 * told["danp"]["passes"] == 250
    assert told["danp"]["step"]["seconds"] > told["np"]["step"]["seconds"], "a digital R takes its time"


def test_a_step_is_drawn(command: Callable[..., int], tmp_path: Path) -> None:
    file = tmp_path / "step.png"
    assert command("cost", "quickstart", "--arm", "bp", "--gantt", str(file)) == 0
    assert imread(file).ndim == 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["quickstart", "--gantt", "step.png"], "--gantt step.png: draws one arm"),
        (["quickstart", "--arm", "np", "--gantt", "step.pdf"], "into a .png or .svg file"),
        (["quickstart", "--arm", "np", "--gantt", "nowhere/step.png"], "there is no folder nowhere"),
        (["quickstart", "--arm", "nobody"], "scenario quickstart has no such arm"),
        (["quickstart", "--set", "chip.profile=ideal"], "not all of its device profiles have `costs`"),
        (["papers/hiratani-fig1"], "hiratani-fig1: has no chips"),
    ],
)
def test_what_has_no_price_is_told(
    arguments: list[str], told: str, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("cost", *arguments) == 2
    assert told in capsys.readouterr().err
