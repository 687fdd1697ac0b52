"""The product whose columns of A and rows of B are found through a table."""

import contextlib

from llvmlite import ir

from nnjit.core.simd.product import ROW_BLOCK, blocks, columns, ends_of
from nnjit.core.simd.tile import Ends, emit_sums
from nnjit.core.simd.vectors import (
    CACHE_LINE,
    I64,
    Vectors,
    counted,
    cover,
    declare,
    integer,
    prefetch,
    smaller,
)

__all__ = ["ARGUMENTS", "K_BLOCK", "N_BLOCK", "emit_gathered_product"]

# Shorter than those of the product: rows of B lie apart, and two threads may share the cache.
K_BLOCK = 112

# As many vectors of columns at a time: where k comes in several blocks, C stays in the
# second-level cache from one to the next.
N_BLOCK = 32

# Rows of A are packed where a block of them would crowd the first-level cache (bytes) and so many
# vectors of columns make up for the copy.
_PACKED_BYTES = 1 << 14
_PACKED_VECTORS = 8


# those of `emit_gathered_product`
ARGUMENTS = "iiipiipxipiipii"


def emit_gathered_product(module, name, real, length, tile_rows):
    """C = epilogue(prologue + A B) in tiles of up to `tile_rows` x 2 vectors.

    Arguments: m, n, depth, a, a_row, (a_k, not used), b, taps, scale, c, c_row, prologue, bias,
    epilogue, mask; for the taps see `_Taps`, for the last four `emit_tile`.
    """
    function, new = declare(module, name, real, ARGUMENTS)
    if not new:
        return function
    m, n, depth, a, a_row, _, b, taps, scale, c, c_row, *given = function.args
    prologue, bias, epilogue, mask = given
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    packed = _Packed(builder, module, real, length, tile_rows)
    block = _emit_block(module, real, length, tile_rows)
    with (
        _slices(builder, n, N_BLOCK * length) as (column, width),
        blocks(builder, depth, K_BLOCK) as (k, steps),
        blocks(builder, m, ROW_BLOCK) as (row, rows),
    ):
        begin, end = ends_of(builder, k, steps, depth, prologue, epilogue)
        source = builder.gep(a, [builder.mul(row, a_row)])
        table = builder.gep(taps, [builder.mul(k, integer(2))])
        left = packed.of(builder, rows, width, steps, source, a_row, table, scale)
        right = builder.gep(b, [column])
        target = builder.gep(c, [builder.add(builder.mul(row, c_row), column)])
        start = builder.gep(bias, [row])
        builder.call(
            block, [rows, width, steps, *left, right, target, c_row, begin, start, end, mask]
        )
    builder.ret_void()
    return function


@contextlib.contextmanager
def _slices(builder, count, size):
    """Loop over slices of `size`, the last one what is left; yields the first index and length."""
    whole = builder.sdiv(builder.add(count, integer(size - 1)), integer(size))
    with counted(builder, whole) as loop:
        first = builder.mul(loop, integer(size))
        yield first, smaller(builder, builder.sub(count, first), integer(size))


