"""A user's table: a CSV file read into a target and a feature matrix."""

from __future__ import annotations

import collections
import csv
import dataclasses

import numpy as np

from nnjit._types import Array
from nnjit.cli.errors import UserError

__all__ = ["Table", "is_class_target", "read_table"]

MAX_WHOLE_NUMBER_CLASSES = 20
MIN_ROWS = 10
_MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})
_DELIMITERS = ",;\t|"


@dataclasses.dataclass
class Table:
    """Features and target of a table.

    Attributes
    ----------
    features : ndarray of shape (n_rows, n_columns), dtype object
        Floats (NaN where missing) in numeric columns, text in the others.
    numeric, text : list of int
        Numbers of the numeric and the text columns of `features`.
    target : ndarray of shape (n_rows,)
        float64 where every value is a number, otherwise text.
    notes : list of str
        What was left out or filled in, in sentences for the user.
    """

    features: Array
    numeric: list[int]
    text: list[int]
    target: Array
    notes: list[str]


def read_table(path: str, target: str) -> Table:
    """Read a CSV file with a header line.

    A column is numeric when each of its cells is a number or missing (empty, ?, NA, NaN,
    null, none). Rows without a target are left out, and so are empty columns and text
    columns with another text in every row, such as names.

    Parameters
    ----------
    path : str
        File; the separator is the one of comma, semicolon, tab and bar most frequent in the
        header line.
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
    header, rows = _read_cells(path)
    if target not in header:
        raise UserError(f"no column {target!r} in {path}; it has {_listed(header)}")
    notes: list[str] = []
    position = header.index(target)
    kept = [row for row in rows if not _is_missing(row[position])]
    if len(kept) < len(rows):
        notes.append(f"{len(rows) - len(kept)} rows without a target were left out.")
    if len(kept) < MIN_ROWS:
        raise UserError(
            f"{path} has {len(kept)} rows with a target; at least {MIN_ROWS} are needed"
        )
    columns: list[Array] = []
    numeric: list[int] = []
    text: list[int] = []
    for number, name in enumerate(header):
        if number == position:
            continue
        column = _feature([row[number] for row in kept], name, notes)
        if column is not None:
            (text if column.dtype == object else numeric).append(len(columns))
            columns.append(column)
    if not columns:
        raise UserError(f"{path} has no usable column beside the target {target!r}")
    features = np.empty((len(kept), len(columns)), dtype=object)
    for number, values in enumerate(columns):
        features[:, number] = values
    return Table(features, numeric, text, _target([row[position] for row in kept], target), notes)


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


def _read_cells(path: str) -> tuple[list[str], list[list[str]]]:
    """Header and data rows of the file, blanks around cells removed."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            stream.seek(0)
            delimiter = max(_DELIMITERS, key=first.count)
            reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True)
            numbered = [
                (reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)
            ]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"cannot read {path}: it is not UTF-8 text") from error
    except csv.Error as error:
        raise UserError(f"cannot read {path}: {error}") from error
    if len(numbered) < 2:
        raise UserError(f"{path} is empty: a header line and data rows are needed")
    header = numbered[0][1]
    name, count = collections.Counter(header).most_common(1)[0]
    if count > 1:
        raise UserError(f"{path} has {count} columns named {name!r}")
    for line, row in numbered[1:]:
        if len(row) != len(header):
            raise UserError(
                f"{path}, line {line}: {len(row)} cells where the header has {len(header)}"
            )
    return header, [row for _, row in numbered[1:]]


def _is_missing(cell: str) -> bool:
    return cell.lower() in _MISSING


def _numbers(cells: list[str]) -> Array | None:
    """The cells as float64 with NaN where missing, or None where one is no number."""
    values = np.empty(len(cells))
    for i, cell in enumerate(cells):
        if _is_missing(cell):
            values[i] = np.nan
            continue
        try:
            values[i] = float(cell)
        except ValueError:
            return None
    return values


def _feature(cells: list[str], name: str, notes: list[str]) -> Array | None:
    """A column as float64 or as text (dtype object); None where it holds nothing to learn."""
    n_missing = sum(map(_is_missing, cells))
    if n_missing == len(cells):
        notes.append(f"Column {name!r} is empty and was left out.")
        return None
    values = _numbers(cells)
    if values is None:
        if len(set(cells)) == len(cells):
            notes.append(
                f"Column {name!r} has another text in every row, like a name; it was left out."
            )
            return None
        if n_missing:
            notes.append(f"Column {name!r}: {n_missing} missing cells are a category of their own.")
        return np.array(["?" if _is_missing(cell) else cell for cell in cells], dtype=object)
    if np.isinf(values).any():
        raise UserError(f"column {name!r} has an infinite value")
    if n_missing:
        notes.append(f"Column {name!r}: {n_missing} missing cells get the training rows' median.")
    return values


def _target(cells: list[str], name: str) -> Array:
    values = _numbers(cells)
    if values is not None and not np.isfinite(values).all():
        raise UserError(f"the target {name!r} has an infinite value")
    target = np.array(cells) if values is None else values
    if len(np.unique(target)) < 2:
        raise UserError(f"the target {name!r} has only one value, {cells[0]!r}: nothing to learn")
    return target


def _listed(names: list[str], limit: int = 12) -> str:
    shown = ", ".join(map(repr, names[:limit]))
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
