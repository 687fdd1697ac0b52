"""The product of two matrices by tiles in shared memory, each thread with a block in registers.

A tile of the result belongs to one block of threads, and every element to one thread, which adds
up its products in the order of k whatever the tile and the number of blocks: the bits depend on
the shapes alone. Elements that a thread owns lie a whole row of threads apart, so that neighbours
read neighbouring words of shared memory and write neighbouring words of the result.
"""

import functools
from typing import NamedTuple

from nnjit.backends.cuda._cuda import cuda, device, type_of
from nnjit.backends.cuda.scalars import activation_functions

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


def _loaders(real, tile, kind):
    """Device functions that fetch a slice of A and of B, neighbours along contiguous memory."""
    threads, rows, columns, depth = tile.threads, tile.rows, tile.columns, tile.depth
    zero = real(0)
    a_along_k = kind != _WEIGHT_GRADIENT
    b_along_k = kind == _INPUT_GRADIENT

    @device
    def load_a(t, shared, a, at, row, column, m0, m, k0, k):
        for e in range(t, rows * depth, threads):
            if a_along_k:
                i, j = e // depth, e % depth
            else:
                i, j = e % rows, e // rows
            inside = m0 + i < m and k0 + j < k
            shared[j, i] = a[at + (m0 + i) * row + (k0 + j) * column] if inside else zero

    @device
    def load_b(t, shared, b, at, row, column, n0, n, k0, k):
        for e in range(t, columns * depth, threads):
            if b_along_k:
                i, j = e % depth, e // depth
            else:
                i, j = e // columns, e % columns
            inside = n0 + j < n and k0 + i < k
            shared[i, j] = b[at + (k0 + i) * row + (n0 + j) * column] if inside else zero

    return load_a, load_b


def _product(single, real, tile, kind):
    threads, rows, columns, depth = tile.threads, tile.rows, tile.columns, tile.depth
    threads_m, threads_n, per_m, per_n = tile[:4]
    if threads < columns:
        raise ValueError("a tile needs at least as many threads as columns")
    numba_type, zero = type_of(real), real(0)
    activate, slope = activation_functions(single, real)
    load_a, load_b = _loaders(real, tile, kind)

    @device
    def product(
        worker, workers, tiles, m, n, k, a, a_at, a_row, a_column, b, b_at, b_row, b_column,
        c, c_at, other, other_at, code, step, c_step, add,
    ):  # fmt: skip
        shared_a, shared_b = tiles[0], tiles[1]
        sums = cuda.local.array((per_m, per_n), numba_type)
        left = cuda.local.array(per_m, numba_type)
        right = cuda.local.array(per_n, numba_type)
        t = cuda.threadIdx.x
        ti, tj = t // threads_n, t % threads_n
        across = (n + columns - 1) // columns
        count = (m + rows - 1) // rows * across
        for task in range(worker, count * ((k + step - 1) // step), workers):
            piece, number = task // count, task % count
            m0, n0 = number // across * rows, number % across * columns
            last = min(k, (piece + 1) * step)
            for i in range(per_m):
                for j in range(per_n):
                    sums[i, j] = zero
            column_sum = zero
            for k0 in range(piece * step, last, depth):
                load_a(t, shared_a, a, a_at, a_row, a_column, m0, m, k0, last)
                load_b(t, shared_b, b, b_at, b_row, b_column, n0, n, k0, last)
                cuda.syncthreads()
                for p in range(depth):
                    for i in range(per_m):
                        left[i] = shared_a[p, ti + i * threads_m]
                    for j in range(per_n):
                        right[j] = shared_b[p, tj + j * threads_n]
                    for i in range(per_m):
                        for j in range(per_n):
                            sums[i, j] += left[i] * right[j]
                if kind == _WEIGHT_GRADIENT:
                    if m0 == 0 and t < columns:
                        for p in range(depth):
                            column_sum += shared_b[p, t]
                cuda.syncthreads()
            if kind == _WEIGHT_GRADIENT:
                if m0 == 0 and t < columns and n0 + t < n:
                    at = other_at + piece * c_step + n0 + t
                    other[at] = column_sum + other[at] if add else column_sum
            for i in range(per_m):
                for j in range(per_n):
                    row, column = m0 + ti + i * threads_m, n0 + tj + j * threads_n
                    if row < m and column < n:
                        value, at = sums[i, j], c_at + row * n + column
                        if kind == _FORWARD:
                            c[at] = activate(code, value + other[other_at + column])
                        elif kind == _INPUT_GRADIENT:
                            c[at] = value * slope(code, other[other_at + row * n + column])
                        else:
                            at += piece * c_step
                            c[at] = value + c[at] if add else value

    return product
