"""The one place that decides how kernels are compiled: fast-math, cache, twins."""

import functools
import os
import types

import numba

from nnjit.core.compiler import locks
from nnjit.core.compiler.cache import KernelCache
from nnjit.core.compiler.compiling import undisturbed
from nnjit.core.compiler.numba_internals import (
    ApartHelperCompiler,
    ViewingHelperCompiler,
    WideHelperCompiler,
    attach_cache,
    compiler_lock,
    helper,
    kernel_options,
)

__all__ = [
    "FASTMATH",
    "elementwise",
    "inline",
    "kernel",
    "prange",
    "twins",
    "vectorized",
    "viewing",
    "wide",
]

# Never 'nnan' or 'ninf': with them isnan() is folded to False and divergence goes unseen.
FASTMATH = frozenset({"reassoc", "contract", "nsz", "arcp", "afn"})

prange = numba.prange

# A fork waits until no thread compiles: the child would inherit a lock that nobody releases.
_lock = compiler_lock()
if _lock is not None and hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )
    # Those registered last come first before a fork.
    os.register_at_fork(
        before=locks.before_fork,
        after_in_parent=locks.after_fork,
        after_in_child=locks.after_fork,
    )


def inline(function):
    """Compile a helper: it is only called from kernels, and its code lives in their cache files."""
    return helper(fastmath=set(FASTMATH))(function)


def viewing(function):
    """Compile a helper that returns arrays made by `records.view`, which own nothing."""
    return helper(ViewingHelperCompiler, fastmath=set(FASTMATH))(function)


def elementwise(function):
    """Compile a helper in which every element must get the same bits wherever it lies.

    Only contraction is allowed: with 'arcp' the vector body of a loop divides by an estimated
    reciprocal and its scalar remainder does not, so a row's result would depend on its place.
    """
    return helper(fastmath={"contract"})(function)


def vectorized(function):
    """Compile an elementwise helper whose loops are called amid much other code.

    It stays a function: LLVM vectorizes a loop if a few comparisons tell that its arrays do not
    overlap, and gives up where it has been inlined among many others.
    """
    return helper(ApartHelperCompiler, fastmath={"contract"})(function)


def wide(function):
    """The same for a loop of many operations on long arrays: with the widest vectors there are."""
    return helper(WideHelperCompiler, fastmath={"contract"})(function)


def kernel(function, *, parallel=False, fastmath=True):
    """Compile an entry point that Python calls: nogil, cached, NumPy's rules for division."""
    options = {
        "parallel": parallel,
        "fastmath": sorted(FASTMATH) if fastmath else [],
    }
    dispatcher = numba.njit(
        nogil=True,
        fastmath=set(FASTMATH) if fastmath else False,
        error_model="numpy",
        parallel=parallel,
        no_cfunc_wrapper=True,
        **kernel_options(),
    )(function)
    if not numba.config.DISABLE_JIT:
        cache = KernelCache(function, options)
        attach_cache(dispatcher, cache)
        dispatcher.compile = _compiling(dispatcher.compile, cache)
    return dispatcher


def _compiling(compile, cache):
    """A dispatcher's `compile`, undisturbed; nobody waits for one that failed."""

    @functools.wraps(compile)
    def undisturbed_compile(*arguments):
        try:
            with undisturbed():
                return compile(*arguments)
        finally:
            cache.release()

    return undisturbed_compile


class Twins:
    """A serial and a parallel kernel made from one body under two names.

    In the body `prange` is an ordinary range for the serial twin. Both give the same bits:
    a body shares out independent pieces of the output and never splits a sum. Each twin is
    compiled when it is first called.
    """

    def __init__(self, function):
        self._function = function
        functools.update_wrapper(self, function)

    @functools.cached_property
    def serial(self):
        return kernel(renamed(self._function, f"{self.__name__}_serial"))

    @functools.cached_property
    def parallel(self):
        return kernel(renamed(self._function, f"{self.__name__}_parallel"), parallel=True)


def twins(function):
    """Make the `Twins` of a kernel body."""
    return Twins(function)


def renamed(function, name):
    """Copy of a function under another name, so that symbols and cache files differ."""
    code = function.__code__.replace(co_name=name)
    copy = types.FunctionType(
        code, function.__globals__, name, function.__defaults__, function.__closure__
    )
    copy.__qualname__ = name
    copy.__module__ = function.__module__
    copy.__doc__ = function.__doc__
    return copy
