"""The register tile: a few rows of A times one or two vectors of B, accumulated over k."""

from typing import NamedTuple

from llvmlite import ir

from nnjit.core.simd.vectors import I64, Vectors, declare, integer, prefetch

__all__ = [
    "FROM_BIAS",
    "FROM_C",
    "FROM_ZERO",
    "MASK",
    "PLAIN",
    "RELU",
    "Ends",
    "emit_sums",
    "emit_tile",
]


class _Prefetch:
    """What a tile asks for while it computes: one address for every step k.

    That is ``start + (k & low) fine + (k >> shift) coarse``.
    """

    def __init__(self, start, low, fine, shift, coarse):
        self.start, self.low, self.fine = start, low, fine
        self.shift, self.coarse = shift, coarse

    def fetch(self, builder, k):
        fine = builder.mul(builder.and_(k, self.low), self.fine)
        coarse = builder.mul(builder.lshr(k, self.shift), self.coarse)
        prefetch(builder, builder.gep(self.start, [builder.add(fine, coarse)]))


# Prologue: what the sums of a tile begin with, zero, the row's bias or what C holds. Epilogue: what
# is done to them at the end, nothing, x where x > 0 and 0 elsewhere, or x where the same place of
# another matrix, the mask, is positive and 0 elsewhere.
FROM_ZERO, FROM_BIAS, FROM_C = range(3)
PLAIN, RELU, MASK = range(3)


def emit_tile(module, real, length, rows, vectors, fetching):
    """Emit (once) the tile of `rows` x `vectors` and return its LLVM function.

    Arguments: a, a_row, a_k, b, b_row, c, c_row, k, prologue, bias, tail, epilogue, mask and those
    of `_Prefetch`; strides and counts in elements; `tail` is the number of valid lanes of the last
    vector; the mask lies `mask` elements behind C.
    """
    v = Vectors(real, length)
    name = f"nnjit_tile_{v.suffix}x{length}_{rows}x{vectors}"
    function, new = declare(module, name, real, "piipipiiipiiipiiii")
    if not new:
        return function
    a, a_row, a_k, b, b_row, c, c_row, depth, prologue, bias, tail, *rest = function.args
    epilogue, mask, *pattern = rest
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    steps = _Strides(a_k, b, b_row)
    pattern = _Prefetch(*pattern) if fetching else None
    ends = Ends(prologue, bias, tail, epilogue, mask)
    emit_sums(builder, v, (rows, vectors), a, a_row, c, c_row, depth, steps, ends, pattern)
    builder.ret_void()
    return function


class Ends(NamedTuple):
    """What is done before and after the loop over k; for the members see `emit_tile`."""

    prologue: ir.Value
    bias: ir.Value
    tail: ir.Value
    epilogue: ir.Value
    mask: ir.Value


def emit_sums(builder, v, shape, a, a_row, c, c_row, depth, steps, ends, pattern=None):
    """What a tile does, for any way of finding the columns of A and the rows of B.

    `shape` is rows x vectors; `steps` tells the places of step k as `_Strides` does.
    """
    rows, vectors = shape
    a_rows = [builder.gep(a, [builder.mul(a_row, integer(i))]) for i in range(rows)]
    places = [
        builder.gep(c, [builder.add(builder.mul(c_row, integer(i)), integer(j * v.length))])
        for i in range(rows)
        for j in range(vectors)
    ]
    tail = _Tail(builder, v, ends.tail, vectors)
    start = _tile_start(builder, v, ends.prologue, ends.bias, places, tail)
    sums = _tile_loop(builder, v, a_rows, steps, depth, start, vectors, pattern)
    masks = [builder.gep(place, [ends.mask]) for place in places]
    sums = _tile_end(builder, v, sums, ends.epilogue, masks, tail)
    _tile_store(builder, v, sums, places, tail)


