"""The noise of a column drawn as one number has the law of the noise of its devices, and both have the closed form.

`sampling="column"` is compared with `sampling="device"` and with the law of a read written down a second time (see
`read_law`); so are reads of columns by products of bytes. Every tolerance follows from n, the number of reads, and
ALPHA, the probability that one test fails by chance: a test that looks at m numbers gives each ALPHA / m (Bonferroni).
Seeds are fixed, so a test that passes goes on passing. 200 tests at 1e-6 would fail by chance once in 5,000 choices of
seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy import stats

from analogsim.chip import Chip, Mapping, coded
from analogsim.port import Pass
from analogsim.randomness import Purpose
from device_models import DeviceProfile
from device_models.compose import merge, preset_data

ALPHA = 1e-6
N = 10_000  # reads of each cell: the variance of one cell is known to sqrt(2 / n) = 1.4 %
CHIPS, ROWS, COLUMNS, PASSES = 2, 9, 6, 2
INPUTS = torch.tensor([[1.3, -0.4, 0.0, 2.2, -1.7, 0.6, 0.9, -0.1], [0.2, 0.1, -7.5, 0.0, 0.3, -0.2, 0.05, 0.4]])
VECTORS = torch.tensor([[1.1, -0.3, 0.7, 0.0, -2.1, 0.4], [1e-4, 3e-4, 0.0, -5e-4, 2e-4, 1e-4]])
EVERYTHING = {
    "conductance": {"min": "5 uS", "max": "25 uS"},
    "read_noise": [
        {"kind": "additive", "sigma": {"each": ["1 %", "2 %"]}},
        {"kind": "proportional", "sigma": {"each": ["6 %", "3 %"]}},
    ],
    "column_noise": {"sigma": {"each": ["0.5 %", "1 %"]}},
    "dac": {"bits": 7, "range": 2, "scaling": "per_vector"},
}
FIXED = {"bits": 8, "range": 3}


class Case(NamedTuple):
    """A profile, and how layers lie on tiles."""

    parts: dict[str, Any]
    tile: int = 256
    mapping: Mapping = Mapping()
    dtype: torch.dtype = torch.float64

    @property
    def profile(self) -> DeviceProfile:
        return DeviceProfile.from_data({"name": "test", "conductance": {"max": "25 uS"}, **self.parts})


def _driven(encoding: str, bits: int, polarity: str = "bipolar") -> dict[str, Any]:
    dac = {"bits": bits, "range": 2, "scaling": "per_vector", "encoding": encoding, "polarity": polarity}
    return {**EVERYTHING, "dac": dac}


BEFORE_ADC = {
    "noisy": Case(merge(preset_data("noisy"), {"adc": None})),
    "noisy-float32": Case(merge(preset_data("noisy"), {"adc": None}), dtype=torch.float32),
    "proportional": Case(
        {"conductance": {"min": "5 uS", "max": "25 uS"}, "read_noise": {"kind": "proportional", "sigma": "4 %"}}
    ),
    "pcm": Case(merge(preset_data("pcm"), {"adc": None})),
    "pcm-float32": Case(merge(preset_data("pcm"), {"adc": None}), dtype=torch.float32),
    "reram": Case(merge(preset_data("reram"), {"adc": None})),
    "reram-float32": Case(merge(preset_data("reram"), {"adc": None}), dtype=torch.float32),
    "column": Case({"column_noise": {"sigma": "2 %"}}, tile=4),
    "everything": Case(EVERYTHING, tile=4),
    "per-column-follow": Case(EVERYTHING, mapping=Mapping("follow", "column")),
    "per-column-additive": Case({"read_noise": {"sigma": "2 %"}}, mapping=Mapping("fixed", "column")),
    "pulse-width": Case(_driven("pulse_width", 6), tile=4),
    "pulse-width-pcm": Case(
        merge(preset_data("pcm"), {"adc": None, "dac": {"bits": 4, "range": 4, "encoding": "pulse_width"}})
    ),
    "pulse-width-float32": Case(
        {**EVERYTHING, "dac": {"bits": 6, "range": 3, "encoding": "pulse_width"}}, tile=4, dtype=torch.float32
    ),
    "bit-serial": Case(_driven("bit_serial", 4), tile=5),
    "bit-serial-column": Case(
        {"column_noise": {"sigma": "2 %"}, "dac": {"bits": 4, "range": 2, "encoding": "bit_serial"}}, tile=4
    ),
    "two-phase-slices": Case({**_driven("voltage", 6, "two_phase"), "slices": {"count": 2, "bits": 2}}, tile=5),
    "reference": Case({**_driven("voltage", 7), "cell": "reference"}, mapping=Mapping("follow", "column")),
    "everything-fixed": Case({**EVERYTHING, "dac": FIXED}, tile=4, dtype=torch.float32),
    "two-phase": Case({**EVERYTHING, "dac": {**FIXED, "polarity": "two_phase"}}, dtype=torch.float32),
}
AFTER_ADC = {
    "noisy": Case(preset_data("noisy")),
    "noisy-split": Case(preset_data("noisy"), tile=4),
    "pcm-split": Case(preset_data("pcm"), tile=4),
    "pcm-split-float32": Case(preset_data("pcm"), tile=4, dtype=torch.float32),
    "proportional": Case({**BEFORE_ADC["proportional"].parts, "adc": {"bits": 6, "range": 3}}),
    "everything-split": Case({**EVERYTHING, "adc": {"bits": 7, "range": 6}}, tile=3),
    "clipped": Case({"read_noise": {"sigma": "5 %"}, "adc": {"bits": 5, "range": 1.5}}, tile=5),
    "bit-serial": Case({**_driven("bit_serial", 4), "adc": {"bits": 5, "range": 5}}),
    "two-phase-pulse-width": Case({**_driven("pulse_width", 6, "two_phase"), "adc": {"bits": 6, "range": 4}}, tile=5),
    "slices": Case({**_driven("voltage", 7), "slices": {"count": 2, "bits": 2}, "adc": {"bits": 6, "range": 6}}),
    "everything-fixed": Case(
        {**BEFORE_ADC["everything-fixed"].parts, "adc": {"bits": 7, "range": 6}}, 5, dtype=torch.float32
    ),
    "slices-fixed": Case(
        {**EVERYTHING, "dac": FIXED, "slices": {"count": 2, "bits": 2}, "adc": {"bits": 6, "range": 6}},
        dtype=torch.float32,
    ),
    "two-phase-fixed": Case(
        {**BEFORE_ADC["two-phase"].parts, "adc": {"bits": 6, "range": 4}}, tile=5, dtype=torch.float32
    ),
}
DIRECTIONS = ["forward", "backward"]
SAMPLINGS = ["column", "device"]
BYTES = ["noisy-float32", "pcm-float32", "reram-float32", "everything-fixed", "two-phase", "pulse-width-float32"]
BYTES_AFTER_ADC = ["pcm-split-float32", "everything-fixed", "slices-fixed", "two-phase-fixed"]
"""Cases that forward reads by products of bytes have, as a third sampling, `bytes`."""
READS = [(name, direction, each) for name in BEFORE_ADC for direction in DIRECTIONS for each in SAMPLINGS]
READS += [(name, "forward", "bytes") for name in BYTES]


class Reads(NamedTuple):
    """n reads under each sampling, and their law. A cell is a (chip, vector, column); forward passes add cells."""

    law: Any
    values: dict[str, np.ndarray]  # (n, passes, C, B, columns)

    def standardised(self, sampling: str) -> np.ndarray:
        """(n, cells), standard normal if the law holds."""
        z = (self.values[sampling] - self.law.mean) / np.sqrt(self.law.variance)
        return z.reshape(len(z), -1)


def _read(chip: Chip, backward: Any, direction: str, n: int) -> np.ndarray:
    if direction == "forward":
        x = INPUTS.to(chip.dtype).repeat(n, 1).expand(CHIPS, -1, -1)  # a batch of copies: its elements share no noise
        a = chip.forward(x, (Pass(),) * PASSES).pre_activations[0][:, 0]
        return a.unflatten(2, (n, len(INPUTS))).permute(2, 1, 0, 3, 4).double().numpy()
    copies = VECTORS.to(chip.dtype).repeat(n, 1).expand(CHIPS, -1, -1)
    linear = torch.zeros(CHIPS, len(copies[0]), chip.network.layers[0].columns, dtype=chip.dtype)
    a = backward(chip, copies, (linear, copies))[0]
    return a.unflatten(1, (n, len(VECTORS))).transpose(0, 1)[:, None].double().numpy()


def _by_bytes(chip_of: Any, network: Any, case: Case, arguments: dict[str, Any]) -> Chip:
    """A chip whose forward reads are products of bytes, on any CPU and however small they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analogsim.chip.crossbar.matrix_units", lambda: True)
        chip = chip_of(network, case.profile, CHIPS, seed=11, products="fast", **arguments)
    assert chip.crossbars[0]._coded
    return chip


