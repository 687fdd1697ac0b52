"""The tiled products around tile edges, with tiny tiles and several blocks."""

import functools

import numpy as np
import pytest
from device_arrays import to_device

import naive
from engine_problems import DTYPES, tolerance
from nnjit.backends.cuda._cuda import cuda, kernel, type_of
from nnjit.backends.cuda.products import Tile, make_products
from nnjit.core.layout import ACTIVATIONS

TILES = [Tile(2, 2, 1, 2, 3), Tile(1, 4, 2, 1, 2), Tile(2, 3, 2, 2, 4)]
# rows, columns and depth on, below and above the edges of the tiles
SHAPES = [(1, 1, 1), (2, 4, 3), (3, 5, 4), (4, 6, 4), (5, 3, 7)]


@functools.cache
def launcher(kind, dtype, tile):
    product = getattr(make_products(dtype == np.float32, dtype, tile), kind)
    numba_type, a_shape, b_shape = type_of(dtype), tile.a_shape, tile.b_shape

    def run(m, n, k, a, a_row, a_column, b, b_row, b_column, c, c_at, other, other_at, code, step,
            c_step, add):  # fmt: skip
        tile_a = cuda.shared.array(a_shape, numba_type)
        tile_b = cuda.shared.array(b_shape, numba_type)
        product(
            cuda.blockIdx.x, cuda.gridDim.x, (tile_a, tile_b), m, n, k, a, 0, a_row, a_column,
            b, 0, b_row, b_column, c, c_at, other, other_at, code, step, c_step, add,
        )  # fmt: skip

    return kernel(run)


def launch(kind, dtype, tile, blocks, *arguments):
    launcher(kind, dtype, tile)[blocks, tile.threads, 0, 0](*arguments)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forward_is_product_bias_and_activation(dtype, tile, shape):
    m, n, k = shape
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal(s).astype(dtype) for s in [(m, k), (k, n)])
    bias = rng.standard_normal(n).astype(dtype)
    for name, blocks in [("identity", 1), ("logistic", 2), ("tanh", 5), ("relu", 2)]:
        out = to_device(np.full(m * n + 2, 7, dtype))
        launch(
            "forward", dtype, tile, blocks, m, n, k, to_device(a.ravel()), k, 1,
            to_device(b.ravel()), n, 1, out, 1, to_device(np.append(9, bias).astype(dtype)), 1,
            ACTIVATIONS[name], k, 0, 0,
        )  # fmt: skip
        got = out.copy_to_host()
        expected = naive.dense_forward(a, b, bias, name)
        np.testing.assert_allclose(
            got[1:-1].reshape(m, n), expected, rtol=tolerance(dtype), atol=tolerance(dtype)
        )
        assert got[0] == got[-1] == 7


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("step", [2, 5, 100])
def test_weight_gradient_in_pieces(dtype, tile, shape, step):
    """a^T delta and the column sums, cut along the rows, overwritten and then added to."""
    fan_in, fan_out, rows = shape
    rng = np.random.default_rng(2)
    a, delta = (rng.standard_normal((rows, u)).astype(dtype) for u in (fan_in, fan_out))
    step = min(step, rows)
    pieces, size = -(-rows // step), fan_in * fan_out + fan_out
    grads = to_device(np.full(pieces * size, 5, dtype))
    arguments = (
        fan_in, fan_out, rows, to_device(a.ravel()), 1, fan_in, to_device(delta.ravel()), fan_out,
        1, grads, 0, grads, fan_in * fan_out, 0, step, size,
    )  # fmt: skip
    expected = []
    for piece in range(pieces):
        part = slice(piece * step, (piece + 1) * step)
        dw, db = a[part].T @ delta[part], delta[part].sum(axis=0)
        expected.append(np.append(dw.ravel(), db))
    for times, add in [(1, 0), (2, 1)]:
        launch("weight_gradient", dtype, tile, 3, *arguments, add)
        np.testing.assert_allclose(
            grads.copy_to_host().reshape(pieces, size), times * np.array(expected),
            rtol=tolerance(dtype), atol=tolerance(dtype),
        )  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_input_gradient_is_product_and_hadamard(dtype, tile, shape):
    rows, fan_in, fan_out = shape
    rng = np.random.default_rng(3)
    w = rng.standard_normal((fan_in, fan_out)).astype(dtype)
    delta = rng.standard_normal((rows, fan_out)).astype(dtype)
    z = rng.standard_normal((rows, fan_in)).astype(dtype)
    for name, blocks in [("identity", 1), ("logistic", 3), ("tanh", 2), ("relu", 4)]:
        h = naive.ACTIVATIONS[name](z).astype(dtype)
        out = to_device(np.zeros(rows * fan_in, dtype))
        launch(
            "input_gradient", dtype, tile, blocks, rows, fan_in, fan_out, to_device(delta.ravel()),
            fan_out, 1, to_device(w.ravel()), 1, fan_out, out, 0, to_device(h.ravel()), 0,
            ACTIVATIONS[name], fan_out, 0, 0,
        )  # fmt: skip
        expected = (delta @ w.T) * naive.DERIVATIVES[name](h)
        np.testing.assert_allclose(
            out.copy_to_host().reshape(rows, fan_in), expected, rtol=tolerance(dtype),
            atol=tolerance(dtype),
        )  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_do_not_depend_on_tile_or_blocks(dtype):
    m, n, k = 5, 4, 9
    rng = np.random.default_rng(4)
    a, b = (to_device(rng.standard_normal(s).astype(dtype)) for s in (m * k, k * n))
    bias, results = to_device(rng.standard_normal(n).astype(dtype)), []
    for tile, blocks in [(TILES[0], 1), (TILES[1], 2), (TILES[2], 7)]:
        out = to_device(np.zeros(m * n, dtype))
        launch("forward", dtype, tile, blocks, m, n, k, a, k, 1, b, n, 1, out, 0, bias, 0, 2, k, 0,
               0)  # fmt: skip
        results.append(out.copy_to_host())
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_a_tile_needs_a_thread_for_each_column():
    with pytest.raises(ValueError, match="at least as many threads as columns"):
        make_products(True, np.float32, Tile(1, 2, 1, 2, 2))
