"""Fast products and compiled loops: the currents that torch gives operation by operation, to stated bounds."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from analogsim.chip import Chip, byte_product, coded, one_pass
from analogsim.chip.byte_product import ByteProduct, Counted, TwoParts
from analogsim.chip.coded import Coded
from analogsim.chip.current import Current, Noise, Variance
from analogsim.network import Dense, Identity, Network
from analogsim.port import LayerWrite, Pass
from device_models import DeviceProfile, threads
from device_models.quantise import quantise

pytestmark = pytest.mark.skipif(not threads.available, reason="loops are not compiled here")


def _randn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _codes(*shape: int, seed: int = 0) -> Tensor:
    """Whole numbers from -127 to 127."""
    return torch.randint(-127, 128, shape, generator=torch.Generator().manual_seed(seed))


def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use units for matrices however small products are."""
    for limit in ("_WORTH", "_LINES", "_VECTORS"):
        monkeypatch.setattr(coded, limit, 0)


def _variance(kind: str, shape: tuple[int, ...], dtype: torch.dtype) -> Variance:
    c, s, p, b, columns = shape
    full = _randn(*shape, seed=3, dtype=dtype).square()
    row, column = _randn(c, s, p, b, 1, seed=4, dtype=dtype).square(), _randn(c, 1, 1, 1, columns, seed=5).square()
    match kind:
        case "full":
            return Variance(full)
        case "shared":
            return Variance(full[:, :1, :1])
        case "column":
            return Variance(column.to(dtype))
        case "chip":
            return Variance(column[..., :1].to(dtype))
        case "product":
            return Variance(None, row, column.to(dtype))
        case "product of a chip's":
            return Variance(None, row[:, :, :1], column[..., :1].to(dtype))
    return Variance(full[:, :1], row, column.to(dtype))


