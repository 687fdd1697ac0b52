"""LLVM functions of the matrix products: register tiles and the loops over them.

Each `emit_*` adds one internal function to a module, or finds it there, and returns it.
Strides and counts are in elements, 64-bit. See simd.py for what they compute.
"""

import contextlib
import functools
from typing import NamedTuple

from llvmlite import ir
from numba.core import cgutils

__all__ = ["emit_dot_product", "emit_outer_product", "emit_product", "emit_transpose_into"]

_I = ir.IntType(64)
_VOID = ir.VoidType()


def _index(value):
    return ir.Constant(_I, value)


def _function(module, name, arguments):
    """Declare the internal function `name`, or return (function, False) if it is there."""
    if name in module.globals:
        return module.globals[name], False
    function = ir.Function(module, ir.FunctionType(_VOID, arguments), name)
    # identical in every module that carries it: the linker keeps one, and it stays a call
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    function.attributes.add("nounwind")
    return function, True


class _Vectors:
    """Emission helpers for one real type and one vector length."""

    def __init__(self, real, length):
        self.real = real
        self.length = length
        self.type = ir.VectorType(real, length)
        self.suffix = "f32" if isinstance(real, ir.FloatType) else "f64"
        self.align = 4 if isinstance(real, ir.FloatType) else 8
        self.zero = ir.Constant(self.type, [ir.Constant(real, 0.0)] * length)

    def load(self, builder, pointer):
        vector = builder.load(builder.bitcast(pointer, self.type.as_pointer()))
        vector.align = self.align
        return vector

    def store(self, builder, value, pointer):
        builder.store(value, builder.bitcast(pointer, self.type.as_pointer())).align = self.align

    def mask(self, builder, count):
        """The first `count` lanes."""
        narrow = ir.IntType(32)
        splat = _Vectors.splat_of(builder, builder.trunc(count, narrow), self.length)
        lanes = ir.Constant(splat.type, list(range(self.length)))
        return builder.icmp_signed("<", lanes, splat)

    def load_masked(self, builder, pointer, mask):
        kind = ir.FunctionType(
            self.type, [self.type.as_pointer(), ir.IntType(32), mask.type, self.type]
        )
        name = f"llvm.masked.load.v{self.length}{self.suffix}.p0"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        align = ir.Constant(ir.IntType(32), self.align)
        pointer = builder.bitcast(pointer, self.type.as_pointer())
        return builder.call(function, [pointer, align, mask, self.zero])

    def store_masked(self, builder, value, pointer, mask):
        kind = ir.FunctionType(
            _VOID, [self.type, self.type.as_pointer(), ir.IntType(32), mask.type]
        )
        name = f"llvm.masked.store.v{self.length}{self.suffix}.p0"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        align = ir.Constant(ir.IntType(32), self.align)
        pointer = builder.bitcast(pointer, self.type.as_pointer())
        builder.call(function, [value, pointer, align, mask])

    def splat(self, builder, scalar):
        return _Vectors.splat_of(builder, scalar, self.length)

    @staticmethod
    def splat_of(builder, scalar, length):
        undefined = ir.Constant(ir.VectorType(scalar.type, length), ir.Undefined)
        one = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), length), [0] * length)
        return builder.shuffle_vector(one, undefined, mask)

    def shuffle(self, builder, left, right, indices):
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.length), indices)
        return builder.shuffle_vector(left, right, mask)

    def fma(self, builder, a, b, c):
        # fused where the machine has it, multiply and add elsewhere (never a libm call)
        name = f"llvm.fmuladd.v{self.length}{self.suffix}"
        signature = ir.FunctionType(self.type, [self.type] * 3)
        return builder.call(
            cgutils.get_or_insert_function(builder.module, signature, name), [a, b, c]
        )

    def sum(self, builder, vector):
        name = f"llvm.vector.reduce.fadd.v{self.length}{self.suffix}"
        signature = ir.FunctionType(self.real, [self.real, self.type])
        function = cgutils.get_or_insert_function(builder.module, signature, name)
        return builder.call(function, [ir.Constant(self.real, 0.0), vector], fastmath=["reassoc"])


