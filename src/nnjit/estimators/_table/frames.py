"""Frames of any library and arrays, read column by column: numbers, moments, durations or words.

Nothing as large as the frame is made: a column is read when it is asked for.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import sys
import zoneinfo
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_array

from nnjit._types import Array

__all__ = ["Durations", "Frame", "Moments", "Numbers", "Raw", "Words", "read_frame"]

_EPOCH = datetime.datetime(1970, 1, 1)
_MICROSECOND = datetime.timedelta(microseconds=1)
_SECONDS_OF_A_UNIT = 1e-6
_MISSING_CODE = -1
_SMALL = 1 << 22


@dataclasses.dataclass
class Numbers:
    """A column of numbers: values of shape (n_rows,), of any real dtype, NaN where missing."""

    values: Array


@dataclasses.dataclass
class Moments:
    """A column of dates: values of dtype datetime64[us], NaT where missing, and their zone."""

    values: Array
    zone: str | None = None


@dataclasses.dataclass
class Durations:
    """A column of durations: values in seconds, float64, NaN where missing."""

    values: Array


@dataclasses.dataclass
class Words:
    """A column of other values.

    Attributes
    ----------
    codes : ndarray of shape (n_rows,)
        Places in `values`, negative where missing.
    values : sequence of object
        Different from one another, for the most part.
    is_category : bool
        Whether the frame itself says that these are categories.
    """

    codes: Array
    values: Sequence[Any]
    is_category: bool = False


Raw: TypeAlias = Numbers | Moments | Durations | Words


@dataclasses.dataclass
class Frame:
    """A frame or an array.

    Attributes
    ----------
    names : list of str or None
        Names of the columns; None unless all of them are strings.
    labels : list of str
        What reports and messages call the columns.
    n_rows : int
    column : callable
        Reads the column of a place: ``column(place, zone)``. Moments that have a zone come in the
        local time of `zone`, or of their own if that is None.
    block : ndarray of shape (n_rows, n_columns) or None
        All values, if they lie in one array of numbers.
    is_array : bool
        Whether it came without names and kinds of columns.
    """

    names: list[str] | None
    labels: list[str]
    n_rows: int
    column: Callable[[int, str | None], Raw]
    block: Array | None = None
    is_array: bool = False

    @property
    def n_columns(self) -> int:
        return len(self.labels)


def read_frame(X: Any) -> Frame:
    """Return what the columns of `X` are read from.

    Parameters
    ----------
    X : DataFrame of pandas or polars, Table of pyarrow, ndarray of two axes, or lists of rows

    Returns
    -------
    Frame

    Raises
    ------
    TypeError
        If `X` is sparse, or has to be collected first.
    ValueError
        If `X` has no rows, no columns or not two axes.
    """
    if sp.issparse(X):
        raise TypeError(
            "Sparse data was passed for X, but dense data is required. Use '.toarray()' to "
            "convert to a dense numpy array, or one of the networks that take sparse data, "
            "such as nnjit.MLPClassifier and nnjit.MLPRegressor."
        )
    if _is_of(X, "polars", "LazyFrame"):
        raise TypeError("A LazyFrame was passed for X; call its method collect() first.")
    if _is_of(X, "pandas", "DataFrame"):
        return _pandas_frame(X)
    if _is_of(X, "polars", "DataFrame"):
        return _named(X.columns, X.shape, lambda i, zone: _polars_column(X.to_series(i), zone))
    if _is_of(X, "pyarrow", "Table") or _is_of(X, "pyarrow", "RecordBatch"):
        return _named(X.column_names, X.shape, lambda i, zone: _arrow_column(X.column(i), zone))
    return _array(X)


def _is_of(X: Any, library: str, name: str) -> bool:
    """Whether X is of a library's class; a library that was never imported made nothing."""
    kind = getattr(sys.modules.get(library), name, None)
    return kind is not None and isinstance(X, kind)


def _named(columns: Any, shape: tuple[int, int], column: Callable[[int, str | None], Raw]) -> Frame:
    for place, what in enumerate(("sample(s)", "feature(s)")):
        if shape[place] == 0:
            raise ValueError(
                f"Found array with 0 {what} (shape={tuple(shape)}) while a minimum of 1 is "
                "required."
            )
    labels = list(columns)
    are_names = all(isinstance(label, str) for label in labels)
    labels = list(map(str, labels))
    return Frame(labels if are_names else None, labels, shape[0], column)


def _array(X: Any) -> Frame:
    array = check_array(X, dtype=None, ensure_all_finite=False)
    labels = [f"x{i}" for i in range(array.shape[1])]
    block = array if array.dtype.kind in "iuf" else None

    def column(place: int, zone: str | None) -> Raw:
        return _array_column(array[:, place], zone)

    return Frame(None, labels, len(array), column, block, is_array=True)


