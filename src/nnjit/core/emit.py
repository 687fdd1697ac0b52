"""LLVM functions of the matrix products: register tiles and the loops over them.

Each `emit_*` adds one internal function to a module, or finds it there, and returns it.
Strides and counts are in elements, 64-bit. See simd.py for what they compute.
"""

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

    def splat(self, builder, scalar):
        one = builder.insert_element(
            ir.Constant(self.type, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0)
        )
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.length), [0] * self.length)
        return builder.shuffle_vector(one, ir.Constant(self.type, ir.Undefined), mask)

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


def _emit_tile(module, real, length, rows, vectors):
    """Emit (once) the tile of `rows` x `vectors` and return its LLVM function.

    Arguments: a, a_row, a_k, b, b_k, c, c_row, k, bias, use_bias, accumulate, tail; strides
    and counts in elements; `tail` is the number of valid lanes of the last vector.
    """
    v = _Vectors(real, length)
    pointer = real.as_pointer()
    name = f"nnjit_tile_{v.suffix}x{length}_{rows}x{vectors}"
    function, new = _function(
        module, name, [pointer, _I, _I, pointer, _I, pointer, _I, _I, pointer, _I, _I, _I]
    )
    if not new:
        return function
    a, a_row, a_k, b, b_k, c, c_row, depth, bias, use_bias, accumulate, tail = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    scratch = builder.alloca(v.type, rows * vectors)
    a_rows = [builder.gep(a, [builder.mul(a_row, _index(i))]) for i in range(rows)]
    start = _tile_start(builder, v, bias, use_bias, rows)
    sums = _tile_loop(builder, v, a_rows, a_k, b, b_k, depth, start, vectors)
    _tile_store(builder, v, sums, c, c_row, accumulate, tail, scratch, vectors)
    builder.ret_void()
    return function


def _tile_start(builder, v, bias, use_bias, rows):
    """One start vector per row: bias[i] in every lane, or zeros."""
    entry = builder.block
    with builder.if_then(builder.icmp_signed("!=", use_bias, _index(0))):
        loaded = [
            v.splat(builder, builder.load(builder.gep(bias, [_index(i)]))) for i in range(rows)
        ]
        taken = builder.block
    start = []
    for value in loaded:
        phi = builder.phi(v.type)
        phi.add_incoming(v.zero, entry)
        phi.add_incoming(value, taken)
        start.append(phi)
    return start


def _tile_loop(builder, v, a_rows, a_k, b, b_k, depth, start, vectors):
    """The loop over k; returns rows x vectors sums in row order."""
    before = builder.block
    body = builder.append_basic_block("k")
    after = builder.append_basic_block("store")
    initial = [value for value in start for _ in range(vectors)]
    builder.cbranch(builder.icmp_signed(">", depth, _index(0)), body, after)
    builder.position_at_end(body)
    k = builder.phi(_I)
    a_offset = builder.phi(_I)
    b_row = builder.phi(b.type)
    sums = [builder.phi(v.type) for _ in initial]
    columns = [v.load(builder, builder.gep(b_row, [_index(j * v.length)])) for j in range(vectors)]
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


def _tile_store(builder, v, sums, c, c_row, accumulate, tail, scratch, vectors):
    """Write the sums: whole vectors where all lanes are valid, else lane by lane."""
    rows = len(sums) // vectors
    adding = builder.icmp_signed("!=", accumulate, _index(0))
    full = builder.icmp_signed("==", tail, _index(v.length))

    def place(i, j):
        offset = builder.add(builder.mul(c_row, _index(i)), _index(j * v.length))
        return builder.gep(c, [offset])

    with builder.if_else(full) as (whole, partial):
        with whole, builder.if_else(adding) as (add, overwrite):
            with add:
                for n, value in enumerate(sums):
                    target = place(*divmod(n, vectors))
                    v.store(builder, builder.fadd(v.load(builder, target), value), target)
            with overwrite:
                for n, value in enumerate(sums):
                    v.store(builder, value, place(*divmod(n, vectors)))
        with partial:
            flat = builder.bitcast(scratch, v.real.as_pointer())
            for n, value in enumerate(sums):
                v.store(builder, value, builder.gep(flat, [_index(n * v.length)]))
            width = builder.add(_index((vectors - 1) * v.length), tail)
            with cgutils.for_range(builder, _index(rows)) as row:
                source = builder.mul(row.index, _index(vectors * v.length))
                target = builder.mul(row.index, c_row)
                with cgutils.for_range(builder, width) as column:
                    value = builder.load(builder.gep(flat, [builder.add(source, column.index)]))
                    element = builder.gep(c, [builder.add(target, column.index)])
                    sum_ = builder.fadd(builder.load(element), value)
                    builder.store(builder.select(adding, sum_, value), element)


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
        wanted = builder.add(row, _index(i))
        number = builder.select(builder.icmp_signed("<", wanted, last), wanted, last)
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


