"""Teachers: what they draw, and what follows from it."""

import math

import pytest
import torch

from analogsim.network import LeakyReLU
from analogsim.tasks.teacher_set import teacher_set


def test_a_linear_teacher_is_found_by_least_squares() -> None:
    data = teacher_set(inputs=6, outputs=3, train=50, test=20)
    a = torch.linalg.lstsq(data.train_inputs.double(), data.train_targets.double()).solution
    torch.testing.assert_close(data.test_inputs.double() @ a, data.test_targets.double(), atol=1e-5, rtol=1e-5)
    assert not data.classes


def test_weights_have_the_variance_of_the_law() -> None:
    """n = 12,000 weights of variance 2/160: their mean square has the relative standard deviation sqrt(2 / n)."""
    data = teacher_set(inputs=100, outputs=120, train=300)
    a = torch.linalg.lstsq(data.train_inputs.double(), data.train_targets.double()).solution
    assert a.square().mean().item() == pytest.approx(2 / 220, rel=4 * math.sqrt(2 / a.numel()))


def test_noise_is_what_is_left() -> None:
    """2,000 samples of 3 outputs: the mean square has the relative standard deviation sqrt(2 / 6,000)."""
    clean, noisy = (teacher_set(inputs=5, outputs=3, noise=s, train=2000, test=2000) for s in (0.0, 0.3))
    for left in (noisy.train_targets - clean.train_targets, noisy.test_targets - clean.test_targets):
        assert left.square().mean().item() == pytest.approx(0.09, rel=4 * math.sqrt(2 / left.numel()))
    assert torch.equal(noisy.train_inputs, clean.train_inputs)
    first = (noisy.train_targets - clean.train_targets)[0]
    assert not torch.allclose(first, (noisy.test_targets - clean.test_targets)[0])


def test_inputs_are_standard_normal_and_splits_differ() -> None:
    data = teacher_set(inputs=20, train=2000, test=2000)
    for x in (data.train_inputs, data.test_inputs):
        assert abs(x.mean().item()) < 4 / math.sqrt(x.numel())
        assert x.var().item() == pytest.approx(1, rel=4 * math.sqrt(2 / x.numel()))
    assert not (data.test_inputs[:100, None] == data.train_inputs).all(2).any()


def test_more_samples_have_the_same_first_ones_and_a_seed_its_own() -> None:
    few = teacher_set(train=10, noise=0.3)
    many, other = teacher_set(train=5000, test=300, noise=0.3), teacher_set(train=10, noise=0.3, seed=1)
    for found, first in ((many.train_inputs, few.train_inputs), (many.test_inputs, few.test_inputs)):
        assert torch.equal(found[: len(first)], first)
    for found, first in ((many.train_targets, few.train_targets), (many.test_targets, few.test_targets)):
        torch.testing.assert_close(found[: len(first)], first)
    assert not torch.allclose(other.train_inputs, few.train_inputs)
    assert torch.equal(teacher_set(train=10, noise=0.3).train_targets, few.train_targets)


def test_hidden_units_have_their_function() -> None:
    """A teacher without noise and biases: ReLU is homogeneous, tanh is not; neither is linear."""
    x = teacher_set(inputs=4, outputs=2, hidden=(8,), train=200)
    relu = teacher_set(inputs=4, outputs=2, hidden=(8,), activation=LeakyReLU(0.0), train=200)
    assert torch.equal(x.train_inputs, relu.train_inputs)
    assert not torch.allclose(x.train_targets, relu.train_targets)
    for data in (x, relu):
        found = torch.linalg.lstsq(data.train_inputs, data.train_targets)
        left = data.train_inputs @ found.solution - data.train_targets
        assert left.square().mean() > 0.01 * data.train_targets.square().mean()


def test_classes_are_the_largest_output() -> None:
    numbers, classes = (teacher_set(inputs=5, outputs=4, hidden=(10,), noise=0.2, classes=c) for c in (False, True))
    assert classes.classes
    assert torch.equal(classes.train_targets.argmax(1), numbers.train_targets.argmax(1))
    assert torch.equal(classes.test_targets.sum(1), torch.ones(200))
    assert (classes.train_targets.sum(0) > 0).all()
