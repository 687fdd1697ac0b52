"""Samples as kernels read them: flat, writable, native arrays, without a copy if possible."""

from typing import NamedTuple

import numpy as np

__all__ = [
    "Data",
    "Dataset",
    "as_data",
    "check_actions",
    "check_columns",
    "check_targets",
    "fill_points",
    "fill_targets",
    "points_there",
]

_NO_INDICES = np.empty(0, np.int32)
_NO_INDPTR = np.empty(0, np.int64)
_NO_LABELS = np.empty(0, np.int32)
_NO_LENGTHS = np.empty(0, np.int64)
# Values of series whose ends are looked for together: their copies should stay in the cache.
_VALUES_AT_ONCE = 1 << 17
_NOTHING = {np.dtype(t): np.empty(0, t) for t in (np.float32, np.float64)}


class Data(NamedTuple):
    """Samples and targets as kernels read them; unused members are empty."""

    x: np.ndarray  # flat values: dense rows or columns, or CSR data
    x_row: int  # elements from one row to the next (0 for CSR)
    x_column: int  # elements from one column to the next (0 for CSR)
    indices: np.ndarray  # CSR column numbers, int32
    indptr: np.ndarray  # CSR row starts, int64
    targets: np.ndarray  # (n * outputs,) row-major, or (n,): the same for all outputs
    labels: np.ndarray  # (n,) class numbers, int32, of each group of outputs in turn
    weights: np.ndarray  # (n,) sample weights; of a row with many targets those of all its points
    lengths: np.ndarray  # (n,) int64, points of time of series of unequal length
    # (n * steps,) where each point of a series has a target, and they do not all weigh the same
    point_weights: np.ndarray = _NO_LENGTHS


class Dataset(NamedTuple):
    """Samples and targets ready for the kernels."""

    data: Data
    n_samples: int
    keep: tuple  # arrays that must outlive the views in `data`
    windows: object = None  # a `Windows`, where samples are such


class _Memory:
    """Numba compiles once more for read-only arrays; kernels never write to their inputs."""

    def __init__(self, array):
        self.__array_interface__ = {
            "data": (array.__array_interface__["data"][0], False),
            "shape": array.shape,
            "typestr": array.dtype.str,
            "strides": None,
            "version": 3,
        }
        self.array = array


def canonical(array, dtype):
    """One-dimensional array with the one signature that kernels are compiled for."""
    if array.dtype == dtype and array.flags.carray:
        return array.reshape(-1)
    array = np.require(array, dtype, ["C", "A"]).reshape(-1)
    return array if array.flags.writeable else np.asarray(_Memory(array))


def check_columns(X, n_features):
    """Refuse rows that kernels would read outside of: they check nothing."""
    if X.shape[1] != n_features:
        raise ValueError(f"X has {X.shape[1]} features, but the network has {n_features} inputs.")


def check_targets(y, sample_weight, n_rows, n_outputs, labels, groups=(), steps=()):
    """Refuse targets and weights that kernels would read outside of, and labels without an output.

    Parameters
    ----------
    y : ndarray
    sample_weight : ndarray or None
    n_rows, n_outputs : int
    labels : bool
        Whether `y` holds class numbers; else it may have one column for all outputs.
    groups : tuple of int
        Outputs of each group where there are several, with a column of class numbers each.
    steps : tuple of int
        (points,) where each point of a row has a target, and may have a weight, of its own.
    """
    shape = (n_rows, *steps, n_outputs)
    if labels:
        shape = (n_rows, len(groups)) if groups else (n_rows, *steps)
    if y.shape != shape and (labels or y.shape != (n_rows, *steps, 1)):
        raise ValueError(f"The target has shape {y.shape}, but {shape} is needed.")
    if labels and n_rows:
        columns = y.T.reshape(-1, n_rows) if groups else [y]
        for column, outputs in zip(columns, groups or (n_outputs,), strict=True):
            _check_labels(column, outputs)
    _check_weights(sample_weight, n_rows, steps)


def check_actions(y, sample_weight, n_rows, entry, n_outputs):
    """The same for the targets of a loss by row, see `nnjit.formulas.registry.Loss`.

    Parameters
    ----------
    y : ndarray
    sample_weight : ndarray or None
    n_rows : int
    entry : nnjit.formulas.Loss
    n_outputs : int
    """
    shape = (n_rows, entry.target_columns(n_outputs))
    if y.shape != shape:
        raise ValueError(f"The target has shape {y.shape}, but {shape} is needed.")
    if entry.output == "softmax" and n_rows:
        _check_labels(y[:, 0], n_outputs)
        if (y[:, 0] != np.floor(y[:, 0])).any():
            raise ValueError("The target has actions that are no whole numbers.")
    _check_weights(sample_weight, n_rows)


