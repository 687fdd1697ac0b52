"""Series and images scaled as a network wants them: by channel, or each case by itself."""

# Without `from __future__ import annotations`, so that help() shows the values in a Literal.
import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import _check_feature_names, check_array, check_is_fitted

from nnjit._site import LinksToItsPage
from nnjit._types import Array, FloatArray
from nnjit.estimators._cases import (
    Cases,
    Shape,
    channels_first,
    channels_last_rows,
    read_by_fit,
    read_cases,
    refuse_misplaced,
    refuse_width,
    series_as_given,
    shape_asked,
    shape_found,
)
from nnjit.estimators._declaration import choice, parameter, parameter_group, with_parameters
from nnjit.estimators._methods import checks_parameters, for_those_that
from nnjit.estimators._moments import scale_of, together
from nnjit.estimators._rollback import unchanged_on_error
from nnjit.estimators._validation import all_finite
from nnjit.estimators.parameters import InputShape

__all__ = ["SeriesScaler"]

Per: TypeAlias = Literal["channel", "case"]
# Series or images, in one array or in a list.
Scaled: TypeAlias = FloatArray | list[FloatArray]

# Values that are looked at together, so that nothing as large as X is made on the way.
_BLOCK = 1 << 18


@parameter_group
class _Parameters(InputShape):
    per: Per = parameter(
        default="channel",
        kind=choice(Per),
        text="""'channel': a channel is scaled by its mean and its standard deviation over all
            points of all cases of the fit. 'case': each channel of a case by its own, so that
            level and size of a case are gone.""",
        kw_only=False,
    )
    input_shape: Sequence[int] | NDArray[np.integer[Any]] | None = parameter(
        default=None,
        text="""Shape of a case: ``(time,)`` or ``(channels, time)`` of a series, ``(height,
            width)`` or ``(channels, height, width)`` of an image. Two numbers are those of an image
            if they are equal; ``(1, height, width)`` is one in any case. A row of X has its values
            in C order. None for what X itself tells: rows are series of one channel, an array of
            three axes holds series, one of four images.""",
    )


