"""Samples as the kernels get them: how long series are, which end in NaN where they are shorter."""

import tracemalloc
import warnings

import numpy as np
import pytest

from nnjit.backends import dataset
from nnjit.backends.dataset import as_data, series_lengths

DTYPES = [np.float32, np.float64]
ORDERS = ["C", "F"]


def series(n, shape, dtype, order="C", seed=0):
    """Rows that end in NaN, and how many points each has."""
    rng = np.random.default_rng(seed)
    X, lengths = rng.standard_normal((n, *shape)), rng.integers(1, shape[-1] + 1, n)
    for row, length in zip(X, lengths, strict=True):
        row[:, length:] = np.nan
    return np.asarray(X.reshape(n, -1), dtype, order=order), lengths


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(1, 7), (3, 5), (2, 1), (4, 100)])
@pytest.mark.parametrize("values", [1, 100, 1 << 17])
def test_a_series_ends_where_only_nan_follow(dtype, order, shape, values, monkeypatch):
    monkeypatch.setattr(dataset, "_VALUES_AT_ONCE", values)
    X, lengths = series(41, shape, dtype, order)
    found = series_lengths(X, shape)
    assert found.dtype == np.int64 and found.flags.c_contiguous
    expected = lengths if (lengths < shape[-1]).any() else []
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ORDERS)
def test_a_point_is_there_if_one_channel_has_it(dtype, order):
    X = np.full((3, 2, 4), np.nan)
    X[0, 1, 2] = X[1, 0, 0] = X[2, 0, 3] = 1.0
    found = series_lengths(np.asarray(X.reshape(3, -1), dtype, order=order), (2, 4))
    np.testing.assert_array_equal(found, [3, 1, 4])


@pytest.mark.parametrize("dtype", DTYPES)
def test_whole_series_have_no_lengths(dtype):
    X = np.ones((5, 6), dtype)
    assert series_lengths(X, (2, 3)).size == 0
    X[2, 1] = np.nan  # the other channel goes on
    assert series_lengths(X, (2, 3)).size == 0
    assert series_lengths(X[:0], (2, 3)).size == 0


def test_a_series_of_nan_alone_counts_as_a_whole_one():
    X = np.full((3, 4), np.nan)
    X[1, :2] = 1.0
    np.testing.assert_array_equal(series_lengths(X, (1, 4)), [4, 2, 4])


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinities_neither_warn_nor_end_a_series(dtype):
    X = np.ones((2, 4), dtype)
    X[0, :2] = np.inf, -np.inf
    X[1, 3] = np.finfo(dtype).max
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert series_lengths(X, (1, 4)).size == 0


@pytest.mark.parametrize("order", ORDERS)
def test_lengths_take_little_memory(order):
    X, lengths = series(2_000, (4, 250), np.float32, order)
    tracemalloc.start()
    try:
        found = series_lengths(X, (4, 250))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(found, lengths)
    assert peak < X.nbytes / 4


def test_only_series_are_asked_for_their_lengths():
    X, lengths = series(9, (2, 6), np.float64)
    np.testing.assert_array_equal(as_data(X, X.dtype, (2, 6))[0].lengths, lengths)
    assert as_data(X, X.dtype, (1, 2, 6))[0].lengths.size == 0
    assert as_data(X, X.dtype)[0].lengths.size == 0
