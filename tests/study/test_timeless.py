"""What is varied to no effect where the clock stands is said with the results."""

from __future__ import annotations

import pytest

from analogsim.study.run import ChipWork
from analogsim.study.scenario import load_scenario
from analogsim.study.schema import Scenario

DRIFT = ("chip.profile=pcm", "chip.overrides={drift: {scale: {each: [1, 2]}}}")


def notes(*settings: str) -> tuple[str, ...]:
    scenario = load_scenario("quickstart", settings)
    assert isinstance(scenario, Scenario)
    return ChipWork(scenario).notes


def test_drift_of_chips_whose_clock_stands_is_told() -> None:
    [note] = notes(*DRIFT)
    assert note.startswith("chip.profile.drift.scale: drift does nothing here, for no time passes")


@pytest.mark.parametrize(
    "passes",
    [
        "train.step_time=1 s",
        "timeline=[{do: evaluate, at: 1 day}]",
        "arms={danp: {rule: danp, timeline: [{do: evaluate, at: 1 day}]}}",
    ],
)
def test_drift_of_chips_whose_time_passes_is_not(passes: str) -> None:
    assert notes(*DRIFT, passes) == ()


def test_what_chips_share_and_what_needs_no_time_is_not() -> None:
    assert notes("chip.profile=pcm") == ()
    assert notes("chip.profile=pcm", "chip.overrides={read_noise: {scale: {each: [1, 2]}}}") == ()
