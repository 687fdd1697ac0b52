"""Rows that are read in blocks as X: each block is checked when it is read.

Loaded where X is a source of rows, or is to be trained on like one.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context, get_config
from sklearn.utils.validation import _check_y, check_array, check_consistent_length

from nnjit._types import Array
from nnjit.estimators._arrays import to_dtype
from nnjit.estimators._dates import refuse_dates
from nnjit.estimators._prediction import prediction_engine, refuse_overflow
from nnjit.estimators._validation import all_finite, checked_values, refuse_no_target
from nnjit.rows._source import RowSource, block_rows
from nnjit.training.blocks import BUFFER_BYTES
from nnjit.training.engine import Engine
from nnjit.training.reading import outputs_of

__all__ = [
    "PreparedRows",
    "forward_blocks",
    "in_memory",
    "prepare",
    "validate_source",
]

# What is neither becomes the first of these: integers and bytes in another order keep their values.
_FLOATS = (np.dtype(np.float64), np.dtype(np.float32))


class PreparedRows:
    """Rows of a source as an engine takes them, each block checked when it is read.

    Parameters
    ----------
    estimator : estimator
        Fitted, or in a fit that has begun.
    source : RowSource
    name : str
        What messages call the rows.
    width : int
        Values of a row.
    dtype : numpy dtype
    """

    ndim = 2

    def __init__(
        self, estimator: Any, source: RowSource, name: str, width: int, dtype: np.dtype[Any]
    ) -> None:
        self.estimator, self.source, self.name = estimator, source, name
        self.shape, self.dtype = (len(source), width), dtype
        # scikit-learn's configuration is a thread's own
        self._config = {"assume_finite": get_config()["assume_finite"]}

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Array:
        if not isinstance(rows, slice):
            self._refuse()
        start, stop, _ = rows.indices(len(self))
        return self.read(start, stop)

    def __array__(self, *others: Any, **more: Any) -> Array:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ValueError(
            f"{self.name} is read block by block, but {type(self.estimator).__name__} with these "
            "parameters looks at all rows at once: pass an array."
        )

    def astype(self, dtype: Any) -> PreparedRows:
        """Return the same rows of another type."""
        other = copy.copy(self)
        other.dtype = np.dtype(dtype)
        return other

    def block_starts(self) -> NDArray[np.int64]:
        """Return where blocks begin."""
        return self.source.block_starts(block_rows(self.shape[1], self.dtype.itemsize))

    def read(self, start: int, stop: int) -> Array:
        """Return the rows start, ..., stop - 1.

        Raises
        ------
        ValueError
            If a value is not finite, or they are of another shape.
        """
        with config_context(**self._config):
            block = self._block(start, stop)
            rows = checked(self.estimator, block, self.name, lambda row: self._number(start + row))
            return np.asarray(self.estimator._engine_rows(self._typed(rows, start)))

    def _typed(self, rows: Any, start: int) -> Any:
        """Return a checked block in the type of these rows."""
        try:
            return to_dtype(rows, self.dtype, self.name)
        except ValueError:
            if not self.estimator._takes_arrays():  # whose rows may end in NaN
                with np.errstate(over="ignore"):
                    there = rows.astype(self.dtype)
                _refuse_row(there, self.name, lambda row: self._number(start + row))
            raise

    def _block(self, start: int, stop: int) -> Any:
        """Return what the source gives, which would be repeated where it is too little."""
        block = dense(self.source.read(start, stop))
        block = block if hasattr(block, "shape") else np.asarray(block)
        promised = (stop - start, *self.source.shape[1:])
        if tuple(block.shape) != promised:
            raise ValueError(
                f"{self.name} of shape {tuple(self.source.shape)} has given rows {start} to "
                f"{stop - 1} in the shape {tuple(block.shape)}, not {promised}."
            )
        return block

    def _number(self, row: int) -> int:
        """Return the number that a row has where it comes from."""
        return self.source.number(row) if isinstance(self.source, _Runs) else row

    def part(self, runs: NDArray[np.int64]) -> PreparedRows:
        """Return the rows of some runs, given by the first of each and the one behind its last."""
        source = _Runs(self.source, runs)
        return self.__class__(self.estimator, source, self.name, self.shape[1], self.dtype)


def dense(block: Any) -> Any:
    """Return what a source has given, unless it is a sparse matrix."""
    if hasattr(block, "tocsr"):
        raise TypeError("Rows read in blocks are dense, but these are sparse: .toarray() them.")
    return block


class _Runs(RowSource):
    """Runs of the rows of another source, one after the other."""

    def __init__(self, source: RowSource, runs: NDArray[np.int64]) -> None:
        self.source, self.runs = source, runs
        self._bounds = np.cumsum([0, *(runs[:, 1] - runs[:, 0])])
        self.shape, self.dtype = (int(self._bounds[-1]), *source.shape[1:]), source.dtype

    @property
    def feature_names(self) -> list[str] | None:
        return self.source.feature_names

    def read(self, start: int, stop: int) -> Array:
        first = int(np.searchsorted(self._bounds, start, side="right")) - 1
        last = int(np.searchsorted(self._bounds, stop, side="left"))
        parts = []
        for number in range(first, last):
            at = int(self.runs[number, 0]) - int(self._bounds[number])
            begin, end = self.runs[number].tolist()
            block = dense(self.source.read(max(begin, at + start), min(end, at + stop)))
            parts.append(np.array(block))  # the next one may come in the same array
        return np.concatenate(parts)

    def number(self, row: int) -> int:
        """Return the number that a row has in the other source."""
        run = int(np.searchsorted(self._bounds, row, side="right")) - 1
        return row - int(self._bounds[run]) + int(self.runs[run, 0])


# Checking


def validate_source(
    estimator: Any, source: RowSource, y: Any, *, reset: bool, y_numeric: bool
) -> tuple[PreparedRows, Any]:
    """Return the rows of a source, and y checked; see `validate_training_data`."""
    refuse_no_target(estimator, y)
    if y_numeric:
        refuse_dates(y, "y")
    rows = prepare(estimator, source, reset=reset)
    y = _check_y(y, multi_output=True, y_numeric=y_numeric, estimator=estimator)
    check_consistent_length(rows, y)
    return rows, checked_values(y) if y_numeric else y


def prepare(
    estimator: Any, source: RowSource, *, reset: bool = False, name: str = "X", longer: bool = False
) -> PreparedRows:
    """Return the rows of a source for an estimator, of which the first one is looked at.

    Parameters
    ----------
    estimator : estimator
    source : RowSource
    reset : bool
        Whether this is a fit from scratch, which sets what an estimator knows of its features.
    name : str
        What messages call the rows.
    longer : bool
        Whether series may be longer than those of the fit.

    Raises
    ------
    ValueError
        If these are no rows for it.
    """
    if not source.shape:
        raise ValueError(f"Expected 2D array, got scalar {name} instead.")
    given = np.dtype(source.dtype)  # of one's own source it may be a class or a name
    if len(source) and given.kind not in "biuf":
        raise ValueError(f"{name} has dtype {given}, but numbers are needed.")
    first = dense(source[:1])
    if estimator._takes_arrays():
        rows = estimator._given_rows(first, reset, name=name, longer=longer)
    else:
        rows = checked(estimator, first, name, int)
        _take_features(estimator, source, rows.shape[1], name, reset)
    dtype = np.dtype(np.float32 if given == np.float32 else np.float64)
    return PreparedRows(estimator, source, name, rows.shape[1], dtype)


def _take_features(estimator: Any, source: RowSource, width: int, name: str, reset: bool) -> None:
    """Set number and names of the features, or compare them with those of the fit."""
    names, known = source.feature_names, estimator.__dict__
    names = None if names is None else list(names)
    if names is not None and len(names) != width:
        raise ValueError(f"{name} has {width} features, but {len(names)} names of them.")
    if reset:
        known.pop("feature_names_in_", None)
        estimator.n_features_in_ = width
        if names is not None:
            estimator.feature_names_in_ = np.array(names, dtype=object)
        return
    fitted = known.get("feature_names_in_")
    if names is not None and fitted is not None and list(fitted) != names:
        raise ValueError(
            "The feature names should match those that were passed during fit. "
            f"{name} has {names}, but {type(estimator).__name__} was fitted on {fitted.tolist()}."
        )
    if width != estimator.n_features_in_:
        raise ValueError(
            f"{name} has {width} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input."
        )


def checked(estimator: Any, block: Any, name: str, number: Callable[[int], int]) -> Any:
    """Return a block of rows checked; `number` returns what a row of it has in messages.

    Raises
    ------
    ValueError
        That names the first row that is not finite.
    """
    block = np.asarray(block)
    if not estimator._takes_arrays() and block.ndim == 2 and block.dtype in _FLOATS:
        if block.size and all_finite(block):
            return block
    try:
        if estimator._takes_arrays():
            return estimator._given_rows(block, name=name)
        return check_array(block, dtype=_FLOATS, input_name=name, estimator=estimator)
    except ValueError as error:
        if not estimator._takes_arrays() and block.ndim == 2 and block.dtype.kind == "f":
            _refuse_row(block, name, number)
        raise ValueError(_located(str(error), number)) from None


def _refuse_row(block: Array, name: str, number: Callable[[int], int]) -> None:
    finite = np.isfinite(block).all(axis=1)
    if finite.all():
        return
    row = int(finite.argmin())
    what = f"infinity or a value too large for {block.dtype!r}"
    if np.isnan(block[row]).any():
        what = "NaN"
    raise ValueError(f"Input {name} contains {what}: row {number(row)}.")


def _located(text: str, number: Callable[[int], int]) -> str:
    """Return a message with the numbers of all rows, not of those of a block."""
    return re.sub(r"\b([Cc]ase) (\d+)", lambda found: f"{found[1]} {number(int(found[2]))}", text)


def in_memory(rows: PreparedRows) -> Any:
    """Return rows as an array if they are few, else unchanged."""
    few = rows.shape[0] * rows.shape[1] * rows.dtype.itemsize <= BUFFER_BYTES
    return np.array(rows[:]) if few else rows  # a source may use its array again


# Predictions


def forward_blocks(estimator: Any, source: RowSource) -> tuple[Engine, Any, Array]:
    """Return an engine, the rows as they are read for it, and its outputs for them."""
    rows = prepare(estimator, source, longer=True)
    engine = prediction_engine(estimator, rows.shape[1])
    rows = rows.astype(engine.dtype)
    outputs, finite = outputs_of(engine, rows)
    if not finite:
        refuse_overflow(estimator, engine, rows, outputs)
    return engine, rows, outputs
