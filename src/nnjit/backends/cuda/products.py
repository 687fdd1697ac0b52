"""The product of two matrices by tiles in shared memory, each thread with a block in registers.

A tile of the result belongs to one block of threads, and every element to one thread, which adds
up its products in the order of k whatever the tile and the number of blocks: the bits depend on
the shapes alone. Elements that a thread owns lie a whole row of threads apart, so that neighbours
read neighbouring words of shared memory and write neighbouring words of the result.
"""

import functools
from typing import NamedTuple

from nnjit.backends.cuda._cuda import cuda, device, multiply_add, smaller, type_of
from nnjit.backends.cuda.scalars import LINEAR, make_activations, real_of

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
def make_products(single, tile, hidden):
    """Compile the three products of a dense layer for one precision and one tile.

    All have the arguments ``(team, tiles, shape, a, b, to, cut)``, see arguments.py. A team works
    through the tiles of the result in turn; `tiles` are two shared arrays of the shapes
    ``tile.a_shape`` and ``tile.b_shape``; `shape` is (m, n, k), the rows and columns of the result
    and the terms of each sum; `a` and `b` are matrices. `hidden` are the entries that
    ``to.activation`` numbers.

    - forward: ``to = phi(a b + beside)`` with a bias beside; what phi was applied to is kept.
    - weight_gradient: ``to (+)= a b`` and ``beside (+)= sum over the rows of b``. The sum over k is
      cut into pieces of ``cut.step``; the result of piece s lies s strides further on.
    - input_gradient: ``to = (a b) phi'`` with the layer's outputs below beside.
    """
    kernels = (_FORWARD, _WEIGHT_GRADIENT, _INPUT_GRADIENT)
    return Products(*(_product(single, tile, kind, hidden) for kind in kernels))


_FORWARD, _WEIGHT_GRADIENT, _INPUT_GRADIENT = range(3)


