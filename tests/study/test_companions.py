"""Companions of a rule in scenarios: faults, defaults, chips that do not depend on each other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from analogsim.errors import ScenarioError
from analogsim.randomness import Purpose, Streams
from analogsim.study.arm import Arm
from analogsim.study.check import check
from analogsim.study.run import load_data, run
from analogsim.study.scenario import load_scenario, resolve, to_data
from device_models._yaml import dump_yaml, load_yaml

CPU = torch.device("cpu")
TINY = ["train.epochs=1", "network.layers=[8, 10]", "chip.population=3", "data.batch=200"]
ALL = (
    "arms={a: {rule: np, decorrelation: {rate: 0.01, kappa: 0.3, preserve_power: true, share: 0.3, layers: [-1], "
    "where: crossbar}, weight_decay: {strength: 0.1, biases: true}, "
    "loss_channel: {bits: 8, range: 4.0, sigma: 0.1, delay: 2, mispaired: true}}}"
)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("arms.danp.decorrelation.layers=[2]", "arms.danp: decorrelation: there is no layer 2; layers are numbered 0"),
        ("arms.danp.decorrelation.layers=[0, -2]", "arms.danp: decorrelation: name each layer once (got [0, -2])"),
        ("arms.danp.decorrelation.layers=[]", "arms.danp.decorrelation.layers: "),
        ("arms.danp.decorrelation.kappa=1.5", "arms.danp.decorrelation.kappa: "),
        ("arms.danp.decorrelation.share=0", "arms.danp.decorrelation.share: "),
        ("arms.danp.decorrelation.where=cloud", "arms.danp.decorrelation.where: "),
        ("arms.np.weight_decay=1.0e+4", "arms.np: weight decay: the learning rate times the strength must be below 1"),
        ("arms.np.weight_decay=-1", "arms.np.weight_decay.strength: must be greater than 0 (got -1)"),
        ("arms.np.loss_channel={bits: 4}", "arms.np.loss_channel: bits and range belong together: give range"),
        ("arms.np.loss_channel={delay: -1}", "arms.np.loss_channel.delay: "),
    ],
)
def test_what_cannot_be_is_refused_with_its_path(setting: str, message: str) -> None:
    def checked() -> None:
        scenario = load_scenario("quickstart", [*TINY, setting])
        check(scenario, load_data(scenario))

    with pytest.raises(ScenarioError) as caught:
        checked()
    assert message in str(caught.value)


def test_pulses_cannot_let_weights_decay() -> None:
    def decaying(optimizer: str) -> None:
        arms = "arms={np: {rule: np, weight_decay: 0.1}}"
        load_scenario("in-memory", [f"train.optimizer={{{optimizer}: {{lr: 0.1}}}}", arms])

    decaying("mixed_precision")
    with pytest.raises(ScenarioError, match=r"arms\.np\.weight_decay: .*leave it out, or take mixed_precision"):
        decaying("in_memory")


def test_all_settings_survive_a_round_trip() -> None:
    scenario = load_scenario("quickstart", [*TINY, ALL])
    again = resolve(load_yaml(dump_yaml(to_data(scenario)), "again"), "again")
    assert again.arms == scenario.arms
    arm = to_data(scenario)["arms"]["a"]
    assert arm["weight_decay"] == {"strength": 0.1, "biases": True}
    assert arm["loss_channel"]["delay"] == 2
    assert arm["decorrelation"]["where"] == "crossbar"


def test_empty_settings_change_no_byte(tmp_path: Path) -> None:
    """A channel that does nothing and the defaults of decorrelation give the curves of none."""
    found = []
    for channel in ("", ", loss_channel: {}, decorrelation: {kappa: 0.0, share: 1.0, where: digital}"):
        folder = run(load_scenario("quickstart", [*TINY, f"arms={{a: {{rule: danp{channel}}}}}"]), tmp_path, CPU).path
        found.append((folder / "metrics.jsonl").read_bytes())
    assert found[0] == found[1]


def test_a_chip_is_the_same_alone_and_in_a_population() -> None:
    """Chosen vectors, noise of the channel, R on a crossbar: chip 2 of 3, and chip 2 alone, in float64."""
    arms = []
    for only in ("null", "[2]"):
        scenario = load_scenario("quickstart", [*TINY, ALL, f"chip.only={only}", "chip.precision=float64"])
        arm = Arm(scenario, "a", load_data(scenario), CPU)
        for _ in range(6):
            arm.advance()
        arms.append(arm.state_dict()["controller"])
    for a, b in zip(arms[0]["weights"], arms[1]["weights"], strict=True):
        torch.testing.assert_close(a[2:], b, rtol=1e-6, atol=1e-9)
    (_, a), (_, b) = (each["decorrelation"]["r"] for each in arms)
    torch.testing.assert_close(a[2:], b, rtol=1e-6, atol=1e-9)
    assert not torch.allclose(a[1:2], b, rtol=1e-3)


@pytest.mark.parametrize("companions", ["decorrelation: {share: 0.3}", "decorrelation: {}, loss_channel: {sigma: 0.1}"])
def test_companions_touch_no_other_random_numbers(companions: str) -> None:
    """The same data order, programming, reads and perturbations, whatever a companion draws."""
    states = []
    for given in ("decorrelation: {}", companions):
        scenario = load_scenario("quickstart", [*TINY, f"arms={{a: {{rule: np, {given}}}}}"])
        arm = Arm(scenario, "a", load_data(scenario), CPU)
        for _ in range(3):
            arm.advance()
        state = arm.state_dict()["rig"]
        generators = state["chip"]["streams"]["generators"]
        states.append({**generators, **state["task"]["streams"]["generators"]})
    assert set(states[0]) <= set(states[1])
    for name, generator in states[0].items():
        assert torch.equal(generator, states[1][name]), name


def test_the_learner_waits_and_the_channel_is_late() -> None:
    """With a delay of 2 weights rest for two steps, whoever knows of it; a mispaired learner then learns otherwise."""
    after = {}
    for mispaired in ("true", "false"):
        channel = f"loss_channel: {{delay: 2, mispaired: {mispaired}}}"
        scenario = load_scenario("quickstart", [*TINY, f"arms={{a: {{rule: np, {channel}}}}}"])
        arm = Arm(scenario, "a", load_data(scenario), CPU)
        weights = arm.state_dict()["controller"]["weights"]
        before = [w.clone() for w in weights]
        for step in range(3):
            arm.advance()
            assert torch.equal(weights[0], before[0]) == (step < 2)
        after[mispaired] = weights[0].clone()
    assert not torch.equal(after["true"], after["false"])


def test_companions_have_a_stream_of_their_own() -> None:
    """The generators that an arm begins with are those of their purpose, of each chip."""
    scenario = load_scenario("quickstart", [*TINY, "arms={a: {rule: np, decorrelation: {share: 0.3}}}"])
    state = Arm(scenario, "a", load_data(scenario), CPU).state_dict()["controller"]["decorrelation"]["generators"]
    own = Streams([0, 0, 0], [0, 1, 2], CPU).generators(Purpose.COMPANION)
    for generator, expected in zip(state, own, strict=True):
        assert expected is not None and torch.equal(generator, expected.get_state())
