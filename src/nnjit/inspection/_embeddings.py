"""What a network's embeddings make of each column: numbers as curves, categories as points."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from nnjit.estimators._tabular import TabularEstimator
from nnjit.inspection._cases import Stack, find_stack, layer_outputs
from nnjit.inspection._drawing import default_names
from nnjit.inspection._network import innermost, known_names

__all__ = ["EmbeddedCategory", "EmbeddedNumber", "embedded_columns"]

Values = NDArray[np.float64]

_NUMBERS = ("periodic", "piecewise")
_EMBEDDINGS = (*_NUMBERS, "embedding")
# Layers under which the columns of a row still stand where they were, numbers in front.
_KEEP_COLUMNS = (*_NUMBERS, "embedding", "scaling", "parametric", "dropout", "noise")
# Range that is drawn where nothing is known of the rows: about that of scaled ones.
_RANGE = (-3.0, 3.0)
_POINTS = 201


class EmbeddedNumber(NamedTuple):
    """What comes out of the embedding of a number.

    Parameters
    ----------
    name : str
        Of the column.
    values : ndarray of shape (n_points,)
        Values of the column, ascending.
    outputs : ndarray of shape (n_points, n_outputs)
        What the embedding makes of them.
    rows : ndarray of shape (n_samples,) or None
        Values of the column in some rows.

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit.inspection import EmbeddedNumber
    >>> age = np.linspace(0, 80, 3)
    >>> EmbeddedNumber("age", age, np.column_stack([age / 80, np.cos(age / 10)])).outputs.shape
    (3, 2)
    """

    name: str
    values: Values
    outputs: Values
    rows: Values | None = None


class EmbeddedCategory(NamedTuple):
    """The vectors of a column of categories.

    Parameters
    ----------
    name : str
        Of the column.
    vectors : ndarray of shape (n_levels, dimension)
        That of each category.
    levels : list of str
        Names of the categories.
    counts : ndarray of shape (n_levels,) or None
        How many of some rows have each category.

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit.inspection import EmbeddedCategory
    >>> EmbeddedCategory("town", np.eye(2), ["Ghent", "Ulm"]).levels
    ['Ghent', 'Ulm']
    """

    name: str
    vectors: Values
    levels: list[str]
    counts: NDArray[np.int64] | None = None


class _Embedded(NamedTuple):
    """A fitted network with its rows, as they come in, and what is known of their columns."""

    stack: Stack
    rows: Values | None
    names: list[str]
    levels: dict[str, list[str]]  # of some columns of codes
    unit: str = ""  # of numbers


def embedded_columns(
    display: str, estimator: Any, X: Any, features: Any, at_most: int, member: int | None
) -> list[EmbeddedNumber | EmbeddedCategory]:
    """Return what a fitted network's embeddings make of some columns, all if `features` is None.

    Raises
    ------
    TypeError
        If no layer is an embedding of columns.
    ValueError
        If a column is asked for that is not embedded, or none at all.
    """
    found = _find(estimator, X, member)
    numbers, categories = _place_of(found.stack, _NUMBERS), _place_of(found.stack, ("embedding",))
    layers: Any = found.stack.network.layers
    n_numbers = 0 if numbers is None else layers[numbers].features
    levels = () if categories is None else layers[categories].levels
    width = found.stack.network.inputs
    embedded = [*range(n_numbers), *range(width - len(levels), width)]
    if not embedded:
        raise TypeError(
            f"{display} needs a network whose first layers embed columns (PeriodicEmbedding, "
            "PiecewiseLinear or Embedding), alone or in an estimator of tables, a Pipeline or a "
            f"search; got {type(found.stack.estimator).__name__}."
        )
    columns = _asked(features, embedded, found.names) or embedded[:at_most]
    return [
        _number(found, numbers, column)
        if numbers is not None and column < n_numbers
        else _category(found, categories, column - width)
        for column in columns
    ]


def _find(estimator: Any, X: Any, member: int | None) -> _Embedded:
    part = innermost(estimator)
    if isinstance(part, TabularEstimator):
        return _find_member(part, X, member)
    stack, rows = find_stack(estimator, X)
    width = stack.network.inputs
    names = known_names(estimator, width)
    names = default_names(width) if names is None else [str(name) for name in names]
    return _Embedded(stack, None if rows is None else np.asarray(rows, np.float64), names, {})


def _find_member(tables: Any, X: Any, member: int | None) -> _Embedded:
    """Return one of the networks of a table's estimator, and rows as that gets them."""
    check_is_fitted(tables, "members_")
    number = _richest(tables.members_) if member is None else operator.index(member)
    count = len(tables.members_)
    if not -count <= number < count:
        members = "1 member" if count == 1 else f"{count} members"
        raise ValueError(f"There are {members}: there is none with number {number}.")
    rows = None if X is None else np.asarray(tables._rows(X), np.float64)
    stack, _ = find_stack(tables.members_[number])
    encoder = tables._encoder
    levels = {
        label: ["other", *column.levels]  # code 0: missing, rare or never seen
        for label, column in zip(encoder.labels, encoder.columns)
        if getattr(column, "n_codes", 0)
    }
    return _Embedded(stack, rows, encoder.output_names(), levels, " (scaled)")


