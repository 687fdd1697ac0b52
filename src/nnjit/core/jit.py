"""The one place that decides how kernels are compiled: fast-math, cache, twins."""

import functools
import os
import types

import llvmlite.binding as llvm
import numba
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_lock import global_compiler_lock

from nnjit.core.cache import KernelCache
from nnjit.core.compiling import undisturbed

__all__ = ["FASTMATH", "HelperCompiler", "elementwise", "inline", "kernel", "prange", "twins"]

# Never 'nnan' or 'ninf': with them isnan() is folded to False and divergence goes unseen.
FASTMATH = frozenset({"reassoc", "contract", "nsz", "arcp", "afn"})

prange = numba.prange

# A fork waits until no thread compiles: the child would inherit a lock that nobody releases.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )


class _WithoutEnvironment:
    """A code generator that does not bind a function's constants to loaded code."""

    def __init__(self, codegen):
        self._real = codegen

    def __getattr__(self, name):
        return getattr(self._real, name)

    def set_env(self, env_name, env):
        """Nothing is loaded yet; kernels raise nothing and so never read it."""


class _HelperLibrary(JITCodeLibrary):
    """Code of a function that only kernels call: linked, but neither optimized nor emitted.

    Numba optimizes and emits every function on its own before it links it into its callers,
    where all of it happens again; that would make the first fit four times longer. What a
    helper calls is linked once, where a kernel asks for the helper, and not into every caller
    on the way up.
    """

    @property
    def codegen(self):
        return _WithoutEnvironment(self._codegen)

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self):
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == llvm.Linkage.external:
                function.linkage = "linkonce_odr"  # may come in by several ways
        self._finalize_dynamic_globals()
        self._finalized = True

    def _get_module_for_linking(self):
        if self._shared_module is None:
            self._ensure_finalized()
            self._shared_module = self._final_module.clone()
            for library in _called_by(self):
                self._reload_init.update(library._reload_init)
                helper = isinstance(library, _HelperLibrary)
                module = library._final_module if helper else library._get_module_for_linking()
                self._shared_module.link_in(module, preserve=True)
        return self._shared_module

    def get_pointer_to_function(self, name):
        self._ensure_finalized()
        return 0  # no Python wrapper


def _called_by(library):
    """The libraries that a helper's code calls, directly and through other helpers."""
    found, left = {}, list(library._linking_libraries)
    while left:
        other = left.pop()
        if other not in found:
            found[other] = None
            if isinstance(other, _HelperLibrary):
                left += other._linking_libraries
    return list(found)


class HelperCompiler(Compiler):
    """Numba's pipeline with a `_HelperLibrary`."""

    def compile_extra(self, func):
        self.state.library = _HelperLibrary(self.state.targetctx.codegen(), func.__qualname__)
        return super().compile_extra(func)


# A helper is only called from other kernels. It gets no Python wrapper (they cost a third of the
# compile time) and no cache file of its own: its code lives in its callers'.
_HELPER = {
    "nogil": True,
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "pipeline_class": HelperCompiler,
}


def inline(function):
    """Compile a helper."""
    return numba.njit(fastmath=set(FASTMATH), **_HELPER)(function)


def elementwise(function):
    """Compile a helper in which every element must get the same bits wherever it lies.

    Only contraction is allowed: with 'arcp' the vector body of a loop divides by an estimated
    reciprocal and its scalar remainder does not, so a row's result would depend on its place.
    """
    return numba.njit(fastmath={"contract"}, **_HELPER)(function)


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
    )(function)
    if not numba.config.DISABLE_JIT:
        dispatcher._cache = KernelCache(function, options)
        dispatcher.compile = undisturbed()(dispatcher.compile)
    return dispatcher


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
        return kernel(_renamed(self._function, "serial"))

    @functools.cached_property
    def parallel(self):
        return kernel(_renamed(self._function, "parallel"), parallel=True)


def twins(function):
    """Make the `Twins` of a kernel body."""
    return Twins(function)


def _renamed(function, suffix):
    """Copy of a function under another name, so that symbols and cache files differ."""
    name = f"{function.__name__}_{suffix}"
    code = function.__code__.replace(co_name=name)
    copy = types.FunctionType(
        code, function.__globals__, name, function.__defaults__, function.__closure__
    )
    copy.__qualname__ = name
    copy.__module__ = function.__module__
    copy.__doc__ = function.__doc__
    return copy
