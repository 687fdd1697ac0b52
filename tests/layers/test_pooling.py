"""Pooling layers against the oracle: any window, any block, ties, NaN, series of unequal length."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed import REMAINS, OneLayer

import naive
from nnjit.core.simd import TILE
from nnjit.layers.pooling.spec import Pool

DTYPES = [np.float32, np.float64]
every_precision = pytest.mark.parametrize("dtype", DTYPES)
every_method = pytest.mark.parametrize("method", ["max", "mean"])
WIDTH = TILE.bytes // 4  # rows of a vector of float32
ROWS = [1, 2, WIDTH - 1, WIDTH, WIDTH + 1, 2 * WIDTH + 3]
# shape, size, stride
WINDOWS = [
    ((3, 8, 8), 2, None),
    ((2, 7, 9), 2, None),  # a row and a column are left over
    ((2, 7, 8), (3, 2), (2, 1)),
    ((1, 6, 5), (1, 3), (1, 2)),
    ((1, 6, 5), (3, 1), (2, 3)),
    ((2, 9, 10), 3, 1),
    ((2, 5, 5), 5, None),
    ((2, 7, 7), 1, 3),
    ((3, 12), 2, None),
    ((2, 11), 3, 2),
    ((2, 11), 4, 1),
    ((1, 5), 5, None),
    ((4, 1), 1, None),
]
every_window = pytest.mark.parametrize("shape, size, stride", WINDOWS)


def eps(dtype):
    return np.finfo(dtype).eps


def values(rows, shape, dtype, seed=0, tied=True):
    """Numbers, few different ones if `tied`."""
    rng = np.random.default_rng(seed)
    found = rng.standard_normal((rows, *shape))
    return (np.round(found * 1.5) if tied else found).astype(dtype)


def windows_of(layer, shape):
    axes = layer.axes(shape)
    return tuple(axis[1] for axis in axes), tuple(axis[2] for axis in axes)


def check(layer, shape, rows, dtype, lengths=None, tied=True, masks=False):
    """Both passes are those of the oracle."""
    one = OneLayer(layer, shape, dtype, rows, masks=masks)
    x = values(rows, shape, dtype, tied=tied)
    if lengths is not None:
        for row, length in zip(x, lengths, strict=True):
            row[:, length:] = 0
    window = windows_of(layer, shape)
    found = one.forward(x, lengths)
    expected = naive.pool_forward(x, layer.method, *window, lengths)
    np.testing.assert_allclose(found, expected, rtol=8 * eps(dtype), atol=8 * eps(dtype))
    delta = np.random.default_rng(1).standard_normal(expected.shape).astype(dtype)
    found = one.backward(delta)
    expected = naive.pool_backward(delta, x, layer.method, *window, lengths)
    expected = np.where(x > 0, expected, 0) if masks else expected
    np.testing.assert_allclose(found, expected, rtol=0, atol=16 * eps(dtype))


@every_precision
@every_method
@every_window
@pytest.mark.parametrize("rows", ROWS)
def test_both_passes_are_those_of_the_oracle(dtype, method, shape, size, stride, rows):
    check(Pool(method, size, stride), shape, rows, dtype)


@every_method
@every_window
@pytest.mark.parametrize("rows", [1, WIDTH + 1])
def test_a_backward_pass_may_end_in_the_derivative_of_a_relu_below(
    method, shape, size, stride, rows
):
    check(Pool(method, size, stride), shape, rows, np.float64, masks=True)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    data=st.data(),
    method=st.sampled_from(["max", "mean"]),
    axes=st.integers(1, 2),
    channels=st.integers(1, 3),
    rows=st.integers(1, 2 * WIDTH),
    single=st.booleans(),
)
def test_odd_shapes(data, method, axes, channels, rows, single):
    size = tuple(data.draw(st.integers(1, 4)) for _ in range(axes))
    stride = tuple(data.draw(st.integers(1, 5)) for _ in range(axes))
    points = tuple(k + data.draw(st.integers(0, 6)) for k in size)
    dtype = np.float32 if single else np.float64
    check(Pool(method, size, stride), (channels, *points), rows, dtype)


@every_precision
@every_method
@pytest.mark.parametrize("size, stride", [(2, None), (3, 1), (3, 2), (2, 3)])
@pytest.mark.parametrize("rows", [1, 3, WIDTH + 1])
def test_of_shorter_series_only_whole_windows_count(dtype, method, size, stride, rows):
    lengths = np.random.default_rng(rows).integers(1, 12, rows)
    lengths[0] = 11
    check(Pool(method, size, stride), (2, 11), rows, dtype, lengths)


def test_lengths_behind_it_are_numbers_of_windows():
    layer = Pool("max", 3, 2)
    assert [layer.length(n) for n in range(8)] == [0, 0, 0, 1, 1, 2, 2, 3]


@every_precision
@pytest.mark.parametrize("rows", [1, WIDTH])
def test_of_equal_values_the_first_gets_the_delta(dtype, rows):
    one = OneLayer(Pool("max", 2), (1, 4, 4), dtype, rows)
    out = one.forward(np.full((rows, 1, 4, 4), -3, dtype))
    np.testing.assert_array_equal(out, np.full((rows, 1, 2, 2), -3))
    expected = np.zeros((4, 4))
    expected[::2, ::2] = [[1, 2], [3, 4]]
    found = one.backward(np.tile(np.array([[1, 2], [3, 4]], dtype), (rows, 1, 1, 1)))
    np.testing.assert_array_equal(found, np.tile(expected, (rows, 1, 1, 1)))


@every_precision
@pytest.mark.parametrize("rows", [1, 2 * WIDTH])
@pytest.mark.parametrize("place", range(9))
def test_a_nan_is_the_largest_and_the_first_gets_the_delta(dtype, rows, place):
    one = OneLayer(Pool("max", 3), (1, 3, 3), dtype, rows)
    x = np.full((rows, 1, 9), np.inf, dtype)
    x[:, :, place:] = np.nan
    assert np.isnan(one.forward(x.reshape(rows, 1, 3, 3))).all()
    found = one.backward(np.ones((rows, 1, 1, 1), dtype)).reshape(rows, 9)
    np.testing.assert_array_equal(found, np.tile(np.eye(9)[place], (rows, 1)))


@every_precision
def test_infinities_are_numbers_like_others(dtype):
    one = OneLayer(Pool("max", 2), (1, 4), dtype, 1)
    x = np.array([[[-np.inf, -np.inf, 1, np.inf]]], dtype)
    np.testing.assert_array_equal(one.forward(x), [[[-np.inf, np.inf]]])
    np.testing.assert_array_equal(one.backward(np.ones((1, 1, 2), dtype)), [[[1, 0, 0, 1]]])


@every_precision
@every_method
@every_window
def test_a_row_does_not_depend_on_the_rows_beside_it(dtype, method, shape, size, stride):
    rows = 2 * WIDTH + 3
    layer, x = Pool(method, size, stride), values(rows, shape, dtype, tied=False)
    one = OneLayer(layer, shape, dtype, rows)
    whole = one.forward(x)
    delta = values(rows, layer.outputs(shape), dtype, seed=1, tied=False)
    whole_delta = one.backward(delta)
    for start, stop in [(0, 1), (5, 6), (2, WIDTH), (1, WIDTH + 2)]:
        part = OneLayer(layer, shape, dtype, stop - start)
        np.testing.assert_array_equal(part.forward(x[start:stop]), whole[start:stop])
        np.testing.assert_array_equal(part.backward(delta[start:stop]), whole_delta[start:stop])


@every_precision
@every_method
def test_a_series_does_not_depend_on_what_it_is_filled_up_with(dtype, method):
    layer, x = Pool(method, 3, 2), values(5, (2, 9), dtype, tied=False)
    alone = OneLayer(layer, (2, 9), dtype, 5)
    expected, delta = alone.forward(x), values(5, (2, 4), dtype, seed=1, tied=False)
    expected_delta = alone.backward(delta)
    filled = np.zeros((5, 2, 17), dtype)
    filled[:, :, :9] = x
    longer = OneLayer(layer, (2, 17), dtype, 5)
    found = longer.forward(filled, [9] * 5)
    np.testing.assert_array_equal(found[:, :, :4], expected)
    assert (found[:, :, 4:] == 0).all()
    more = np.full((5, 2, 8), 7, dtype)
    more[:, :, :4] = delta
    found = longer.backward(more)
    np.testing.assert_array_equal(found[:, :, :9], expected_delta)
    assert (found[:, :, 9:] == 0).all()


@every_precision
@every_method
@pytest.mark.parametrize("rows", [1, 5, WIDTH])
def test_nothing_is_written_beside_its_values(dtype, method, rows):
    """Behind the last value another layer's may begin."""
    shape, layer = (3, 7, 5), Pool(method, 2)
    one = OneLayer(layer, shape, dtype, rows)
    one.backward(np.ones_like(one.forward(values(rows, shape, dtype))))
    for name, form in (("output_row", one.after), ("input_delta_row", shape)):
        first = int(one.step[name][0]) * one.stride
        size = int(np.prod(form))
        assert (one.work[first + size * rows : first + size * one.stride] == REMAINS).all()


def test_windows_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="No window fits into arrays of shape"):
        Pool("max", 5).outputs((1, 4, 9))
    with pytest.raises(ValueError, match="takes series of shape"):
        Pool("max", 2).outputs(12)
    with pytest.raises(ValueError, match="'max' or 'mean', got 'median'"):
        Pool("median")
