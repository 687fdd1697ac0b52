"""Columns of a table as inputs of an ONNX graph: one each, and what a runtime is given for them."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.estimators._notations import PLAIN, notation_named
from nnjit.estimators._table.categories import word_of
from nnjit.estimators._table.columns import Column
from nnjit.estimators._table.dates import Dates
from nnjit.estimators._table.encoder import TableEncoder
from nnjit.estimators._table.frames import Frame, Moments, Numbers, Raw, Words, read_frame
from nnjit.estimators._table.numbers import Number
from nnjit.estimators._table.readings import moments_in, numbers_in, words_in
from nnjit.estimators._table.text import spread

__all__ = [
    *("METADATA", "TableInput", "feeds", "frame_inputs", "has_one_input", "in_metadata"),
    *("label_of", "names_in_metadata", "one_input_type", "table_inputs"),
]

# Where a model says what its inputs are, and what the columns of the one input X are called.
METADATA, NAMES = "nnjit.columns", "nnjit.features"
# Names that no column's input may have, those of outputs and of rows in one array; such a name has
# an underscore more, and so has one of these with underscores behind it.
_TAKEN = re.compile(
    "(X|(label|probabilities)(_[0-9]+)?|prediction|features|reconstruction|scores|lengths|)_*"
)
_STRING = "string"
# Types of numbers as onnxruntime calls them, and as NumPy does.
_RUNTIME_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
    "tensor(string)": _STRING,
}


@dataclasses.dataclass(frozen=True)
class TableInput:
    """An input of a graph, a tensor of shape (n, 1).

    Attributes
    ----------
    name : str
        What the graph calls it.
    column : str
        What the frame calls it.
    place : int
        Of the column, in frames without names.
    role : {"number", "duration", "date", "category", "text"}
        Durations are seconds. Dates are microseconds since 1970-01-01, the least int64 if missing.
        Texts are as they are, categories without blanks around; "" is missing.
    type : {"float32", "float64", "int64", "bool", "string"}
    notation : str
        The way in which numbers are written where the frame holds them as text.
    zone : str or None
        In whose time dates are.
    """

    name: str
    column: str
    place: int
    role: str
    type: str
    notation: str = ""
    zone: str | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type as NumPy has it."""
        return np.dtype(object if self.type == _STRING else self.type)


# What inputs a graph has


def has_one_input(encoder: TableEncoder, X: Any = None) -> bool:
    """Whether rows are one matrix of numbers, as after a fit on such an array."""
    used = [column for column in encoder.columns if isinstance(column, Column)]
    of_array = encoder.labels == [f"x{k}" for k in range(len(encoder.labels))]
    are_numbers = all(isinstance(one, Number) and one.kind == "number" for one in used)
    given = X is None or (getattr(X, "dtype", None) is not None and X.dtype.kind in "iuf")
    return encoder.names is None and of_array and are_numbers and (given or isinstance(X, list))


def one_input_type(X: Any = None) -> np.dtype[Any]:
    """Return the type of rows of numbers: float32 if X is, else float64."""
    kind = None if X is None else np.asarray(X).dtype
    return np.dtype(np.float32 if kind == np.float32 else np.float64)


def table_inputs(encoder: TableEncoder, X: Any = None) -> list[TableInput]:
    """Return an input for each column that is used.

    Parameters
    ----------
    encoder : TableEncoder
        Fitted.
    X : frame or array-like, default=None
        Rows whose columns have the types that inputs are to have. If None numbers are float64, and
        categories are texts.
    """
    frame = None if X is None else read_frame(X)
    order: Sequence[int] = range(len(encoder.columns)) if frame is None else encoder.order(frame)
    inputs: list[TableInput] = []
    for place, column in enumerate(encoder.columns):
        if isinstance(column, Column):
            raw = None if frame is None else frame.column(order[place], column.zone)
            name = _unlike(encoder.labels[place], [one.name for one in inputs])
            inputs.append(_input_of(column, raw, name, encoder.labels[place], place))
    return inputs


def _input_of(column: Column, raw: Raw | None, name: str, label: str, place: int) -> TableInput:
    if isinstance(column, Dates):
        return TableInput(name, label, place, "date", "int64", zone=column.zone)
    if isinstance(column, Number):
        kind = _type_of(raw) if isinstance(raw, Numbers) else "float64"
        return TableInput(name, label, place, column.kind, kind, column.notation.name)
    return TableInput(name, label, place, "category", _STRING if raw is None else _type_of(raw))