@with_parameters
class SeriesScaler(
    _Parameters, LinksToItsPage, OneToOneFeatureMixin, TransformerMixin, BaseEstimator
):
    """Standardize series or images: mean 0 and variance 1 by channel, or of each case.

    Scikit-learn's `StandardScaler` takes each point of time for a feature of its own, which bends
    the shape of a series; here a channel is a feature.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    mean_ : ndarray of shape (n_channels,)
        Mean of each channel; as the next three only with ``per='channel'``.
    var_ : ndarray of shape (n_channels,)
        Variance of each channel.
    scale_ : ndarray of shape (n_channels,)
        What is divided by: the standard deviation, or 1 of a channel that is constant.
    n_points_seen_ : ndarray of shape (n_channels,)
        Points behind these figures.
    input_shape_ : tuple of int
        (channels, time) or (channels, height, width) of a case of the fit.
    n_features_in_ : int
        Number of values of a case.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if all are strings.

    See Also
    --------
    sklearn.preprocessing.StandardScaler : The same for features that have nothing to do with
        another.

    Notes
    -----
    X comes in the forms that networks of series and images take: rows, which hold the values of a
    case in C order of `input_shape`; arrays of shape (cases, channels, time) or (cases, channels,
    height, width); lists of series of unequal length, of shape (channels, time) or (time,) each. In
    rows and arrays series that are shorter end in NaN, which is kept. What comes out has the form
    of X: rows for rows, an array for an array, and a list for a list of unequal series; float32 for
    float32, else float64. Series may be longer or shorter than those of the fit, unless they come
    as rows.

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit import SeriesScaler
    >>> X = [np.array([[1.0, 2.0, 3.0], [10.0, 30.0, 20.0]]), np.array([[4.0], [40.0]])]
    >>> scaler = SeriesScaler().fit(X)
    >>> scaler.mean_
    array([ 2.5, 25. ])
    >>> scaler.transform(X)[1].round(2)
    array([[1.34],
           [1.34]])
    """

    mean_: FloatArray
    var_: FloatArray
    scale_: FloatArray
    n_points_seen_: Array
    input_shape_: Shape
    n_features_in_: int

    @checks_parameters
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Find mean and variance of each channel.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_features), or other forms
            Series or images; see the class.
        y : None
            Not used.

        Returns
        -------
        self : object
            This transformer, fitted.

        Raises
        ------
        TypeError
            If there are dates or durations, or X is sparse.
        ValueError
            If X is invalid.
        """
        with unchanged_on_error(self):
            for name in ("mean_", "var_", "scale_", "n_points_seen_", "input_shape_"):
                self.__dict__.pop(name, None)
            return self._fit(X, reset=True)

    @checks_parameters
    def partial_fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Add cases to those that mean and variance are of.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_features), or other forms
            Series or images; see the class.
        y : None
            Not used.

        Returns
        -------
        self : object
            This transformer, fitted.

        Raises
        ------
        TypeError
            If there are dates or durations, or X is sparse.
        ValueError
            If X is invalid, or its cases have another number of channels than those before.
        """
        with unchanged_on_error(self):
            return self._fit(X, reset=not hasattr(self, "input_shape_"))

    def _fit(self, X: Any, reset: bool) -> Self:
        cases, rows, shape = self._read(X, reset)
        if self.per == "case":
            return self
        known = None
        if not reset:
            known = self.n_points_seen_, self.mean_, self.var_ * self.n_points_seen_
        for block in self._blocks(rows, shape, cases.built):
            found = _moments(block, (0, 2))
            known = found if known is None else together(known, found)
        assert known is not None  # there is a case
        self.n_points_seen_, self.mean_, squares = known
        self.var_ = squares / self.n_points_seen_
        self.scale_ = scale_of(self.n_points_seen_, self.mean_, self.var_)
        return self

    def transform(self, X: ArrayLike) -> Scaled:
        """Return the cases scaled.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_features), or other forms
            Series or images; see the class.

        Returns
        -------
        X_scaled : ndarray or list of ndarray
            In the form of X.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        ValueError
            If X is invalid, or its cases have another number of channels than those of the fit.
        """
        check_is_fitted(self)
        cases, rows, shape = self._read(X, reset=False)
        scaled = np.empty(rows.shape, rows.dtype)
        blocks = self._blocks(rows, shape, cases.built), self._blocks(scaled, shape, cases.built)
        for block, target in zip(*blocks, strict=True):
            mean, scale = self._of_block(block)
            np.subtract(block, mean, out=target, casting="same_kind")
            np.divide(target, scale, out=target, casting="same_kind")
        return self._as_given(scaled, X, cases, shape)

    @for_those_that(lambda scaler: scaler.per == "channel")
    def inverse_transform(self, X: ArrayLike) -> Scaled:
        """Return the cases that `transform` made these of; only with ``per='channel'``.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_features), or other forms
            Scaled series or images.

        Returns
        -------
        X_original : ndarray or list of ndarray
            In the form of X.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        ValueError
            If X is invalid, or its cases have another number of channels than those of the fit.
        """
        check_is_fitted(self)
        cases, rows, shape = self._read(X, reset=False)
        found = np.empty(rows.shape, rows.dtype)
        blocks = self._blocks(rows, shape, cases.built), self._blocks(found, shape, cases.built)
        for block, target in zip(*blocks, strict=True):
            mean, scale = self._of_block(block)
            np.multiply(block, scale, out=target, casting="same_kind")
            np.add(target, mean, out=target, casting="same_kind")
        return self._as_given(found, X, cases, shape)

    # X

    def _read(self, X: Any, reset: bool) -> tuple[Cases, Array, Shape]:
        """Return X as given, checked rows whose values lie as in X, and the shape of a case."""
        last = bool(self.channels_last)
        cases = read_cases(X, "X", last)
        _check_feature_names(self, X, reset=reset)
        rows = check_array(
            cases.rows,
            dtype=(np.float64, np.float32),
            ensure_all_finite=False,
            input_name="X",
            estimator=self,
        )
        known = shape_asked(self.input_shape, last) if reset else self.input_shape_
        if not reset:
            cases = read_by_fit(cases, rows.shape[1], self, "X")
        shape = self._shape_of(cases, rows.shape[1], known, reset)
        if not all_finite(rows):
            moved = last and not cases.built
            refuse_misplaced(channels_first(rows, shape) if moved else rows, shape, "X")
        if reset:
            self.input_shape_ = known or shape
            self.n_features_in_ = math.prod(self.input_shape_)
        return cases, rows, shape

    def _shape_of(self, cases: Cases, width: int, known: Shape | None, reset: bool) -> Shape:
        """Return the shape of the cases, channels first; that of the fit tells only channels."""
        if cases.shape is None:
            if reset:
                refuse_width(width, known or (width,), "X")
            return known or (1, width)
        shape = cases.shape
        if not cases.built:
            shape = shape_found(cases.shape, known, bool(self.channels_last))
        if known is not None and (len(shape), shape[0]) != (len(known), known[0]):
            raise ValueError(
                f"X has cases of shape {cases.shape}, but the scaler is for {known}: the channels, "
                f"{known[0]}, come {'last' if self.channels_last else 'first'}."
            )
        return shape

    def _blocks(self, rows: Array, shape: Shape, built: bool) -> Iterator[Array]:
        """Yield views of some rows after the other, of shape (cases, channels, points)."""
        points = math.prod(shape[1:])
        lies: Shape = (shape[0], points)
        moved = self.channels_last and not built
        if moved:
            lies = channels_last_rows(lies)
        step = max(1, _BLOCK // math.prod(lies))
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            block = block.reshape(len(block), *lies)
            yield block.transpose(0, 2, 1) if moved else block

    def _of_block(self, block: Array) -> tuple[Array, Array]:
        """Return what a block is shifted and divided by."""
        if self.per == "channel":
            return self.mean_[:, np.newaxis], self.scale_[:, np.newaxis]
        count, mean, squares = _moments(block, (2,))
        scale = scale_of(count, mean, squares / count)
        return mean[..., np.newaxis], scale[..., np.newaxis]

    def _as_given(self, rows: Array, X: Any, cases: Cases, shape: Shape) -> Scaled:
        """Return rows in the form that X came in."""
        if cases.shape is None:
            return rows
        if not cases.built:
            return rows.reshape(len(rows), *cases.shape)
        return series_as_given(rows.reshape(len(rows), *shape), X, bool(self.channels_last))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _moments(block: Array, axes: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Return number, mean, and sum of squared differences from it, of what is no NaN."""
    values = np.array(block, np.float64, order="C")  # the same sums for every form of X
    there = None if all_finite(values) else ~np.isnan(values)
    if there is None:
        kept = tuple(size for axis, size in enumerate(block.shape) if axis not in axes)
        count = np.full(kept, math.prod(block.shape[axis] for axis in axes))
    else:
        count = there.sum(axis=axes)
        values[~there] = 0.0
    mean = values.sum(axis=axes) / count
    values -= np.expand_dims(mean, axes)
    if there is not None:
        values[~there] = 0.0
    return count, mean, np.square(values, out=values).sum(axis=axes)
