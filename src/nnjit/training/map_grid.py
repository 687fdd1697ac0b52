"""Where the units of a self-organizing map lie, how far apart, and which are neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnjit._types import Array

__all__ = ["Grid"]

# Squared distance up to which units touch: along a side, and on a rectangular map at a corner too.
_TOUCHING = {True: 1.0, False: 2.0}
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Grid:
    """The places of a map's units, which are numbered row by row.

    Neighbours along a row are 1 apart. Of a hexagonal map every second row is shifted by a half to
    the right, and the rows are closer, so that each unit is 1 apart from six others.

    Parameters
    ----------
    rows, columns : int
    hexagonal : bool
        Else it is rectangular.
    periodic : bool
        Whether the first row follows the last, and the first column the last one.
    """

    rows: int
    columns: int
    hexagonal: bool
    periodic: bool

    @property
    def n_units(self) -> int:
        """Number of units."""
        return self.rows * self.columns

    def places(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the units' y, which goes down the rows, and x."""
        row, column = np.divmod(np.arange(self.n_units), self.columns)
        if not self.hexagonal:
            return row.astype(np.float64), column.astype(np.float64)
        return row * np.sqrt(0.75), column + 0.5 * (row % 2)

    def images(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return by how much the map is shifted, in y and x, to lie upon itself; first not at all.

        A periodic map has an image on each of its sides and corners.
        """
        if not self.periodic:
            return np.zeros(1), np.zeros(1)
        times = np.array([(0, 0), *((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j)])
        down, right = times.T.astype(np.float64)
        height = self.rows * (np.sqrt(0.75) if self.hexagonal else 1.0)
        # an odd number of hexagonal rows ends where the next one would be shifted
        shear = 0.5 * (self.rows % 2) if self.hexagonal else 0.0
        return down * height, right * self.columns + down * shear

    def squared_distances(self, units: Array, others: Array) -> NDArray[np.float64]:
        """Return how far units are from others, squared, along the shortest way.

        Parameters
        ----------
        units, others : ndarray of int
            Of shapes that go together.
        """
        y, x = self.places()
        up, right = self.images()
        y_apart, x_apart = y[units] - y[others], x[units] - x[others]
        least = np.full(np.broadcast(units, others).shape, np.inf)
        for image_y, image_x in zip(up, right):
            squares = (y_apart + image_y) ** 2 + (x_apart + image_x) ** 2
            np.minimum(least, squares, out=least)
        return least

    def are_neighbours(self, units: Array, others: Array) -> NDArray[np.bool_]:
        """Return whether units touch: six others at most, or eight of a rectangular map."""
        most = _TOUCHING[self.hexagonal] + _ROUNDING
        found: NDArray[np.bool_] = self.squared_distances(units, others) < most
        return found

    def edges(self) -> tuple[Array, Array]:
        """Return all pairs of units with a side in common, each once, the smaller number first."""
        row, column = np.divmod(np.arange(self.n_units), self.columns)
        pairs = []
        for down, right in self._steps():
            to_row, to_column = row + down, column + right
            if self.hexagonal and down:
                to_column = to_column + row % 2
            wrapped = to_row // self.rows
            inside = (wrapped == 0) & (to_column >= 0) & (to_column < self.columns)
            keep = np.full(self.n_units, True) if self.periodic else inside
            other = to_row % self.rows * self.columns + to_column % self.columns
            pairs.append(np.column_stack([np.arange(self.n_units), other])[keep])
        found = np.sort(np.concatenate(pairs), axis=1)
        found = np.unique(found[found[:, 0] != found[:, 1]], axis=0)
        return found[:, 0], found[:, 1]

    def _steps(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns to neighbours to the right and below, of an even row if hexagonal."""
        return ((0, 1), (1, -1), (1, 0)) if self.hexagonal else ((0, 1), (1, 0))

    def connectivity(self) -> Any:
        """Return which units have a side in common, as a sparse matrix of shape (units, units)."""
        from scipy.sparse import coo_array

        first, second = self.edges()
        ones = np.ones(2 * len(first))
        at = (np.concatenate([first, second]), np.concatenate([second, first]))
        return coo_array((ones, at), shape=(self.n_units, self.n_units)).tocsr()
