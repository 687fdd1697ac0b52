"""A user's table: a CSV file read into a target and a feature matrix."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np

from nnjit._types import Array
from nnjit.cli.cells import read_cells
from nnjit.cli.columns import Column, read_columns
from nnjit.cli.errors import UserError

__all__ = ["Table", "is_class_target", "read_table"]

MAX_WHOLE_NUMBER_CLASSES = 20
MIN_ROWS = 10
# Sums of squares of larger numbers overflow while the columns are scaled.
_LARGEST = 1e150
_SECONDS_OF_A_DAY = 86_400
_INDEX_NAMES = frozenset({"", "unnamed: 0", "index", "id", "rownames"})


@dataclasses.dataclass
class Table:
    """Features and target of a table.

    Attributes
    ----------
    features : ndarray of shape (n_rows, n_columns)
        float64, NaN where missing; of dtype object where some columns are text.
    numeric, text : list of int
        Numbers of the numeric and the text columns of `features`.
    target : ndarray of shape (n_rows,)
        float64 where every value is a number, otherwise text.
    columns : dict of str to ndarray of shape (n_rows,)
        All columns but the target and those that number the rows, as they were read: float64,
        datetime64 or text, None in text that is missing.
    notes : list of str
        What was left out or filled in, in sentences for the user.
    """

    features: Array
    numeric: list[int]
    text: list[int]
    target: Array
    columns: dict[str, Array]
    notes: list[str]


def read_table(path: str, target: str) -> Table:
    """Read a CSV file with a header line.

    A column is numeric when each of its cells is a number or missing; dates become numbers of
    days. Rows without a target are left out, and so are empty columns, a first column without a
    name that numbers the rows, and text columns with another text in every row, such as names.

    Parameters
    ----------
    path : str
        File; see `read_cells`.
    target : str
        Name of the target column.

    Returns
    -------
    Table

    Raises
    ------
    UserError
        One line that says what is wrong with the file or the column.
    """
    cells = read_cells(path)
    position = _position(path, cells.header, target)
    columns = read_columns(cells.columns, cells.separator)
    missing = columns[position].missing
    n_kept = len(missing) - int(missing.sum())
    if n_kept < MIN_ROWS:
        raise UserError(f"{path} has {n_kept} rows with a target; at least {MIN_ROWS} are needed")
    notes = cells.notes
    if missing.any():
        notes.append(f"{missing.sum()} rows without a target were left out.")
    names = [repr(name) if name else f"{i + 1} (no name)" for i, name in enumerate(cells.header)]
    notes += _repeated_names(cells.header) + _notations(columns, names)
    y = _target(columns[position], ~missing, target)
    used: list[Array] = []
    read: dict[str, Array] = {}
    for i, column in enumerate(columns):
        if i == position:
            continue
        if _numbers_the_rows(column, cells.header[i], is_first=i == 0):
            notes.append(f"Column {names[i]} numbers the rows and was left out.")
            continue
        read[_free_name(cells.header[i] or f"column {i + 1}", read)] = _as_read(column, ~missing)
        values = _feature(column, ~missing, names[i], notes)
        if values is not None:
            used.append(values)
    if not used:
        raise UserError(f"{path} has no usable column beside the target {target!r}")
    return _table(used, y, read, notes)


def _table(used: list[Array], target: Array, columns: dict[str, Array], notes: list[str]) -> Table:
    is_text = [values.dtype == object for values in used]
    features = np.empty((len(target), len(used)), dtype=object if any(is_text) else np.float64)
    for i, values in enumerate(used):
        features[:, i] = values
    numeric = [i for i, text in enumerate(is_text) if not text]
    text = [i for i, is_one in enumerate(is_text) if is_one]
    return Table(features, numeric, text, target, columns, notes)


def _free_name(name: str, taken: dict[str, Array]) -> str:
    """Return a name that no column has yet."""
    number, free = 2, name
    while free in taken:
        number, free = number + 1, f"{name} ({number})"
    return free


def _as_read(column: Column, kept: Array) -> Array:
    """Return a column's rows with a target as a frame has them."""
    values = column.values[kept]
    if column.kind == "date":
        seconds = np.rint(values * _SECONDS_OF_A_DAY)
        moments = np.where(np.isnan(seconds), 0, seconds).astype("datetime64[s]")
        return np.where(np.isnan(seconds), np.datetime64("NaT"), moments)
    if values.dtype == object:
        values = values.copy()
        values[values == ""] = None
    return values