def _prefetch(builder, pointer, nearness=3):
    """Ask for the cache line at an address that need not exist, 3 for the nearest cache."""
    narrow = ir.IntType(32)
    kind = ir.FunctionType(_VOID, [pointer.type, narrow, narrow, narrow])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [pointer, *(ir.Constant(narrow, n) for n in (0, nearness, 1))])


class _Ahead:
    """What a tile asks for while it computes: one address for every step k.

    That is ``start + (k & mask) fine + (k >> shift) coarse``.
    """

    def __init__(self, start, mask, fine, shift, coarse):
        self.start, self.mask, self.fine = start, mask, fine
        self.shift, self.coarse = shift, coarse

    def fetch(self, builder, k):
        fine = builder.mul(builder.and_(k, self.mask), self.fine)
        coarse = builder.mul(builder.lshr(k, self.shift), self.coarse)
        _prefetch(builder, builder.gep(self.start, [builder.add(fine, coarse)]))


# How the sums of a tile begin.
_ZERO, _BIAS, _SUM = range(3)


def _emit_tile(module, real, length, rows, vectors, fetching):
    """Emit (once) the tile of `rows` x `vectors` and return its LLVM function.

    Arguments: a, a_row, a_k, b, b_k, c, c_row, k, bias, begin, tail and those of `_Ahead`;
    strides and counts in elements; `begin` tells what the sums begin with: zero, the bias or
    C; `tail` is the number of valid lanes of the last vector.
    """
    v = _Vectors(real, length)
    pointer = real.as_pointer()
    name = f"nnjit_tile_{v.suffix}x{length}_{rows}x{vectors}"
    function, new = _function(
        module,
        name,
        [pointer, _I, _I, pointer, _I, pointer, _I, _I, pointer, _I, _I, pointer, *[_I] * 4],
    )
    if not new:
        return function
    a, a_row, a_k, b, b_k, c, c_row, depth, bias, begin, tail, *ahead = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    a_rows = [builder.gep(a, [builder.mul(a_row, _index(i))]) for i in range(rows)]
    places = [
        builder.gep(c, [builder.add(builder.mul(c_row, _index(i)), _index(j * length))])
        for i in range(rows)
        for j in range(vectors)
    ]
    tail = _Tail(builder, v, tail, vectors)
    start = _tile_start(builder, v, bias, begin, places, tail)
    ahead = _Ahead(*ahead) if fetching else None
    sums = _tile_loop(builder, v, a_rows, a_k, b, b_k, depth, start, vectors, ahead)
    _tile_store(builder, v, sums, places, tail)
    builder.ret_void()
    return function


class _Tail:
    """The last vector of every row, of which not all lanes may be valid."""

    def __init__(self, builder, v, count, vectors):
        self.mask = v.mask(builder, count)
        self.whole = builder.icmp_signed("==", count, _index(v.length))
        self._vectors = vectors

    def has(self, number):
        """Whether the vector of this number, in row order, is the last of its row."""
        return number % self._vectors == self._vectors - 1


