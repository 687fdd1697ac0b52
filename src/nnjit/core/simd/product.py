"""The matrix product: tiles over blocks that fit the caches, and what is prefetched."""

import contextlib
import functools
from typing import NamedTuple

from llvmlite import ir

from nnjit.core.simd.tile import FROM_C, PLAIN, emit_tile
from nnjit.core.simd.vectors import (
    CACHE_LINE,
    I64,
    Vectors,
    counted,
    declare,
    heights,
    integer,
    sweep,
)

__all__ = ["ARGUMENTS", "ROW_BLOCK", "blocks", "columns", "emit_product", "ends_of"]

# A product is cut into blocks so that what a tile reads lies in the first-level cache: steps of
# k, for which two vectors of B times so many rows do, and rows of A, which stay in the second.
_K_BLOCK = 224
ROW_BLOCK = 64


# those of `emit_product`
ARGUMENTS = "iiipiipipiipiipiii"


def emit_product(module, name, real, length, tile_rows):
    """C = epilogue(prologue + A B) in tiles of up to `tile_rows` x 2 vectors.

    Arguments: m, n, depth, a, a_row, a_k, b, b_row, c, c_row, prologue, bias, epilogue, mask, and
    those of `_Requested`; for prologue, epilogue and mask see `emit_tile`.
    """
    v = Vectors(real, length)
    function, new = declare(module, name, real, ARGUMENTS)
    if not new:
        return function
    m, n, depth, a, a_row, a_k, b, b_row, c, c_row, prologue, bias, *rest = function.args
    epilogue, mask, *wanted = rest
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    next_rows, requested = _NextRows(builder, m, n, a_row, a_k, v), _Requested(builder, *wanted, v)

    def tiles(vectors, column, tail, pair, block):
        def row_group(height, row):
            tile = emit_tile(module, real, length, height, vectors, height == tile_rows)
            source = builder.gep(block.a, [builder.mul(row, a_row)])
            target = builder.gep(block.c, [builder.add(builder.mul(row, c_row), column)])
            pattern = requested.or_else(builder, next_rows.of(builder, source, height, pair, block))
            builder.call(
                tile,
                [source, a_row, a_k, builder.gep(block.b, [column]), b_row, target, c_row,
                 block.steps, block.prologue, builder.gep(block.bias, [row]), tail, block.epilogue,
                 mask, *pattern],
            )  # fmt: skip
            if height == tile_rows:
                requested.advance(builder, block.steps)

        sweep(builder, block.rows, heights(tile_rows), row_group)

    with blocks(builder, depth, _K_BLOCK) as (k, steps):
        begin, end = ends_of(builder, k, steps, depth, prologue, epilogue)
        right = builder.gep(b, [builder.mul(k, b_row)])
        with blocks(builder, m, ROW_BLOCK) as (row, rows):
            left = builder.gep(a, [builder.add(builder.mul(row, a_row), builder.mul(k, a_k))])
            target = builder.gep(c, [builder.mul(row, c_row)])
            start = builder.gep(bias, [row])
            block = _Block(left, right, target, start, row, rows, steps, begin, end)
            columns(builder, n, length, functools.partial(tiles, block=block))
    builder.ret_void()
    return function


class _Block(NamedTuple):
    """One block of a product: pointers to its corner, its sizes, and what tiles do there."""

    a: ir.Value
    b: ir.Value
    c: ir.Value
    bias: ir.Value
    row: ir.Value
    rows: ir.Value
    steps: ir.Value
    prologue: ir.Value
    epilogue: ir.Value