def _array_column(values: Array, zone: str | None = None) -> Raw:
    """Read a column that NumPy holds."""
    kind = values.dtype.kind
    if kind in "iuf":
        return Numbers(values)
    if kind == "b":
        return Words(values.astype(np.int8), [False, True])
    if kind == "M":
        return Moments(values.astype("datetime64[us]"))
    if kind == "m":
        return _durations(values)
    if kind == "c":
        raise ValueError("Complex data not supported")
    return _objects(values.tolist(), zone)


def _durations(values: Array) -> Durations:
    values = values.astype("timedelta64[us]")
    seconds = values.astype(np.int64) * _SECONDS_OF_A_UNIT
    return Durations(np.where(np.isnat(values), np.nan, seconds))


def _objects(values: list[Any], zone: str | None) -> Raw:
    """Read Python's objects: as numbers, dates or durations if all of them are such."""
    try:
        found = dict.fromkeys(values)
    except TypeError:  # lists, dicts: what is written of them is a word as good as any
        values = [_hashable(value) for value in values]
        found = dict.fromkeys(values)
    different = [value for value in found if not _is_missing(value)]
    types = set(map(type, different))
    if different and all(map(_has_zone, different)):
        return _zoned(values, different, zone or "UTC")
    for accepted, read, kind, missing in _READERS:
        if types and all(issubclass(one, accepted) for one in types) and bool not in types:
            table = {value: read(value) for value in different}
            dtype = "datetime64[us]" if kind is Moments else np.float64
            column: Raw = kind(np.array([table.get(v, missing) for v in values], dtype=dtype))
            return column
    place = {value: i for i, value in enumerate(different)}
    codes = np.fromiter(
        (place.get(value, _MISSING_CODE) for value in values), np.int64, len(values)
    )
    return Words(codes, different)


def _has_zone(value: Any) -> bool:
    return isinstance(value, datetime.datetime) and value.tzinfo is not None


def _zoned(values: list[Any], different: list[Any], zone: str) -> Moments:
    """Read moments that have zones, of any kind, in the local time of one."""
    try:
        local: datetime.tzinfo = zoneinfo.ZoneInfo(zone)
    except (ValueError, zoneinfo.ZoneInfoNotFoundError):  # such as pandas' UTC+01:00
        local, zone = datetime.UTC, "UTC"
    table = {v: _moment(v.astimezone(local).replace(tzinfo=None)) for v in different}
    missing = np.datetime64("NaT", "us")
    return Moments(np.array([table.get(v, missing) for v in values], "datetime64[us]"), zone)


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return str(value)
    return value


def _is_missing(value: Any) -> bool:
    """Whether it is None, NaN, NaT, or pandas's NA."""
    if value is None:
        return True
    if isinstance(value, str):
        return False
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # NA says neither; neither do arrays
        return type(value).__name__ == "NAType"


