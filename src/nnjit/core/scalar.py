"""The scalar functions of `nnjit.formulas.library` in compiled code, and formulas made of them."""

import functools

import numpy as np
from numba import types
from numba.extending import overload

from nnjit.core.compiler.numba_internals import helper as helper_of
from nnjit.core.compiler.numba_internals import helper_options
from nnjit.core.own import in_precision
from nnjit.formulas.library import bodies

__all__ = [
    "clip",
    "compiled",
    "cos_2pi",
    "erf",
    "exp",
    "expm1",
    "log",
    "log1p",
    "normal_cdf",
    "normal_pdf",
    "sigmoid",
    "sin_2pi",
    "softplus",
    "tanh",
]

_OPTIONS = {"fastmath": {"contract"}, "forceinline": True}

_compile = helper_of(**_OPTIONS)


def helper(function):
    """Compile what formulas call; inlined there."""
    return _compile(function)


def own(single, function):
    """The same of somebody's own function, with our functions in place of those of `math`."""
    functions = {"exp": exp, "expm1": expm1, "log": log, "log1p": log1p, "tanh": tanh, "erf": erf}
    return _compile(in_precision(function, single, functions))


helper.own = own  # type: ignore[attr-defined]  # see `nnjit.formulas.library`


@functools.cache
def compiled(entry, single):
    """The formulas of a registry's entry, to be called by kernels of one precision."""
    return entry.functions(single, helper)


def _by_precision(doc, single, double):
    """Join the float32 and the float64 body of a function under one public name.

    Compiled code picks the body by the argument's type; where Numba's compiler is off, plain
    Python does by the scalar's.
    """

    def function(x):
        return single(x) if isinstance(x, np.float32) else double(x)

    function.__name__ = function.__qualname__ = single.__name__
    function.__doc__ = doc

    def choose(x):
        return {types.float32: single, types.float64: double}.get(x)

    overload(function, jit_options={**_OPTIONS, **helper_options()}, strict=False)(choose)

    return function


_BODIES = bodies(True, helper), bodies(False, helper)


def _public(name, doc):
    return _by_precision(doc, *(precision[name] for precision in _BODIES))


exp = _public("exp", "e^x, subnormal results included.")
expm1 = _public("expm1", "e^x - 1, accurate for small x.")
sigmoid = _public("sigmoid", "Logistic function 1 / (1 + e^-x).")
tanh = _public("tanh", "Hyperbolic tangent.")
log = _public("log", "Natural logarithm; -inf at 0, NaN below.")
log1p = _public("log1p", "log(1 + x), accurate for small x.")
softplus = _public("softplus", "log(1 + e^x) = -log(sigmoid(-x)).")
erf = _public("erf", "Error function.")
normal_cdf = _public("normal_cdf", "Distribution function of the standard normal distribution.")
normal_pdf = _public("normal_pdf", "Density of the standard normal distribution.")

cos_2pi = _public("cos_2pi", "cos(2 pi x), exact in what x is beside a whole number.")
sin_2pi = _public("sin_2pi", "sin(2 pi x), exact in what x is beside a whole number.")


@helper
def clip(value, low, high):
    """`value` in [low, high]; NaN stays NaN."""
    raised = low if value < low else value
    return high if raised > high else raised