class _NextRows:
    """The part of A that is prefetched, see tile.py.

    Where a row of A lies in one piece, the cache lines of the eight rows below the tile. Where
    A is a transpose, every line of it is on another page and far from the one before: those of
    the next block of rows then, a share of them for each pair of columns, to spread the load.
    """

    def __init__(self, builder, m, n, a_row, a_k, v):
        self._m, self._a_row, self._a_k = m, a_row, a_k
        self._across = builder.icmp_signed("==", a_row, integer(1))
        pairs = builder.sdiv(n, integer(2 * v.length))
        shift = builder.add(
            builder.zext(builder.icmp_signed(">=", pairs, integer(2)), I64),
            builder.zext(builder.icmp_signed(">=", pairs, integer(4)), I64),
        )
        line = CACHE_LINE // v.align
        self._pattern = [
            builder.select(self._across, integer(0), integer(7)),
            a_row,
            builder.select(self._across, shift, integer(3)),
            builder.select(self._across, a_k, integer(line)),
        ]
        self._shift = shift

    def of(self, builder, source, height, pair, block):
        below = builder.gep(source, [builder.mul(integer(height), self._a_row)])
        share = builder.mul(pair, builder.lshr(block.steps, self._shift))
        # below the last block of rows comes the first one of the next steps
        last = builder.icmp_signed(">=", builder.add(block.row, block.rows), self._m)
        onward = builder.select(
            last, builder.sub(builder.mul(block.steps, self._a_k), block.row), block.rows
        )
        next_block = builder.gep(source, [builder.add(onward, builder.mul(share, self._a_k))])
        return [builder.select(self._across, next_block, below), *self._pattern]


class _Requested:
    """Other memory that is prefetched, see tile.py: what the caller works on next.

    `length` elements of 1, 2 or 4 `arrays`, `gap` elements apart, line by line over the tiles
    until there are no more.
    """

    def __init__(self, builder, start, length, gap, arrays, v):
        self._start, self._gap = start, gap
        self._low = builder.sub(arrays, integer(1))
        line = CACHE_LINE // v.align
        self._line = integer(line)
        self._lines = builder.sdiv(builder.add(length, integer(line - 1)), self._line)
        self._shift = builder.lshr(arrays, integer(1))
        self._position = builder.alloca(I64)
        builder.store(integer(0), self._position)

    def or_else(self, builder, pattern):
        """The pattern for the next tile; the given one if there are no more."""
        position = builder.load(self._position)
        flowing = builder.icmp_signed("<", position, self._lines)
        place = builder.mul(position, self._line)
        own = [
            builder.gep(self._start, [place]), self._low, self._gap, self._shift, self._line
        ]  # fmt: skip
        return [builder.select(flowing, *pair) for pair in zip(own, pattern, strict=True)]

    def advance(self, builder, steps):
        """Go on after a tile of so many steps."""
        lines = builder.lshr(steps, builder.and_(self._shift, integer(63)))
        position = builder.add(builder.load(self._position), lines)
        builder.store(position, self._position)


def ends_of(builder, k, steps, depth, prologue, epilogue):
    """Prologue and epilogue of one block of k: those given are of the first and of the last."""
    first = builder.icmp_signed("==", k, integer(0))
    last = builder.icmp_signed("==", builder.add(k, steps), depth)
    return (
        builder.select(first, prologue, integer(FROM_C)),
        builder.select(last, epilogue, integer(PLAIN)),
    )


@contextlib.contextmanager
def blocks(builder, count, most):
    """Loop over equal blocks of at most `most`; yields the first index and the length.

    A count of 0 is one empty block.
    """
    number = builder.sdiv(builder.add(count, integer(most - 1)), integer(most))
    number = builder.select(builder.icmp_signed(">", number, integer(1)), number, integer(1))
    size = builder.sdiv(builder.sub(builder.add(count, number), integer(1)), number)
    size = builder.and_(builder.add(size, integer(7)), integer(-8))  # whole tiles
    with counted(builder, number) as loop:
        first = builder.mul(loop, size)
        left = builder.sub(count, first)
        yield first, builder.select(builder.icmp_signed("<", left, size), left, size)


def columns(builder, n, length, body):
    """Cover n columns by pairs of vectors and at most one single vector.

    `body(vectors, column, tail, pair)` is given the number of the pair too.
    """
    width, two = integer(length), integer(2 * length)
    pairs = builder.sdiv(builder.add(n, integer(length - 1)), two)
    with counted(builder, pairs) as loop:
        column = builder.mul(loop, two)
        left = builder.sub(builder.sub(n, column), width)
        body(
            2,
            column,
            builder.select(builder.icmp_signed("<", left, width), left, width),
            loop,
        )
    column = builder.mul(pairs, two)
    with builder.if_then(builder.icmp_signed("<", column, n)):
        body(1, column, builder.sub(n, column), pairs)
