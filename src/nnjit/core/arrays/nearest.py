"""Which of some points, a map's units, are nearest to each row of a matrix, and sums by unit.

Rows are taken in blocks and turned, so that vectors run along them. The nearest unit is that of the
largest x . w - |w|^2 / 2, a product; distances themselves are summed up as they are defined. A
row's result depends on that row alone. A NaN stands for a missing value, which counts nothing: a
block with such goes on as [present, x] . [-w^2 / 2, w], of which rows that miss nothing get the
same bits as any other, since the product is one chain of additions in the order of its depth.

Matrices are passed flat. Everywhere ``origin`` (n,) is subtracted from rows, units are given around
it, and ``scale`` is multiplied by.
"""

import numpy as np

from nnjit.core.compiler.jit import elementwise, kernel, prange, twins, vectorized
from nnjit.core.simd import (
    FROM_BIAS,
    FROM_ZERO,
    Prologue,
    Rows,
    Strided,
    lanes,
    product,
    transpose_into,
)

__all__ = ["biases", "distances", "search", "sums_by_unit", "two_nearest"]

HEIGHT = 128  # rows of a block, whole vectors on every machine
UNITS = 64  # units whose products are held at a time


@elementwise
def _turned(x, first, rows, n, origin, scale, at, work, width):
    """work[at + k width + i] = (x[first + i, k] - origin[k]) scale; the last row repeats."""
    transpose_into(rows, n, Rows(x, first * n, n), None, Rows(work, at, width))
    for k in range(n):
        _shift(work[at + k * width : at + (k + 1) * width], origin[k], scale)


@vectorized
def _shift(values, origin, scale):
    for i in range(len(values)):
        values[i] = (values[i] - origin) * scale


@vectorized
def _any_missing(values):
    missing = 0
    for i in range(len(values)):
        missing |= values[i] != values[i]
    return missing != 0


@vectorized
def _split(values, present):
    """Put 0 for what is missing, and 1 into `present` for what is not."""
    one = values.dtype.type(1)
    zero = values.dtype.type(0)
    for i in range(len(values)):
        there = values[i] == values[i]
        present[i] = one if there else zero
        values[i] = values[i] if there else zero


@vectorized
def _add_squares(values, sums):
    for i in range(len(values)):
        sums[i] += values[i] * values[i]


@vectorized
def _fill(values, value):
    for i in range(len(values)):
        values[i] = value


