"""How this thread's processor treats subnormal numbers, those too small for all their digits.

Where a gradient has become 0, of a dead unit or a pixel that never changes, a solver's moments
decay until they are subnormal, and stay so; so does a weight that decays, and the square of a small
gradient is subnormal long before. Processors may be tens of times slower on such numbers. While
parameters move, the processor takes them for 0: no formula, the user's own included, has to know,
and nothing changes but what is subnormal or made of such numbers.

Where Numba's JIT is off, and on processors other than x86-64 and 64-bit ARM, they stay.
"""

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from nnjit.core.simd.vectors import external

__all__ = ["flush_subnormals", "flushes_subnormals", "restore_subnormals"]

_BYTE = ir.IntType(8).as_pointer()


def _on_x86(builder, name, word):
    function = ir.FunctionType(ir.VoidType(), [_BYTE])
    builder.call(external(builder.module, function, name), [builder.bitcast(word, _BYTE)])


def _read_x86(builder):
    word = builder.alloca(ir.IntType(32))
    _on_x86(builder, "llvm.x86.sse.stmxcsr", word)
    return builder.load(word)


def _write_x86(builder, value):
    word = builder.alloca(ir.IntType(32))
    builder.store(value, word)
    _on_x86(builder, "llvm.x86.sse.ldmxcsr", word)


def _read_arm(builder):
    kind = ir.FunctionType(ir.IntType(64), [])
    return builder.call(external(builder.module, kind, "llvm.aarch64.get.fpcr"), [])


def _write_arm(builder, value):
    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)])
    builder.call(external(builder.module, kind, "llvm.aarch64.set.fpcr"), [value])


def _nothing(builder, value=None):
    return ir.Constant(ir.IntType(32), 0)


def _control():
    """How to read and to write the word that says how to round, its type, and the bits to set."""
    triple = llvm.get_process_triple()
    if triple.startswith("x86_64"):  # subnormal results, and operands, are 0
        return _read_x86, _write_x86, types.int32, 0x8040
    if triple.startswith(("aarch64", "arm64")):
        return _read_arm, _write_arm, types.int64, 0x1000000
    return _nothing, _nothing, types.int32, 0


_read, _write, _word, _bits = _control()


@intrinsic
def _flush(typingctx):
    def codegen(context, builder, signature, args):
        before = _read(builder)
        _write(builder, builder.or_(before, ir.Constant(before.type, _bits)))
        return before

    return _word(), codegen


@intrinsic
def _restore(typingctx, before):
    def codegen(context, builder, signature, args):
        _write(builder, args[0])
        return context.get_dummy_value()

    return types.void(_word), codegen


if numba.config.DISABLE_JIT:

    def flush_subnormals():
        """Nothing: plain Python computes as ever."""
        return 0

    def restore_subnormals(before):
        """Nothing either."""

else:
    # From here on subnormal numbers are 0, until `restore_subnormals` gets what this returns.
    flush_subnormals, restore_subnormals = _flush, _restore


def flushes_subnormals():
    """Whether `flush_subnormals` does anything here."""
    return _bits != 0 and not numba.config.DISABLE_JIT
