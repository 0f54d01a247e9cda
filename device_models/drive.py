"""Drive: the reads of the array that make up one product, and how much of a device's noise each of them lets through.

A vector of levels x_i, codes k_i = x_i / step within +-K, X = K step at full scale, drives the lines

    voltage       with x_i:                                variance  sum x_i^2 Var
    pulse width   with X for |x_i| / X of the read's time:           sum |x_i| X Var
    bit by bit    with X where bit b of |k_i| is set, one read for each bit; the digital sum weighs it 2^b / K:
                                                           sum_b (2^b / K)^2 sum_i X^2 bit_b(|k_i|) Var

where Var is the variance of a device's conductance, averaged over the time of a whole read. A pulse averages white
noise: the charge of one that lasts a share s of the read's time has s times the variance of a whole one. Noise that
stands still while a pulse lasts is not averaged: its charge goes with x_i, its variance with x_i^2. The time of the
read, hence the amplifier's noise in it, is the same for every pulse.

Signs come from the polarity of the drive, or from two phases: the positive inputs are read, then the negative ones,
and the second result is subtracted. Each read has its own noise of the amplifier and its own conversion. As the lines
of two phases are disjoint, so are their devices: their noises are independent, whatever their memory. The planes of a
bit-serial read share devices; noise that outlasts a plane but not a step is drawn anew for each of them, so of its
variance sum x_i^2 Var, which planes in quick succession would have, a share of sum_b bit_b 4^b / k_i^2 is there (1 for
a single bit, 0.33 for all bits set).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Encoding = Literal["voltage", "pulse_width", "bit_serial"]
Polarity = Literal["bipolar", "two_phase"]


class Exposure(NamedTuple):
    """One read of the array.

    Attributes:
        levels: what its mean is the product of, units of the activations, (..., lines).
        weight: of its result in the digital sum; below 0 it is subtracted.
        white: for each line what the variance of white noise is multiplied with, shaped as `levels`; None: levels^2.
        still: the same for noise that stands still during a read.
        full: X, the level at full scale; of each vector, (..., 1), where vectors are scaled.
        linear: the same as `white` for noise that goes with the current; None: |levels| X.
        floor: for noise that is there without a current, in units of X^2.
    """

    levels: Tensor
    weight: float = 1.0
    white: Tensor | None = None
    still: Tensor | None = None
    full: float | Tensor = 1.0
    linear: Tensor | None = None
    floor: float = 1.0


class Together(NamedTuple):
    """Several reads whose results are added unrounded, as one.

    Attributes:
        exposure: has their mean, and the variance of the sum's noise.
        amplifiers: how often the variance of the amplifier's noise is in the sum.
    """

    exposure: Exposure
    amplifiers: float


def expose(levels: Tensor, full: float | Tensor, top: int, encoding: Encoding, polarity: Polarity) -> list[Exposure]:
    """The reads of a product.

    Args:
        levels: multiples of full / top, (..., lines).
        full: X, the level at full scale; of each vector, (..., 1), where vectors are scaled.
        top: K, the largest code.
        encoding, polarity: of the drive.
    """
    if polarity == "bipolar":
        return list(_phase(levels, 1.0, full, top, encoding))
    positive, negative = levels.clamp(min=0), levels.neg().clamp_(min=0)
    return [*_phase(positive, 1.0, full, top, encoding), *_phase(negative, -1.0, full, top, encoding)]


def together(levels: Tensor, full: float | Tensor, top: int, encoding: Encoding, polarity: Polarity) -> Together:
    """The same reads as one: exact in distribution where nothing is rounded in between; see `expose`."""
    phases = 1.0 if polarity == "bipolar" else 2.0
    if encoding == "voltage":
        return Together(Exposure(levels, full=full, floor=phases), phases)
    if encoding == "pulse_width":
        return Together(Exposure(levels, white=levels.abs() * full, full=full, floor=phases), phases)
    power, amplifiers = torch.zeros_like(levels), 0.0
    for plane in _phase(levels, 1.0, full, top, encoding):
        power.add_(plane.levels.square(), alpha=plane.weight**2)
        amplifiers += plane.weight**2
    amplifiers *= phases
    return Together(Exposure(levels, 1.0, power, power, full, power, amplifiers), amplifiers)


def _phase(levels: Tensor, sign: float, full: float | Tensor, top: int, encoding: Encoding) -> Iterator[Exposure]:
    if encoding == "voltage":
        yield Exposure(levels, sign, full=full)
    elif encoding == "pulse_width":
        yield Exposure(levels, sign, white=levels.abs() * full, full=full)
    else:
        codes = (levels.abs() * top / full).round_().to(torch.int32)
        drive = levels.sign() * full
        for bit in range(top.bit_length()):
            yield Exposure((codes >> bit & 1) * drive, sign * 2**bit / top, full=full)