@pytest.fixture(scope="module")
def reads_of(
    chip_of: Any, linear: Any, weights_of: Any, ranges_of: Any, read_law: Any, backward: Any
) -> Callable[..., Reads]:
    """(case, direction) -> Reads; each is made once."""
    made: dict[tuple[str, str, bool], Reads] = {}

    def make(name: str, direction: str, adc: bool = False) -> Reads:
        if (name, direction, adc) not in made:
            case = (AFTER_ADC if adc else BEFORE_ADC)[name]
            network = linear(ROWS - 1, COLUMNS) if direction == "forward" else linear(2, ROWS - 1, COLUMNS)
            arguments = {"tile": case.tile, "mapping": case.mapping, "dtype": case.dtype}
            chips = {
                sampling: chip_of(network, case.profile, CHIPS, sampling=sampling, seed=11, **arguments)
                for sampling in SAMPLINGS
            }
            if direction == "forward" and name in (BYTES_AFTER_ADC if adc else BYTES):
                chips["bytes"] = _by_bytes(chip_of, network, case, arguments)
            for position, chip in enumerate(chips.values()):  # the same devices, read with numbers of their own
                for purpose in (Purpose.READ, Purpose.BACKWARD_READ):
                    chip.streams.restart(purpose, position)
            layer = network.depth - 1
            weights = weights_of(network, range(CHIPS), torch.float64)
            x = torch.nn.functional.pad(INPUTS, (0, 1), value=1.0) if direction == "forward" else VECTORS
            law = read_law(
                case.profile,
                chips["column"].oracle.conductances[layer],
                ranges_of(weights, case.mapping)[layer],
                x.double().numpy()[None].repeat(CHIPS, 0),
                case.tile,
                None if direction == "forward" else ROWS - 1,
                tuple(cells.programmed for cells in chips["column"].oracle.cells[layer]),
            )
            with pytest.MonkeyPatch.context() as patch:
                for limit in ("_WORTH", "_LINES", "_VECTORS"):
                    patch.setattr(coded, limit, 0)
                values = {sampling: _read(chip, backward, direction, N) for sampling, chip in chips.items()}
            made[name, direction, adc] = Reads(law, values)
        return made[name, direction, adc]

    return make


