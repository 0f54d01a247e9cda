"""Fast chips: the reads of exact ones, to the stated bounds, where products of bytes apply."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from analogsim.chip import Chip
from analogsim.network import Dense, Identity, Network
from analogsim.port import LayerWrite, Pass
from device_models import DeviceProfile, threads

pytestmark = pytest.mark.skipif(not threads.available, reason="loops are not compiled here")


def _randn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


NETWORK = Network((Dense(60, 40, Identity()), Dense(40, 10, Identity())))
PROFILE: dict[str, Any] = {
    "name": "loud",
    "conductance": {"min": "1 uS", "max": "25 uS"},
    "dac": {"bits": 8, "range": 3},
    "read_noise": [{"kind": "proportional", "sigma": "5 %"}, {"kind": "lorentzian", "sigma": "2 %", "tau": "3 us"}],
    "column_noise": {"sigma": "1 %"},
}


def _chips(monkeypatch: pytest.MonkeyPatch, **parts: Any) -> tuple[Chip, Chip]:
    monkeypatch.setattr("analogsim.chip.crossbar.matrix_units", lambda: True)
    profile = DeviceProfile.from_data({**PROFILE, **parts})
    chips = tuple(Chip(NETWORK, profile, 2, tile=32, products=each) for each in ("exact", "fast"))
    for chip in chips:
        chip.program([_randn(2, 40, 61).float(), _randn(2, 10, 41).float()])
    return chips[0], chips[1]


@pytest.mark.usefixtures("always_bytes")
def test_another_default_dtype_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            _, fast = _chips(monkeypatch)
            found.append(fast.forward(_randn(2, 9, 60, seed=8).float()).outputs)
        finally:
            torch.set_default_dtype(torch.float32)
    assert torch.equal(*found)


@pytest.mark.usefixtures("always_bytes")
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


@pytest.mark.usefixtures("always_bytes")
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


@pytest.mark.usefixtures("always_bytes")
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


@pytest.mark.usefixtures("always_bytes")
def test_without_units_for_matrices_products_stay_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analogsim.chip.crossbar.matrix_units", lambda: False)
    chips = [Chip(NETWORK, DeviceProfile.from_data(PROFILE), 2, products=each) for each in ("exact", "fast")]
    for chip in chips:
        chip.program([_randn(2, 40, 61).float(), _randn(2, 10, 41).float()])
    x = _randn(2, 9, 60, seed=8).float()
    assert torch.equal(chips[0].forward(x).outputs, chips[1].forward(x).outputs)


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


@pytest.mark.usefixtures("always_bytes")
@pytest.mark.parametrize("noise", ["proportional", "additive", "shot"])
def test_reads_of_a_fast_chip_have_the_law_of_the_devices(monkeypatch: pytest.MonkeyPatch, noise: str) -> None:
    """Mean, variance and fourth moment of 20,000 reads of 24 columns against sums over the devices' own variances.

    n = 20,000: the sample variance is chi-square with n - 1 degrees of freedom, limits at 1e-6 over 3 x 24 columns,
    wider by the 1.2 % that rounding may cost a variance; the mean is normal, beside the bound of rounded weights; the
    kurtosis has a standard deviation of sqrt(24 / n).
    """
    extra = {"read_voltage": "0.2 V", "integration_time": "100 ns"} if noise == "shot" else {"sigma": "5 %"}
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
