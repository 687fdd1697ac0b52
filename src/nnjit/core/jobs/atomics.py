"""What threads need to share out work without locks: atomic integers and a short wait.

Each is one instruction, sequentially consistent, and a line of Python when Numba's JIT is off
(one thread then does everything).
"""

import os

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from nnjit.core.compiler.jit import inline
from nnjit.core.simd.vectors import external

__all__ = ["claim", "fetch_add", "load", "store", "wait"]

# Waits before the processor is offered to another thread: tens of microseconds, longer than one
# task mostly outlasts another. A thread that gives way to a busy one is gone for milliseconds.
_SPINS = 2000

_give_way = types.ExternalFunction(
    "SwitchToThread" if os.name == "nt" else "sched_yield", types.int32()
)


def _element(context, builder, kind, array, index):
    data = context.make_array(kind)(context, builder, array).data
    return builder.gep(data, [index])


@intrinsic
def _fetch_add(typingctx, array, index, value):
    def codegen(context, builder, signature, args):
        pointer = _element(context, builder, signature.args[0], args[0], args[1])
        return builder.atomic_rmw("add", pointer, args[2], "seq_cst")

    return types.int64(array, types.int64, types.int64), codegen


@intrinsic
def _claim(typingctx, array, index, value):
    """Raise an element to `value`; whether it was lower, and nobody else raised it."""

    def codegen(context, builder, signature, args):
        pointer = _element(context, builder, signature.args[0], args[0], args[1])
        before = builder.load_atomic(pointer, "seq_cst", 8)
        lower = builder.icmp_signed("<", before, args[2])
        entry = builder.block
        with builder.if_then(lower):
            result = builder.cmpxchg(pointer, before, args[2], "seq_cst", "seq_cst")
            mine = builder.extract_value(result, 1)
            tried = builder.block
        phi = builder.phi(mine.type)
        phi.add_incoming(ir.Constant(mine.type, 0), entry)
        phi.add_incoming(mine, tried)
        return phi

    return types.boolean(array, types.int64, types.int64), codegen


@intrinsic
def _load(typingctx, array, index):
    def codegen(context, builder, signature, args):
        pointer = _element(context, builder, signature.args[0], args[0], args[1])
        return builder.load_atomic(pointer, "seq_cst", 8)

    return types.int64(array, types.int64), codegen


@intrinsic
def _store(typingctx, array, index, value):
    def codegen(context, builder, signature, args):
        pointer = _element(context, builder, signature.args[0], args[0], args[1])
        builder.store_atomic(args[2], pointer, "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), codegen


@intrinsic
def _pause(typingctx):
    """Tell the core that this is a spinning loop, where it has a word for that."""
    triple = llvm.get_process_triple()

    def codegen(context, builder, signature, args):
        integer = ir.IntType(32)
        if triple.startswith(("x86_64", "i686", "i386")):
            kind = ir.FunctionType(ir.VoidType(), [])
            name, arguments = "llvm.x86.sse2.pause", []
        elif triple.startswith(("aarch64", "arm64")):
            kind = ir.FunctionType(ir.VoidType(), [integer])
            name, arguments = "llvm.aarch64.hint", [ir.Constant(integer, 1)]
        else:
            return context.get_dummy_value()
        builder.call(external(builder.module, kind, name), arguments)
        return context.get_dummy_value()

    return types.void(), codegen


@inline
def _wait(times):
    if times < _SPINS:
        _pause()
    else:
        _give_way()


def _python_fetch_add(array, index, value):
    before = int(array[index])
    array[index] += value
    return before


def _python_claim(array, index, value):
    lower = array[index] < value
    array[index] = max(array[index], value)
    return lower


def _python_load(array, index):
    return int(array[index])


def _python_store(array, index, value):
    array[index] = value


def _python_wait(times):
    raise RuntimeError("without the JIT there is one worker, and nobody to wait for")


if numba.config.DISABLE_JIT:
    claim, fetch_add, load, store, wait = (
        _python_claim, _python_fetch_add, _python_load, _python_store, _python_wait,
    )  # fmt: skip
else:
    claim, fetch_add, load, store, wait = _claim, _fetch_add, _load, _store, _wait