def _richest(members: list[Any]) -> int:
    """Return the number of the first network with the most kinds of embeddings."""
    kinds = [sum(layer.kind in _EMBEDDINGS for layer in member.layers_) for member in members]
    return kinds.index(max(kinds))


def _place_of(stack: Stack, kinds: tuple[str, ...]) -> int | None:
    """Return the first layer of some kinds that still reads the columns of a row."""
    if stack.network.shape:
        return None
    for place, layer in enumerate(stack.network.layers):
        if layer.kind in kinds:
            return place
        if layer.kind not in _KEEP_COLUMNS:
            return None
    return None


def _asked(features: Any, embedded: list[int], names: list[str]) -> list[int]:
    """Return the columns that are asked for, by their numbers."""
    if features is None:
        return []
    single = isinstance(features, str) or np.ndim(features) == 0
    found = []
    for feature in [features] if single else list(features):
        column = names.index(feature) if feature in names else feature
        if column not in embedded:
            raise ValueError(
                f"{feature!r} is no column that is embedded; these are "
                f"{[names[one] for one in embedded]!r:.300}."
            )
        found.append(int(column))
    if not found:
        raise ValueError("features are the columns to draw, at least one.")
    return found


def _number(found: _Embedded, place: int, column: int) -> EmbeddedNumber:
    """Return what comes out of the embedding of one number over its range."""
    stack, layer = found.stack, found.stack.network.layers[place]
    rows = None if found.rows is None else found.rows[:, column]
    low, high = _range(stack, place, column) if rows is None else (rows.min(), rows.max())
    values = np.linspace(low, high, _POINTS)
    grid = np.zeros((_POINTS, stack.network.inputs))
    grid[:, column] = values
    outputs = layer_outputs(stack, grid, place + 1)
    made: Any = layer
    each = made.bins if layer.kind == "piecewise" else 1 + made.units
    own = outputs[:, column * each : (column + 1) * each]
    return EmbeddedNumber(found.names[column] + found.unit, values, own, rows)


def _range(stack: Stack, place: int, column: int) -> tuple[float, float]:
    """Return the range of a column of which no rows are known."""
    edges = stack.parameters_of(place).get("edges")
    if edges is None or place > 0:
        return _RANGE
    return float(edges[column, 0]), float(edges[column, -1])


def _category(found: _Embedded, place: int | None, column: int) -> EmbeddedCategory:
    """Return the vectors of one column of codes, by its number from the end, below 0."""
    assert place is not None
    layer: Any = found.stack.network.layers[place]
    ends = np.cumsum([0, *layer.levels])
    count = layer.levels[column]
    start = ends[len(layer.levels) + column]
    vectors = found.stack.parameters_of(place)["vectors"][start : start + count]
    name, counts = found.names[column], None
    if found.rows is not None:
        codes = np.floor(found.rows[:, column])
        known = (codes >= 0) & (codes < count)
        counts = np.bincount(np.where(known, codes, 0).astype(np.int64), minlength=count)
    levels = found.levels.get(name, [str(code) for code in range(count)])
    return EmbeddedCategory(name, np.asarray(vectors, np.float64), levels, counts)