KINDS = ("full", "shared", "column", "chip", "product", "product of a chip's", "both")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("noisy", [(True,), (True, True), (False, True), (True, False, True)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_one_pass_gives_what_torch_gives(
    monkeypatch: pytest.MonkeyPatch, kind: str, noisy: tuple[bool, ...], dtype: torch.dtype
) -> None:
    """Shared samples and passes, strided numbers, an ADC and none: equal to the rounding of a square root."""
    c, s, p, b, columns = shape = 3, 2, len(noisy), 5, 7
    numbers = _randn(c, s, sum(noisy), 2, b, columns, seed=1, dtype=dtype)[:, :, :, 1]
    white = Noise(_variance(kind, shape, dtype), numbers, noisy)
    bound = torch.tensor([2.0, 3.0, 4.0], dtype=dtype)[:, None, None, None, None]
    for mean_shape, step in itertools.product(((c, s, p, b, columns), (c, 1, 1, b, columns)), (None, 3 / 7, bound / 7)):
        mean = _randn(*mean_shape, seed=2, dtype=dtype)
        found = []
        for compiled in (True, False):
            monkeypatch.setattr(threads, "available", compiled)
            current = Current(mean.clone(), 1.0, 0, 0, white)
            found.append(current.value if step is None else current.decoded(step, 7))
        assert found[0].shape == shape
        torch.testing.assert_close(*found, rtol=1e-6, atol=1e-6)
        clean = [index for index, each in enumerate(noisy) if not each]
        if step is None:
            assert torch.equal(found[0][:, :, clean], mean.expand(shape)[:, :, clean]), "no noise where clean"


def test_what_is_not_a_number_stays_so() -> None:
    mean = torch.tensor([[1.0, float("nan"), float("inf"), -float("inf"), -2.0]])[None, None, None]
    white = Noise(Variance(torch.zeros(1, 1, 1, 1, 1)), torch.zeros(1, 1, 1, 1, 5), (True,))
    found = Current(mean, 1.0, 0, 0, white).decoded(0.5, 3)[0, 0, 0, 0]
    assert found[1].isnan()
    assert found[[0, 2, 3, 4]].tolist() == [1.0, 1.5, -1.5, -1.5]


def _bytes(*shape: int, seed: int = 0) -> Tensor:
    """Whole numbers from -127 to 127, int8."""
    return _codes(*shape, seed=seed).to(torch.int8)


def _two(chips: int, vectors: tuple[int, ...], columns: int) -> tuple[TwoParts, Tensor]:
    """Currents in two parts of 20 lines, and what they are in double precision."""
    parts = ByteProduct(_bytes(chips, *vectors, 20, seed=1), _bytes(chips, 2 * columns, 20, seed=2))
    units = torch.tensor([1e-5, 2e-5, 3e-5])[:chips]
    weights = parts.weights.double().unflatten(1, (columns, 2))
    whole = (weights[:, :, 0] * 256 + weights[:, :, 1]) * units.double()[:, None, None]
    return TwoParts(parts, units), torch.einsum("cspbr,cor->cspbo", parts.vectors.double(), whole)


def _counted(chips: int, vectors: tuple[int, ...], columns: int) -> tuple[Counted, Tensor]:
    """Variances told by whole numbers of 20 lines, and what they are in double precision; some would be below 0."""
    counts = ByteProduct(_bytes(chips, *vectors, 20, seed=3), _bytes(chips, columns, 20, seed=4))
    numbers = _randn(chips, *vectors, 3, seed=5, dtype=torch.float32).abs()
    of_columns = _randn(chips, 3, columns, seed=6, dtype=torch.float32).abs()
    sums = torch.einsum("cspbr,cor->cspbo", counts.vectors.double(), counts.weights.double())
    power, unit, offset = (each[..., None].double() for each in numbers.unbind(-1))
    mean, deviation, centre = (each[:, None, None, None].double() for each in of_columns.unbind(1))
    whole = (power * mean * 1e4 + unit * deviation * (sums - offset * centre)).clamp(min=0)
    of_columns[:, 0] *= 1e4
    return Counted(counts, numbers, of_columns), whole


@pytest.mark.parametrize("least", [256, 2])
@pytest.mark.parametrize("given", ["parts", "counts", "both", "no noise"])
def test_what_products_of_bytes_stand_for(monkeypatch: pytest.MonkeyPatch, given: str, least: int) -> None:
    """In one piece and by columns, with clean passes and shared samples, compiled and not: against double precision."""
    if least == 2:  # columns of a piece, an odd last one
        monkeypatch.setattr(one_pass, "_LEAST", least)
        monkeypatch.setattr(one_pass, "_AT_ONCE", 1)
    vectors, columns, noisy = (1, 2, 4), 7, (False, True)
    two, mean = _two(2, vectors, columns)
    counted, variance = _counted(2, vectors, columns)
    numbers = _randn(2, 3, 1, 4, columns, seed=7, dtype=torch.float32)
    if given == "counts":
        mean = _randn(2, *vectors, columns, dtype=torch.float32).double()
    if given == "parts":
        variance = _randn(2, *vectors, columns, seed=8, dtype=torch.float32).square().double()
    row, column = _randn(2, 1, 1, 4, 1, dtype=torch.float32).square(), torch.rand(2, 1, 1, 1, columns)
    told = Variance(counted if given in ("counts", "both") else variance.float(), row, column)
    noise = None if given == "no noise" else Noise(told, numbers, noisy)
    exact = mean if noise is None else mean.repeat(1, 3, 1, 1, 1)
    if noise is not None:
        whole = variance + (row * column).double()
        exact[:, :, 1] += whole[:, :, 1].expand(2, 3, 4, columns).sqrt() * numbers[:, :, 0].double()
    assert variance.min() == 0 or given == "parts", "some are clamped"
    for compiled in (True, False):
        monkeypatch.setattr(threads, "available", compiled)
        for step in (None, 0.5):
            drawn = None if noise is None else noise._replace(numbers=numbers.clone())
            current = Current(mean.float() if given == "counts" else two, 1.0, 0, 0, drawn)
            found = current.value if step is None else current.decoded(step, 1000)
            expected = exact if step is None else (exact / step).round().clamp(-1000, 1000) * step
            error = (found.double() - expected).abs()
            assert found.shape == expected.shape
            # float32's own rounding, which may take a current to the next step
            limit = torch.full_like(error, 2e-5 * exact.abs().max().item())
            if step is not None:
                limit += step * (((exact / step).remainder(1) - 0.5).abs() < limit / step)
            assert (error < limit).all(), (compiled, step)


@pytest.mark.parametrize("step", [0.0, 0.25])
@pytest.mark.parametrize("parts", [True, False])
def test_results_take_the_place_of_what_is_used_up(parts: bool, step: float) -> None:
    """Of the random numbers, or of a mean that nobody else has; what was there is read before it is written over."""
    shape = (2, 1, 1, 4, 6)
    two, mean = _two(2, shape[1:4], shape[4])
    mean = mean.float()
    numbers, variance = (_randn(*shape, seed=seed, dtype=torch.float32) for seed in (3, 4))
    expected = mean.double() + variance.square().double().sqrt() * numbers.double()
    expected = (expected / step).round().clamp(-100, 100) * step if step else expected
    current = Current(two if parts else mean, 1.0, 0, 0, Noise(Variance(variance.square()), numbers, (True,)))
    found = current.decoded(step, 100) if step else current.value
    assert found.data_ptr() == (numbers if parts else mean).data_ptr()
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_products_of_bytes_keep_their_bound(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    """|error of a mean| <= ||x||_1 max |w| / 65278, beside float32's own rounding, vs float64."""
    _always(monkeypatch)
    step, lines, columns = 0.05, 96, 33
    weights = (_randn(2, columns, lines) * scale).float()
    weights[0, 0, 0] = -weights.abs().max() * 1.5  # the largest weight of a chip, of either sign
    levels = (_codes(2, 1, 2, 9, lines) * step).float()
    blocks = slice(0, 64), slice(64, lines)
    some = Coded(weights, (None,), step, blocks)
    codes = some.encode(levels)
    assert codes is not None
    assert some.deviations == (None,), "uniform noise needs no product"
    assert torch.equal(codes.codes, (levels / step).round().to(torch.int8))
    for block in blocks:
        x, w = levels[..., block].double(), weights[:, :, block].double()
        exact = torch.einsum("cspbr,cor->cspbo", x, w)
        error = (some.product(codes, block).whole.double() - exact).abs()
        largest = weights.abs().amax((1, 2)).double()[:, None, None, None, None]
        assert (error <= x.abs().sum(-1, keepdim=True) * largest * (1 / 65278 + 1e-6)).all()
        assert error.max() > 0, "16 bits are not 24"


def _errors(some: Coded, variances: Tensor, levels: Tensor) -> tuple[Tensor, bool]:
    """Relative errors of the standard deviations of a source, (C, S, P, B, columns); whether all are by bytes."""
    codes = some.encode(levels)
    assert codes is not None
    errors, by_bytes = [], True
    for block in some.blocks:
        told = some.variance(codes, 0, block)
        by_bytes = by_bytes and isinstance(told, Counted)
        found = (told.whole if isinstance(told, Counted) else told).double()
        x, v = levels[..., block].double(), variances[:, :, block].double()
        errors.append(found.sqrt() / torch.einsum("cspbr,cor->cspbo", x.square(), v).sqrt() - 1)
    return torch.stack(errors), by_bytes


@pytest.mark.parametrize("law", ["uniform", "normal", "rectified", "small", "binary"])
def test_variances_by_bytes_keep_their_bound(monkeypatch: pytest.MonkeyPatch, law: str) -> None:
    """512 lines, weights of a normal law, proportional noise: a standard deviation errs by less than 0.2 % rms.

    n = 48,000 of them. Their mean shows a bias: columns and vectors have dithers of their own, so that of 64 columns
    whose errors all vectors shared would have a standard deviation of 0.2 % / 8; limits at half of that.
    """
    _always(monkeypatch)
    step, lines, columns = 3 / 127, 512, 64
    x = _randn(1, 2, 1, 375, 2 * lines, seed=3)
    match law:
        case "uniform":
            x = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) * 6 - 3
        case "rectified":
            x = x.clamp(min=0)
        case "small":
            x = x * 0.1  # codes up to about 17
        case "binary":
            x = (x > 0.5) * 3.0
    variances = _randn(1, columns, 2 * lines, seed=4).square().float()
    some = Coded(variances, (variances,), step, (slice(0, lines), slice(lines, 2 * lines)))
    levels = ((x / step).round().clamp(-127, 127) * step).float()
    errors, by_bytes = _errors(some, variances, levels)
    assert by_bytes, "no vector is left to numbers of 8 significant bits"
    assert errors.square().mean().sqrt() < 2e-3
    assert errors.square().mean((0, 1, 2, 3, 4)).sqrt().max() < 2e-3, "in any column"
    assert errors.square().mean().sqrt() > 1e-4, "bytes are no floats"
    assert errors.mean().abs() < 0.5 * 2e-3 / 8


@pytest.mark.parametrize(
    ("what", "bytes_"),
    [
        ("few lines", False),
        ("one vector", False),
        ("a device far above", False),
        ("one chip", False),
        ("inputs large where variances are small", False),
        ("one line far above", False),
        ("infinite", False),
        ("none", True),
    ],
)
def test_what_bytes_cannot_tell_is_told_by_halves(monkeypatch: pytest.MonkeyPatch, what: str, bytes_: bool) -> None:
    """Few lines that are driven, or a device far above the others of its column: to 0.6 %, as numbers of 8 bits are."""
    _always(monkeypatch)
    step, lines, columns = 3 / 127, 512, 16
    x = torch.rand(2, 1, 2, 30, lines, generator=torch.Generator().manual_seed(1)) * 6 - 3
    variances = _randn(2, columns, lines, seed=2).square().float() + 0.05
    if what == "few lines":
        x = x * (torch.rand(x.shape, generator=torch.Generator().manual_seed(3)) < 0.01)
    if what == "one vector":
        x[1, 0, 1, 7] = 0.0
        x[1, 0, 1, 7, [3, 400]] = torch.tensor([3.0, 0.1])
    if what == "a device far above":
        variances[:, 3, 100] = 3e3
    if what == "one chip":
        variances[1] = variances[1] ** 12
    if what == "inputs large where variances are small":
        x[..., lines // 2 :] *= 0.05
        variances[..., : lines // 2] *= 1e-3
    if what == "one line far above":  # the others' squares are little more than two steps
        x = torch.sign(x) * 12 * step
        x[..., 0] = 3.0
    if what == "infinite":  # and few lines are driven: the other columns are as precise as ever
        x = x * (torch.rand(x.shape, generator=torch.Generator().manual_seed(3)) < 0.01)
        variances[:, 5, 7] = float("inf")
    levels = ((x / step).round() * step).float()
    some = Coded(variances, (variances,), step, (slice(None),))
    errors, by_bytes = _errors(some, variances, levels)
    errors = errors[..., torch.arange(columns) != 5] if what == "infinite" else errors
    assert by_bytes == bytes_
    assert errors.square().mean().sqrt() < 2e-3
    if what not in ("one vector", "one chip", "none"):  # all vectors
        assert errors.abs().max() < 6e-3
    if what in ("one vector", "one chip"):  # the others are as precise as ever: few of the errors are of 8 bits
        codes = some.encode(levels)
        assert codes is not None
        alone = Coded(variances[:1], (variances[:1],), step, (slice(None),))
        single, whole = alone.encode(levels[:1]), some.variance(codes, 0, slice(None))
        assert single is not None
        told = alone.variance(single, 0, slice(None))
        assert isinstance(told, Counted)
        assert isinstance(whole, Tensor)
        assert torch.equal(whole[0], told.whole[0]), "the first chip's are those of the chip alone"
    if what == "none":
        both, alone = some.encode(levels), Coded(variances[1:], (variances[1:],), step, (slice(None),))
        single = alone.encode(levels[1:])
        assert both is not None
        assert single is not None
        told = some.variance(both, 0, slice(None)), alone.variance(single, 0, slice(None))
        pair, one = (each.whole if isinstance(each, Counted) else each for each in told)
        assert torch.equal(pair[1], one[0]), "so are the second's"


def test_blocks_and_sources_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device far above in one block of one source leaves the other block, and the other source, to bytes."""
    _always(monkeypatch)
    lines, blocks = 600, (slice(0, 300), slice(300, 600))
    levels = torch.randint(-127, 128, (1, 1, 1, 20, lines), generator=torch.Generator().manual_seed(1)) * 0.1
    first, second = (torch.rand(1, 9, lines, generator=torch.Generator().manual_seed(seed)) + 0.5 for seed in (2, 3))
    first[0, 2, 400] = 1e4
    second[0, 4, 10] = 1e4
    some = Coded(first, (first, None, second), 0.1, blocks)
    codes = some.encode(levels)
    assert codes is not None
    for source, variances in ((0, first), (2, second)):
        for number, block in enumerate(blocks):
            told = some.variance(codes, source, block)
            assert isinstance(told, Counted) == ((source, number) not in ((0, 1), (2, 0)))
            whole = told.whole if isinstance(told, Counted) else told
            exact = torch.einsum("cspbr,cor->cspbo", levels[..., block].square(), variances[..., block])
            torch.testing.assert_close(whole, exact, rtol=1.2e-2, atol=0.0)
            if isinstance(told, Counted):
                torch.testing.assert_close(told.times(0.3).whole, whole * 0.3, rtol=1e-5, atol=0.0)


def test_another_default_dtype_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _always(monkeypatch)
    found = []
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            _, fast = _chips(monkeypatch)
            found.append(fast.forward(_randn(2, 9, 60, seed=8).float()).outputs)
        finally:
            torch.set_default_dtype(torch.float32)
    assert torch.equal(*found)


@pytest.mark.parametrize("values", ["silent", "one level", "nan"])
def test_vectors_of_nothing_and_of_what_is_no_number(monkeypatch: pytest.MonkeyPatch, values: str) -> None:
    """A silent vector has no noise; one that is no number makes its chip's currents none, and no other's."""
    _always(monkeypatch)
    variances = torch.rand(2, 5, 300, generator=torch.Generator().manual_seed(2)) + 0.5
    levels = torch.ones(2, 1, 1, 3, 300)
    if values == "silent":
        levels[0, 0, 0, 1] = 0.0
    if values == "nan":
        levels[1, 0, 0, 2, 7] = float("nan")
    some = Coded(variances, (variances,), 1.0, (slice(None),))
    codes = some.encode(levels)
    assert codes is not None
    told = some.variance(codes, 0, slice(None))
    whole = told.whole if isinstance(told, Counted) else told
    exact = torch.einsum("cspbr,cor->cspbo", levels.square(), variances)
    torch.testing.assert_close(whole[0], exact[0], rtol=2e-3, atol=0.0)
    means = some.product(codes, slice(None)).whole
    assert means[0].isfinite().all()
    assert means[1].isnan().all() if values == "nan" else means[1].isfinite().all()


@pytest.mark.parametrize("noisy", [True, False])
@pytest.mark.parametrize("range_", [1.0, 3.0])
def test_levels_and_codes_of_one_pass_are_those_of_two(
    monkeypatch: pytest.MonkeyPatch, range_: float, noisy: bool
) -> None:
    """Halves, numbers beyond the range, and none: bit for bit."""
    _always(monkeypatch)
    step = range_ / 127
    x = _randn(2, 1, 1, 7, 90, seed=5).float() * range_
    x[0, 0, 0, 0, :4] = torch.tensor([0.5, -1.5, 1e9, -float("inf")]) * step
    x[1, 0, 0, 3, 5] = float("nan")
    variances = torch.rand(2, 4, 90, generator=torch.Generator().manual_seed(6))
    some = Coded(torch.ones(2, 4, 90), (variances,) * noisy, step, (slice(0, 50), slice(50, 90)))
    found = some.quantise(x, 127)
    assert found is not None
    levels, codes = found
    expected = quantise(x, step, 127)
    assert torch.equal(levels.nan_to_num(99), expected.nan_to_num(99))
    again = some.encode(expected)
    assert again is not None
    assert torch.equal(codes.codes[0], again.codes[0])
    assert codes.squares.numel() == noisy * x.numel(), "where no noise needs them there are none"
    if noisy:
        assert torch.equal(codes.squares[0], again.squares[0])
        assert torch.equal(codes.vectors[:, 0], again.vectors[:, 0])
    assert codes.sound.isnan().tolist() == again.sound.isnan().tolist() == [False, True]


@pytest.mark.skipif(not coded.matrix_units(), reason="this CPU has no units for bytes; sums may overflow")
def test_the_largest_bytes_do_not_overflow() -> None:
    """4096 lines of +-127 at weights of -128 to 127: sums that 16 bits cannot hold, of two lines even."""
    weights = torch.tensor([-128, -127, 127, 126], dtype=torch.int8).repeat_interleave(8)[:, None].expand(-1, 4096)
    codes = torch.tensor([127, -127, 1], dtype=torch.int8).repeat(24)[:, None].expand(-1, 4096).contiguous()
    found = byte_product._product(codes, weights.contiguous().t())
    assert torch.equal(found.long(), codes.long() @ weights.long().t())


@pytest.mark.parametrize("scale", [0.0, 1e-38])
def test_weights_of_nothing_are_no_trouble(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    _always(monkeypatch)
    some = Coded(torch.full((1, 3, 4), scale), (), 1.0, (slice(None),))
    codes = some.encode(torch.ones(1, 1, 1, 2, 4))
    assert codes is not None
    assert some.product(codes, slice(None)).whole.abs().max() < 1e-30


def test_a_chip_with_nan_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone and beside a chip that is not sound: the same bits; that chip's currents are not numbers."""
    exact, fast = _chips(monkeypatch)
    x = _randn(2, 9, 60, seed=8).float()
    sound = fast.forward(x).outputs
    _, again = _chips(monkeypatch)
    x[1, 3, 7] = float("nan")
    found = again.forward(x).outputs
    assert torch.equal(found[0], sound[0])
    assert found[1].isnan().any()
    assert not exact.forward(x).outputs[0].isnan().any()


def test_samples_in_parts_take_the_same_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """What decides is a pass, not how many samples are run at once."""
    monkeypatch.setattr("analogsim.chip.crossbar.matrix_units", lambda: True)
    network = Network((Dense(600, 600, Identity()), Dense(600, 600, Identity())))
    profile = DeviceProfile.from_data({**PROFILE, "read_noise": {"kind": "proportional", "sigma": "5 %"}})
    outputs = []
    for parts in ((2,), (1, 1)):
        chip = Chip(network, profile, 1, tile=600, products="fast")
        chip.program([_randn(1, 600, 601).float() * 0.04, _randn(1, 600, 601, seed=1).float() * 0.04])
        x = _randn(1, 48, 600, seed=8).float()
        outputs.append(torch.cat([chip.forward(x, samples=samples).outputs for samples in parts], 1))
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)


NETWORK = Network((Dense(60, 40, Identity()), Dense(40, 10, Identity())))
PROFILE: dict[str, Any] = {
    "name": "loud",
    "conductance": {"min": "1 uS", "max": "25 uS"},
    "dac": {"bits": 8, "range": 3},
    "read_noise": [{"kind": "proportional", "sigma": "5 %"}, {"kind": "lorentzian", "sigma": "2 %", "tau": "3 us"}],
    "column_noise": {"sigma": "1 %"},
}


def _chips(monkeypatch: pytest.MonkeyPatch, **parts: Any) -> tuple[Chip, Chip]:
    _always(monkeypatch)
    monkeypatch.setattr("analogsim.chip.crossbar.matrix_units", lambda: True)
    profile = DeviceProfile.from_data({**PROFILE, **parts})
    chips = tuple(Chip(NETWORK, profile, 2, tile=32, products=each) for each in ("exact", "fast"))
    for chip in chips:
        chip.program([_randn(2, 40, 61).float(), _randn(2, 10, 41).float()])
    return chips[0], chips[1]


@pytest.mark.parametrize("polarity", ["bipolar", "two_phase"])
@pytest.mark.parametrize("encoding", ["voltage", "pulse_width"])
def test_a_fast_chip_reads_what_an_exact_one_reads(
    monkeypatch: pytest.MonkeyPatch, encoding: str, polarity: str
) -> None:
    """The same numbers, clean and noisy passes, before and after a write: outputs agree to the bounds of the page."""
    dac = {"bits": 8, "range": 3, "encoding": encoding, "polarity": polarity}
    exact, fast = _chips(monkeypatch, dac=dac)
    x = _randn(2, 9, 60, seed=8).float()
    for _ in range(2):
        passes = Pass(clean=True), Pass(), Pass()
        first, other = (chip.forward(x, passes, 2).pre_activations[0] for chip in (exact, fast))
        assert not torch.equal(first, other), "products are not exact"
        # of every weight 1 / 65278 of the largest at most, times |x| <= 3; of a noise of some units 0.6 %
        assert (first - other).abs().max() < 60 * 3 * exact.limits.weights[0].max() / 65278 + 0.05
        assert (first[:, :, 0] - other[:, :, 0]).abs().max() < 60 * 3 * exact.limits.weights[0].max() / 65278
        for chip in (exact, fast):
            chip.write([LayerWrite(_randn(2, 40, 61, seed=9).float()), LayerWrite(_randn(2, 10, 41, seed=9).float())])


@pytest.mark.parametrize(
    "parts",
    [
        {"dac": None},
        {"dac": {"bits": 10, "range": 3}},
        {"dac": {"bits": 8, "range": 3, "scaling": "per_vector"}},
        {"dac": {"bits": 8, "range": 3, "encoding": "bit_serial"}},
        {"conduction": {"kappa": 0.8}},
    ],
    ids=str,
)
def test_where_levels_are_no_bytes_products_stay_exact(monkeypatch: pytest.MonkeyPatch, parts: dict[str, Any]) -> None:
    exact, fast = _chips(monkeypatch, **parts)
    x = _randn(2, 9, 60, seed=8).float()
    assert torch.equal(exact.forward(x).outputs, fast.forward(x).outputs)


def test_without_units_for_matrices_products_stay_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    _always(monkeypatch)
    monkeypatch.setattr("analogsim.chip.crossbar.matrix_units", lambda: False)
    chips = [Chip(NETWORK, DeviceProfile.from_data(PROFILE), 2, products=each) for each in ("exact", "fast")]
    for chip in chips:
        chip.program([_randn(2, 40, 61).float(), _randn(2, 10, 41).float()])
    x = _randn(2, 9, 60, seed=8).float()
    assert torch.equal(chips[0].forward(x).outputs, chips[1].forward(x).outputs)


@pytest.mark.parametrize(
    ("vectors", "lines", "columns", "tile", "worth"),
    [
        (64, 512, 512, 512, True),
        (63, 4096, 4096, 4096, False),
        (1000, 4096, 64, 256, False),
        (64, 512, 511, 512, False),
    ],
)
def test_small_products_stay_exact(
    monkeypatch: pytest.MonkeyPatch, vectors: int, lines: int, columns: int, tile: int, worth: bool
) -> None:
    for name, value in (("_WORTH", 1 << 24), ("_LINES", 448), ("_VECTORS", 64)):
        monkeypatch.setattr(coded, name, value)
    blocks = [slice(start, start + tile) for start in range(0, lines, tile)]
    some = Coded(torch.ones(1, columns, lines), (), 1.0, tuple(blocks))
    assert (some.encode(torch.ones(1, 1, 1, vectors, lines)) is not None) == worth


def test_fast_products_are_of_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analogsim.chip.crossbar.matrix_units", lambda: True)
    profile = DeviceProfile.from_data(PROFILE)
    kinds = (("cpu", torch.float32), ("cpu", torch.float64), ("meta", torch.float32))
    chips = [Chip(NETWORK, profile, 1, device=device, dtype=dtype, products="fast") for device, dtype in kinds]
    assert [[crossbar._coded for crossbar in chip.crossbars] for chip in chips] == [
        [True] * 2,
        [False] * 2,
        [False] * 2,
    ]


@pytest.mark.parametrize("noise", ["proportional", "additive", "shot"])
def test_reads_of_a_fast_chip_have_the_law_of_the_devices(monkeypatch: pytest.MonkeyPatch, noise: str) -> None:
    """Mean, variance and fourth moment of 20,000 reads of 24 columns against sums over the devices' own variances.

    n = 20,000: the sample variance is chi-square with n - 1 degrees of freedom, limits at 1e-6 over 3 x 24 columns,
    wider by the 1.2 % that rounding may cost a variance; the mean is normal, beside the bound of rounded weights; the
    kurtosis has a standard deviation of sqrt(24 / n).
    """
    extra = {"read_voltage": "0.2 V", "integration_time": "100 ns"} if noise == "shot" else {"sigma": "5 %"}
    _always(monkeypatch)
    monkeypatch.setattr("analogsim.chip.crossbar.matrix_units", lambda: True)
    data = {**PROFILE, "read_noise": {"kind": noise, **extra}, "column_noise": None, "dac": {"bits": 8, "range": 3}}
    network, n = Network((Dense(50, 24, Identity(), bias=False),)), 20_000
    chip = Chip(network, DeviceProfile.from_data(data), 1, tile=64, products="fast")
    weights = _randn(1, 24, 50).float()
    chip.program([weights])
    x = _randn(1, 1, 50, seed=8).float()
    trace = chip.forward(x, samples=n)
    y = trace.pre_activations[0][0, :, 0, 0].double()
    levels, source = trace.inputs[0][0, 0, 0, 0].double(), chip._layers[0].array.pair.view(False).sources[0]
    drive = levels.abs() * 3 if noise == "shot" else levels.square()
    variance = (source.variance[0].double().expand(24, 50) * drive).sum(1)
    clean = levels @ chip.oracle.weights[0][0].double().T
    z = stats.norm.isf(1e-6 / (2 * 3 * 24))
    bound = levels.abs().sum() * weights.abs().max() / 65278
    assert ((y.mean(0) - clean).abs() < z * (variance / n).sqrt() * 1.006 + bound).all()
    low, high = (stats.chi2.isf(q, n - 1) / (n - 1) for q in (1 - 1e-6 / (2 * 72), 1e-6 / (2 * 72)))
    ratio = y.var(0) / variance
    assert low / 1.012 < ratio.min()
    assert ratio.max() < high * 1.012
    kurtosis = ((y - y.mean(0)) / y.std(0)).pow(4).mean(0) - 3
    assert (kurtosis.abs() < z * (24 / n) ** 0.5 * 1.5).all()
