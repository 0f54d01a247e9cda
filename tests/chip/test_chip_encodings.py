"""Encodings, polarities, slices and cells: where every current is a whole number of ADC steps, nothing is lost.

Levels are whole numbers up to 15 of a 5-bit DAC whose full scale is 15, weights whole numbers up to 15, ADC steps 1. A
plane of bits then drives with 15, a slice of two bits holds multiples of 5: all currents are whole. Their sum is the
matrix product, up to the rounding of conductances: 8 roundings of terms below 15 x 15 x 13, far below 1e-9.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from analogsim.chip import Chip, Mapping
from analogsim.network import Network
from analogsim.port import Injection, LayerWrite, Pass
from device_models import DAC, DeviceProfile

CHIPS, INPUTS, OUTPUTS, BATCH = 2, 12, 5, 4
ENCODINGS = ["voltage", "pulse_width", "bit_serial"]
POLARITIES = ["bipolar", "two_phase"]
ADC = {"bits": 16, "range": 32767}
SLICES = {"count": 2, "bits": 2}

encoding = pytest.mark.parametrize("encoding", ENCODINGS)
polarity = pytest.mark.parametrize("polarity", POLARITIES)


def _whole(*shape: int, seed: int = 0) -> Tensor:
    """Whole numbers from -15 to 15, of which each chip has a 15."""
    numbers = torch.randint(-15, 16, shape, generator=torch.Generator().manual_seed(seed)).double()
    numbers[:, ..., 0] = 15.0
    return numbers


def _chip(linear: Any, profile: DeviceProfile, *sizes: int, **arguments: Any) -> Chip:
    network = linear(*(sizes or (INPUTS, OUTPUTS)), bias=False)
    chip = Chip(network, profile, CHIPS, dtype=torch.float64, mapping=Mapping(headroom=1.0), **arguments)
    chip.program([_whole(CHIPS, layer.columns, layer.rows, seed=1) for layer in network.layers])
    return chip


def _dac(encoding: str, polarity: str) -> dict[str, Any]:
    return {"bits": 5, "range": 15, "encoding": encoding, "polarity": polarity}


@encoding
@polarity
@pytest.mark.parametrize("slices", [None, SLICES], ids=["pair", "slices"])
@pytest.mark.parametrize("cell", ["pair", "reference"])
@pytest.mark.parametrize("tile", [5, 256])
@pytest.mark.parametrize("sampling", ["column", "device"])
def test_whole_currents_add_up_to_the_product(
    linear: Any, profile_of: Any, encoding: str, polarity: str, slices: Any, cell: str, tile: int, sampling: Any
) -> None:
    profile = profile_of(dac=_dac(encoding, polarity), adc=ADC, slices=slices, cell=cell)
    chip = _chip(linear, profile, tile=tile, sampling=sampling)
    x, w = _whole(CHIPS, BATCH, INPUTS), _whole(CHIPS, OUTPUTS, INPUTS, seed=1)
    torch.testing.assert_close(chip.oracle.weights[0], w, rtol=0, atol=1e-12)
    trace = chip.forward(x, (Pass(), Pass()), samples=2)
    assert torch.equal(trace.inputs[0][:, 0, 0], x), "what is observed are the levels"
    expected = torch.einsum("cbi,coi->cbo", x, w)[:, None, None].expand(-1, 2, 2, -1, -1)
    torch.testing.assert_close(trace.outputs, expected, rtol=0, atol=1e-9)


@encoding
@polarity
@pytest.mark.parametrize("slices", [None, SLICES], ids=["pair", "slices"])
def test_backward_reads_drive_the_columns_in_the_same_way(
    linear: Any, profile_of: Any, backward: Any, encoding: str, polarity: str, slices: Any
) -> None:
    profile = profile_of(dac=_dac(encoding, polarity), adc=ADC, slices=slices)
    chip = _chip(linear, profile, 3, INPUTS, OUTPUTS, tile=2)
    v = _whole(CHIPS, BATCH, OUTPUTS)  # each vector has a 15: it is at full scale without a gain
    ones = tuple(torch.ones(CHIPS, BATCH, n, dtype=torch.float64) for n in (INPUTS, OUTPUTS))
    w = _whole(CHIPS, OUTPUTS, INPUTS, seed=1)
    torch.testing.assert_close(backward(chip, v, ones)[0], torch.einsum("cbo,coi->cbi", v, w), rtol=0, atol=1e-9)


@encoding
@polarity
def test_a_coarse_adc_rounds_every_read_of_its_own(linear: Any, profile_of: Any, encoding: str, polarity: str) -> None:
    step, top = 37.0, 7
    profile = profile_of(dac=_dac(encoding, polarity), adc={"bits": 4, "range": step * top})
    chip = _chip(linear, profile)
    x, w = _whole(CHIPS, BATCH, INPUTS), _whole(CHIPS, OUTPUTS, INPUTS, seed=1)

    def converted(levels: Tensor) -> Tensor:
        return (torch.einsum("cbi,coi->cbo", levels, w) / step).round().clamp(-top, top) * step

    def phase(levels: Tensor) -> Tensor:
        if encoding != "bit_serial":
            return converted(levels)
        bits = [((levels.abs() // 2**b) % 2) * levels.sign() * 15 for b in range(4)]
        return torch.stack([converted(plane) * 2**b / 15 for b, plane in enumerate(bits)]).sum(0)

    expected = phase(x) if polarity == "bipolar" else phase(x.clamp(min=0)) - phase((-x).clamp(min=0))
    torch.testing.assert_close(chip.forward(x).outputs[:, 0, 0], expected, rtol=0, atol=1e-9)
    assert (converted(x).abs() == step * top).any(), "some are clipped"


def test_bits_and_phases_are_reads_one_after_the_other() -> None:
    reads = {(e, p): DAC(bits=8, range=1, encoding=e, polarity=p).reads for e in ENCODINGS for p in POLARITIES}
    assert reads == {
        ("voltage", "bipolar"): 1,
        ("voltage", "two_phase"): 2,
        ("pulse_width", "bipolar"): 1,
        ("pulse_width", "two_phase"): 2,
        ("bit_serial", "bipolar"): 7,
        ("bit_serial", "two_phase"): 14,
    }


@encoding
def test_pulses_all_have_one_voltage_so_the_curve_of_a_device_bends_none(
    linear: Any, profile_of: Any, encoding: str
) -> None:
    x = _whole(CHIPS, BATCH, INPUTS)
    straight, bent = (
        _chip(linear, profile_of(dac=_dac(encoding, "bipolar"), conduction=conduction)).forward(x).outputs
        for conduction in (None, {"kappa": 0.8})
    )
    assert torch.equal(straight, bent) == (encoding != "voltage")


@encoding
@polarity
@pytest.mark.parametrize("slices", [None, SLICES], ids=["pair", "slices"])
@pytest.mark.parametrize("sampling", ["column", "device"])
@pytest.mark.parametrize("adc", [None, {"bits": 16, "range": 4000}], ids=["exact", "adc"])
def test_an_analog_perturbation_enters_once(
    linear: Any, profile_of: Any, encoding: str, polarity: str, slices: Any, sampling: Any, adc: Any
) -> None:
    profile = profile_of(dac=_dac(encoding, polarity), adc=adc, slices=slices)
    chip = _chip(linear, profile, injection="analog", sampling=sampling, tile=5)
    trace = chip.forward(_whole(CHIPS, BATCH, INPUTS), (Pass(), Pass(inject=Injection(20.0))), samples=2)
    eps = trace.injected[0]
    assert eps is not None
    # Weights of the conversions of a phase add up to 1; each errs by half a step, before and after: one in all, for
    # each of 3 blocks and 2 phases.
    bound = 1e-9 if adc is None else 6 * 4000 / 32767
    torch.testing.assert_close(trace.outputs - trace.outputs[:, :, :1], eps, rtol=0, atol=bound)


@encoding
@polarity
@pytest.mark.parametrize("order", ["sample", "pass"])
def test_samples_may_be_run_in_chunks(
    chip_of: Any, profile_of: Any, inputs_of: Any, encoding: str, polarity: str, order: Any
) -> None:
    profile = profile_of(
        read_noise=[{"kind": "proportional", "sigma": "2 %"}, {"kind": "lorentzian", "sigma": "2 %", "tau": "2 us"}],
        column_noise={"sigma": "1 %"},
        dac={"bits": 4, "range": 3, "encoding": encoding, "polarity": polarity},
        adc={"bits": 16, "range": 30, "gain_error": "5 %"},
        slices=SLICES,
        unit_noise={"kind": "telegraph", "amplitude": 0.1, "flip": "8 %", "sigma": 0.02},
    )
    network = Network.mlp([6, 4], bias=False)
    x, passes = inputs_of(2, 3, 6), (Pass(), Pass(clean=True), Pass())
    whole = chip_of(network, profile, 2, order=order).forward(x, passes, samples=7).outputs
    parts = chip_of(network, profile, 2, order=order)
    chunks = [parts.forward(x, passes, samples=n, go_on=n != 2).outputs for n in (2, 1, 4)]
    # The same numbers; the chain of a relaxation is summed in another order, and a code may turn over.
    torch.testing.assert_close(torch.cat(chunks, 1), whole, rtol=1e-12, atol=7 * 30 / 32767)
    assert ((torch.cat(chunks, 1) - whole).abs() < 1e-12).double().mean() > 0.99


# Slices


def test_a_slice_holds_a_digit_of_the_quantised_weight(linear: Any, profile_of: Any) -> None:
    profile = profile_of(slices={"count": 3, "bits": 2})
    chip = _chip(linear, profile)
    w = _whole(CHIPS, OUTPUTS, INPUTS, seed=1) + 0.3
    chip.write([LayerWrite(w)])
    number = (w.clamp(-15, 15).abs() * 63 / 15).round()
    torch.testing.assert_close(chip.oracle.weights[0], w.sign() * number * 15 / 63, rtol=0, atol=1e-13)
    assert len(chip.oracle.conductances[0]) == 6
    for position, pair in enumerate(zip(*[iter(chip.oracle.conductances[0])] * 2, strict=True)):
        digit = number // 4 ** (2 - position) % 4
        for g, sign in zip(pair, (1, -1), strict=True):
            torch.testing.assert_close(g * 3 / 25e-6, digit * (w * sign > 0), rtol=0, atol=1e-12)
    x = _whole(CHIPS, BATCH, INPUTS)
    expected = torch.einsum("cbi,coi->cbo", x, chip.oracle.weights[0])
    for sampling in ("column", "device"):
        other = _chip(linear, profile, sampling=sampling)
        other.write([LayerWrite(w)])
        torch.testing.assert_close(other.forward(x).outputs[:, 0, 0], expected, rtol=0, atol=1e-10)


def test_a_write_writes_the_digits_that_change(linear: Any, profile_of: Any) -> None:
    chip = _chip(linear, profile_of(slices=SLICES, programming={"kind": "constant", "sigma": "0.1 uS"}))
    w = torch.full((CHIPS, OUTPUTS, INPUTS), 6.0, dtype=torch.float64)  # digits 1 2
    chip.write([LayerWrite(w)])
    before = [[cells.programmed for cells in layer] for layer in chip.oracle.cells]
    writes = chip.device_writes.clone()
    w = w.clone()
    w[:, 0, 0], w[:, 0, 1], w[:, 0, 2], w[:, 0, 3], w[:, 0, 4] = 7.0, 8.0, 6.4, 99.0, 2.0  # 1 3, 2 0, 1 2, 3 3, 0 2
    chip.write([LayerWrite(w)])
    changed = [
        a.programmed.ne(b)[:, 0, :5] for a, b in zip(chip.oracle.cells[0], before[0], strict=True)
    ]  # G+ and G- of both slices
    expected = [[0, 1, 0, 1, 1], [0] * 5, [1, 1, 0, 1, 0], [0] * 5]
    for found, want in zip(changed, expected, strict=True):
        assert (found.int() == torch.tensor(want)).all()
    assert (chip.device_writes - writes == 6).all(), "a pair that is written counts, in each slice"
    assert (chip.saturated == 1 / (OUTPUTS * INPUTS)).all()


def test_slices_err_and_drift_on_their_own(chip_of: Any, profile_of: Any) -> None:
    chip = chip_of(
        Network.mlp([6, 4]),
        profile_of(
            slices=SLICES,
            programming={"kind": "constant", "sigma": "0.5 uS"},
            drift={"kind": "constant", "t0": "1 s", "mean": 0.1, "sd": 0.02},
        ),
    )
    chip.settle(100.0)
    cells = chip.oracle.cells[0]
    errors = torch.stack([(each.programmed - each.target).flatten() for each in cells])
    exponents = torch.stack([each.nu.flatten() for each in cells])
    for numbers in (errors, exponents):
        assert len(numbers.unique()) > numbers.numel() / 2, "no slice repeats another's numbers"
    share = torch.tensor([12 / 15, 3 / 15], dtype=torch.float64)
    pairs = [cells[0].conductance - cells[1].conductance, cells[2].conductance - cells[3].conductance]
    w_max = chip.limits.weights[0]
    expected = sum(c * pair for c, pair in zip(share, pairs, strict=True)) * w_max / 25e-6
    torch.testing.assert_close(chip.oracle.weights[0], expected, rtol=1e-12, atol=1e-15)


def test_steps_of_a_slice_that_a_granularity_would_lose_are_refused(profile_of: Any) -> None:
    profile_of(slices=SLICES, granularity="16 uS")
    with pytest.raises(ValueError, match=r"granularity: half of it must lie below one step of a slice, 8\.33333 uS"):
        profile_of(slices=SLICES, granularity="17 uS")
    with pytest.raises(ValueError, match=r"count x bits must not exceed 20 \(got 5 x 5\)"):
        profile_of(slices={"count": 5, "bits": 5})


# One device a weight


def test_a_reference_lies_in_the_middle_and_is_written_once(linear: Any, profile_of: Any) -> None:
    profile = profile_of(conductance={"min": "5 uS", "max": "25 uS"}, cell="reference")
    for mapping in (Mapping("fixed", headroom=1.0), Mapping("follow", "column")):
        chip = Chip(linear(INPUTS, OUTPUTS, bias=False), profile, CHIPS, dtype=torch.float64, mapping=mapping)
        w = _whole(CHIPS, OUTPUTS, INPUTS, seed=1)
        chip.program([w])
        g, reference = chip.oracle.conductances[0]
        w_max = 15.0 if mapping.range == "fixed" else w.abs().amax(2, keepdim=True)
        torch.testing.assert_close(g, 15e-6 + 10e-6 * w / w_max, rtol=1e-12, atol=0)
        torch.testing.assert_close(reference, torch.full_like(g, 15e-6), rtol=1e-12, atol=0)
        chip.write([LayerWrite(w / 2)], now=7.0)
        torch.testing.assert_close(chip.oracle.weights[0], w / 2, rtol=0, atol=1e-12)


def test_a_change_of_range_leaves_references_alone(linear: Any, profile_of: Any) -> None:
    programming = {"kind": "constant", "sigma": "0.5 uS"}
    profile = profile_of(conductance={"min": "5 uS", "max": "25 uS"}, cell="reference", programming=programming)
    chip = Chip(linear(INPUTS, OUTPUTS, bias=False), profile, CHIPS, dtype=torch.float64, mapping=Mapping("follow"))
    w = _whole(CHIPS, OUTPUTS, INPUTS, seed=1)
    chip.program([w])
    g, reference = (cells.programmed for cells in chip.oracle.cells[0])
    chip.write([LayerWrite(w / 2)])
    plus, minus = chip.oracle.cells[0]
    assert (plus.programmed != g).all(), "every weight's device is written anew"
    assert torch.equal(minus.programmed, reference)
    assert (chip.device_writes == OUTPUTS * INPUTS).all()


def test_both_devices_of_a_weight_drift(linear: Any, profile_of: Any) -> None:
    drift = {"kind": "constant", "t0": "1 s", "mean": 0.1, "sd": 0.0}
    profile = profile_of(conductance={"min": "5 uS", "max": "25 uS"}, cell="reference", drift=drift)
    chip = _chip(linear, profile)
    before = chip.oracle.weights[0]
    chip.write([LayerWrite(before.flip(1))], now=50.0)
    plus, minus = chip.oracle.cells[0]
    assert (minus.written_at == 0).all(), "a reference is not written again"
    assert (plus.written_at == 50)[before != before.flip(1)].all()
    chip.settle(100.0)
    torch.testing.assert_close(minus.conductance, 15e-6 * torch.full_like(before, 100.0**-0.1), rtol=1e-12, atol=0)
