"""The product of two matrices by tiles in shared memory, each thread with a block in registers.

A tile of the result belongs to one block of threads, and every element to one thread, which adds
up its products in the order of k whatever the tile and the number of blocks: the bits depend on
the shapes alone. Elements that a thread owns lie a whole row of threads apart, so that neighbours
read neighbouring words of shared memory and write neighbouring words of the result.
"""

import functools
from typing import NamedTuple

from nnjit.backends.cuda._cuda import cuda, device, smaller, type_of
from nnjit.backends.cuda.scalars import activation_functions, scalar_functions
from nnjit.core.activations import IDENTITY, RELU

__all__ = ["Products", "Tile", "make_products"]


class Tile(NamedTuple):
    """Shape of the work of one block of threads."""

    threads_m: int  # rows of threads
    threads_n: int  # threads in a row
    per_m: int  # rows and columns of the result per thread
    per_n: int
    depth: int  # columns of A and rows of B in shared memory at a time

    @property
    def threads(self):
        return self.threads_m * self.threads_n

    @property
    def rows(self):
        return self.threads_m * self.per_m

    @property
    def columns(self):
        return self.threads_n * self.per_n

    # One word more than a row, so that a column is not all in one bank.
    @property
    def a_shape(self):
        return self.depth, self.rows + 1

    @property
    def b_shape(self):
        return self.depth, self.columns + 1


class Products(NamedTuple):
    """Device functions made by `make_products`; see there for their arguments."""

    forward: object
    weight_gradient: object
    input_gradient: object


@functools.cache
def make_products(single, real, tile):
    """Compile the three products of a dense layer for one precision and one tile.

    All have the arguments ``(worker, workers, tiles, m, n, k, a, a_at, a_row, a_column, b, b_at,
    b_row, b_column, c, c_at, other, other_at, code, step, c_step, add)``. Worker number `worker`
    of `workers` computes every `workers`-th tile; `tiles` are two shared arrays of the shapes
    ``tile.a_shape`` and ``tile.b_shape``; element (i, j) of A is ``a[a_at + i * a_row +
    j * a_column]``, of the result ``c[c_at + i * n + j]``.

    - forward: ``c = phi(a b + other)``, `other` at `other_at` the bias, `code` that of phi.
    - weight_gradient: ``c (+)= a b`` and ``other (+)= sum over the rows of b``. The sum over k is
      cut into pieces of `step`; piece s goes to ``c_at + s * c_step`` and likewise for `other`.
    - input_gradient: ``c = (a b) * phi'`` with the layer's outputs below in `other`.
    """
    kernels = (_FORWARD, _WEIGHT_GRADIENT, _INPUT_GRADIENT)
    return Products(*(_product(single, real, tile, kind) for kind in kernels))


_FORWARD, _WEIGHT_GRADIENT, _INPUT_GRADIENT = range(3)


