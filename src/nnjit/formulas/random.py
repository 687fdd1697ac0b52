"""Random bits by counters: what is drawn follows from where it is used, not from what came before.

A key is two 32-bit numbers that have absorbed what the bits depend on: seed, step, layer, unit.
With one it is a function of a row's number. So anybody can draw any bits at any time, in any order
and in any number of threads, and draw the same again in a backward pass.

The arithmetic is that of unsigned 32-bit integers, without a branch: LLVM turns a loop over rows
into vector instructions, and the same functions take NumPy's scalars and arrays.

The mixer is of the kind of C. Wellons, "Prospecting for hash functions", 2018 (github.com/skeeto/
hash-prospector, the constants with a bias of 0.107). Bits go through it twice, with a half of the
key before each, as in a cipher of two rounds; keys go through a Feistel network of three rounds.
"""

import functools
import math
from types import SimpleNamespace

import numpy as np

from nnjit.formulas import library

__all__ = ["array_normals", "arrays", "counters", "normals", "threshold_of"]

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_FIRST, _LAST = np.uint32(16), np.uint32(15)  # shifts
_FACTOR, _SECOND_FACTOR = np.uint64(0x21F0AAAD), np.uint64(0x735A2D97)
# Digits of the golden ratio, which keep words of 0 from being nothing, and of pi: there keys begin.
_APART = np.uint64(0x9E3779B9)
_START, _SECOND_START = np.uint32(0x243F6A88), np.uint32(0x85A308D3)


def counters(helper):
    """Functions that draw, for one target.

    Parameters
    ----------
    helper : callable
        Decorator that compiles a function called by another; the identity for plain Python and
        NumPy.

    Returns
    -------
    namespace
        ``key(seed, step, layer)``, of integers from 0 on, is the pair of uint32 with which drawing
        begins; ``unit_key(first, second, unit)`` that of one unit; ``bits(first, second, row)``,
        the row being a uint32, gives 32 bits of its key. Whoever compiles a caller takes these by
        local names.
    """

    @helper
    def mix(x):
        """A one-to-one map of 32 bits in which every bit counts for every other."""
        x = np.uint32(x ^ (x >> _FIRST))
        x = np.uint32((np.uint64(x) * _FACTOR) & _LOW)
        x = np.uint32(x ^ (x >> _LAST))
        x = np.uint32((np.uint64(x) * _SECOND_FACTOR) & _LOW)
        return np.uint32(x ^ (x >> _LAST))

    @helper
    def absorb(first, second, word):
        """The key with one more word in it; other words or other keys give other ones."""
        second = np.uint32((np.uint64(second) + np.uint64(word) + _APART) & _LOW)
        first = np.uint32(first ^ mix(second))
        second = np.uint32(second ^ mix(first))
        # the halves change places: a round more would undo the last one
        return second, np.uint32(first ^ mix(second))

    @helper
    def absorb_long(first, second, number):
        """The key with both halves of a 64-bit integer in it."""
        number = np.uint64(number)
        first, second = absorb(first, second, np.uint32(number & _LOW))
        return absorb(first, second, np.uint32(number >> _HALF))

    @helper
    def key(seed, step, layer):
        first, second = absorb_long(_START, _SECOND_START, seed)
        first, second = absorb_long(first, second, step)
        return absorb_long(first, second, layer)

    @helper
    def unit_key(first, second, unit):
        return absorb(first, second, np.uint32(unit))

    @helper
    def bits(first, second, row):
        return mix(np.uint32(mix(np.uint32(row ^ first)) ^ second))

    return SimpleNamespace(key=key, unit_key=unit_key, bits=bits)


@functools.cache
def arrays():
    """The same functions for NumPy's scalars and arrays."""
    return counters(lambda function: function)


def threshold_of(rate):
    """The number of 32 bits below which a share of `rate` in [0, 1) of all bits lies.

    Returns
    -------
    int
        To 2^-32 of the rate; at most 2^32 - 1.
    """
    return min(round(rate * 2.0**32), 2**32 - 1)


# 1 / n! with the signs that it has in the series of sine and cosine.
_SERIES = [(-1) ** (n // 2) / math.factorial(n) for n in range(17)]


def normals(m, helper):
    """A function that makes two independent normal numbers of two random words, for one target.

    By the transform of Box and Muller: with u and v in (0, 1), the words plus 1/2 over 2^32,

        sqrt(-2 log u) cos(2 pi v),  sqrt(-2 log u) sin(2 pi v)

    are at most 6.77, beyond which one of 10^11 normal numbers lies. Over all words their mean and
    their odd moments are 0, their variance is 1 - 10^-10 and their correlation 0; in float32, where
    u has 24 bits, numbers around 0 are 10^-4 apart at most. The arithmetic has no branch, as that
    of the bits.

    Parameters
    ----------
    m : namespace
        `nnjit.formulas.library.library` of the precision and the target.
    helper : callable
        As in `counters`.

    Returns
    -------
    function
        ``normal_pair(first, second)``, of uint32: a pair of numbers.
    """
    real, log, sqrt, select = m.real, m.log, m.sqrt, m.select
    zero, half, one, minus_two = m.zero, m.half, m.one, real(-2)
    whole, eighth = real(2.0**-32), real(math.pi / 4 * 2.0**-29)
    s3, s5, s7, s9, s11, s13, s15 = (real(_SERIES[n]) for n in range(3, 16, 2))
    c2, c4, c6, c8, c10, c12, c14, c16 = (real(_SERIES[n]) for n in range(2, 17, 2))
    eighths, rest = np.uint32(29), np.uint32(2**29 - 1)
    w1, w2, w4 = np.uint32(1), np.uint32(2), np.uint32(4)

    @helper
    def sine(x):
        """sin(x) for 0 <= x <= pi / 4."""
        z = x * x
        return x + x * z * (s3 + z * (s5 + z * (s7 + z * (s9 + z * (s11 + z * (s13 + z * s15))))))

    @helper
    def cosine(x):
        z = x * x
        return one + z * (
            c2 + z * (c4 + z * (c6 + z * (c8 + z * (c10 + z * (c12 + z * (c14 + z * c16))))))
        )

    @helper
    def normal_pair(first, second):
        radius = sqrt(minus_two * log((real(first) + half) * whole))
        # the eighth of the circle, and how far the angle is from the nearest axis
        part = np.uint32(second >> eighths)
        left = np.uint32(second & rest)
        left = select((part & w1) == w1, np.uint32(rest - left), left)
        x = (real(left) + half) * eighth
        s, c = radius * sine(x), radius * cosine(x)
        steep = (np.uint32(part + w1) & w2) == w2
        a, b = select(steep, s, c), select(steep, c, s)
        left_half, lower_half = (np.uint32(part + w2) & w4) == w4, (part & w4) == w4
        return select(left_half, zero - a, a), select(lower_half, zero - b, b)

    return normal_pair


@functools.cache
def array_normals(dtype=np.float64):
    """The same function for NumPy's arrays."""
    return normals(library.arrays(dtype), lambda function: function)
