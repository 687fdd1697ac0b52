"""Self-organizing maps: clusters that lie on a grid, neighbours beside one another."""

# Without `from __future__ import annotations`, so that help() shows the values in a Literal.
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from nnjit._logging import log_epoch
from nnjit._site import LinksToItsPage
from nnjit._types import Array, FloatArray
from nnjit._warnings import warn
from nnjit.estimators._callbacks import CallbackSupport, current_report, report_fit
from nnjit.estimators._dates import refuse_dates
from nnjit.estimators._declaration import (
    Kind,
    choice,
    interval,
    parameter,
    parameter_group,
    with_parameters,
)
from nnjit.estimators._methods import checks_parameters
from nnjit.estimators._rollback import unchanged_on_error
from nnjit.estimators._validation import all_finite, refuse_all_zero
from nnjit.estimators.parameters import RandomState
from nnjit.training.map_grid import Grid

if TYPE_CHECKING:
    from nnjit.training.self_organizing import Comparison

__all__ = ["SelfOrganizingMap"]

Topology: TypeAlias = Literal["hexagonal", "rectangular"]
Metric: TypeAlias = Literal["euclidean", "cosine"]
Start: TypeAlias = Literal["pca", "random"]

# Values up to which rows are copied to lie in order; of more a piece at a time.
_FEW = 1 << 21
_COUNT = interval(Integral, 1, None, "left")
_POSITIVE = interval(Real, 0, None, "neither")


@parameter_group
class _Parameters:
    shape: Sequence[int] | NDArray[np.integer[Any]] = parameter(
        default=(10, 10),
        kind=Kind("tuple of two ints", ["array-like"]),
        text="Rows and columns of the map.",
        kw_only=False,
    )
    topology: Topology = parameter(
        default="hexagonal",
        kind=choice(Topology),
        text="""'hexagonal': every second row of units is shifted by half a unit, and each has six
            neighbours at distance 1. 'rectangular': four at distance 1.""",
    )
    periodic: bool = parameter(
        default=False,
        kind=Kind("bool", ["boolean"]),
        text="""Whether the first row follows the last and the first column the last one, so that no
            unit lies at an edge.""",
    )
    init: Start | ArrayLike = parameter(
        default="pca",
        kind=Kind("{'pca', 'random'} or array-like", [StrOptions({"pca", "random"}), "array-like"]),
        text="""Weights to start from. 'pca': evenly over the plane of the rows' first two principal
            components; 'random': rows drawn at random; or the weights themselves, of shape (rows,
            columns, n_features) or (rows * columns, n_features).""",
    )
    sigma: float | None = parameter(
        default=None,
        kind=Kind("float or None", [*_POSITIVE.constraints, None]),
        text="""Width of the neighbourhoods in the first epoch, the standard deviation of a bump
            exp(-d^2 / (2 sigma^2)), with the distance d on the map. Half of the larger of rows and
            columns if None.""",
    )
    sigma_end: float = parameter(
        default=0.5,
        kind=_POSITIVE,
        text="Width in the last epoch, to which it falls by equal ratios.",
    )
    max_iter: int = parameter(
        default=30,
        kind=_COUNT,
        text="""Epochs of ``fit``, and calls of ``partial_fit`` until the neighbourhoods are as
            narrow as `sigma_end`.""",
    )
    n_clusters: int | None = parameter(
        default=None,
        kind=Kind("int or None", [*_COUNT.constraints, None]),
        text="""Number of segments that neighbouring units are joined into, by Ward's rule on their
            weights; ``predict`` then tells the segment of a row instead of its unit.""",
    )
    metric: Metric = parameter(
        default="euclidean",
        kind=choice(Metric),
        text="""Distance of rows and units. 'cosine' is 1 - cos of the angle between them: rows are
            divided by their length, and so are the weights; it is half of their squared distance
            then. A row of zeros stays one.""",
    )
    forgetting: float = parameter(
        default=0.2,
        kind=interval(Real, 0, 1, "left"),
        text="""Share of what the units have learned that ``partial_fit`` has forgotten after as
            many rows as there are units.""",
    )
    random_state: RandomState = parameter(
        default=None,
        kind=Kind("int, RandomState instance or None", ["random_state"]),
        text="Source of the rows that ``init='random'`` draws. Nothing else is random.",
    )
    verbose: bool | int = parameter(
        default=False,
        kind=Kind("bool or int", ["verbose"]),
        text="Whether to print the quantization error of each epoch.",
    )


