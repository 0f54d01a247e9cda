"""Angle and covariance of node perturbation's updates: closed forms, and the project's own rule on ideal chips."""

import math

import numpy as np
import pytest
import torch

from analogsim.theory import StudentTeacher, mean_cosine, update_covariance

SAMPLES, DRAWS = 8, 200_000


class Repeated:
    """A few samples, each drawn at random for every place of a batch: data with a law that is known."""

    def __init__(self, task, inputs, targets, count, seed):
        self.loss = task.loss
        self.which = torch.randint(len(inputs), (count,), generator=torch.Generator().manual_seed(seed))
        self._batch = (inputs[None, self.which], targets[None, self.which])

    def next_batch(self):
        return self._batch


def test_one_unit_is_the_arcsine_law():
    for share in (0.0, 0.3, 0.8, 1.0):
        assert mean_cosine(1, share) == pytest.approx(2 / math.pi * math.asin(share), rel=1e-12)


def test_a_perturbation_of_one_layer_alone_is_a_random_direction():
    """share 1: E|u_1| of a direction u in L dimensions: 1/2 in three, 2/pi in two; continuous in the share."""
    assert mean_cosine(2) == pytest.approx(2 / math.pi, rel=1e-12)
    assert mean_cosine(3) == pytest.approx(0.5, rel=1e-12)
    for units in (2, 7, 29, 30, 1000):
        expected = math.exp(math.lgamma(units / 2) - math.lgamma((units + 1) / 2)) / math.sqrt(math.pi)
        assert mean_cosine(units) == pytest.approx(expected, rel=1e-10)
        assert mean_cosine(units, 1 - 1e-12) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("share", [0.1, 0.7, 1.0])
def test_wide_layers_stay_below_the_published_bound_and_near_the_limit(share):
    for units in (1, 4, 64, 4096):
        assert mean_cosine(units, share) <= units**-0.5
    assert mean_cosine(4096, share) == pytest.approx(math.sqrt(2 / math.pi) * share / 64, rel=1e-3)


def test_the_closed_form_is_the_mean_over_perturbations(judge):
    """Plain draws of xi: n = 400,000, four layers of a network at once."""
    rng = np.random.default_rng(3)
    gradients = [rng.standard_normal(n) * scale for n, scale in ((5, 1.0), (2, 2.0), (1, 0.5), (12, 0.3))]
    xi = [rng.standard_normal((400_000, len(g))) for g in gradients]
    signal = sum(x @ g for x, g in zip(xi, gradients, strict=True))
    total = math.sqrt(sum(g @ g for g in gradients))
    found = [
        np.sign(signal) * (x @ g) / np.linalg.norm(x, axis=1) / np.linalg.norm(g)
        for x, g in zip(xi, gradients, strict=True)
    ]
    expected = [mean_cosine(len(g), np.linalg.norm(g) / total) for g in gradients]
    largest, bound = judge.largest_z(np.stack(found, axis=1), np.array(expected))
    assert largest < bound


def test_the_rules_cosine_falls_with_the_root_of_the_width(hiratani, judge):
    """10-width-5 on ideal chips, widths 16 to 1024, n = 1500 samples at each: exponent -1/2 in the hidden layer.

    Bounds: 4 standard errors of the fit, Bonferroni's bound for each width; an exponent of -0.55 would be seen.
    """
    widths, means = (16, 32, 64, 128, 256, 512, 1024), []
    for width in widths:
        (cosine, share), (last, last_share) = hiratani.cosines(width, 1500)
        means.append((float(cosine.mean()), float(cosine.std()) / 1500**0.5))
        for units, found, shares in ((width, cosine, share), (5, last, last_share)):
            expected = np.array([mean_cosine(units, float(each)) for each in shares])
            largest, bound = judge.largest_z(found.numpy() - expected, 0.0, alpha=1e-5)
            assert largest < bound, (width, units)
    slope, error = hiratani.exponent(widths, *zip(*means, strict=True))
    assert error < 0.05 / 4
    assert abs(slope + 0.5) < 4 * error