class _Strides:
    """Columns of A and rows of B as far apart as those before."""

    def __init__(self, a_k, b, b_row):
        self._a_k, self._b, self._b_row = a_k, b, b_row

    def phis(self, builder):
        """Begin the loop's block."""
        self._column, self._row = builder.phi(I64), builder.phi(self._b.type)

    def places(self, builder, k):
        """Elements from A's start to its column k, and a pointer to row k of B."""
        return self._column, self._row

    def following(self, builder):
        """Each phi with its first value and its next one."""
        return [
            (self._column, integer(0), builder.add(self._column, self._a_k)),
            (self._row, self._b, builder.gep(self._row, [self._b_row])),
        ]


class _Tail:
    """The last vector of every row, of which not all lanes may be valid."""

    def __init__(self, builder, v, count, vectors):
        self.mask = v.mask(builder, count)
        self.whole = builder.icmp_signed("==", count, integer(v.length))
        self._vectors = vectors

    def has(self, number):
        """Whether the vector of this number, in row order, is the last of its row."""
        return number % self._vectors == self._vectors - 1

    def load(self, builder, v, places):
        """The vectors at `places`, given in row order."""
        return [
            v.load_masked(builder, place, self.mask) if self.has(n) else v.load(builder, place)
            for n, place in enumerate(places)
        ]


def _chosen(builder, v, code, otherwise, cases):
    """Vectors as `code` tells: those that `cases[code]()` emits, or `otherwise`."""
    sources = [(otherwise, builder.block)]
    ready = builder.append_basic_block("chosen")
    switch = builder.switch(code, ready)
    for number, emit in cases.items():
        block = builder.append_basic_block(f"case{number}")
        switch.add_case(integer(number), block)
        builder.position_at_end(block)
        sources.append((emit(), block))
        builder.branch(ready)
    builder.position_at_end(ready)
    results = [builder.phi(v.type) for _ in otherwise]
    for values, block in sources:
        for phi, value in zip(results, values, strict=True):
            phi.add_incoming(value, block)
    return results


def _tile_start(builder, v, prologue, bias, places, tail):
    """Start vectors in row order: zeros, the row's bias, or what C holds."""
    vectors = tail._vectors

    def biases():
        rows = [builder.gep(bias, [integer(i)]) for i in range(len(places) // vectors)]
        splats = [v.splat(builder, builder.load(row)) for row in rows]
        return [splats[n // vectors] for n in range(len(places))]

    cases = {FROM_BIAS: biases, FROM_C: lambda: tail.load(builder, v, places)}
    return _chosen(builder, v, prologue, [v.zero] * len(places), cases)


def _tile_loop(builder, v, a_rows, steps, depth, initial, vectors, pattern):
    """The loop over k; returns rows x vectors sums in row order."""
    before = builder.block
    body = builder.append_basic_block("k")
    after = builder.append_basic_block("store")
    builder.cbranch(builder.icmp_signed(">", depth, integer(0)), body, after)
    builder.position_at_end(body)
    k = builder.phi(I64)
    steps.phis(builder)
    sums = [builder.phi(v.type) for _ in initial]
    a_offset, b_row = steps.places(builder, k)
    columns = [v.load(builder, builder.gep(b_row, [integer(j * v.length)])) for j in range(vectors)]
    if pattern is not None:
        pattern.fetch(builder, k)
    results = []
    for i, row in enumerate(a_rows):
        scalar = v.splat(builder, builder.load(builder.gep(row, [a_offset])))
        for j in range(vectors):
            results.append(v.fma(builder, scalar, columns[j], sums[i * vectors + j]))
    k_next = builder.add(k, integer(1))
    for phi, first, later in [
        (k, integer(0), k_next),
        *steps.following(builder),
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


def _tile_end(builder, v, sums, epilogue, masks, tail):
    """The sums as they are stored. NaN stays NaN, a mask that is NaN lets nothing through."""

    def above():
        return [builder.select(builder.fcmp_ordered("<", x, v.zero), v.zero, x) for x in sums]

    def masked():
        pairs = zip(sums, tail.load(builder, v, masks), strict=True)
        return [
            builder.select(builder.fcmp_ordered(">", mask, v.zero), x, v.zero) for x, mask in pairs
        ]

    return _chosen(builder, v, epilogue, sums, {RELU: above, MASK: masked})


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
