"""Means and variances by products of bytes, to their bounds against float64; however small they are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from analogsim.chip import byte_product, coded
from analogsim.chip.byte_product import Counted
from analogsim.chip.coded import Coded
from device_models import threads
from device_models.quantise import quantise

pytestmark = [
    pytest.mark.skipif(not threads.available, reason="loops are not compiled here"),
    pytest.mark.usefixtures("always_bytes"),
]


def _randn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _codes(*shape: int, seed: int = 0) -> Tensor:
    """Whole numbers from -127 to 127."""
    return torch.randint(-127, 128, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_products_of_bytes_keep_their_bound(scale: float) -> None:
    """|error of a mean| <= ||x||_1 max |w| / 65278, beside float32's own rounding, vs float64."""
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
def test_variances_by_bytes_keep_their_bound(law: str) -> None:
    """512 lines, weights of a normal law, proportional noise: a standard deviation errs by less than 0.2 % rms.

    n = 48,000 of them. Their mean shows a bias: columns and vectors have dithers of their own, so that of 64 columns
    whose errors all vectors shared would have a standard deviation of 0.2 % / 8; limits at half of that.
    """
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
def test_what_bytes_cannot_tell_is_told_by_halves(what: str, bytes_: bool) -> None:
    """Few lines that are driven, or a device far above the others of its column: to 0.6 %, as numbers of 8 bits are."""
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


def test_blocks_and_sources_are_told_apart() -> None:
    """A device far above in one block of one source leaves the other block, and the other source, to bytes."""
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


@pytest.mark.parametrize("values", ["silent", "one level", "nan"])
def test_vectors_of_nothing_and_of_what_is_no_number(values: str) -> None:
    """A silent vector has no noise; one that is no number makes its chip's currents none, and no other's."""
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
def test_levels_and_codes_of_one_pass_are_those_of_two(range_: float, noisy: bool) -> None:
    """Halves, numbers beyond the range, and none: bit for bit."""
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
def test_weights_of_nothing_are_no_trouble(scale: float) -> None:
    some = Coded(torch.full((1, 3, 4), scale), (), 1.0, (slice(None),))
    codes = some.encode(torch.ones(1, 1, 1, 2, 4))
    assert codes is not None
    assert some.product(codes, slice(None)).whole.abs().max() < 1e-30


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
