"""Somebody's own functions of numbers, as compiled code calls them.

Written for Python's numbers, they call `math`, whose functions are calls into the C library, one
number at a time, and their constants are float64s, which would make a float32 network compute in
float64. So a function is made anew: of `math`, what `nnjit.core.scalar` has is taken from there,
and in float32 its constants are float32s.
"""

import dis
import math
import types

import numpy as np

__all__ = ["in_precision"]

_MATH = "nnjit.core.own.math"  # a name that says enough to the cache


def in_precision(function, single, functions):
    """Return a function with constants of one precision, and with our functions of `math`.

    Parameters
    ----------
    function : function
    single : bool
    functions : dict
        Those that take the place of the functions of `math` of the same names.

    Returns
    -------
    function
    """
    instead = {getattr(math, name): ours for name, ours in functions.items()}
    module = types.ModuleType(_MATH)
    vars(module).update({**vars(math), **functions, "__name__": _MATH})
    counts = single and not _needs_integers(function.__code__)

    def changed(value):
        if value is math:
            return module
        if isinstance(value, types.BuiltinFunctionType):
            return instead.get(value, value)
        is_number = type(value) is float or (counts and type(value) is int)
        return _single(value) if single and is_number else value

    code = function.__code__
    code = code.replace(co_consts=tuple(changed(value) for value in code.co_consts))
    read = set(code.co_names) & function.__globals__.keys()
    names = function.__globals__ | {name: changed(function.__globals__[name]) for name in read}
    cells = [types.CellType(changed(cell.cell_contents)) for cell in function.__closure__ or ()]
    made = types.FunctionType(code, names, function.__name__, function.__defaults__, tuple(cells))
    made.__module__, made.__qualname__ = function.__module__, function.__qualname__
    return made


def _single(value):
    """A number as float32, as it is where that is 0 or infinite in its place."""
    with np.errstate(over="ignore"):
        rounded = np.float32(value)
    return rounded if np.isfinite(rounded) and (rounded != 0) == (value != 0) else value


def _needs_integers(code):
    """Whether integers may be exponents, indices or numbers of repetitions."""
    if not {"range", "len", "int"}.isdisjoint(code.co_names):
        return True
    return any(
        step.opname.startswith("BINARY_SUBSCR") or step.argrepr in ("**", "//", "%", "[]")
        for step in dis.get_instructions(code)
    )
