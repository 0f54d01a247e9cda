"""Compiled loops of reads: the operations that torch would do one after the other, in one pass over the memory."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def quantise(begin, end, x, steps, top, out):
    """Whole steps, clipped to +-top of them; what is not a number stays so.

    Args:
        begin, end: elements of x to do.
        x, out: (chips, n); may be the same.
        steps: (chips,).
        top: of the same type.
    """
    n = x.shape[1]
    first, last = begin // n, (end + n - 1) // n
    for chip in range(first, last):
        step = steps[chip]
        low, high = max(begin - chip * n, 0), min(end - chip * n, n)
        source, target = x[chip, low:high], out[chip, low:high]
        for i in range(len(source)):
            q = np.rint(source[i] / step)
            q = top if q > top else q
            q = -top if q < -top else q
            target[i] = q * step


@njit(nogil=True, cache=True)
def finish(
    begin, end, first, last, y, parts, units, full, counts, vectors, deviations, row, column, z, sizes, strides, noisy,
    steps, top, out,
):  # fmt: skip
    """Currents without noise -> with it, and through an ADC: y + sqrt(full + row column) z, in whole steps.

    Args:
        begin, end: rows of `out` to do.
        first, last: columns of it.
        y: currents; or parts: of these columns alone, int32 (high, low) of each, for units (256 high + low). What is
            not given is empty.
        units: (chips,).
        full: variances; or counts, of these columns alone, int32, what they are told by: of a vector with (power, unit,
            offset) and a column with (mean, deviation, centre) it is power mean + unit deviation (count - offset
            centre). What is not given is empty.
        vectors: three numbers of each vector.
        deviations: those of the columns, (chips, 3, columns).
        row, column: factors of more variance, or empty.
        z: standard normal.
        sizes: chips, samples, passes, vectors.
        strides: (6, 5) int64, of y or parts, full or counts, row, column, z and vectors, which are flat: along the
            sizes, 0 along what is shared; and 1 or 0 along columns. z has no clean passes.
        noisy: per pass its place among the noisy ones in z, or -1.
        steps: of the ADC, (chips,).
        top: its largest code; 0: there is none.
        out: (chips x samples x passes x vectors, columns), may be y, or z where every pass is noisy.
    """
    columns, number = last - first, out.dtype.type
    variance, some = np.empty(columns, out.dtype), np.empty(columns, out.dtype)
    for index in range(begin, end):
        rest, vector = index // sizes[3], index % sizes[3]
        rest, pass_ = rest // sizes[2], rest % sizes[2]
        chip, sample = rest // sizes[1], rest % sizes[1]
        at = chip * strides[0, 0] + sample * strides[0, 1] + pass_ * strides[0, 2] + vector * strides[0, 3]
        if len(parts) > 0:
            two, unit = parts[at : at + 2 * columns], units[chip]
            large = unit * number(256)
            for i in range(columns):
                some[i] = number(two[2 * i]) * large + number(two[2 * i + 1]) * unit
        else:
            mean = y[at + first : at + last]
            for i in range(columns):
                some[i] = mean[i]
        if noisy[pass_] >= 0:
            at = chip * strides[1, 0] + sample * strides[1, 1] + pass_ * strides[1, 2] + vector * strides[1, 3]
            if len(counts) > 0:
                count = counts[at : at + columns]
                at = chip * strides[5, 0] + sample * strides[5, 1] + pass_ * strides[5, 2] + vector * strides[5, 3]
                power, unit, offset = vectors[at], vectors[at + 1], vectors[at + 2]
                of_column, deviation = deviations[chip, 0, first:last], deviations[chip, 1, first:last]
                centre = deviations[chip, 2, first:last]
                for i in range(columns):
                    above = number(count[i]) - offset * centre[i]
                    told = power * of_column[i] + unit * deviation[i] * above
                    variance[i] = number(0) if told < number(0) else told
            elif strides[1, 4] == 0:
                variance[:] = full[at]
            else:
                given = full[at + first : at + last]
                for i in range(columns):
                    variance[i] = given[i]
            if len(row) > 0:
                at = chip * strides[2, 0] + sample * strides[2, 1] + pass_ * strides[2, 2] + vector * strides[2, 3]
                share = row[at]
                at = chip * strides[3, 0] + sample * strides[3, 1] + pass_ * strides[3, 2] + vector * strides[3, 3]
                if strides[3, 4] == 0:
                    both = share * column[at]
                    for i in range(columns):
                        variance[i] += both
                else:
                    given = column[at + first : at + last]
                    for i in range(columns):
                        variance[i] += share * given[i]
            at = chip * strides[4, 0] + sample * strides[4, 1] + noisy[pass_] * strides[4, 2] + vector * strides[4, 3]
            numbers = z[at + first : at + last]
            for i in range(columns):
                some[i] += np.sqrt(variance[i]) * numbers[i]
        target = out[index, first:last]
        if top > 0:
            step = steps[chip]
            for i in range(columns):
                q = np.rint(some[i] / step)
                q = top if q > top else q
                q = -top if q < -top else q
                target[i] = q * step
        else:
            for i in range(columns):
                target[i] = some[i]


@njit(nogil=True, cache=True)
def program_pairs(begin, end, target, scales, g_min, old_plus, old_minus, clipped, plus, minus, weights, written):
    """Exact writes of differential pairs, line by line.

    Args:
        begin, end: lines to do.
        target: weights, (lines, n).
        scales: of each line the weight that G_max stands for, siemens per weight and weight per siemens, (3, lines).
        g_min: siemens, of the numbers' type.
        old_plus, old_minus: siemens, what the devices hold.
        clipped, plus, minus, weights: results: the target within the range, siemens, siemens, what the pairs stand for.
        written: (lines,), result: number of pairs of which one or both were written.
    """
    for line in range(begin, end):
        high, scale, unit, count = scales[0, line], scales[1, line], scales[2, line], 0
        for i in range(target.shape[1]):
            w = target[line, i]
            w = -high if w < -high else w
            w = high if w > high else w
            m = w * scale
            up = g_min if m < 0 else m + g_min
            down = g_min if m > 0 else g_min - m
            count += (up != old_plus[line, i]) | (down != old_minus[line, i])
            clipped[line, i], plus[line, i], minus[line, i] = w, up, down
            weights[line, i] = (up - down) * unit
        written[line] = count


@njit(nogil=True, cache=True)
def count_changes(begin, end, old, new, counts):
    """Count those entries on, int32, that have changed; all (lines, n), lines `begin` to `end` of them."""
    for line in range(begin, end):
        for i in range(old.shape[1]):
            counts[line, i] += old[line, i] != new[line, i]


@njit(nogil=True)
def _quantise_row(source, step, top, codes, target):
    """See `quantise`; whole numbers, too. Returns how many are no numbers."""
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
        step, top: of the same type; see `quantise`.
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
