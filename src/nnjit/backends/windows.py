"""Long series in windows of so many points, of which each goes on from the states behind the last.

So training keeps no more of a series than one window of it, and neither does a prediction. Windows
are rows of a data set like others; which of them go on from which states is a table beside it.
"""

from typing import NamedTuple

import numpy as np

from nnjit.backends.dataset import series_lengths
from nnjit.backends.layout import aligned_zeros

__all__ = ["Cut", "Windows", "cut_series", "goes_by_windows", "predict_windows"]

# Points of a window of a prediction, of series longer than the second; points of all rows that a
# call is worth; values of the windows that are predicted together, which are copies.
_POINTS, _LONG = 128, 256
_POINTS_OF_CALL = 1024
_VALUES_AT_ONCE = 1 << 20


class Windows(NamedTuple):
    """What makes rows of a data set windows of series."""

    points: int  # of a window
    first: np.ndarray  # (n_series + 1,) rows: those of series i are first[i] to first[i + 1] - 1
    # (n_rows,) of each row the states that it goes on from and leaves its own in, numbered by
    # series; -1 - number where it is the first of its series. The last row is an empty one.
    state_rows: np.ndarray
    states: np.ndarray  # (n_series + 1, values), float32 or float64

    def order(self, series, batch_size):
        """Rows in the order of an epoch that visits series in this order.

        Parameters
        ----------
        series : ndarray of int
        batch_size : int
            Series whose windows go side by side.

        Returns
        -------
        ndarray of int64
            Minibatches of `batch_size` rows each: the first windows of the first `batch_size`
            series, the second ones, and so on up to the last one of the longest of them, then those
            of the following series. An empty row stands where a series is over.
        """
        empty, groups = len(self.state_rows) - 1, [np.empty(0, np.int64)]
        for start in range(0, len(series), batch_size):
            group = series[start : start + batch_size]
            numbers = self.first[group], self.first[group + 1]
            groups.append(_side_by_side(*numbers, batch_size, empty))
        return np.concatenate(groups)

    def count_batches(self, series, batch_size):
        """Minibatches of an epoch, at least: as many as where series of a length go together."""
        counts = np.sort(self.first[series + 1] - self.first[series])[::-1]
        return int(counts[::batch_size].sum())


def _side_by_side(first, stop, width, empty):
    """The numbers first, first + 1, ... < stop of some series: a row each of `width` entries."""
    count = int((stop - first).max(initial=0))
    rows = np.full((count, width), empty, np.int64)
    found = first + np.arange(count)[:, np.newaxis]
    rows[:, : len(first)] = np.where(found < stop, found, empty)
    return rows.ravel()


class Cut(NamedTuple):
    """Series that have been cut into windows, and their targets and weights; the last is empty."""

    X: np.ndarray
    y: np.ndarray
    weights: np.ndarray  # or None
    windows: Windows


