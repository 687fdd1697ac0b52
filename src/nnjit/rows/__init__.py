"""Rows that are not in memory: files of any size, read block by block while a network trains.

`fit` and `predict` take ``numpy.memmap``, HDF5 and Zarr arrays as they are, with
``shuffle='blocks'``. Here is what makes rows of other things: `ParquetRows` of Parquet files,
`MappedRows` of other rows and a function such as a fitted scaler's ``transform``, and `RowSource`,
the base of one's own. `blocks` goes through any of them, for whatever learns by ``partial_fit``.
"""

from __future__ import annotations

from nnjit.rows._mapped import MappedRows
from nnjit.rows._parquet import ParquetRows
from nnjit.rows._source import RowSource, blocks

__all__ = ["MappedRows", "ParquetRows", "RowSource", "blocks"]
