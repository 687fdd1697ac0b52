"""Samples on the device: host arrays are copied once, device arrays not at all."""

import dataclasses
import functools
import importlib

import numpy as np

from nnjit.backends.cuda._cuda import (
    SIMULATED,
    as_device_array,
    cuda,
    flat_view,
    is_device_array,
    kernel,
    launch,
)
from nnjit.backends.cuda.memory import allocate, upload

__all__ = ["DeviceRows", "device_rows"]

THREADS, MOST_BLOCKS = (4, 2) if SIMULATED else (128, 1024)


@dataclasses.dataclass(frozen=True)
class DeviceRows:
    """A matrix on the device.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    x : device array
        Values; element (i, j) of a dense matrix is ``x[i * row + j * column]``.
    row, column : int
        0 for CSR.
    indices, indptr : device array
        Of CSR.
    given : device array or None
        The array of another library that this is a view of or was copied from; its memory lives
        as long as this does.
    """

    shape: tuple
    dtype: np.dtype
    x: object
    row: int
    column: int
    indices: object
    indptr: object
    given: object = None

    def stand_in(self):
        """A host array of the same shape and type that takes no memory."""
        return np.broadcast_to(np.zeros((), self.dtype), self.shape)

    def take(self, numbers):
        """Copy of some rows of a dense matrix."""
        return _copied(self.x, self.row, self.column, numbers, self.shape[1], self.dtype)

    def to_host(self, first=None):
        """Host copy of the first rows of a dense matrix, or of all."""
        numbers = np.arange(self.shape[0])[:first]
        return (
            self.take(numbers)
            .x.copy_to_host()[: len(numbers) * self.shape[1]]
            .reshape(len(numbers), self.shape[1])
        )

    def all_finite(self):
        """Whether no value of a dense matrix is NaN or infinite."""
        found = upload("A check of the input", np.zeros(1, np.int32))
        launch(
            _find_non_finite(), _blocks(self.shape), THREADS, self.x, self.row, self.column,
            *self.shape, found,
        )  # fmt: skip
        return not found.copy_to_host()[0]

    def like_given(self, result):
        """A result, on the device or the host, in the kind of array that was given.

        What a device cannot hold (labels that are text) stays a NumPy array.
        """
        if self.given is None or result.dtype.kind not in "biuf":
            return result
        if isinstance(result, np.ndarray):
            result = cuda.to_device(np.ascontiguousarray(result))
        library = type(self.given).__module__.partition(".")[0]
        if library == "cupy":
            return importlib.import_module(library).asarray(result)
        if library == "torch":
            return importlib.import_module(library).as_tensor(result, device=self.given.device)
        return result


def device_rows(X, dtype=None):
    """Rows of a host matrix (dense or CSR), or of any library's device matrix, in one precision.

    Without a `dtype` float32 stays so and every other type becomes float64. CSR is kept as it is;
    kernels write the rows of a minibatch out densely.
    """
    if is_device_array(X):
        return _from_device(as_device_array(X), dtype, X)
    dtype = X.dtype if dtype is None else np.dtype(dtype)
    if isinstance(X, DeviceRows):
        if X.dtype == dtype:
            return X
        n = np.arange(X.shape[0])
        copy = _copied(X.x, X.row, X.column, n, X.shape[1], dtype)
        return dataclasses.replace(copy, given=X.given)
    shape, purpose = tuple(X.shape), "The input"
    if hasattr(X, "indptr"):
        if not X.has_canonical_format:  # two threads must not write to one element
            X = X.copy()
            X.sum_duplicates()
        x = upload(purpose, X.data.astype(dtype, copy=False))
        indices = upload(purpose, X.indices.astype(np.int32, copy=False))
        indptr = upload(purpose, X.indptr.astype(np.int64, copy=False))
        return DeviceRows(shape, dtype, x, 0, 0, indices, indptr)
    by_columns = X.flags.f_contiguous and not X.flags.c_contiguous
    x = upload(purpose, (X.T if by_columns else X).astype(dtype.newbyteorder("="), copy=False))
    row, column = (1, shape[0]) if by_columns else (shape[1], 1)
    return DeviceRows(shape, dtype, x, row, column, *_no_indices())


def _no_indices():
    made = allocate("The input", indices=(1, np.int32), indptr=(1, np.int64))
    return made["indices"], made["indptr"]


def _from_device(array, dtype, owner):
    if array.ndim != 2:
        raise ValueError(f"Expected 2D array, got {array.ndim}D array instead.")
    if dtype is None:
        dtype = np.float32 if array.dtype == np.float32 else np.float64
    dtype = np.dtype(dtype)
    shape, item = tuple(array.shape), np.dtype(array.dtype).itemsize
    row, column = (stride // item for stride in array.strides)
    if row <= 0 or column <= 0:
        raise ValueError("A device array must not be reversed or broadcast; pass a copy.")
    x = flat_view(array)
    if array.dtype == dtype:
        return DeviceRows(shape, dtype, x, row, column, *_no_indices(), owner)
    copy = _copied(x, row, column, np.arange(shape[0]), shape[1], dtype)
    return dataclasses.replace(copy, given=owner)


def _copied(x, row, column, numbers, n_columns, dtype):
    shape = len(numbers), int(n_columns)
    target = allocate("The input", x=(shape[0] * shape[1], dtype))["x"]
    order = upload("The input", np.asarray(numbers, np.int64))
    launch(_copy(), _blocks(shape), THREADS, x, row, column, order, *shape, target)
    return DeviceRows(shape, np.dtype(dtype), target, shape[1], 1, *_no_indices())


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
            gap = value - value
            if gap != gap:
                found[0] = 1  # whoever writes writes the same

    return kernel(find)
