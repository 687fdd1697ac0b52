"""Where a radial layer's centres lie and how wide its bumps are before training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "choose_centers",
    "choose_origin_and_unit",
    "choose_widths",
    "default_centers",
    "hidden_values",
    "squared_distances",
]

Array = NDArray[Any]

MOST_CENTERS = 100
ROWS_PER_CENTER = 5  # at least, for the default number of centres
# k-means looks at a sample of so many rows for each centre: more do not move the centres, and a
# million rows would take minutes.
_SAMPLE_PER_CENTER = 256
# A width is at least this part of the median: a bump around one of two near centres would cover
# hardly more than a row.
_WIDTH_FLOOR = 0.1
_CHUNK = 8192  # rows


def default_centers(rows: int) -> int:
    """Return a fifth of the rows, from 1 to 100.

    Parameters
    ----------
    rows : int

    Returns
    -------
    int
    """
    return max(1, min(MOST_CENTERS, rows // ROWS_PER_CENTER))


def squared_distances(x: Array, centers: Array) -> Array:
    """Return |x_i - c_k|^2 of every row and centre, by one product, at least 0.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_features)
    centers : ndarray of shape (n_centers, n_features)
        Both near the origin, or the product cancels.

    Returns
    -------
    ndarray of shape (n_rows, n_centers)
    """
    squares = np.square(x).sum(axis=1)[:, np.newaxis] + np.square(centers).sum(axis=1)
    distances: Array = squares - 2 * (x @ centers.T)
    return np.maximum(distances, 0, out=distances)


def hidden_values(x: Array, centers: Array, log_widths: Array, normalized: bool) -> Array:
    """Return a radial layer's outputs for all rows, of the type of `x`.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_features)
    centers : ndarray of shape (n_centers, n_features)
        Both near the origin.
    log_widths : ndarray of shape (n_centers,)
    normalized : bool

    Returns
    -------
    ndarray of shape (n_rows, n_centers)
    """
    values = np.empty((len(x), len(centers)), x.dtype)
    factors = -0.5 * np.exp(-2 * log_widths.astype(np.float64))
    for start in range(0, len(x), _CHUNK):
        z = squared_distances(x[start : start + _CHUNK], centers) * factors
        if normalized:
            z -= z.max(axis=1, keepdims=True)
        h = np.exp(z, out=z)
        if normalized:
            h /= h.sum(axis=1, keepdims=True)
        values[start : start + _CHUNK] = h
    return values


def choose_origin_and_unit(
    x: Array, n_centers: int, sample_weight: Array | None = None
) -> tuple[Array, float]:
    """Choose a point amid the rows and a unit of length, about a width of so many centres.

    From the point distances do not cancel, and in the unit a step of given size means the same
    whatever the features are measured in. Both depend on the rows alone, not on chance.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_features)
    n_centers : int
    sample_weight : ndarray of shape (n_rows,), optional
        Rows of weight 0 are not looked at.

    Returns
    -------
    origin : ndarray of shape (n_features,)
        Of the type of `x`.
    unit : float
        A power of two, so that dividing by it rounds nothing; 1 where all rows are the same.
    """
    if sample_weight is not None:
        x = x[sample_weight > 0]
    if (x == x[0]).all():
        return x[0].copy(), 1.0
    origin = x.mean(axis=0, dtype=np.float64)
    sample = _distinct_rows(x, min(n_centers, len(x)), np.random.RandomState(0))
    around = sample.astype(np.float64) - origin
    largest = max(float(np.abs(around).max()), np.finfo(np.float64).tiny)
    width = float(np.median(_nearest(around / largest, around / largest))) * largest
    limits = np.finfo(x.dtype)
    exponent = np.round(np.log2(max(width, float(limits.tiny))))
    unit = 2.0 ** np.clip(exponent, limits.minexp // 2, limits.maxexp // 2)
    return origin.astype(x.dtype), float(unit)


def choose_centers(
    x: Array,
    n_centers: int,
    init: Any,
    rng: np.random.RandomState,
    sample_weight: Array | None = None,
) -> Array:
    """Choose centres among, or between, the rows.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_features)
    n_centers : int
        How many; fewer are returned where not so many rows are distinct.
    init : {'kmeans', 'random'} or array-like of shape (n_centers, n_features)
        Centres of clusters, rows drawn without replacement, or the centres themselves.
    rng : numpy.random.RandomState
        Not used for given centres.
    sample_weight : ndarray of shape (n_rows,), optional
        Rows of weight 0 are not looked at; for 'kmeans' the others count by their weight.

    Returns
    -------
    ndarray of shape (n_centers, n_features)
        A new array of the type of `x`.

    Raises
    ------
    ValueError
        If there are fewer rows than centres, or the given centres are of another shape or not
        finite.
    """
    if not isinstance(init, str):
        return _given(init, n_centers, x)
    if sample_weight is not None:
        x, sample_weight = x[sample_weight > 0], sample_weight[sample_weight > 0]
    if len(x) < n_centers:
        raise ValueError(
            f"n_samples={len(x)} should be >= n_centers={n_centers} (rows of sample weight 0 do "
            "not count)."
        )
    if init == "random":
        return _distinct_rows(x, n_centers, rng)
    return _cluster_centers(x, n_centers, rng, sample_weight)


def _given(init: Any, n_centers: int, x: Array) -> Array:
    centers = np.array(init, dtype=x.dtype)
    wanted = (n_centers, x.shape[1])
    if centers.shape != wanted:
        raise ValueError(f"The centres given as init have shape {centers.shape}, not {wanted}.")
    if not np.isfinite(centers).all():
        raise ValueError("The centres given as init contain NaN or infinity.")
    return centers


def _distinct_rows(x: Array, n_centers: int, rng: np.random.RandomState) -> Array:
    """Rows in a random order, each value once, until there are enough."""
    order = rng.permutation(len(x))
    chosen = x[order[:n_centers]]
    if len(np.unique(chosen, axis=0)) < n_centers:
        _, first = np.unique(x[order], axis=0, return_index=True)
        chosen = x[order[np.sort(first)[:n_centers]]]
    return chosen


def _cluster_centers(
    x: Array, n_centers: int, rng: np.random.RandomState, sample_weight: Array | None
) -> Array:
    from sklearn.cluster import KMeans  # not loaded with nnjit

    if len(x) > _SAMPLE_PER_CENTER * n_centers:
        sample = rng.choice(len(x), _SAMPLE_PER_CENTER * n_centers, replace=False)
        x = x[sample]
        sample_weight = None if sample_weight is None else sample_weight[sample]
    # Clusters of equal rows would be empty.
    n_clusters = min(n_centers, _distinct(x, n_centers))
    clusters = KMeans(n_clusters, n_init=1, random_state=rng)
    centers: Array = clusters.fit(x, sample_weight=sample_weight).cluster_centers_
    return np.array(centers, dtype=x.dtype)


def _distinct(x: Array, enough: int) -> int:
    """Return how many rows are distinct, or `enough` if there are at least so many."""
    found = len(np.unique(x[: 2 * enough], axis=0))
    return enough if found >= enough else min(enough, len(np.unique(x, axis=0)))


def choose_widths(centers: Array, width: Any, x: Array | None = None) -> Array:
    r"""Choose how far each centre reaches.

    .. math:: s_k = \frac{1}{2} (|c_k - c_{(1)}| + |c_k - c_{(2)}|)

    with the two other centres nearest to c_k, for 'nearest'.

    Parameters
    ----------
    centers : ndarray of shape (n_centers, n_features)
    width : 'nearest', float or array-like of shape (n_centers,)
        The rule, one width for all, or the widths themselves.
    x : ndarray of shape (n_rows, n_features), optional
        A single centre reaches as far as the root mean square distance of these rows; 1 if they
        are left out or are all the same.

    Returns
    -------
    ndarray of shape (n_centers,)
        A new array of the type of `centers`; all above 0.

    Raises
    ------
    ValueError
        If given widths are of another number, not finite or not above 0.

    References
    ----------
    F. Schwenker, H. Kestler and G. Palm, "Three learning phases for radial-basis-function
    networks", Neural Networks 14, 2001.
    """
    if isinstance(width, str):
        return _nearest(centers, x).astype(centers.dtype)
    widths = np.array(width, dtype=centers.dtype)
    if widths.ndim and widths.shape != (len(centers),):
        raise ValueError(
            f"width has shape {widths.shape}, not ({len(centers)},), one for each centre."
        )
    if not (np.isfinite(widths) & (widths > 0)).all():
        raise ValueError("Every width must be finite and above 0.")
    return np.full(len(centers), widths)


def _nearest(centers: Array, x: Array | None) -> NDArray[np.float64]:
    """Mean distance to the two nearest other centres, kept from going towards 0."""
    middle = centers.mean(axis=0, dtype=np.float64)
    if len(centers) == 1:
        around = np.zeros((1, 1)) if x is None else x - middle
        widths = np.sqrt(np.square(around).sum(axis=1).mean(keepdims=True))
    else:
        distances = np.sqrt(squared_distances(centers - middle, centers - middle))
        np.fill_diagonal(distances, np.inf)
        nearest = np.sort(distances, axis=1)[:, : min(2, len(centers) - 1)]
        widths = nearest.mean(axis=1)
    present = widths[widths > 0]
    floor = _WIDTH_FLOOR * np.median(present) if len(present) else 1.0
    floored: NDArray[np.float64] = np.maximum(widths, floor)
    return floored