def is_class_target(target: Array) -> bool:
    """Whether a target names classes: text, or whole numbers of at most 20 values.

    Parameters
    ----------
    target : ndarray of shape (n_rows,)

    Returns
    -------
    bool
    """
    if target.dtype.kind != "f":
        return True
    values = np.unique(target)
    return len(values) <= MAX_WHOLE_NUMBER_CLASSES and bool(np.all(values == np.rint(values)))


def _position(path: str, header: list[str], target: str) -> int:
    count = header.count(target)
    if count > 1:
        raise UserError(f"{path} has {count} columns named {target!r}, which cannot be the target")
    if count == 0:
        n_numbers = sum(name.replace(".", "").isdigit() for name in header)
        hint = "; its first line should name the columns" if 2 * n_numbers > len(header) else ""
        raise UserError(
            f"no column {target!r} in {path}; it has {_listed(list(map(repr, header)))}{hint}"
        )
    return header.index(target)


def _repeated_names(header: list[str]) -> list[str]:
    counts = collections.Counter(name for name in header if name)
    return [f"{n} columns are named {name!r}; all are used." for name, n in counts.items() if n > 1]


def _notations(columns: list[Column], names: list[str]) -> list[str]:
    """A line for each way of writing numbers that is not Python's, with an example."""
    groups: dict[str, list[int]] = {}
    for i, column in enumerate(columns):
        if column.notation:
            groups.setdefault(column.notation, []).append(i)
    notes = []
    for notation, members in groups.items():
        shown = _listed([names[i] for i in members], 4)
        cell, value = columns[members[0]].example or ("", np.nan)
        as_what = "days since 1970-01-01" if notation == "date" else "numbers"
        head = f"Column {shown} was" if len(members) == 1 else f"Columns {shown} were"
        notes.append(f"{head} read as {as_what}: {cell!r} is {value:.15g}.")
    return notes


def _numbers_the_rows(column: Column, name: str, is_first: bool) -> bool:
    """Whether the column is the index that a data frame was saved with, or the like."""
    if column.kind != "number" or name.lower() not in _INDEX_NAMES or not (is_first or name):
        return False
    values = column.values
    is_whole = bool(np.all(np.isfinite(values))) and bool(np.all(values == np.rint(values)))
    return is_whole and len(np.unique(values)) == len(values)


def _feature(column: Column, kept: Array, name: str, notes: list[str]) -> Array | None:
    """A column's rows with a target as float64 or text; None where there is nothing to learn."""
    values, n_missing = column.values[kept], int(column.missing[kept].sum())
    if n_missing == len(values):
        notes.append(f"Column {name} is empty and was left out.")
        return None
    if values.dtype == object:
        return _text_feature(column, values, n_missing, name, notes)
    _check_range(values, f"column {name}")
    if n_missing:
        notes.append(f"Column {name}: {n_missing} missing cells get the training rows' median.")
    return values


def _text_feature(
    column: Column, values: Array, n_missing: int, name: str, notes: list[str]
) -> Array | None:
    cell = column.example[0] if column.example else ""
    if column.kind == "unread date":
        notes.append(
            f"Column {name} looks like dates or times, but {cell!r} is not written like 2020-12-31;"
            f" it was left out."
        )
        return None
    if len(set(values)) == len(values):
        like = f"looks like numbers, but {cell!r} is none" if cell else "is like a name"
        notes.append(f"Column {name} has another text in every row and {like}; it was left out.")
        return None
    if cell:
        notes.append(f"Column {name} is used as text: most are numbers, but {cell!r} is none.")
    if n_missing:
        notes.append(f"Column {name}: {n_missing} missing cells are a category of their own.")
    return np.where(values == "", "?", values)


def _check_range(values: Array, name: str) -> None:
    if np.isinf(values).any():
        raise UserError(f"{name} has an infinite value")
    largest = values[np.nanargmax(np.abs(values))]
    if abs(largest) > _LARGEST:
        raise UserError(f"{name} has a value of {largest:g}, which is too large to compute with")


def _target(column: Column, kept: Array, name: str) -> Array:
    values = column.values[kept]
    if values.dtype != object:
        _check_range(values, f"the target {name!r}")
    target = values.astype(str) if values.dtype == object else values
    if len(np.unique(target)) < 2:
        only = f"{target[0] + 0.0:g}" if target.dtype.kind == "f" else target[0]
        raise UserError(f"the target {name!r} has only one value, {str(only)!r}: nothing to learn")
    return target


def _listed(names: list[str], limit: int = 12) -> str:
    shown = ", ".join(names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