def _tile_start(builder, v, bias, begin, places, tail):
    """Start vectors in row order: zeros, the row's bias, or what C holds."""
    vectors = tail._vectors
    entry = builder.block
    from_bias, from_c, ready = (builder.append_basic_block(name) for name in ("bias", "c", "go"))
    switch = builder.switch(begin, ready)
    switch.add_case(_index(_BIAS), from_bias)
    switch.add_case(_index(_SUM), from_c)
    builder.position_at_end(from_bias)
    rows = len(places) // vectors
    biases = [v.splat(builder, builder.load(builder.gep(bias, [_index(i)]))) for i in range(rows)]
    builder.branch(ready)
    builder.position_at_end(from_c)
    sums = [
        v.load_masked(builder, place, tail.mask) if tail.has(n) else v.load(builder, place)
        for n, place in enumerate(places)
    ]
    builder.branch(ready)
    builder.position_at_end(ready)
    start = []
    for n, value in enumerate(sums):
        phi = builder.phi(v.type)
        phi.add_incoming(v.zero, entry)
        phi.add_incoming(biases[n // vectors], from_bias)
        phi.add_incoming(value, from_c)
        start.append(phi)
    return start


def _tile_loop(builder, v, a_rows, a_k, b, b_k, depth, initial, vectors, ahead):
    """The loop over k; returns rows x vectors sums in row order."""
    before = builder.block
    body = builder.append_basic_block("k")
    after = builder.append_basic_block("store")
    builder.cbranch(builder.icmp_signed(">", depth, _index(0)), body, after)
    builder.position_at_end(body)
    k = builder.phi(_I)
    a_offset = builder.phi(_I)
    b_row = builder.phi(b.type)
    sums = [builder.phi(v.type) for _ in initial]
    columns = [v.load(builder, builder.gep(b_row, [_index(j * v.length)])) for j in range(vectors)]
    if ahead is not None:
        ahead.fetch(builder, k)
    results = []
    for i, row in enumerate(a_rows):
        scalar = v.splat(builder, builder.load(builder.gep(row, [a_offset])))
        for j in range(vectors):
            results.append(v.fma(builder, scalar, columns[j], sums[i * vectors + j]))
    k_next = builder.add(k, _index(1))
    for phi, first, later in [
        (k, _index(0), k_next),
        (a_offset, _index(0), builder.add(a_offset, a_k)),
        (b_row, b, builder.gep(b_row, [b_k])),
        *zip(sums, initial, results, strict=True),
    ]:
        phi.add_incoming(first, before)
        phi.add_incoming(later, body)
    builder.cbranch(builder.icmp_signed("<", k_next, depth), body, after)
    builder.position_at_end(after)
    final = []
    for first, later in zip(initial, results, strict=True):
        phi = builder.phi(v.type)
        phi.add_incoming(first, before)
        phi.add_incoming(later, body)
        final.append(phi)
    return final


def _tile_store(builder, v, sums, places, tail):
    """Write the sums; of a last vector that is not whole, the valid lanes."""
    with builder.if_else(tail.whole) as (whole, partial):
        with whole:
            for value, place in zip(sums, places, strict=True):
                v.store(builder, value, place)
        with partial:
            for n, (value, place) in enumerate(zip(sums, places, strict=True)):
                if tail.has(n):
                    v.store_masked(builder, value, place, tail.mask)
                else:
                    v.store(builder, value, place)


def _emit_dot(module, real, length, rows, columns):
    """Emit (once) rows x columns dot products of padded vectors.

    Arguments: a, a_row, b, b_row, vectors, c, c_row, accumulate.
    """
    v = _Vectors(real, length)
    pointer = real.as_pointer()
    name = f"nnjit_dot_{v.suffix}x{length}_{rows}x{columns}"
    function, new = _function(module, name, [pointer, _I, pointer, _I, _I, pointer, _I, _I])
    if not new:
        return function
    a, a_row, b, b_row, count, c, c_row, accumulate = function.args
    before = function.append_basic_block("entry")
    body = function.append_basic_block("n")
    after = function.append_basic_block("store")
    builder = ir.IRBuilder(before)
    a_rows = [builder.gep(a, [builder.mul(a_row, _index(i))]) for i in range(rows)]
    b_rows = [builder.gep(b, [builder.mul(b_row, _index(j))]) for j in range(columns)]
    builder.branch(body)
    builder.position_at_end(body)
    n = builder.phi(_I)
    sums = [builder.phi(v.type) for _ in range(rows * columns)]
    offset = builder.mul(n, _index(length))
    left = [v.load(builder, builder.gep(row, [offset])) for row in a_rows]
    right = [v.load(builder, builder.gep(row, [offset])) for row in b_rows]
    results = [
        v.fma(builder, left[i], right[j], sums[i * columns + j])
        for i in range(rows)
        for j in range(columns)
    ]
    n_next = builder.add(n, _index(1))
    for phi, first, later in [(n, _index(0), n_next)] + [
        (phi, v.zero, result) for phi, result in zip(sums, results, strict=True)
    ]:
        phi.add_incoming(first, before)
        phi.add_incoming(later, body)
    builder.cbranch(builder.icmp_signed("<", n_next, count), body, after)
    builder.position_at_end(after)
    adding = builder.icmp_signed("!=", accumulate, _index(0))
    for i in range(rows):
        for j in range(columns):
            total = v.sum(builder, results[i * columns + j])
            element = builder.gep(c, [builder.add(builder.mul(c_row, _index(i)), _index(j))])
            with builder.if_else(adding) as (add, overwrite):
                with add:
                    builder.store(builder.fadd(builder.load(element), total), element)
                with overwrite:
                    builder.store(total, element)
    builder.ret_void()
    return function


def _emit_transpose(module, real, length):
    """Emit (once) the transpose of a length x length block.

    Arguments: source, index, use_index, row, last_row, stride, column, target,
    target_stride. Source row i is ``row + i``, clamped to `last_row` and then taken through
    `index` if `use_index`; target row j is the block's column j.
    """
    v = _Vectors(real, length)
    pointer = real.as_pointer()
    name = f"nnjit_transpose_{v.suffix}x{length}"
    function, new = _function(
        module, name, [pointer, _I.as_pointer(), _I, _I, _I, _I, _I, pointer, _I]
    )
    if not new:
        return function
    source, index, use_index, row, last, stride, column, target, target_stride = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    indexed = builder.icmp_signed("!=", use_index, _index(0))
    block = []
    for i in range(length):
        number = _clamped(builder, builder.add(row, _index(i)), last)
        actual = _through(builder, indexed, index, number)
        offset = builder.add(builder.mul(actual, stride), column)
        block.append(v.load(builder, builder.gep(source, [offset])))
    step = length // 2
    while step:
        upper = [j + length - step if j & step else j for j in range(length)]
        lower = [j + length if j & step else j + step for j in range(length)]
        for i in range(length):
            if not i & step:
                first, second = block[i], block[i + step]
                block[i] = v.shuffle(builder, first, second, upper)
                block[i + step] = v.shuffle(builder, first, second, lower)
        step //= 2
    for j in range(length):
        v.store(builder, block[j], builder.gep(target, [builder.mul(target_stride, _index(j))]))
    builder.ret_void()
    return function


def _heights(tile_rows):
    """The tile's height and its halves down to one."""
    heights = [tile_rows]
    while heights[-1] > 1:
        heights.append(heights[-1] // 2)
    return heights


def _sweep(builder, count, heights, body):
    """Cover `count` rows: as many of the largest height as fit, then each half at most once.

    `body(height, first_row)` emits the work for one group of rows.
    """
    top = heights[0]
    with cgutils.for_range(builder, builder.sdiv(count, _index(top))) as loop:
        body(top, builder.mul(loop.index, _index(top)))
    for height in heights[1:]:
        with builder.if_then(
            builder.icmp_signed("!=", builder.and_(count, _index(height)), _index(0))
        ):
            body(height, builder.and_(count, _index(-2 * height)))


# A product is cut into blocks so that what a tile reads lies in the first-level cache: steps of
# k, for which two vectors of B times so many rows do, and rows of A, which stay in the second.
_K_BLOCK = 224
_ROW_BLOCK = 64
_CACHE_LINE = 64


def emit_product(module, real, length, tile_rows):
    """C = A B + (bias, C or zero) in tiles of up to `tile_rows` x 2 vectors.

    Arguments: m, n, depth, a, a_row, a_k, b, b_k, c, c_row, bias, use_bias, accumulate,
    stream, gap, mask; the last three see `_Stream`.
    """
    v = _Vectors(real, length)
    pointer = real.as_pointer()
    name = f"nnjit_product_{v.suffix}x{length}_{tile_rows}"
    function, new = _function(
        module,
        name,
        [_I, _I, _I, pointer, _I, _I, pointer, _I, pointer, _I, pointer, _I, _I, pointer, _I, _I],
    )
    if not new:
        return function
    m, n, depth, a, a_row, a_k, b, b_k, c, c_row, bias, use_bias, accumulate, *other = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    adding = builder.icmp_signed("!=", accumulate, _index(0))
    first_begin = builder.select(adding, _index(_SUM), use_bias)
    next_rows, stream = _NextRows(builder, m, n, a_row, a_k, v), _Stream(builder, *other, v)

    def tiles(vectors, column, tail, pair, block):
        def row_group(height, row):
            tile = _emit_tile(module, real, length, height, vectors, height == tile_rows)
            source = builder.gep(block.a, [builder.mul(row, a_row)])
            target = builder.gep(block.c, [builder.add(builder.mul(row, c_row), column)])
            ahead = stream.or_else(builder, next_rows.of(builder, source, height, pair, block))
            builder.call(
                tile,
                [source, a_row, a_k, builder.gep(block.b, [column]), b_k, target, c_row,
                 block.steps, builder.gep(block.bias, [row]), block.begin, tail, *ahead],
            )  # fmt: skip
            if height == tile_rows:
                stream.advance(builder, block.steps)

        _sweep(builder, block.rows, _heights(tile_rows), row_group)

    with _blocks(builder, depth, _K_BLOCK) as (k, steps):
        first = builder.icmp_signed("==", k, _index(0))
        begin = builder.select(first, first_begin, _index(_SUM))
        right = builder.gep(b, [builder.mul(k, b_k)])
        with _blocks(builder, m, _ROW_BLOCK) as (row, rows):
            left = builder.gep(a, [builder.add(builder.mul(row, a_row), builder.mul(k, a_k))])
            target = builder.gep(c, [builder.mul(row, c_row)])
            start = builder.gep(bias, [row])
            block = _Block(left, right, target, start, row, rows, steps, begin)
            _columns(builder, n, length, functools.partial(tiles, block=block))
    builder.ret_void()
    return function


class _Block(NamedTuple):
    """One block of a product: pointers to its corner, its sizes, how its sums begin."""

    a: ir.Value
    b: ir.Value
    c: ir.Value
    bias: ir.Value
    row: ir.Value
    rows: ir.Value
    steps: ir.Value
    begin: ir.Value


class _NextRows:
    """The part of A that is asked for ahead, see `_Ahead`.

    Where a row of A lies in one piece, the cache lines of the eight rows below the tile. Where
    A is a transpose, every line of it is on another page and far from the one before: those of
    the next block of rows then, a share of them for each pair of columns, to spread the load.
    """

    def __init__(self, builder, m, n, a_row, a_k, v):
        self._m, self._a_row, self._a_k = m, a_row, a_k
        self._across = builder.icmp_signed("==", a_row, _index(1))
        pairs = builder.sdiv(n, _index(2 * v.length))
        shift = builder.add(
            builder.zext(builder.icmp_signed(">=", pairs, _index(2)), _I),
            builder.zext(builder.icmp_signed(">=", pairs, _index(4)), _I),
        )
        line = _CACHE_LINE // v.align
        self._pattern = [
            builder.select(self._across, _index(0), _index(7)),
            a_row,
            builder.select(self._across, shift, _index(3)),
            builder.select(self._across, a_k, _index(line)),
        ]
        self._shift = shift

    def of(self, builder, source, height, pair, block):
        below = builder.gep(source, [builder.mul(_index(height), self._a_row)])
        share = builder.mul(pair, builder.lshr(block.steps, self._shift))
        # below the last block of rows comes the first one of the next steps
        last = builder.icmp_signed(">=", builder.add(block.row, block.rows), self._m)
        onward = builder.select(
            last, builder.sub(builder.mul(block.steps, self._a_k), block.row), block.rows
        )
        next_block = builder.gep(source, [builder.add(onward, builder.mul(share, self._a_k))])
        return [builder.select(self._across, next_block, below), *self._pattern]


class _Stream:
    """Other memory asked for ahead, see `_Ahead`: what the caller works on next.

    `mask` + 1 arrays (1, 2 or 4), `gap` elements apart, line by line over all tiles; with a
    mask of -1 there is none.
    """

    def __init__(self, builder, start, gap, mask, v):
        self._start, self._gap, self._mask = start, gap, mask
        self._line = _index(_CACHE_LINE // v.align)
        self._given = builder.icmp_signed(">=", mask, _index(0))
        # 0, 1, 3 -> 0, 1, 2
        self._shift = builder.sub(mask, builder.lshr(mask, _index(1)))
        self._position = builder.alloca(_I)
        builder.store(_index(0), self._position)

    def or_else(self, builder, pattern):
        """The arguments for the next tile; `pattern` if there is no stream."""
        place = builder.mul(builder.load(self._position), self._line)
        own = [
            builder.gep(self._start, [place]), self._mask, self._gap, self._shift, self._line
        ]  # fmt: skip
        return [builder.select(self._given, *pair) for pair in zip(own, pattern, strict=True)]

    def advance(self, builder, steps):
        """Go on after a tile of so many steps."""
        lines = builder.lshr(steps, builder.and_(self._shift, _index(63)))
        position = builder.add(builder.load(self._position), lines)
        builder.store(position, self._position)


@contextlib.contextmanager
def _blocks(builder, count, most):
    """Loop over equal blocks of at most `most`; yields the first index and the length.

    A count of 0 is one empty block.
    """
    blocks = builder.sdiv(builder.add(count, _index(most - 1)), _index(most))
    blocks = builder.select(builder.icmp_signed(">", blocks, _index(1)), blocks, _index(1))
    size = builder.sdiv(builder.sub(builder.add(count, blocks), _index(1)), blocks)
    size = builder.and_(builder.add(size, _index(7)), _index(-8))  # whole tiles
    with cgutils.for_range(builder, blocks) as loop:
        first = builder.mul(loop.index, size)
        left = builder.sub(count, first)
        yield first, builder.select(builder.icmp_signed("<", left, size), left, size)


def _columns(builder, n, length, body):
    """Cover n columns by pairs of vectors and at most one single vector.

    `body(vectors, column, tail, pair)` is given the number of the pair too.
    """
    width, two = _index(length), _index(2 * length)
    pairs = builder.sdiv(builder.add(n, _index(length - 1)), two)
    with cgutils.for_range(builder, pairs) as loop:
        column = builder.mul(loop.index, two)
        left = builder.sub(builder.sub(n, column), width)
        body(
            2,
            column,
            builder.select(builder.icmp_signed("<", left, width), left, width),
            loop.index,
        )
    column = builder.mul(pairs, two)
    with builder.if_then(builder.icmp_signed("<", column, n)):
        body(1, column, builder.sub(n, column), pairs)


def emit_outer_product(module, real, length):
    """C = a b^T by whole vectors, but for its diagonal d; addresses only rise.

    Arguments: rows, vectors, a, b, d, c, c_row.
    """
    v = _Vectors(real, length)
    pointer = real.as_pointer()
    name = f"nnjit_outer_{v.suffix}x{length}"
    function, new = _function(module, name, [_I, _I, *[pointer] * 4, _I])
    if not new:
        return function
    rows, vectors, a, b, d, c, c_row = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    with builder.if_else(builder.icmp_signed("==", vectors, _index(1))) as (one, several):
        with one:
            _emit_short_outer(builder, v, rows, a, b, d, c, c_row)
        with several, cgutils.for_range(builder, rows) as row:
            factor = v.splat(builder, builder.load(builder.gep(a, [row.index])))
            line = builder.gep(c, [builder.mul(row.index, c_row)])
            with cgutils.for_range(builder, vectors) as vector:
                offset = builder.mul(vector.index, _index(length))
                value = builder.fmul(factor, v.load(builder, builder.gep(b, [offset])))
                v.store(builder, value, builder.gep(line, [offset]))
            value = builder.load(builder.gep(d, [row.index]))
            builder.store(value, builder.gep(line, [row.index]))
    builder.ret_void()
    return function


def _emit_short_outer(builder, v, rows, a, b, d, c, c_row):
    """The outer product where a row is one vector: stored once, its diagonal in it."""
    right, diagonal = v.load(builder, b), v.load(builder, d)
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), v.length), list(range(v.length)))
    with cgutils.for_range(builder, rows) as row:
        factor = v.splat(builder, builder.load(builder.gep(a, [row.index])))
        number = builder.trunc(row.index, ir.IntType(32))
        here = builder.icmp_signed("==", lanes, v.splat(builder, number))
        value = builder.select(here, diagonal, builder.fmul(factor, right))
        v.store(builder, value, builder.gep(c, [builder.mul(row.index, c_row)]))


def emit_dot_product(module, real, length):
    """C = [C +] A B^T in blocks of up to 4 x 4 dot products.

    Arguments: m, n, vectors, a, a_row, b, b_row, c, c_row, accumulate.
    """
    pointer = real.as_pointer()
    name = f"nnjit_dots_{_Vectors(real, length).suffix}x{length}"
    function, new = _function(module, name, [_I, _I, _I, pointer, _I, pointer, _I, pointer, _I, _I])
    if not new:
        return function
    m, n, vectors, a, a_row, b, b_row, c, c_row, accumulate = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))

    def rows(height, row):
        def columns(width, column):
            dot = _emit_dot(module, real, length, height, width)
            left = builder.gep(a, [builder.mul(row, a_row)])
            right = builder.gep(b, [builder.mul(column, b_row)])
            target = builder.gep(c, [builder.add(builder.mul(row, c_row), column)])
            builder.call(dot, [left, a_row, right, b_row, vectors, target, c_row, accumulate])

        _sweep(builder, n, [4, 2, 1], columns)

    _sweep(builder, m, [4, 2, 1], rows)
    builder.ret_void()
    return function