def cut_series(X, y, sample_weight, network, points, dtype):
    """Cut series into windows of so many points.

    Windows behind the last one of a series that has any weight are left out.

    Parameters
    ----------
    X : ndarray of shape (n_series, channels * time)
        Shorter series end in NaN.
    y : ndarray of shape (n_series, time, ...)
    sample_weight : ndarray of shape (n_series,) or (n_series, time), or None
    network : Network
        Of the whole series.
    points : int
    dtype : numpy dtype

    Returns
    -------
    Cut
    """
    n, time = len(X), network.shape[1]
    counts = -(-_weighed(lengths_of(X, network), sample_weight) // points)
    there = np.arange(-(-time // points)) < counts[:, np.newaxis]
    rows = _pieces(X.reshape(n, -1, time), points, 2, np.nan, there)
    rows[-1] = 0
    weights = sample_weight
    if weights is not None and weights.ndim == 1:
        weights = np.append(np.repeat(weights, counts), weights.dtype.type(0))
    elif weights is not None:
        weights = _pieces(weights, points, 1, 0, there)
    first = np.concatenate([[0], np.cumsum(counts)])
    return Cut(
        rows.reshape(len(rows), -1),
        _pieces(y, points, 1, 0, there),
        weights,
        Windows(points, first, _state_rows(counts), _states(n + 1, network, dtype)),
    )


def lengths_of(X, network):
    """Points of time of each of some series."""
    found = series_lengths(X, network.shape)
    return found if len(found) else np.full(len(X), network.shape[1], np.int64)


def _weighed(lengths, sample_weight):
    """Points of each series up to the last one with a weight."""
    if sample_weight is None:
        return lengths
    if sample_weight.ndim == 1:
        return np.where(sample_weight != 0, lengths, 0)
    there = (sample_weight != 0) & (np.arange(sample_weight.shape[1]) < lengths[:, np.newaxis])
    return np.where(there.any(axis=1), there.shape[1] - there[:, ::-1].argmax(axis=1), 0)


def _pieces(array, points, axis, fill, there):
    """Pieces of so many points along an axis, those that are `there`, and an empty one behind.

    Parameters
    ----------
    array : ndarray of shape (n, ..., time, ...)
    axis : int
        That of time.
    there : ndarray of bool, shape (n, pieces)
    """
    n, whole = len(array), array.shape[axis] // points
    before, behind = array.shape[1:axis], array.shape[axis + 1 :]
    made = np.full((there.size + 1, *before, points, *behind), fill, array.dtype)
    pieces = made[:-1].reshape(n, -1, *made.shape[1:])
    time = np.moveaxis(array, axis, 1)
    target = np.moveaxis(pieces, axis + 1, 2)  # (n, pieces, points, ...)
    target[:, :whole] = time[:, : whole * points].reshape(n, whole, points, *target.shape[3:])
    rest = array.shape[axis] - whole * points
    if rest:
        target[:, whole, :rest] = time[:, whole * points :]
    return made if there.all() else made[np.append(there.ravel(), True)]


def _state_rows(counts):
    """The states of each window of series of so many windows, and those of the empty one."""
    series = np.repeat(np.arange(len(counts)), counts)
    begins = np.concatenate([[0], np.cumsum(counts)])[:-1][counts > 0]
    series[begins] = -1 - series[begins]
    return np.append(series, -1 - len(counts)).astype(np.int64)


def _states(n, network, dtype):
    size = sum(network.carried)
    return aligned_zeros(n * size, dtype).reshape(n, size)


# -- prediction -------------------------------------------------------------------------


def goes_by_windows(network):
    """Whether predictions of a network's rows are made window by window."""
    return network.carries and network.shape[1] > _LONG


def predict_windows(engine, X, output):
    """What `CpuEngine` predicts for long series, and whether all is surely finite.

    Parameters
    ----------
    engine : CpuEngine
        For the whole series.
    X : ndarray of shape (n_series, channels * time)
    output : {'activation', 'logits'}

    Returns
    -------
    out : ndarray of shape (n_series, n_steps, n_outputs), or (n_series, n_values)
    finite : bool
    """
    network = engine.network
    out, finite = np.zeros((len(X), *engine.row_shape), engine.dtype), True
    lengths = lengths_of(X, network)
    series = X.reshape(len(X), *network.shape)
    together = max(1, _VALUES_AT_ONCE // (_POINTS * (network.shape[0] + network.outputs)))
    for start in range(0, len(X), together):
        # the longest first: those that are not over are the first ones in every window
        rows = start + np.argsort(-lengths[start : start + together], kind="stable")
        finite &= _predict_series(engine, series, rows, lengths[rows], output, out)
    return out, finite


def _points(rows):
    """Points of the windows of so many rows: few rows have longer ones."""
    return max(_POINTS, 1 << (_POINTS_OF_CALL // rows).bit_length() >> 1)


def _predict_series(engine, series, rows, lengths, output, out):
    """Write the outputs of some of the series, the longest first; whether all is finite."""
    network, finite = engine.network, True
    points = min(_points(len(rows)), network.shape[1])
    windows, states = engine.of_points(points), _states(len(rows), network, engine.dtype)
    for start in range(0, int(lengths[0]), points):
        left = lengths[lengths > start] - start
        there, here = rows[: len(left)], min(points, network.shape[1] - start)
        X = np.full((len(left), network.shape[0], points), np.nan, series.dtype)
        X[:, :, :here] = series[there, :, start : start + here]
        numbers = np.arange(len(left)) if start else -1 - np.arange(len(left))
        found, good = windows.predict_window(
            X.reshape(len(left), -1), np.minimum(left, points), states, numbers, output
        )
        finite &= good
        _enter(found, network, out, there, left <= points, slice(start, start + here))
    return finite


def _enter(found, network, out, rows, over, there):
    """Enter the outputs for a window of some rows: those at its points, or of rows that are over.

    there : slice of the points of the series that are in the window
    """
    here = slice(0, there.stop - there.start)
    if network.target_shape:
        out[rows, there] = found[:, here]
    elif network.steps == 1:
        out[rows[over]] = found[over]
    else:  # packed values of a network that is the beginning of another
        channels = network.outputs
        pieces = found.reshape(len(found), channels, -1)
        out.reshape(len(out), channels, -1)[rows, :, there] = pieces[:, :, here]
