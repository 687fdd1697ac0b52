"""What the demo learns: data, split, preprocessing and task, from digits or a user's table."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeAlias

import numpy as np

from nnjit._types import Array
from nnjit.cli.errors import UserError
from nnjit.cli.table import Table, is_class_target, read_table

__all__ = ["Problem", "digits_problem", "table_problem"]

Rows: TypeAlias = tuple[Array, Array]  # X and y

TEST_SHARE = 0.25
_MAX_CATEGORIES = 100


@dataclasses.dataclass
class Problem:
    """A learning task that is ready for a Pipeline.

    Attributes
    ----------
    title : str
        One line for the user: rows, columns, task.
    task : {"classification", "regression"}
    train, test : tuple of (X, y)
    preprocessing : estimator
        Unfitted first step of the Pipeline.
    notes : list of str
        What was done to the data, in sentences.
    raw : RawTable or None
        A user's table before the preprocessing, for estimators that take it so.
    """

    title: str
    task: str
    train: Rows
    test: Rows
    preprocessing: Any
    notes: list[str]
    raw: RawTable | None = None


@dataclasses.dataclass
class RawTable:
    """The rows of a table as they were read.

    Attributes
    ----------
    train, test : frame or ndarray of object
        A frame of pandas where it is installed.
    names : list of str
        Of the columns.
    numeric, text : list of int
        Columns of `Problem.train` that are numbers, and those that are text; they are fewer.
    """

    train: Any
    test: Any
    names: list[str]
    numeric: list[int]
    text: list[int]


def digits_problem(seed: int) -> Problem:
    """Classification of scikit-learn's 8 x 8 digits, standardized.

    Parameters
    ----------
    seed : int
        Seed of the split.

    Returns
    -------
    Problem
    """
    from sklearn.datasets import load_digits
    from sklearn.preprocessing import StandardScaler

    X, y = load_digits(return_X_y=True)
    rows, notes = _split(y, "classification", seed)
    train, test = _parts(X, y, rows)
    title = f"Digits: {_shape(train, test)}, 10 classes."
    return Problem(title, "classification", train, test, StandardScaler(), notes)


def table_problem(path: str, target: str, task: str, seed: int) -> Problem:
    """Classification or regression of a column of a CSV file.

    Numeric columns are standardized, their missing cells filled with the training rows'
    median; text columns are one-hot encoded. `read_table` says what counts as which.

    Parameters
    ----------
    path, target : str
        File and name of the target column.
    task : {"auto", "classification", "regression"}
        "auto" classifies a target of text, or of whole numbers with at most 20 values.
    seed : int
        Seed of the split.

    Returns
    -------
    Problem

    Raises
    ------
    UserError
        If the file, the column or the task do not fit.
    """
    table = read_table(path, target)
    task = _task(table.target, target, task)
    y = table.target if task == "regression" else _labels(table.target)
    rows, notes = _split(y, task, seed)
    train, test = _parts(table.features, y, rows)
    if task == "regression":
        goal = f"regression of {target!r}"
    else:
        goal = f"{len(np.unique(y))} classes of {target!r}"
    title = f"{path}: {_shape(train, test)}, {goal}."
    raw_train, raw_test = _raw_parts(table.columns, rows)
    raw = RawTable(raw_train, raw_test, list(table.columns), table.numeric, table.text)
    return Problem(title, task, train, test, _preprocessing(table), table.notes + notes, raw)


def _parts(X: Array, y: Array, rows: tuple[Array, Array]) -> tuple[Rows, Rows]:
    train, test = rows
    return (X[train], y[train]), (X[test], y[test])


def _raw_parts(columns: dict[str, Array], rows: tuple[Array, Array]) -> list[Any]:
    """Return frames of pandas, or arrays of object where it is not installed."""
    try:
        from pandas import DataFrame
    except ImportError:
        cells = np.empty((sum(map(len, rows)), len(columns)), dtype=object)
        for i, values in enumerate(columns.values()):
            cells[:, i] = values
        return [cells[part] for part in rows]
    frame = DataFrame(columns)
    return [frame.iloc[part].reset_index(drop=True) for part in rows]


def _labels(target: Array) -> Array:
    """Classes as scikit-learn takes them: whole numbers, or text."""
    if target.dtype.kind != "f":
        return target
    if np.all(target == np.rint(target)) and np.abs(target).max() < 2**63:
        return target.astype(np.int64)
    return target.astype(str)


def _task(target: Array, name: str, wanted: str) -> str:
    is_number = target.dtype.kind == "f"
    if wanted == "regression" and not is_number:
        raise UserError(f"the target {name!r} is not numeric: it cannot be regressed")
    if wanted == "auto":
        wanted = "classification" if is_class_target(target) else "regression"
    if wanted == "classification":
        n_classes = len(np.unique(target))
        if 2 * n_classes > len(target):
            hint = "; --task regression learns numbers" if is_number else ""
            raise UserError(
                f"the target {name!r} has {n_classes} different values in {len(target)} rows:"
                f" too many to be classes{hint}"
            )
    return wanted


def _split(y: Array, task: str, seed: int) -> tuple[tuple[Array, Array], list[str]]:
    """Rows to train on and to test on, stratified where every class has two."""
    from sklearn.model_selection import train_test_split

    stratify, notes = None, []
    if task == "classification":
        counts = np.unique(y, return_counts=True)[1]
        if counts.min() >= 2 and len(counts) <= int(TEST_SHARE * len(y)):
            stratify = y
        else:
            notes.append("The test rows are not stratified: some classes have too few rows.")
    train, test = train_test_split(
        np.arange(len(y)), test_size=TEST_SHARE, random_state=seed, stratify=stratify
    )
    if len(np.unique(y[train])) < 2:
        raise UserError("the training rows are all of one class: more rows are needed")
    return (train, test), notes


def _preprocessing(table: Table) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    words = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=_MAX_CATEGORIES)
    return ColumnTransformer([("numbers", numbers, table.numeric), ("words", words, table.text)])


def _shape(train: Rows, test: Rows) -> str:
    return f"{len(train[0])} training and {len(test[0])} test rows, {train[0].shape[1]} columns"
