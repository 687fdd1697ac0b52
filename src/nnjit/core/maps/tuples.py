"""Tuples in compiled code, of a length that a formula's entry says."""

import functools

from nnjit.core.compiler.jit import inline

__all__ = ["cast", "pick", "take", "zero_unless"]


@functools.cache
def take(n):
    """Function (values, at) of compiled code: the n elements from place `at` on."""
    if n == 0:
        return inline(lambda values, at: ())
    rest = take(n - 1)
    return inline(lambda values, at: (*rest(values, at), values[at + n - 1]))


@functools.cache
def cast(real, n):
    """Function (values) of compiled code: a tuple of n numbers as `real`."""
    if n == 0:
        return inline(lambda values: ())
    rest = cast(real, n - 1)
    return inline(lambda values: (*rest(values), real(values[n - 1])))


@functools.cache
def pick(places):
    """Function (values) of compiled code: the members of a tuple at these places."""
    if not places:
        return inline(lambda values: ())
    rest, last = pick(places[:-1]), places[-1]
    return inline(lambda values: (*rest(values), values[last]))


@inline
def _or_zero(value, keep):
    return value if keep else 0.0


@functools.cache
def zero_unless(places, n):
    """Function (values, keep) of compiled code: n floats, those at `places` 0 unless `keep`."""
    if n == 0:
        return inline(lambda values, keep: ())
    rest = zero_unless(places, n - 1)
    if n - 1 in places:
        return inline(lambda values, keep: (*rest(values, keep), _or_zero(values[n - 1], keep)))
    return inline(lambda values, keep: (*rest(values, keep), values[n - 1]))