def _fetchers(real, tile, along_k, height, transposed):
    """Device functions that bring a slice of a matrix from device to shared memory in two steps.

    ``fetch(t, held, source, at, row, column, first, end, k0, k_end)`` reads the thread's share of
    the elements from `first` and `k0` on into registers, zeros outside; ``put(t, held, shared)``
    writes them. `height` is the extent across k; `along_k` says along which side of it memory is
    contiguous, `transposed` that k is the matrix's second index.
    """
    threads, depth, zero = tile.threads, tile.depth, real(0)
    size, share = height * depth, -(-height * depth // threads)

    @device
    def fetch(t, held, source, at, row, column, first, end, k0, k_end):
        across, along = (row, column) if transposed else (column, row)
        for q in range(share):
            e = t + q * threads
            i, p = (e // depth, e % depth) if along_k else (e % height, e // height)
            inside = e < size and first + i < end and k0 + p < k_end
            held[q] = source[at + (first + i) * across + (k0 + p) * along] if inside else zero

    @device
    def put(t, held, shared):
        for q in range(share):
            e = t + q * threads
            if e < size:
                i, p = (e // depth, e % depth) if along_k else (e % height, e // height)
                shared[p, i] = held[q]

    return fetch, put, share


def _product(single, real, tile, kind):
    threads, rows, columns, depth = tile.threads, tile.rows, tile.columns, tile.depth
    if threads < columns:
        raise ValueError("a tile needs at least as many threads as columns")
    numba_type, zero = type_of(real), real(0)
    sums_shape = tile.per_m, tile.per_n
    fetch_a, put_a, share_a = _fetchers(real, tile, kind != _WEIGHT_GRADIENT, rows, True)
    fetch_b, put_b, share_b = _fetchers(real, tile, kind == _INPUT_GRADIENT, columns, False)
    clear, multiply = _multiplier(real, tile)
    store = _store(single, real, tile, kind)

    @device
    def product(
        worker, workers, tiles, m, n, k, a, a_at, a_row, a_column, b, b_at, b_row, b_column,
        c, c_at, other, other_at, code, step, c_step, add,
    ):  # fmt: skip
        shared_a, shared_b = tiles[0], tiles[1]
        sums = cuda.local.array(sums_shape, numba_type)
        held_a = cuda.local.array(share_a, numba_type)
        held_b = cuda.local.array(share_b, numba_type)
        t = cuda.threadIdx.x
        across = (n + columns - 1) // columns
        count = (m + rows - 1) // rows * across
        for task in range(worker, count * ((k + step - 1) // step), workers):
            piece, number = task // count, task % count
            m0, n0 = number // across * rows, number % across * columns
            k0, last = piece * step, smaller(k, (piece + 1) * step)
            clear(sums)
            column_sum = zero
            fetch_a(t, held_a, a, a_at, a_row, a_column, m0, m, k0, last)
            fetch_b(t, held_b, b, b_at, b_row, b_column, n0, n, k0, last)
            while k0 < last:
                put_a(t, held_a, shared_a)
                put_b(t, held_b, shared_b)
                cuda.syncthreads()
                k0 += depth
                if k0 < last:  # the next slice is on its way while this one is used
                    fetch_a(t, held_a, a, a_at, a_row, a_column, m0, m, k0, last)
                    fetch_b(t, held_b, b, b_at, b_row, b_column, n0, n, k0, last)
                multiply(t, shared_a, shared_b, sums)
                if kind == _WEIGHT_GRADIENT:
                    if m0 == 0 and t < columns:
                        for p in range(depth):
                            column_sum += shared_b[p, t]
                cuda.syncthreads()
            if kind == _WEIGHT_GRADIENT:
                if m0 == 0 and t < columns and n0 + t < n:
                    at = other_at + piece * c_step + n0 + t
                    other[at] = column_sum + other[at] if add else column_sum
            store(t, sums, m0, m, n0, n, c, c_at + piece * c_step, other, other_at, code, add)

    return product


def _multiplier(real, tile):
    """Device functions (clear, multiply) for the sums of one thread, which stay in registers."""
    threads_m, threads_n, per_m, per_n, depth = tile
    numba_type, zero = type_of(real), real(0)

    @device
    def clear(sums):
        for i in range(per_m):
            for j in range(per_n):
                sums[i, j] = zero

    @device
    def multiply(t, shared_a, shared_b, sums):
        left = cuda.local.array(per_m, numba_type)
        right = cuda.local.array(per_n, numba_type)
        ti, tj = t // threads_n, t % threads_n
        for p in range(depth):
            for i in range(per_m):
                left[i] = shared_a[p, ti + i * threads_m]
            for j in range(per_n):
                right[j] = shared_b[p, tj + j * threads_n]
            for i in range(per_m):
                for j in range(per_n):
                    sums[i, j] += left[i] * right[j]

    return clear, multiply


def _store(single, real, tile, kind):
    """Device function that writes the sums of one thread out, with what else a product does."""
    threads_m, threads_n, per_m, per_n, _ = tile
    finishes, finish = _finishers(single, real, kind)
    relu = scalar_functions(single)["relu"]

    @device
    def store(t, sums, m0, m, n0, n, c, c_at, other, other_at, code, add):
        row0, column0 = m0 + t // threads_n, n0 + t % threads_n
        for i in range(per_m):
            for j in range(per_n):
                row, column = row0 + i * threads_m, column0 + j * threads_n
                if row < m and column < n:
                    value, at = sums[i, j], c_at + row * n + column
                    if kind == _FORWARD:
                        value += other[other_at + column]
                        c[at] = relu(value) if code == RELU else value
                    elif kind == _WEIGHT_GRADIENT:
                        c[at] = value + c[at] if add else value
                    else:
                        c[at] = value
        if finishes(code):
            # Apart: unrolled with the sums, long functions would cost them registers.
            for e in range(per_m * per_n):
                row, column = row0 + e // per_n * threads_m, column0 + e % per_n * threads_n
                if row < m and column < n:
                    at = c_at + row * n + column
                    c[at] = finish(code, c[at], other, other_at + row * n + column)

    return store


def _finishers(single, real, kind):
    """Device functions (finishes, finish): what is left to do with an element, if anything."""
    activate, slope = activation_functions(single, real)

    @device
    def activates(code):
        return code != RELU and code != IDENTITY

    @device
    def activated(code, value, other, at):
        return activate(code, value)

    @device
    def has_slope(code):
        return code != IDENTITY

    @device
    def sloped(code, value, other, at):
        return value * slope(code, other[at])

    @device
    def never(code):
        return False

    if kind == _FORWARD:
        return activates, activated
    if kind == _INPUT_GRADIENT:
        return has_slope, sloped
    return never, sloped
