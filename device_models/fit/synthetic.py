"""Tables as a lab would measure them on devices of a known profile: to test the fits, and to plan measurements.

Writes and exponents are drawn with the profile's own built effects. Reads under 1/f noise are drawn from its spectrum
itself, as a Gaussian process of covariance Q^2 G^2 [Ci(2 pi f_h tau) - Ci(2 pi f_l tau)], not from the two-part
approximation that a simulated chip uses. Numbers come from the generator that is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.special import sici

from device_models.effect import Site
from device_models.fit.likelihood import Array
from device_models.flicker_noise import FlickerNoise
from device_models.profile import DeviceProfile
from device_models.read_noise import AdditiveReadNoise, ProportionalReadNoise

_HEADERS = {
    "device": "device",
    "time": "time [s]",
    "elapsed": "elapsed [s]",
    "target": "target [uS]",
    "pulse": "pulse",
    "direction": "direction",
    "conductance": "conductance [uS]",
}


def programmed(profile: DeviceProfile, targets: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Writes, one device each; targets (n,) in siemens."""
    device = profile.build(1, torch.device("cpu"), torch.float64)
    goal = torch.from_numpy(targets)[None, None]
    g = goal if device.programming is None else device.programming.program(goal, [_normal(targets.shape, rng)])
    return {"target": targets, "conductance": g.numpy()[0, 0]}


def reads(profile: DeviceProfile, g: Array, time: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Reads of resting devices; conductances g (n,) in siemens, times (m,) in seconds."""
    noise = sum(_noise(each, profile, g, g, time, rng) for each in profile.read_noise)
    y = np.maximum(g[:, None] + noise, 0.0)
    return _tidy(len(g), {"time": time}, y)


def drift(profile: DeviceProfile, targets: Array, elapsed: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Reads after a write; targets (n,) in siemens, elapsed (m,) in seconds."""
    device = profile.build(1, torch.device("cpu"), torch.float64)
    g = programmed(profile, targets, rng)["conductance"]
    mean = np.repeat(g[:, None], len(elapsed), axis=1)
    if device.drift is not None:
        nu = device.drift.exponent(torch.from_numpy(targets)[None, None], _normal(targets.shape, rng)).numpy()[0, 0]
        mean = mean * np.maximum(elapsed / device.drift.t0, 1) ** -nu[:, None]
    noise = sum(_noise(each, profile, mean, g, elapsed, rng) for each in profile.read_noise)
    table = _tidy(len(g), {"elapsed": elapsed}, np.maximum(mean + noise, 0.0))
    return {"device": table["device"], "target": np.repeat(targets, len(elapsed)), **table}


def pulses(profile: DeviceProfile, devices: int, directions: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Conductances before and after each of a train of pulses (n,), 1 up or -1 down, from the middle of the range."""
    assert profile.update is not None
    site = Site(1, profile.conductance.min, profile.conductance.max, torch.device("cpu"), torch.float64)
    response = profile.update.build(site, _numbers((profile.update.fabricated, 1, devices), rng))
    u = response.start(torch.full((1, 1, devices), profile.update.bounds.origin, dtype=torch.float64)).hidden
    states = [u]
    for direction in directions:
        xi = _numbers((1, devices), rng)
        states.append(response.pulse(states[-1], torch.full_like(u, float(direction)), xi))
    g = torch.stack([profile.update.bounds.to_conductance(state, site) for state in states]).numpy()[:, 0, 0]
    train = np.concatenate([directions[:1], directions])
    return {
        "device": np.repeat(np.arange(devices, dtype=np.float64), len(train)),
        "pulse": np.tile(np.arange(len(train), dtype=np.float64), devices),
        "direction": np.tile(train, devices),
        "conductance": g.T.ravel(),
    }


def write_table(path: Path, columns: dict[str, Array], comments: Sequence[str] = ()) -> None:
    """Write a table as CSV, conductances in microsiemens."""
    names = list(columns)
    lines = [f"# {comment}" for comment in comments] + [",".join(_HEADERS[name] for name in names)]
    for row in zip(*columns.values(), strict=True):
        cells = []
        for name, value in zip(names, row, strict=True):
            if name == "device":
                cells.append(f"d{int(value)}")
            elif name == "direction":
                cells.append("up" if value > 0 else "down")
            else:
                cells.append(f"{value * 1e6:.6g}" if name in ("target", "conductance") else f"{value:.9g}")
        lines.append(",".join(cells))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _tidy(n: int, axis: dict[str, Array], y: Array) -> dict[str, Array]:
    ((name, values),) = axis.items()
    device = np.repeat(np.arange(n, dtype=np.float64), len(values))
    return {"device": device, name: np.tile(values, n), "conductance": y.ravel()}


def _normal(shape: tuple[int, ...], rng: np.random.Generator) -> torch.Tensor:
    return torch.from_numpy(rng.standard_normal(shape))[None, None]


def _numbers(shape: tuple[int, ...], rng: np.random.Generator) -> torch.Tensor:
    return torch.from_numpy(rng.standard_normal(shape))[None]


def _noise(
    effect: object, profile: DeviceProfile, g: Array, programmed: Array, time: Array, rng: np.random.Generator
) -> Array:
    """Deviations of reads (n, m); g (n,) or (n, m)."""
    g = g[:, None] if g.ndim == 1 else g
    xi = rng.standard_normal((len(g), len(time)))
    if isinstance(effect, AdditiveReadNoise):
        return float(effect.sigma) * profile.conductance.max * xi  # type: ignore[arg-type]
    if isinstance(effect, ProportionalReadNoise):
        return float(effect.sigma) * g * xi  # type: ignore[arg-type]
    assert isinstance(effect, FlickerNoise)
    tau = np.abs(time[:, None] - time)
    low, high = 1 / (max(float(time.max()), effect.t0) + effect.t_r), 1 / (2 * effect.t_r)
    safe = np.maximum(tau, 1e-30)
    covariance = sici(2 * math.pi * high * safe)[1] - sici(2 * math.pi * low * safe)[1]
    covariance[tau == 0] = math.log(high / low)
    factor = np.linalg.cholesky(covariance + 1e-12 * np.eye(len(time)))
    r = programmed / profile.conductance.max
    q = np.minimum((effect.q or 0.0) * np.maximum(r, 1e-30) ** -effect.exponent, effect.q_max)
    return q[:, None] * g * (xi @ factor.T)
