"""Dot products over pieces of rows that a table tells."""

import contextlib

from llvmlite import ir

from nnjit.core.simd.vectors import (
    I64,
    Vectors,
    counted,
    cover,
    declare,
    integer,
    larger,
    smaller,
)

__all__ = ["ARGUMENTS", "emit_gathered_dot"]

# Segments are cut, or taken together, to about so many bytes of a row: of a tile's rows that is
# what stays in the first-level cache, and of all rows what stays in the second.
_PIECE_BYTES = 4096


# those of `emit_gathered_dot`
ARGUMENTS = "iixiipipipii"


def emit_gathered_dot(module, name, real, length, tile_rows):
    """C[i, j] = [C +] sum over segments of A[i, there] B[j, there], in blocks of dot products.

    Arguments: m, n, segments, count, scale, a, a_row, b, b_row, c, c_row, accumulate. A segment is
    three integers, all times `scale`: its start in the rows of A and of B, and its length.
    """
    function, new = declare(module, name, real, ARGUMENTS)
    if not new:
        return function
    m, n, segments, count, scale, a, a_row, b, b_row, c, c_row, accumulate = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    v = Vectors(real, length)
    sums = builder.alloca(real, integer(_MOST_SUMS * length), "sums")
    with _pieces(builder, v, segments, count, scale) as (first, piece):
        adding = builder.select(first, accumulate, integer(1))

        def rows(height, row):
            def columns(width, column):
                left = builder.gep(a, [builder.mul(row, a_row)])
                right = builder.gep(b, [builder.mul(column, b_row)])
                dots = _emit_dots(module, v, height, width)
                builder.call(dots, [*piece, scale, left, a_row, right, b_row, sums])
                totals = _emit_totals(module, v, width)
                target = builder.gep(c, [builder.add(builder.mul(row, c_row), column)])
                builder.call(totals, [integer(height), sums, target, c_row, adding])

            cover(builder, n, _widths(tile_rows, height), columns)

        cover(builder, m, _heights(tile_rows), rows)
    builder.ret_void()
    return function


# rows x columns sums, the vectors of B and one of A must fit the registers: 32 of them where a
# tile of the product has 8 rows, else 16.
_MOST_SUMS = 24


def _heights(tile_rows):
    return [6, 4, 2, 1] if tile_rows == 8 else [4, 2, 1]


def _widths(tile_rows, height):
    if height == 1:  # bound by the loads, one for the row and one for each column
        return [8, 4, 2, 1]
    return [4, 2, 1] if tile_rows == 8 else [2, 1]


