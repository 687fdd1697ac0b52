"""Products with vectors along the summed index."""

from llvmlite import ir

from nnjit.core.simd.vectors import I64, Vectors, declare, integer, sweep

__all__ = ["ARGUMENTS", "emit_dot_product"]


# those of `emit_dot_product`
ARGUMENTS = "iiipipipii"


def emit_dot_product(module, name, real, length, tile_rows):
    """C = [C +] A B^T in blocks of up to 4 x 4 dot products.

    Arguments: m, n, vectors, a, a_row, b, b_row, c, c_row, accumulate.
    """
    function, new = declare(module, name, real, ARGUMENTS)
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

        sweep(builder, n, [4, 2, 1], columns)

    sweep(builder, m, [4, 2, 1], rows)
    builder.ret_void()
    return function


def _emit_dot(module, real, length, rows, columns):
    """Emit (once) rows x columns dot products of padded vectors.

    Arguments: a, a_row, b, b_row, vectors, c, c_row, accumulate.
    """
    v = Vectors(real, length)
    name = f"nnjit_dot_{v.suffix}x{length}_{rows}x{columns}"
    function, new = declare(module, name, real, "pipiipii")
    if not new:
        return function
    a, a_row, b, b_row, count, c, c_row, accumulate = function.args
    before = function.append_basic_block("entry")
    body = function.append_basic_block("n")
    after = function.append_basic_block("store")
    builder = ir.IRBuilder(before)
    a_rows = [builder.gep(a, [builder.mul(a_row, integer(i))]) for i in range(rows)]
    b_rows = [builder.gep(b, [builder.mul(b_row, integer(j))]) for j in range(columns)]
    builder.branch(body)
    builder.position_at_end(body)
    n = builder.phi(I64)
    sums = [builder.phi(v.type) for _ in range(rows * columns)]
    offset = builder.mul(n, integer(length))
    left = [v.load(builder, builder.gep(row, [offset])) for row in a_rows]
    right = [v.load(builder, builder.gep(row, [offset])) for row in b_rows]
    results = [
        v.fma(builder, left[i], right[j], sums[i * columns + j])
        for i in range(rows)
        for j in range(columns)
    ]
    n_next = builder.add(n, integer(1))
    for phi, first, later in [(n, integer(0), n_next)] + [
        (phi, v.zero, result) for phi, result in zip(sums, results, strict=True)
    ]:
        phi.add_incoming(first, before)
        phi.add_incoming(later, body)
    builder.cbranch(builder.icmp_signed("<", n_next, count), body, after)
    builder.position_at_end(after)
    totals = [v.sum(builder, result) for result in results]
    elements = [
        builder.gep(c, [builder.add(builder.mul(c_row, integer(i)), integer(j))])
        for i in range(rows)
        for j in range(columns)
    ]
    adding = builder.icmp_signed("!=", accumulate, integer(0))
    with builder.if_else(adding) as (add, overwrite):
        with add:
            for total, element in zip(totals, elements, strict=True):
                builder.store(builder.fadd(builder.load(element), total), element)
        with overwrite:
            for total, element in zip(totals, elements, strict=True):
                builder.store(total, element)
    builder.ret_void()
    return function