def test_the_update_of_one_sample_is_an_outer_product(hiratani):
    """Cosines of matrices are those of the factors: pre is the same in update and gradient. An identity."""
    student = hiratani.Student(StudentTeacher(4, 6, 3), 5)
    updates, gradients = student.updates()
    x = torch.randn(5, 1, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    matrices = [each[0][:, 0, :, None] * x for each in (updates, gradients)]
    whole = torch.nn.functional.cosine_similarity(*(m.flatten(1) for m in matrices), dim=1)
    factor = torch.nn.functional.cosine_similarity(updates[0], gradients[0], dim=2)[:, 0]
    torch.testing.assert_close(whole, factor, rtol=1e-12, atol=1e-14)


@pytest.fixture(scope="module")
def measured(hiratani):
    """Updates of single samples less their mean (n, P), and the predicted covariance; 3-4-2, eight samples of data."""
    student = hiratani.Student(StudentTeacher(3, 4, 2), 1, noise=0.5, batch=SAMPLES)
    x, targets = (t[0] for t in student.task.next_batch())
    first, second = (w[0] for w in student.weights)
    error = x @ first.T @ second.T - targets
    gradients, inputs = [error @ second, error], [x, x @ first.T]
    student.task = Repeated(student.task, x, targets, DRAWS, 4)
    updates, _ = student.updates()
    pairs = zip(updates, inputs, strict=True)
    drawn = [torch.einsum("ni,nj->nij", post[0], v[student.task.which]).flatten(1) for post, v in pairs]
    pairs = zip(gradients, inputs, strict=True)
    mean = torch.cat([(g.T @ v).flatten() / SAMPLES for g, v in pairs])
    return torch.cat(drawn, dim=1) - mean, gradients, inputs


def entries(drawn, covariance):
    """Products of the updates in pairs, and what they are on average; each pair once."""
    i, j = torch.triu_indices(drawn.shape[1], drawn.shape[1])
    return (drawn[:, i] * drawn[:, j]).numpy(), covariance[i, j].numpy()


def test_the_rules_covariance_has_the_missing_term(judge, measured):
    """Eq. 8 with <g x^T> (x) <g x^T>, all 210 entries, n = 200,000 draws; without it, and with a sum over layers that
    stops at the layer itself, outside of the same bound."""
    drawn, gradients, inputs = measured
    covariance = update_covariance(gradients, inputs)
    products, expected = entries(drawn, covariance.total)
    largest, bound = judge.largest_z(products, expected)
    assert largest < bound
    largest, _ = judge.largest_z(products, entries(drawn, covariance.published)[1])
    assert largest > 1.5 * bound

    size = gradients[0].shape[1] * inputs[0].shape[1]
    power = gradients[0].square().sum(1)
    stops = torch.kron(
        torch.eye(4, dtype=power.dtype), torch.einsum("m,mi,mj->ij", power, inputs[0], inputs[0]) / SAMPLES
    )
    partial = covariance.total.clone()
    partial[:size, :size] += stops - covariance.noise[:size, :size]
    largest, _ = judge.largest_z(products, entries(drawn, partial)[1])
    assert largest > 1.5 * bound


def test_the_covariance_of_gradients_is_that_of_numpy(measured):
    _, gradients, inputs = measured
    single = torch.cat([torch.einsum("mi,mj->mij", g, x).flatten(1) for g, x in zip(gradients, inputs, strict=True)], 1)
    expected = np.cov(single.numpy(), rowvar=False, bias=True)
    np.testing.assert_allclose(update_covariance(gradients, inputs).gradient.numpy(), expected, rtol=1e-10, atol=1e-12)


def test_one_sample_has_no_covariance_of_gradients():
    g, x = [torch.ones(1, 2), torch.ones(1, 1)], [torch.ones(1, 3), torch.ones(1, 2)]
    found = update_covariance(g, x)
    assert not found.gradient.any()
    assert torch.equal(found.total, found.mean + found.noise)


def test_wrong_arguments_are_told():
    with pytest.raises(ValueError, match=r"a share is between 0 and 1 \(got 3, 1\.5"):
        mean_cosine(3, 1.5)
    with pytest.raises(ValueError, match=r"the same samples for each layer .got \[2, 3\] samples"):
        update_covariance([torch.ones(2, 1)], [torch.ones(3, 1)])
