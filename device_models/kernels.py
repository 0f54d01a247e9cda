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
