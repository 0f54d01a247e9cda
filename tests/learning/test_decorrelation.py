"""Decorrelation: R <- R - rate offdiag(mean x* x*^T) R, and what it does to inputs."""

from __future__ import annotations

import pytest
import torch

from analogsim.learning import RULES, Controller, Decorrelation
from analogsim.network import Network


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def off_diagonal(x):
    """Mean squared correlation between different inputs, (C,); x: (C, M, n)."""
    moments = x.transpose(1, 2) @ x / x.shape[1]
    scale = moments.diagonal(dim1=1, dim2=2).sqrt()
    correlation = moments / (scale[:, :, None] * scale[:, None, :])
    n = x.shape[2]
    return (correlation.square().sum((1, 2)) - n) / (n * (n - 1))


@pytest.mark.parametrize(("batch", "n"), [(1, 4), (3, 4), (4, 4), (5, 4), (9, 4), (6, 1)])
def test_update_equals_the_formula_by_loops(batch, n):
    """Also where the batch is smaller than n, which takes another order of products."""
    rate = 0.05
    r, x = numbers(2, n, n), numbers(2, batch, n, seed=1)
    found = Decorrelation(rate=rate).update(r, x)
    for c in range(2):
        mean = [[sum(float(x[c, b, i] * x[c, b, j]) for b in range(batch)) / batch for j in range(n)] for i in range(n)]
        for i in range(n):
            for j in range(n):
                step = sum(mean[i][k] * float(r[c, k, j]) for k in range(n) if k != i)
                assert float(found[c, i, j]) == pytest.approx(float(r[c, i, j]) - rate * step, rel=1e-10, abs=1e-12)


def test_one_input_has_nothing_to_decorrelate():
    r = torch.full((1, 1, 1), 0.7)
    torch.testing.assert_close(Decorrelation(rate=0.5).update(r, torch.ones(1, 5, 1)), r)


@pytest.mark.parametrize("batch", [4, 50])
def test_correlation_falls(batch):
    """Inputs with a common part: repeated updates on new batches take the correlation away."""
    n, chips = 8, 3
    mixing = torch.eye(n, dtype=torch.float64) + 0.5
    decorrelation = Decorrelation(rate=0.03)
    r = torch.eye(n, dtype=torch.float64).repeat(chips, 1, 1)
    test = numbers(chips, 1000, n, seed=9) @ mixing.T
    before = off_diagonal(test)
    seen = []
    for step in range(120):
        x = numbers(chips, batch, n, seed=step) @ mixing.T
        r = decorrelation.update(r, x @ r.transpose(1, 2))
        if step % 30 == 29:
            seen.append(off_diagonal(test @ r.transpose(1, 2)))
    assert (before > 0.5).all()
    assert (seen[0] < before).all()
    assert (seen[-1] < 0.05 * before).all()


def test_starts_from_identity_without_the_bias():
    network = Network.mlp([5, 4, 3])
    matrices = Decorrelation().init(network, 2, torch.device("cpu"), torch.float64)
    assert [tuple(r.shape) for r in matrices] == [(2, 5, 5), (2, 4, 4)]
    for r in matrices:
        assert torch.equal(r, torch.eye(r.shape[1], dtype=torch.float64).expand_as(r))


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("samples", [1, 3])
def test_controller_updates_r_from_what_drove_the_rows(lab, name, samples):
    """Two steps by hand: R of every layer moves with the inputs of the rule's update, the bias row left out.

    The second step's inputs have gone through the first step's R.
    """
    bench = lab.bench([5, 4, 3], lab.profile(read=1), chips=2, batch=6)
    kind = RULES[name]
    rule = kind(samples=samples) if "samples" in kind.model_fields else kind()
    seen = []

    class Watched:
        def __getattr__(self, attribute):
            return getattr(rule, attribute)

        def update(self, baseline, estimate, *arguments):
            updates, state = rule.update(baseline, estimate, *arguments)
            observed = getattr(estimate, "inputs", None) or [x[:, 0] for x in baseline.inputs]
            for update, x in zip(updates, observed, strict=True):
                assert update.pre is None or torch.equal(update.pre, x), "a dense update has no inputs"
            seen.append([x.clone() for x in observed])
            return updates, state

    decorrelation = Decorrelation(rate=0.05)
    controller = Controller(bench.rig, Watched(), bench.weights, torch.optim.SGD, 1e-3, decorrelation)
    expected = list(controller.copy.periphery.decorrelation)
    for step in range(2):
        drove_the_first = bench.task.inputs @ expected[0].transpose(1, 2)
        controller.step()
        torch.testing.assert_close(seen[step][0][..., :5], drove_the_first)
        for index, x in enumerate(seen[step]):
            assert (x[..., -1] == 1).all(), "the bias input comes last and is not decorrelated"
            expected[index] = decorrelation.update(expected[index], x[..., :-1])
        for r, by_hand in zip(controller.copy.periphery.decorrelation, expected, strict=True):
            torch.testing.assert_close(r, by_hand)
            assert not torch.equal(r, torch.eye(r.shape[1], dtype=r.dtype).expand_as(r))


def test_training_decorrelates_every_layer(lab):
    """ANP on noisy chips with inputs that share a common part: correlations of both layers' inputs fall."""
    bench = lab.bench([8, 6, 3], lab.profile(read=0.5), chips=2, batch=40)
    bench.task.inputs += bench.task.inputs[:, :, :1] * 1.5
    rule = RULES["anp"]()
    seen = []

    class Watched:
        def __getattr__(self, attribute):
            return getattr(rule, attribute)

        def update(self, *arguments):
            updates, state = rule.update(*arguments)
            seen.append([off_diagonal(update.pre[..., :-1]) for update in updates])
            return updates, state

    controller = Controller(bench.rig, Watched(), bench.weights, torch.optim.SGD, 1e-6, Decorrelation(rate=0.03))
    for _ in range(50):
        controller.step()
    for before, after in zip(seen[0], seen[-1], strict=True):
        assert (after < 0.3 * before).all()
