"""Kernels of self-organizing maps: the nearest units, sums by unit, sums over neighbourhoods."""

import numpy as np
import pytest

import naive
from nnjit.core.arrays import nearest, neighbourhood
from nnjit.core.simd import TILE

NONE = np.empty(0)


def problem(m, n, n_units, dtype, gaps=False):
    """Rows, of which the first half may miss values, and units amid them."""
    rng = np.random.default_rng([m, n, n_units])
    x = rng.normal(size=(m, n)).astype(dtype)
    if gaps:
        missing = rng.random((m, n)) < 0.4
        missing[np.arange(m), rng.integers(n, size=m)] = False
        missing[m // 2 :] = False
        x[missing] = np.nan
    return x, rng.normal(size=(n_units, n)).astype(dtype)


def searched(x, units, missing, origin=0.0, twin="serial"):
    n, dtype = x.shape[1], x.dtype
    middle = np.full(n, origin, dtype)
    table = (units - middle) * dtype.type(0.5)
    halves, bias = -0.5 * table * table, np.empty(len(units), dtype)
    nearest.biases(halves.ravel(), n, n, bias)
    table = np.hstack([halves, table]) if missing else table
    found, distances = np.full(len(x) + 9, -7, np.int32), np.empty(len(x), dtype)
    getattr(nearest.search, twin)(
        x.ravel(), n, middle, dtype.type(0.5), table.ravel(), bias, missing, found[:-9], distances
    )
    assert (found[-9:] == -7).all()
    return found[:-9], distances


def measured(x, units, twin="serial"):
    """Distances to all units, the two nearest, and the distance to the first."""
    m, n = x.shape
    middle, scale, table = np.full(n, 0.25, x.dtype), x.dtype.type(2), (units - x.dtype.type(0.25))
    table = (table * scale).ravel()
    out = np.empty((m, len(units)), x.dtype)
    getattr(nearest.distances, twin)(x.ravel(), n, middle, scale, table, out.reshape(-1))
    first, second = np.empty(m, np.int32), np.empty(m, np.int32)
    distance = np.empty(m, x.dtype)
    getattr(nearest.two_nearest, twin)(x.ravel(), n, middle, scale, table, first, second, distance)
    return out, first, second, distance


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gaps", [False, True])
def test_the_nearest_unit_is_found(dtype, gaps):
    for m, n, n_units in [(1, 1, 1), (5, 3, 2), (129, 7, 65), (140, 17, 64)]:
        x, units = problem(m, n, n_units, dtype, gaps)
        expected = naive.map_distances(x.astype(np.float64), units.astype(np.float64))
        found, distances = searched(x, units, gaps, origin=0.25)
        tolerance = 60 * np.finfo(dtype).eps
        least = expected.min(axis=1)
        np.testing.assert_allclose(expected[np.arange(m), found], least, rtol=1e3 * tolerance)
        np.testing.assert_allclose(distances**2, least**2, rtol=tolerance, atol=tolerance * n)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_of_a_row_depend_on_that_row_alone(dtype):
    """Neither on threads, nor on rows beside it, nor on whether others miss values."""
    x, units = problem(300, 5, 70, dtype, gaps=True)
    found, distances = searched(x, units, True)
    for twin_found, twin_distances in (
        searched(x, units, True, twin="parallel"),
        map(
            np.concatenate, zip(*(searched(x[k : k + 37], units, True) for k in range(0, 300, 37)))
        ),
    ):
        assert twin_found.tobytes() == found.tobytes()
        assert twin_distances.tobytes() == distances.tobytes()
    whole_found, whole_distances = searched(x[150:], units, False)
    assert whole_found.tobytes() == found[150:].tobytes()
    assert whole_distances.tobytes() == distances[150:].tobytes()


def test_of_units_as_near_as_each_other_the_first_is_taken():
    x, units = problem(20, 3, 1, np.float64)
    found, _ = searched(x, np.repeat(units, 70, axis=0), False)
    assert not found.any()
    _, first, second, _ = measured(x, np.repeat(units, 3, axis=0))
    assert (first == 0).all() and (second == 1).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distances_to_all_units_and_the_two_nearest(dtype):
    for m, n, n_units in [(1, 1, 2), (130, 9, 5)]:
        x, units = problem(m, n, n_units, dtype, gaps=n > 1)
        expected = naive.map_distances(x.astype(np.float64), units.astype(np.float64))
        out, first, second, distance = measured(x, units)
        tolerance = 60 * np.finfo(dtype).eps
        np.testing.assert_allclose(out, expected, rtol=tolerance, atol=tolerance)
        np.testing.assert_array_equal(np.stack([first, second], 1), out.argsort(1)[:, :2])
        np.testing.assert_array_equal(distance, out.min(axis=1))
    for one, other in zip((out, first, second, distance), measured(x, units, "parallel")):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gaps", [False, True])
def test_rows_are_added_up_by_unit(dtype, gaps):
    m, n, n_units = 90, 5, 7
    x, _ = problem(m, n, n_units, dtype, gaps)
    rng = np.random.default_rng(0)
    units, weights = rng.integers(n_units - 1, size=m).astype(np.int32), rng.random(m)
    origin = np.full(n, 0.5)
    for row_weights in (weights, NONE):
        expected = naive.map_sums(
            x.astype(np.float64) - origin, units, n_units, row_weights if len(row_weights) else
            np.ones(m),
        )  # fmt: skip
        found = []
        for twin, shares in (("serial", 1), ("parallel", 3), ("serial", 50)):
            sums, counts = np.zeros((n_units, n)), np.zeros((n_units, n if gaps else 1))
            getattr(nearest.sums_by_unit, twin)(
                x.ravel(), n, units, row_weights, origin, gaps, shares, sums.reshape(-1),
                counts.reshape(-1),
            )  # fmt: skip
            found.append((sums, counts))
        np.testing.assert_allclose(found[0][0], expected[0], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found[0][1], expected[1][:, : counts.shape[1]], rtol=1e-12)
        for sums, counts in found[1:]:
            assert sums.tobytes() == found[0][0].tobytes()
            assert counts.tobytes() == found[0][1].tobytes()


@pytest.mark.parametrize("relative", [False, True])
def test_sums_over_neighbourhoods(relative):
    rng = np.random.default_rng(1)
    lanes = TILE.bytes // 8
    places, some = rng.random((37, 2)) * 6, np.arange(0, 37, 3)
    shifts = np.array([(0.0, 0.0), (6.0, 0.0), (-6.0, 0.0)])
    summands = rng.normal(size=(len(some), 2 * lanes))
    bumps = naive.map_bumps(places, 1.5, shifts)[:, some]
    apart = -2 * 1.5**2 * np.log(bumps).max(axis=1)
    expected = bumps / np.exp(-apart / (2 * 1.5**2))[:, np.newaxis] if relative else bumps
    found = []
    for twin in ("serial", "parallel"):
        near, out = np.empty(37), np.empty((37, 2 * lanes))
        y, x = np.ascontiguousarray(places.T)
        getattr(neighbourhood.smooth, twin)(
            y, x, y[some], x[some], shifts[:, 0].copy(), shifts[:, 1].copy(), -1 / (2 * 1.5**2),
            relative, summands.ravel(), 2 * lanes, near, out.reshape(-1),
        )  # fmt: skip
        found.append(out)
        np.testing.assert_allclose(near, apart, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found[0], expected @ summands, rtol=1e-12, atol=1e-13)
    assert found[1].tobytes() == found[0].tobytes()


def test_bumps_far_from_all_rows_vanish_only_where_they_may():
    """Relative to the nearest one, a sum is that one's summand, not 0 / 0."""
    lanes = TILE.bytes // 8
    y, zero = np.array([0.0, 100.0]), np.zeros(1)
    for relative, expected in ((True, 3.0), (False, 0.0)):
        near, out = np.empty(2), np.empty(2 * lanes)
        neighbourhood.smooth.serial(
            y, np.zeros(2), y[:1], zero, zero, zero, -2.0, relative, np.full(lanes, 3.0), lanes,
            near, out,
        )  # fmt: skip
        assert out[lanes] == expected
        assert near[1] == 1e4
