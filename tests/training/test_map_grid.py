"""The places of a map's units: distances and neighbours by their definition."""

import numpy as np
import pytest

from nnjit.training.map_grid import Grid

SHAPES = [(1, 1), (1, 5), (5, 1), (2, 2), (3, 4), (4, 3), (6, 7)]
KINDS = [(hexagonal, periodic) for hexagonal in (False, True) for periodic in (False, True)]


def all_squares(grid):
    units = np.arange(grid.n_units)
    return grid.squared_distances(units[:, np.newaxis], units)


@pytest.mark.parametrize("hexagonal, periodic", KINDS)
def test_edges_are_the_pairs_at_distance_one(hexagonal, periodic):
    for shape in SHAPES:
        grid = Grid(*shape, hexagonal, periodic)
        near = np.triu(all_squares(grid) < 1.000001, 1)
        np.testing.assert_array_equal(np.column_stack(grid.edges()), np.argwhere(near))
        connected = grid.connectivity().toarray()
        np.testing.assert_array_equal(connected, near | near.T)


@pytest.mark.parametrize("hexagonal, touching", [(False, 8), (True, 6)])
def test_each_unit_of_a_periodic_map_has_as_many_neighbours(hexagonal, touching):
    for shape in [(4, 5), (5, 4), (6, 6)]:
        grid = Grid(*shape, hexagonal, True)
        units = np.arange(grid.n_units)
        near = grid.are_neighbours(units[:, np.newaxis], units) & ~np.eye(grid.n_units, dtype=bool)
        assert (near.sum(axis=1) == touching).all()


@pytest.mark.parametrize("hexagonal", [False, True])
def test_a_periodic_map_looks_the_same_from_every_unit(hexagonal):
    squares = np.sort(all_squares(Grid(4, 6, hexagonal, True)), axis=1)
    np.testing.assert_allclose(squares, np.tile(squares[0], (24, 1)), atol=1e-12)
    assert squares.max() < all_squares(Grid(4, 6, hexagonal, False)).max()


def test_distances_on_a_map_that_closes_go_the_shorter_way():
    grid = Grid(3, 5, False, True)
    assert grid.squared_distances(np.array([0]), np.array([4])) == [1]
    assert grid.squared_distances(np.array([0]), np.array([14])) == [2]
    assert Grid(3, 5, False, False).squared_distances(np.array([0]), np.array([14])) == [20]