@contextlib.contextmanager
def _pieces(builder, v, segments, count, scale):
    """Loop over several short segments or one piece of a long one at a time; at least once.

    Yields whether it is the first, and (segments, count, skip, most): of each segment `most`
    elements behind the first `skip` count. The first segment's length speaks for all of them.
    """
    size, one = integer(_PIECE_BYTES // v.align), integer(1)
    some = builder.icmp_signed(">", count, integer(0))
    typical = _length_of(builder, segments, integer(0), scale, some)
    together = larger(builder, builder.sdiv(size, larger(builder, typical, one)), one)
    single = builder.icmp_signed("==", together, one)
    with counted(builder, larger(builder, _quotient(builder, count, together), one)) as group:
        start = builder.mul(group, together)
        number = smaller(builder, builder.sub(count, start), together)
        elements = _length_of(builder, segments, start, scale, builder.and_(some, single))
        parts = larger(builder, _quotient(builder, elements, size), one)
        width = _quotient(builder, _quotient(builder, elements, parts), integer(v.length))
        width = builder.mul(width, integer(v.length))
        most = builder.select(single, width, integer(1 << 62))
        here = builder.gep(segments, [builder.mul(start, integer(3))])
        with counted(builder, parts) as part:
            first = builder.icmp_signed("==", builder.or_(group, part), integer(0))
            yield first, (here, number, builder.mul(part, width), most)


def _length_of(builder, segments, number, scale, wanted):
    """Elements of a segment; 0, and nothing is read, where they are not wanted."""
    before = builder.block
    with builder.if_then(wanted):
        place = builder.add(builder.mul(number, integer(3)), integer(2))
        loaded = builder.mul(builder.load(builder.gep(segments, [place])), scale)
        inside = builder.block
    length = builder.phi(I64)
    length.add_incoming(integer(0), before)
    length.add_incoming(loaded, inside)
    return length


def _quotient(builder, number, divisor):
    """Rounded up."""
    return builder.sdiv(builder.add(number, builder.sub(divisor, integer(1))), divisor)


def _emit_dots(module, v, rows, columns):
    """Emit (once) rows x columns dot products over some segments, each a vector of partial sums.

    Arguments: segments, count, skip, most, scale, a, a_row, b, b_row, sums.
    """
    name = f"nnjit_gathered_dots_{v.suffix}x{v.length}_{rows}x{columns}"
    function, new = declare(module, name, v.real, "xiiiipipip")
    if not new:
        return function
    segments, count, skip, most, scale, a, a_row, b, b_row, sums = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    accumulators = _Accumulators(builder, v, rows, columns)
    with counted(builder, count) as number:
        segment = builder.gep(segments, [builder.mul(number, integer(3))])
        at_a, at_b, elements = (
            builder.mul(builder.load(builder.gep(segment, [integer(member)])), scale)
            for member in range(3)
        )
        left, right = (
            _lines(builder, start, builder.add(at, skip), row, lines)
            for start, at, row, lines in ((a, at_a, a_row, rows), (b, at_b, b_row, columns))
        )
        elements = smaller(builder, builder.sub(elements, skip), most)
        accumulators.add(builder, left, right, elements)
    for place, total in enumerate(accumulators.values(builder)):
        v.store(builder, total, builder.gep(sums, [integer(place * v.length)]))
    builder.ret_void()
    return function


def _lines(builder, start, offset, row, count):
    """Pointers to the same place of so many rows."""
    return [
        builder.gep(start, [builder.add(offset, builder.mul(row, integer(i)))])
        for i in range(count)
    ]


class _Accumulators:
    """Vectors of partial sums, which LLVM keeps in registers."""

    def __init__(self, builder, v, rows, columns):
        self._v = v
        self._places = [builder.alloca(v.type) for _ in range(rows * columns)]
        for place in self._places:
            builder.store(v.zero, place)

    def values(self, builder):
        return [builder.load(place) for place in self._places]

    def add(self, builder, left, right, elements):
        """Add the products of so many elements; nothing behind them is read."""
        v = self._v
        with counted(builder, builder.sdiv(elements, integer(v.length))) as vector:
            offset = builder.mul(vector, integer(v.length))
            self._multiply(builder, left, right, offset, v.load)
        whole = builder.and_(elements, integer(-v.length))
        rest = builder.sub(elements, whole)
        with builder.if_then(builder.icmp_signed("!=", rest, integer(0))):
            mask = v.mask(builder, rest)

            def load(builder, pointer):
                return v.load_masked(builder, pointer, mask)

            self._multiply(builder, left, right, whole, load)

    def _multiply(self, builder, left, right, offset, load):
        factors = [load(builder, builder.gep(line, [offset])) for line in right]
        places = iter(self._places)
        for line in left:
            value = load(builder, builder.gep(line, [offset]))
            for factor in factors:
                place = next(places)
                result = self._v.fma(builder, value, factor, builder.load(place))
                builder.store(result, place)


def _emit_totals(module, v, columns):
    """Emit (once) C = [C +] the totals of vectors of partial sums, for rows of `columns` of them.

    Arguments: rows, sums, c, c_row, accumulate.
    """
    name = f"nnjit_gathered_totals_{v.suffix}x{v.length}_{columns}"
    function, new = declare(module, name, v.real, "ippii")
    if not new:
        return function
    rows, sums, c, c_row, accumulate = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    adding = builder.icmp_signed("!=", accumulate, integer(0))
    width = min(columns, v.length, 4)
    result = Vectors(v.real, width)
    with counted(builder, rows) as row:
        line = builder.gep(sums, [builder.mul(row, integer(columns * v.length))])
        target = builder.gep(c, [builder.mul(row, c_row)])
        for first in range(0, columns, width):
            given = [
                v.load(builder, builder.gep(line, [integer((first + i) * v.length)]))
                for i in range(width)
            ]
            totals, place = _totals(builder, v, given), builder.gep(target, [integer(first)])
            with builder.if_else(adding) as (add, overwrite):
                with add:
                    old = result.load(builder, place)
                    result.store(builder, builder.fadd(old, totals), place)
                with overwrite:
                    result.store(builder, totals, place)
    builder.ret_void()
    return function


def _totals(builder, v, vectors):
    """One vector of the sums over each of 1, 2, 4 ... vectors.

    Halves of two vectors are added at a time, which leaves one vector with the partial sums of
    both, and so on; then the halves of every part.
    """
    count = len(vectors)
    part = v.length  # lanes that belong to one sum
    while len(vectors) > 1:
        vectors = [
            builder.fadd(*(_halves(builder, v, pair, part, second) for second in (0, 1)))
            for pair in zip(vectors[::2], vectors[1::2], strict=True)
        ]
        part //= 2
    (total,) = vectors
    while part > 1:
        part //= 2
        moved = [lane ^ part for lane in range(v.length)]
        total = builder.fadd(total, v.shuffle(builder, total, total, moved))
    lanes = [i * (v.length // count) for i in range(count)]
    mask = ir.Constant(ir.VectorType(ir.IntType(32), count), lanes)
    return builder.shuffle_vector(total, total, mask)


def _halves(builder, v, pair, part, second):
    """The first or the second half of every part of two vectors, one after another."""
    lanes = [lane for lane in range(2 * v.length) if lane % part // (part // 2) == second]
    return v.shuffle(builder, *pair, lanes)
