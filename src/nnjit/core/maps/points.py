"""Packed values point by point, which stand one after the other with the samples innermost."""

from nnjit.core.compiler.jit import elementwise, viewing

__all__ = ["added", "larger", "point_of"]


@viewing
def point_of(values, number, rows):
    """The samples of one point."""
    return values[number * rows : number * rows + rows]


@elementwise
def larger(a, b):
    """The larger of two numbers, or a NaN among them."""
    return a if (a > b) | (a != a) else b


@elementwise
def added(a, b):
    return a + b
