"""Timelines that cannot be, and traces that can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from analogsim.errors import ScenarioError
from analogsim.study.packaged import scenario_text
from analogsim.study.run import run
from analogsim.study.scenario import load_scenario
from analogsim.study.schema import Scenario

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["timeline=[{do: nap}]"], r"timeline\.0\.do: not a known choice \(got 'nap'\)"),
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
def test_timelines_that_cannot_be(lives: Any, settings: list[str], told: str, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=told):
        run(lives.scenario(*settings), tmp_path, CPU)
    assert not list(tmp_path.iterdir())


def test_traces_come_from_files_beside_the_scenario(lives: Any, tmp_path: Path) -> None:
    (tmp_path / "times.txt").write_text("# seconds\n0.001\n0.001\n\n0.5  # the last\n")
    file = tmp_path / "study.yaml"
    text = scenario_text("quickstart")[0]
    file.write_text(text + "timeline: [{do: traffic, trace: times.txt, time: 1 s}]\n")
    loaded = load_scenario(str(file), lives.base)
    assert isinstance(loaded, Scenario)
    assert loaded.timeline[0].trace == (0.001, 0.001, 0.5)
    for content, told in (
        ("1\n0.5\n", "line 2: out of order: 0.5 comes after 1"),
        ("-1\nx\n3\n2\n1\n0\n", "line 1: a time is finite.*line 2: not a number of seconds.*and 2 more lines"),
        ("# nothing\n", "holds no times"),
    ):
        (tmp_path / "times.txt").write_text(content)
        with pytest.raises(ScenarioError, match=r"timeline\.0\.trace: .*" + told):
            load_scenario(str(file), lives.base)
