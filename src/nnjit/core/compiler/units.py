"""Units: small C functions, compiled, cached and loaded apart, that call one another by address.

A unit is compiled, or loaded from the cache, when its address is first asked for, so a network
waits for what it uses and for nothing else. Its arguments are int64s, addresses most of the
time; it returns nothing or a float64. With Numba's JIT off an address is a number under which the
Python function is kept.
"""

import logging
import threading
import time

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from nnjit.core.compiler.cache import KernelCache
from nnjit.core.compiler.compiling import undisturbed
from nnjit.core.compiler.jit import FASTMATH, renamed
from nnjit.core.compiler.numba_internals import c_function, compiler_lock

__all__ = ["Unit", "call", "call_for_real", "named_units"]

# That of compilations, for which a fork waits (see jit.py).
_lock = compiler_lock() or threading.RLock()
_log = logging.getLogger("nnjit.compiler")
_functions = {}  # Python functions by address, where nothing is compiled


class Unit:
    """A C function made of a Python function when it is first needed.

    Parameters
    ----------
    function : function
        Its arguments are int64s.
    name : str, optional
        Of the unit and its cache file; that of the function if it is left out.
    real : bool, default=False
        Whether it returns a float64 (see `call_for_real`); else it returns nothing.
    """

    def __init__(self, function, name=None, real=False):
        self.function = renamed(function, name) if name else function
        self.real = real
        self._compiled = None

    @property
    def address(self):
        """Where the function is, for `call`; compiled or loaded once."""
        if numba.config.DISABLE_JIT:
            _functions[id(self)] = self.function
            return id(self)
        if self._compiled is None:
            with undisturbed(), _lock:  # another thread that wants it waits and finds it
                if self._compiled is None:
                    start = time.perf_counter()
                    self._compiled = self._compile()
                    self._tell(time.perf_counter() - start)
        return self._compiled.address

    def _tell(self, seconds):
        """Log what has become ready, and whether it came from the cache on disk."""
        if _log.isEnabledFor(logging.DEBUG):
            loaded = bool(getattr(self._compiled, "cache_hits", 0))
            values = {"unit": self.function.__name__, "seconds": seconds, "loaded": loaded}
            verb = "loaded" if loaded else "compiled"
            _log.debug(f"%(unit)s {verb} in %(seconds).3g s", values, extra=values)

    def _compile(self):
        count = self.function.__code__.co_argcount
        result = types.float64 if self.real else types.void
        options = {"nopython": True, "fastmath": set(FASTMATH), "error_model": "numpy"}
        try:
            cache = KernelCache(self.function, {"cfunc": True})
            return c_function(self.function, result(*[types.int64] * count), options, cache)
        except numba.NumbaError as error:
            raise TypeError(
                f"{self.function.__name__} cannot be compiled. A formula of your own may use "
                f"arithmetic, conditions, the module math and numbers. {error}"
            ) from error


def named_units(name, single, *functions):
    """Units of functions in one precision, by the names of these.

    Parameters
    ----------
    name : str
        What the units' own names begin with.
    single : bool
        Whether the precision is float32.
    *functions : function
    """
    suffix = "single" if single else "double"
    return {
        function.__name__: Unit(function, f"{name}_{function.__name__}_{suffix}")
        for function in functions
    }


def _caller(result):
    """Intrinsic that calls the function at an address with a tuple of int64s."""

    @intrinsic
    def call(typingctx, address, arguments):
        def codegen(context, builder, signature, values):
            integers = [
                context.cast(builder, builder.extract_value(values[1], k), kind, types.int64)
                for k, kind in enumerate(signature.args[1])
            ]
            integer = ir.IntType(64)
            value = ir.VoidType() if result == types.void else ir.DoubleType()
            kind = ir.FunctionType(value, [integer] * len(integers))
            function = builder.inttoptr(values[0], kind.as_pointer())
            returned = builder.call(function, integers)
            return context.get_dummy_value() if result == types.void else returned

        return result(types.int64, arguments), codegen

    return call


def _python_call(address, arguments):
    return _functions[int(address)](*arguments)


if numba.config.DISABLE_JIT:
    call = call_for_real = _python_call
else:
    call, call_for_real = _caller(types.void), _caller(types.float64)