def _moment(value: Any) -> Any:
    """A date as NumPy has it; one that has a zone in universal time."""
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
        return np.datetime64((value - _EPOCH) // _MICROSECOND, "us")
    return np.datetime64(value, "us")


def _number(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number beyond the range of floats
        return np.inf if value > 0 else -np.inf


def _seconds(value: Any) -> float:
    if isinstance(value, datetime.time):
        return value.hour * 3600 + value.minute * 60 + value.second + value.microsecond * 1e-6
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    return float(value / np.timedelta64(1, "us")) * _SECONDS_OF_A_UNIT


# What objects are, how one of them is read, the column that they make and what a missing one is.
_READERS: list[tuple[tuple[type, ...], Callable[[Any], Any], Any, Any]] = [
    ((datetime.date, np.datetime64), _moment, Moments, np.datetime64("NaT", "us")),
    ((datetime.timedelta, datetime.time, np.timedelta64), _seconds, Durations, np.nan),
    ((int, float, decimal.Decimal, np.integer, np.floating), _number, Numbers, np.nan),
]


def _pandas_frame(X: Any) -> Frame:
    frame = _named(X.columns, X.shape, lambda i, zone: _pandas_column(X.iloc[:, i], zone))
    kinds = set(X.dtypes)
    dtype = next(iter(kinds))
    # Of a large frame pandas might make a copy to have all values in one array.
    is_small = X.size <= _SMALL
    if is_small and len(kinds) == 1 and isinstance(dtype, np.dtype) and dtype.kind in "iuf":
        frame.block = X.to_numpy()
    return frame


def _pandas_column(series: Any, zone: str | None) -> Raw:
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return _array_column(series.to_numpy(), zone)
    name = type(dtype).__name__
    if name == "CategoricalDtype":
        return Words(series.cat.codes.to_numpy(), list(series.cat.categories), is_category=True)
    if name == "ArrowDtype":
        return _arrow_column(series.array.__arrow_array__(), zone)
    if name == "DatetimeTZDtype":
        zone = zone or _zone_name(dtype.tz)
        local = series.dt.tz_convert(zone).dt.tz_localize(None)
        return Moments(local.to_numpy().astype("datetime64[us]"), zone)
    if name == "PeriodDtype":
        return _array_column(series.dt.to_timestamp().to_numpy())
    if name == "StringDtype":
        codes, values = series.factorize()
        return Words(codes, np.asarray(values, dtype=object).tolist())
    if name == "BooleanDtype":
        return Words(series.to_numpy(dtype=np.int8, na_value=_MISSING_CODE), [False, True])
    if getattr(dtype, "kind", "O") in "iuf" and hasattr(dtype, "numpy_dtype"):
        if not series.hasnans:
            return Numbers(series.to_numpy(dtype=dtype.numpy_dtype))
        return Numbers(series.to_numpy(dtype=np.float64, na_value=np.nan))
    if name == "SparseDtype":
        return _array_column(np.asarray(series))
    return _objects(series.astype(object).tolist(), zone)


def _zone_name(zone: Any) -> str:
    """Return a name by which pandas finds a zone again."""
    offset = zone.utcoffset(None)
    if offset is not None:  # always the same
        return str(datetime.timezone(offset))
    name = str(zone)
    return f"dateutil/{name[8:-2]}" if name.startswith("tzfile('") else name


def _polars_column(series: Any, zone: str | None) -> Raw:
    import polars

    dtype = series.dtype
    if dtype.is_numeric():
        if dtype.is_decimal():
            series = series.cast(polars.Float64)
        return Numbers(series.to_numpy())
    if dtype == polars.Boolean:
        return Words(series.cast(polars.Int8).fill_null(_MISSING_CODE).to_numpy(), [False, True])
    if dtype in (polars.Date, polars.Datetime):
        own = getattr(dtype, "time_zone", None)
        if own is not None:
            zone = zone or own
            series = series.dt.convert_time_zone(zone).dt.replace_time_zone(None)
        counts = _polars_counts(series.cast(polars.Datetime("us")))
        return Moments(counts.view("datetime64[us]"), zone if own else None)
    if dtype == polars.Duration:
        counts = _polars_counts(series.cast(polars.Duration("us")))
        return _durations(counts.view("timedelta64[us]"))
    raw = _objects(series.to_list(), zone)
    if isinstance(raw, Words):
        raw.is_category = dtype in (polars.Categorical, polars.Enum)
    return raw


def _polars_counts(series: Any) -> Array:
    """Return the microseconds of dates or durations, and what NumPy has for a missing one.

    Polars 1.0 ends the process if it is to make dates for NumPy 2.
    """
    import polars

    counts = series.cast(polars.Int64).fill_null(np.iinfo(np.int64).min)
    return np.asarray(counts.to_numpy())


def _arrow_column(column: Any, zone: str | None) -> Raw:
    import pyarrow
    from pyarrow import compute, types

    if not isinstance(column, pyarrow.ChunkedArray):
        column = pyarrow.chunked_array([column])
    kind = column.type
    if types.is_boolean(kind):
        codes = column.cast(pyarrow.int8()).fill_null(_MISSING_CODE)
        return Words(codes.to_numpy(), [False, True])
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        if column.null_count or types.is_decimal(kind):
            column = column.cast(pyarrow.float64())
        return Numbers(column.to_numpy())
    if types.is_date(kind) or types.is_timestamp(kind):
        own = getattr(kind, "tz", None)
        if own is not None:
            zone = zone or own
            column = compute.local_timestamp(column.cast(pyarrow.timestamp(kind.unit, zone)))
        moments = column.cast(pyarrow.timestamp("us"), safe=False).to_numpy()
        return Moments(moments.astype("datetime64[us]"), zone if own else None)
    if types.is_duration(kind):
        return _durations(column.to_numpy())
    is_category = types.is_dictionary(kind)
    if is_category or types.is_string(kind) or types.is_large_string(kind):
        return _arrow_words(column, is_category)
    return _objects(column.to_pylist(), zone)


def _arrow_words(column: Any, is_category: bool) -> Words:
    import pyarrow

    if not is_category:
        column = column.dictionary_encode()
    chunks = column.unify_dictionaries().chunks  # of one dictionary
    codes = [chunk.indices.cast(pyarrow.int64()).fill_null(_MISSING_CODE) for chunk in chunks]
    return Words(
        np.concatenate([part.to_numpy() for part in codes]),
        chunks[0].dictionary.to_pylist(),
        is_category,
    )
