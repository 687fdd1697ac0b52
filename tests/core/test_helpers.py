"""How helpers are compiled: without Numba's counting of references to arrays."""

import operator
import sys

import numba
import numpy as np
import pytest
from numba.core.compiler import Flags
from numba.core.errors import CompilerError
from numba.core.runtime import _nrt_python, rtsys
from numba.extending import overload

from nnjit.core.frame import address_of, view
from nnjit.core.helpers import _QuickFlags, _Remembering
from nnjit.core.jit import elementwise, inline, kernel, viewing

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")


@inline
def second_half(x):
    return x[x.size // 2 :]


@inline
def sum_of_slices(x):
    half = x[x.size // 2 :]
    total = 0.0
    for value in half:
        total += value
    pair = (x[:1], half.reshape((half.size, 1)))
    return total + pair[0][0]


@inline
def filling(x):
    return np.full(1000, x[1])[-1] + x[0]


@inline
def adding(x):
    return (x + x)[1] - x[0]


@inline
def choosing(x):
    return x[x > x[0]][1]


@inline
def copying(x):
    return x.copy()[2]


@viewing
def allocating_view(x):
    return np.zeros(x.size)[1:]


@viewing
def view_of_half(address, n):
    return view(address, n, np.float64(0))[n // 2 :]


@pytest.mark.parametrize("helper", [second_half, allocating_view])
def test_a_helper_must_not_return_what_somebody_owns(helper):
    def function(x):
        return helper(x)[0]

    with pytest.raises(CompilerError, match=f"{helper.__name__} returns an array that somebody"):
        kernel(function)(np.arange(4.0))


@pytest.mark.parametrize("helper", [filling, adding, choosing, copying])
def test_a_helper_frees_what_it_makes(helper):
    def function(x):
        return helper(x)

    compiled, x = kernel(function), np.arange(1.0, 5.0)
    compiled(x)
    _nrt_python.memsys_enable_stats()
    try:
        before = rtsys.get_allocation_stats()
        assert [compiled(x) for _ in range(100)] == [3.0] * 100
        after = rtsys.get_allocation_stats()
    finally:
        _nrt_python.memsys_disable_stats()
    assert after.alloc - before.alloc == after.free - before.free >= 100


def test_references_to_an_array_are_left_alone():
    def function(x):
        return sum_of_slices(x)

    x = np.arange(6.0)
    compiled, before = kernel(function), sys.getrefcount(x)
    for _ in range(100):
        assert compiled(x) == 3.0 + 4.0 + 5.0 + 0.0
    assert sys.getrefcount(x) == before


def test_a_view_owns_nothing():
    def function(address, n):
        return view_of_half(address, n)[0]

    x = np.arange(6.0)
    compiled, before = kernel(function), sys.getrefcount(x)
    assert [compiled(address_of(x), 6) for _ in range(100)] == [3.0] * 100
    assert sys.getrefcount(x) == before


def test_flags_are_equal_when_numba_says_so():
    one, other = Flags(), Flags()
    one.nrt, other.nrt, other.release_gil = True, True, True
    quick = _QuickFlags(one)
    assert quick == one
    assert one == quick
    assert quick != other
    assert other != quick
    assert hash(quick) == hash(one)
    same = _QuickFlags(one)
    same.release_gil = False  # its default, said
    assert quick == same
    assert (quick == 1) is False


def halved(x):
    raise NotImplementedError


@overload(halved)
def _halved(x):
    return lambda x: x * x.dtype.type(0.5) if hasattr(x, "dtype") else x * 0.5


@inline
def halving_freely(x, i):
    return halved(x[i]) + x[i]


@elementwise
def halving_exactly(x, i):
    return halved(x[i]) + x[i]


def test_operators_are_remembered_and_what_is_compiled_is_not():
    def function(x):
        return halving_freely(x, 1) + halving_exactly(x, 1)

    for dtype in (np.float32, np.float64, np.int32):
        assert kernel(function)(np.array([1, 4], dtype)) == 12
    names = {key[0].typing_key for key in _Remembering.known}
    assert {operator.getitem, operator.add} <= names
    assert halved not in names
    for (function, args), signature in _Remembering.known.items():
        assert function.get_impl_key(signature) is function.typing_key
        assert len(args) == len(signature.args)
