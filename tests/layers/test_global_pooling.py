"""Global pooling against the oracle: any shape and block, ties, NaN, series of unequal length."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed import REMAINS, OneLayer

import naive
from nnjit.core.simd import TILE
from nnjit.layers.global_pooling.spec import GlobalPool

DTYPES = [np.float32, np.float64]
METHODS = ["mean", "max"]
every_precision = pytest.mark.parametrize("dtype", DTYPES)
every_method = pytest.mark.parametrize("method", METHODS)
WIDTH = TILE.bytes // 4  # rows of a vector of float32
ROWS = [1, 2, WIDTH - 1, WIDTH, WIDTH + 1, 2 * WIDTH + 3]
SHAPES = [(3, 8, 8), (1, 1, 1), (2, 5, 7), (4, 31), (4, 32), (4, 33), (1, 100), (5, 1)]
every_shape = pytest.mark.parametrize("shape", SHAPES)


def values(rows, shape, dtype, seed=0, tied=True):
    """Numbers, few different ones if `tied`."""
    rng = np.random.default_rng(seed)
    found = rng.standard_normal((rows, *shape))
    return (np.round(found * 1.5) if tied else found).astype(dtype)


def cut(x, lengths):
    """Zeros behind the ends of the series."""
    for row, length in zip(x, lengths, strict=True):
        row[:, length:] = 0
    return x


def check(method, shape, rows, dtype, lengths=None, masks=False):
    """Both passes are those of the oracle."""
    layer = GlobalPool(method)
    one = OneLayer(layer, shape, dtype, rows, masks=masks)
    x = values(rows, shape, dtype)
    if lengths is not None:
        x = cut(x, lengths)
    eps = np.finfo(dtype).eps
    found = one.forward(x, lengths)
    expected = naive.global_pool_forward(x, method, lengths)
    np.testing.assert_allclose(found, expected, rtol=8 * eps, atol=8 * eps)
    assert (one.padding(int(one.step["output_row"][0]), one.after, rows) == 0).all()
    delta = np.random.default_rng(1).standard_normal(expected.shape).astype(dtype)
    found = one.backward(delta)
    expected = naive.global_pool_backward(delta, x, method, lengths)
    expected = np.where(x > 0, expected, 0) if masks else expected
    np.testing.assert_allclose(found, expected, rtol=4 * eps, atol=0)


@every_precision
@every_method
@every_shape
@pytest.mark.parametrize("rows", ROWS)
def test_both_passes_are_those_of_the_oracle(dtype, method, shape, rows):
    check(method, shape, rows, dtype)


@every_method
@every_shape
@pytest.mark.parametrize("rows", [1, WIDTH + 1])
def test_a_backward_pass_may_end_in_the_derivative_of_a_relu_below(method, shape, rows):
    check(method, shape, rows, np.float64, masks=True)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    data=st.data(),
    method=st.sampled_from(METHODS),
    channels=st.integers(1, 3),
    points=st.integers(1, 70),
    rows=st.integers(1, 2 * WIDTH),
    single=st.booleans(),
    masks=st.booleans(),
)
def test_odd_lengths(data, method, channels, points, rows, single, masks):
    lengths = None
    if data.draw(st.booleans()):
        lengths = data.draw(st.lists(st.integers(0, points), min_size=rows, max_size=rows))
    dtype = np.float32 if single else np.float64
    check(method, (channels, points), rows, dtype, lengths, masks)


@every_precision
@every_method
def test_of_no_points_the_mean_and_the_largest_are_0(dtype, method):
    """A series too short for the windows of a layer below."""
    one = OneLayer(GlobalPool(method), (2, 5), dtype, 2)
    x = cut(np.ones((2, 2, 5), dtype), [0, 3])
    np.testing.assert_array_equal(one.forward(x, [0, 3]), [[0, 0], [1, 1]])
    assert (one.backward(np.ones((2, 2), dtype))[0] == 0).all()


@every_precision
def test_negative_values_count_and_those_behind_the_end_do_not(dtype):
    one = OneLayer(GlobalPool("max"), (1, 6), dtype, 2)
    x = cut(np.full((2, 1, 6), -3, dtype), [4, 6])
    np.testing.assert_array_equal(one.forward(x, [4, 6]), [[-3], [-3]])
    first = np.eye(6)[:1]
    np.testing.assert_array_equal(one.backward(np.ones((2, 1), dtype)), [first, first])


@every_precision
@every_method
@pytest.mark.parametrize("place", [0, 1, 33, 39])
@pytest.mark.parametrize("lengths", [None, [40, 40, 40]])
def test_a_nan_shows(dtype, method, place, lengths):
    one = OneLayer(GlobalPool(method), (1, 40), dtype, 3)
    x = np.zeros((3, 1, 40), dtype)
    x[1, 0, place:] = np.nan
    found = one.forward(x, lengths)
    assert np.isnan(found[1]).all() and np.isfinite(found[::2]).all()
    if method == "max":
        delta = one.backward(np.ones((3, 1), dtype))
        np.testing.assert_array_equal(delta[:, 0], np.eye(40)[[0, place, 0]])


@pytest.mark.parametrize("points", [1500, 20_000])
@pytest.mark.parametrize("rows", [1, 7])
def test_a_mean_of_many_points_is_accurate_in_float32(points, rows):
    rng = np.random.default_rng(0)
    x = (100 + rng.standard_normal((rows, 2, points))).astype(np.float32)
    found = OneLayer(GlobalPool("mean"), (2, points), np.float32, rows).forward(x)
    exact = x.astype(np.float64).mean(axis=2)
    np.testing.assert_allclose(found, exact, rtol=1.2e-6 if points > 10_000 else 3e-7)


@every_precision
@every_method
@every_shape
def test_a_row_does_not_depend_on_the_rows_beside_it(dtype, method, shape):
    rows = 2 * WIDTH + 3
    layer, x = GlobalPool(method), values(rows, shape, dtype, tied=False)
    delta = values(rows, shape[:1], dtype, seed=1, tied=False)
    one = OneLayer(layer, shape, dtype, rows)
    whole, whole_delta = one.forward(x), one.backward(delta)
    for start, stop in [(0, 1), (5, 6), (2, WIDTH), (1, WIDTH + 2)]:
        part = OneLayer(layer, shape, dtype, stop - start)
        np.testing.assert_array_equal(part.forward(x[start:stop]), whole[start:stop])
        np.testing.assert_array_equal(part.backward(delta[start:stop]), whole_delta[start:stop])


@every_precision
@every_method
@pytest.mark.parametrize("points", [9, 32, 75])
def test_a_series_does_not_depend_on_what_it_is_filled_up_with(dtype, method, points):
    """Nor on the lengths of the series beside it, to the bit."""
    layer, x = GlobalPool(method), values(5, (2, points), dtype, tied=False)
    x[:, :, -3:] = [-0.0, 0.0, -0.0]
    delta = values(5, (2,), dtype, seed=1, tied=False)
    alone = OneLayer(layer, (2, points), dtype, 5)
    expected, expected_delta = alone.forward(x), alone.backward(delta)
    for longer in (points, points + 1, 2 * points + 40):
        filled = np.zeros((5, 2, longer), dtype)
        filled[:, :, :points] = x
        one = OneLayer(layer, (2, longer), dtype, 5)
        for beside in (points, 1, longer):
            lengths = [points] * 4 + [beside]
            found = one.forward(filled, lengths)[:4]
            assert found.tobytes() == expected[:4].tobytes()
            found = one.backward(delta)[:4]
            np.testing.assert_array_equal(found[:, :, :points], expected_delta[:4])
            assert (found[:, :, points:] == 0).all()


@every_precision
@every_method
@pytest.mark.parametrize("rows", [1, 5, WIDTH])
def test_nothing_is_written_beside_its_values(dtype, method, rows):
    shape = (3, 7, 5)
    one = OneLayer(GlobalPool(method), shape, dtype, rows)
    one.backward(np.ones_like(one.forward(values(rows, shape, dtype))))
    first = int(one.step["input_delta_row"][0]) * one.stride
    assert (one.work[first + 105 * rows : first + 105 * one.stride] == REMAINS).all()
    first = int(one.step["output_row"][0]) * one.stride
    lanes = int(one.block["lanes"][0])
    rest = one.work[first : first + 3 * one.stride].reshape(3, one.stride)[:, lanes:]
    assert (rest == REMAINS).all()


def test_vectors_and_unknown_methods_are_refused():
    with pytest.raises(ValueError, match="takes series of shape"):
        GlobalPool().outputs(12)
    with pytest.raises(ValueError, match="'mean' or 'max', got 'median'"):
        GlobalPool("median")
