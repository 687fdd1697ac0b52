"""Typed records: what kernels are told, in memory that Python fills.

A record is declared once, as a class with annotated fields; the NumPy dtype that Python writes and
the Numba type that kernels read come from there. A field that does not exist is an error when the
kernel is compiled. Kernels get the address of a record, and `reader` makes what finds the record
there; whoever calls a kernel keeps the memory.
"""

import ctypes

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

__all__ = ["Record", "address_of", "reader", "view"]


class Record:
    """Base of the declarations: fields are annotated `int` (counts, addresses) or `float`.

    Both take eight bytes. `dtype` is the NumPy type of one record, `places` the place of each field
    in a record that is seen as eight-byte numbers, which is the quickest to write; `reals` are the
    fields that are floats.
    """

    dtype: np.dtype
    places: dict
    reals: frozenset

    def __init_subclass__(cls):
        kinds = {int: np.int64, float: np.float64, "int": np.int64, "float": np.float64}
        fields = {}
        for base in reversed(cls.__mro__):
            fields |= vars(base).get("__annotations__", {}) if base is not Record else {}
        cls.dtype = np.dtype([(name, kinds[kind]) for name, kind in fields.items()])
        cls.places = {name: place for place, name in enumerate(fields)}
        cls.reals = frozenset(name for name, kind in fields.items() if kind in (float, "float"))

    @classmethod
    def table(cls, n):
        """Array of n records of zeros."""
        return np.zeros(n, cls.dtype)


def reader(record):
    """Function of compiled code that returns the record at an address."""
    if numba.config.DISABLE_JIT:
        structure = _structure(record)
        return lambda address: structure.from_address(int(address))
    kind = numba.from_dtype(record.dtype)

    @intrinsic
    def record_at(typingctx, address):
        def codegen(context, builder, signature, values):
            return builder.inttoptr(values[0], context.get_value_type(kind))

        return kind(types.int64), codegen

    return record_at


def _structure(record):
    """The record as a structure of plain Python, for when nothing is compiled."""
    kinds = {"i": ctypes.c_int64, "f": ctypes.c_double}
    fields = [(name, kinds[record.dtype[name].kind]) for name in record.dtype.names]

    def write(self, name, value):
        ctypes.Structure.__setattr__(self, name, getattr(value, "item", lambda: value)())

    return type(record.__name__, (ctypes.Structure,), {"_fields_": fields, "__setattr__": write})


@intrinsic
def _view(typingctx, address, n, like):
    kind = types.Array(like, 1, "C")

    def codegen(context, builder, signature, args):
        array = context.make_array(kind)(context, builder)
        itemsize = context.get_constant(types.intp, like.bitwidth // 8)
        context.populate_array(
            array,
            data=builder.inttoptr(args[0], array.data.type),
            shape=[args[1]],
            strides=[itemsize],
            itemsize=itemsize,
            meminfo=None,
        )
        return array._getvalue()

    return kind(types.int64, types.int64, like), codegen


class _Memory:
    """NumPy's array interface over a raw address."""

    def __init__(self, address, n, dtype):
        self.__array_interface__ = {
            "data": (address, False),
            "shape": (n,),
            "typestr": dtype.str,
            "version": 3,
        }


def memory_view(address, n, like):
    """Writable array of n elements of the type of `like` at an address."""
    if n == 0 or address == 0:
        return np.empty(0, like.dtype)
    return np.asarray(_Memory(int(address), int(n), like.dtype))


view = memory_view if numba.config.DISABLE_JIT else _view


def address_of(array):
    """Address of an array's first element."""
    try:  # a fifth of the time of the other way
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    except (BufferError, TypeError, ValueError):  # read-only, strided, without elements
        return array.__array_interface__["data"][0]
