"""What is refused before anything runs, and what scenarios mean by a name."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from analogsim.errors import ScenarioError
from analogsim.study.arm import Arm
from analogsim.study.check import check
from analogsim.study.run import load_data
from analogsim.study.scenario import resolve, to_data

ORACLE = ["output_error"]


def scenario(arm: Any, **others: Any) -> dict[str, Any]:
    chip = {"profile": "noisy", "population": 2, **others.pop("chip", {})}
    train = {"epochs": 1, "optimizer": {"adam": {"lr": 1e-3}}, **others.pop("train", {})}
    return {
        "name": "small",
        "data": {"set": "digits", "batch": 350},
        "network": {"layers": [6, 10]},
        "chip": chip,
        "train": train,
        "arms": {"a": arm},
        **others,
    }


def checked(data: dict[str, Any]) -> None:
    resolved = resolve(data, "small")
    check(resolved, load_data(resolved))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (scenario({"rule": "anp"}, chip={"only": [1, 0, 1]}), "chip.only: must all be different (got 1 twice)"),
        (scenario({"rule": "anp"}, seed={"each": [1, 1]}), "must all be different (got 1 twice)"),
        (
            scenario({"rule": "anp"}, train={"tune": {"lr": [1e-3, 1e-3], "validation": 10}}),
            "must all be different (got 0.001 twice)",
        ),
        (scenario({"rule": "anp", "loss_channel": {"mispaired": True}}), "mispaired: there is no delay to mistake"),
        (scenario({"rule": "anp", "loss_channel": {"delay": 4}}), "must be below the 4 steps of training"),
        (
            scenario({"rule": "matching", "oracle": ORACLE, "decay": 0.5}),
            "arms.a.decay: must be the learning rate times",
        ),
        (
            scenario({"rule": "matching", "oracle": ORACLE, "decay": 1e-3, "weight_decay": {"strength": 0.5}}),
            "weight_decay.strength, 0.0005, so that B decays as the weights do (got 0.001)",
        ),
        (
            scenario(
                [
                    {"rule": "anp", "decorrelation": {"where": "crossbar", "layers": [0]}},
                    {"rule": "anp", "decorrelation": {"layers": [1]}},
                ]
            ),
            "arms.a.stages.1.decorrelation.where: must be crossbar, as in the stages before",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        checked(data)
    assert message in str(caught.value)


def test_matching_that_decays_as_its_weights_do_is_accepted() -> None:
    checked(scenario({"rule": "matching", "oracle": ORACLE, "decay": 5e-4, "weight_decay": {"strength": 0.5}}))
    checked(scenario({"rule": "matching", "oracle": ORACLE}))


def test_dfa_is_a_rule_and_survives_the_way_through_a_file() -> None:
    resolved = resolve(scenario({"rule": "dfa", "oracle": ORACLE}), "small")
    assert resolved.arms["a"].rule == "dfa"
    assert resolved.arms["a"].decorrelation is None
    assert to_data(resolve(to_data(resolved), "again")) == to_data(resolved)


def test_a_model_does_not_know_the_faults_of_the_chip() -> None:
    """Chips of a stage in a computer have faults of the same law; those of the last stage are every other arm's."""
    faulty = {"overrides": {"faults": {"stuck_low": "30 %"}}}
    stages = [{"rule": "anp", "chip": {"overrides": faulty["overrides"]}}, {"rule": "none"}]
    data = scenario(stages, chip=faulty)
    data["arms"]["b"] = {"rule": "anp"}
    resolved = resolve(data, "small")
    digits, cpu = load_data(resolved), torch.device("cpu")
    first, plain = Arm(resolved, "a", digits, cpu), Arm(resolved, "b", digits, cpu)

    def stuck(arm: Arm) -> torch.Tensor:
        chip = arm._rig.chip
        chip.program([torch.ones(w.shape) for w in chip.oracle.weights])
        return torch.stack([cells.conductance.lt(1e-9).float().mean() for cells in chip.oracle.cells[0]]), (
            chip.oracle.conductances[0][0] < 1e-9
        )

    share, model = stuck(first)
    _, own = stuck(plain)
    assert not torch.equal(model, own)
    assert (share > 0.1).all()
    first.evaluate()
    while not first.stage_done:
        first.advance()
    first.evaluate()
    first.next_stage()
    assert torch.equal(stuck(first)[1], own)