def _check_weights(sample_weight, n_rows, steps=()):
    if sample_weight is not None and sample_weight.shape not in ((n_rows,), (n_rows, *steps)):
        raise ValueError(
            f"The sample weights have shape {sample_weight.shape}, but {(n_rows,)} is needed."
        )


def _check_labels(y, n_outputs):
    if not 0 <= y.min() <= y.max() < n_outputs:
        raise ValueError(
            f"The target has class numbers from {y.min()} to {y.max()}, but the network has "
            f"{n_outputs} outputs."
        )


def as_data(X, dtype, shape=()):
    """(Data without targets, arrays to keep alive) of a dense matrix or a CSR one.

    `shape` is that of a row which is a series or an image, see `Network`.
    """
    nothing = _NOTHING[np.dtype(dtype)]
    if hasattr(X, "indptr"):
        values = canonical(X.data, dtype)
        indices, indptr = canonical(X.indices, np.int32), canonical(X.indptr, np.int64)
        return Data(values, 0, 0, indices, indptr, nothing, _NO_LABELS, nothing, _NO_LENGTHS), (X,)
    n, m = X.shape
    if X.flags.fnc:  # in Fortran order and not in C order
        flat, row, column = canonical(X.T, dtype), 1, n
    else:
        flat, row, column = canonical(X, dtype), m, 1
    lengths = series_lengths(X, shape) if len(shape) == 2 else _NO_LENGTHS
    return (
        Data(flat, row, column, _NO_INDICES, _NO_INDPTR, nothing, _NO_LABELS, nothing, lengths),
        (X,),
    )


def series_lengths(X, shape):
    """Points of time of each series, those behind the last being NaN; empty where all have all.

    A series without any point counts as a whole one, so that its NaN do not stay unseen.

    Parameters
    ----------
    X : ndarray of shape (n_samples, channels * time)
    shape : tuple of int
        (channels, time).

    Returns
    -------
    ndarray of int64
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isnan(X.sum()):
            return _NO_LENGTHS
    points, rows = shape[-1], max(1, _VALUES_AT_ONCE // X.shape[1])
    lengths = np.empty(len(X), np.int64)
    for start in range(0, len(X), rows):
        # a copy where X is in Fortran order
        there = ~np.isnan(X[start : start + rows].reshape(-1, *shape)).all(axis=1)
        # 0 points from the end where none is there
        lengths[start : start + rows] = points - there[:, ::-1].argmax(axis=1)
    return lengths if lengths.min() < points else _NO_LENGTHS


def fill_targets(data, y, sample_weight, labels, dtype):
    """Add targets, class numbers if `labels`, and weights."""
    if sample_weight is not None:
        data = data._replace(weights=canonical(sample_weight, dtype))
    if labels:
        return data._replace(labels=canonical(y.T, np.int32))
    return data._replace(targets=canonical(y, dtype))


def fill_points(data, y, sample_weight, labels, network, dtype):
    """Add targets and weights of every point; a row weighs as much as all its points."""
    n, (steps,) = len(y), network.target_shape
    there = _lengths_of(data.lengths, n, network)
    if sample_weight is None:
        weights = there.astype(dtype)
    else:
        each = sample_weight if sample_weight.ndim == 2 else sample_weight[:, np.newaxis]
        each = np.broadcast_to(each, (n, steps)).astype(dtype)
        data = data._replace(point_weights=canonical(each, dtype))
        weights = np.where(np.arange(steps) < there[:, np.newaxis], each, 0).sum(1, dtype=float)
    data = data._replace(weights=canonical(weights, dtype))
    if labels:
        return data._replace(labels=canonical(y, np.int32))
    return data._replace(targets=canonical(y, dtype))


def points_there(X, network):
    """Which points of the last layer series have, of a network with a target at each.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    network : nnjit.layers.network.Network

    Returns
    -------
    ndarray of bool, shape (n_samples, steps)
    """
    shape = network.shape
    lengths = series_lengths(X, shape) if len(shape) == 2 else _NO_LENGTHS
    return np.arange(network.steps) < _lengths_of(lengths, len(X), network)[:, np.newaxis]


def _lengths_of(lengths, n, network):
    """Points of the last layer that each of n series has."""
    if not len(lengths):
        return np.full(n, network.steps)
    return network.lengths[-1][lengths]
