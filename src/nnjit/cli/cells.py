"""The cells of a CSV file: its encoding, its separator, its header and its rows."""

from __future__ import annotations

import codecs
import contextlib
import csv
import dataclasses
import io
import itertools
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from nnjit._types import Array
from nnjit.cli.errors import UserError
from nnjit.estimators._notations import MISSING

__all__ = ["Cells", "RawColumn", "read_cells"]

# A column's cells as they stand, or float64 where pandas made plain numbers of all of them.
RawColumn: TypeAlias = "list[str] | Array"

_SEPARATORS = ";\t|,"
_LINES_TO_GUESS_FROM = 50
_END = ["\0"]


@dataclasses.dataclass
class Cells:
    """What stands in a file, column by column.

    Attributes
    ----------
    header : list of str
        One name per column, "" where the file has none.
    columns : list of (list of str, or ndarray of float64)
        All of one length. Cells as they stand; an array, NaN where missing, where every cell of
        the column is a plain number.
    separator : str
    notes : list of str
        What the user should know about the file.
    """

    header: list[str]
    columns: list[RawColumn]
    separator: str
    notes: list[str]


def read_cells(path: str) -> Cells:
    """Read a CSV file with a header line, by pandas where that is installed.

    Parameters
    ----------
    path : str
        A file of UTF-8, UTF-16 or Windows-1252 text, separated by commas, semicolons, tabs or
        bars.

    Returns
    -------
    Cells

    Raises
    ------
    UserError
        One line that says what is wrong with the file, with the line's number.
    """
    text, notes = _text(path)
    body = io.StringIO(text, newline="")
    separator = _separator(body)
    with _long_cells():
        records = _records(path, body, separator)
        header = [name.strip() for name in next(records, (0, []))[1]]
        end_of_header = body.tell()
        header = _completed(header, next(records, (0, []))[1])
        body.seek(end_of_header)
        columns = _by_pandas(body, separator, len(header))
        if columns is None:
            columns = _by_csv(path, _records(path, body, separator), len(header))
    return Cells(header, columns, separator, notes)


def _text(path: str) -> tuple[str, list[str]]:
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "cp1252", "latin-1"]
    text, used = "\0", ""
    for encoding in encodings:
        with contextlib.suppress(UnicodeDecodeError):
            text, used = data.decode(encoding), encoding
            break
    if "\0" in text:
        raise UserError(f"cannot read {path}: it is not a text file")
    # pandas takes some rows apart where lines end as on old Macs.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if used in ("cp1252", "latin-1"):
        return text, ["The file is not UTF-8; it was read as Windows-1252 (Western European)."]
    return text, []


def _separator(body: io.StringIO) -> str:
    """The separator that cuts most of the first lines in as many cells as the header."""
    body.seek(_start(body))
    lines = [line for line in itertools.islice(body, _LINES_TO_GUESS_FROM) if line.strip()]

    def fitness(separator: str) -> tuple[bool, float, int]:
        rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=True))
        width = len(rows[0])
        return width > 1, sum(len(row) == width for row in rows) / len(rows), width

    named = body.getvalue()[4:5]
    if _start(body) and named in _SEPARATORS:
        return named
    with _long_cells():
        return max(_SEPARATORS, key=fitness) if lines else ","


def _start(body: io.StringIO) -> int:
    """Where the header begins: below the line `sep=;` that Excel wants above it."""
    body.seek(0)
    first = body.readline()
    is_hint = first[:4].lower() == "sep=" and len(first.rstrip()) == 5
    return body.tell() if is_hint else 0


def _completed(header: list[str], first: list[str]) -> list[str]:
    """The header with "" for a column that has no name.

    R leaves out the name of the row names, which come first; others end each row, but not the
    header, with a separator.
    """
    if len(first) != len(header) + 1:
        return header
    return [*header, ""] if not first[-1].strip() else ["", *header]


def _records(path: str, body: io.StringIO, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, the header's too, each with its line's number."""
    start = _start(body)
    body.seek(start)
    offset = 1 if start else 0
    # A row of our own behind the last one is swallowed where a quotation mark is still open.
    lines = itertools.chain(iter(body.readline, ""), _END)
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    last = 0
    for row in reader:
        if row == _END:
            return
        line, last = last + 1 + offset, reader.line_num
        if row and row[-1].endswith(_END[0]):
            raise UserError(f"{path}, line {line}: a quotation mark opens and never closes")
        if len(row) > 1 or (row and row[0].strip()):
            yield line, row


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    """No limit for the length of a cell, which is a global setting of the csv module."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _by_csv(path: str, records: Iterator[tuple[int, list[str]]], width: int) -> list[RawColumn]:
    rows = []
    next(records, None)
    for line, row in records:
        if len(row) != width:
            raise UserError(f"{path}, line {line}: {len(row)} cells where the header has {width}")
        rows.append(row)
    if not rows:
        raise UserError(f"{path} is empty: a header line and data rows are needed")
    return [list(column) for column in zip(*rows)]


def _by_pandas(body: io.StringIO, separator: str, width: int) -> list[RawColumn] | None:
    """The columns, or None where pandas is missing or the rows are not all of one width.

    The csv module then goes over the file, for the error.
    """
    try:
        import pandas
    except ImportError:
        return None
    options: dict[str, Any] = {}
    if [int(part) for part in re.findall(r"\d+", pandas.__version__)[:2]] < [3, 1]:
        options["float_precision"] = "round_trip"  # the only way of newer versions
    start = body.tell()
    try:
        frame = pandas.read_csv(
            body,
            sep=separator,
            header=None,
            skipinitialspace=True,
            keep_default_na=False,
            na_values=sorted(_spellings()),
            low_memory=False,
            # What a point means there, columns.py can only tell from the cells.
            dtype=str if separator == ";" else None,
            **options,
        )
    except ValueError:  # which all errors of its parser are
        return None
    if frame.shape[1] != width:
        return None
    columns = [_from_pandas(frame[name]) for name in frame]
    body.seek(start)
    if _ends_missing(columns[-1]) and not _is_rectangular(body, separator, frame.shape):
        return None
    return columns


def _spellings() -> set[str]:
    return {way(mark) for mark in MISSING for way in (str.lower, str.upper, str.title)} | {"NaN"}


def _from_pandas(column: Any) -> RawColumn:
    if column.dtype.kind in "iuf":
        return np.asarray(column.to_numpy(), dtype=np.float64)
    missing = column.isna().to_numpy()
    cells = column.to_numpy(dtype=object, copy=True)
    cells[missing] = ""
    return [cell if isinstance(cell, str) else str(cell) for cell in cells.tolist()]


def _ends_missing(column: RawColumn) -> bool:
    """Whether a cell of the last column is missing, as it is where a row is too short."""
    if isinstance(column, np.ndarray):
        return bool(np.isnan(column).any())
    return "" in column


def _is_rectangular(body: io.StringIO, separator: str, shape: tuple[int, int]) -> bool:
    widths = [len(row) for row in csv.reader(body, delimiter=separator, skipinitialspace=True)]
    return widths.count(shape[1]) == shape[0]
