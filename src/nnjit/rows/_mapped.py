"""Rows of another source behind a function, such as a fitted scaler's `transform`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnjit._types import Array
from nnjit.rows._source import ArrayRows, RowSource, documented, source_of

__all__ = ["MappedRows"]


class MappedRows(RowSource):
    """Rows that a function makes of others when they are read.

    Parameters
    ----------
    X : ndarray, numpy.memmap, HDF5 or Zarr array, or RowSource
        The rows that are read.
    function : callable
        Takes a block of rows and returns as many, each of which depends on that row alone: a fitted
        transformer's ``transform``, or a function of arrays. It is called for each block of each
        epoch, and for the first row to see what comes out.

    Attributes
    ----------
    shape : tuple of int
        Of the rows that come out.
    dtype : numpy dtype
        Of their values.

    Raises
    ------
    TypeError
        If X gives no slices of rows, or sparse rows come out.
    ValueError
        If another number of rows comes out than goes in.

    Examples
    --------
    Pixels of 8 bits, as a network takes them best:

    >>> import numpy as np
    >>> from nnjit.rows import MappedRows
    >>> pixels = np.arange(256, dtype=np.uint8).reshape(4, 64)
    >>> rows = MappedRows(pixels, lambda block: block.astype(np.float32) / 255)
    >>> rows.shape, rows.dtype, float(rows[3:].max())
    ((4, 64), dtype('float32'), 1.0)

    Standardized, with a scaler that has gone through the blocks:

    >>> from sklearn.preprocessing import StandardScaler
    >>> from nnjit.rows import blocks
    >>> scaler = StandardScaler()
    >>> for block in blocks(pixels):
    ...     _ = scaler.partial_fit(block)
    >>> bool(abs(MappedRows(pixels, scaler.transform)[:].mean()) < 1e-12)
    True
    """

    def __init__(self, X: Any, function: Callable[[Array], Any]) -> None:
        source = ArrayRows(X) if isinstance(X, np.ndarray) else source_of(X)
        if source is None:
            raise TypeError(f"MappedRows takes what gives slices of rows, got {type(X)!r}.")
        self.source, self.function = source, function
        first = self.read(0, min(1, len(source)))
        self.shape, self.dtype = (len(source), *first.shape[1:]), first.dtype

    def read(self, start: int, stop: int) -> Array:
        """Return the rows start, ..., stop - 1 behind the function.

        Parameters
        ----------
        start, stop : int
            From 0 to the number of rows.

        Returns
        -------
        rows : ndarray of shape (stop - start, ...)
            What the function makes of them.
        """
        made = self.function(self.source.read(start, stop))
        if hasattr(made, "tocsr"):
            raise TypeError("The function of MappedRows returns a sparse matrix: .toarray() it.")
        rows = np.asarray(made)
        if len(rows) != stop - start:
            raise ValueError(
                f"The function of MappedRows returns {len(rows)} rows for {stop - start}."
            )
        return rows

    @documented
    def block_starts(self, n_rows: int) -> NDArray[np.int64]:
        return self.source.block_starts(n_rows)
