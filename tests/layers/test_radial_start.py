"""The centres and widths that a radial network starts from."""

import numpy as np
import pytest

from nnjit.layers.radial.initialization import (
    choose_centers,
    choose_origin_and_unit,
    choose_widths,
    default_centers,
    squared_distances,
)


def blobs(middles, rows=20, spread=0.01, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    middles = np.asarray(middles, dtype=float)
    x = np.repeat(middles, rows, axis=0)
    return (x + spread * rng.standard_normal(x.shape)).astype(dtype)


def rng():
    return np.random.RandomState(0)


def test_a_fifth_of_the_rows_and_at_most_a_hundred_are_centres():
    assert [default_centers(rows) for rows in (1, 4, 9, 10, 499, 500, 10**6)] == [
        *(1, 1, 1, 2, 99, 100, 100)
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kmeans_finds_the_middle_of_every_blob(dtype):
    middles = [[0, 0], [4, 0], [0, 4]]
    centers = choose_centers(blobs(middles, dtype=dtype), 3, "kmeans", rng())
    assert centers.dtype == dtype
    np.testing.assert_allclose(centers[np.lexsort(centers.T)], middles, atol=0.02)


@pytest.mark.parametrize("init", ["kmeans", "random"])
def test_the_same_seed_chooses_the_same_centres(init):
    x = np.random.default_rng(1).standard_normal((60, 3))
    first, again = (choose_centers(x, 7, init, rng()) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (7, 3)
    assert not np.array_equal(first, choose_centers(x, 7, init, np.random.RandomState(1)))


def test_random_centres_are_different_rows():
    x = np.random.default_rng(2).standard_normal((30, 2))
    centers = choose_centers(x, 30, "random", rng())
    np.testing.assert_array_equal(np.unique(centers, axis=0), np.unique(x, axis=0))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("init", ["kmeans", "random"])
def test_equal_rows_make_one_centre(init):
    x = np.repeat(np.array([[0.0, 1.0], [2.0, 3.0], [5.0, 5.0]]), 10, axis=0)
    centers = choose_centers(x, 6, init, rng())
    np.testing.assert_array_equal(centers[np.argsort(centers[:, 0])], np.unique(x, axis=0))


@pytest.mark.parametrize("init", ["kmeans", "random"])
def test_rows_of_weight_zero_are_not_looked_at(init):
    x = np.vstack([blobs([[0, 0]]), blobs([[9, 9]])])
    weights = np.repeat([1.0, 0.0], 20)
    assert np.abs(choose_centers(x, 5, init, rng(), weights)).max() < 1
    with pytest.raises(ValueError, match="n_samples=20 should be >= n_centers=21"):
        choose_centers(x, 21, init, rng(), weights)


def test_kmeans_goes_towards_the_heavier_rows():
    x = np.array([[0.0], [1.0]])
    center = choose_centers(x, 1, "kmeans", rng(), np.array([1.0, 3.0]))
    np.testing.assert_allclose(center, [[0.75]])


def test_kmeans_looks_at_a_sample_of_many_rows(monkeypatch):
    import sklearn.cluster

    seen = []

    class Watched(sklearn.cluster.KMeans):
        def fit(self, X, sample_weight=None):
            seen.append((len(X), None if sample_weight is None else len(sample_weight)))
            return super().fit(X, sample_weight=sample_weight)

    monkeypatch.setattr(sklearn.cluster, "KMeans", Watched)
    x = blobs([[0, 0], [4, 0]], rows=2000)
    for weights in (None, np.ones(4000)):
        centers = choose_centers(x, 2, "kmeans", rng(), weights)
        np.testing.assert_allclose(np.sort(centers[:, 0]), [0, 4], atol=0.02)
    assert seen == [(512, None), (512, 512)]


def test_given_centres_are_copied_and_checked():
    x = np.zeros((9, 2), np.float32)
    given = [[1, 2], [3, 4]]
    centers = choose_centers(x, 2, given, rng())
    assert centers.dtype == np.float32
    np.testing.assert_array_equal(centers, given)
    mine = np.ones((2, 2), np.float32)
    assert not np.shares_memory(choose_centers(x, 2, mine, rng()), mine)
    with pytest.raises(ValueError, match=r"shape \(2, 2\), not \(3, 2\)"):
        choose_centers(x, 3, given, rng())
    with pytest.raises(ValueError, match="NaN or infinity"):
        choose_centers(x, 2, [[1, np.nan], [3, 4]], rng())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0, 1000])
def test_width_is_the_mean_distance_to_the_two_nearest_centres(dtype, offset):
    centers = np.array([[0, 0], [3, 0], [0, 4], [30, 40]], dtype) + dtype(offset)
    widths = choose_widths(centers, "nearest")
    assert widths.dtype == dtype
    far = (np.hypot(27, 40) + np.hypot(30, 36)) / 2
    np.testing.assert_allclose(widths, [3.5, 4, 4.5, far], rtol=1e-5)


def test_two_centres_are_as_wide_as_they_are_apart():
    np.testing.assert_allclose(choose_widths(np.array([[0.0], [2.0]]), "nearest"), 2)


def test_one_centre_reaches_as_far_as_the_rows():
    x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 3.0], [0.0, -3.0]])
    np.testing.assert_allclose(choose_widths(np.zeros((1, 2)), "nearest", x), np.sqrt(5))
    assert choose_widths(np.zeros((1, 2)), "nearest", np.zeros((4, 2))) == 1
    assert choose_widths(np.zeros((1, 2)), "nearest") == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_are_all_the_same_are_measured_in_units_of_one(dtype):
    for x in (np.full((1, 3), 0.1, dtype), np.full((7, 3), 0.1, dtype), np.zeros((2, 1), dtype)):
        origin, unit = choose_origin_and_unit(x, 1)
        np.testing.assert_array_equal(origin, x[0])
        assert origin.dtype == dtype and unit == 1


def test_centres_that_coincide_have_a_tenth_of_the_usual_width():
    centers = np.array([[0.0], [0.0], [0.0], [10.0], [11.0], [12.0], [13.0]])
    widths = choose_widths(centers, "nearest")
    np.testing.assert_allclose(widths[:3], 0.1 * np.median(widths[3:]))
    np.testing.assert_array_equal(choose_widths(np.zeros((5, 2)), "nearest"), 1)


def test_given_widths_are_for_all_or_for_each():
    centers = np.zeros((3, 2), np.float32)
    np.testing.assert_array_equal(choose_widths(centers, 0.5), np.full(3, 0.5, np.float32))
    np.testing.assert_array_equal(choose_widths(centers, [1, 2, 3]), [1, 2, 3])
    with pytest.raises(ValueError, match=r"shape \(2,\), not \(3,\)"):
        choose_widths(centers, [1, 2])
    for bad in (0.0, -1.0, np.inf, [1, np.nan, 1]):
        with pytest.raises(ValueError, match="finite and above 0"):
            choose_widths(centers, bad)


def test_squared_distances_are_never_negative():
    x = np.random.default_rng(3).standard_normal((50, 4)).astype(np.float32)
    distances = squared_distances(x, x)
    assert (distances >= 0).all()
    expected = np.square(x[:, np.newaxis] - x).sum(axis=2)
    np.testing.assert_allclose(distances, expected, atol=1e-5)
