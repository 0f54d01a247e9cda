"""What holds for every rule, and every baseline of it: a new rule is tested the day it is registered."""

from __future__ import annotations

import functools
import itertools
import operator
from typing import get_args

import pytest
import torch

from analogsim.learning import DECORRELATED, RULES, Controller, WeightDecay, WeightNormalisation
from analogsim.learning.rule import Copy
from analogsim.network import LeakyReLU
from analogsim.port import Access, AccessError, Observation, Periphery

EVERYTHING = functools.reduce(operator.or_, Access)
SIZES, STEPS = [5, 7, 6, 3], 3


def _baselines(kind):
    field = kind.model_fields.get("baseline")
    if field is None:
        return [{}]
    literals = [each for part in (field.annotation, *get_args(field.annotation)) for each in get_args(part)]
    return [{"baseline": name} for name in dict.fromkeys(literals) if isinstance(name, str)]


FURTHER = {
    "identified": [{"estimator": "rls"}, {"output": "covariance"}, {"output": "power"}, {"sigma": 0.1}],
    "canp": [{"covariance": "full"}],
    "learned_feedback": [{"form": "dfa"}, {"solver": "ridge"}],
    "synthetic_gradient": [{"form": "dfa", "backward": "copy"}],
    "reinforce": [{"backward": "transposed", "perturb": "all"}],
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


def bench(lab, chips=2, profile=None, batch=4, seed=0):
    profile = lab.profile(read=1, bits=8) if profile is None else profile
    return lab.bench(SIZES, profile, activation=LeakyReLU(0.1), chips=chips, batch=batch, oracle=EVERYTHING, seed=seed)


def generators(chips):
    return [torch.Generator().manual_seed(chip) for chip in chips]


def train(made, rule, chips=(0, 1)):
    controller = Controller(made.rig, rule, made.weights, torch.optim.SGD, 0.01, generators=generators(chips))
    for _ in range(STEPS):
        controller.step()
    return controller


def same(a, b):
    if isinstance(a, tuple):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def slots(value, batch):
    """An observation with these batch elements only."""
    cut = lambda layers: None if layers is None else tuple(each[:, :, batch] for each in layers)  # noqa: E731
    return Observation(
        value.loss[:, :, batch],
        cut(value.inputs),
        cut(value.pre_activations),
        cut(value.injected),
        None if value.output_error is None else value.output_error[:, :, batch],
        value.masks,
        value.injected_weights,
    )


@every_rule
def test_equal_seeds_give_equal_weights_and_states(lab, rule):
    """The rule itself remembers nothing: the second controller has the same object."""
    first, second = (train(bench(lab), rule) for _ in range(2))
    assert first.steps == STEPS
    assert same(first.copy.weights, second.copy.weights)
    assert same(first.state, second.state)
    start = bench(lab).weights
    assert not any(torch.equal(a, b) for a, b in zip(first.copy.weights, start, strict=True)), "nothing was learned"


@every_rule
def test_chips_do_not_know_of_each_other(lab, rule):
    """Chip 1 of three, and alone."""
    together, alone = train(bench(lab, 3), rule, (0, 1, 2)), train(bench(lab, [1]), rule, (1,))
    for a, b in zip(together.copy.weights, alone.copy.weights, strict=True):
        torch.testing.assert_close(a[1:2], b, rtol=1e-10, atol=1e-13)


@every_rule
def test_a_sick_chip_harms_no_other(lab, rule):
    """Chip 0 has a loss that is not a number; the others go on, bit for bit."""
    well, sick = bench(lab), bench(lab)
    sick.task.targets[0] = torch.nan
    first, second = train(well, rule), train(sick, rule)
    assert second.diverged.tolist() == [True, False]
    for a, b, start in zip(first.copy.weights, second.copy.weights, sick.weights, strict=True):
        assert torch.equal(a[1], b[1])
        assert torch.equal(b[0], start[0])


@every_rule
def test_an_update_is_the_mean_over_the_batch(lab, rule):
    """The update of a batch is the mean of those of its halves, from the same observations and state."""
    made = bench(lab, batch=6)
    network, rig, plan = made.rig.network, made.rig, rule.plan(made.rig.network)
    copy = Copy(network, tuple(made.weights), Periphery((None,) * network.depth), rig.limits)
    rig.next_batch()
    baseline = None if plan.baseline is None else rig.run((plan.baseline,))[0].clone()
    probes = [each.clone() for each in rig.run(plan.probes, plan.samples)] if plan.probes else []

    def directions(batch, state):
        part = None if baseline is None else slots(baseline, batch)
        estimate = rule.estimate(part, [slots(each, batch) for each in probes], network)
        vector = rule.output_vector(part, estimate, copy, state)
        deltas = None
        if vector is not None:  # backwards through the true weights: the chip would draw new noise
            deltas = [vector]
            for index in range(network.depth - 1, 0, -1):
                v = deltas[0] @ made.weights[index][:, :, : network.layers[index].fan_in]
                a = part.pre_activations[index - 1][:, 0]
                deltas.insert(0, v * network.layers[index - 1].activation.derivative(a))
        updates, after = rule.update(part, estimate, None if deltas is None else tuple(deltas), copy, state)
        return [each.direction().clone() for each in updates], after

    _, state = directions(slice(None), rule.init(copy, generators((0, 1))))  # some rules only look in their first step
    whole, first, second = (directions(part, state)[0] for part in (slice(None), slice(0, 3), slice(3, None)))
    for a, b, c in zip(whole, first, second, strict=True):
        assert a.any()
        torch.testing.assert_close(a, (b + c) / 2, rtol=1e-9, atol=1e-12)


@every_rule
def test_what_it_needs_is_what_it_asks_for(lab, rule):
    """It runs with no more than `requires`, and is refused without any one part of it."""
    made = lab.bench(SIZES, lab.profile(read=1), oracle=rule.requires)
    made.rig.grants = rule.requires
    made.rig.next_batch()
    Controller(made.rig, rule, made.weights, torch.optim.SGD, 0.01).step()
    for flag in Access:
        if flag in rule.requires:
            made.rig.grants = EVERYTHING & ~flag
            with pytest.raises(AccessError, match=f"{flag.name.lower()} is missing"):
                Controller(made.rig, rule, made.weights, torch.optim.SGD, 0.01)


@every_rule
@pytest.mark.parametrize("case", ["silent", "saturated"])
def test_updates_are_finite_without_noise_and_at_the_end_of_every_range(lab, rule, case):
    """No noise at all through coarse converters, or converters that clip nearly everything."""
    made = bench(lab, profile=lab.profile(bits=4) if case == "silent" else lab.profile(1, bits=4, dac=1.0, adc=0.05))
    controller = train(made, rule)
    assert not controller.diverged.any()
    assert all(w.isfinite().all() for w in controller.copy.weights)
    assert not controller.counters.vectors.lt(controller.counters.silent).any()


@every_rule
def test_it_says_what_it_is(rule):
    assert rule.name in RULES
    assert rule.title
    assert rule.paper
    assert "memory" in vars(type(rule)), "say what it holds beyond the copy"
    assert rule.memory
    assert type(rule).__doc__
    assert all(field.description for field in type(rule).model_fields.values())


def test_an_alias_stands_for_no_other_rule():
    assert not DECORRELATED.keys() & RULES.keys()
    assert DECORRELATED["danp"] == "anp"


@pytest.mark.parametrize("rule", [RULES["learned_feedback"](warm_up=2), RULES["canp"]()], ids=["warm_up", "canp"])
def test_steps_that_only_look_move_nothing(lab, rule):
    """No optimiser, companion or write moves weights in them, and Adam begins after them with a step of its rate."""
    waits = 2 if rule.name == "learned_feedback" else 1
    made = bench(lab, profile=lab.profile(read=1))
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
        generators=generators((0, 1)),
    )
    for _ in range(waits + 1):
        controller.step()
    moved = torch.cat([(a - b).abs().flatten() for a, b in zip(controller.copy.weights, made.weights, strict=True)])
    assert moved[moved > 0].numel()
    torch.testing.assert_close(moved.max(), torch.tensor(0.01).to(moved), rtol=1e-6, atol=0)