def frame_inputs(X: Any) -> list[TableInput]:
    """Return an input for each column of a frame, of the type that it has there.

    Raises
    ------
    ValueError
        If there are dates, which no converter of scikit-learn's estimators reads, or a column has
        no type.
    """
    frame, inputs = read_frame(X), list[TableInput]()
    for place, label in enumerate(frame.labels):
        name = _unlike(label, [one.name for one in inputs])
        try:
            role, kind = _plain_type(frame.column(place, None))
        except ValueError as error:
            raise ValueError(f"Column {label!r}: {error}.") from None
        inputs.append(TableInput(name, label, place, role, kind))
    return inputs


def _plain_type(raw: Raw) -> tuple[str, str]:
    """Return role and type of a column as estimators of scikit-learn read it."""
    if isinstance(raw, Numbers):
        return "number", _type_of(raw)
    if not isinstance(raw, Words):
        kind = "dates" if isinstance(raw, Moments) else "durations"
        raise ValueError(
            f"it holds {kind}, which a pipeline cannot read in ONNX. Make numbers of them before, "
            "such as days since a date; or export the estimator of tables by itself, which takes "
            "dates"
        )
    if all(isinstance(value, str) for value in raw.values):
        return "text", _STRING
    if (kind := _type_of(raw)) == "bool":
        return "category", kind
    values = np.array([*raw.values])
    if values.dtype.kind in "iuf":
        whole = values.dtype.kind != "f" and len(raw.codes) and raw.codes.min() >= 0
        return "number", "int64" if whole else "float64"
    raise ValueError("it holds values of several kinds, or truth that may be missing")


def _type_of(raw: Raw) -> str:
    """Return the type that a column's values have without loss."""
    if isinstance(raw, Numbers):
        kind = raw.values.dtype
        if kind.kind in "iu" and kind.itemsize <= 8 and kind != np.uint64:
            return "int64"
        return "float32" if kind.kind == "f" and kind.itemsize <= 4 else "float64"
    if isinstance(raw, Words) and raw.values and len(raw.codes) and raw.codes.min() >= 0:
        if all(isinstance(value, bool | np.bool_) for value in raw.values):
            return "bool"
    return _STRING


def _unlike(label: str, others: Iterable[str]) -> str:
    """Return the name of a column's input, which is like its label and that of nothing else."""
    name, taken = f"{label}_" if _TAKEN.fullmatch(label) else label, {*others}
    while name in taken:
        name += "_"
    return name


def label_of(name: str) -> str:
    """Return what a frame calls the column of an input."""
    return name[:-1] if name.endswith("_") and _TAKEN.fullmatch(name) else name


def in_metadata(inputs: list[TableInput]) -> str:
    """Return what a model's metadata say about its inputs."""
    return json.dumps([dataclasses.asdict(one) for one in inputs])


def names_in_metadata(estimator: Any) -> dict[str, str]:
    """Return what a model's metadata say about the columns of its one input."""
    names = getattr(estimator, "feature_names_in_", None)
    return {} if names is None else {NAMES: json.dumps([*map(str, names)])}


# What a runtime is given


def feeds(model: Any, X: Any) -> dict[str, Array]:
    """Return what ``InferenceSession.run`` takes for rows in a frame.

    Parameters
    ----------
    model : onnxruntime.InferenceSession or onnx.ModelProto
        A model that `to_onnx` made.
    X : frame of pandas, polars or Arrow, or array-like, of shape (n_samples, n_features)
        Rows to predict, with the columns of the fit.

    Returns
    -------
    dict of str to ndarray
        An array of shape (n_samples, 1) for each input: numbers, which are read from text where the
        fit read them so; strings without blanks around, "" where missing; dates as microseconds
        since 1970-01-01, durations as seconds. Of a model with the one input X, rows in its type,
        of a frame the columns that have the names of the fit.

    Raises
    ------
    TypeError
        If `model` is none.
    ValueError
        If a column is missing, or holds something else than in the fit.

    Examples
    --------
    >>> import onnxruntime
    >>> import pandas
    >>> from nnjit import TabularRegressor
    >>> from nnjit.interop.onnx import feeds, to_onnx
    >>> X = pandas.DataFrame({"size": [1.0, 2.0, 3.0, 4.0], "kind": ["ape", "bee", "ape", "bee"]})
    >>> model = TabularRegressor("fast", n_members=1, max_iter=2, random_state=0).fit(X, X["size"])
    >>> graph = to_onnx(model)
    >>> feeds(graph, X[:2])["kind"]
    array([['ape'],
           ['bee']], dtype=object)
    >>> session = onnxruntime.InferenceSession(graph.SerializeToString())
    >>> session.run(None, feeds(session, X[:2]))[0].shape
    (2,)
    """
    types, metadata = _described(model)
    if METADATA not in metadata:
        (name, kind), *more = types.items()
        if more:
            raise ValueError("The model does not say what its inputs are; to_onnx made no such.")
        if _has_no_rows(X):
            return {name: np.empty(np.shape(X), kind)}
        rows = _by_names(X, json.loads(metadata.get(NAMES, "[]")))
        return {name: rows.astype(kind, copy=False)}
    inputs = [TableInput(**one) for one in json.loads(metadata[METADATA])]
    if _has_no_rows(X):
        return {one.name: np.empty((0, 1), one.dtype) for one in inputs if one.name in types}
    frame = read_frame(X)
    return {one.name: _tensor(one, frame) for one in inputs if one.name in types}


