"""What has rows that are read from a start to a stop, and how other libraries' arrays become it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nnjit._types import Array

__all__ = [
    "BLOCK_BYTES",
    "ArrayRows",
    "RowSource",
    "block_rows",
    "blocks",
    "documented",
    "source_of",
    "whole",
]

# Of what is read at once: long enough for a disk that turns, and a sixteenth of what is shuffled.
BLOCK_BYTES = 1 << 22
# Blocks begin where chunks do if a chunk is more than this share of a block: what begins within a
# chunk reads, and unpacks, all of it.
_SHARE_OF_CHUNK = 8
# Arrays of files; all else that has these methods is asked for no more than they say.
_LIBRARIES = ("h5py", "zarr")

_Method = TypeVar("_Method", bound=Callable[..., Any])


class RowSource(ABC):
    """Rows that are read from one number to another; the base of sources of one's own.

    A subclass sets `shape` and `dtype` and has `read`. Whatever takes rows in blocks takes it:
    ``fit`` with ``shuffle='blocks'`` or ``shuffle=False``, and all predictions. `read` is called by
    a thread of its own while the network trains, by one at a time.

    Attributes
    ----------
    shape : tuple of int
        (n_samples, n_features), or (n_samples, ...) of series and images.
    dtype : numpy dtype
        Of the values, a kind of number. float32 is computed in float32, anything else in float64.

    See Also
    --------
    ParquetRows : Rows of Parquet files.
    MappedRows : Rows behind a function.

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit import MLPRegressor
    >>> from nnjit.rows import RowSource
    >>> class Waves(RowSource):
    ...     shape, dtype = (5000, 2), np.dtype(np.float32)
    ...     def read(self, start, stop):
    ...         t = np.arange(start, stop, dtype=np.float32) / 800
    ...         return np.column_stack([np.sin(t), np.cos(t)])
    >>> y = np.sin(np.arange(5000) / 400)
    >>> model = MLPRegressor(shuffle="blocks", max_iter=30, tol=0.0, random_state=0)
    >>> bool(model.set_params(n_iter_no_change=30).fit(Waves(), y).score(Waves(), y) > 0.8)
    True
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @abstractmethod
    def read(self, start: int, stop: int) -> Array:
        """Return the rows start, ..., stop - 1.

        Parameters
        ----------
        start, stop : int
            From 0 to the number of rows; `start` is below `stop`.

        Returns
        -------
        rows : ndarray of shape (stop - start, ...)
            Of the source's `dtype`; it is read before the next call and not written to.
        """

    def block_starts(self, n_rows: int) -> NDArray[np.int64]:
        """Return where blocks begin that are read whole, in ascending order, the first at 0.

        A source that is read sooner from some rows than from others gives those.

        Parameters
        ----------
        n_rows : int
            How many rows a block should have, about.

        Returns
        -------
        starts : ndarray of int64
            Numbers of rows.
        """
        return np.arange(0, len(self), n_rows, dtype=np.int64)

    @property
    def feature_names(self) -> list[str] | None:
        """Names of the features, None where they have none."""
        return None

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Array:
        if not isinstance(rows, slice):
            raise TypeError(
                f"{type(self).__name__} gives slices of rows, X[start:stop]; what takes rows in "
                "any order, such as cross-validation, needs an array in memory, X[:]."
            )
        start, stop, step = rows.indices(len(self))
        found = self.read(start, max(start, stop)) if start < stop else self._nothing()
        return found[::step] if step > 0 else self[stop + 1 : start + 1][::step]

    def __array__(self, *others: Any, **more: Any) -> Array:
        raise TypeError(
            f"{type(self).__name__} is read in slices of rows; what needs all of them at once, such"
            " as another estimator, takes an array in memory, X[:]."
        )

    def _nothing(self) -> Array:
        return np.empty((0, *self.shape[1:]), self.dtype)


def documented(method: _Method) -> _Method:
    """Give a public source's method the docstring of `RowSource`'s, where it says all."""
    method.__doc__ = getattr(RowSource, method.__name__).__doc__
    return method


