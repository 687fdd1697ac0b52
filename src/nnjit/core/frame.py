"""The frame: one int64 vector that tells a job where everything is.

A job is called through the address of one C function (see job.py) and its only argument is
the address of the frame; everything else is found in the frame: addresses of arrays,
sizes, strides and codes. The caller of a kernel keeps the arrays alive.
"""

import ctypes
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
    UNITS_TOTAL = auto()
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
    ORDER_AT = auto()  # (EPOCHS, N_ORDER) int64
    N_ORDER = auto()  # rows of an epoch
    EPOCHS = auto()
    EPOCH_BATCHES = auto()  # minibatches of an epoch
    # the job and its progress
    JOB = auto()  # one of job.py's
    FIRST = auto()  # minibatches, or runs of rows
    LAST = auto()
    STATE_AT = auto()  # (STATE,) int64
    CLAIMS_AT = auto()  # (N_CLAIMS,) int64, as many as a phase has tasks
    N_CLAIMS = auto()
    WORKERS = auto()
    REPORT_AT = auto()  # (REPORT,) float64
    EPOCH_LOSSES_AT = auto()  # (EPOCHS,) float64
    # blocks of rows
    WORK_AT = auto()  # (slots * WORK_SIZE,), or one for every worker in prediction
    WORK_SIZE = auto()
    WORK_BYTES = auto()  # of one
    BLOCK_ROWS = auto()
    STRIDE = auto()
    BATCH_SIZE = auto()  # or rows of a run
    SLOTS = auto()
    LOSSES_AT = auto()  # (SLOTS,) float64
    # ranges of parameters
    RANGES_AT = auto()  # (N_RANGES, RANGE_FIELDS) int64
    N_RANGES = auto()
    SQUARES_AT = auto()  # (N_RANGES,) float64
    FUSED = auto()  # 1: a range computes its own gradient, in its worker's scratch
    SCRATCH_AT = auto()  # (workers * SCRATCH_SIZE,)
    SCRATCH_SIZE = auto()
    SCRATCH_BYTES = auto()  # of one
    GRADS_AT = auto()  # (SLOTS * N_FLAT,) unless fused
    FIRST_AT = auto()  # (N_FLAT,)
    SECOND_AT = auto()  # (N_FLAT,) or 0
    HYPER_AT = auto()  # (HYPER,) float64
    CLOCK_AT = auto()  # (CLOCK,) float64
    SOLVER = auto()
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
    try:  # a fifth of the time of the other way
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    except (BufferError, TypeError, ValueError):  # read-only, strided, without elements
        return array.__array_interface__["data"][0]