before_adc = pytest.mark.parametrize("name", BEFORE_ADC)
each_read = pytest.mark.parametrize(
    ("name", "direction", "sampling"), READS, ids=[f"{name}-{way}-{each}" for name, way, each in READS]
)
either_way = pytest.mark.parametrize("direction", DIRECTIONS)
either_sampling = pytest.mark.parametrize("sampling", SAMPLINGS)


@each_read
def test_mean(reads_of: Any, name: str, direction: str, sampling: str) -> None:
    z = reads_of(name, direction).standardised(sampling)
    # A mean of n standard normals is N(0, 1 / n).
    limit = stats.norm.isf(ALPHA / 2 / z.shape[1]) / np.sqrt(N)
    assert np.abs(z.mean(0)).max() < limit


@each_read
def test_variance_has_the_closed_form(reads_of: Any, name: str, direction: str, sampling: str) -> None:
    z = reads_of(name, direction).standardised(sampling)
    # A sum of n squares of standard normals is chi-square with n degrees of freedom; all cells together, n x cells.
    squares = (z**2).sum(0)
    low, high = stats.chi2.isf([1 - ALPHA / 2 / z.shape[1], ALPHA / 2 / z.shape[1]], N)
    assert low < squares.min()
    assert squares.max() < high
    low, high = stats.chi2.isf([1 - ALPHA / 2, ALPHA / 2], z.size)
    assert low < squares.sum() < high