def emit_product(module, real, length, tile_rows):
    """C = [C +] bias + A B in tiles of up to `tile_rows` x 2 vectors.

    Arguments: m, n, depth, a, a_row, a_k, b, b_k, c, c_row, bias, use_bias, accumulate.
    """
    pointer = real.as_pointer()
    name = f"nnjit_product_{_Vectors(real, length).suffix}x{length}_{tile_rows}"
    function, new = _function(
        module,
        name,
        [_I, _I, _I, pointer, _I, _I, pointer, _I, pointer, _I, pointer, _I, _I],
    )
    if not new:
        return function
    m, n, depth, a, a_row, a_k, b, b_k, c, c_row, bias, use_bias, accumulate = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))

    def columns(vectors, column, tail):
        def block(height, row):
            tile = _emit_tile(module, real, length, height, vectors)
            target = builder.gep(c, [builder.add(builder.mul(row, c_row), column)])
            source = builder.gep(a, [builder.mul(row, a_row)])
            arguments = [source, a_row, a_k, builder.gep(b, [column]), b_k, target, c_row, depth]
            arguments += [builder.gep(bias, [row]), use_bias, accumulate, tail]
            builder.call(tile, arguments)

        _sweep(builder, m, _heights(tile_rows), block)

    width, two = _index(length), _index(2 * length)
    pairs = builder.sdiv(builder.add(n, _index(length - 1)), two)
    with cgutils.for_range(builder, pairs) as loop:
        column = builder.mul(loop.index, two)
        left = builder.sub(builder.sub(n, column), width)
        tail = builder.select(builder.icmp_signed("<", left, width), left, width)
        columns(2, column, tail)
    column = builder.mul(pairs, two)
    with builder.if_then(builder.icmp_signed("<", column, n)):
        columns(1, column, builder.sub(n, column))
    builder.ret_void()
    return function


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
    with cgutils.for_range(builder, rows) as row:
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
    blocks = builder.sdiv(builder.add(rows, _index(length - 1)), _index(length))
    with cgutils.for_range(builder, builder.sdiv(columns, _index(length))) as across:
        column = builder.mul(across.index, _index(length))
        with cgutils.for_range(builder, blocks) as down:
            row = builder.mul(down.index, _index(length))
            place = builder.gep(target, [builder.add(builder.mul(column, target_stride), row)])
            builder.call(
                square,
                [source, index, use_index, row, last, stride, column, place, target_stride],
            )
    first = builder.and_(columns, _index(-length))
    indexed = builder.icmp_signed("!=", use_index, _index(0))
    with cgutils.for_range(builder, builder.mul(blocks, _index(length))) as row:
        inside = builder.icmp_signed("<", row.index, last)
        number = builder.select(inside, row.index, last)
        line = builder.gep(source, [builder.mul(_through(builder, indexed, index, number), stride)])
        with cgutils.for_range(builder, builder.sub(columns, first)) as rest:
            column = builder.add(first, rest.index)
            place = builder.add(builder.mul(column, target_stride), row.index)
            value = builder.load(builder.gep(line, [column]))
            builder.store(value, builder.gep(target, [place]))
    builder.ret_void()
    return function


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
