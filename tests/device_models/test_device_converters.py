"""DACs and ADCs: levels, clipping, and the gain of a vector."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from device_models import ADC, DAC

BITS = [2, 3, 5, 8, 12]
RANGES = [0.7, 1.0, 6.0, 12.0]


def _ramp(bound: float, count: int = 20_001) -> Tensor:
    return torch.linspace(-1.5 * bound, 1.5 * bound, count, dtype=torch.float64)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("bound", RANGES)
@pytest.mark.parametrize("kind", [DAC, ADC])
def test_levels_are_equidistant_symmetric_and_zero_is_one(kind: type[DAC | ADC], bits: int, bound: float) -> None:
    converter = kind(bits=bits, range=bound)
    x = _ramp(bound)
    y = converter.encode(x)[0] if isinstance(converter, DAC) else converter.decode(x)
    levels = y.unique()
    assert len(levels) == 2**bits - 1
    assert converter.step == 2 * bound / (2**bits - 2)
    # A level is k step with one rounding; the difference of two is exact to a rounding of each.
    torch.testing.assert_close(levels.diff(), torch.full_like(levels[1:], converter.step), rtol=0, atol=2e-16 * bound)
    assert torch.equal(levels, -levels.flip(0))
    assert levels[len(levels) // 2] == 0
    torch.testing.assert_close(levels[-1].item(), bound, rtol=3e-16, atol=0)


@pytest.mark.parametrize("bits", BITS)
def test_inside_the_range_the_error_is_at_most_half_a_step_and_beyond_it_clips(bits: int) -> None:
    adc = ADC(bits=bits, range=3.0)
    x = _ramp(3.0)
    y = adc.decode(x)
    inside = x.abs() <= 3.0
    assert (y - x)[inside].abs().max() <= adc.step / 2 * (1 + 1e-12)
    torch.testing.assert_close(y[~inside], 3.0 * x[~inside].sign(), rtol=3e-16, atol=0)
    assert (y.diff() >= 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("bound", RANGES)
def test_levels_stand_for_themselves(bits: int, bound: float, dtype: torch.dtype) -> None:
    x = _ramp(bound).to(dtype)
    dac, adc = DAC(bits=bits, range=bound), ADC(bits=bits, range=bound)
    once, gain = dac.encode(x)
    assert gain is None
    assert torch.equal(dac.encode(once)[0], once)
    assert torch.equal(adc.decode(adc.decode(x)), adc.decode(x))
    assert torch.equal(x, _ramp(bound).to(dtype)), "a converter must not write into its input"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_levels_of_a_scaled_vector_stand_for_themselves(dtype: torch.dtype) -> None:
    dac = DAC(bits=8, range=6.0, scaling="per_vector")
    x = torch.randn(200, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    once, _ = dac.encode(x)
    twice, _ = dac.encode(once)
    # Same levels; only the gain, formed anew from the largest level, is rounded again: quotient, product, twice each.
    torch.testing.assert_close(twice, once, rtol=4 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_the_largest_element_of_a_vector_meets_full_scale(scale: float) -> None:
    dac = DAC(bits=6, range=2.5, scaling="per_vector")
    x = scale * torch.randn(4, 50, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    levels, gain = dac.encode(x)
    assert gain is not None
    assert gain.shape == (4, 50, 1)
    largest = x.abs().amax(-1, keepdim=True)
    torch.testing.assert_close(gain * dac.range, largest, rtol=1e-15, atol=0)
    torch.testing.assert_close(levels.abs().amax(-1, keepdim=True), largest, rtol=1e-15, atol=0)
    codes = levels / (gain * dac.step)
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=31 * 1e-15)
    assert codes.abs().amax().round() == 31
    assert (levels - x).abs().max() <= (gain * dac.step / 2).max() * (1 + 1e-12)


def test_a_zero_vector_stays_zero() -> None:
    x = torch.zeros(3, 5)
    x[1] = torch.tensor([0.1, -0.4, 0.0, 0.3, 0.2])
    levels, gain = DAC(bits=4, range=2.0, scaling="per_vector").encode(x)
    assert gain is not None
    assert torch.equal(levels[0], torch.zeros(5))
    assert 0 < gain[0] < 1e-30, "what scales with a vector of zeros vanishes with it"
    assert torch.isfinite(levels).all()
    assert gain[1] == pytest.approx(0.2, rel=1e-6)


def test_scaling_can_be_overridden() -> None:
    x = torch.tensor([[0.01, -0.02]], dtype=torch.float64)
    fixed, scaled = DAC(bits=4, range=2.0), DAC(bits=4, range=2.0, scaling="per_vector")
    assert torch.equal(fixed.encode(x, per_vector=True)[0], scaled.encode(x)[0])
    assert torch.equal(scaled.encode(x, per_vector=False)[0], torch.zeros_like(x))


def test_a_gain_scales_range_and_step_of_the_adc() -> None:
    adc = ADC(bits=5, range=3.0)
    y = torch.randn(6, 40, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 2
    gain = torch.tensor([0.125, 0.5, 1.0, 2.0, 8.0, 64.0], dtype=torch.float64)[:, None]
    assert torch.equal(adc.decode(y * gain, gain), adc.decode(y) * gain)  # powers of two: no rounding at all
