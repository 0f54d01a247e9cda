"""Read noise: the variance of one device's read, in siemens squared."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch

from device_models import Device, DeviceProfile, ProfileError
from device_models.compose import merge
from device_models.registry import ReadNoiseDescription

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


READ = {"read_voltage": "0.2 V", "integration_time": "100 ns"}
EVERY = [
    {"kind": "additive", "sigma": "3 %"},
    {"kind": "proportional", "sigma": "3 %"},
    {"kind": "polynomial", "sigma": "3 %", "coefficients": [0.2, 1.0]},
    {"kind": "saturating", "sigma": "300 nS", "knee": "5 uS"},
    {"kind": "flicker", "q": 0.01, "t_r": "1 us", "t0": "1 s"},
    {"kind": "lorentzian", "sigma": "3 %", "tau": "1 ms"},
    {"kind": "telegraph", "amplitude": "3 %", "tau": "1 ms", "duty": 0.3},
    {"kind": "thermal", **READ},
    {"kind": "shot", **READ, "fano": 0.5},
]
UNWRITTEN = [noise for noise in EVERY if noise["kind"] != "flicker"]  # whose scale has always been written


def test_these_are_all_kinds_that_there_are() -> None:
    union, _ = get_args(ReadNoiseDescription)
    kinds = [kind for each in get_args(union) for kind in get_args(each.model_fields["kind"].annotation)]
    assert [noise["kind"] for noise in EVERY] == kinds


@pytest.mark.parametrize("noise", EVERY, ids=lambda noise: noise["kind"])
def test_a_scale_multiplies_the_noise_of_every_law(noise: dict[str, Any]) -> None:
    g = _conductances()
    (plain,), (scaled,) = _build(noise).read_noise, _build({**noise, "scale": {"each": [0.0, 1.0, 3.0]}}).read_noise
    factor = torch.tensor([0.0, 1.0, 9.0], dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(scaled.variance(g) + 0 * g, factor * (plain.variance(g) + 0 * g))


def test_a_scale_multiplies_noise_that_outlives_a_step() -> None:
    g, up = _conductances(), {"up": torch.tensor(True), "has": torch.ones(())}
    for kind, size in (("lorentzian", "sigma"), ("telegraph", "amplitude")):
        noise = {"kind": kind, size: "3 %", "tau": "1 day"}
        once, twice = (_build({**noise, "scale": scale}).read_noise[0].slow for scale in (1.0, 2.0))
        if kind == "lorentzian":
            torch.testing.assert_close(twice.amplitude(g, g), 2 * once.amplitude(g, g))  # pyright: ignore
        else:
            torch.testing.assert_close(twice.apply(g, g, up, None) - g, 2 * (once.apply(g, g, up, None) - g))  # pyright: ignore


@pytest.mark.parametrize("noise", UNWRITTEN, ids=lambda noise: noise["kind"])
def test_a_scale_of_one_is_not_written(noise: dict[str, Any]) -> None:
    data = {"name": "x", "conductance": {"max": "25 uS"}, "read_noise": [noise]}
    (written,) = DeviceProfile.from_data(data).to_data()["read_noise"]
    assert "scale" not in written
    (written,) = DeviceProfile.from_data({**data, "read_noise": [{**noise, "scale": 2.0}]}).to_data()["read_noise"]
    assert written["scale"] == 2.0


def test_a_scale_alone_holds_for_every_effect_of_a_list() -> None:
    data = {"name": "x", "conductance": {"max": "25 uS"}, "read_noise": EVERY}
    scaled = DeviceProfile.from_data(merge(data, {"read_noise": {"scale": {"each": [0.0, 1.0, 3.0]}}}))
    given = [{**noise, "scale": {"each": [0.0, 1.0, 3.0]}} for noise in EVERY]
    assert scaled == DeviceProfile.from_data({**data, "read_noise": given})
    with pytest.raises(ProfileError, match="give the whole list, or scale alone, which then holds for each of them"):
        merge(data, {"read_noise": {"scale": 2.0, "sigma": "1 %"}})


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
