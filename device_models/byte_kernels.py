"""Compiled loops that make bytes of levels, their squares, weights and variances, for products of bytes."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True)
def _quantise_row(source, step, top, codes, target):
    """See `device_models.kernels.quantise`; whole numbers, too. Returns how many are no numbers."""
    none = np.int32(0)
    for i in range(len(source)):
        q = np.rint(source[i] / step)
        q = top if q > top else q
        q = -top if q < -top else q
        none += np.int32(q != q)
        codes[i] = np.int8(np.int32(q))
        target[i] = q * step
    return none


@njit(nogil=True)
def _codes_of_row(levels, step, codes):
    """Whole numbers; returns how many levels are no numbers."""
    none = np.int32(0)
    for i in range(len(levels)):
        none += np.int32(levels[i] != levels[i])
        codes[i] = np.int8(np.int32(np.rint(levels[i] / step)))
    return none


@njit(nogil=True, fastmath={"reassoc"})
def _squares_of_row(codes, squares):
    """Squares, int32; returns their sum, the largest, the sum of their squares.

    Sums of floating-point numbers are in any order here and below: what is added up in parts of a vector of the CPU is
    many times faster.
    """
    total, most, powers = np.int32(0), np.int32(0), np.float32(0)
    for i in range(len(codes)):
        s = np.int32(np.int32(codes[i]) * np.int32(codes[i]))
        squares[i] = s
        total = np.int32(total + s)
        most = max(most, s)
        powers += np.float32(s) * np.float32(s)
    return total, most, powers


@njit(nogil=True, fastmath={"reassoc"})
def _bytes_of_row(numbers, middle, by, dither, told):
    """(numbers - middle) by, up or down by the dither; returns their sum and that of their squared errors."""
    total, errors = np.int32(0), np.float32(0)
    for i in range(len(numbers)):
        exact = (np.float32(numbers[i]) - middle) * by
        rounded = np.floor(exact + dither[i])
        whole = np.int32(rounded)
        told[i] = np.int8(whole)
        total = np.int32(total + whole)
        errors += (exact - rounded) * (exact - rounded)
    return total, errors


@njit(nogil=True, fastmath={"reassoc"})
def _product_of_row(squares, weights):
    total = np.float32(0)
    for i in range(len(squares)):
        total += np.float32(squares[i]) * weights[i]
    return total


@njit(nogil=True, cache=True)
def to_codes(
    begin, end, x, step, top, ends, dither, shares, errors, allowed, levels, codes, squares, vectors, rough, sound
):
    """Numbers in whole steps of one byte, clipped to +-top of them, and the squares of these as such.

    Args:
        begin, end: rows of `x` to do.
        x: (rows, lines).
        step, top: of the same type; see `device_models.kernels.quantise`.
        ends: of each block of lines; the first begins at 0.
        dither: within 0 and 1, what is added to a square before what is not whole is cut off; more numbers than there
            are lines, of which each row takes some, by its sums.
        shares: of each line in the variances of a block, mean 1, by source of noise, (chips, sources, lines).
        errors: of columns, see `to_deviations`, the largest of a block, (blocks, chips, sources, 2).
        allowed: error of a variance, relative to what the driven lines give it.
        levels: result, what `quantise` makes of x, shaped alike; or empty.
        codes: result, (rows, lines) int8.
        squares: result, of the codes: what they are above half the largest of the row and block, in units of 1 / 254
            of it, (rows, lines) int8; or empty, and vectors are left alone.
        vectors: result, of a row's squares the sum, the unit, the sum of those in `squares`, (blocks, rows, 3).
        rough: result, whether a variance is expected to err by more, (blocks, sources, rows) bool.
        sound: result, (chips,): nan where a level of the chip is no number; else it is left alone.
    """
    square = np.empty(x.shape[1], np.int32)
    for row in range(begin, end):
        if len(levels) > 0:
            none = _quantise_row(x[row], step, top, codes[row], levels[row])
        else:
            none = _codes_of_row(x[row], step, codes[row])
        chip, start = row // (len(x) // len(sound)), 0
        if none > 0:
            sound[chip] = np.nan
        for block in range(len(ends) if len(squares) > 0 else 0):
            end_, numbers = ends[block], vectors[block, row]
            some = square[: end_ - start]
            total, most, powers = _squares_of_row(codes[row, start:end_], some)
            numbers[:] = 0
            if most > 0:
                unit = np.float32(most) / np.float32(254)
                at = start + (total + 7 * most) % (len(dither) - len(square) + 1)
                up = dither[at : at + len(some)]
                offset, lost = _bytes_of_row(
                    some, np.float32(most) * np.float32(0.5), np.float32(1) / unit, up, squares[row, start:end_]
                )
                numbers[0], numbers[1], numbers[2] = total, unit, offset
                first, second = lost * unit * unit, powers
                for source in range(shares.shape[1]):
                    limit = allowed * min(_product_of_row(some, shares[chip, source, start:end_]), np.float32(total))
                    one, other = errors[block, chip, source]
                    rough[block, source, row] = not first * one + second * other <= limit * limit
            else:
                squares[row, start:end_] = 0
                rough[block, :, row] = False
            start = end_


@njit(nogil=True, fastmath={"reassoc"})
def _sum_of_row(x):
    total = np.float32(0)
    for i in range(len(x)):
        total += x[i]
    return total


@njit(nogil=True)
def _ends_of_row(x):
    """Smallest and largest of numbers that are not below 0, or none where one is none: by their bits."""
    bits = x.view(np.int32)
    low, high = bits[0], bits[0]
    for i in range(len(bits)):
        low, high = min(low, bits[i]), max(high, bits[i])
    both = np.array([low, high]).view(np.float32)
    return both[0], both[1]


@njit(nogil=True, cache=True)
def to_deviations(begin, end, variances, first, last, count, dither, told, columns):
    """Variances in bytes.

    Args:
        begin, end: rows to do: columns of the chips.
        variances: (rows, lines) float32.
        first, last: of the lines, a block of them.
        count: columns of a chip.
        dither: see `to_codes`; more numbers than there are lines, of which each column of a chip takes some.
        told: result: what they are above the middle of the row, in units of 1 / 254 of what they range over, (rows,
            lines) int8.
        columns: result: mean, unit, mean of `told`; and, relative to the square of the mean, the variance of `told` in
            units, and the mean squared error of it, (rows, 5).
    """
    lines = last - first
    for row in range(begin, end):
        some, numbers = variances[row, first:last], columns[row]
        low, high = _ends_of_row(some)
        mean, unit = _sum_of_row(some) / np.float32(lines), (high - low) / np.float32(254)
        at = row % count * 389 % (len(dither) - lines + 1)
        numbers[:] = 0
        if unit > 0 and np.isfinite(unit):
            total, errors = _bytes_of_row(
                some,
                (low + high) * np.float32(0.5),
                np.float32(1) / unit,
                dither[at : at + lines],
                told[row, first:last],
            )
            centre, relative = total / lines, unit / mean
            numbers[2] = centre
            numbers[3] = relative * relative * (_squares(told[row, first:last]) / lines - centre * centre)
            numbers[4] = relative * relative * errors / lines
        else:
            told[row, first:last] = 0
        numbers[0], numbers[1] = mean, unit


@njit(nogil=True)
def _squares(x):
    """Sum of squares of bytes."""
    total = np.int32(0)
    for i in range(len(x)):
        total = np.int32(total + np.int32(x[i]) * np.int32(x[i]))
    return total


@njit(nogil=True, cache=True)
def largest(begin, end, x, out):
    """The largest |x| of each row, or none where one is none: by their bits; x (rows, n), float32, out (rows,)."""
    for row in range(begin, end):
        bits, most = x[row].view(np.int32), np.int32(0)
        for i in range(len(bits)):
            most = max(most, bits[i] & np.int32(0x7FFFFFFF))
        out.view(np.int32)[row] = most


@njit(nogil=True, cache=True)
def to_two_bytes(begin, end, weights, units, two):
    """Weights in whole units as 256 high + low of one byte each.

    Args:
        begin, end: rows to do: columns of the chips.
        weights: (rows, lines).
        units: (chips,).
        two: result, high and low, (rows, 2, lines) int8.
    """
    columns = len(weights) // len(units)
    for row in range(begin, end):
        some, high, low, unit = weights[row], two[row, 0], two[row, 1], units[row // columns]
        for i in range(len(some)):
            code = np.int32(np.rint(some[i] / unit))
            upper = (code + np.int32(128)) >> np.int32(8)
            high[i] = np.int8(upper)
            low[i] = np.int8(code - (upper << np.int32(8)))