def emit_transpose_into(module, real, length):
    """target[j, i] = source[index[i], j] in square blocks, the last columns one by one.

    Rows taken through an index are asked for one block ahead: no two of them lie together.
    Arguments: rows, columns, source, stride, index, use_index, target, target_stride.
    """
    pointer = real.as_pointer()
    name = f"nnjit_transpose_into_{_Vectors(real, length).suffix}x{length}"
    function, new = _function(module, name, [_I, _I, pointer, _I, _I.as_pointer(), _I, pointer, _I])
    if not new:
        return function
    rows, columns, source, stride, index, use_index, target, target_stride = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    square = _emit_transpose(module, real, length)
    last = builder.sub(rows, _index(1))
    indexed = builder.icmp_signed("!=", use_index, _index(0))
    blocks = builder.sdiv(builder.add(rows, _index(length - 1)), _index(length))
    with cgutils.for_range(builder, blocks) as down:  # few rows at a time, read from end to end
        row = builder.mul(down.index, _index(length))
        below = builder.add(row, _index(length))
        scattered = builder.and_(indexed, builder.icmp_signed("<=", below, last))
        with cgutils.for_range(builder, builder.sdiv(columns, _index(length))) as across:
            column = builder.mul(across.index, _index(length))
            place = builder.gep(target, [builder.add(builder.mul(column, target_stride), row)])
            with builder.if_then(scattered):
                for i in range(length):
                    number = _clamped(builder, builder.add(below, _index(i)), last)
                    line = builder.mul(builder.load(builder.gep(index, [number])), stride)
                    _prefetch(builder, builder.gep(source, [builder.add(line, column)]), 2)
            builder.call(
                square,
                [source, index, use_index, row, last, stride, column, place, target_stride],
            )
    first = builder.and_(columns, _index(-length))
    with cgutils.for_range(builder, builder.mul(blocks, _index(length))) as row:
        number = _clamped(builder, row.index, last)
        line = builder.gep(source, [builder.mul(_through(builder, indexed, index, number), stride)])
        with cgutils.for_range(builder, builder.sub(columns, first)) as rest:
            column = builder.add(first, rest.index)
            place = builder.add(builder.mul(column, target_stride), row.index)
            value = builder.load(builder.gep(line, [column]))
            builder.store(value, builder.gep(target, [place]))
    builder.ret_void()
    return function


def _clamped(builder, number, last):
    return builder.select(builder.icmp_signed("<", number, last), number, last)


def _through(builder, indexed, index, number):
    """`index[number]` if indexed, else `number`."""
    entry = builder.block
    with builder.if_then(indexed):
        loaded = builder.load(builder.gep(index, [number]))
        taken = builder.block
    actual = builder.phi(_I)
    actual.add_incoming(number, entry)
    actual.add_incoming(loaded, taken)
    return actual
