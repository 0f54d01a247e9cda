"""Chips are evaluated as they are deployed: with their noise, which is another in each evaluation."""

from __future__ import annotations

import pytest
import torch

from analogsim.study.arm import Arm
from analogsim.study.run import load_data
from analogsim.study.scenario import load_scenario

FLICKER = "{kind: flicker, q: 0.05, t_r: 250 ns, t0: 20 s}"


@pytest.mark.parametrize(
    ("profile", "overrides", "noisy"),
    [
        ("ideal", "{}", False),
        ("noisy", "{}", True),
        ("ideal", f"{{read_noise: {FLICKER}}}", True),
        ("ideal", "{column_noise: {sigma: 2 %}}", True),
        ("mtj", "{}", True),
    ],
)
def test_noise_is_on_in_evaluation(profile: str, overrides: str, noisy: bool) -> None:
    settings = [f"chip.profile={profile}", f"chip.overrides={overrides}", "network.layers=[8, 10]", "chip.population=2"]
    scenario = load_scenario("quickstart", settings)
    rig = Arm(scenario, "danp", load_data(scenario), torch.device("cpu"))._rig
    (_, first), (_, again), (_, other) = (rig.evaluate(step) for step in (1, 1, 2))
    assert torch.equal(first, again), "how often one evaluates changes nothing"
    assert (first != other).all() if noisy else torch.equal(first, other)
