"""FA and DFA: with B = W it is backpropagation; direct and layered feedback agree where there is one hidden layer."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from analogsim.learning import DECORRELATED, RULES, Copy
from analogsim.network import LeakyReLU, Network, Stack
from analogsim.port import Periphery
from analogsim.study.scenario import load_scenario


def generators(chips):
    return [torch.Generator().manual_seed(chip) for chip in range(chips)]


def matrices(bench, seed=3):
    """R of every layer, far from symmetric: a missing or transposed R^T is seen."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(bench.rig.chips, layer.inputs, layer.inputs) for layer in bench.rig.network.layers]
    noise = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    return tuple(torch.eye(each.shape[1], dtype=torch.float64) + 0.5 * each for each in noise)


def clipping(lab, sizes=(5, 6, 4, 3), read=2.0, decorrelated=True):
    """A noisy chip whose converters clip, and a copy that knows its periphery."""
    bench = lab.bench(list(sizes), lab.profile(read=read, bits=8, dac=0.5, adc=3.0), chips=2, batch=30)
    for w in bench.weights:
        w[:, :, -1] *= 15
    bench.chip.program(bench.weights)
    r = matrices(bench) if decorrelated else (None,) * (len(sizes) - 1)
    bench.rig.set_periphery(Periphery(r))
    return bench, Copy(bench.rig.network, tuple(bench.weights), Periphery(r), bench.rig.limits)


def posts(rule, baseline, copy):
    state = rule.init(copy, generators(copy.weights[0].shape[0]))
    return [update.post for update in rule.update(baseline, None, None, copy, state)[0]]


@pytest.mark.parametrize("decorrelated", [False, True])
def test_feedback_that_is_the_weights_is_backpropagation(lab, decorrelated):
    """Noisy chips, converters that clip: B = W^T gives BP's derivatives and updates bit for bit."""
    bench, copy = clipping(lab, decorrelated=decorrelated)
    baseline, _ = bench.observe(RULES["bp"](backward="copy"))
    state = RULES["fa"](start="copy").init(copy, generators(2))
    found, _ = RULES["fa"](start="copy").update(baseline, None, None, copy, state)
    true, _ = RULES["bp"](backward="copy").update(baseline, None, None, copy, RULES["bp"]().init(copy, generators(2)))
    for a, b in zip(found, true, strict=True):
        assert torch.equal(a.post, b.post)
        assert torch.equal(a.direction(), b.direction())
    assert any(not torch.equal(a, b.post) for a, b in zip(posts(RULES["fa"](), baseline, copy), true, strict=True))


def test_feedback_that_is_the_kernels_is_backpropagation(lab):
    """The same with convolutions, pooling and dropout on a noisy chip; DFA has a matrix to each layer's maps."""
    stack = Stack((2, 6, 5))
    stack.conv(3, 3, 1, 1, LeakyReLU(0.1))
    stack.max_pool(2)
    stack.dropout(0.4)
    stack.conv(4, 2, 1, 0, LeakyReLU(0.1))
    stack.dense(3)
    network = Network(tuple(stack.layers))
    bench = lab.bench([network.inputs, 3], lab.profile(read=2, bits=8, dac=1.0), network=network, chips=2)
    copy = Copy(network, tuple(bench.weights), Periphery((None,) * 3), bench.rig.limits)
    baseline, _ = bench.observe(RULES["bp"](backward="copy"))
    found, true = (posts(rule, baseline, copy) for rule in (RULES["fa"](start="copy"), RULES["bp"](backward="copy")))
    assert all(torch.equal(a, b) for a, b in zip(found, true, strict=True))
    assert [b.shape[1:] for b in RULES["fa"]().init(copy, generators(2)).feedback] == [(4, 12), (3, 8)]
    feedback = RULES["dfa"]().init(copy, generators(2)).feedback
    assert [b.shape[1:] for b in feedback] == [(3, layer.results) for layer in network.layers[:-1]]


