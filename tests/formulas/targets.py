"""The formulas of an entry in every target that a test machine has, as functions of arrays."""

import functools

import numba
import numpy as np

PRECISIONS = [np.float32, np.float64]

_helper = numba.njit(fastmath={"contract"}, error_model="numpy")


@functools.cache
def compiled(entry, dtype):
    """Formulas compiled with a way in from Python, taken element by element."""
    made = entry.functions(dtype == np.float32, _helper)
    return type(made)(*[formula and _elementwise(formula, dtype) for formula in made])


def _elementwise(formula, dtype):
    def apply(*columns):
        columns = np.broadcast_arrays(*[np.asarray(column, dtype) for column in columns])
        results = [formula(*row) for row in zip(*columns)]
        if results and isinstance(results[0], tuple):
            return tuple(np.array(result, dtype) for result in zip(*results))
        return np.array(results, dtype)

    return apply


def derivative(function, x, step=1e-6):
    """Derivative of a function of arrays at every element of x, by differences in float64."""
    above, below = x + step, x - step
    return (function(above) - function(below)) / (above - below)


def close(actual, expected, dtype, atol=0.0, ulps=8):
    """Within some units in the last place of float32 or float64."""
    expected = np.broadcast_to(expected, np.shape(actual))
    np.testing.assert_allclose(actual, expected, rtol=ulps * np.finfo(dtype).eps, atol=atol)


def slope(entry, formulas, columns, dtype=None):
    """By z, through the output activation where the formula is of the output."""
    found = formulas.slope(*[columns[name] for name in entry.slope_reads])
    if entry.link is None:
        return found
    link = entry.link.numpy() if dtype is None else compiled(entry.link, dtype)
    known = {"h": columns["p"], "z": columns["z"]}
    return link.backward(found, *[known[name] for name in entry.link.reads])