class ArrayRows(RowSource):
    """Rows of what has a shape, a dtype and gives slices: arrays of NumPy, h5py, Zarr, one's own.

    Parameters
    ----------
    array : object
    """

    def __init__(self, array: Any) -> None:
        self.array = array
        self.shape = tuple(int(size) for size in array.shape or ())  # None: HDF5's nothing
        self.dtype = np.dtype(array.dtype)

    def read(self, start: int, stop: int) -> Array:
        return np.asarray(self.array[start:stop])

    def block_starts(self, n_rows: int) -> NDArray[np.int64]:
        chunks = getattr(self.array, "chunks", None)
        chunk = chunks[0] if isinstance(chunks, tuple) and chunks else 1
        if isinstance(chunk, int) and chunk * _SHARE_OF_CHUNK > n_rows:
            n_rows = max(1, round(n_rows / chunk)) * chunk
        return super().block_starts(n_rows)


def source_of(X: Any, memmaps: bool = False) -> RowSource | None:
    """Return X as a source if it is none of the arrays that lie in memory; else None.

    Parameters
    ----------
    X : object
    memmaps : bool, default=False
        Whether a ``numpy.memmap``, which may be used as an array too, is to be one.
    """
    if isinstance(X, RowSource):
        return X
    if isinstance(X, np.ndarray):
        return ArrayRows(X) if memmaps and isinstance(X, np.memmap) else None
    if isinstance(X, list | tuple | dict | str | bytes):
        return None
    if not all(hasattr(X, name) for name in ("shape", "dtype", "__getitem__")):
        return None
    if of_a_file(X) or not (hasattr(X, "__array__") or hasattr(X, "tocsr") or hasattr(X, "iloc")):
        return ArrayRows(X)
    return None


def of_a_file(X: Any) -> bool:
    """Whether X is an array in a file, HDF5's or Zarr's; neither library is imported for it."""
    return type(X).__module__.partition(".")[0] in _LIBRARIES


def whole(array: Any) -> Any:
    """Return an array of a file, or a source, read into memory; anything else unchanged."""
    return array[:] if isinstance(array, RowSource) or of_a_file(array) else array


def block_rows(width: int, itemsize: int) -> int:
    """Return how many rows of so many values a block has: a power of two.

    Chunks of files mostly have powers of two too, so that blocks are made of whole ones.
    """
    return 1 << int(math.log2(max(1, BLOCK_BYTES // max(1, width * itemsize))))


def blocks(X: Any, n_rows: int | None = None) -> Iterator[Array]:
    """Yield all rows in order, block by block.

    Parameters
    ----------
    X : ndarray, numpy.memmap, HDF5 or Zarr array, or RowSource
        Rows.
    n_rows : int, default=None
        Rows of a block; if None, as many as are 4 MB, or those of whole chunks or row groups.

    Yields
    ------
    block : ndarray of shape (n_rows, ...)
        Of the last block there may be less.

    Raises
    ------
    TypeError
        If X gives no slices of rows.
    ValueError
        If X has no axis of rows, or `n_rows` is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> from nnjit.rows import blocks
    >>> X, scaler = np.arange(10.0).reshape(5, 2), StandardScaler()
    >>> for block in blocks(X, n_rows=2):
    ...     _ = scaler.partial_fit(block)
    >>> scaler.mean_
    array([4., 5.])
    """
    source = ArrayRows(X) if isinstance(X, np.ndarray) else source_of(X)
    if source is None:
        raise TypeError(f"blocks takes arrays, or what gives slices of rows, got {type(X)!r}.")
    if not source.shape:
        raise ValueError("blocks takes rows, got a scalar.")
    if n_rows is None:
        n_rows = block_rows(math.prod(source.shape[1:]), np.dtype(source.dtype).itemsize)
    if n_rows < 1:
        raise ValueError(f"n_rows must be at least 1, got {n_rows}.")
    starts = source.block_starts(n_rows).tolist() if len(source) else []
    for start, stop in zip(starts, [*starts[1:], len(source)]):
        yield source.read(start, stop)
