"""Identification of one crossbar: closed forms of both estimators, and readings at the end of the converter's range."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from analogsim.learning.identification import Reading, nlms, rails_of, rls
from analogsim.network import Dense, Identity

COLUMNS, ROWS = 3, 8
LAYER = Dense(ROWS, COLUMNS, Identity(), bias=False)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def reading(weights, x, noise=0.0, limit=None, rails=True, seed=9):
    a = x @ weights.transpose(1, 2) + noise * normal(*x.shape[:2], COLUMNS, seed=seed)
    if limit is not None:
        a = a.clamp(-limit, limit)
    return Reading(LAYER, x, a, rails_of(a, a.abs(), limit) if rails else None, None)


@pytest.mark.parametrize("rate", [0.5, 1.5])
def test_nlms_shrinks_the_error_as_the_closed_form_says(rate):
    """White inputs, noise s, from W^ = 0. With u = v / ||v|| uniform on the sphere and M the mean of u u^T over B,

    E (I - rate M)^2 = q I,   q = 1 - 2 rate / n + rate^2 [1 / (B n) + (B - 1) / (B n^2)],

    and the noise adds rate^2 s^2 E[1 / ||v||^2] / B = rate^2 s^2 / (B (n - 2)) a column. n = 2000 chips, ten steps; the
    bound is Bonferroni's on |z| of ten means, at 1e-4.
    """
    chips, batch, steps, s = 2000, 5, 10, 2.0
    w, model, found = normal(chips, COLUMNS, ROWS), torch.zeros(chips, COLUMNS, ROWS, dtype=torch.float64), []
    for step in range(steps):
        seen = reading(w, normal(chips, batch, ROWS, seed=10 + step), s, seed=100 + step)
        model = model + nlms(model, seen, rate)
        found.append((model - w).square().sum((1, 2)))
    q = 1 - 2 * rate / ROWS + rate**2 * (1 / (batch * ROWS) + (batch - 1) / (batch * ROWS**2))
    added = COLUMNS * rate**2 * s**2 / (batch * (ROWS - 2))
    silent = expected = w.square().sum((1, 2))
    bound = stats.norm.isf(1e-4 / (2 * steps))
    for each in found:
        expected, silent = q * expected + added, q * silent
        deviation = each - expected
        assert deviation.mean().abs() < bound * deviation.std() / chips**0.5
    wrong = each - silent
    assert wrong.mean() > bound * wrong.std() / chips**0.5, "n is too small to see that the noise is missing"


def test_nlms_is_stable_below_a_rate_of_two_whatever_the_inputs():
    """One vector alone: the error along it is multiplied by 1 - rate, at any length of the vector."""
    w, x = normal(1, COLUMNS, ROWS), 1e3 * normal(1, 1, ROWS, seed=1)
    along = x / x.norm()
    for rate in (0.3, 1.9, 2.1):
        left = ((nlms(torch.zeros_like(w), reading(w, x), rate) - w) @ along.transpose(1, 2)).norm()
        torch.testing.assert_close(left, abs(1 - rate) * (w @ along.transpose(1, 2)).norm())


def test_a_vector_of_zeros_teaches_nothing():
    w = normal(1, COLUMNS, ROWS)
    assert not nlms(torch.zeros_like(w), reading(w, torch.zeros(1, 4, ROWS, dtype=torch.float64), 0.5), 1.0).any()


def run_rls(w, start, xs, forgetting, ridge, noise=0.3):
    model, information = start, torch.zeros(w.shape[0], ROWS, ROWS, dtype=w.dtype)
    data = []
    for index, x in enumerate(xs):
        seen = reading(w, x, noise, seed=50 + index)
        step, information = rls(model, information, seen, forgetting, ridge)
        model = model + step
        data.append(seen)
    return model, data


@pytest.mark.parametrize("forgetting", [1.0, 0.8])
def test_rls_is_the_least_squares_of_all_data(forgetting):
    """Against numpy on the same data, old rows weighted by forgetting^age; blocks of 5 vectors, 12 steps, 2 chips."""
    w = normal(2, COLUMNS, ROWS)
    model, data = run_rls(w, torch.zeros_like(w), normal(12, 2, 5, ROWS, seed=1), forgetting, 1e-9)
    for chip in range(2):
        weight = [forgetting ** ((len(data) - 1 - age) / 2) for age in range(len(data))]
        x = np.concatenate([k * each.inputs[chip].numpy() for k, each in zip(weight, data, strict=True)])
        a = np.concatenate([k * each.pre_activations[chip].numpy() for k, each in zip(weight, data, strict=True)])
        expected = np.linalg.lstsq(x, a, rcond=None)[0].T
        np.testing.assert_allclose(model[chip].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_rls_without_forgetting_is_the_ridge_towards_its_start():
    """(sum a v^T + ridge W_0)(sum v v^T + ridge I)^-1, before there are as many vectors as rows, too."""
    w, start, ridge = normal(2, COLUMNS, ROWS), normal(2, COLUMNS, ROWS, seed=5), 2.5
    for steps in (1, 6):
        model, data = run_rls(w, start, normal(steps, 2, 3, ROWS, seed=1), 1.0, ridge)
        x = torch.cat([each.inputs for each in data], dim=1)
        a = torch.cat([each.pre_activations for each in data], dim=1)
        gram = x.transpose(1, 2) @ x + ridge * torch.eye(ROWS, dtype=x.dtype)
        expected = (a.transpose(1, 2) @ x + ridge * start) @ torch.linalg.inv(gram)
        torch.testing.assert_close(model, expected, rtol=1e-9, atol=1e-11)


def test_rls_stays_bounded_where_inputs_fall_silent():
    """Half of the rows are driven for 30 steps and then never again, with noise: W^ does not wind up."""
    w, xs = normal(1, COLUMNS, ROWS), normal(600, 1, 4, ROWS, seed=1)
    xs[30:, :, :, : ROWS // 2] = 0
    xs[30:, :, :, 0] = 1e-6 * normal(570, 1, 4, seed=2)
    model, _ = run_rls(w, torch.zeros_like(w), xs, 0.9, 0.1)
    assert (model - w)[..., 1 : ROWS // 2].abs().max() < 1
    assert (model - w)[..., 0].abs().max() < 2


def test_a_large_common_input_does_not_break_least_squares_in_float32():
    """All inputs share a part 1e5 times their spread: P is singular to rounding, and its factor is still found."""
    w = normal(1, COLUMNS, ROWS).float()
    model, information = torch.zeros_like(w), torch.zeros(1, ROWS, ROWS)
    for index in range(200):
        x = 100 + 1e-3 * normal(1, 50, ROWS, seed=index).float()
        seen = Reading(LAYER, x, x @ w.transpose(1, 2), None, None)
        step, information = rls(model, information, seen, 1.0, 1.0)
        model = model + step
    assert model.isfinite().all()
    assert ((model - w) @ torch.ones(ROWS)).abs().max() < 1e-3 * (w @ torch.ones(ROWS)).abs().max()


@pytest.mark.parametrize("estimator", ["nlms", "rls"])
def test_clipped_readings_do_not_shrink_the_model(estimator):
    """A limit that clips a third of all readings. Taken as linear, they pull W^ towards 0; as bounds they do not."""
    w, limit = normal(1, COLUMNS, ROWS), 2.5
    models = {}
    for rails in (True, False):
        model, information = torch.zeros_like(w), torch.zeros(1, ROWS, ROWS, dtype=w.dtype)
        clipped = []
        for step in range(300):
            seen = reading(w, normal(1, 20, ROWS, seed=1000 + step), 0.0, limit, rails)
            clipped.append((seen.pre_activations.abs() == limit).double().mean())
            if estimator == "nlms":
                model = model + nlms(model, seen, 1.0)
            else:
                change, information = rls(model, information, seen, 0.9, 1.0)
                model = model + change
        models[rails] = model
    assert 0.25 < sum(clipped) / 300 < 0.5
    assert (models[True] - w).norm() < 0.02 * w.norm()
    assert models[False].norm() < 0.85 * w.norm()


def test_a_bound_teaches_where_the_model_lies_inside_of_it():
    """A column that always clips is raised until its model reaches the limit, and no further."""
    w, x = torch.full((1, COLUMNS, ROWS), 2.0, dtype=torch.float64), normal(1, 20, ROWS).abs()
    model = torch.zeros_like(w)
    for _ in range(400):
        model = model + nlms(model, reading(w, x, limit=1.0), 1.0)
    values = x @ model.transpose(1, 2)
    assert (values > 0.99).all()
    assert not nlms(w, reading(w, x, limit=1.0), 1.0).any(), "a model beyond the limit is left alone"


def test_rails_know_each_chips_limit_and_the_pass_that_clipped():
    mean = torch.tensor([[[0.9, -0.9, 0.5]], [[0.9, -0.9, 0.5]]])
    peak = torch.tensor([[[1.0, 1.0, 0.6]], [[1.0, 1.0, 0.6]]])
    expected = torch.tensor([[[1.0, -1.0, 0.0]], [[0.0, 0.0, 0.0]]])
    assert torch.equal(rails_of(mean, peak, torch.tensor([1.0, 2.0])), expected)
    assert rails_of(mean, peak, None) is None