class _Packed:
    """A block of A as a tile reads it: one step's rows together, then those of the next.

    Rows that lie together in one long column after another (those of the filters' matrix) take a
    cache line of their own in every step, of which a tile uses a part.
    """

    def __init__(self, builder, module, real, length, tile_rows):
        self._pack = _emit_pack(module, real, tile_rows)
        self._size, self._length, self._rows = Vectors.size_of(real), length, tile_rows
        self._panels = builder.alloca(real, integer(ROW_BLOCK * K_BLOCK), "panels")
        self._table = builder.alloca(I64, integer(2 * K_BLOCK), "table")

    def of(self, builder, rows, n, steps, a, a_row, taps, scale):
        """Where tiles find A: a, elements to the next tile's rows, a_row, and table and scale."""
        long = integer(_PACKED_BYTES // self._size)
        worth = builder.and_(
            builder.icmp_signed("==", a_row, integer(1)),
            builder.and_(
                builder.icmp_signed(">=", builder.mul(rows, steps), long),
                builder.icmp_signed(">=", n, integer(_PACKED_VECTORS * self._length)),
            ),
        )
        with builder.if_then(worth):
            builder.call(self._pack, [rows, steps, a, taps, scale, self._panels, self._table])
        group = builder.mul(a_row, integer(self._rows))
        panel = builder.mul(steps, integer(self._rows))
        return [
            builder.select(worth, packed, plain)
            for packed, plain in [
                (self._panels, a),
                (panel, group),
                (integer(1), a_row),
                (self._table, taps),
                (integer(1), scale),
            ]
        ]


def _emit_pack(module, real, tile_rows):
    """Copy rows of A, which lie together, to panels of `tile_rows`, and write the table of those.

    Arguments: rows, steps, a, taps, scale, panels, table.
    """
    v = Vectors(real, tile_rows)
    function, new = declare(module, f"nnjit_pack_{v.suffix}x{tile_rows}", real, "iipxipx")
    if not new:
        return function
    rows, steps, a, taps, scale, panels, table = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    whole = builder.sdiv(rows, integer(tile_rows))
    first = builder.mul(whole, integer(tile_rows))
    size = builder.mul(steps, integer(tile_rows))
    with counted(builder, steps) as k:
        even, lanes = builder.mul(k, integer(2)), builder.mul(k, integer(tile_rows))
        odd = builder.add(even, integer(1))
        column = builder.gep(a, [builder.load(builder.gep(taps, [even]))])
        row = builder.mul(builder.load(builder.gep(taps, [odd])), scale)
        builder.store(lanes, builder.gep(table, [even]))
        builder.store(row, builder.gep(table, [odd]))
        with counted(builder, whole) as panel:
            place = builder.gep(panels, [builder.add(builder.mul(panel, size), lanes)])
            source = builder.gep(column, [builder.mul(panel, integer(tile_rows))])
            v.store(builder, v.load(builder, source), place)
        place = builder.gep(panels, [builder.add(builder.mul(whole, size), lanes)])
        with counted(builder, builder.sub(rows, first)) as rest:
            value = builder.load(builder.gep(column, [builder.add(first, rest)]))
            builder.store(value, builder.gep(place, [rest]))
    builder.ret_void()
    return function


def _emit_block(module, real, length, tile_rows):
    """Emit (once) the tiles of one block.

    Arguments: rows, n, steps, a, a_group, a_row, taps, scale, b, c, c_row, prologue, bias,
    epilogue, mask; `a_group` elements lie between the rows of one tile and of the next.
    """
    v = Vectors(real, length)
    name = f"nnjit_gathered_block_{v.suffix}x{length}"
    function, new = declare(module, name, real, "iiipiixippiipii")
    if not new:
        return function
    rows, n, steps, a, a_group, a_row, taps, scale, b, c, c_row, *given = function.args
    prologue, bias, epilogue, mask = given
    builder = ir.IRBuilder(function.append_basic_block("entry"))

    def ahead(row):
        """From B's row to what a tile asks for: a line of the next columns, or what it reads."""
        place = builder.mul(builder.sdiv(row, integer(tile_rows)), integer(CACHE_LINE // v.align))
        pair = integer(2 * length)
        there = builder.icmp_signed("<", place, pair)
        return builder.select(there, builder.add(pair, place), integer(0))

    def tiles(vectors, column, tail, pair):
        def row_group(height, row):
            tile = _emit_tile(module, real, length, height, vectors, height == tile_rows)
            group = builder.mul(builder.sdiv(row, integer(tile_rows)), a_group)
            lane = builder.mul(builder.and_(row, integer(tile_rows - 1)), a_row)
            source = builder.gep(a, [builder.add(group, lane)])
            target = builder.gep(c, [builder.add(builder.mul(row, c_row), column)])
            builder.call(
                tile,
                [source, a_row, builder.gep(b, [column]), taps, scale, target, c_row, steps,
                 ahead(row), prologue, builder.gep(bias, [row]), tail, epilogue, mask],
            )  # fmt: skip

        cover(builder, rows, _HEIGHTS[tile_rows], row_group)

    columns(builder, n, length, tiles)
    builder.ret_void()
    return function


# Sums of fewer than eight vectors wait for one another. Six rows are what a first layer may have.
_HEIGHTS = {8: [8, 6, 4, 2, 1], 4: [4, 2, 1]}


def _emit_tile(module, real, length, rows, vectors, fetching):
    """Emit (once) the tile of `rows` x `vectors` and return its LLVM function.

    Arguments: a, a_row, b, taps, scale, c, c_row, k, ahead and the members of `Ends`.
    """
    v = Vectors(real, length)
    name = f"nnjit_gathered_tile_{v.suffix}x{length}_{rows}x{vectors}"
    function, new = declare(module, name, real, "pipxipiiiipiii")
    if not new:
        return function
    a, a_row, b, taps, scale, c, c_row, depth, ahead, *ends = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    steps = _Taps(b, taps, scale, ahead if fetching else None)
    emit_sums(builder, v, (rows, vectors), a, a_row, c, c_row, depth, steps, Ends(*ends))
    builder.ret_void()
    return function


class _Taps:
    """Two integers for each step: elements to the column of A, and, times `scale`, to B's row.

    What lies `ahead` elements behind the row is prefetched.
    """

    def __init__(self, b, taps, scale, ahead):
        self._b, self._taps, self._scale, self._ahead = b, taps, scale, ahead

    def phis(self, builder):
        pass

    def places(self, builder, k):
        tap = builder.gep(self._taps, [builder.mul(k, integer(2))])
        place = builder.mul(builder.load(builder.gep(tap, [integer(1)])), self._scale)
        row = builder.gep(self._b, [place])
        if self._ahead is not None:
            prefetch(builder, builder.gep(row, [self._ahead]))
        return builder.load(tap), row

    def following(self, builder):
        return []