def _fetchers(real, tile, along_k, height, transposed):
    """Device functions that bring a slice of a matrix from device to shared memory in two steps.

    ``fetch(t, held, source, first, end, k0, k_end)`` reads the thread's share of the elements from
    `first` and `k0` on into registers, zeros outside; ``put(t, held, shared)`` writes them.
    `height` is the extent across k; `along_k` says along which side of it memory is contiguous,
    `transposed` that k is the matrix's second index.
    """
    threads, depth, zero = tile.threads, tile.depth, real(0)
    size, share = height * depth, -(-height * depth // threads)

    @device
    def fetch(t, held, source, first, end, k0, k_end):
        values, at, row, column = source
        across, along = (row, column) if transposed else (column, row)
        for q in range(share):
            e = t + q * threads
            i, p = (e // depth, e % depth) if along_k else (e % height, e // height)
            inside = e < size and first + i < end and k0 + p < k_end
            held[q] = values[at + (first + i) * across + (k0 + p) * along] if inside else zero

    @device
    def put(t, held, shared):
        for q in range(share):
            e = t + q * threads
            if e < size:
                i, p = (e // depth, e % depth) if along_k else (e % height, e // height)
                shared[p, i] = held[q]

    return fetch, put, share


def _product(single, tile, kind, hidden):
    threads, rows, columns, depth = tile.threads, tile.rows, tile.columns, tile.depth
    if threads < columns:
        raise ValueError("a tile needs at least as many threads as columns")
    real = real_of(single)
    numba_type, zero = type_of(real), real(0)
    sums_shape = tile.per_m, tile.per_n
    fetch_a, put_a, share_a = _fetchers(real, tile, kind != _WEIGHT_GRADIENT, rows, True)
    fetch_b, put_b, share_b = _fetchers(real, tile, kind == _INPUT_GRADIENT, columns, False)
    clear, multiply = _multiplier(real, tile)
    store = _store(single, tile, kind, hidden)

    @device
    def product(team, tiles, shape, a, b, to, cut):
        shared_a, shared_b = tiles
        m, n, k = shape
        sums = cuda.local.array(sums_shape, numba_type)
        held_a = cuda.local.array(share_a, numba_type)
        held_b = cuda.local.array(share_b, numba_type)
        t = cuda.threadIdx.x
        across = (n + columns - 1) // columns
        count = (m + rows - 1) // rows * across
        for task in range(team.worker, count * ((k + cut.step - 1) // cut.step), team.workers):
            piece, number = task // count, task % count
            m0, n0 = number // across * rows, number % across * columns
            k0, last = piece * cut.step, smaller(k, (piece + 1) * cut.step)
            clear(sums)
            column_sum = zero
            fetch_a(t, held_a, a, m0, m, k0, last)
            fetch_b(t, held_b, b, n0, n, k0, last)
            while k0 < last:
                put_a(t, held_a, shared_a)
                put_b(t, held_b, shared_b)
                cuda.syncthreads()
                k0 += depth
                if k0 < last:  # the next slice is on its way while this one is used
                    fetch_a(t, held_a, a, m0, m, k0, last)
                    fetch_b(t, held_b, b, n0, n, k0, last)
                multiply(t, shared_a, shared_b, sums)
                if kind == _WEIGHT_GRADIENT:
                    if m0 == 0 and t < columns:
                        for p in range(depth):
                            column_sum += shared_b[p, t]
                cuda.syncthreads()
            if kind == _WEIGHT_GRADIENT:
                if m0 == 0 and t < columns and n0 + t < n:
                    at = to.beside_at + piece * cut.stride + n0 + t
                    to.beside[at] = column_sum + to.beside[at] if cut.add else column_sum
            store(t, sums, m0, m, n0, n, to, to.at + piece * cut.stride, cut.add)

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
                    sums[i, j] = multiply_add(left[i], right[j], sums[i, j])

    return clear, multiply


def _store(single, tile, kind, hidden):
    """Device function that writes the sums of one thread out, with what else a product does."""
    threads_m, threads_n, per_m, per_n, _ = tile
    activations = make_activations(single, hidden)
    at_once, keeps = activations.at_once, activations.reads_z
    is_left, finish = _finishers(single, kind, activations)

    @device
    def store(t, sums, m0, m, n0, n, to, first, add):
        c, row0, column0 = to.values, m0 + t // threads_n, n0 + t % threads_n
        for i in range(per_m):
            for j in range(per_n):
                row, column = row0 + i * threads_m, column0 + j * threads_n
                if row < m and column < n:
                    value, at = sums[i, j], first + row * n + column
                    if kind == _FORWARD:
                        value += to.beside[to.beside_at + column]
                        if keeps and to.kept_at >= 0:
                            to.kept[to.kept_at + row * n + column] = value
                        c[at] = at_once(to.activation, value)
                    elif kind == _WEIGHT_GRADIENT:
                        c[at] = value + c[at] if add else value
                    else:
                        c[at] = value
        if is_left(to.activation):
            # Apart: unrolled with the sums, long functions would cost them registers.
            for e in range(per_m * per_n):
                row, column = row0 + e // per_n * threads_m, column0 + e % per_n * threads_n
                if row < m and column < n:
                    e_at = row * n + column
                    c[first + e_at] = finish(c[first + e_at], to, e_at)

    return store


def _finishers(single, kind, activations):
    """Device functions (is_left, finish): what is left to do with an element, if anything.

    ``finish(value, to, at)`` is for element `at` of the result.
    """
    later, backward, keeps = activations.later, activations.backward, activations.reads_z
    zero = real_of(single)(0)

    @device
    def activated(value, to, at):
        return later(to.activation, value)

    @device
    def has_activation(number):
        return number != LINEAR

    @device
    def sent_back(value, to, at):
        z = zero
        if keeps and to.kept_at >= 0:
            z = to.kept[to.kept_at + at]
        return backward(to.activation, (value, z, to.beside[to.beside_at + at]))

    @device
    def never(number):
        return False

    if kind == _FORWARD:
        return activations.is_left, activated
    if kind == _INPUT_GRADIENT:
        return has_activation, sent_back
    return never, sent_back
