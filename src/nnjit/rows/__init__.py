"""Rows that are not in memory: files of any size, read block by block while a network trains.

`fit` and `predict` take ``numpy.memmap``, HDF5 and Zarr arrays as they are, with
``shuffle='blocks'``. Here is what makes rows of other things: `ParquetRows` of Parquet files,
`MappedRows` of other rows and a function such as a fitted scaler's ``transform``, and `RowSource`,
the base of one's own. `blocks` goes through any of them, for whatever learns by ``partial_fit``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nnjit.rows._source import RowSource, blocks

__all__ = ["MappedRows", "ParquetRows", "RowSource", "blocks"]

# Imported when they are first asked for: estimators import this room, and with it everybody.
_LATER = {"MappedRows": "nnjit.rows._mapped", "ParquetRows": "nnjit.rows._parquet"}

if TYPE_CHECKING:
    from nnjit.rows._mapped import MappedRows
    from nnjit.rows._parquet import ParquetRows
else:

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module 'nnjit.rows' has no attribute {name!r}")
        found = getattr(importlib.import_module(_LATER[name]), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
