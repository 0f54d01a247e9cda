"""Estimates merge over memory chunks: a chunk's size changes nothing beyond rounding."""

from __future__ import annotations

import itertools

import pytest
import torch

from analogsim.learning import RULES, Controller, Decorrelation
from analogsim.learning.estimates import CoMoments, MeanEstimate
from analogsim.port import Observation

C, B, UNITS, ROWS = 3, 4, (5, 2), (7, 6)


def group(samples, offset=0.0, dtype=torch.float64, seed=0):
    """Losses (C, S, B), signals and inputs per layer (C, S, B, n): random numbers about an offset."""
    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape):
        return torch.randn(C, samples, B, *shape, generator=generator, dtype=dtype) + offset

    return numbers(), [numbers(n) for n in UNITS], [numbers(n) for n in ROWS]


def pieces(data, sizes):
    loss, signals, inputs = data
    split = zip(
        loss.split(sizes, 1),
        zip(*(s.split(sizes, 1) for s in signals), strict=True),
        zip(*(x.split(sizes, 1) for x in inputs), strict=True),
        strict=True,
    )
    return list(split)


def merged(parts):
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    return total


def flat(estimate):
    """Every tensor of an estimate by name."""
    for name, value in estimate._asdict().items():
        if isinstance(value, torch.Tensor):
            yield name, value
        elif isinstance(value, tuple):
            yield from ((f"{name}[{i}]", each) for i, each in enumerate(value))


def assert_same(a, b, rtol=1e-10):
    assert a.samples == b.samples
    for (name, x), (_, y) in zip(flat(a), flat(b), strict=True):
        torch.testing.assert_close(x, y, rtol=rtol, atol=rtol, msg=lambda text, name=name: f"{name}: {text}")


SPLITS = [[1] * 12, [2] * 6, [5, 5, 2], [1, 11], [11, 1], [3, 4, 5]]


@pytest.mark.parametrize("sizes", SPLITS, ids=str)
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_co_moments_do_not_depend_on_chunks(sizes, offset):
    data = group(12, offset)
    whole = CoMoments.of(*data)
    assert_same(whole, merged([CoMoments.of(*piece) for piece in pieces(data, sizes)]))


@pytest.mark.parametrize("sizes", SPLITS, ids=str)
@pytest.mark.parametrize("with_inputs", [True, False])
def test_means_do_not_depend_on_chunks(sizes, with_inputs):
    data = group(12)
    silent = torch.rand(C, 12, B, generator=torch.Generator().manual_seed(1)) < 0.3

    def of(loss, signals, inputs, silent):
        return MeanEstimate.of(loss, signals, silent, inputs if with_inputs else None)

    parts = [of(*piece, part) for piece, part in zip(pieces(data, sizes), silent.split(sizes, 1), strict=True)]
    assert_same(of(*data, silent), merged(parts))
    assert (merged(parts).inputs is None) == (not with_inputs)


def test_merging_is_associative():
    parts = [CoMoments.of(*piece) for piece in pieces(group(9), [2, 3, 4])]
    assert_same(parts[0].merge(parts[1]).merge(parts[2]), parts[0].merge(parts[1].merge(parts[2])))


def test_co_moments_equal_their_definition():
    """By naive loops, about means that are taken first."""
    loss, signals, inputs = data = group(6)
    found = CoMoments.of(*data)
    for c, b in itertools.product(range(C), range(B)):
        mean = sum(float(loss[c, k, b]) for k in range(6)) / 6
        assert float(found.loss[c, b]) == pytest.approx(mean)
        power = 0.0
        for index, s in enumerate(signals):
            for unit in range(s.shape[3]):
                values = [float(s[c, k, b, unit]) for k in range(6)]
                centre = sum(values) / 6
                products = sum((float(loss[c, k, b]) - mean) * (values[k] - centre) for k in range(6))
                power += sum((value - centre) ** 2 for value in values)
                assert float(found.products[index][c, b, unit]) == pytest.approx(products, abs=1e-12)
                assert float(found.signals[index][c, b, unit]) == pytest.approx(centre)
        assert float(found.power[c, b]) == pytest.approx(power)
    for x, mean_x in zip(inputs, found.inputs, strict=True):
        torch.testing.assert_close(mean_x, x.mean(1))