@pytest.mark.parametrize("decorrelated", [False, True])
def test_it_is_the_gradient_on_ideal_chips(lab, decorrelated):
    """B = W^T gives what autograd finds, through R."""
    bench = lab.bench([5, 6, 4, 3], chips=2, batch=7, loss="cross_entropy")
    r = matrices(bench) if decorrelated else (None,) * 3
    bench.rig.set_periphery(Periphery(r))
    copy = Copy(bench.rig.network, tuple(bench.weights), Periphery(r), bench.rig.limits)
    baseline, _ = bench.observe(RULES["fa"]())
    true, _ = bench.gradients(r if decorrelated else None)
    for a, b in zip(posts(RULES["fa"](start="copy"), baseline, copy), true, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_the_copied_feedback_stays_as_the_weights_move(lab):
    bench = lab.bench([5, 6, 3], chips=2)
    copy = Copy(bench.rig.network, tuple(bench.weights), Periphery((None,) * 2), bench.rig.limits)
    state = RULES["fa"](start="copy").init(copy, generators(2))
    before = bench.weights[1].clone()
    bench.weights[1].add_(1)
    assert torch.equal(state.feedback[0], before[:, :, :6])


def test_direct_feedback_is_layered_feedback_with_one_hidden_layer(lab):
    """Equal generators draw equal B; bit for bit on a noisy chip whose ADCs clip."""
    bench = lab.bench([5, 6, 3], lab.profile(read=2, bits=8, dac=100.0, adc=1.0), chips=2, batch=30)
    copy = Copy(bench.rig.network, tuple(bench.weights), Periphery((None,) * 2), bench.rig.limits)
    baseline, _ = bench.observe(RULES["fa"]())
    assert (baseline.pre_activations[0].abs() >= 1.0 * (1 - 1e-6)).any(), "an ADC clips"
    found, direct = (posts(RULES[name](), baseline, copy) for name in ("fa", "dfa"))
    assert all(torch.equal(a, b) for a, b in zip(found, direct, strict=True))


def test_direct_feedback_of_a_deep_network(lab):
    """g_l = f'(a_l) B_l^T g_L, each layer by itself; no R on the way, 0 where the layer's ADC clipped."""
    bench, copy = clipping(lab)
    rule = RULES["dfa"]()
    baseline, _ = bench.observe(rule)
    feedback = rule.init(copy, generators(2)).feedback
    error = baseline.output_error[:, 0]
    for g, b, a in zip(posts(rule, baseline, copy), (*feedback, None), baseline.pre_activations, strict=True):
        want = error
        if b is not None:
            assert b.shape == (2, 3, a.shape[-1])
            want = torch.where(a[:, 0].abs() < 3.0 * (1 - 1e-6), (error @ b) * LeakyReLU().derivative(a[:, 0]), 0.0)
            assert (want == 0).any()
        torch.testing.assert_close(g, want)


@pytest.mark.parametrize(("name", "fans"), [("fa", (40, 30)), ("dfa", (40, 30))])
@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_the_law_of_random_feedback(lab, name, fans, gain):
    """Mean 0, variance 2 gain^2 / fan_in (fa) or / results (dfa): n entries each, z bounds for eight tests."""
    bench = lab.bench([8, *fans, 25], chips=3)
    copy = Copy(bench.rig.network, tuple(bench.weights), Periphery((None,) * 3), bench.rig.limits)
    feedback = RULES[name](gain=gain).init(copy, generators(3)).feedback
    bound = stats.norm.isf(1e-4 / 2 / 8)
    for b, fan in zip(feedback, fans, strict=True):
        n, sd = b.numel(), gain * math.sqrt(2 / fan)
        assert abs(b.mean()) < bound * sd / math.sqrt(n)
        assert abs(b.var() / sd**2 - 1) < bound * math.sqrt(2 / n)
        assert not torch.equal(b[0], b[1]), "each chip has its own"


def test_gain_zero_teaches_the_output_layer_alone(lab):
    bench, copy = clipping(lab)
    baseline, _ = bench.observe(RULES["fa"]())
    for name in ("fa", "dfa"):
        *hidden, last = posts(RULES[name](gain=0.0), baseline, copy)
        assert not any(g.any() for g in hidden)
        assert last.any()


def test_what_diagnostics_compare_with_the_weights(lab):
    bench, copy = clipping(lab)
    for name, settings in [("fa", {}), ("learned_feedback", {}), ("synthetic_gradient", {}), ("matching", {})]:
        rule = RULES[name](**settings)
        first, *others = rule.feedback(copy, rule.init(copy, generators(2)))
        assert first is None
        layers = bench.rig.network.layers[1:]
        assert [b.shape for b in others] == [(2, layer.columns, layer.fan_in) for layer in layers]
    rule = RULES["learned_feedback"](form="dfa")
    assert rule.feedback(copy, rule.init(copy, generators(2))) is None


def test_direct_feedback_is_no_alias():
    """A leading d stands for decorrelation, but not here."""
    assert "dfa" not in DECORRELATED
    assert DECORRELATED["ddfa"] == "dfa"
    scenario = load_scenario("feedback-weights")
    assert {name: arm.rule for name, arm in scenario.arms.items()} == {
        "bp": "bp",
        "fa": "fa",
        "dfa": "dfa",
        "learned": "learned_feedback",
        "learned-dfa": "learned_feedback",
    }
    assert all(arm.decorrelation is None for arm in scenario.arms.values())
