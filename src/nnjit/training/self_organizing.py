"""Batch training of self-organizing maps: nearest units, sums over neighbourhoods, the start.

Rows come as validated: a matrix of float32 or float64 where NaN stands for what is missing. They
are taken in pieces, so that training keeps nothing beside them that grows with them. Nothing here
depends on the number of threads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnjit._types import Array
from nnjit.core.jobs.threads import call, thread_count
from nnjit.core.simd import TILE
from nnjit.training.blas import single_threaded_blas
from nnjit.training.map_grid import Grid

__all__ = [
    "Comparison",
    "Sums",
    "Units",
    "added",
    "epochs",
    "given_start",
    "linear_start",
    "moved",
    "pieces",
    "random_start",
    "sigma_at",
]

Numbers = NDArray[np.float64]

# Multiply-adds of one call, so that it ends within a second and Ctrl-C is heard, and from how many
# on a second thread repays its start; values that are copied where the rows have to be.
_MOST, _PARALLEL, _PIECE = 1 << 30, 1 << 25, 1 << 21
# Rows of a piece: beside them nothing is kept of more of them.
_ROWS = 1 << 17
# The same in values that are added up.
_PARALLEL_SUMS = 1 << 22
# Rows that the principal components are found from, and up to which size by an eigenvalue problem.
_SAMPLE, _SMALL = 5000, 512
# Sums of bumps below this are of no use to divide by.
_LEAST_MASS = 1e-280


def sigma_at(step: int, steps: int, first: float, last: float) -> float:
    """Return the width of the neighbourhood at a step of so many: it falls by equal ratios."""
    if steps <= 1 or step >= steps - 1:
        return last
    return float(first * (last / first) ** (step / (steps - 1)))


class Comparison(NamedTuple):
    """What rows are compared by: their values, or their direction alone."""

    cosine: bool
    missing: bool


def pieces(x: Array, how: Comparison, work_per_row: int) -> Iterator[tuple[slice, Array]]:
    """Yield pieces of rows as kernels take them, each with the numbers of its rows.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_features)
    how : Comparison
    work_per_row : int
        Multiply-adds.
    """
    ready = x.flags.c_contiguous and x.flags.writeable and not how.cosine
    most = max(1, min(_ROWS, _MOST // max(work_per_row, 1)))
    if not ready:
        most = min(most, max(1, _PIECE // x.shape[1]))
    for first in range(0, len(x), most):
        rows = slice(first, min(first + most, len(x)))
        yield rows, x[rows] if ready else _prepared(x[rows], how.cosine)


def _prepared(piece: Array, cosine: bool) -> Array:
    piece = np.array(piece, order="C")
    if cosine:
        _normalize(piece)
    return piece


def _normalize(rows: Array) -> None:
    """Divide rows by their length, in place; what is missing counts nothing, zeros stay."""
    largest = np.nanmax(np.abs(rows), axis=1, keepdims=True)
    rows /= np.where(largest > 0, largest, 1)  # no square overflows or vanishes
    lengths = np.sqrt(np.nansum(np.square(rows), axis=1, keepdims=True))
    rows /= np.where(lengths > 0, lengths, 1)


class Sums(NamedTuple):
    """Rows added up by their nearest unit.

    origin : ndarray of shape (n_features,), what has been subtracted from the rows
    values : ndarray of shape (n_units, n_features)
    counts : ndarray of shape (n_units, 1) or, where values are missing, (n_units, n_features); sums
        of the rows' weights
    """

    origin: Numbers
    values: Numbers
    counts: Numbers

    @classmethod
    def nothing(cls, origin: Numbers, n_units: int, how: Comparison) -> Sums:
        """Return sums of no rows yet, around a point."""
        n = len(origin)
        counts = np.zeros((n_units, n if how.missing else 1))
        return cls(origin, np.zeros((n_units, n)), counts)

    def add(
        self, piece: Array, units: NDArray[np.int32], weights: Numbers | None, how: Comparison
    ) -> None:
        """Add a piece of rows, whose nearest units and weights are known, in place."""
        from nnjit.core.arrays import nearest

        parallel = piece.size >= _PARALLEL_SUMS
        call(
            nearest.sums_by_unit, parallel,
            piece.reshape(-1), piece.shape[1], units, np.empty(0) if weights is None else weights,
            self.origin, how.missing, thread_count() if parallel else 1, self.values.reshape(-1),
            self.counts.reshape(-1),
        )  # fmt: skip


class Units:
    """The units of a map, as rows are compared with them.

    Parameters
    ----------
    weights : ndarray of shape (n_units, n_features)
    dtype : float32 or float64
        Of the rows.
    how : Comparison
    """

    def __init__(self, weights: Array, dtype: np.dtype[Any], how: Comparison) -> None:
        from nnjit.core.arrays import nearest

        weights = np.asarray(weights, dtype=np.float64)
        self.how, self.dtype, self._kernels = how, dtype, nearest
        self.n_units, self._n = weights.shape
        # Amid the units distances do not cancel; in this unit of length no square overflows.
        self._middle = weights.mean(axis=0)
        origin = self._middle.astype(dtype)
        around = weights - origin
        largest = float(np.abs(around).max(initial=0.0))
        limits = np.finfo(dtype)
        exponent = -np.round(np.log2(largest)) if largest > 0 else 0.0
        exponent = np.clip(exponent, limits.minexp // 2, limits.maxexp // 2)
        self._origin, self._scale = origin, dtype.type(2.0**exponent)
        self._table = (around * float(self._scale)).astype(dtype)

    @functools.cached_property
    def _products(self) -> tuple[Array, Array]:
        """What rows are multiplied by, and what is added."""
        halves = -0.5 * self._table * self._table
        biases = np.empty(self.n_units, self.dtype)
        self._kernels.biases(halves.reshape(-1), self._n, self._n, biases)
        table = np.hstack([halves, self._table]) if self.how.missing else self._table
        return table, biases

    def _nearest(self, piece: Array) -> tuple[NDArray[np.int32], Array]:
        """Return the nearest unit of each row, and about the distance to it."""
        units, distances = np.empty(len(piece), np.int32), np.empty(len(piece), self.dtype)
        table, biases = self._products
        call(
            self._kernels.search, len(piece) * table.size >= _PARALLEL,
            piece.reshape(-1), self._n, self._origin, self._scale, table.reshape(-1), biases,
            self.how.missing, units, distances,
        )  # fmt: skip
        return units, distances

    def nearest(self, x: Array) -> NDArray[np.int64]:
        """Return the nearest unit of each row.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_features)

        Returns
        -------
        ndarray of shape (n_rows,)
        """
        found = np.empty(len(x), np.int64)
        for rows, piece in pieces(x, self.how, self._table.size):
            found[rows] = self._nearest(piece)[0]
        return found

    def sums(self, x: Array, weights: Numbers | None) -> tuple[Sums, float]:
        """Return the sums of rows by their nearest unit, and the mean distance to it.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_features)
        weights : ndarray of shape (n_rows,) or None

        Returns
        -------
        sums : Sums
        error : float
        """
        sums, mean = Sums.nothing(self._middle, self.n_units, self.how), _Mean()
        for rows, piece in pieces(x, self.how, self._table.size):
            units, distances = self._nearest(piece)
            share = None if weights is None else weights[rows]
            sums.add(piece, units, share, self.how)
            mean.add(self._as_metric(distances), share)
        return sums, mean.value

    def errors(self, x: Array, weights: Numbers | None, grid: Grid) -> tuple[float, float]:
        """Return the mean distance of rows to their nearest unit, and the topographic error.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_features)
        weights : ndarray of shape (n_rows,) or None
        grid : Grid

        Returns
        -------
        quantization_error, topographic_error : float
        """
        quantization, topographic = _Mean(), _Mean()
        for rows, piece in pieces(x, self.how, 4 * self._table.size):
            units, seconds = np.empty(len(piece), np.int32), np.empty(len(piece), np.int32)
            distances = np.empty(len(piece), self.dtype)
            call(
                self._kernels.two_nearest, 4 * len(piece) * self._table.size >= _PARALLEL,
                piece.reshape(-1), self._n, self._origin, self._scale, self._table.reshape(-1),
                units, seconds, distances,
            )  # fmt: skip
            share = None if weights is None else weights[rows]
            quantization.add(self._as_metric(distances), share)
            topographic.add(~grid.are_neighbours(units, seconds), share)
        return quantization.value, topographic.value if self.n_units > 1 else 0.0

    def distances(self, x: Array) -> Array:
        """Return the distance of each row to each unit, of shape (n_rows, n_units)."""
        found = np.empty((len(x), self.n_units), self.dtype)
        for rows, piece in pieces(x, self.how, 8 * self._table.size):
            call(
                self._kernels.distances, 8 * len(piece) * self._table.size >= _PARALLEL,
                piece.reshape(-1), self._n, self._origin, self._scale, self._table.reshape(-1),
                found[rows].reshape(-1),
            )  # fmt: skip
        if self.how.cosine:
            found = self._as_metric(found)
        return found

    def _as_metric(self, distances: Array) -> Array:
        """Return 1 - cos of distances between vectors of length 1, if that is asked for."""
        return distances * distances / 2 if self.how.cosine else distances


class _Mean:
    """A weighted mean of what comes in pieces."""

    def __init__(self) -> None:
        self._total = self._weight = 0.0

    def add(self, values: Array, weights: Numbers | None) -> None:
        values = values.astype(np.float64)
        self._total += float((values if weights is None else values * weights).sum())
        self._weight += len(values) if weights is None else float(weights.sum())

    @property
    def value(self) -> float:
        return self._total / self._weight


def _smoothed(
    grid: Grid, sums: Sums, sigma: float, relative: bool
) -> tuple[Numbers, Numbers, Numbers]:
    """Return sums and counts over the neighbourhoods, and the logarithm of what divides both.

    If `relative` they are divided by the bump at the nearest unit that has any rows, so that those
    of units far from all rows do not vanish.
    """
    from nnjit.core.arrays import neighbourhood

    y, x = grid.places()
    up, right = grid.images()
    filled = np.flatnonzero(sums.counts.any(axis=1))
    n, width = sums.values.shape[1], sums.values.shape[1] + sums.counts.shape[1]
    lanes = TILE.bytes // 8
    reach = -(-width // lanes) * lanes
    summands = np.zeros((len(filled), reach))
    summands[:, :n], summands[:, n:width] = sums.values[filled], sums.counts[filled]
    nearest, out = np.empty(grid.n_units), np.empty((grid.n_units, reach))
    factor = -0.5 / sigma**2
    work = len(filled) * (reach + 20 * len(up))
    step = -(-max(1, _MOST // work) // neighbourhood.HEIGHT) * neighbourhood.HEIGHT
    for first in range(0, grid.n_units, step):
        some = slice(first, min(first + step, grid.n_units))
        call(
            neighbourhood.smooth, (some.stop - first) * work >= _PARALLEL,
            y[some], x[some], y[filled], x[filled], up, right, factor, relative,
            summands.reshape(-1), reach, nearest[some], out[some].reshape(-1),
        )  # fmt: skip
    divided = nearest[:, np.newaxis] * factor if relative else np.zeros((grid.n_units, 1))
    return out[:, :n], out[:, n:width], divided


def moved(
    grid: Grid, weights: Numbers, sums: Sums, sigma: float, how: Comparison
) -> tuple[Numbers, Numbers]:
    """Return the weights of the next epoch: means of the rows over each unit's neighbourhood.

    Parameters
    ----------
    grid : Grid
    weights : ndarray of shape (n_units, n_features)
        What they are; it stays where a neighbourhood has no rows.
    sums : Sums
    sigma : float
        Width of the neighbourhoods.
    how : Comparison

    Returns
    -------
    weights : ndarray of shape (n_units, n_features)
    masses : ndarray of shape (n_units, 1) or (n_units, n_features)
        How many rows, in effect, the means are of.
    """
    values, counts, divided = _smoothed(grid, sums, sigma, relative=True)
    enough = counts > _LEAST_MASS
    means = sums.origin + values / np.where(enough, counts, 1.0)
    found = np.where(enough, means, weights)
    if how.cosine:
        _keep_length(found, weights)
    return found, counts * np.exp(divided)


def _keep_length(found: Numbers, before: Numbers) -> None:
    """Have all weights be of length 1, in place; rows that cancel leave theirs as it was."""
    lengths = np.sqrt(np.square(found).sum(axis=1))
    none = lengths < 1e-12
    found[none], lengths[none] = before[none], 1.0
    found /= lengths[:, np.newaxis]


def added(
    grid: Grid, weights: Numbers, masses: Numbers, sums: Sums, sigma: float, how: Comparison
) -> tuple[Numbers, Numbers]:
    r"""Return weights that rows have been added to, and how many they are means of then.

    .. math:: w_u = \frac{m_u w_u + \sum_v h_{uv} s_v}{m_u + \sum_v h_{uv} n_v}, \quad
        m_u = m_u + \sum_v h_{uv} n_v

    with the sums s and the counts n of the rows that are nearest to each unit.

    Parameters
    ----------
    grid : Grid
    weights : ndarray of shape (n_units, n_features)
    masses : ndarray of shape (n_units, 1) or (n_units, n_features)
        How many rows the weights are means of.
    sums : Sums
    sigma : float
    how : Comparison

    Returns
    -------
    weights, masses : ndarray
        New arrays.
    """
    values, counts, _ = _smoothed(grid, sums, sigma, relative=False)
    total = masses + counts
    enough = total > _LEAST_MASS
    step = (values - counts * (weights - sums.origin)) / np.where(enough, total, 1.0)
    found = weights + np.where(enough, step, 0.0)
    if how.cosine:
        _keep_length(found, weights)
    return found, total


def epochs(
    x: Array,
    grid: Grid,
    start: Numbers,
    weights: Numbers | None,
    how: Comparison,
    sigmas: tuple[float, float],
    count: int,
    begin: Callable[[], None] | None = None,
) -> Iterator[tuple[Numbers, Numbers, float]]:
    """Go through so many epochs; yield weights and masses after each, and the error before it.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_features)
    grid : Grid
    start : ndarray of shape (n_units, n_features)
    weights : ndarray of shape (n_rows,) or None
        Of the rows.
    how : Comparison
    sigmas : tuple of float
        Width of the neighbourhoods in the first epoch and in the last.
    count : int
    begin : callable or None
        Called when an epoch begins.

    Yields
    ------
    weights, masses : ndarray
        As `moved` returns them.
    error : float
        Mean distance of the rows to their nearest units as they were.
    """
    reached = start
    for epoch in range(count):
        if begin is not None:
            begin()
        sums, error = Units(reached, x.dtype, how).sums(x, weights)
        reached, masses = moved(grid, reached, sums, sigma_at(epoch, count, *sigmas), how)
        yield reached, masses, error


# Where training starts


def given_start(init: Any, grid: Grid, n_features: int, how: Comparison) -> Numbers:
    """Return weights that were given to start from, as a matrix."""
    found = np.array(init, dtype=np.float64)
    wanted = (grid.rows, grid.columns, n_features), (grid.n_units, n_features)
    if found.shape not in wanted:
        raise ValueError(
            f"The weights given as init have shape {found.shape}, not {wanted[0]} or {wanted[1]}."
        )
    if not np.isfinite(found).all():
        raise ValueError("The weights given as init contain NaN or infinity.")
    found = found.reshape(grid.n_units, n_features)
    if how.cosine:
        _normalize(found)
    return found


def random_start(
    x: Array, n_units: int, how: Comparison, weights: Numbers | None, rng: np.random.RandomState
) -> Numbers:
    """Return rows drawn at random, different ones while there are any, as weights.

    What is missing of a row becomes the mean of its feature.
    """
    present = np.arange(len(x)) if weights is None else np.flatnonzero(weights > 0)
    drawn = [rng.permutation(present) for _ in range(-(-n_units // len(present)))]
    chosen = _chosen(x, np.concatenate(drawn)[:n_units], how.cosine)
    return np.where(np.isnan(chosen), _means(x, how, weights), chosen)


def _chosen(x: Array, numbers: Array, cosine: bool) -> Numbers:
    chosen = x[numbers].astype(np.float64)
    if cosine:
        _normalize(chosen)
    return chosen


def _means(x: Array, how: Comparison, weights: Numbers | None) -> Numbers:
    """Return the mean of each feature; 0 where no row has a value."""
    sums = Sums.nothing(np.zeros(x.shape[1]), 1, how)
    for rows, piece in pieces(x, how, x.shape[1]):
        only = np.zeros(len(piece), np.int32)
        sums.add(piece, only, None if weights is None else weights[rows], how)
    means: Numbers = (sums.values / np.where(sums.counts > 0, sums.counts, 1.0))[0]
    return means


def linear_start(x: Array, grid: Grid, how: Comparison, weights: Numbers | None) -> Numbers:
    """Return weights spread evenly over the plane of the rows' first two principal components.

    As far as their standard deviations to either side of the mean; the longer side of the map lies
    along the first one. Of many rows some, evenly apart, are looked at.
    """
    mean = _means(x, how, weights)
    present = None if weights is None else np.flatnonzero(weights > 0)
    count = len(x) if present is None else len(present)
    some = np.linspace(0, count - 1, min(count, _SAMPLE)).astype(np.intp)
    some = some if present is None else present[some]
    around = _chosen(x, some, how.cosine) - mean
    around[np.isnan(around)] = 0.0
    share = np.ones(len(some)) if weights is None else weights[some]
    largest = float(np.abs(around).max(initial=0.0))
    if largest > 0:
        around *= np.sqrt(share / share.sum())[:, np.newaxis] / largest
    axes = _principal_axes(around) * largest  # (2, n_features), as long as the deviations
    row, column = np.divmod(np.arange(grid.n_units), grid.columns)
    down, right = _spread(row, grid.rows), _spread(column, grid.columns)
    first, second = (right, down) if grid.columns >= grid.rows else (down, right)
    start: Numbers = mean + np.outer(first, axes[0]) + np.outer(second, axes[1])
    return start


def _spread(numbers: Array, count: int) -> Numbers:
    """Return places from -1 to 1; 0 where there is only one."""
    return 2.0 * numbers / (count - 1) - 1.0 if count > 1 else np.zeros(len(numbers))


def _principal_axes(around: Numbers) -> Numbers:
    """Return the first two right singular vectors times their values; the largest entry is > 0."""
    m, n = around.shape
    axes = np.zeros((2, n))
    with single_threaded_blas():
        if min(m, n) > _SMALL:
            from sklearn.utils.extmath import randomized_svd

            _, values, vectors = randomized_svd(around, 2, n_iter=7, random_state=0)
        elif n <= m:
            squares, vectors = np.linalg.eigh(around.T @ around)
            values, vectors = np.sqrt(np.maximum(squares[:-3:-1], 0)), vectors[:, :-3:-1].T
        else:
            squares, left = np.linalg.eigh(around @ around.T)
            values = np.sqrt(np.maximum(squares[:-3:-1], 0))
            vectors = left[:, :-3:-1].T @ around / np.where(values > 0, values, 1.0)[:, np.newaxis]
    found = vectors * np.asarray(values)[:, np.newaxis]
    axes[: len(found)] = found
    strongest = axes[np.arange(2), np.abs(axes).argmax(axis=1)]
    axes *= np.where(strongest < 0, -1.0, 1.0)[:, np.newaxis]
    return axes