@pytest.mark.parametrize("sizes", [[7], [1] * 7, [3, 4]], ids=str)
def test_identical_passes_give_exact_zeros(sizes):
    """In float32, where sums of squares minus squared means would leave rounding errors that ANP divides by."""
    loss, signals, inputs = group(1, offset=10.0, dtype=torch.float32)
    data = (loss.repeat(1, 7, 1), [s.repeat(1, 7, 1, 1) for s in signals], [x.repeat(1, 7, 1, 1) for x in inputs])
    found = merged([CoMoments.of(*piece) for piece in pieces(data, sizes)])
    assert not found.power.any()
    assert not any(p.any() for p in found.products)
    assert torch.equal(found.loss, loss[:, 0])
    for s, first in zip(found.signals, signals, strict=True):
        assert torch.equal(s, first[:, 0])


def test_a_common_offset_costs_no_digits():
    """Float32 signals about 1000: deviations from the first sample keep what a sum of squares would lose."""
    loss, signals, inputs = group(5, dtype=torch.float64)
    steps = [(s * 8).round() / 8 for s in signals]  # exact in float32, with and without the offset
    losses = (loss * 8).round() / 8
    exact = CoMoments.of(losses, steps, inputs)
    shifted = [(s + 1000).float() for s in steps]
    found = CoMoments.of((losses + 1000).float(), shifted, [x.float() for x in inputs])
    torch.testing.assert_close(found.power.double(), exact.power, rtol=1e-5, atol=1e-5)
    for p, q in zip(found.products, exact.products, strict=True):
        torch.testing.assert_close(p.double(), q, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("baseline", ["clean", "shared", "pairs", "centred"])
@pytest.mark.parametrize("name", ["np", "anp"])
def test_trajectory_does_not_depend_on_chunks(lab, name, baseline):
    """Five steps of a controller with decorrelation, float64; the chips draw the same numbers in any chunks."""
    ends = []
    for chunk in (1, 2, 3, None):
        bench = lab.bench([4, 6, 3], lab.profile(read=1, bits=10), chips=2, batch=5, loss="cross_entropy")
        rule = RULES[name](baseline=baseline, samples=5)
        controller = Controller(
            bench.rig, rule, bench.weights, torch.optim.SGD, 0.02, Decorrelation(rate=1e-3), chunk=chunk
        )
        for _ in range(5):
            controller.step()
        ends.append([*controller.copy.weights, *controller.copy.periphery.decorrelation])
    assert all(not torch.equal(a, b) for a, b in zip(ends[0], bench.weights, strict=False)), "nothing moved"
    for other in ends[1:]:
        for a, b in zip(ends[0], other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


class TestTwoPasses:
    """A group of two is the two-pass rule."""

    @staticmethod
    def observed(dtype=torch.float64):
        generator = torch.Generator().manual_seed(2)

        def numbers(*shape):
            return torch.randn(C, 2, B, *shape, generator=generator, dtype=dtype)

        injected = tuple(numbers(n) for n in UNITS)
        return Observation(numbers(), tuple(numbers(n) for n in ROWS), tuple(numbers(n) for n in UNITS), injected)

    @staticmethod
    def one(seen, k):
        """Sample k of an observation."""
        return Observation(*(None if f is None else
                             f[:, k : k + 1] if isinstance(f, torch.Tensor) else tuple(t[:, k : k + 1] for t in f)
                             for f in seen))  # fmt: skip

    def test_anp_equals_pairs_on_the_same_observations(self, lab):
        bench = lab.bench([6, 5, 2], chips=C)
        seen = self.observed()
        centred = RULES["anp"](baseline="centred")
        pairs = RULES["anp"](baseline="pairs")
        network = bench.rig.network
        assert centred.plan(network).samples == 2
        estimate = centred.estimate(None, (seen,), network)
        updates, _ = bench.update(centred, None, estimate)
        for swapped in (False, True):
            first, second = (self.one(seen, k) for k in ((1, 0) if swapped else (0, 1)))
            difference = pairs.estimate(None, (first, second), network)
            for a, b in zip(updates, difference.directions, strict=True):
                torch.testing.assert_close(a.post, b, rtol=1e-12, atol=1e-14)
        for a, x in zip(updates, seen.inputs, strict=True):
            torch.testing.assert_close(a.pre, x.mean(1))

    def test_np_is_half_the_product_of_differences(self, lab):
        bench = lab.bench([6, 5, 2], chips=C)
        seen = self.observed()
        rule = RULES["np"](sigma=0.3, baseline="centred")
        estimate = rule.estimate(None, (seen,), bench.rig.network)
        change = seen.loss[:, 1] - seen.loss[:, 0]
        updates, _ = bench.update(rule, None, estimate)
        for a, eps in zip(updates, seen.injected, strict=True):
            expected = change[..., None] * (eps[:, 1] - eps[:, 0]) / (2 * 0.3**2)
            torch.testing.assert_close(a.post, expected, rtol=1e-12, atol=1e-14)
