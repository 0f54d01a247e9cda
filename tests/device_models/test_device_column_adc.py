"""The ADC of one column: gain, offset, non-linearity, digital correction, calibrated range."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from device_models import ADC, ColumnADC, ColumnErrors, DeviceProfile, ProfileError
from device_models.effect import Site

ALPHA = 1e-6


def _built(chips: int = 1, **parts: Any) -> ColumnADC:
    profile = DeviceProfile.from_data(
        {"name": "test", "conductance": {"max": "25 uS"}, "adc": {"bits": 6, "range": 3.1, **parts}}
    )
    assert profile.adc is not None
    return profile.adc.build(Site(chips, 0.0, 25e-6, torch.device("cpu"), torch.float64))


def _errors(gain: float = 1.0, offset: float = 0.0, left: float = 1.0, left_offset: float = 0.0) -> ColumnErrors:
    return ColumnErrors(*(torch.tensor([value], dtype=torch.float64) for value in (gain, offset, left, left_offset)))


RAMP = torch.linspace(-5.000123, 4.998765, 20_001, dtype=torch.float64)[None, None, None, :, None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bits", [2, 5, 8, 12])
def test_without_errors_it_is_the_plain_converter(bits: int, dtype: torch.dtype) -> None:
    adc, y = ADC(bits=bits, range=3.1), RAMP.to(dtype)
    gain = torch.full((1, 1, 1, y.shape[3], 1), 1.7, dtype=dtype)
    for each in (None, gain):
        assert torch.equal(_built(bits=bits).decode(y, each, 3.1, None), adc.decode(y, each))
    same = _built(bits=bits, gain_error="1 %").decode(y, None, 3.1, _errors())
    off = (same - adc.decode(y)).abs() > 1e-6  # another order of roundings, so a code may turn over at its edge
    assert off.double().mean() < 1e-3


def test_gain_and_offset_move_codes_and_clipping() -> None:
    step = 0.1
    value = _built(gain_error="1 %").decode(RAMP, None, 3.1, _errors(1.25, 3.0))
    expected = (1.25 * RAMP / step + 3).round().clamp(-31, 31) * step
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-12)
    clipped = RAMP[value >= 3.1 - 1e-9].min()
    assert clipped.item() == pytest.approx((30.5 - 3) / 1.25 * step, abs=1e-3), "its own gain decides where it clips"


def test_a_correction_leaves_its_own_errors_and_the_clipping_where_it_was() -> None:
    step, gain, offset, left, left_offset = 0.1, 0.8, -2.0, 1.07, 0.4
    errors = _errors(gain, offset, left, left_offset)
    adc = _built(gain_error="1 %", correction={"gain_error": "7 %"})
    value = adc.decode(RAMP, None, 3.1, errors)
    inside = (gain * RAMP / step + offset).abs() <= 31
    # Half a step of the code is half a step / gain x what is left of it.
    error = value - (left * RAMP + left_offset * step)
    assert error[inside].abs().max() <= step / 2 * left / gain * (1 + 1e-9)
    top = ((31 - offset) * left / gain + left_offset) * step
    assert value.max().item() == pytest.approx(top, rel=1e-12)
    uncorrected = _built(gain_error="1 %").decode(RAMP, None, 3.1, errors)
    assert not torch.allclose(uncorrected, value)


@pytest.mark.parametrize("n", [0.5, 3.0, -3.0, 10.0])
def test_nonlinearity_grows_with_the_third_power_and_codes_rise(n: float) -> None:
    step = 0.1
    value = _built(nonlinearity=n).decode(RAMP, None, 3.1, None)
    t = (RAMP / 3.1).clamp(-1, 1)
    torch.testing.assert_close(value, (RAMP / step + n * t**3).round().clamp(-31, 31) * step, rtol=0, atol=1e-12)
    assert (value.flatten().diff() >= 0).all()
    fine = _built(bits=14, nonlinearity=n)  # steps of 3.1 / 8191
    half = fine.decode(torch.full((1, 1, 1, 1, 1), 1.55, dtype=torch.float64), None, 3.1, None).item()
    assert (half - 1.55) / (3.1 / 8191) == pytest.approx(n / 8, abs=0.51), "an eighth at half of full scale"


def test_errors_have_the_spreads_of_each_chip() -> None:
    n = 40_000
    adc = _built(
        2,
        gain_error={"each": ["5 %", "10 %"]},
        offset_error=1.5,
        correction={"gain_error": "2 %", "offset_error": {"each": [0.0, 0.2]}},
    )
    assert adc.fabricated == 4
    numbers = torch.randn(2, 4, 2, 4, n // 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    errors = adc.fabricate(numbers).flatten(2)
    means, spreads = errors.mean(2), errors.std(2)
    expected = torch.tensor([[0.05, 1.5, 0.02, 0.0], [0.10, 1.5, 0.02, 0.2]], dtype=torch.float64)
    centre = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    assert ((means - centre).abs() <= stats.norm.isf(ALPHA / 32) * expected / n**0.5).all()
    # (n - 1) s^2 / sigma^2 is chi-square with n - 1 degrees of freedom.
    low, high = ((stats.chi2.isf(p, n - 1) / (n - 1)) ** 0.5 for p in (1 - ALPHA / 32, ALPHA / 32))
    assert ((spreads >= low * expected) & (spreads <= high * expected)).all()
    # The same numbers at half the spread are half the errors.
    half = _built(gain_error="5 %").fabricate(numbers[1:]).flatten(2)[0, 0]
    torch.testing.assert_close(2 * (half - 1), errors[1, 0] - 1, rtol=1e-12, atol=1e-15)


def test_a_gain_never_vanishes() -> None:
    numbers = torch.full((1, 4, 1, 1, 1), -5.0, dtype=torch.float64)
    assert _built(gain_error="100 %").fabricate(numbers)[0, :, 0, 0, 0].tolist() == [0.1, 0, 1, 0]


def _currents() -> list[list[Tensor]]:
    """Slices 1, blocks 2, chips 2, reads 1000, columns 2: magnitudes 0.001 ... 1, times a factor of each column."""
    ladder = torch.arange(1, 1001, dtype=torch.float64) / 1000
    ladder = ladder * torch.where(torch.arange(1000) % 2 == 0, 1.0, -1.0)
    factors = torch.tensor([[[1.0, 2.0], [3.0, 0.0]], [[10.0, 20.0], [30.0, 0.0]]], dtype=torch.float64)
    return [[ladder[None, :, None] * factors[:, block, None] for block in range(2)]]


def test_a_calibrated_range_is_a_quantile_of_the_currents() -> None:
    common = {"range": "calibrated", "calibration": {"quantile": "99 %", "per": "column", "headroom": 1.0}}
    ranges = _built(2, **common).ranges(_currents())
    assert ranges.shape == (2, 1, 2, 2)
    torch.testing.assert_close(ranges[0, 0, 0], torch.tensor([0.99, 1.98], dtype=torch.float64))
    assert ranges[0, 0, 1, 0].item() == pytest.approx(2.97)
    layer = torch.cat([y[0].abs().flatten() for y in _currents()[0]]).sort().values
    assert ranges[0, 0, 1, 1] == layer[3959], "a column without current has the layer's: 99 % of its 4000 currents"
    torch.testing.assert_close(ranges[1], 10 * ranges[0])
    common["calibration"] = {"quantile": "99 %", "headroom": 1.5}
    one = _built(2, **common).ranges(_currents())
    torch.testing.assert_close(one.flatten(), torch.tensor([1.5, 15.0], dtype=torch.float64) * layer[3959])
    whole = _built(2, range="calibrated", calibration={"quantile": "100 %", "headroom": 1}).ranges(_currents())
    torch.testing.assert_close(whole.flatten(), torch.tensor([3.0, 30.0], dtype=torch.float64))
    assert (_built(range="calibrated").ranges([[torch.zeros(1, 5, 3)]]) == 2).all(), "no current at all: 1 x headroom"


def _message(**adc: Any) -> str:
    with pytest.raises(ProfileError) as caught:
        _built(**adc)
    return str(caught.value)


def test_what_makes_no_converter_is_refused() -> None:
    assert "adc.range: must be a finite number above 0, or calibrated (got 'auto')" in _message(range="auto")
    for value in (0, -1.0, float("nan"), float("inf"), True, None):
        assert "adc.range: must be a finite number above 0, or calibrated" in _message(range=value)
    text = _message(calibration={"quantile": "99 %"})
    assert "adc: calibration goes with range: calibrated (got range 3.1)" in text
    assert "must be below 10.3333 steps, a third of the largest code" in _message(nonlinearity=-11.0)
    assert "adc.calibration.quantile" in _message(range="calibrated", calibration={"quantile": "0 %"})
    with pytest.raises(ValueError, match="the range is calibrated, so each chip has a step of its own"):
        _ = ADC.model_validate({"bits": 8, "range": "calibrated"}).step


def test_a_calibrated_range_brings_its_defaults_and_is_written_back() -> None:
    data = {"name": "test", "conductance": {"max": "25 uS"}, "adc": {"bits": 8, "range": "calibrated"}}
    profile = DeviceProfile.from_data(data)
    assert profile.to_data()["adc"]["calibration"] == {
        "quantile": "99.9 %",
        "per": "layer",
        "headroom": 2.0,
        "inputs": 256,
    }
    assert DeviceProfile.from_data(profile.to_data()) == profile
