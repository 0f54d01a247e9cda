"""Every claim of a packaged scenario, and one of each kind, can hold and can fail."""

import itertools
from pathlib import Path

import pytest

from analogsim.claims import Claim
from analogsim.study.arm_axes import axes_of_arm
from analogsim.study.packaged import scenario_names
from analogsim.study.scenario import load_scenario

AXES = {"lr": (0.1, 0.01), "chip.profile.read_noise.0.sigma": ("1 %", "10 %")}
OF_EACH_KIND = [
    "final(a.test_accuracy) > final(b.test_accuracy)",
    "best(a.test_accuracy) < best(b.test_accuracy) <= best(c.test_accuracy) < 0.9",
    "least(a.train_loss) * 1.02 < final(a.train_loss)",
    "most(a.weight_norm, layer=0) - initial(a.weight_norm, layer=0) > 0.5",
    "at(a.test_loss, 2) >= at(b.test_loss, 2)",
    "reach(a.test_accuracy, 90 %) < reach(b.test_accuracy, 90 %)",
    "epoch_of_best(a.test_loss) / epoch_of_best(b.test_loss) < 0.5",
    "diverged(a) < 0.5",
    "angle(a) < angle(b) < 60",
    "abs(final(a.angle, layer=-1) - final(b.angle, layer=-1)) < 0.5",
    "log(final(a.test_loss)) / log(10) < -1",
    "within(final(a.test_loss) / 3.5, 9.48, 1.5)",
    "within(best(a.test_accuracy), best(b.test_accuracy), 2 %)",
    "final(swept[lr=0.1, sigma=1 %].test_accuracy) > final(swept[lr=0.1, sigma=10 %].test_accuracy)",
]
PACKAGED = {name: load_scenario(name) for name in scenario_names()}


@pytest.mark.parametrize("word", ["holds", "fails"])
@pytest.mark.parametrize("claim", OF_EACH_KIND)
def test_a_claim_of_each_kind_can_hold_and_fail(claim: str, word: str, invented) -> None:
    axes = {"a": {}, "b": {}, "c": {}, "swept": AXES}
    assert invented.search(Claim(claim=claim, says="it is so"), axes, 3, word)


def test_a_claim_that_is_always_so_is_found_out(invented) -> None:
    always = Claim(claim="final(a.test_accuracy) <= most(a.test_accuracy)", says="a tautology")
    assert invented.search(always, {"a": {}}, 1, "holds")
    assert not invented.search(always, {"a": {}}, 1, "fails")


def test_every_packaged_claim_can_hold_and_fail(invented) -> None:
    for name, scenario in PACKAGED.items():
        axes = {arm: axes_of_arm(scenario, settings) for arm, settings in scenario.arms.items()}
        for claim, word in itertools.product(scenario.claims, ("holds", "fails")):
            assert invented.search(claim, axes, scenario.depth, word), f"{name}: {claim.claim}: never {word}"


def test_scenarios_of_papers_make_claims() -> None:
    papers = {Path(name).name: scenario for name, scenario in PACKAGED.items() if name.startswith("papers/")}
    assert papers and all(scenario.claims for scenario in papers.values())
