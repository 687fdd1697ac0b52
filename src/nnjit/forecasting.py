"""Forecasts: a series cut into windows to learn from, and predictions one after the other."""

from __future__ import annotations

from collections.abc import Hashable
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from nnjit._types import Array, FloatArray

__all__ = ["forecast", "windows"]


def windows(
    series: ArrayLike,
    length: int,
    *,
    ahead: int = 1,
    stride: int = 1,
    target: Hashable | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Cut a series into windows of the past, each with what comes next.

    Window i holds the points ``i stride`` to ``i stride + length - 1``; its target are the `ahead`
    points behind it.

    Parameters
    ----------
    series : array-like of shape (time,) or (time, channels)
        Equally spaced in time, the latest last.
    length : int
        Points of a window.
    ahead : int, default=1
        Points to be predicted at once. More than one needs a single target.
    stride : int, default=1
        Points from one window to the next.
    target : int or str, default=None
        Number, or name in a frame, of the channel to be predicted; None for all of them.

    Returns
    -------
    X : ndarray of shape (n_windows, length) or (n_windows, channels, length)
        The windows; of three axes if `series` has two. float32 if it was that, else float64.
    y : ndarray of shape (n_windows,), (n_windows, ahead) or (n_windows, channels)
        What comes next: one value, `ahead` values of the target, or one of each channel.

    Raises
    ------
    ValueError
        If the series is no series of finite numbers, or too short, or a number does not fit.

    See Also
    --------
    forecast : Predict the points behind the end of a series.

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit.forecasting import windows
    >>> X, y = windows(np.arange(6.0), 3)
    >>> X
    array([[0., 1., 2.],
           [1., 2., 3.],
           [2., 3., 4.]])
    >>> y
    array([3., 4., 5.])
    """
    values, channel = _read(series, target)
    for name, given in (("length", length), ("ahead", ahead), ("stride", stride)):
        if not isinstance(given, Integral) or isinstance(given, bool) or given < 1:
            raise ValueError(f"{name} is an int of at least 1, got {given!r}.")
    if ahead > 1 and channel is None and values.shape[1] > 1:
        raise ValueError(
            f"ahead={ahead} needs a target: the series has {values.shape[1]} channels."
        )
    if len(values) < length + ahead:
        raise ValueError(
            f"The series has {len(values)} points, but a window of {length} and the {ahead} behind "
            f"it are {length + ahead}."
        )
    cut = np.lib.stride_tricks.sliding_window_view(values, length + ahead, axis=0)[::stride]
    X, y = cut[..., :length].copy(), cut[..., length:]
    y = y[:, channel, :] if channel is not None else y[..., 0] if ahead == 1 else y[:, 0, :]
    y = y[:, 0] if y.shape[1] == 1 else y
    return X.reshape(len(X), length) if np.ndim(series) == 1 else X, y.copy()


def forecast(
    model: Any,
    series: ArrayLike,
    steps: int,
    *,
    target: Hashable | None = None,
    future: ArrayLike | None = None,
) -> FloatArray:
    """Predict the points behind the end of a series, each from those before, predicted ones too.

    Parameters
    ----------
    model : estimator
        A regressor fitted on `windows` of such a series: of this package, of scikit-learn, or a
        Pipeline. How long its windows are is read from ``n_features_in_``. One that was fitted
        with ``ahead > 1`` predicts so many points at once.
    series : array-like of shape (time,) or (time, channels)
        At least as many points as a window has.
    steps : int
        Points to predict.
    target : int or str, default=None
        As given to `windows`.
    future : array-like of shape (at least steps - 1, channels), default=None
        With a target, the values of the other channels behind the end, in the columns of `series`;
        what stands in the target's is not looked at.

    Returns
    -------
    ndarray of shape (steps,) or (steps, channels)
        Of one channel if there is one, or a target.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    ValueError
        If something does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from nnjit.forecasting import forecast, windows
    >>> series = np.sin(np.arange(200) / 5)
    >>> model = LinearRegression().fit(*windows(series, 10))
    >>> bool(np.allclose(forecast(model, series, 50), np.sin(np.arange(200, 250) / 5)))
    True
    """
    values, channel = _read(series, target)
    if not isinstance(steps, Integral) or isinstance(steps, bool) or steps < 1:
        raise ValueError(f"steps is an int of at least 1, got {steps!r}.")
    count = values.shape[1]
    length = _window_of(model, count)
    if len(values) < length:
        raise ValueError(f"The series has {len(values)} points, but the model's windows {length}.")
    known = _future(future, values, channel, int(steps))
    past = np.concatenate([values[-length:], known])
    done = 0
    while done < steps:
        window = past[done : done + length].T[np.newaxis]
        row = window.reshape(1, length) if np.ndim(series) == 1 else np.ascontiguousarray(window)
        found = np.asarray(model.predict(row), past.dtype).reshape(-1)
        points = _points(found, count, channel)[: steps - done]
        columns = slice(None) if channel is None else channel
        past[length + done : length + done + len(points), columns] = points
        done += len(points)
    ahead = past[length : length + steps]
    return ahead[:, 0] if count == 1 else ahead if channel is None else ahead[:, channel]


def _read(series: Any, target: Hashable | None) -> tuple[FloatArray, int | None]:
    """Return the values, one row for each point, and the number of the target's column."""
    names = list(getattr(series, "columns", ()))
    values = np.asarray(series)
    values = values if values.dtype == np.float32 else values.astype(np.float64)
    if values.ndim not in (1, 2) or 0 in values.shape:
        raise ValueError(f"A series has the shape (time,) or (time, channels), got {values.shape}.")
    values = values.reshape(len(values), -1)
    if not np.isfinite(values).all():
        point = int(np.isfinite(values).all(axis=1).argmin())
        raise ValueError(f"The series contains NaN or infinity, first at point {point}.")
    if target is None:
        return values, None
    if target in names:
        return values, names.index(target)
    if isinstance(target, Integral) and not isinstance(target, bool):
        if 0 <= target < values.shape[1]:
            return values, int(target)
    raise ValueError(f"target={target!r} is no channel of a series of {values.shape[1]}.")


def _window_of(model: Any, channels: int) -> int:
    """Return how many points the windows have that a model was fitted on."""
    if not hasattr(model, "n_features_in_"):
        check_is_fitted(model)
    features = int(model.n_features_in_)
    if features % channels:
        raise ValueError(
            f"The model was fitted on {features} features, but the series has {channels} channels."
        )
    return features // channels


def _future(future: Any, values: FloatArray, channel: int | None, steps: int) -> Array:
    """Return what is known behind the end, and room for what is not."""
    count = values.shape[1]
    room = np.zeros((steps, count), values.dtype)
    if channel is None or count == 1:
        if future is not None:
            raise ValueError("future is given, but all channels are predicted.")
        return room
    if steps == 1 and future is None:
        return room
    given = np.array(0.0 if future is None else future, values.dtype)
    if future is None or given.ndim != 2 or given.shape[1] != count or len(given) < steps - 1:
        raise ValueError(
            f"{steps} steps need `future`, the values of the other channels behind the end, of "
            f"shape ({steps - 1}, {count}) at least, got {getattr(given, 'shape', ())}."
        )
    given[:, channel] = 0.0
    if not np.isfinite(given[: steps - 1]).all():
        raise ValueError("future contains NaN or infinity.")
    known = given[:steps]
    room[: len(known)] = known
    return room


def _points(found: Array, channels: int, channel: int | None) -> Array:
    """Return a prediction as one row for each point, or as the values of the target."""
    if channel is not None:
        return found
    if channels == 1:
        return found[:, np.newaxis]
    if len(found) != channels:
        raise ValueError(
            f"The model predicts {len(found)} values, but the series has {channels} channels: give "
            "the target that it was fitted on."
        )
    return found[np.newaxis]
