"""Transposes, of rows that may be gathered through an index."""

from llvmlite import ir

from nnjit.core.simd.vectors import I64, Vectors, counted, declare, integer, prefetch

__all__ = ["ARGUMENTS", "emit_transpose_into"]


# those of `emit_transpose_into`
ARGUMENTS = "iipixpi"


def emit_transpose_into(module, name, real, length, tile_rows):
    """target[j, i] = source[index[i], j] in square blocks, the last columns one by one.

    Rows taken through an index are prefetched a block before: no two of them lie together.
    Arguments: rows, columns, source, stride, index or a null pointer, target, target_stride.
    """
    function, new = declare(module, name, real, ARGUMENTS)
    if not new:
        return function
    rows, columns, source, stride, index, target, target_stride = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    square = _emit_transpose(module, real, length)
    last = builder.sub(rows, integer(1))
    indexed = builder.icmp_unsigned("!=", index, ir.Constant(index.type, None))
    blocks = builder.sdiv(builder.add(rows, integer(length - 1)), integer(length))
    with counted(builder, blocks) as down:  # few rows at a time, read from end to end
        row = builder.mul(down, integer(length))
        below = builder.add(row, integer(length))
        scattered = builder.and_(indexed, builder.icmp_signed("<=", below, last))
        with counted(builder, builder.sdiv(columns, integer(length))) as across:
            column = builder.mul(across, integer(length))
            place = builder.gep(target, [builder.add(builder.mul(column, target_stride), row)])
            with builder.if_then(scattered):
                for i in range(length):
                    number = _clamped(builder, builder.add(below, integer(i)), last)
                    line = builder.mul(builder.load(builder.gep(index, [number])), stride)
                    prefetch(builder, builder.gep(source, [builder.add(line, column)]), 2)
            builder.call(
                square,
                [source, index, row, last, stride, column, place, target_stride],
            )
    first = builder.and_(columns, integer(-length))
    with counted(builder, builder.mul(blocks, integer(length))) as row:
        number = _clamped(builder, row, last)
        line = builder.gep(source, [builder.mul(_through(builder, indexed, index, number), stride)])
        with counted(builder, builder.sub(columns, first)) as rest:
            column = builder.add(first, rest)
            place = builder.add(builder.mul(column, target_stride), row)
            value = builder.load(builder.gep(line, [column]))
            builder.store(value, builder.gep(target, [place]))
    builder.ret_void()
    return function


def _emit_transpose(module, real, length):
    """Emit (once) the transpose of a length x length block.

    Arguments: source, index, row, last_row, stride, column, target, target_stride. Source row i is
    ``row + i``, clamped to `last_row` and then taken through the index, if there is one; target
    row j is the block's column j.
    """
    v = Vectors(real, length)
    name = f"nnjit_transpose_{v.suffix}x{length}"
    function, new = declare(module, name, real, "pxiiiipi")
    if not new:
        return function
    source, index, row, last, stride, column, target, target_stride = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    indexed = builder.icmp_unsigned("!=", index, ir.Constant(index.type, None))
    block = []
    for i in range(length):
        number = _clamped(builder, builder.add(row, integer(i)), last)
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
        v.store(builder, block[j], builder.gep(target, [builder.mul(target_stride, integer(j))]))
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
    actual = builder.phi(I64)
    actual.add_incoming(number, entry)
    actual.add_incoming(loaded, taken)
    return actual
