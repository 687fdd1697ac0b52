"""What stands in for all rows where an estimator looks at them to begin a fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.dask._rows import Facts

__all__ = ["balanced", "few_rows", "few_targets"]


def few_rows(facts: Sequence[Facts], n_rows: int) -> Any:
    """Return rows of zeros with the columns, names and type of all parts.

    Raises
    ------
    ValueError
        If the parts have different columns.
    """
    first = facts[0]
    for one in facts:
        if one.n_features != first.n_features or one.names != first.names:
            raise ValueError(
                f"Parts of X have different columns: {first.names or first.n_features} and "
                f"{one.names or one.n_features}."
            )
    dtype = np.float32 if all(one.single for one in facts) else np.float64
    rows = np.zeros((n_rows, first.n_features), dtype)
    if first.names is None:
        return rows
    import pandas

    return pandas.DataFrame(rows, columns=list(first.names))


def few_targets(facts: Sequence[Facts]) -> Array:
    """Return a target with the same classes in every column, or least and largest values, as all.

    Raises
    ------
    ValueError
        If the parts have different columns, or some have text and some numbers.
    """
    columns = []
    for each in zip(*_same_columns(facts)):
        if len({one.dtype.kind in "iubf" for one in each}) > 1:
            kinds = sorted({str(one.dtype) for one in each})
            raise ValueError(f"Parts of y have values of different types: {', '.join(kinds)}.")
        found = np.unique(np.concatenate(each))
        columns.append(found if len(found) else each[0])
    n_rows = max(map(len, columns))
    filled = [np.resize(one, n_rows) for one in columns]
    return filled[0] if facts[0].ndim == 1 else np.stack(filled, axis=1)


def _same_columns(facts: Sequence[Facts]) -> list[list[Array]]:
    if len({(one.ndim, len(one.values)) for one in facts}) > 1:
        raise ValueError("Parts of y have different numbers of columns.")
    return [one.values for one in facts]


def balanced(class_weight: Any, facts: Sequence[Facts]) -> Any:
    r"""Return weights of classes with numbers in place of 'balanced'.

    Of a class they are :math:`n / (k n_c)` with k classes, n rows and n_c of that class, as
    scikit-learn has it.

    Parameters
    ----------
    class_weight : dict, 'balanced', list or None
    facts : sequence of Facts
    """
    n_columns = len(facts[0].values)
    if isinstance(class_weight, str):
        found = [_balanced(facts, column) for column in range(n_columns)]
        return found[0] if n_columns == 1 else found
    if not isinstance(class_weight, list):
        return class_weight
    return [
        _balanced(facts, column) if isinstance(one, str) else one
        for column, one in enumerate(class_weight)
    ]


def _balanced(facts: Sequence[Facts], column: int) -> dict[Any, float]:
    counts: dict[Any, int] = {}
    for one in facts:
        for label, count in zip(one.values[column].tolist(), one.counts[column].tolist()):
            counts[label] = counts.get(label, 0) + count
    n_rows = sum(counts.values())
    return {label: n_rows / (len(counts) * count) for label, count in counts.items()}