def _has_no_rows(X: Any) -> bool:
    shape = getattr(X, "shape", None)
    return bool(shape is not None and len(shape) == 2 and shape[0] == 0 and shape[1])


def _described(model: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Return the types of a model's inputs by name, and its metadata."""
    if hasattr(model, "get_modelmeta"):
        types = {one.name: _RUNTIME_TYPES[one.type] for one in model.get_inputs()}
        return types, dict(model.get_modelmeta().custom_metadata_map)
    if not hasattr(model, "graph"):
        raise TypeError(
            "feeds takes a model that to_onnx made, as onnxruntime.InferenceSession or "
            f"onnx.ModelProto, got {type(model).__name__}."
        )
    from onnx import helper

    types = {}
    for one in model.graph.input:
        kind = helper.tensor_dtype_to_np_dtype(one.type.tensor_type.elem_type)
        types[one.name] = _STRING if kind.kind == "O" else kind.name
    return types, {one.key: one.value for one in model.metadata_props}


def _by_names(X: Any, names: list[str]) -> Array:
    """Return rows, of a frame those of its columns that have these names, in their order."""
    rows = np.asarray(X)
    if not names or not (hasattr(X, "columns") or hasattr(X, "column_names")):
        return rows
    frame = read_frame(X)
    places = [_place_of(name, frame.names) for name in names] if frame.names else []
    return rows if places in ([], [*range(frame.n_columns)]) else rows[:, places]


def _place_of(name: str, names: Sequence[str]) -> int:
    if name not in names:
        raise ValueError(f"X has no column {name!r}.")
    return names.index(name)


def _tensor(one: TableInput, frame: Frame) -> Array:
    place = one.place
    if frame.names is not None and not frame.is_array:
        place = _place_of(one.column, frame.names)
    elif place >= frame.n_columns:
        raise ValueError(f"X has {frame.n_columns} columns, and none of number {place}.")
    try:
        return _values(one, frame.column(place, one.zone))[:, np.newaxis]
    except ValueError as error:
        raise ValueError(f"Column {one.column!r}: {error}.") from None


def _values(one: TableInput, raw: Raw) -> Array:
    if one.role == "date":
        return moments_in(raw).astype("datetime64[us]").astype(np.int64)
    if one.role in ("number", "duration"):
        notation = notation_named(one.notation) if one.notation else PLAIN
        kind: Any = one.role
        return _cast(np.asarray(numbers_in(raw, notation, kind)), one.type)
    if one.type != _STRING and isinstance(raw, Numbers):
        return _cast(raw.values, one.type)
    words = words_in(raw)
    if one.role == "text":
        texts = np.array([*map(str, words.values), ""], dtype=object)
        return np.asarray(texts[np.maximum(words.codes, -1)])
    if one.type == "bool":
        if len(words.codes) and words.codes.min() < 0:
            raise ValueError("it has missing values, but the model takes true or false alone")
        return spread(np.array([bool(value) for value in words.values]), words.codes, False)
    if one.type != _STRING:
        raise ValueError(f"it holds words, but the model takes numbers ({one.type})")
    texts = np.array([word_of(value) or "" for value in words.values] + [""], dtype=object)
    return np.asarray(texts[np.maximum(words.codes, -1)])


def _cast(values: Array, kind: str) -> Array:
    if kind == "int64" and values.dtype.kind == "f":
        if not np.isfinite(values).all() or (values != np.rint(values)).any():
            raise ValueError(
                "it holds missing values or fractions, but the model takes whole numbers: give "
                "to_onnx rows with such values"
            )
    return values.astype(kind)