@before_adc
@either_way
def test_samplings_have_one_mean_and_one_variance(reads_of: Any, name: str, direction: str) -> None:
    reads = reads_of(name, direction)
    column, device = (reads.values[sampling].reshape(N, -1) for sampling in SAMPLINGS)
    cells = column.shape[1]
    # Ratio of two sample variances: F with n - 1 and n - 1 degrees of freedom; all cells together as many times more.
    low, high = stats.f.isf([1 - ALPHA / 2 / cells, ALPHA / 2 / cells], N - 1, N - 1)
    ratios = column.var(0, ddof=1) / device.var(0, ddof=1)
    assert low < ratios.min()
    assert ratios.max() < high
    # Difference of two means over its standard error, estimated with 2 n - 2 degrees of freedom: Student's t.
    error = np.sqrt((column.var(0, ddof=1) + device.var(0, ddof=1)) / N)
    t = np.abs(column.mean(0) - device.mean(0)) / error
    assert t.max() < stats.t.isf(ALPHA / 2 / cells, 2 * N - 2)


@each_read
def test_noise_is_gaussian(reads_of: Any, name: str, direction: str, sampling: str) -> None:
    z = reads_of(name, direction).standardised(sampling)
    assert stats.kstest(z.ravel(), "norm", method="asymp").pvalue > ALPHA
    # Skewness and excess kurtosis of m normals: N(0, 6 / m) and N(0, 24 / m) for the m of all cells together.
    limit = stats.norm.isf(ALPHA / 4)
    assert abs(stats.skew(z.ravel())) < limit * np.sqrt(6 / z.size)
    assert abs(stats.kurtosis(z.ravel())) < limit * np.sqrt(24 / z.size)


@each_read
def test_noise_is_independent_between_columns_vectors_chips_and_reads_and_passes_remember(
    reads_of: Any, name: str, direction: str, sampling: str
) -> None:
    z = reads_of(name, direction).standardised(sampling)
    # Pearson's r of n pairs of independent normals: r sqrt((n - 2) / (1 - r^2)) is Student's t with n - 2 degrees.
    r = np.corrcoef(z, rowvar=False)
    if direction == "forward":  # passes come first among the cells; Fisher: atanh(r) is normal about atanh(memory)
        half, memory = z.shape[1] // 2, reads_of(name, direction).law.memory.ravel()
        same = np.arange(half), half + np.arange(half)
        shift = np.arctanh(r[same]) - np.arctanh(memory)
        # Bins of a decade ripple by up to 0.04 nats of the log(longest / shortest) that the noise has.
        assert np.abs(shift).max() < stats.norm.isf(ALPHA / 2 / half) / np.sqrt(N - 3) + (0.01 if memory.any() else 0)
        r[same] = 0
    r = r[np.triu_indices(z.shape[1], 1)]
    t = stats.t.isf(ALPHA / 2 / (len(r) + z.shape[1]), N - 2)
    limit = t / np.sqrt(N - 2 + t**2)
    assert np.abs(r).max() < limit
    # One read and the next: r of n - 1 pairs is N(0, 1 / n) to first order.
    following = (z[1:] * z[:-1]).mean(0)
    assert np.abs(following).max() < stats.norm.isf(ALPHA / 2 / z.shape[1]) / np.sqrt(N - 1)


# After the ADC


def _pool(*histograms: np.ndarray, smallest: float = 5.0) -> np.ndarray:
    """Starts of bins made of neighbours, so that every bin of each histogram holds `smallest`."""
    starts, held = [0], np.zeros(len(histograms))
    for position, bin_ in enumerate(np.stack(histograms, axis=1)):
        if (held >= smallest).all():
            starts.append(position)
            held = np.zeros(len(histograms))
        held = held + bin_
    if (held < smallest).any() and len(starts) > 1:
        del starts[-1]
    return np.array(starts)


