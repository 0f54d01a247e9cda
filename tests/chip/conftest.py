"""Chips to test, and the law of a read, written down a second time from the physics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from analogsim.chip import Chip, Mapping
from analogsim.network import Dense, Identity, Network
from device_models import DeviceProfile

Array = np.ndarray


class Block(NamedTuple):
    """Column currents of one row-block before its ADC: independent Gaussians, arrays (C, B, columns)."""

    mean: Array
    variance: Array


class Law(NamedTuple):
    """The law of one read: its row-blocks and the gain of each vector, (C, B, 1)."""

    blocks: list[Block]
    gain: Array

    @property
    def mean(self) -> Array:
        return sum(block.mean for block in self.blocks)

    @property
    def variance(self) -> Array:
        return sum(block.variance for block in self.blocks)

    def codes(self, bits: int, bound: float, cell: tuple[int, ...]) -> tuple[int, Array]:
        """Law of the sum of the blocks' ADC codes: the smallest sum, and the probability of each from there on.

        An ADC's code k collects the currents within half a step of k steps; the end codes collect what lies beyond.
        Blocks are independent, so the law of the sum is the convolution of theirs.
        """
        top = 2 ** (bits - 1) - 1
        edges = (np.arange(-top, top) + 0.5) * bound / top
        result = np.ones(1)
        for block in self.blocks:
            gain = self.gain[(*cell[:2], 0)]
            below = stats.norm.cdf(edges, block.mean[cell] / gain, math.sqrt(block.variance[cell]) / gain)
            result = np.convolve(result, np.diff(below, prepend=0.0, append=1.0))
        return -top * len(self.blocks), result


def _quantised(x: Array, bits: int, bound: float) -> Array:
    top = 2 ** (bits - 1) - 1
    return np.clip(np.rint(x * top / bound), -top, top) * bound / top


def _read_law(
    profile: DeviceProfile,
    conductances: tuple[Tensor, Tensor],
    w_max: Array,
    x: Array,
    tile: int,
    backward: int | None = None,
    programmed: tuple[Tensor, Tensor] | None = None,
) -> Law:
    """Law of a read of levels x (C, B, lines) through device pairs.

    A line at level x_i drives both devices of a pair. The column reads sum_i x_i (G+ - G-), and its noise is the sum of
    independent ones: x_i^2 (Var G+ + Var G-) of each pair and one of the amplifier, once per tile.

    Args:
        conductances: (G+, G-), each (C, out, rows).
        w_max: the weight that G_max - G_min stands for, (C, 1, 1) or (C, out, 1).
        backward: number of rows to read where the columns are driven.
        programmed: (G+, G-) before drift and slow noise; the same as `conductances` unless given.
    """
    g_min, g_max = profile.conductance.min, profile.conductance.max
    pair = [g.double().numpy() for g in conductances]
    variance = np.zeros_like(pair[0])
    fresh = [g.double().numpy() for g in programmed or conductances]
    for noise in profile.read_noise:
        if (
            noise.kind == "flicker"
        ):  # what is faster than a step: correlation times t_r / pi ... step_time; no drift yet
            nats = math.log(profile.timing.step_time * math.pi / noise.t_r)
            for g in fresh:
                with np.errstate(divide="ignore"):
                    q = np.minimum(noise.q / (g / g_max) ** noise.exponent, noise.q_max)
                variance = variance + (q * g) ** 2 * nats
            continue
        sigma = _per_chip(noise.sigma)
        for g in fresh:
            variance = variance + (sigma * (g_max if noise.kind == "additive" else g)) ** 2
    siemens, scale = pair[0] - pair[1], w_max
    if backward is not None:
        siemens, variance = (m[:, :, :backward].transpose(0, 2, 1) for m in (siemens, variance))
        scale = w_max.max(axis=1, keepdims=True)
        x = x * (w_max / scale).transpose(0, 2, 1)
    unit = scale / (g_max - g_min)

    dac, gain = profile.dac, np.ones((*x.shape[:2], 1))
    full = 1.0 if dac is None else dac.range
    if backward is not None or (dac is not None and dac.scaling == "per_vector"):
        gain = np.maximum(np.abs(x).max(axis=-1, keepdims=True), 1e-300) / full
    if dac is not None:
        x = _quantised(x / gain, dac.bits, full) * gain

    amplifier = np.zeros((1, 1, 1))
    if profile.column_noise is not None:  # a share of the current g_max x full scale of one device
        share = _per_chip(profile.column_noise.sigma)
        amplifier = (share * g_max * full * unit).transpose(0, 2, 1) * gain
    blocks = []
    for start in range(0, x.shape[2], tile):
        part = slice(start, start + tile)
        lines = x[:, :, part]
        currents = lines @ (siemens * unit)[:, :, part].transpose(0, 2, 1)
        spread = lines**2 @ (variance * unit**2)[:, :, part].transpose(0, 2, 1) + amplifier**2
        blocks.append(Block(currents, spread))
    return Law(blocks, gain)


def _per_chip(sigma: Any) -> Array:
    return np.array(getattr(sigma, "values", (sigma,))).reshape(-1, 1, 1)


def _ranges(weights: Sequence[Tensor], mapping: Mapping) -> list[Array]:
    axes = (1, 2) if mapping.per == "layer" else (2,)
    factor = mapping.headroom if mapping.range == "fixed" else 1.0
    return [factor * np.abs(w.double().numpy()).max(axis=axes, keepdims=True) for w in weights]


def _weights(network: Network, ids: Sequence[int], dtype: torch.dtype) -> tuple[Tensor, ...]:
    generators = [torch.Generator().manual_seed(1000 + chip) for chip in ids]
    weights = network.initial_weights("he_normal", generators)
    for w, layer in zip(weights, network.layers, strict=True):
        for position, generator in enumerate(generators):
            if layer.bias:
                w[position, :, -1].normal_(0, 0.3, generator=generator)
    return tuple(w.to(dtype) for w in weights)


@pytest.fixture(scope="session")
def weights_of() -> Callable[..., tuple[Tensor, ...]]:
    """(network, chips' numbers, dtype) -> initial weights; a chip's are the same in every population."""
    return _weights


@pytest.fixture(scope="session")
def chip_of() -> Callable[..., Chip]:
    """(network, profile, Chip's arguments) -> a chip that holds `weights_of`."""

    def make(network: Network, profile: DeviceProfile, population: int | Sequence[int] = 1, **arguments: Any) -> Chip:
        arguments.setdefault("dtype", torch.float64)
        chip = Chip(network, profile, population, **arguments)
        ids = range(population) if isinstance(population, int) else population
        chip.program(_weights(network, ids, chip.dtype))
        return chip

    return make


@pytest.fixture(scope="session")
def profile_of() -> Callable[..., DeviceProfile]:
    """Parts of a profile -> profile, with 25 uS devices unless they say otherwise."""

    def make(**parts: Any) -> DeviceProfile:
        return DeviceProfile.from_data({"name": "test", "conductance": {"max": "25 uS"}, **parts})

    return make


@pytest.fixture(scope="session")
def inputs_of() -> Callable[..., Tensor]:
    """(shape, dtype) -> standard normal inputs."""

    def make(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.randn(*shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64).to(dtype)

    return make


@pytest.fixture(scope="session")
def linear() -> Callable[..., Network]:
    """sizes -> a network whose layers are all linear."""

    def make(*sizes: int, bias: bool = True) -> Network:
        return Network(tuple(Dense(n, m, Identity(), bias) for n, m in zip(sizes, sizes[1:], strict=False)))

    return make


@pytest.fixture(scope="session")
def read_law() -> Callable[..., Law]:
    """The law of a read from the physics; see `_read_law`."""
    return _read_law


@pytest.fixture(scope="session")
def ranges_of() -> Callable[..., list[Array]]:
    """(weights, mapping) -> per layer w_max, as a mapping's documentation says."""
    return _ranges


@pytest.fixture(scope="session")
def backward() -> Callable[..., tuple[Tensor, ...]]:
    """(chip, vector, pre-activations, ...) -> `Chip.backward` at layer inputs that no converter clips."""

    def send(chip: Chip, vector: Tensor, pre_activations: Sequence[Tensor], *rest: Any) -> tuple[Tensor, ...]:
        drives = [vector.new_zeros(*vector.shape[:2], layer.rows) for layer in chip.network.layers]
        return chip.backward(vector, drives, pre_activations, *rest)

    return send
