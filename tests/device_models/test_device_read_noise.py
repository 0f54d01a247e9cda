"""Read noise: the variance of one device's read, in siemens squared."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from device_models import Device, DeviceProfile

G_MIN, G_MAX = 2e-6, 25e-6


def _build(*noises: dict[str, Any], chips: int = 3) -> Device:
    data = {"name": "x", "conductance": {"min": "2 uS", "max": "25 uS"}, "read_noise": list(noises)}
    return DeviceProfile.from_data(data).build(chips, torch.device("cpu"), torch.float64)


def _conductances(chips: int = 3) -> torch.Tensor:
    g = torch.rand(chips, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return G_MIN + (G_MAX - G_MIN) * g


def test_additive_noise_is_a_share_of_g_max_for_every_conductance() -> None:
    (noise,) = _build({"sigma": "3 %"}).read_noise
    assert noise.uniform
    variance = noise.variance(_conductances())
    assert variance.shape == (3, 1, 1)
    torch.testing.assert_close(variance, torch.full((3, 1, 1), (0.03 * G_MAX) ** 2, dtype=torch.float64))


def test_proportional_noise_is_a_share_of_the_conductance() -> None:
    (noise,) = _build({"kind": "proportional", "sigma": "3 %"}).read_noise
    assert not noise.uniform
    g = _conductances()
    torch.testing.assert_close(noise.variance(g), 0.0009 * g**2)


def test_a_device_at_g_min_is_noisy() -> None:
    g = torch.full((1, 1, 1), G_MIN, dtype=torch.float64)
    additive, proportional = _build({"sigma": "3 %"}, {"kind": "proportional", "sigma": "3 %"}, chips=1).read_noise
    assert additive.variance(g).item() == pytest.approx((0.03 * G_MAX) ** 2)
    assert proportional.variance(g).item() == pytest.approx((0.03 * G_MIN) ** 2)


@pytest.mark.parametrize("kind", ["additive", "proportional"])
def test_each_chip_may_have_its_own_sigma(kind: str) -> None:
    (noise,) = _build({"kind": kind, "sigma": {"each": ["0 %", "1 %", "2 %"]}}).read_noise
    g = _conductances(1).expand(3, 4, 5)
    variance = noise.variance(g)
    assert (variance[0] == 0).all()
    torch.testing.assert_close(variance[2], 4 * variance[1])


WHITE = [
    {"sigma": "3 %"},
    {"kind": "proportional", "sigma": "3 %"},
    {"kind": "polynomial", "sigma": "3 %", "coefficients": [0.2, 1.0]},
    {"kind": "saturating", "sigma": "300 nS", "knee": "5 uS"},
]


@pytest.mark.parametrize("noise", WHITE)
def test_a_scale_multiplies_the_noise_of_every_law(noise: dict[str, Any]) -> None:
    g = _conductances()
    (plain,), (scaled,) = _build(noise).read_noise, _build({**noise, "scale": {"each": [0.0, 1.0, 3.0]}}).read_noise
    factor = torch.tensor([0.0, 1.0, 9.0], dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(scaled.variance(g) + 0 * g, factor * (plain.variance(g) + 0 * g))


@pytest.mark.parametrize("noise", WHITE)
def test_a_scale_of_one_is_not_written(noise: dict[str, Any]) -> None:
    data = {"name": "x", "conductance": {"max": "25 uS"}, "read_noise": [noise]}
    (written,) = DeviceProfile.from_data(data).to_data()["read_noise"]
    assert "scale" not in written
    (written,) = DeviceProfile.from_data({**data, "read_noise": [{**noise, "scale": 2.0}]}).to_data()["read_noise"]
    assert written["scale"] == 2.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_have_the_dtype_that_was_asked_for(dtype: torch.dtype) -> None:
    data = {
        "name": "x",
        "conductance": {"max": "25 uS"},
        "read_noise": {"sigma": "1 %"},
        "column_noise": {"sigma": "1 %"},
    }
    device = DeviceProfile.from_data(data).build(2, torch.device("cpu"), dtype)
    assert device.column_noise is not None
    assert device.column_noise.shape == (2, 1, 1)
    assert {device.column_noise.dtype, device.read_noise[0].variance(torch.zeros(2, 1, 1, dtype=dtype)).dtype} == {
        dtype
    }
