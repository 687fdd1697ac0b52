"""The machine's fused multiply-add peak, measured: chains that never leave the registers."""

from __future__ import annotations

import functools
import threading
import time

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["fma_peak"]

# Enough independent chains to fill two pipes of latency 4, few enough for 16 registers.
_CHAINS = 10


@functools.cache
def _chains(dtype, lanes):
    """Compile a function of n that runs n steps of _CHAINS vector chains ``a = a b + c``."""
    real = ir.FloatType() if dtype == "float32" else ir.DoubleType()
    vector = ir.VectorType(real, lanes)
    suffix = f"v{lanes}f{32 if dtype == 'float32' else 64}"

    @intrinsic
    def run(typingctx, n):
        def codegen(context, builder, signature, arguments):
            fma = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.{suffix}"
            )
            scale, shift = (ir.Constant(vector, [value] * lanes) for value in (0.999, 0.001))
            entry = builder.block
            loop, end = (builder.append_basic_block(name) for name in ("loop", "end"))
            builder.branch(loop)
            builder.position_at_end(loop)
            step = builder.phi(ir.IntType(64))
            chains = [builder.phi(vector) for _ in range(_CHAINS)]
            following = [builder.call(fma, [chain, scale, shift]) for chain in chains]
            for number, (chain, value) in enumerate(zip(chains, following)):
                chain.add_incoming(ir.Constant(vector, [float(number)] * lanes), entry)
                chain.add_incoming(value, loop)
            next_step = builder.add(step, ir.Constant(ir.IntType(64), 1))
            step.add_incoming(ir.Constant(ir.IntType(64), 0), entry)
            step.add_incoming(next_step, loop)
            builder.cbranch(builder.icmp_signed("<", next_step, arguments[0]), loop, end)
            builder.position_at_end(end)
            total = following[0]
            for value in following[1:]:
                total = builder.fadd(total, value)
            lane = builder.extract_element(total, ir.Constant(ir.IntType(32), 0))
            return lane if dtype == "float64" else builder.fpext(lane, ir.DoubleType())

        return numba.float64(numba.int64), codegen

    @numba.njit(numba.float64(numba.int64), nogil=True)
    def steps(n):
        return run(n)

    return steps


def fma_peak(dtype, threads=1, vector_bytes=64, seconds=0.2):
    """Measure GFLOP/s of fused multiply-adds in registers, two operations each.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    threads : int
        Cores to use at once.
    vector_bytes : int
        Width of a vector register.
    seconds : float
        How long one of three measurements takes, roughly; the best counts.

    Returns
    -------
    float
    """
    lanes = vector_bytes // (4 if dtype == "float32" else 8)
    steps = _chains(dtype, lanes)
    n = 1_000_000
    start = time.perf_counter()
    steps(n)
    n = max(n, int(n * seconds / (time.perf_counter() - start)))
    best = 0.0
    for _ in range(3):
        workers = [threading.Thread(target=steps, args=(n,)) for _ in range(threads)]
        start = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        elapsed = time.perf_counter() - start
        best = max(best, 2e-9 * lanes * _CHAINS * n * threads / elapsed)
    return best
