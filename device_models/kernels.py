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
def finish(begin, end, y, high, low, units, full, bits, row, column, z, sizes, strides, noisy, steps, top, out):
    """Currents without noise -> with it, and through an ADC: y + sqrt(full + row column) z, in whole steps.

    Args:
        begin, end: rows of `out` to do.
        y: currents; or high, low: in two parts, units (256 high + low), int32. What is not given is empty.
        units: (chips,).
        full: variances; or bits: their upper 16 bits. What is not given is empty.
        row, column: factors of more variance.
        z: standard normal.
        sizes: chips, samples, passes, vectors, columns.
        strides: (5, 5) int64, of y or high and low, full or bits, row, column and z, which are flat: along these sizes;
            0 along what is shared, and 1 or 0 along columns. z has no clean passes.
        noisy: per pass its place among the noisy ones in z, or -1.
        steps: of the ADC, (chips,).
        top: its largest code; 0: there is none.
        out: (chips x samples x passes x vectors, columns), may be y, or z where every pass is noisy.
    """
    columns = sizes[4]
    variance, some = np.empty(columns, out.dtype), np.empty(columns, out.dtype)
    word = np.empty(columns, np.uint32)
    single = word.view(np.float32)
    for index in range(begin, end):
        rest, vector = index // sizes[3], index % sizes[3]
        rest, pass_ = rest // sizes[2], rest % sizes[2]
        chip, sample = rest // sizes[1], rest % sizes[1]
        at = chip * strides[0, 0] + sample * strides[0, 1] + pass_ * strides[0, 2] + vector * strides[0, 3]
        if len(high) > 0:
            unit = units[chip]
            large, first, second = unit * 256, high[at : at + columns], low[at : at + columns]
            for i in range(columns):
                some[i] = first[i] * large + second[i] * unit
        else:
            mean = y[at : at + columns]
            for i in range(columns):
                some[i] = mean[i]
        if noisy[pass_] >= 0:
            at = chip * strides[1, 0] + sample * strides[1, 1] + pass_ * strides[1, 2] + vector * strides[1, 3]
            if len(bits) > 0:
                rounded = bits[at : at + columns]
                for i in range(columns):
                    word[i] = np.uint32(rounded[i]) << np.uint32(16)
                for i in range(columns):
                    variance[i] = single[i]
            elif strides[1, 4] == 0:
                variance[:] = full[at]
            else:
                given = full[at : at + columns]
                for i in range(columns):
                    variance[i] = given[i]
            at = chip * strides[2, 0] + sample * strides[2, 1] + pass_ * strides[2, 2] + vector * strides[2, 3]
            share = row[at]
            at = chip * strides[3, 0] + sample * strides[3, 1] + pass_ * strides[3, 2] + vector * strides[3, 3]
            if strides[3, 4] == 0:
                both = share * column[at]
                for i in range(columns):
                    variance[i] += both
            else:
                given = column[at : at + columns]
                for i in range(columns):
                    variance[i] += share * given[i]
            at = chip * strides[4, 0] + sample * strides[4, 1] + noisy[pass_] * strides[4, 2] + vector * strides[4, 3]
            numbers = z[at : at + columns]
            for i in range(columns):
                some[i] += np.sqrt(variance[i]) * numbers[i]
        target = out[index]
        if top > 0:
            step = steps[chip]
            for i in range(columns):
                q = np.rint(some[i] / step)
                q = top if q > top else q
                q = -top if q < -top else q
                target[i] = q * step
        else:
            target[:] = some


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


@njit(nogil=True, cache=True)
def to_codes(begin, end, levels, step, codes, squares):
    """Levels, multiples of `step`, as whole numbers of one byte, and the upper 16 bits of their squares; all flat."""
    for start in range(begin, end, 1024):
        size = min(1024, end - start)
        some, code, square = levels[start : start + size], codes[start : start + size], squares[start : start + size]
        single = np.empty(size, np.float32)
        word = single.view(np.uint32)
        for i in range(size):
            whole = np.rint(some[i] / step)
            code[i] = np.int8(whole)
            single[i] = whole * whole
        for i in range(size):
            square[i] = np.uint16(
                (word[i] + np.uint32(0x7FFF) + ((word[i] >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
            )


@njit(nogil=True, cache=True)
def to_two_bytes(begin, end, weights, units, high, low):
    """Weights, (chips, n), in whole `units`, (chips,), as 256 high + low of one byte each; `begin` to `end` of them."""
    n = weights.shape[1]
    for chip in range(begin // n, (end + n - 1) // n):
        unit, first, last = units[chip], max(begin - chip * n, 0), min(end - chip * n, n)
        for i in range(first, last):
            code = np.int32(np.rint(weights[chip, i] / unit))
            upper = (code + np.int32(128)) >> np.int32(8)
            high[chip, i] = np.int8(upper)
            low[chip, i] = np.int8(code - (upper << np.int32(8)))
