"""The I-V curve of a device: exact at its ends, and ohmic where it should be."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from device_models.effect import Site
from device_models.iv import Conduction, SinhConduction

R = 6.0  # full-scale input


def _build(kappa: Any, chips: int = 1, dtype: torch.dtype = torch.float64) -> Conduction:
    site = Site(chips, 0.0, 25e-6, torch.device("cpu"), dtype)
    if isinstance(kappa, float) and kappa > 100:  # beyond what a profile may say, to see that nothing overflows
        return Conduction(torch.tensor([kappa], dtype=dtype))
    return SinhConduction.model_validate({"kappa": kappa}).build(site)


def _inputs(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """From -R to R over 0, each with its exact opposite, (1, 401)."""
    positive = torch.linspace(0, R, 201, dtype=dtype)
    return torch.cat([-positive[1:].flip(0), positive])[None]


@pytest.mark.parametrize("kappa", [1e-6, 1e-3, 0.1, 0.8, 3.0, 20.0])
def test_the_curve_is_the_hyperbolic_sine(kappa: float) -> None:
    x = _inputs()
    expected = [R * math.sinh(kappa * v / R) / math.sinh(kappa) for v in x[0].tolist()]
    torch.testing.assert_close(
        _build(kappa).current(x, R)[0], torch.tensor(expected, dtype=torch.float64), rtol=1e-13, atol=1e-15
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kappa", [0.0, 1e-30, 1e-9, 1e-8, 1e-3, 0.8, 5.0, 80.0, 1e4])
def test_odd_monotone_and_exact_at_the_ends(kappa: float, dtype: torch.dtype) -> None:
    x = _inputs(dtype)
    y = _build(kappa, dtype=dtype).current(x, R)
    assert y.dtype == dtype
    assert torch.equal(y[:, [0, 200, 400]], torch.tensor([[-R, 0.0, R]], dtype=dtype))
    assert torch.equal(y, -y.flip(1))
    assert (y.diff() >= 0).all()
    assert (y.abs() <= x.abs() * (1 + 4 * torch.finfo(dtype).eps)).all()


def test_an_ohmic_device_changes_no_bit() -> None:
    x = torch.randn(1, 1000, generator=torch.Generator().manual_seed(1)) * R
    assert torch.equal(_build(0.0, dtype=torch.float32).current(x, R), x)


@pytest.mark.parametrize("kappa", [1e-10, 9.9e-10, 1e-9, 1e-8, 5e-7, 1e-5])
def test_small_curvature_follows_its_series(kappa: float) -> None:
    """f = x (1 - kappa^2 (1 - u^2) / 6 + O(kappa^4)), without a step where the ohmic branch begins."""
    x = _inputs()
    series = x * (1 - kappa**2 * (1 - (x / R).square()) / 6)
    torch.testing.assert_close(_build(kappa).current(x, R), series, rtol=1e-15 * 4, atol=0)


def test_full_scale_over_half_scale() -> None:
    half = _build(0.8).current(torch.tensor([[R / 2]], dtype=torch.float64), R).item()
    assert R / half == pytest.approx(2 * math.cosh(0.4), rel=1e-14)


def test_each_chip_has_its_own_curve() -> None:
    x = _inputs().expand(3, -1)[:, None].contiguous()
    y = _build({"each": [0.0, 0.8, 3.0]}, chips=3).current(x, R)
    assert y.shape == x.shape
    for chip, kappa in enumerate((0.0, 0.8, 3.0)):
        assert torch.equal(y[chip], _build(kappa).current(x[chip], R))


@pytest.mark.parametrize("kappa", [-0.1, math.inf, "0.8 V"])
def test_a_curvature_that_is_none_is_refused(kappa: object) -> None:
    with pytest.raises(ValidationError):
        SinhConduction.model_validate({"kappa": kappa})
