"""Chips to test, and the law of a read, written down a second time from the physics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch import Tensor

from analogsim.chip import Chip, Mapping, coded
from analogsim.network import Dense, Identity, Network
from device_models import DeviceProfile

Array = np.ndarray


class Block(NamedTuple):
    """Column currents of one tile in one read, before the ADC: independent Gaussians, arrays (C, B, columns).

    Attributes:
        mean, variance: of the currents.
        shared: covariance of the currents of two successive passes.
        weight: in the digital sum, a whole number of `Law.unit`.
    """

    mean: Array
    variance: Array
    shared: Array
    weight: int


class Law(NamedTuple):
    """The law of one product: its currents, what a weight of 1 stands for, and the gain of each vector, (C, B, 1)."""

    blocks: list[Block]
    unit: float
    gain: Array

    @property
    def mean(self) -> Array:
        return sum(block.mean * block.weight for block in self.blocks) * self.unit

    @property
    def variance(self) -> Array:
        return sum(block.variance * block.weight**2 for block in self.blocks) * self.unit**2

    @property
    def memory(self) -> Array:
        """Correlation of two successive passes, (C, B, columns)."""
        return sum(block.shared * block.weight**2 for block in self.blocks) * self.unit**2 / self.variance

    def codes(self, bits: int, bound: float, cell: tuple[int, ...]) -> tuple[int, Array]:
        """Law of the weighted sum of the ADC codes: the smallest sum, and the probability of each from there on.

        An ADC's code k collects the currents within half a step of k steps; the end codes collect what lies beyond.
        Currents are independent, so the law of the sum is the convolution of theirs, each spread out by its weight.
        """
        top = 2 ** (bits - 1) - 1
        edges = (np.arange(-top, top) + 0.5) * bound / top
        result, reach = np.ones(1), 0
        for block in self.blocks:
            gain = self.gain[(*cell[:2], 0)]
            below = stats.norm.cdf(edges, block.mean[cell] / gain, math.sqrt(block.variance[cell]) / gain)
            law = np.diff(below, prepend=0.0, append=1.0)
            wide = np.zeros(2 * top * abs(block.weight) + 1)
            wide[:: abs(block.weight)] = law if block.weight > 0 else law[::-1]
            result, reach = np.convolve(result, wide), reach + top * abs(block.weight)
        return -reach, result


class _Read(NamedTuple):
    """One read of the array: its levels, what white noise and still noise go with, and its weight in the sum."""

    levels: Array
    white: Array
    still: Array
    weight: int


def _reads(dac: Any, x: Array, full: Array) -> tuple[list[_Read], int]:
    """The reads of a product of levels x (C, B, lines), full scale (C, B, 1); and the sum of a phase's weights."""
    phases = [(x, 1)]
    if dac is not None and dac.polarity == "two_phase":
        phases = [(np.where(x > 0, x, 0), 1), (np.where(x < 0, -x, 0), -1)]
    if dac is None or dac.encoding == "voltage":
        return [_Read(lines, lines**2, lines**2, sign) for lines, sign in phases], 1
    if dac.encoding == "pulse_width":
        return [_Read(lines, np.abs(lines) * full, lines**2, sign) for lines, sign in phases], 1
    top = 2 ** (dac.bits - 1) - 1
    result = []
    for lines, sign in phases:
        codes = np.rint(np.abs(lines) / full * top).astype(int)
        for bit in range(dac.bits - 1):
            plane = np.sign(lines) * (codes // 2**bit % 2) * full
            result.append(_Read(plane, plane**2, plane**2, sign * 2**bit))
    return result, top


def _quantised(x: Array, bits: int, bound: float) -> Array:
    top = 2 ** (bits - 1) - 1
    return np.clip(np.rint(x * top / bound), -top, top) * bound / top


def _read_law(
    profile: DeviceProfile,
    conductances: tuple[Tensor, ...],
    w_max: Array,
    x: Array,
    tile: int,
    backward: int | None = None,
    programmed: tuple[Tensor, ...] | None = None,
) -> Law:
    """Law of a read of levels x (C, B, lines) through device pairs.

    A line at level x_i drives both devices of a pair. The column reads sum_i x_i (G+ - G-), and its noise is the sum of
    independent ones: x_i^2 (Var G+ + Var G-) of each pair and one of the amplifier, once per tile.

    A pulse of length |x_i| averages white noise: |x_i| X of its variance at full scale X. Bits are read one after the
    other at full scale. Slices are read one by one, each weighing the next `base` times.

    Args:
        conductances: (G+, G-) of each slice, the most significant first, each (C, out, rows).
        w_max: the weight that G_max - G_min stands for, (C, 1, 1) or (C, out, 1).
        backward: number of rows to read where the columns are driven.
        programmed: the same before drift and slow noise; the same as `conductances` unless given.
    """
    scale = w_max
    if backward is not None:
        scale = w_max.max(axis=1, keepdims=True)
        x = x * (w_max / scale).transpose(0, 2, 1)
    g_min, g_max = profile.conductance.min, profile.conductance.max
    unit = scale / (g_max - g_min) * (2 if profile.cell == "reference" else 1)

    dac, gain = profile.dac, np.ones((*x.shape[:2], 1))
    full = 1.0 if dac is None else dac.range
    if backward is not None or (dac is not None and dac.scaling == "per_vector"):
        gain = np.maximum(np.abs(x).max(axis=-1, keepdims=True), 1e-300) / full
    if dac is not None:
        x = _quantised(x / gain, dac.bits, full) * gain
    reads, whole = _reads(dac, x, full * gain)

    amplifier = np.zeros((1, 1, 1))
    if profile.column_noise is not None:  # a share of the current g_max x full scale of one device
        share = _per_chip(profile.column_noise.sigma)
        amplifier = (share * g_max * full * unit).transpose(0, 2, 1) * gain
    bits = 1 if profile.slices is None else profile.slices.bits
    pairs = list(zip(conductances[::2], conductances[1::2], strict=True))
    fresh = programmed or conductances
    blocks = []
    for position, pair in enumerate(pairs):
        significance = 2 ** (bits * (len(pairs) - 1 - position)) * (1 if profile.slices is None else 2**bits - 1)
        siemens = (pair[0] - pair[1]).double().numpy()
        parts = _variances(profile, fresh[2 * position : 2 * position + 2])
        if backward is not None:
            siemens, *parts = (m[:, :, :backward].transpose(0, 2, 1) for m in (siemens, *parts))
        white, still, shared = (part * unit**2 for part in parts)
        for read in reads:
            for start in range(0, x.shape[2], tile):
                part = slice(start, start + tile)

                def product(drive: Array, matrix: Array, part: slice = part) -> Array:
                    return drive[:, :, part] @ matrix[:, :, part].transpose(0, 2, 1)

                spread = product(read.white, white) + product(read.still, still) + amplifier**2
                both = product(read.still, shared) if backward is None else np.zeros_like(spread)
                blocks.append(Block(product(read.levels, siemens * unit), spread, both, read.weight * significance))
    held = 1 if profile.slices is None else 2 ** (bits * len(pairs)) - 1
    return Law(blocks, 1 / (whole * held), gain)


def _variances(profile: DeviceProfile, pair: Sequence[Tensor]) -> tuple[Array, Array, Array]:
    """Of a pair's noise in a read, siemens squared: white; still during a read; shared by two successive passes."""
    g_max, timing = profile.conductance.max, profile.timing
    both = [g.double().numpy() for g in pair]
    white, still, shared = (np.zeros_like(both[0]) for _ in range(3))
    for noise in profile.read_noise:
        for g in both:
            if noise.kind == "flicker":  # correlation times t_r / pi ... step_time are drawn in a read; no drift yet
                with np.errstate(divide="ignore"):
                    q = np.minimum(noise.q / (g / g_max) ** noise.exponent, noise.q_max)
                split = max(noise.t_r / math.pi, timing.pass_time / 5)
                white = white + (q * g) ** 2 * math.log(split * math.pi / noise.t_r)
                still = still + (q * g) ** 2 * math.log(timing.step_time / split)
                lag = special.exp1(timing.pass_time / timing.step_time) - special.exp1(timing.pass_time / split)
                shared = shared + (q * g) ** 2 * lag
            else:
                white = white + (_per_chip(noise.sigma) * (g_max if noise.kind == "additive" else g)) ** 2
    return white, still, shared


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


@pytest.fixture
def always_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of bytes, however small they are."""
    for limit in ("_WORTH", "_LINES", "_VECTORS"):
        monkeypatch.setattr(coded, limit, 0)


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