@with_parameters
class SelfOrganizingMap(
    _Parameters,
    LinksToItsPage,
    CallbackSupport,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClusterMixin,
    BaseEstimator,
):
    r"""Self-organizing map: units on a grid that spread over the rows, neighbours over like ones.

    The units' weights are points among the rows. In each epoch every row goes to the unit that is
    nearest to it, and every unit becomes the mean of all rows, weighted by how near to it on the
    map their units are:

    .. math:: w_u = \frac{\sum_i h_{u\,c(i)} x_i}{\sum_i h_{u\,c(i)}}, \quad
        h_{uv} = \exp\left(-\frac{d_{uv}^2}{2 \sigma^2}\right)

    While the width of the neighbourhoods falls the map unfolds. The result depends neither on the
    order of the rows nor on the number of threads.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    weights_ : ndarray of shape (rows, columns, n_features)
        Weights of the units, in the units and the type of X.
    labels_ : ndarray of shape (n_samples,)
        Nearest unit of each training row, counted row by row of the map, or with `n_clusters` the
        segment of that unit. After ``partial_fit`` those of its rows, as the next two.
    quantization_error_ : float
        Mean distance of the training rows to their nearest unit.
    topographic_error_ : float
        Share of the training rows whose two nearest units are no neighbours on the map; corners
        touch on a rectangular map.
    quantization_error_curve_ : list of float
        Mean distance to the nearest unit at the beginning of each epoch.
    segments_ : ndarray of shape (rows, columns)
        Segment of each unit, counted from 0 as they first appear row by row; with `n_clusters`.
    n_iter_ : int
        Epochs, and calls of ``partial_fit``.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if all are strings.

    See Also
    --------
    nnjit.inspection.SOMDisplay : Plots of a map.
    sklearn.cluster.KMeans : Clusters that lie on no map.

    Notes
    -----
    Features should be on one scale, as for any method of distances. A NaN is a missing value: it
    counts neither in distances nor in means, and distances are multiplied by the root of n_features
    / n_present, as in `sklearn.metrics.pairwise.nan_euclidean_distances`.

    In ``partial_fit`` each unit remembers of how many rows it is the mean, and new rows, weighted
    by the bump around their units, are averaged in; old rows fade by `forgetting`, which has
    the map follow rows that change, and lets it get over what it learned while neighbourhoods were
    wide.

    A fit that is interrupted by Ctrl-C keeps the map of the last epoch that was completed.

    References
    ----------
    T. Kohonen, "Self-Organizing Maps", 3rd edition, Springer 2001, section 3.6 (batch training).

    J. Vesanto and E. Alhoniemi, "Clustering of the self-organizing map", IEEE Transactions on
    Neural Networks 11, 2000 (`n_clusters`).

    K. Kiviluoto, "Topology preservation in self-organizing maps", ICNN 1996
    (`topographic_error_`).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnjit import SelfOrganizingMap
    >>> X = load_iris().data
    >>> som = SelfOrganizingMap((6, 8), n_clusters=3).fit(X)
    >>> som.weights_.shape
    (6, 8, 4)
    >>> som.predict(X[::50])  # one flower of each kind
    array([0, 1, 2])
    """

    weights_: FloatArray
    labels_: NDArray[np.int64]
    quantization_error_: float
    topographic_error_: float
    quantization_error_curve_: list[float]
    segments_: NDArray[np.int64]
    n_iter_: int
    n_features_in_: int

    if TYPE_CHECKING:  # scikit-learn's, which has no types

        def fit_predict(self, X: ArrayLike, y: Any = None, **kwargs: Any) -> NDArray[np.int64]: ...
        def fit_transform(self, X: ArrayLike, y: Any = None, **fit_params: Any) -> Any: ...
        def get_params(self, deep: bool = True) -> dict[str, Any]: ...
        def set_params(self, **params: Any) -> Self: ...
        def set_callbacks(self, *callbacks: Any) -> Self: ...

    @checks_parameters
    def fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Spread the map over the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows; NaN is a missing value. float32 is computed in float32, anything else in
            float64.
        y : None
            Not used.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, not negative; all 1 if None.

        Returns
        -------
        self : object
            This map, fitted.

        Raises
        ------
        TypeError
            If there are dates or durations, or X is sparse.
        ValueError
            If the input is invalid, or a row or a feature holds no value.

        Notes
        -----
        After an error the estimator is as it was before the call.
        """
        with report_fit(self, X, y, sample_weight), unchanged_on_error(self):
            grid, first, last = self._grid(), *self._sigmas()
            X, missing = self._checked(X, reset=True)
            weights = self._checked_weights(sample_weight, X)
            self._forget()
            how = self._comparison(missing)
            start = self._start(X, grid, weights, how)
            self._train(X, grid, start, weights, how, (first, last))
            self._finish(X, grid, weights, how)
        return self

    @checks_parameters
    def partial_fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Move the map towards some more rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; NaN is a missing value. The first call has the map start from its rows, so give it
            some hundred.
        y : None
            Not used.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, not negative; all 1 if None.

        Returns
        -------
        self : object
            This map, fitted.

        Raises
        ------
        TypeError
            If there are dates or durations, or X is sparse.
        ValueError
            If the input is invalid, a row holds no value, or the fitted map has another shape.

        Notes
        -----
        After an error the estimator is as it was before the call.
        """
        self._validate_params()  # before the first call scikit-learn does, and not again
        with unchanged_on_error(self):
            grid, sigmas = self._grid(), self._sigmas()
            fresh = not hasattr(self, "weights_")
            X, missing = self._checked(X, reset=fresh)
            weights = self._checked_weights(sample_weight, X)
            how = self._comparison(missing)
            if fresh:
                self._forget()
                start = self._start(X, grid, weights, how)
                self.weights_ = start.reshape(grid.rows, grid.columns, -1).astype(X.dtype)
                self._masses, self.n_iter_ = np.zeros((grid.n_units, 1)), 0
                self.quantization_error_curve_ = []
            self._refuse_other_shape(grid)
            self._learn(X, grid, weights, how, sigmas)
            self._finish(X, grid, weights, how)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Tell the nearest unit of each row, or with `n_clusters` the segment of that unit.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; NaN is a missing value.

        Returns
        -------
        ndarray of shape (n_samples,)
            Numbers of units, counted row by row of the map: ``numpy.unravel_index(units,
            som.weights_.shape[:2])`` tells their places. Or numbers of segments.

        Raises
        ------
        ValueError
            If X is invalid, or a row holds no value.
        """
        check_is_fitted(self, "weights_")
        X, missing = self._checked(X, reset=False)
        return self._labelled(self._units(X.dtype, self._comparison(missing)).nearest(X))

    def transform(self, X: ArrayLike) -> FloatArray:
        """Tell the distance of each row to each unit.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; NaN is a missing value.

        Returns
        -------
        ndarray of shape (n_samples, n_units)
            Distances, in the type of X.

        Raises
        ------
        ValueError
            If X is invalid, or a row holds no value.
        """
        check_is_fitted(self, "weights_")
        X, missing = self._checked(X, reset=False)
        found: FloatArray = self._units(X.dtype, self._comparison(missing)).distances(X)
        return found

    def score(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Return minus the mean distance of rows to their nearest unit.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; NaN is a missing value.
        y : None
            Not used.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, not negative; all 1 if None.

        Returns
        -------
        float
            Minus the quantization error: larger is better.

        Raises
        ------
        ValueError
            If X is invalid, or a row holds no value.
        """
        check_is_fitted(self, "weights_")
        X, missing = self._checked(X, reset=False)
        weights = self._checked_weights(sample_weight, X)
        units = self._units(X.dtype, self._comparison(missing))
        return -float(units.sums(X, weights)[1])

    # Parameters and input

    def _grid(self) -> Grid:
        shape = np.asarray(self.shape)
        if shape.shape != (2,) or shape.dtype.kind not in "iu" or (shape < 1).any():
            raise ValueError(
                f"shape must be two numbers from 1 on, rows and columns, got {self.shape!r}."
            )
        rows, columns = map(int, shape)
        n_clusters = self.n_clusters
        if n_clusters is not None and n_clusters > rows * columns:
            raise ValueError(
                f"n_clusters={n_clusters} is more than the {rows * columns} units of the map."
            )
        return Grid(rows, columns, self.topology == "hexagonal", bool(self.periodic))

    def _sigmas(self) -> tuple[float, float]:
        last = float(self.sigma_end)
        if self.sigma is None:
            return max(max(self.shape) / 2, last), last
        if self.sigma < last:
            raise ValueError(f"sigma={self.sigma} is less than sigma_end={last}.")
        return float(self.sigma), last

    def _checked(self, X: Any, reset: bool) -> tuple[Array, bool]:
        """Return rows as the kernels read them, and whether any value is missing."""
        refuse_dates(X, "X")
        X = validate_data(
            self, X, dtype=(np.float64, np.float32), ensure_all_finite="allow-nan", reset=reset
        )
        missing = not all_finite(X) and any(gaps.any() for _, gaps in _gaps(X))
        if missing:
            _refuse_empty_rows(X)
        if X.size <= _FEW and not (X.flags.c_contiguous and X.flags.writeable):
            X = np.array(X, order="C")  # once, not in each epoch
        return X, missing

    def _checked_weights(self, sample_weight: Any, X: Array) -> NDArray[np.float64] | None:
        if sample_weight is None:
            return None
        refuse_dates(sample_weight, "sample_weight")
        weights: NDArray[np.float64] = _check_sample_weight(sample_weight, X, dtype=np.float64)
        refuse_all_zero(weights)
        if (weights < 0).any():
            raise ValueError("Negative values in data passed to `sample_weight`.")
        return np.ascontiguousarray(weights)

    def _refuse_other_shape(self, grid: Grid) -> None:
        if self.weights_.shape[:2] != (grid.rows, grid.columns):
            raise ValueError(
                f"The fitted map has the shape {self.weights_.shape[:2]}, but the parameter shape "
                f"is {self.shape!r}. Set it back, or fit a new map."
            )

    # Training

    def _forget(self) -> None:
        for name in ("weights_", "segments_", "_masses", "quantization_error_curve_", "n_iter_"):
            self.__dict__.pop(name, None)

    def _comparison(self, missing: bool) -> "Comparison":
        from nnjit.training.self_organizing import Comparison

        return Comparison(self.metric == "cosine", missing)

    def _start(
        self, X: Array, grid: Grid, weights: NDArray[np.float64] | None, how: "Comparison"
    ) -> NDArray[np.float64]:
        """Return the weights to start from."""
        from nnjit.training.self_organizing import given_start, linear_start, random_start

        if how.missing:
            _refuse_empty_columns(X, weights)
        if not isinstance(self.init, str):
            return given_start(self.init, grid, X.shape[1], how)
        if self.init == "pca":
            return linear_start(X, grid, how, weights)
        rng = check_random_state(self.random_state)
        return random_start(X, grid.n_units, how, weights, rng)

    def _train(
        self,
        X: Array,
        grid: Grid,
        start: NDArray[np.float64],
        weights: NDArray[np.float64] | None,
        how: "Comparison",
        sigmas: tuple[float, float],
    ) -> None:
        """Go through the epochs, and leave the map that they lead to."""
        from nnjit.training.self_organizing import epochs

        report = current_report(self)
        begin = None if report is None else report.begin
        reached, masses = start, np.zeros((grid.n_units, 1))
        curve: list[float] = []
        try:
            for epoch in epochs(X, grid, start, weights, how, sigmas, self.max_iter, begin):
                reached, masses, error = epoch
                curve.append(error)
                if self.verbose:
                    print(f"Iteration {len(curve):d}, quantization error = {error:.8f}")
                log_epoch(len(curve), error)
                if report is not None and report.over(self._reached(reached, X.dtype, grid, curve)):
                    break
        except KeyboardInterrupt:
            warn("Training interrupted by user.")
        self.weights_ = _as_map(reached, grid, X.dtype)
        self._masses, self.n_iter_, self.quantization_error_curve_ = masses, len(curve), curve

    def _reached(
        self, weights: Array, dtype: np.dtype[Any], grid: Grid, curve: list[float]
    ) -> Callable[[], dict[str, Any]]:
        """Return what gives a callback the attributes of an epoch."""

        def attributes() -> dict[str, Any]:
            found: dict[str, Any] = {"weights_": _as_map(weights, grid, dtype)}
            found |= {"n_iter_": len(curve), "quantization_error_curve_": list(curve)}
            if self.n_clusters is not None:
                found["segments_"] = self._segments(found["weights_"], grid)
            return found

        return attributes

    def _learn(
        self,
        X: Array,
        grid: Grid,
        weights: NDArray[np.float64] | None,
        how: "Comparison",
        sigmas: tuple[float, float],
    ) -> None:
        """Average some rows into the map that is there."""
        from nnjit.training.self_organizing import added, sigma_at

        before = self.weights_.reshape(grid.n_units, -1).astype(np.float64)
        sums, error = self._units(X.dtype, how).sums(X, weights)
        sigma = sigma_at(self.n_iter_, self.max_iter, *sigmas)
        seen = len(X) if weights is None else float(weights.sum())
        masses = self._masses * (1.0 - self.forgetting) ** (seen / grid.n_units)
        reached, self._masses = added(grid, before, masses, sums, sigma, how)
        if self.verbose:
            print(f"Iteration {self.n_iter_ + 1:d}, quantization error = {error:.8f}")
        self.weights_ = _as_map(reached, grid, self.weights_.dtype)
        self.quantization_error_curve_ = [*self.quantization_error_curve_, error]
        self.n_iter_ = self.n_iter_ + 1

    def _finish(
        self, X: Array, grid: Grid, weights: NDArray[np.float64] | None, how: "Comparison"
    ) -> None:
        """Set what the map says of the rows."""
        if self.n_clusters is not None:
            self.segments_ = self._segments(self.weights_, grid)
        units = self._units(X.dtype, how)
        self.labels_ = self._labelled(units.nearest(X))
        self.quantization_error_, self.topographic_error_ = units.errors(X, weights, grid)

    def _units(self, dtype: np.dtype[Any], how: "Comparison") -> Any:
        from nnjit.training.self_organizing import Units

        return Units(self.weights_.reshape(-1, self.weights_.shape[-1]), dtype, how)

    def _labelled(self, units: NDArray[np.int64]) -> NDArray[np.int64]:
        if self.n_clusters is None:
            return units
        labels: NDArray[np.int64] = self.segments_.reshape(-1)[units]
        return labels

    def _segments(self, weights: Array, grid: Grid) -> NDArray[np.int64]:
        """Join units that are neighbours and alike into so many segments."""
        from sklearn.cluster import AgglomerativeClustering

        if grid.n_units == 1:
            return np.zeros((1, 1), np.int64)
        rule = AgglomerativeClustering(
            n_clusters=self.n_clusters, connectivity=grid.connectivity(), linkage="ward"
        )
        found = rule.fit_predict(weights.reshape(grid.n_units, -1).astype(np.float64))
        _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
        numbers = np.argsort(np.argsort(first))
        return numbers[inverse].reshape(grid.rows, grid.columns).astype(np.int64)

    @property
    def _n_features_out(self) -> int:
        return int(np.prod(self.weights_.shape[:2]))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _as_map(weights: Array, grid: Grid, dtype: np.dtype[Any]) -> FloatArray:
    found: FloatArray = weights.reshape(grid.rows, grid.columns, -1).astype(dtype)
    return found


def _gaps(X: Array) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield what is missing in some rows after another, and the number of the first of them."""
    step = max(1, _FEW // X.shape[1])
    for first in range(0, len(X), step):
        yield first, np.isnan(X[first : first + step])


def _refuse_empty_rows(X: Array) -> None:
    for first, gaps in _gaps(X):
        empty = first + np.flatnonzero(gaps.all(axis=1))
        if len(empty):
            raise ValueError(f"{_listed('Row', empty)} of X: all values are missing.")


def _refuse_empty_columns(X: Array, weights: NDArray[np.float64] | None) -> None:
    present = np.zeros(X.shape[1], bool)
    for first, gaps in _gaps(X):
        counted = slice(None) if weights is None else weights[first : first + len(gaps)] > 0
        present |= ~gaps[counted].all(axis=0)
    empty = np.flatnonzero(~present)
    if len(empty):
        raise ValueError(f"{_listed('Column', empty)} of X: all values are missing. Leave it out.")


def _listed(what: str, numbers: Array) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return f"{what} {shown}{', ...' if len(numbers) > 5 else ''}"
