"""Predictions of collections: made part by part when they are asked for."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import dask.array as da
import numpy as np
from dask.delayed import delayed

from nnjit.dask._cluster import is_collection, pieces_of, refuse_without_rows
from nnjit.dask._part import company

__all__ = ["lazily"]

_Method = TypeVar("_Method", bound=Callable[..., Any])


def lazily(method: _Method) -> _Method:
    """Have a method of rows take collections of them too; of these it returns Dask arrays."""

    @functools.wraps(method)
    def of_parts(self: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_collection(X):
            return method(self, X, *args, **kwargs)
        return _predicted(self, method.__name__, X, args, kwargs)

    return cast(_Method, of_parts)


def _predicted(estimator: Any, name: str, X: Any, args: Any, kwargs: Any) -> Any:
    refuse_without_rows("X", X)
    local = estimator.to_local()
    # One row tells of which type and shape the others will be, and what is wrong with the call.
    example = getattr(local, name)(_one_row(X), *args, **kwargs)
    model = delayed(local, pure=False, traverse=False)
    of_part = delayed(_of_part, pure=False)
    parts = [of_part(model, name, part, args, kwargs, example) for part in pieces_of(X)]
    sizes = X.chunks[0] if hasattr(X, "chunks") else [np.nan] * len(parts)
    if isinstance(example, list):  # an array for each column of classes
        return [
            _joined([part[number] for part in parts], sizes, one)
            for number, one in enumerate(example)
        ]
    return _joined(parts, sizes, example)


def _one_row(X: Any) -> Any:
    if hasattr(X, "columns"):
        import pandas

        return pandas.DataFrame(np.zeros((1, len(X.columns))), columns=list(X.columns))
    if X.ndim != 2:
        raise ValueError(f"Expected 2D array, got {X.ndim}D array instead.")
    return np.zeros((1, X.shape[1]))


def _joined(parts: list[Any], sizes: Any, example: Any) -> Any:
    arrays = [
        da.from_delayed(part, (size, *example.shape[1:]), dtype=example.dtype)
        for part, size in zip(parts, sizes)
    ]
    return da.concatenate(arrays, allow_unknown_chunksizes=True)


def _of_part(model: Any, name: str, X: Any, args: Any, kwargs: Any, example: Any) -> Any:
    """Return what a method of a fitted estimator makes of a part."""
    if not X.shape[0]:
        return [one[:0] for one in example] if isinstance(example, list) else example[:0]
    with _cores():
        return getattr(model, name)(X, *args, **kwargs)


def _cores() -> Any:
    """Return a block in which this thread has its worker's cores alone, if it is a worker's."""
    try:
        return company().joined()
    except ValueError:
        return contextlib.nullcontext()
