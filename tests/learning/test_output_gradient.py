"""The output gradient from a scalar loss, and the contrasts that it is made of."""

from __future__ import annotations

import pytest
import torch

from analogsim.learning.contrasts import Contrasts
from analogsim.learning.output_gradient import least_squares_gradient, scaled_gradient, shape_of
from analogsim.network import Dense, Identity

C, B, N = 2, 5, 4


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear(samples, chips=C, batch=B, seed=0, mixing=None, offset=0.0):
    """Activities (C, S, B, N) and the losses g . a of a linear loss, with its g."""
    g, a = normal(chips, batch, N, seed=seed + 1), normal(chips, samples, batch, N, seed=seed + 2)
    if mixing is not None:
        a = a @ mixing.T
    return (torch.einsum("csbn,cbn->csb", a, g) + offset), a + offset, g


@pytest.mark.parametrize("samples", [N + 1, 12])
def test_enough_contrasts_give_a_linear_losses_gradient_exactly(samples):
    """K >= N and ridge -> 0: least squares has no noise left, whatever directions were drawn."""
    loss, a, g = linear(samples)
    found, silent = least_squares_gradient(Contrasts.of("gram", loss, [a]), None, 1e-11)
    torch.testing.assert_close(found, g, rtol=1e-5, atol=1e-5)
    assert not silent.any()
    rough, _ = scaled_gradient(Contrasts.of("power", loss, [a]))
    assert (rough - g).norm() > 0.2 * g.norm(), "the scaled mean is noisy with as many"


@pytest.mark.parametrize("ridge", [1e-6, 0.1, 1e3])
def test_one_contrast_is_the_scaled_direction(ridge):
    loss, a, _ = linear(2)
    power, _ = scaled_gradient(Contrasts.of("power", loss, [a]))
    change, moved = (loss[:, 1] - loss[:, 0])[..., None], a[:, 1] - a[:, 0]
    torch.testing.assert_close(power, N * change * moved / moved.square().sum(-1, keepdim=True))
    found, _ = least_squares_gradient(Contrasts.of("gram", loss, [a]), None, ridge)
    torch.testing.assert_close(found, power, rtol=1e-8, atol=1e-10)


def test_a_large_ridge_is_the_scaled_mean():
    loss, a, _ = linear(4)
    scaled, _ = scaled_gradient(Contrasts.of("power", loss, [a]))
    found, _ = least_squares_gradient(Contrasts.of("gram", loss, [a]), None, 1e9)
    torch.testing.assert_close(found, scaled, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("output", "samples"), [("power", 2), ("gram", 2), ("gram", 4)])
def test_the_mean_over_isotropic_noise_is_the_gradient(lab, output, samples):
    """n = 4000 chips with one and the same g; at a ridge of 1e-6 and at 0.1 the regression's mean is g as well."""
    chips = 4000
    g = normal(1, 1, N, seed=3)
    a = normal(chips, samples, 1, N, seed=4)
    loss = torch.einsum("csbn,cbn->csb", a, g.expand(chips, 1, N))
    contrasts = Contrasts.of(output, loss, [a])
    for ridge in (1e-6, 0.1):
        found = scaled_gradient(contrasts) if output == "power" else least_squares_gradient(contrasts, None, ridge)
        if samples == 4 and ridge > 0.01:
            continue  # shrinkage and rank scatter together: nearly, not exactly unbiased
        largest, bound = lab.largest_t([found[0] - g])
        assert largest < bound
        largest, bound = lab.largest_t([found[0] - 0.8 * g])
        assert largest > bound, "n is too small to see a fifth missing"


def test_the_metric_undoes_unequal_noise(lab):
    """Mixed noise, one contrast: in the metric of its covariance the mean is g, without it it is not. n = 4000."""
    chips, mixing = 4000, torch.diag(torch.tensor([3.0, 1.0, 0.3, 1.0], dtype=torch.float64))
    mixing[0, 1] = 1.0
    g = normal(1, 1, N, seed=3)
    a = normal(chips, 2, 1, N, seed=4) @ mixing.T
    loss = torch.einsum("csbn,cbn->csb", a, g.expand(chips, 1, N))
    contrasts = Contrasts.of("gram", loss, [a])
    covariance = mixing @ mixing.T
    shape = (N * covariance / covariance.trace()).expand(chips, N, N)
    found, _ = least_squares_gradient(contrasts, shape, 1e-6)
    largest, bound = lab.largest_t([found - g])
    assert largest < bound
    plain, _ = least_squares_gradient(contrasts, None, 1e-6)
    largest, bound = lab.largest_t([plain - g])
    assert largest > bound


def test_the_shape_has_trace_n_and_weighs_elements_alike():
    """One element a thousand times louder than the others does not decide."""
    loss, a, _ = linear(30, batch=400)
    a = a * torch.tensor([2.0, 1.0, 1.0, 1.0])
    a[:, :, 0] *= 1e3
    shape = shape_of(Contrasts.of("gram", loss, [a]))
    torch.testing.assert_close(shape.diagonal(dim1=1, dim2=2).sum(1), torch.full((C,), N, dtype=a.dtype))
    ratio = shape[:, 0, 0] / shape[:, 1, 1]
    assert ((ratio > 3) & (ratio < 4.2)).all(), "4, less what scaling each element by its own trace takes"


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_no_movement_is_no_information(offset):
    loss, a, _ = linear(3, offset=offset)
    a[:, :, 1] = a[:, :1, 1]
    a[:, 1:, 2] = a[:, :1, 2] * (1 + 1e-16)
    for found, silent in (
        scaled_gradient(Contrasts.of("power", loss, [a])),
        least_squares_gradient(Contrasts.of("gram", loss, [a]), None, 0.1),
    ):
        assert silent.tolist() == [[False, True, True, False, False]] * C
        assert not found[:, 1:3].any()
        assert found.isfinite().all()
    still = Contrasts.of("gram", loss[:, :, 1:3], [a[:, :, 1:3]])
    assert not shape_of(still).any()


LAYER = Dense(3, N, Identity())
SPLITS = [[1] * 12, [5, 5, 2], [1, 11], [3, 4, 5]]


@pytest.mark.parametrize("kind", ["power", "gram", "variance", "covariance"])
@pytest.mark.parametrize("referenced", [False, True])
@pytest.mark.parametrize("sizes", SPLITS, ids=str)
def test_contrasts_do_not_depend_on_chunks(kind, referenced, sizes):
    loss, a, _ = linear(12, offset=10.0)
    reference = (normal(C, 1, B, seed=7), [normal(C, 1, B, N, seed=8)]) if referenced else None
    layers = [LAYER] if kind in ("variance", "covariance") else None
    whole = Contrasts.of(kind, loss, [a], reference, layers)
    parts = [
        Contrasts.of(kind, some, [part], reference, layers)
        for some, part in zip(loss.split(sizes, 1), a.split(sizes, 1), strict=True)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    assert (total.samples, total.free) == (12, 12 if referenced else 11)
    torch.testing.assert_close(total[4:], whole[4:], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["variance", "covariance"])
def test_second_moments_are_those_of_numpys_definition(kind):
    """Summed over batch elements: (G - 1) times the unbiased covariance of each."""
    loss, a, _ = linear(6)
    (found,) = Contrasts.of(kind, loss, [a], layers=[LAYER]).seconds
    each = torch.stack([torch.stack([torch.cov(a[c, :, b].T) for b in range(B)]).sum(0) for c in range(C)]) * 5
    torch.testing.assert_close(found, each if kind == "covariance" else each.diagonal(dim1=1, dim2=2))
