"""What holds for every rule, and every baseline of it: a new rule is tested the day it is registered."""

from __future__ import annotations

import functools
import itertools
from typing import get_args

import pytest
import torch

from analogsim.conformance.checks import CHECKS
from analogsim.learning import DECORRELATED, RULES, Controller, WeightDecay, WeightNormalisation
from analogsim.network import LeakyReLU


def _baselines(kind):
    field = kind.model_fields.get("baseline")
    if field is None:
        return [{}]
    literals = [each for part in (field.annotation, *get_args(field.annotation)) for each in get_args(part)]
    return [{"baseline": name} for name in dict.fromkeys(literals) if isinstance(name, str)]


FURTHER = {
    "identified": [{"estimator": "rls"}, {"output": "covariance"}, {"output": "power"}, {"sigma": 0.1}],
    "canp": [{"covariance": "full"}],
    "learned_feedback": [{"form": "dfa"}, {"solver": "ridge"}, {"warm_up": 4}],
    "synthetic_gradient": [{"form": "dfa", "backward": "copy"}],
    "reinforce": [{"backward": "transposed", "perturb": "all"}, {"backward": "transposed", "samples": 3}],
    "fa": [{"start": "copy"}],
}
"""Settings beyond baselines and samples that lead through other code."""


def _variants():
    for name, others in FURTHER.items():
        for settings in others:
            yield pytest.param(RULES[name](**settings), id=" ".join([name, *map(str, settings.values())]))
    for name, kind in RULES.items():
        samples = [{"samples": 1}, {"samples": 3}] if "samples" in kind.model_fields else [{}]
        for baseline, count in itertools.product(_baselines(kind), samples):
            settings = {**baseline, **count}
            yield pytest.param(kind(**settings), id=" ".join([name, *map(str, settings.values())]))


every_rule = pytest.mark.parametrize("rule", list(_variants()))


SIZES = [5, 7, 6, 3]
COSTLY = {"learns convolutions", "learns with decorrelation", "goes downhill"}
"""By the default settings of each rule only."""
ELSEWHERE = {"stays before the wall"}
"""`test_replay.py` shows more, of all rules at once."""


@every_rule
@pytest.mark.parametrize("check", sorted(CHECKS.keys() - COSTLY - ELSEWHERE))
def test_it_keeps_what_every_rule_keeps(rule, check):
    CHECKS[check](rule)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("check", sorted(COSTLY))
def test_by_its_defaults_it_keeps_what_costs_more_to_see(name, check):
    CHECKS[check](RULES[name]())


def test_an_alias_stands_for_no_other_rule():
    assert not DECORRELATED.keys() & RULES.keys()
    assert DECORRELATED["danp"] == "anp"


@pytest.mark.parametrize("rule", [RULES["learned_feedback"](warm_up=2), RULES["canp"]()], ids=["warm_up", "canp"])
def test_steps_that_only_look_move_nothing(lab, rule):
    """No optimiser, companion or write moves weights in them, and Adam begins after them with a step of its rate."""
    waits = 2 if rule.name == "learned_feedback" else 1
    made = lab.bench(SIZES, lab.profile(read=1), activation=LeakyReLU(0.1), chips=2)
    controller = Controller(
        made.rig,
        rule,
        made.weights,
        functools.partial(torch.optim.Adam, eps=1e-16),
        0.01,
        normalisation=WeightNormalisation(),
        decay=WeightDecay(strength=0.5),
    )
    for _ in range(waits):
        controller.step()
        assert all(torch.equal(a, b) for a, b in zip(controller.copy.weights, made.weights, strict=True))
        assert not made.chip.device_writes.any()
    controller = Controller(
        made.rig,
        rule,
        made.weights,
        functools.partial(torch.optim.Adam, eps=1e-16),
        0.01,
    )
    for _ in range(waits + 1):
        controller.step()
    moved = torch.cat([(a - b).abs().flatten() for a, b in zip(controller.copy.weights, made.weights, strict=True)])
    assert moved[moved > 0].numel()
    torch.testing.assert_close(moved.max(), torch.tensor(0.01).to(moved), rtol=1e-6, atol=0)
