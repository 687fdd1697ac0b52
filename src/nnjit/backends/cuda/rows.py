"""Samples on the device: host arrays are copied once, device arrays not at all."""

import functools
from typing import NamedTuple

import numpy as np

from nnjit.backends.cuda._cuda import (
    SIMULATED,
    as_device_array,
    cuda,
    flat_view,
    is_device_array,
    kernel,
)
from nnjit.backends.cuda.memory import allocate, upload

__all__ = ["DeviceRows", "all_finite", "device_rows", "take_rows"]

THREADS, MOST_BLOCKS = (4, 2) if SIMULATED else (128, 1024)


class DeviceRows(NamedTuple):
    """A matrix on the device; `row` is 0 for CSR."""

    shape: tuple
    dtype: np.dtype
    x: object  # (values,)
    row: int
    column: int
    indices: object
    indptr: object
    owner: object  # what keeps the memory alive


def device_rows(X, dtype):
    """Rows of a host matrix (dense or CSR), or of any library's device matrix, in one precision.

    CSR is kept as it is; kernels write the rows of a minibatch out densely.
    """
    if isinstance(X, DeviceRows):
        return X
    dtype = np.dtype(dtype)
    if is_device_array(X):
        return _from_device(as_device_array(X), dtype, X)
    shape, purpose = tuple(X.shape), "The input"
    if hasattr(X, "indptr"):
        if not X.has_canonical_format:  # two threads must not write to one element
            X = X.copy()
            X.sum_duplicates()
        x = upload(purpose, X.data.astype(dtype, copy=False))
        indices = upload(purpose, X.indices.astype(np.int32, copy=False))
        indptr = upload(purpose, X.indptr.astype(np.int64, copy=False))
        return DeviceRows(shape, dtype, x, 0, 0, indices, indptr, None)
    by_columns = X.flags.f_contiguous and not X.flags.c_contiguous
    x = upload(purpose, (X.T if by_columns else X).astype(dtype.newbyteorder("="), copy=False))
    row, column = (1, shape[0]) if by_columns else (shape[1], 1)
    return DeviceRows(shape, dtype, x, row, column, *_no_indices(), None)


def _no_indices():
    made = allocate("The input", indices=(1, np.int32), indptr=(1, np.int64))
    return made["indices"], made["indptr"]


def _from_device(array, dtype, owner):
    shape, item = tuple(array.shape), np.dtype(array.dtype).itemsize
    row, column = (stride // item for stride in array.strides)
    if row <= 0 or column <= 0:
        raise ValueError("A device array must not be reversed or broadcast; pass a copy.")
    x = flat_view(array)
    if array.dtype == dtype:
        return DeviceRows(shape, dtype, x, row, column, *_no_indices(), (array, owner))
    return _copied(x, row, column, np.arange(shape[0]), shape[1], dtype)


def take_rows(rows, numbers):
    """Copy of some rows of a dense matrix."""
    return _copied(rows.x, rows.row, rows.column, numbers, rows.shape[1], rows.dtype)


def _copied(x, row, column, numbers, n_columns, dtype):
    shape = len(numbers), int(n_columns)
    target = allocate("The input", x=(shape[0] * shape[1], dtype))["x"]
    order = upload("The input", np.asarray(numbers, np.int64))
    _copy()[_blocks(shape), THREADS](x, row, column, order, shape[0], shape[1], target)
    return DeviceRows(shape, np.dtype(dtype), target, shape[1], 1, *_no_indices(), None)


def all_finite(rows):
    """Whether no value is NaN or infinite."""
    found = upload("A check of the input", np.zeros(1, np.int32))
    _find_non_finite()[_blocks(rows.shape), THREADS](
        rows.x, rows.row, rows.column, *rows.shape, found
    )
    return not found.copy_to_host()[0]


def _blocks(shape):
    return max(1, min(MOST_BLOCKS, -(-shape[0] * shape[1] // THREADS)))


@functools.cache
def _copy():
    def copy(x, row, column, order, n_rows, n_columns, target):
        for e in range(cuda.grid(1), n_rows * n_columns, cuda.gridsize(1)):
            target[e] = x[order[e // n_columns] * row + e % n_columns * column]

    return kernel(copy)


@functools.cache
def _find_non_finite():
    def find(x, row, column, n_rows, n_columns, found):
        for e in range(cuda.grid(1), n_rows * n_columns, cuda.gridsize(1)):
            value = x[e // n_columns * row + e % n_columns * column]
            if value - value != 0:
                found[0] = 1  # whoever writes writes the same

    return kernel(find)
