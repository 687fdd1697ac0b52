"""Outer products with a diagonal of their own, as in the Jacobian of the softmax."""

from llvmlite import ir

from nnjit.core.simd.vectors import Vectors, counted, declare, integer

__all__ = ["ARGUMENTS", "emit_outer_product"]


# those of `emit_outer_product`
ARGUMENTS = "iippppi"


def emit_outer_product(module, name, real, length, tile_rows):
    """C = a b^T by whole vectors, but for its diagonal d; addresses only rise.

    Arguments: rows, vectors, a, b, d, c, c_row.
    """
    v = Vectors(real, length)
    function, new = declare(module, name, real, ARGUMENTS)
    if not new:
        return function
    rows, vectors, a, b, d, c, c_row = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    with builder.if_else(builder.icmp_signed("==", vectors, integer(1))) as (one, several):
        with one:
            _emit_short_outer(builder, v, rows, a, b, d, c, c_row)
        with several, counted(builder, rows) as row:
            factor = v.splat(builder, builder.load(builder.gep(a, [row])))
            line = builder.gep(c, [builder.mul(row, c_row)])
            with counted(builder, vectors) as vector:
                offset = builder.mul(vector, integer(length))
                value = builder.fmul(factor, v.load(builder, builder.gep(b, [offset])))
                v.store(builder, value, builder.gep(line, [offset]))
            value = builder.load(builder.gep(d, [row]))
            builder.store(value, builder.gep(line, [row]))
    builder.ret_void()
    return function


def _emit_short_outer(builder, v, rows, a, b, d, c, c_row):
    """The outer product where a row is one vector: stored once, its diagonal in it."""
    right, diagonal = v.load(builder, b), v.load(builder, d)
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), v.length), list(range(v.length)))
    with counted(builder, rows) as row:
        factor = v.splat(builder, builder.load(builder.gep(a, [row])))
        number = builder.trunc(row, ir.IntType(32))
        here = builder.icmp_signed("==", lanes, v.splat(builder, number))
        value = builder.select(here, diagonal, builder.fmul(factor, right))
        v.store(builder, value, builder.gep(c, [builder.mul(row, c_row)]))
