"""Rows of Parquet files, by row groups."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nnjit._types import Array
from nnjit.rows._source import RowSource, documented

__all__ = ["ParquetRows"]

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class ParquetRows(RowSource):
    """Rows whose features are columns of Parquet files.

    What is read at once, and so a block of ``shuffle='blocks'``, is at least a row group: files of
    row groups of 4 to 64 MB serve best.

    Parameters
    ----------
    path : str, path-like, or list of these
        A file, a folder, whose files ``*.parquet`` are taken in the order of their names, or files
        in the order given. All have the same columns.
    columns : str or list of str, default=None
        The features. All but the target if None.
    target : str or list of str, default=None
        Column of the target, or several, which `y` reads and which are no features.
    dtype : dtype, default=None
        Of the features, float32 or float64; if None float32 where all are that, else float64.

    Attributes
    ----------
    shape : tuple of int
        (n_samples, n_features).
    dtype : numpy dtype
        Of the features.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    ValueError
        If there is no file or no such column, or a feature is no number or the target.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import pyarrow as pa
    >>> import pyarrow.parquet as pq
    >>> from nnjit import MLPClassifier
    >>> from nnjit.rows import ParquetRows
    >>> rng = np.random.default_rng(0)
    >>> columns = {name: rng.normal(size=2000).astype(np.float32) for name in "abc"}
    >>> table = pa.table({**columns, "label": columns["a"] > columns["b"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pq.write_table(table, f"{folder}/table.parquet", row_group_size=500)
    ...     rows = ParquetRows(folder, target="label")
    ...     model = MLPClassifier(shuffle="blocks", max_iter=40, random_state=0, tol=0.0)
    ...     score = model.set_params(n_iter_no_change=40).fit(rows, rows.y).score(rows, rows.y)
    >>> rows.shape, model.feature_names_in_.tolist(), bool(score > 0.95)
    ((2000, 3), ['a', 'b', 'c'], True)
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        columns: str | Sequence[str] | None = None,
        target: str | Sequence[str] | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        # Files are opened when they are read: a folder may have more than a process may open.
        self._files = [_File(one) for one in _files_of(path)]
        self._target = target
        targets = [target] if isinstance(target, str) else list(target or ())
        if columns is None:
            columns = [name for name in self._files[0].schema.names if name not in targets]
        self._columns = [columns] if isinstance(columns, str) else list(columns)
        self._check_columns([*self._columns, *targets])
        if {*self._columns} & {*targets}:
            raise ValueError(f"{sorted({*self._columns} & {*targets})} are features and target.")
        self.dtype = self._common_dtype() if dtype is None else np.dtype(dtype)
        if self.dtype not in _FLOATS:
            raise ValueError(f"dtype must be float32 or float64, got {dtype!r}.")
        self._groups = [
            (file, number) for file in self._files for number in range(file.metadata.num_row_groups)
        ]
        counts = [file.metadata.row_group(number).num_rows for file, number in self._groups]
        self._bounds = np.cumsum([0, *counts], dtype=np.int64)
        self.shape = (int(self._bounds[-1]), len(self._columns))
        self._last: tuple[int, Array] | None = None  # number and values of a group

    @property
    def feature_names(self) -> list[str]:
        """Names of the columns that are the features."""
        return list(self._columns)

    @property
    def y(self) -> Array:
        """The target, read whole: (n_samples,), or (n_samples, n_outputs) of several columns."""
        if self._target is None:
            raise ValueError("ParquetRows was given no target.")
        if isinstance(self._target, str):
            return self.column(self._target)
        return np.column_stack([self.column(name) for name in self._target])

    def column(self, name: str) -> Array:
        """Return a column, read whole: a target or weights of rows, say.

        Parameters
        ----------
        name : str
            Of a column of the files.

        Returns
        -------
        values : ndarray of shape (n_samples,)
            Objects where they are text.

        Raises
        ------
        ValueError
            If there is no such column.
        """
        self._check_columns([name])
        parts = []
        for file in self._files:
            with file.opened() as opened:
                parts.append(opened.read(columns=[name]).column(name).to_numpy())
        return np.concatenate(parts)

    @documented
    def block_starts(self, n_rows: int) -> NDArray[np.int64]:
        # those of row groups, of several together where they are small
        starts = [0]
        for start, stop in zip(self._bounds[:-1].tolist(), self._bounds[1:].tolist()):
            if starts[-1] < start < stop and stop - starts[-1] > n_rows:
                starts.append(start)
        return np.array(starts if len(self) else [], dtype=np.int64)

    def read(self, start: int, stop: int) -> Array:
        """Return the rows start, ..., stop - 1.

        Parameters
        ----------
        start, stop : int
            From 0 to the number of rows.

        Returns
        -------
        rows : ndarray of shape (stop - start, n_features)
            NaN where a value is missing.
        """
        first = int(np.searchsorted(self._bounds, start, side="right")) - 1
        last = int(np.searchsorted(self._bounds, stop, side="left"))
        parts = []
        for number in range(first, last):
            begin = int(self._bounds[number])
            parts.append(self._group(number)[max(start - begin, 0) : stop - begin])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _group(self, number: int) -> Array:
        """Return a row group; the last one is kept, of which the next rows often are."""
        last = self._last  # which another thread may change
        if last is not None and last[0] == number:
            return last[1]
        self._last = None
        file, place = self._groups[number]
        with file.opened() as opened:
            table = opened.read_row_group(place, columns=self._columns)
        values = np.empty((table.num_rows, len(self._columns)), self.dtype)
        for k, name in enumerate(self._columns):
            values[:, k] = table.column(name).to_numpy()
        self._last = number, values
        return values

    def _check_columns(self, names: Sequence[str]) -> None:
        for file in self._files:
            missing = sorted({*names} - {*file.schema.names})
            if missing:
                raise ValueError(f"There are no columns {missing} in the file {file.path.name}.")
            twice = sorted({name for name in names if file.schema.names.count(name) > 1})
            if twice:
                raise ValueError(f"{file.path.name} has several columns of the names {twice}.")

    def _common_dtype(self) -> np.dtype[Any]:
        """Return float32 if all features are that; refuse what is no number."""
        found = set()
        for file in self._files:
            for name in self._columns:
                kind = file.schema.field(name).type
                try:
                    dtype = np.dtype(kind.to_pandas_dtype())
                except NotImplementedError:
                    dtype = np.dtype(object)
                if dtype.kind not in "biuf":
                    raise ValueError(
                        f"Column {name!r} is of type {kind}, which is no number: name the features "
                        "in columns, or the target in target."
                    )
                found.add(dtype)
        return _FLOATS[0] if found == {_FLOATS[0]} else _FLOATS[1]


def _files_of(path: Any) -> list[Path]:
    if not isinstance(path, str | os.PathLike):
        files = [Path(one) for one in path]
    elif Path(path).is_dir():
        files = sorted(Path(path).glob("*.parquet"))
    else:
        files = [Path(path)]
    if not files:
        raise ValueError(f"There is no file *.parquet in {path!r}.")
    return files


class _File:
    """A Parquet file that is closed, and what it says of itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metadata = _parquet().read_metadata(path)
        self.schema = self.metadata.schema.to_arrow_schema()

    def opened(self) -> Any:
        return _parquet().ParquetFile(self.path, metadata=self.metadata)


def _parquet() -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError("ParquetRows needs pyarrow: pip install 'nnjit[rows]'") from error
    return parquet
