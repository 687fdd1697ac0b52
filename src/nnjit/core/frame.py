"""The frame: one int64 vector that tells a task where everything is.

Kernels that share out work are called through their address (see task.py), so their
arguments are a few integers; everything else is found in the frame: addresses of arrays,
sizes, strides and codes. The caller of a kernel keeps the arrays alive.
"""

from enum import IntEnum, auto, unique

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

__all__ = ["FRAME_SIZE", "Field", "address_of", "view"]


@unique
class Field(IntEnum):
    """Entries of a frame. Names ending in _AT are addresses."""

    LAYERS_AT = 0  # (N_LAYERS, FIELDS) int64
    N_LAYERS = auto()
    PARAMS_AT = auto()  # (N_FLAT,)
    N_FLAT = auto()
    N_WEIGHTS = auto()
    UNITS_TOTAL = auto()
    WIDEST = auto()
    LOSS = auto()
    # samples
    X_AT = auto()
    X_SIZE = auto()
    X_ROW = auto()
    X_COLUMN = auto()  # 0 for CSR
    INDICES_AT = auto()  # (X_SIZE,) int32
    INDPTR_AT = auto()  # (N_SAMPLES + 1,) int64
    N_SAMPLES = auto()
    TARGETS_AT = auto()  # (N_SAMPLES * outputs,)
    LABELS_AT = auto()  # (N_SAMPLES,) int32
    WEIGHTS_AT = auto()  # (N_SAMPLES,) or 0
    # work
    WORK_AT = auto()  # (slots * WORK_SIZE,)
    WORK_SIZE = auto()
    WORK_BYTES = auto()  # of one slot
    BLOCK_ROWS = auto()
    STRIDE = auto()
    # training
    GRADS_AT = auto()  # (SLOTS * N_FLAT,)
    SLOTS = auto()
    FIRST_AT = auto()  # (N_FLAT,)
    SECOND_AT = auto()  # (N_FLAT,) or 0
    HYPER_AT = auto()  # (HYPER,) float64
    CLOCK_AT = auto()  # (CLOCK,) float64
    SOLVER = auto()
    N_ORDER = auto()  # rows of an epoch: length of the order
    RANGE_SIZE = auto()
    BATCH_SIZE = auto()
    # prediction
    OUT_AT = auto()  # (N_SAMPLES * outputs,)
    LOGITS = auto()


FRAME_SIZE = len(Field)


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

    def __init__(self, address, n, typestr):
        self.__array_interface__ = {
            "data": (address, False),
            "shape": (n,),
            "typestr": typestr,
            "version": 3,
        }


def memory_view(address, n, like):
    """Writable array of n elements of the type of `like` at an address."""
    if n == 0 or address == 0:
        return np.empty(0, like.dtype)
    return np.asarray(_Memory(int(address), int(n), like.dtype.str))


view = memory_view if numba.config.DISABLE_JIT else _view


def address_of(array):
    """Address of an array's first element."""
    return array.__array_interface__["data"][0]
