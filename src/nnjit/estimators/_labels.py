"""Class labels: finding, checking and encoding them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import assert_all_finite, check_array, column_or_1d

from nnjit._types import Array
from nnjit.estimators._arrays import native, readable_texts
from nnjit.estimators._label_columns import LabelColumns, are_columns, fit_columns, same_columns


def _plain_integers(y: Any) -> bool:
    """Whether `y` is a vector of integers or booleans, for which no other check is needed."""
    return isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "iub"


@contextmanager
def explaining(y: Any, name: str = "y") -> Iterator[None]:
    """Say what is wrong with labels where scikit-learn prints them all, or Python compares them."""
    try:
        yield
    except (TypeError, ValueError) as error:
        better = None if y is None else _explanation(y, name, str(error))
        if better is None:
            raise
        raise better from None


def _explanation(y: Any, name: str, words: str) -> Exception | None:
    labels = np.asarray(readable_texts(y), dtype=object).ravel()
    unordered = words.startswith("'<' not supported between instances")
    none = np.array([label is None for label in labels])
    if none.any():
        return _missing(none, f"Input {name} contains None")
    nan = np.array([isinstance(label, float | np.floating) and label != label for label in labels])
    if unordered and nan.any():
        return _missing(nan, f"Input {name} contains NaN")
    kinds = sorted({type(label).__name__ for label in labels})
    if unordered and len(kinds) > 1:
        return TypeError(f"Labels must be uniformly strings or numbers. Got {kinds}.")
    if not (unordered or words.startswith("Unknown label type")):
        return None
    try:
        check_classification_targets(y)
    except ValueError as better:
        if "Unknown label type: unknown" not in str(better):
            return better
        return ValueError(
            f"{better} Objects ({', '.join(kinds)}) have to be converted to numbers, text or "
            "datetime64."
        )
    return None


def _missing(where: Array, words: str) -> ValueError:
    return ValueError(
        f"{words} ({where.sum()} of {len(where)} labels, the first at index {where.argmax()}). "
        "Leave those rows out, or give them a label."
    )


def _refuse_nat(y: Any) -> None:
    if getattr(getattr(y, "dtype", None), "kind", None) in ("m", "M") and np.isnat(y).any():
        raise ValueError("Input y contains NaT.")


def fit_labels(y: Any) -> LabelBinarizer | LabelColumns:
    """Return what holds the classes of validated labels, in one column or in several.

    Raises
    ------
    ValueError, TypeError
        If the labels are no classes: continuous, None, of several types.
    """
    return fit_columns(y) if are_columns(y) else fit_binarizer(y)


def fit_binarizer(y: Any) -> LabelBinarizer:
    """Return a `LabelBinarizer` fitted on validated labels.

    It holds the classes and the kind of target (binary, multiclass, multilabel-indicator) and maps
    outputs back to labels. For vectors of integers it is filled in directly; its own fit looks at
    the labels three times over. The classes are in native byte order.

    Raises
    ------
    ValueError, TypeError
        If the labels are no classes: continuous, None, of several types.
    """
    y = native(y)
    binarizer = LabelBinarizer()
    if not _plain_integers(y):
        _refuse_nat(y)
        with explaining(y):
            return binarizer.fit(y)
    binarizer.classes_ = np.unique(y)
    binarizer.y_type_ = "binary" if len(binarizer.classes_) <= 2 else "multiclass"
    binarizer.sparse_input_ = False
    return binarizer


def check_known_classes(y: Any, classes: Array, *, all_present: bool) -> None:
    """Check the labels of a later fit against those of the first.

    Parameters
    ----------
    y : array
        Validated labels.
    classes : ndarray
        Classes seen by the first fit.
    all_present : bool
        Whether `y` has to hold every class (warm start) or only classes among them (partial_fit).

    Raises
    ------
    ValueError, TypeError
    """
    _refuse_nat(y)
    if are_columns(y):
        raise ValueError(
            f"y has {y.shape[1]} columns of classes, but the network was fitted on y with one, or "
            "on a multilabel indicator."
        )
    with explaining(y):
        found = np.unique(y) if _plain_integers(y) else unique_labels(y)
    if all_present:
        if set(found) != set(classes):
            raise ValueError(
                "warm_start can only be used where `y` has the same "
                "classes as in the previous call to fit. Previously "
                f"got {classes}, `y` has {found}"
            )
    elif len(np.setdiff1d(found, classes, assume_unique=True)):
        raise ValueError(
            "`y` has classes not in `self.classes_`. "
            f"`self.classes_` has {classes}. 'y' has {found}."
        )


def check_encoding(binarizer: Any, classes: Any) -> None:
    """Check that labels can be encoded for the network that is there.

    Parameters
    ----------
    binarizer : LabelBinarizer
        What the network was fitted with, or something that was assigned since.
    classes : ndarray
        The estimator's `classes_`; for a multilabel target there may be more than labels.

    Raises
    ------
    ValueError
    """
    kind = getattr(binarizer, "y_type_", None)
    encoded: Any = getattr(binarizer, "classes_", None)
    if isinstance(binarizer, LabelColumns):
        fits = same_columns(classes, encoded)
    else:
        same = np.array_equal(encoded, classes) if kind in ("binary", "multiclass") else kind
        fits = bool(same) and np.ndim(classes) == 1
    if not fits:
        raise ValueError(
            f"classes_ is {classes}, but the network was fitted on the classes {encoded} "
            "(_label_binarizer). Training goes on with the classes of the fit only."
        )


def encode(binarizer: LabelBinarizer | LabelColumns, y: Any) -> Array:
    """Return the labels as the engine takes them.

    Returns
    -------
    target : ndarray
        Class indices, shape (n_samples,), for a multiclass problem, and (n_samples, n_columns)
        for several columns; otherwise zeros and ones, shape (n_samples, 1) for a binary and
        (n_samples, n_labels) for a multilabel one.
    """
    if isinstance(binarizer, LabelColumns):
        return binarizer.encode(y)
    if y.ndim != 1 or binarizer.y_type_.startswith("multilabel"):
        return np.asarray(binarizer.transform(y), dtype=bool)
    classes = binarizer.classes_
    if binarizer.y_type_ == "multiclass":
        return np.asarray(np.searchsorted(classes, y))
    if len(classes) == 1:
        return np.zeros((len(y), 1), dtype=bool)
    return np.asarray(y == classes[1])[:, np.newaxis]


def encode_known(binarizer: Any, y: Any, name: str) -> Array:
    """Return labels that are those of a fit, or some of them, as the engine takes them.

    Parameters
    ----------
    binarizer : LabelBinarizer or LabelColumns
        Of that fit.
    y : array-like
        As the user has them.
    name : str
        What the messages call them.

    Raises
    ------
    ValueError, TypeError
        If they are no such labels.
    """
    if isinstance(binarizer, LabelColumns):
        y = check_array(native(y), dtype=None, input_name=name)
        try:
            binarizer.check(y, all_present=False)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        return binarizer.encode(y)
    if binarizer.y_type_.startswith("multilabel"):
        y = check_array(y, accept_sparse="csr", dtype=None, input_name=name)
        if y.shape[1] != len(binarizer.classes_):
            raise ValueError(
                f"{name} has {y.shape[1]} labels, but y has {len(binarizer.classes_)}."
            )
        if not np.isin(y.data if sp.issparse(y) else y, (0, 1)).all():
            raise ValueError(f"{name} must have only zeros and ones, as y has.")
        return encode(binarizer, y)
    y = column_or_1d(native(np.asarray(y)), warn=False)
    _refuse_nat(y)
    assert_all_finite(y, input_name=name)
    unseen = _unseen(y, binarizer.classes_)
    if unseen:
        raise ValueError(f"{name} contains previously unseen labels: {unseen}")
    return encode(binarizer, y.astype(binarizer.classes_.dtype, copy=False))


def _unseen(y: Array, classes: Array) -> list[Any]:
    """Return the labels that are no classes, each once."""
    if _plain_integers(y) and _plain_integers(classes):
        return list(np.setdiff1d(y, classes).tolist())
    known = set(classes.tolist())
    return [label for label in dict.fromkeys(y.tolist()) if label not in known]


def decode(binarizer: Any, output: Array) -> Any:
    """Return the labels that the network's output says are most probable.

    Parameters
    ----------
    binarizer : LabelBinarizer or LabelColumns
    output : ndarray of shape (n_samples, n_outputs)
        Activations of the output layer.

    Returns
    -------
    y : ndarray of shape (n_samples,) or (n_samples, n_labels)
        Sparse if the labels of the fit were.

    Raises
    ------
    ValueError
        If the binarizer was assigned and does not go with the network's outputs.
    """
    if isinstance(binarizer, LabelColumns):
        return binarizer.decode(output)
    classes = np.asarray(getattr(binarizer, "classes_", None))
    kind, units = getattr(binarizer, "y_type_", None), output.shape[1]
    known = len(classes) if classes.ndim == 1 else 0
    if kind == "multiclass" and units == known:
        return classes[output.argmax(axis=1)]
    if kind == "binary" and units == 1 and known == 2 and _from_zero_to_one(binarizer):
        return classes[(output[:, 0] > 0.5).astype(np.intp)]
    if kind == "binary" and known and (units == 1 or units == known == 2):
        return binarizer.inverse_transform(output.ravel() if units == 1 else output)
    if kind == "multilabel-indicator" and units == known:
        return binarizer.inverse_transform(output)
    raise ValueError(
        f"The network has {units} outputs, but its labels (_label_binarizer) are "
        f"{'of no kind that it can tell apart' if kind is None else kind} with {known} classes."
    )


def _from_zero_to_one(binarizer: LabelBinarizer) -> bool:
    return bool(binarizer.neg_label == 0 and binarizer.pos_label == 1)
