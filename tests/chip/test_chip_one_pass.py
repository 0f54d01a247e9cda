"""Noise and converter in one compiled pass: what torch gives operation by operation."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from analogsim.chip import one_pass
from analogsim.chip.byte_product import ByteProduct, Counted, TwoParts
from analogsim.chip.current import Current, Noise, Variance
from device_models import threads

pytestmark = pytest.mark.skipif(not threads.available, reason="loops are not compiled here")


def _randn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _codes(*shape: int, seed: int = 0) -> Tensor:
    """Whole numbers from -127 to 127."""
    return torch.randint(-127, 128, shape, generator=torch.Generator().manual_seed(seed))


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
