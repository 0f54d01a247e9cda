"""Angles: exact where the arc cosine is not, and merged over samples."""

from __future__ import annotations

import math

import pytest
import torch

from analogsim.diagnostics import angle, angles_against_samples
from analogsim.learning import RULES
from analogsim.network import Identity, Network
from analogsim.port import LayerWrite
from analogsim.randomness import Purpose

SIZES = [5, 7, 6, 3]


@pytest.mark.parametrize("degrees", [0.0, 1e-12, 1e-7, 1e-3, 30.0, 90.0, 135.0, 180 - 1e-7, 180.0])
def test_known_angles_to_full_precision(degrees):
    radians = math.radians(degrees)
    a = torch.tensor([[1.0, 0.0], [3.0, 0.0]], dtype=torch.float64)
    b = torch.tensor([[math.cos(radians), math.sin(radians)]], dtype=torch.float64).expand(2, 2) * 1e-3
    torch.testing.assert_close(angle(a, b), torch.full((2,), degrees, dtype=torch.float64), rtol=1e-8, atol=2e-14)
    torch.testing.assert_close(angle(b, a), angle(a, b), rtol=1e-12, atol=1e-14)


def test_lengths_and_shapes_do_not_matter():
    source = torch.Generator().manual_seed(0)
    a, b = (torch.randn(4, 3, 5, generator=source).double() for _ in range(2))
    plain = angle(a, b)
    cosine = torch.nn.functional.cosine_similarity(a.flatten(1), b.flatten(1))
    torch.testing.assert_close(plain, torch.rad2deg(torch.arccos(cosine)), rtol=1e-12, atol=0)
    torch.testing.assert_close(angle(a * 1e-200, b * 1e200), plain, rtol=1e-12, atol=0)
    torch.testing.assert_close(angle(a, -b), 180 - plain, rtol=1e-12, atol=0)


def test_no_direction_has_no_angle():
    a, b = torch.ones(3, 2), torch.tensor([[0.0, 0.0], [math.inf, 1.0], [1.0, 1.0]])
    assert angle(a, b).isnan().tolist() == [True, True, False]
    with pytest.raises(ValueError, match=r"same shape .*got \(3, 2\) and \(3, 3\)"):
        angle(a, torch.ones(3, 3))


@pytest.mark.parametrize("name", ["np", "anp"])
@pytest.mark.parametrize("baseline", ["clean", "pairs", "centred"])
@pytest.mark.parametrize("chunk", [None, 2])
def test_merged_samples_are_all_samples_at_once(make, name, baseline, chunk):
    """Each number of samples as if it had been drawn alone: the streams give the same in one call or several."""
    profile = {"read_noise": {"kind": "additive", "sigma": "2 %"}}
    rule = RULES[name](sigma=0.2, baseline=baseline)
    counts = [2, 3, 7]

    def fresh():
        bench = make(SIZES, profile)
        copy = bench.copy()
        return bench, copy, rule.init(copy, [torch.Generator() for _ in range(2)])

    bench, copy, state = fresh()
    reference = bench.rig.gradient().weights
    found = angles_against_samples(rule, bench.rig, copy, state, counts, reference, chunk)
    assert [tuple(layer.shape) for layer in found] == [(3, 2)] * 3
    for index, count in enumerate(counts):
        bench, copy, state = fresh()
        plan = rule.plan(bench.rig.network)
        seen = None if plan.baseline is None else bench.rig.run((plan.baseline,))[0].clone()
        estimate = rule.estimate(seen, bench.rig.run(plan.probes, count), bench.rig.network)
        updates, _ = rule.update(seen, estimate, None, copy, state)
        for layer, update, g in zip(found, updates, reference, strict=True):
            torch.testing.assert_close(layer[index], angle(update.direction(), g), rtol=1e-9, atol=0)


@pytest.mark.parametrize("baseline", ["shared", "pairs"])
def test_a_vector_goes_back_through_the_devices(make, baseline):
    """Of devices that hold -W, not the controller's copy W: a transposed read turns the hidden layers' updates round.

    Without noise and with linear units the way back is linear in the weights of each layer that it passes.
    """
    found = {}
    for backward in ("copy", "transposed"):
        bench = make(Network.mlp(SIZES, Identity()))
        bench.rig.write(tuple(LayerWrite(-w) for w in bench.weights))
        rule = RULES["reinforce"](sigma=0.2, backward=backward, baseline=baseline)
        state = rule.init(bench.copy(), [torch.Generator() for _ in range(2)])
        reference = bench.rig.gradient().weights
        found[backward] = angles_against_samples(rule, bench.rig, bench.copy(), state, [2, 5], reference)
    first, middle, last = zip(*found.values(), strict=True)
    torch.testing.assert_close(first[1], first[0], rtol=1e-9, atol=0)  # two layers with the other sign
    torch.testing.assert_close(middle[1], 180 - middle[0], rtol=1e-9, atol=0)  # one
    torch.testing.assert_close(last[1], last[0], rtol=1e-9, atol=0)


def test_more_samples_come_closer(make):
    """NP without other noise is unbiased: tangents of angles fall tenfold from 40 samples to 4000, in the median."""
    bench = make(SIZES, chips=8)
    rule = RULES["np"](sigma=1e-4, baseline="clean")
    state = rule.init(bench.copy(), [torch.Generator() for _ in range(8)])
    found = angles_against_samples(rule, bench.rig, bench.copy(), state, [40, 4000], bench.rig.gradient().weights)
    for layer in found:
        few, many = torch.tan(torch.deg2rad(layer)).median(1).values
        assert 5 < few / many < 20


def test_what_cannot_be_swept_is_refused(make):
    bench = make(SIZES)
    rule = RULES["bp"]()
    with pytest.raises(ValueError, match="rule 'bp' draws no samples"):
        angles_against_samples(rule, bench.rig, bench.copy(), None, [1], ())
    for counts in ([], [0, 1], [3, 2]):
        with pytest.raises(ValueError, match="counts must be positive and rise"):
            angles_against_samples(RULES["np"](), bench.rig, bench.copy(), None, counts, ())


def test_streams_set_aside_leave_no_trace(make):
    """Inside, numbers depend on the start alone; outside, they go on as if nothing had been drawn."""
    streams, other = (make(SIZES).rig.chip.streams for _ in range(2))

    def numbers(of, purpose=Purpose.READ):
        return of.draw(purpose, 0, 1, (4,), torch.float64)

    numbers(streams), numbers(other)
    with streams.aside(3):
        first = numbers(streams)
        numbers(streams, Purpose.INJECTION)
        with streams.aside(4):
            assert not torch.equal(numbers(streams), first)
        second = numbers(streams)
    with streams.aside(3):
        assert torch.equal(numbers(streams), first)
        assert torch.equal(numbers(streams), second)
    assert not torch.equal(first, second)
    assert streams.state_dict()["generators"].keys() == other.state_dict()["generators"].keys()
    assert torch.equal(numbers(streams), numbers(other))
    with pytest.raises(KeyError), streams.aside(1):
        raise KeyError
    assert torch.equal(numbers(streams), numbers(other)), "also after an error"
