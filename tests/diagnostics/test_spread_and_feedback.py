"""Variances, covariances, dimensions; norms and agreement of feedback weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from analogsim.diagnostics import (
    METRICS,
    Spread,
    covariance,
    participation_ratio,
    relative_error,
    sign_agreement,
    weight_norm,
)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def test_a_running_variance_is_the_variance():
    draws = normal(9, 3, 4, 5) + 1e6
    spread = Spread.of(draws)
    torch.testing.assert_close(spread.mean, draws.mean(0))
    torch.testing.assert_close(spread.variance, draws.var(0), rtol=1e-6, atol=0)
    torch.testing.assert_close(spread.trace, draws.var(0).sum((1, 2)), rtol=1e-6, atol=0)
    with pytest.raises(ValueError, match="at least 2 draws \\(got 1\\)"):
        _ = Spread.of(draws[:1]).variance
    with pytest.raises(ValueError, match="no draws"):
        Spread.of([])


def test_covariance_is_numpys_for_each_chip():
    a, b = normal(2, 30, 4), normal(2, 30, 3, seed=1)
    for chip in range(2):
        both = np.cov(torch.cat([a, b], dim=2)[chip].numpy(), rowvar=False)
        torch.testing.assert_close(covariance(a)[chip], torch.from_numpy(both[:4, :4]))
        torch.testing.assert_close(covariance(a, b)[chip], torch.from_numpy(both[:4, 4:]))
    assert covariance(a.reshape(2, 30, 2, 2)).shape == (2, 4, 4)
    torch.testing.assert_close(covariance(a).diagonal(dim1=1, dim2=2), Spread.of(a.unbind(1)).variance)
    with pytest.raises(ValueError, match="at least 2 draws"):
        covariance(a[:, :1])
    with pytest.raises(ValueError, match="as many of both"):
        covariance(a, b[:, :5])


def test_participation_ratio_anchors():
    """n even dimensions give n, a line gives 1; unequal eigenvalues the ratio of their sums."""
    axes = torch.cat([torch.eye(6), -torch.eye(6)])[None].double()
    torch.testing.assert_close(participation_ratio(axes + 3), torch.tensor([6.0]).double())
    line = torch.linspace(0, 1, 9).double()[None, :, None] * normal(1, 1, 5)
    torch.testing.assert_close(participation_ratio(line), torch.tensor([1.0]).double())
    scales = torch.tensor([3.0, 2.0, 1.0, 0.0, 0.0, 0.0]).double()
    eigenvalues = scales.square()
    torch.testing.assert_close(
        participation_ratio(axes * scales), (eigenvalues.sum() ** 2 / eigenvalues.square().sum())[None]
    )
    assert participation_ratio(torch.ones(1, 4, 3)).isnan().all()


def test_participation_ratio_does_not_depend_on_its_way():
    """Few samples of many units go through the Gram matrix, turned by a rotation that adds idle units."""
    x = normal(3, 8, 5)
    many = x @ torch.linalg.qr(normal(3, 20, 5)).Q.mT
    assert x.shape[1] > x.shape[2]
    assert many.shape[1] < many.shape[2]
    torch.testing.assert_close(participation_ratio(many), participation_ratio(x))


def test_few_samples_make_a_participation_ratio_too_small():
    """As documented: 1 / (1/n + 1/B) of normal numbers; 400 replications, a bound of 4 standard errors + 1 / n B."""
    n, batch, replications = 20, 50, 400
    found = participation_ratio(normal(replications, batch, n))
    bound = 4 * float(found.std()) / math.sqrt(replications)
    assert float(found.mean()) == pytest.approx(1 / (1 / n + 1 / batch), abs=bound + 0.3)
    assert stats.ttest_1samp(found.numpy(), n).pvalue < 1e-10


def test_norms_errors_and_signs():
    w = torch.tensor([[[3.0, 0.0], [0.0, -4.0]], [[1.0, 1.0], [1.0, 1.0]]])
    assert weight_norm(w).tolist() == [5, 2]
    assert relative_error(w, w).tolist() == [0, 0]
    assert relative_error(torch.zeros_like(w), w).tolist() == [1, 1]
    assert relative_error(2 * w, w).tolist() == [1, 1]
    b = torch.tensor(
        [
            [[3.0, 1.0], [0.0, 2.0]],
            [
                [
                    0.1,
                    9.0,
                ],
                [-1.0, 2.0],
            ],
        ]
    )
    assert sign_agreement(b, w).tolist() == [0.5, 0.75]


def test_metrics_are_these():
    assert list(METRICS) == [
        "angle",
        "weight_norm",
        "participation_ratio",
        "update_variance",
        "feedback_alignment",
        "feedback_angle",
        "sign_agreement",
    ]