@vectorized
def _larger(scores, first, best, at):
    """best[i] = max(best[i], scores[u, i]) and at[i] the first u + `first` that has it."""
    width = len(best)
    for u in range(len(scores) // width):
        row = scores[u * width : (u + 1) * width]
        number = best.dtype.type(first + u)
        for i in range(width):
            better = row[i] > best[i]
            best[i] = row[i] if better else best[i]
            at[i] = number if better else at[i]


@elementwise
def _search_block(x, first, rows, n, origin, scale, table, bias, missing, work, best, at):
    """Best scores of a block and their units, as numbers of x's type.

    work : OUT (2 n width,), the turned rows behind n width other values
    """
    width, n_units = len(best), len(bias)
    inside = n * width
    _turned(x, first, rows, n, origin, scale, inside, work, width)
    gaps = missing and _any_missing(work[inside:])
    if gaps:
        _split(work[inside:], work[:inside])
    across = 2 * n if missing else n  # of a row of the table
    begin, depth, kind = (0, 2 * n, FROM_ZERO) if gaps else (inside, n, FROM_BIAS)
    column = across - depth
    scores = np.empty(UNITS * width, x.dtype)
    _fill(best, -np.inf)
    _fill(at, 0)
    for unit in range(0, n_units, UNITS):
        count = min(UNITS, n_units - unit)
        product(
            count, width, depth, Strided(table, unit * across + column, across, 1),
            Rows(work, begin, width), Rows(scores, 0, width), Prologue(kind, bias, unit), None,
            None,
        )  # fmt: skip
        _larger(scores[: count * width], unit, best, at)
    return gaps


@elementwise
def _distances_of(work, n, gaps, scale, best):
    """best = |x - w| by x^2 - 2 x w + w^2, as far as from what is present."""
    width = len(best)
    inside = n * width
    squares, present = np.zeros(width, best.dtype), np.zeros(width, best.dtype)
    for k in range(n):
        _add_squares(work[inside + k * width : inside + (k + 1) * width], squares)
        if gaps:
            _add_squares(work[k * width : (k + 1) * width], present)
    if not gaps:
        _fill(present, n)
    _lengths(squares, present, best.dtype.type(n), scale, best)


@vectorized
def _lengths(squares, present, n, scale, best):
    zero = best.dtype.type(0)
    for i in range(len(best)):
        value = squares[i] - 2 * best[i]
        value = value if value > zero else zero
        best[i] = np.sqrt(value * (n / present[i])) / scale


@twins
def search(x, n, origin, scale, table, bias, missing, units, distances):
    """Find the nearest unit of each row.

    Parameters
    ----------
    x : IN (m * n,)
    origin, scale : IN see above, of x's type
    table : IN (n_units * n,) w, or (n_units * 2 n,) rows of -w^2 / 2 and w if `missing`
    bias : IN (n_units,) from `biases`
    missing : whether x may hold NaN
    units : OUT (m,) int32
    distances : OUT (m,), about |x - w|, sqrt(n / present) times that of what is present
    """
    m, length = len(units), lanes(x)
    for block in prange((m + HEIGHT - 1) // HEIGHT):
        first = block * HEIGHT
        rows = min(HEIGHT, m - first)
        width = (rows + length - 1) // length * length
        best, at = np.empty(width, x.dtype), np.empty(width, x.dtype)
        work = np.empty(2 * n * width, x.dtype)
        gaps = _search_block(
            x, first, rows, n, origin, scale, table, bias, missing, work, best, at
        )  # fmt: skip
        _distances_of(work, n, gaps, scale, best)
        for i in range(rows):
            units[first + i] = np.int32(at[i])
            distances[first + i] = best[i]


@kernel
def biases(halves, row, n, out):
    """out[u] = sum_k halves[u, k], added up as a product with ones would.

    halves : IN (n_units * row,), of which the first n of each row count; out : OUT (n_units,)
    """
    length = lanes(halves)
    ones = np.ones(n * length, halves.dtype)
    sums = np.empty(len(out) * length, halves.dtype)
    product(
        len(out), length, n, Strided(halves, 0, row, 1), Rows(ones, 0, length),
        Rows(sums, 0, length), None, None, None,
    )  # fmt: skip
    for u in range(len(out)):
        out[u] = sums[u * length]


@vectorized
def _add_deviation(values, weight, sums):
    """Add (values - weight)^2 where there is a value."""
    zero = sums.dtype.type(0)
    for i in range(len(sums)):
        deviation = values[i] - weight
        deviation = deviation if deviation == deviation else zero
        sums[i] += deviation * deviation


@elementwise
def _squared_distances(work, n, table, unit, sums):
    """sums[i] = |x[i] - w|^2 of what is present of the turned rows."""
    width = len(sums)
    _fill(sums, 0)
    for k in range(n):
        _add_deviation(work[k * width : (k + 1) * width], table[unit * n + k], sums)


@elementwise
def _corrections(work, n, corrections):
    """What a squared distance is multiplied by: n / present."""
    width = len(corrections)
    for i in range(width):
        present = 0
        for k in range(n):
            value = work[k * width + i]
            present += value == value
        corrections[i] = corrections.dtype.type(n) / max(present, 1)


@vectorized
def _roots(sums, corrections, scale):
    for i in range(len(sums)):
        sums[i] = np.sqrt(sums[i] * corrections[i]) / scale


@twins
def distances(x, n, origin, scale, table, out):
    """out[i, u] = |x[i] - w[u]|, sqrt(n / present) times that of what is present.

    x IN (m * n,), table IN (n_units * n,), out OUT (m * n_units,).
    """
    n_units, length = len(table) // n, lanes(x)
    m = len(out) // n_units
    for block in prange((m + HEIGHT - 1) // HEIGHT):
        first = block * HEIGHT
        rows = min(HEIGHT, m - first)
        width = (rows + length - 1) // length * length
        work, sums = np.empty(n * width, x.dtype), np.empty(width, x.dtype)
        corrections = np.empty(width, x.dtype)
        _turned(x, first, rows, n, origin, scale, 0, work, width)
        _corrections(work, n, corrections)
        for unit in range(n_units):
            _squared_distances(work, n, table, unit, sums)
            _roots(sums, corrections, scale)
            for i in range(rows):
                out[(first + i) * n_units + unit] = sums[i]


@vectorized
def _least_two(sums, number, best, at, second, then):
    for i in range(len(best)):
        value = sums[i]
        first, next = value < best[i], value < second[i]
        second[i] = best[i] if first else (value if next else second[i])
        then[i] = at[i] if first else (number if next else then[i])
        best[i] = value if first else best[i]
        at[i] = number if first else at[i]


@twins
def two_nearest(x, n, origin, scale, table, units, seconds, nearest):
    """Find the two nearest units of each row, and the distance to the first.

    x IN (m * n,), table IN (n_units * n,), units, seconds OUT (m,) int32, nearest OUT (m,). With
    one unit `seconds` are 0.
    """
    n_units, length, m = len(table) // n, lanes(x), len(units)
    for block in prange((m + HEIGHT - 1) // HEIGHT):
        first = block * HEIGHT
        rows = min(HEIGHT, m - first)
        width = (rows + length - 1) // length * length
        work, sums = np.empty(n * width, x.dtype), np.empty(width, x.dtype)
        found = np.zeros(4 * width, x.dtype)
        best, at = found[:width], found[width : 2 * width]
        second, then = found[2 * width : 3 * width], found[3 * width :]
        _fill(best, np.inf)
        _fill(second, np.inf)
        _turned(x, first, rows, n, origin, scale, 0, work, width)
        for unit in range(n_units):
            _squared_distances(work, n, table, unit, sums)
            _least_two(sums, x.dtype.type(unit), best, at, second, then)
        _corrections(work, n, sums)
        _roots(best, sums, scale)
        for i in range(rows):
            units[first + i], seconds[first + i] = np.int32(at[i]), np.int32(then[i])
            nearest[first + i] = best[i]


@vectorized
def _add_row(row, weight, origin, sums):
    for k in range(len(sums)):
        sums[k] += weight * (np.float64(row[k]) - origin[k])


@vectorized
def _add_present(row, weight, origin, sums, counts):
    zero = sums.dtype.type(0)
    for k in range(len(sums)):
        value = np.float64(row[k]) - origin[k]
        there = value == value
        sums[k] += weight * value if there else zero
        counts[k] += weight if there else zero


@twins
def sums_by_unit(x, n, units, weights, origin, missing, shares, sums, counts):
    """Add up the rows of each unit, around the origin, and their weights, in the rows' order.

    Parameters
    ----------
    x : IN (m * n,)
    units : IN (m,) int32
    weights : IN (m,) float64, or of no length if all are 1
    origin : IN (n,) float64
    missing : whether x may hold NaN
    shares : in how many parts the units are shared out among threads; no sum is ever split
    sums : INOUT (n_units * n,) float64
    counts : INOUT float64, (n_units * n,) if `missing`, else (n_units,)
    """
    weighted = len(weights) > 0
    for share in prange(shares):
        for i in range(len(units)):
            u = np.int64(units[i])
            if u % shares != share:
                continue
            weight = weights[i] if weighted else 1.0
            row, total = x[i * n : (i + 1) * n], sums[u * n : (u + 1) * n]
            if missing:
                _add_present(row, weight, origin, total, counts[u * n : (u + 1) * n])
            else:
                _add_row(row, weight, origin, total)
                counts[u] += weight
