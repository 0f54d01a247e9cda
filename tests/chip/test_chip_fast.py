"""Fast products and compiled loops: the currents that torch gives operation by operation, to stated bounds."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from analogsim.chip import Chip, coded
from analogsim.chip.coded import Coded
from analogsim.chip.current import Current, Noise, TwoParts, Variance
from analogsim.network import Dense, Identity, Network
from analogsim.port import LayerWrite, Pass
from device_models import DeviceProfile, threads

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


def test_currents_in_two_parts() -> None:
    """The compiled sum of the parts, with noise in bfloat16, against float64."""
    high, low = (_codes(2, 1, 2, 4, 6, seed=seed).int() * 2**17 + seed for seed in (1, 2))
    units = torch.tensor([1e-7, 2e-7])
    variance = _randn(2, 1, 2, 4, 6, dtype=torch.float32).square().to(torch.bfloat16)
    numbers = _randn(2, 1, 1, 4, 6, seed=1, dtype=torch.float32)
    found = Current(TwoParts(high, low, units), 1.0, 0, 0, Noise(Variance(variance), numbers, (False, True))).value
    exact = (high.double() * 256 + low.double()) * units.double()[:, None, None, None, None]
    exact[:, :, 1] += variance[:, :, 1].double().sqrt() * numbers[:, :, 0].double()
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(TwoParts(high, low, units).whole.double()[:, :, 0], exact[:, :, 0], rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("step", [0.0, 0.25])
@pytest.mark.parametrize("parts", [True, False])
def test_results_take_the_place_of_what_is_used_up(parts: bool, step: float) -> None:
    """Of the random numbers, or of a mean that nobody else has; what was there is read before it is written over."""
    shape = (2, 1, 1, 4, 6)
    high, low = (_codes(*shape, seed=seed).int() for seed in (1, 2))
    units = torch.tensor([1e-3, 2e-3])
    two = TwoParts(high, low, units)
    mean = two.whole.clone()
    numbers, variance = (_randn(*shape, seed=seed, dtype=torch.float32) for seed in (3, 4))
    expected = mean.double() + variance.square().double().sqrt() * numbers.double()
    expected = (expected / step).round().clamp(-100, 100) * step if step else expected
    current = Current(two if parts else mean, 1.0, 0, 0, Noise(Variance(variance.square()), numbers, (True,)))
    found = current.decoded(step, 100) if step else current.value
    assert found.data_ptr() == (numbers if parts else mean).data_ptr()
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_products_of_bytes_keep_their_bound(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    """|error of a mean| <= ||x||_1 max |w| / 65278, beside float32's own rounding; sigma within 0.6 %; vs float64."""
    _always(monkeypatch)
    step, lines, columns = 0.05, 96, 33
    weights = (_randn(2, columns, lines) * scale).float()
    weights[0, 0, 0] = -weights.abs().max() * 1.5  # the largest weight of a chip, of either sign
    variances = _randn(2, columns, lines, seed=1).square().float()
    levels = (_codes(2, 1, 2, 9, lines) * step).float()
    some = Coded.of(weights, [variances, variances[..., :1]], step)
    codes = some.encode(levels, 64)
    assert codes is not None
    assert some.variances[1] is None, "uniform noise needs no product"
    assert torch.equal(codes.codes, (levels / step).round().to(torch.int8))
    for block in (slice(0, 64), slice(64, lines)):
        x, w = levels[..., block].double(), weights[:, :, block].double()
        exact = torch.einsum("cspbr,cor->cspbo", x, w)
        error = (some.product(codes, block).whole.double() - exact).abs()
        largest = weights.abs().amax((1, 2)).double()[:, None, None, None, None]
        assert (error <= x.abs().sum(-1, keepdim=True) * largest * (1 / 65278 + 1e-6)).all()
        assert error.max() > 0, "16 bits are not 24"
        sigma = torch.einsum("cspbr,cor->cspbo", x.square(), variances[:, :, block].double()).sqrt()
        found = some.variance(codes, 0, block).double().sqrt()
        errors = (found / sigma - 1).abs()
        assert (errors < 6e-3).all()
        assert errors.mean() < 1e-3, "of many lines: the last rounding, uniform within 2^-8 of a variance at most"


@pytest.mark.skipif(not coded.matrix_units(), reason="this CPU has no units for bytes; sums may overflow")
def test_the_largest_bytes_do_not_overflow() -> None:
    """4096 lines of +-127 at weights of -128 to 127: sums that 16 bits cannot hold, of two lines even."""
    weights = torch.tensor([-128, -127, 127, 126], dtype=torch.int8).repeat_interleave(8)[:, None].expand(-1, 4096)
    codes = torch.tensor([127, -127, 1], dtype=torch.int8).repeat(24)[:, None].expand(-1, 4096).contiguous()
    found = coded._product_of_bytes(codes, weights.contiguous().t())
    assert torch.equal(found.long(), codes.long() @ weights.long().t())


@pytest.mark.parametrize("scale", [0.0, 1e-38])
def test_weights_of_nothing_are_no_trouble(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    _always(monkeypatch)
    some = Coded.of(torch.full((1, 3, 4), scale), [], 1.0)
    codes = some.encode(torch.ones(1, 1, 1, 2, 4), 4)
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
def test_small_products_stay_exact(vectors: int, lines: int, columns: int, tile: int, worth: bool) -> None:
    some = Coded.of(torch.ones(1, columns, lines), [], 1.0)
    assert (some.encode(torch.ones(1, 1, 1, vectors, lines), tile) is not None) == worth


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
    wider by the 1.2 % that bfloat16 may cost a variance; the mean is normal, beside the bound of rounded weights; the
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
