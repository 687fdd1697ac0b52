"""Activations as units: a formula over a flat array in place.

A formula is compiled for itself, so who uses one does not wait for the others. Loops over one
array need no check for overlap; a backward pass reads what its formula reads and no more.
"""

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized, wide
from nnjit.core.compiler.units import Unit
from nnjit.core.jobs.records import view
from nnjit.core.maps.entries import once_for
from nnjit.core.scalar import compiled
from nnjit.formulas import find_activation

__all__ = ["backward_unit", "copy", "derivative_unit", "value_unit"]


@vectorized
def copy(source, target):
    """target[i] = source[i]."""
    for i in range(len(target)):
        target[i] = source[i]


def _suffix(single):
    return "single" if single else "double"


def _like(single):
    return np.float32(0) if single else np.float64(0)


@once_for(find_activation)
def value_unit(name, single):
    """Unit (h, n): h = phi(h)."""
    return _in_place(compiled(find_activation(name), single).value, f"{name}_value", single)


@once_for(find_activation)
def derivative_unit(name, single):
    """Unit (z, n): z = phi'(z), accurate where phi saturates."""
    formula = compiled(find_activation(name), single).derivative
    return _in_place(formula, f"{name}_derivative", single)


def _in_place(formula, name, single):
    like = _like(single)

    @wide
    def apply(x):
        for i in range(len(x)):
            x[i] = formula(x[i])

    def unit(x_at, n):
        apply(view(x_at, n, like))

    return Unit(unit, f"{name}_{_suffix(single)}")


@once_for(find_activation)
def backward_unit(name, single):
    """Unit (z, h, delta, n): delta = delta phi'(z); what the formula does not read may be 0."""
    entry, like = find_activation(name), _like(single)
    apply = _BACKWARD[entry.reads](compiled(entry, single).backward)

    def unit(z_at, h_at, delta_at, n):
        apply(z_at, h_at, view(delta_at, n, like), like)

    return Unit(unit, f"{name}_backward_{_suffix(single)}")


def _by_nothing(formula):
    @wide
    def multiply(delta):
        for i in range(len(delta)):
            delta[i] = formula(delta[i])

    @inline
    def apply(z_at, h_at, delta, like):
        multiply(delta)

    return apply


def _by_input(formula):
    @wide
    def multiply(z, delta):
        for i in range(len(delta)):
            delta[i] = formula(delta[i], z[i])

    @inline
    def apply(z_at, h_at, delta, like):
        multiply(view(z_at, len(delta), like), delta)

    return apply


def _by_output(formula):
    @wide
    def multiply(h, delta):
        for i in range(len(delta)):
            delta[i] = formula(delta[i], h[i])

    @inline
    def apply(z_at, h_at, delta, like):
        multiply(view(h_at, len(delta), like), delta)

    return apply


def _by_both(formula):
    @wide
    def multiply(z, h, delta):
        for i in range(len(delta)):
            delta[i] = formula(delta[i], z[i], h[i])

    @inline
    def apply(z_at, h_at, delta, like):
        multiply(view(z_at, len(delta), like), view(h_at, len(delta), like), delta)

    return apply


_BACKWARD = {(): _by_nothing, ("z",): _by_input, ("h",): _by_output, ("z", "h"): _by_both}
