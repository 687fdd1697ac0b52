"""Products and dot products through tables against their definitions."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from nnjit.core.compiler.jit import kernel
from nnjit.core.simd import (
    FROM_BIAS,
    FROM_C,
    FROM_ZERO,
    MASK,
    PLAIN,
    RELU,
    TILE,
    Epilogue,
    Prologue,
    Rows,
    Segments,
    Strided,
    Taps,
    Vector,
    gathered_dot,
    gathered_product,
)
from nnjit.core.simd.gathered_product import K_BLOCK, N_BLOCK

DTYPES = [np.float32, np.float64]
HEIGHTS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 17, 65]
WIDTHS = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 80, 100]
DEPTHS = [0, 1, 2, 3, 9, 25, 100, K_BLOCK - 1, K_BLOCK, K_BLOCK + 1, 2 * K_BLOCK + 5]
jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")


@kernel
def run_product(m, n, depth, a, a_row, b, taps, scale, c, c_row, begin, bias, end, mask):
    gathered_product(
        m, n, depth, Strided(a, 1, a_row, 0), Vector(b, 2), Taps(taps, 3, scale), Rows(c, 1, c_row),
        Prologue(begin, bias, 1), Epilogue(end, mask),
    )  # fmt: skip


@kernel
def run_plain_product(m, n, depth, a, a_row, b, taps, c, c_row):
    gathered_product(
        m, n, depth, Strided(a, 1, a_row, 0), Vector(b, 2), Taps(taps, 3, 1), Rows(c, 1, c_row),
        None, None,
    )  # fmt: skip


@kernel
def run_dot(m, n, segments, count, scale, a, a_row, b, b_row, c, c_row, add):
    gathered_dot(
        m, n, Segments(segments, 2, count, scale), Rows(a, 1, a_row), Rows(b, 3, b_row),
        Rows(c, 1, c_row), add,
    )  # fmt: skip


def lanes(dtype):
    return TILE.bytes // np.dtype(dtype).itemsize


def sizes(rng, *edges):
    """Every edge of every dimension at least once, in random company."""
    count = max(len(values) for values in edges)
    columns = [rng.permutation(np.resize(values, count)) for values in edges]
    return [tuple(int(value) for value in row) for row in zip(*columns, strict=True)]


class Case:
    """A gathered product whose A and B lie anywhere in larger arrays of NaN and of numbers."""

    def __init__(self, rng, dtype, m, n, depth, scale=1, a_row=None):
        self.m, self.n, self.depth, self.scale = m, n, depth, scale
        self.a_row = int(rng.integers(1, 4)) if a_row is None else a_row
        width = (m - 1) * self.a_row + 1
        columns = rng.permutation(depth) * width
        starts = rng.integers(0, -(-40 // scale) + 1, depth)
        self.taps = np.full(3 + 2 * depth, -(1 << 40))
        self.taps[3::2], self.taps[4::2] = columns, starts
        self.a = rng.standard_normal(1 + depth * width).astype(dtype)
        reach = 40 + scale + n
        self.b = rng.standard_normal(2 + reach + lanes(dtype)).astype(dtype)
        self.b[2 + reach :] = np.nan  # behind the last element
        self.bias = rng.standard_normal(1 + m).astype(dtype)
        self.c_row = n + int(rng.integers(4))
        self.size = 1 + (m - 1) * self.c_row + n
        places = 1 + columns[:, None] + np.arange(m) * self.a_row
        self.left = self.a[places].T
        self.right = self.b[2 + starts[:, None] * scale + np.arange(n)]

    def sums(self):
        """A B in float64."""
        return self.left.astype(float) @ self.right.astype(float)

    def view(self, c):
        """C in an array."""
        step = c.itemsize
        shape, strides = (self.m, self.n), (self.c_row * step, step)
        return np.lib.stride_tricks.as_strided(c[1:], shape, strides)

    def run(self, c, begin=FROM_ZERO, end=PLAIN, mask=0):
        given = (self.a, self.a_row, self.b, self.taps, self.scale, c, self.c_row)
        run_product(self.m, self.n, self.depth, *given, begin, self.bias, end, mask)
        return self.view(c)


def close(got, wanted, terms):
    tolerance = 4 * np.finfo(got.dtype).eps * np.sqrt(terms + 1)
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=8 * tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1, 5, 16])
@pytest.mark.parametrize("begin", [FROM_ZERO, FROM_BIAS, FROM_C])
def test_gathered_product(dtype, scale, begin):
    rng = np.random.default_rng(0)
    for m, n, depth in sizes(rng, HEIGHTS, WIDTHS, DEPTHS):
        case = Case(rng, dtype, m, n, depth, scale)
        c = rng.standard_normal(case.size + 5).astype(dtype)
        before = c.copy()
        got = case.run(c, begin)
        start = {FROM_ZERO: 0, FROM_BIAS: case.bias[1:, None], FROM_C: case.view(before)}[begin]
        close(got, case.sums() + start, depth)
        case.view(c)[...] = case.view(before)
        np.testing.assert_array_equal(c, before, "wrote beyond C")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("a_row", [1, 2])
def test_a_large_gathered_product(dtype, a_row):
    """Several slices of columns, blocks of k and of rows; rows that lie together are packed."""
    rng = np.random.default_rng(6)
    slice_ = N_BLOCK * lanes(dtype)
    for m, n, depth in [
        (65, slice_ + 1, K_BLOCK), (39, slice_ - 1, 2 * K_BLOCK), (63, 8 * lanes(dtype), K_BLOCK),
        (44, slice_ + 2 * lanes(dtype), 2 * K_BLOCK + 3), (130, 2 * slice_, K_BLOCK + 1),
    ]:  # fmt: skip
        case = Case(rng, dtype, m, n, depth, 3, a_row)
        c = np.full(case.size + 5, np.nan, dtype)
        close(case.run(c, FROM_BIAS), case.sums() + case.bias[1:, None], depth)
        case.view(c)[...] = np.nan
        assert np.isnan(c).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("begin", [FROM_BIAS, FROM_C])
def test_epilogue_of_a_gathered_product(dtype, begin):
    """ReLU, and the Hadamard product with its derivative, are those of the finished sums."""
    rng = np.random.default_rng(1)
    for m, n, depth in sizes(rng, HEIGHTS, WIDTHS, DEPTHS):
        case = Case(rng, dtype, m, n, depth)
        case.a[rng.integers(len(case.a))] = np.nan
        mask = case.size + 3
        start = rng.standard_normal(mask + case.size).astype(dtype)
        switch = case.view(start[mask:])
        switch[rng.random(switch.shape) < 0.2] = 0
        switch[rng.random(switch.shape) < 0.1] = np.nan
        sums = case.run(start.copy(), begin)
        relu = case.run(start.copy(), begin, RELU)
        masked = case.run(start.copy(), begin, MASK, mask)
        np.testing.assert_array_equal(relu, np.where(sums < 0, 0, sums))
        np.testing.assert_array_equal(masked, np.where(switch > 0, sums, 0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_plain_gathered_product_begins_at_zero(dtype):
    rng = np.random.default_rng(2)
    for m, n, depth in sizes(rng, HEIGHTS, WIDTHS, DEPTHS):
        case = Case(rng, dtype, m, n, depth)
        c = np.full(case.size, np.nan, dtype)
        run_plain_product(m, n, depth, case.a, case.a_row, case.b, case.taps, c, case.c_row)
        np.testing.assert_array_equal(case.view(c), case.run(np.zeros_like(c)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_of_a_gathered_product_do_not_depend_on_its_shape(dtype):
    """One element alone has the bits that it has inside a large product."""
    rng = np.random.default_rng(3)
    for m, n, depth in [(15, 70, 37), (3, 40, K_BLOCK + 30), (39, 8 * lanes(dtype), K_BLOCK)]:
        case = Case(rng, dtype, m, n, depth, a_row=1)
        whole = case.run(np.zeros(case.size, dtype), FROM_BIAS)
        one = np.zeros(2, dtype)
        for i in range(m):
            for j in range(0, n, 1 if n < 100 else 13):
                run_product(
                    1, 1, depth, case.a[i * case.a_row :], 1, case.b[j:], case.taps, 1, one, 1,
                    FROM_BIAS, case.bias[i:], PLAIN, 0,
                )  # fmt: skip
                assert one[1] == whole[i, j]


def segments_of(rng, count, scale, longest):
    """Segments of several lengths, apart from one another in A and in B, and how far they go."""
    lengths = rng.integers(0, longest // scale + 2, count)
    ends = [np.cumsum(lengths + rng.integers(1, 3, count)) for _ in range(2)]
    starts = [end - lengths for end in ends]
    table = np.full(2 + 3 * count, -(1 << 40))
    table[2:] = np.column_stack([*starts, lengths]).ravel()
    return table, [int(end[-1]) * scale if count else 0 for end in ends]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1, 5, 16])
@pytest.mark.parametrize("add", [0, 1])
def test_gathered_dot(dtype, scale, add):
    """Whatever is not in a segment is NaN, so it is not read."""
    rng = np.random.default_rng(4)
    counts, longest = [0, 1, 2, 3, 7], [1, 15, 16, 17, 33, 64, 100, 600, 3000]
    for m, n, count, most in sizes(rng, HEIGHTS, WIDTHS, counts, longest):
        table, reaches = segments_of(rng, count, scale, most)
        rows = [reach + int(rng.integers(1, 20)) for reach in reaches]
        a, b = (np.full(3 + k * row, np.nan, dtype) for k, row in zip((m, n), rows, strict=True))
        c = rng.standard_normal(1 + m * (n + 2)).astype(dtype)
        old = c[1:].reshape(m, n + 2).copy()
        left, right = a[1:-2].reshape(m, rows[0]), b[3:].reshape(n, rows[1])
        wanted, terms = np.zeros((m, n)), 0
        for at_a, at_b, length in scale * table[2:].reshape(count, 3):
            x, y = left[:, at_a : at_a + length], right[:, at_b : at_b + length]
            x[...], y[...] = rng.standard_normal(x.shape), rng.standard_normal(y.shape)
            wanted += x.astype(float) @ y.astype(float).T
            terms += length
        run_dot(m, n, table, count, scale, a, rows[0], b, rows[1], c, n + 2, add)
        got = c[1:].reshape(m, n + 2)
        close(got[:, :n], wanted + add * old[:, :n], terms)
        np.testing.assert_array_equal(got[:, n:], old[:, n:], "wrote beyond its columns")


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_a_gathered_dot_may_overlap(dtype):
    """As they do where each row is one tap of a series of one channel."""
    rng = np.random.default_rng(5)
    series, delta = rng.standard_normal(108).astype(dtype), rng.standard_normal(600).astype(dtype)
    table, c = np.array([0, 0, 0, 0, 100]), np.zeros(1 + 7 * 6, dtype)
    run_dot(7, 6, table, 1, 1, series, 1, delta, 99, c, 6, 0)
    rows = np.lib.stride_tricks.sliding_window_view(series[1:], 100)[:7]
    columns = np.stack([delta[3 + 99 * j :][:100] for j in range(6)])
    close(c[1:].reshape(7, 6), rows.astype(float) @ columns.T.astype(float), 100)


@jit_only
@pytest.mark.parametrize("name", ["avx2", "generic"])
def test_narrower_tiles_compute_the_same(name):
    """This machine also runs the tiles of lesser ones."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k"]
    command.append("not narrower")  # and so does not recurse
    done = subprocess.run(
        command, env=os.environ | {"NNJIT_TILE": name}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
