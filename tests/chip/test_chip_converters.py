"""Column ADCs of a chip: errors of their own, cancelled or not by how they are read; calibrated ranges."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from analogsim.chip import Chip, Mapping
from analogsim.network import Network
from analogsim.port import LayerWrite, Pass
from analogsim.randomness import Purpose
from device_models import DeviceProfile

ALPHA = 1e-6
NETWORK = Network.mlp([6, 11, 4])
WHOLE_DAC = {"bits": 5, "range": 15}
WHOLE_ADC = {"bits": 16, "range": 32767}  # steps of 1
CALIBRATED = {"bits": 8, "range": "calibrated"}


def _whole(*shape: int, seed: int = 0) -> Tensor:
    numbers = torch.randint(-15, 16, shape, generator=torch.Generator().manual_seed(seed)).double()
    numbers[:, ..., 0] = 15.0
    return numbers


def _whole_chip(linear: Any, profile: DeviceProfile, outputs: int = 5, **arguments: Any) -> Chip:
    """Every current is a whole number of ADC steps."""
    chip = Chip(
        linear(12, outputs, bias=False), profile, 2, dtype=torch.float64, mapping=Mapping(headroom=1.0), **arguments
    )
    chip.program([_whole(2, outputs, 12, seed=1)])
    return chip


def _result(chip: Chip) -> Tensor:
    return chip.forward(_whole(2, 4, 12)).outputs[:, 0, 0]


@pytest.mark.parametrize("encoding", ["voltage", "pulse_width", "bit_serial"])
def test_two_phases_cancel_the_offset_of_a_column(linear: Any, profile_of: Any, encoding: str) -> None:
    def result(offset: float, polarity: str) -> Tensor:
        dac = {**WHOLE_DAC, "encoding": encoding, "polarity": polarity}
        chip = _whole_chip(linear, profile_of(dac=dac, adc={**WHOLE_ADC, "offset_error": offset}), tile=5)
        return _result(chip)

    exact = result(0.0, "bipolar")
    torch.testing.assert_close(result(7.0, "two_phase"), exact, rtol=0, atol=1e-9)
    shift = result(7.0, "bipolar") - exact
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift), rtol=0, atol=1e-9)
    assert (shift[:, 0] != 0).any() and len(shift[:, 0].round().unique()) > 3, "each column, each chip its own"
    torch.testing.assert_close(shift, shift.round(), rtol=0, atol=1e-9)  # of whole currents offsets are rounded


def test_gains_spread_between_chips_tiles_slices_and_columns(linear: Any, profile_of: Any) -> None:
    profile = profile_of(
        dac=WHOLE_DAC, adc={**WHOLE_ADC, "gain_error": "3 %", "offset_error": 2.0}, slices={"count": 2, "bits": 2}
    )
    columns, sigma = 2000, 0.03
    chip = _whole_chip(linear, profile, columns, tile=4)
    errors = chip._layers[0].state_dict()["banks"][0]["errors"]
    assert errors.shape == (2, 4, 2, 3, columns)
    gains = (errors[:, 0] - 1).flatten()
    n = gains.numel()  # 24,000
    assert stats.kstest((gains / sigma).numpy(), "norm").pvalue > ALPHA
    assert abs(gains.mean()) < stats.norm.isf(ALPHA) * sigma / n**0.5
    # What one read shows: the sum of what each tile and slice reads, times its gain, plus its offset.
    w = [cells.conductance for cells in chip.oracle.cells[0]]
    x, expected = _whole(2, 4, 12), torch.zeros(2, 4, columns, dtype=torch.float64)
    for s, share in enumerate((12 / 15, 3 / 15)):
        for block in range(3):
            rows = slice(4 * block, 4 * block + 4)
            current = torch.einsum("cbi,coi->cbo", x[:, :, rows], (w[2 * s] - w[2 * s + 1])[:, :, rows] * 15 / 25e-6)
            gain, offset = (errors[:, k, s, block][:, None] for k in (0, 1))
            expected += share * (current * gain + offset)
    # Each conversion rounds by half a step; shares of a block add up to 1.
    torch.testing.assert_close(_result(chip), expected, rtol=0, atol=3 * 0.5 + 1e-6)


def test_a_corrected_column_is_as_good_as_what_is_left(linear: Any, profile_of: Any) -> None:
    def error(**adc: Any) -> Tensor:
        return _result(_whole_chip(linear, profile_of(adc={**WHOLE_ADC, **adc}), 400)) - exact

    exact = _result(_whole_chip(linear, profile_of(), 400))
    raw = error(gain_error="20 %", offset_error=30.0)
    perfect = error(gain_error="20 %", offset_error=30.0, correction={})
    left = error(gain_error="20 %", offset_error=30.0, correction={"gain_error": "7 %"})
    assert perfect.abs().max() <= 0.5 / 0.1, "rounding only, as seen through a gain of at least 0.1"
    assert perfect.abs().max() < 2
    # Relative errors of the largest input's results: 7 % of 800 columns; s^2 is chi-square.
    n = left[:, 0].numel()
    spread = (left[:, 0] / exact[:, 0])[exact[:, 0].abs() > 300]
    low, high = ((stats.chi2.isf(p, len(spread) - 1) / (len(spread) - 1)) ** 0.5 for p in (1 - ALPHA, ALPHA))
    assert len(spread) > n / 3
    assert 0.07 * low - 2 / 300 < spread.std() < 0.07 * high + 2 / 300
    assert raw.abs().mean() > 2 * left.abs().mean() > 10 * perfect.abs().mean()


def test_errors_of_a_chip_are_the_same_alone_and_backward_reads_have_others(
    chip_of: Any, profile_of: Any, inputs_of: Any, backward: Any
) -> None:
    profile = profile_of(adc={"bits": 12, "range": 12, "gain_error": "10 %", "offset_error": 1.0})
    population = chip_of(NETWORK, profile, 4, tile=4)
    x = inputs_of(4, 5, 6)
    banks = [layer.state_dict()["banks"] for layer in population._layers]
    for k in (0, 3):
        alone = chip_of(NETWORK, profile, [k], tile=4)
        assert torch.equal(alone.forward(x[k : k + 1]).outputs[0], population.forward(x).outputs[k])
        for layer, pair in zip(alone._layers, banks, strict=True):
            for own, shared in zip(layer.state_dict()["banks"], pair, strict=True):
                assert torch.equal(own["errors"][0], shared["errors"][k])
    assert [tuple(bank["errors"].shape[2:]) for bank in banks[1]] == [(1, 3, 4), (1, 1, 12)]
    every = torch.cat([bank["errors"].flatten() for pair in banks for bank in pair])
    numbers = every[(every != 0) & (every != 1)]
    assert len(numbers.unique()) == len(numbers)
    plain = chip_of(NETWORK, profile_of(adc={"bits": 12, "range": 12}), 4, tile=4)
    ones = tuple(torch.ones(4, 5, n, dtype=torch.float64) for n in (11, 4))
    assert not torch.equal(backward(population, x[..., :4], ones)[0], backward(plain, x[..., :4], ones)[0])
    assert f"{Purpose.CONVERTERS.name}/0" not in plain.streams.state_dict()["generators"], "nothing is drawn in vain"


def test_limits_are_known_where_one_conversion_gives_the_result(chip_of: Any, profile_of: Any) -> None:
    adc = {"bits": 8, "range": 3.0}

    def limit(**parts: Any) -> Any:
        return chip_of(NETWORK, profile_of(**{"adc": adc, **parts}), 2).limits.outputs[0]

    dac = {"bits": 8, "range": 6}
    assert limit() == limit(dac=dac) == limit(dac={**dac, "encoding": "pulse_width"}) == 3.0
    assert limit(adc={**adc, "gain_error": "5 %", "offset_error": 1.0, "nonlinearity": 2.0}) == 3.0
    assert limit(adc={**adc, "correction": {}}) is None
    assert limit(adc=CALIBRATED) is None, "before it is calibrated"
    assert limit(dac={**dac, "polarity": "two_phase"}) is limit(dac={**dac, "encoding": "bit_serial"}) is None
    assert limit(slices={"count": 2, "bits": 3}) is limit(unit_noise={"kind": "gaussian", "sigma": 0.1}) is None


@pytest.mark.parametrize("per", ["layer", "column"])
def test_a_calibrated_limit_is_each_chips_own(chip_of: Any, profile_of: Any, inputs_of: Any, per: str) -> None:
    chip = _calibrated(chip_of, profile_of, per)
    chip.calibrate(inputs_of(3, 50, 6))
    limit = chip.limits.outputs[0]
    a = chip.forward(5 * inputs_of(3, 50, 6)).pre_activations[0]
    if per == "column":
        assert limit is None
    else:
        torch.testing.assert_close(limit, a.abs().amax((1, 2, 3, 4)), rtol=1e-12, atol=0)
        assert len(limit.unique()) == 3


# Calibrated ranges


def _calibrated(chip_of: Any, profile_of: Any, per: str = "layer", **arguments: Any) -> Chip:
    adc = {**CALIBRATED, "calibration": {"quantile": "95 %", "per": per, "headroom": 1.0}}
    dac = {"bits": 8, "range": 6, "encoding": arguments.pop("encoding", "voltage")}
    return chip_of(NETWORK, profile_of(adc=adc, dac=dac, read_noise={"sigma": "1 %"}), 3, **arguments)


def test_a_range_that_is_not_calibrated_yet_is_refused(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    chip = _calibrated(chip_of, profile_of)
    with pytest.raises(RuntimeError, match=r"call Chip.calibrate\(inputs\) before the first read"):
        chip.forward(inputs_of(3, 5, 6))
    assert chip.calibrates
    assert not chip_of(NETWORK, profile_of(adc={"bits": 8, "range": 3}), 2).calibrates


@pytest.mark.parametrize("encoding", ["voltage", "bit_serial"])
def test_a_share_of_the_currents_lies_within_the_range(
    chip_of: Any, profile_of: Any, inputs_of: Any, encoding: str
) -> None:
    chip = _calibrated(chip_of, profile_of, tile=4, encoding=encoding)
    x = inputs_of(3, 400, 6)
    chip.calibrate(x)
    # The same currents again, by hand, from the devices: the first layer's two row-blocks, noise aside.
    bounds = chip._layers[0].state_dict()["banks"][0]["bounds"]
    assert bounds.shape == (3, 1, 1, 1)
    codes = (torch.nn.functional.pad(x, (0, 1), value=1.0) * 127 / 6).round().clamp(-127, 127)
    planes = [codes] if encoding == "voltage" else [(codes.abs() // 2**b % 2) * codes.sign() * 127 for b in range(7)]
    w = chip.oracle.weights[0]
    currents = torch.cat(
        [
            torch.einsum("cbi,coi->cbo", plane[..., rows] * 6 / 127, w[..., rows]).flatten(1)
            for plane in planes
            for rows in (slice(0, 4), slice(4, 7))
        ],
        1,
    ).abs()
    expected = currents.quantile(0.95, dim=1)
    # Noise of 1 % of G_max widens the law of the currents a little.
    torch.testing.assert_close(bounds.flatten(), expected, rtol=0.02, atol=0)


@pytest.mark.parametrize("scaling", ["fixed", "per_vector"])
def test_ranges_are_of_currents_behind_the_layers_before_and_of_vectors_at_full_scale(
    chip_of: Any, profile_of: Any, inputs_of: Any, scaling: str
) -> None:
    adc = {"bits": 16, "range": "calibrated", "calibration": {"quantile": "100 %", "headroom": 1.0}}
    dac = {"bits": 16, "range": 6, "scaling": scaling}
    profile = profile_of(dac=dac, adc=adc, unit_noise={"kind": "bernoulli", "low": 2, "high": 2, "probability": "50 %"})
    chip, x = chip_of(NETWORK, profile, 2), 0.1 * inputs_of(2, 300, 6)
    chip.calibrate(x)
    w = chip.oracle.weights
    for index in range(2):
        x = torch.nn.functional.pad(x, (0, 1), value=1.0)
        a = torch.einsum("cbi,coi->cbo", x, w[index])
        gain = x.abs().amax(2, keepdim=True) / 6 if scaling == "per_vector" else 1.0
        bounds = [bank["bounds"].flatten() for bank in chip._layers[index].state_dict()["banks"]]
        # Converters of 16 bits: their rounding is some 10^-4 of the largest current.
        torch.testing.assert_close(bounds[0], (a / gain).abs().amax((1, 2)), rtol=1e-3, atol=0)
        # Backward, a vector at full scale drives 6 times the largest weight at least, all columns together at most.
        largest = w[index][:, :, :-1].abs()
        assert (bounds[1] > 0.5 * 6 * largest.amax((1, 2))).all()
        assert (bounds[1] <= 6 * largest.sum(1).amax(1) * 1.001).all()
        x = torch.nn.functional.leaky_relu(a + 2, 0.01)


def test_ranges_follow_the_calibrated_layers_before_and_repeat(
    chip_of: Any, profile_of: Any, inputs_of: Any, backward: Any
) -> None:
    x = inputs_of(3, 200, 6)
    chips = {per: _calibrated(chip_of, profile_of, per) for per in ("layer", "column")}
    for per, chip in chips.items():
        first = None
        for _ in range(2):
            chip.calibrate(x)
            bounds = [bank["bounds"] for layer in chip._layers for bank in layer.state_dict()["banks"]]
            assert first is None or all(torch.equal(a, b) for a, b in zip(bounds, first, strict=True))
            first = bounds
        shapes = [tuple(b.shape[1:]) for b in bounds]
        wanted = [(1, 1, 11), (1, 1, 6), (1, 1, 4), (1, 1, 11)]  # forward and backward ADCs of each layer
        assert shapes == (wanted if per == "column" else [(1, 1, 1)] * 4)
        outputs = chip.forward(x).outputs
        assert outputs.isfinite().all() and (outputs != 0).any()
        ones = tuple(torch.ones(3, 200, n, dtype=torch.float64) for n in (11, 4))
        vectors = backward(chip, torch.randn(3, 200, 4, dtype=torch.float64), ones)
        assert (vectors[0] != 0).double().mean() > 0.9
    # A chip alone has the ranges that it has in the population.
    adc = {**CALIBRATED, "calibration": {"quantile": "95 %", "headroom": 1.0}}
    profile = profile_of(adc=adc, dac={"bits": 8, "range": 6}, read_noise={"sigma": "1 %"})
    alone = chip_of(NETWORK, profile, [2])
    alone.calibrate(x[2:])
    for a, b in zip(alone._layers, chips["layer"]._layers, strict=True):
        for own, shared in zip(a.state_dict()["banks"], b.state_dict()["banks"], strict=True):
            torch.testing.assert_close(own["bounds"][0], shared["bounds"][2], rtol=1e-12, atol=0)


def test_calibrating_touches_no_other_random_number(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    once, twice = (_calibrated(chip_of, profile_of) for _ in range(2))
    x = inputs_of(3, 50, 6)
    once.calibrate(x)
    for _ in range(2):
        twice.calibrate(x)
    assert torch.equal(once.forward(x).outputs, twice.forward(x).outputs)


def test_a_saved_chip_goes_on_with_its_slices_converters_and_units(
    chip_of: Any, profile_of: Any, inputs_of: Any, weights_of: Any
) -> None:
    profile = profile_of(
        slices={"count": 2, "bits": 3},
        read_noise={"sigma": "1 %"},
        programming={"kind": "constant", "sigma": "0.2 uS"},
        drift={"kind": "constant", "t0": "1 s", "mean": 0.05, "sd": 0.02},
        dac={"bits": 5, "range": 6, "encoding": "bit_serial", "polarity": "two_phase"},
        adc={**CALIBRATED, "gain_error": "5 %", "correction": {"gain_error": "1 %"}},
        unit_noise={"kind": "telegraph", "amplitude": 0.1, "flip": "10 %"},
    )
    x, passes = inputs_of(2, 7, 6), (Pass(), Pass())
    chip, resumed = (chip_of(NETWORK, profile, 2, tile=4) for _ in range(2))
    weights = weights_of(NETWORK, range(2), torch.float64)
    chip.calibrate(x)
    chip.write([LayerWrite(0.8 * w) for w in weights], now=3.0)
    chip.forward(x, passes, now=9.0)
    file = io.BytesIO()
    torch.save(chip.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for now in (9.0, 20.0):
        for each in (chip, resumed):
            each.write([LayerWrite(now / 20 * w) for w in weights], now=now)
        after, before = (each.forward(x, passes, samples=2, now=now + 1).outputs for each in (resumed, chip))
        assert torch.equal(after, before)
    assert torch.equal(resumed.device_writes, chip.device_writes)
