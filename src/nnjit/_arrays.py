"""Arrays as kernels want them: real, native, contiguous, writable; and outputs to match."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nnjit._types import Array

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


def real(values: ArrayLike, name: str, *, any_order: bool = False) -> Array:
    """`values` as a C-contiguous (or, with any_order, F-contiguous) float32/float64 array.

    The array itself where it is one already. A read-only array is copied: kernels are
    compiled for writable ones only, and twice the signatures would compile twice as long.
    """
    array = np.asarray(values)
    dtype = array.dtype
    if dtype != DOUBLE and dtype != SINGLE:
        if dtype.kind not in "biuf":
            raise TypeError(f"{name} must hold real numbers, got dtype {dtype}")
        array = array.astype(SINGLE if dtype == SINGLE.newbyteorder() else DOUBLE)
    flags = array.flags
    if flags.writeable and (flags.c_contiguous or (any_order and flags.f_contiguous)):
        return array
    return np.array(array, order="C", ndmin=0)


def same_dtype(*arrays: Any) -> Any:
    """The arrays in float32 if all are, else in float64; None stays None."""
    dtypes = {array.dtype for array in arrays if array is not None}
    if len(dtypes) == 1:
        return arrays
    return tuple(None if array is None else array.astype(DOUBLE, copy=False) for array in arrays)


def output(
    out: Array | None, shape: tuple[int, ...], dtype: np.dtype[Any], *inputs: Array | None
) -> tuple[Array, Array]:
    """(array to return, array to compute in) for an optional `out`.

    They differ where `out` is strided, byte-swapped or partly overlaps an input. The second
    is an input only where `out` is that very array.
    """
    if out is None:
        result = np.empty(shape, dtype)
        return result, result
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {out.shape}")
    if out.dtype.newbyteorder("=") != dtype:
        raise TypeError(f"out must have dtype {dtype}, got {out.dtype}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    if any(out is array for array in inputs):
        return out, out
    if (
        out.flags.c_contiguous
        and out.dtype == dtype
        and not any(a is not None and np.may_share_memory(out, a) for a in inputs)
    ):
        return out, out
    return out, np.empty(shape, dtype)


def apart(target: Array, *inputs: Array | None) -> Array:
    """`target`, or a fresh array where it is one of the inputs."""
    if any(target is array for array in inputs):
        return np.empty_like(target)
    return target


def deliver(result: Array, target: Array) -> Array:
    """Copy what was computed to where the caller wants it."""
    if result is not target:
        result[...] = target
    return result


def check_same_shape(a: Array, a_name: str, b: Array, b_name: str) -> None:
    if a.shape != b.shape:
        raise ValueError(
            f"{a_name} and {b_name} must have the same shape, got {a.shape} and {b.shape}"
        )


def check_shape(array: Array, name: str, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")


def check_matrix(array: Array, name: str) -> None:
    if array.ndim != 2:
        raise ValueError(f"{name} must have 2 dimensions, got {array.ndim}")


def check_rows(array: Array, name: str) -> None:
    """A vector or matrix with at least one column."""
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} must have 1 or 2 dimensions, got {array.ndim}")
    if array.shape[-1] == 0:
        raise ValueError(f"{name} must have at least one column, got shape {array.shape}")