def _codes(reads: Reads, case: Case, sampling: str, cell: tuple[int, ...]) -> np.ndarray:
    """Sums of ADC codes in one cell, all passes together; codes times step times gain are what is seen."""
    adc = case.profile.adc
    assert adc is not None
    value = adc.step * reads.law.unit * reads.law.gain[(*cell[:2], 0)]
    codes = reads.values[sampling][(slice(None), slice(None), *cell)] / value
    np.testing.assert_allclose(codes, np.rint(codes), rtol=0, atol=1e-4 if case.dtype == torch.float32 else 1e-9)
    return np.rint(codes).astype(int).ravel()


@pytest.mark.parametrize("name", AFTER_ADC)
@either_way
def test_codes_of_the_adc(reads_of: Any, name: str, direction: str) -> None:
    reads, case = reads_of(name, direction, adc=True), AFTER_ADC[name]
    adc = case.profile.adc
    assert adc is not None
    cells = list(np.ndindex(*reads.law.mean.shape))
    for cell in cells:
        first, law = reads.law.codes(adc.bits, adc.range, cell)
        counts = {}
        for sampling in reads.values:
            codes = _codes(reads, case, sampling, cell)
            counts[sampling] = np.bincount(codes - first, minlength=len(law)).astype(float)
            # Pearson's chi-square against the bins' probabilities, those with less than 5 expected pooled.
            starts = _pool(law * len(codes))
            expected, observed = (np.add.reduceat(h, starts) for h in (law * len(codes), counts[sampling]))
            expected *= observed.sum() / expected.sum()  # only rounding: the probabilities of all codes add up to one
            if len(starts) > 1:
                assert stats.chisquare(observed, expected).pvalue > ALPHA / 4 / len(cells), (sampling, cell)
        # And of the samplings against each other.
        starts = _pool(*counts.values())
        if len(starts) > 1:
            table = np.stack([np.add.reduceat(h, starts) for h in counts.values()])
            assert stats.chi2_contingency(table, correction=False).pvalue > ALPHA / 4 / len(cells), cell


# The noise law, without sampling error


@pytest.mark.parametrize("name", ["noisy", "proportional", "column", "everything", "per-column-follow"])
@either_way
@either_sampling
def test_twice_the_sigma_is_twice_the_noise(
    chip_of: Any, linear: Any, backward: Any, name: str, direction: str, sampling: Any
) -> None:
    case = BEFORE_ADC[name]
    network = linear(ROWS - 1, COLUMNS) if direction == "forward" else linear(2, ROWS - 1, COLUMNS)

    def read(factor: float) -> np.ndarray:
        noises = [{**noise, "sigma": f"{1.5 * factor} %"} for noise in _listed(case.parts.get("read_noise"))]
        column = {"sigma": f"{0.5 * factor} %"} if "column_noise" in case.parts else None
        profile = Case({**case.parts, "read_noise": noises, "column_noise": column}).profile
        arguments = {"sampling": sampling, "tile": case.tile, "mapping": case.mapping}
        return _read(chip_of(network, profile, CHIPS, seed=3, **arguments), backward, direction, 5)

    silent, once, twice = read(0), read(1), read(2)
    assert (once != silent).any()
    np.testing.assert_allclose(twice - silent, 2 * (once - silent), rtol=1e-5, atol=1e-13 * np.abs(silent).max())


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


@either_sampling
def test_the_ideal_preset_has_no_noise(chip_of: Any, linear: Any, backward: Any, sampling: Any) -> None:
    ideal = Case(preset_data("ideal")).profile
    network = linear(2, ROWS - 1, COLUMNS)
    chip = chip_of(network, ideal, CHIPS, sampling=sampling)
    _read(chip, backward, "backward", 3)
    chip.forward(torch.ones(CHIPS, 4, 2, dtype=torch.float64), samples=3)
    for purpose in (Purpose.READ, Purpose.BACKWARD_READ):
        assert f"{purpose.name}/1" not in chip.streams.state_dict()["generators"], "nothing was drawn"
