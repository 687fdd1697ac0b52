"""Flatten layers: the values of arrays in C order, and the way back."""

import numpy as np
import pytest
from packed import REMAINS, OneLayer

from nnjit.core.simd import TILE
from nnjit.layers.flatten.spec import Flatten

DTYPES = [np.float32, np.float64]
every_precision = pytest.mark.parametrize("dtype", DTYPES)
WIDTH = TILE.bytes // 4  # rows of a vector of float32
every_shape = pytest.mark.parametrize("shape", [(3, 4, 5), (2, 9), (1, 1, 1), (7, 1)])


def numbers(rows, shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, *shape)).astype(dtype)


@every_precision
@every_shape
@pytest.mark.parametrize("rows", [1, 2, WIDTH - 1, WIDTH, WIDTH + 1, 2 * WIDTH + 3])
def test_values_come_in_c_order_and_deltas_go_back(dtype, shape, rows):
    one, size = OneLayer(Flatten(), shape, dtype, rows), int(np.prod(shape))
    x, delta = numbers(rows, shape, dtype), numbers(rows, (size,), dtype, 1)
    np.testing.assert_array_equal(one.forward(x), x.reshape(rows, -1))
    np.testing.assert_array_equal(one.backward(delta), delta.reshape(x.shape))
    assert (one.padding(int(one.step["output_row"][0]), one.after, rows) == 0).all()
    first = int(one.step["input_delta_row"][0]) * one.stride
    assert (one.work[first + size * rows : first + size * one.stride] == REMAINS).all()


@every_precision
def test_what_a_larger_block_left_behind_is_not_read(dtype):
    """NaN of earlier rows, where a smaller block has none, would spoil gradients by 0 * NaN."""
    shape, rows = (2, 9), WIDTH + 1
    one = OneLayer(Flatten(), shape, dtype, rows)
    one.forward(np.full((rows, *shape), np.nan, dtype))
    one.forward(np.ones((3, *shape), dtype))
    assert (one.padding(int(one.step["output_row"][0]), one.after, 3) == 0).all()


def test_only_arrays_are_flattened():
    assert Flatten().outputs((3, 4, 5)) == 60
    with pytest.raises(ValueError, match="takes series of shape"):
        Flatten().outputs(12)
