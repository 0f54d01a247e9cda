"""Weight decay: decoupled, at each chip's rate, beside other companions."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from analogsim.chip import Mapping
from analogsim.learning import RULES, Controller, WeightDecay, WeightNormalisation

STRENGTH = 0.3


def train(lab, optimizer, decay, rates=0.1, chips=2, steps=4, **companions):
    bench = lab.bench([4, 5, 3], lab.profile(read=1), chips=chips, batch=5, mapping=Mapping("follow"))
    controller = Controller(bench.rig, RULES["np"](), bench.weights, optimizer, rates, decay=decay, **companions)
    for _ in range(steps):
        controller.step()
    return bench, controller


@pytest.mark.parametrize("rates", [0.1, (0.1, 0.03)])
def test_adam_with_decay_is_adamw(lab, rates):
    """With decaying biases, as torch has it, and for each chip as with its rate alone."""
    _, ours = train(lab, torch.optim.Adam, WeightDecay(strength=STRENGTH, biases=True), rates)
    for chip, rate in enumerate([rates] * 2 if isinstance(rates, float) else rates):
        _, theirs = train(lab, partial(torch.optim.AdamW, weight_decay=STRENGTH), None, rate)
        for a, b in zip(ours.copy.weights, theirs.copy.weights, strict=True):
            torch.testing.assert_close(a[chip], b[chip], rtol=1e-9, atol=1e-12)


def test_biases_are_free_unless_asked(lab):
    """Frozen learning (rate 1e-12, strength 1e11): weights shrink by 1 - 0.1 each step, biases stay."""
    bench, controller = train(lab, torch.optim.SGD, WeightDecay(strength=1e11), 1e-12, steps=3)
    for w, before, held in zip(controller.copy.weights, bench.weights, bench.chip.oracle.weights, strict=True):
        torch.testing.assert_close(w[..., :-1], before[..., :-1] * 0.9**3, rtol=1e-8, atol=1e-9)
        torch.testing.assert_close(w[..., -1], before[..., -1], rtol=1e-8, atol=1e-9)
        torch.testing.assert_close(held, w)


def test_nothing_given_changes_nothing(lab):
    _, plain = train(lab, torch.optim.Adam, None)
    _, tiny = train(lab, torch.optim.Adam, WeightDecay(strength=1e-300))
    for a, b in zip(plain.copy.weights, tiny.copy.weights, strict=True):
        assert torch.equal(a, b)


def test_normalisation_undoes_it(lab):
    """What is scaled back to its length after the step cannot have shrunk; the direction learnt changes little."""
    _, controller = train(
        lab, torch.optim.SGD, WeightDecay(strength=1e11), 1e-12, steps=1, normalisation=WeightNormalisation()
    )
    for layer, w in zip(controller.copy.network.layers, controller.copy.weights, strict=True):
        root = w[..., :-1].square().mean(2).sqrt()
        torch.testing.assert_close(root, torch.full_like(root, (2 / (layer.fan_in + layer.fan_out)) ** 0.5))


def test_a_frozen_chip_does_not_decay(lab):
    bench, controller = train(lab, torch.optim.SGD, WeightDecay(strength=1.0), steps=0)
    controller.diverged[1] = True
    controller.step()
    for w, before in zip(controller.copy.weights, bench.weights, strict=True):
        assert torch.equal(w[1], before[1])
        assert not torch.equal(w[0], before[0])


@pytest.mark.parametrize("strength", [10.0, 1e9])
def test_a_decay_that_turns_weights_around_is_refused(lab, strength):
    with pytest.raises(ValueError, match=r"must be below 1 \(got 0.1 x "):
        train(lab, torch.optim.SGD, WeightDecay(strength=strength), steps=0)


def test_a_number_stands_for_the_strength():
    assert WeightDecay.model_validate(0.1) == WeightDecay(strength=0.1)
    for nonsense in (0.0, -1.0, float("inf"), "much", {"biases": True}):
        with pytest.raises(ValueError, match="strength"):
            WeightDecay.model_validate(nonsense)
