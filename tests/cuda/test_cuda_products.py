"""The tiled products around tile edges, with tiny tiles and several blocks."""

import functools

import numpy as np
import pytest
from device_arrays import to_device

import naive
from engine_problems import DTYPES, tolerance
from entries_of_tests import SILU
from nnjit.backends.cuda._cuda import cuda, kernel, type_of
from nnjit.backends.cuda.arguments import Cut, Matrix, Result, Team
from nnjit.backends.cuda.products import Tile, make_products
from nnjit.backends.cuda.scalars import LINEAR
from nnjit.formulas import ACTIVATIONS

TILES = [Tile(2, 2, 1, 2, 3), Tile(1, 4, 2, 1, 2), Tile(2, 3, 2, 2, 4)]
# rows, columns and depth on, below and above the edges of the tiles
SHAPES = [(1, 1, 1), (2, 4, 3), (3, 5, 4), (4, 6, 4), (5, 3, 7)]


@functools.cache
def launcher(kind, dtype, tile, hidden):
    product = getattr(make_products(dtype == np.float32, tile, hidden), kind)
    numba_type, a_shape, b_shape = type_of(dtype), tile.a_shape, tile.b_shape

    def run(shape, a, b, to, cut):
        tile_a = cuda.shared.array(a_shape, numba_type)
        tile_b = cuda.shared.array(b_shape, numba_type)
        team = Team(cuda.blockIdx.x, cuda.gridDim.x)
        product(team, (tile_a, tile_b), shape, a, b, to, cut)

    return kernel(run)


def launch(kind, dtype, tile, blocks, *arguments, hidden=()):
    launcher(kind, dtype, tile, hidden)[blocks, tile.threads, 0, 0](*arguments)


def on_device(array, transposed=False):
    """A matrix of the device, or its transpose without a copy."""
    row, column = (1, array.shape[1]) if transposed else (array.shape[1], 1)
    return Matrix(to_device(array.ravel()), 0, row, column)


# A set as a network may have it: some are left for a second pass, some are applied at once.
SOME = tuple(ACTIVATIONS[name] for name in ("tanh", "identity", "logistic", "relu"))
NOTHING = np.zeros(1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forward_is_product_bias_and_activation(dtype, tile, shape):
    m, n, k = shape
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal(s).astype(dtype) for s in [(m, k), (k, n)])
    bias = rng.standard_normal(n).astype(dtype)
    beside = to_device(np.append(9, bias).astype(dtype))
    for number, blocks in [(0, 1), (1, 2), (2, 5), (3, 2), (LINEAR, 3)]:
        out = to_device(np.full(m * n + 2, 7, dtype))
        to = Result(out, 1, beside, 1, to_device(NOTHING.astype(dtype)), -1, number)
        arguments = shape, on_device(a), on_device(b), to, Cut(k, 0, 0)
        launch("forward", dtype, tile, blocks, *arguments, hidden=SOME)
        got = out.copy_to_host()
        name = "identity" if number == LINEAR else SOME[number].name
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
    to = Result(grads, 0, grads, fan_in * fan_out, grads, -1, LINEAR)
    arguments = shape, on_device(a, transposed=True), on_device(delta), to
    expected = []
    for piece in range(pieces):
        part = slice(piece * step, (piece + 1) * step)
        dw, db = a[part].T @ delta[part], delta[part].sum(axis=0)
        expected.append(np.append(dw.ravel(), db))
    for times, add in [(1, 0), (2, 1)]:
        launch("weight_gradient", dtype, tile, 3, *arguments, Cut(step, size, add))
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
    matrices = on_device(delta), on_device(w, transposed=True)
    for number, blocks in [(0, 1), (1, 3), (2, 2), (3, 4)]:
        name = SOME[number].name
        h = naive.ACTIVATIONS[name](z).astype(dtype)
        out = to_device(np.zeros(rows * fan_in, dtype))
        to = Result(out, 0, to_device(h.ravel()), 0, out, -1, number)
        arguments = (rows, fan_in, fan_out), *matrices, to, Cut(fan_out, 0, 0)
        launch("input_gradient", dtype, tile, blocks, *arguments, hidden=SOME)
        expected = (delta @ w.T) * naive.DERIVATIVES[name](h)
        np.testing.assert_allclose(
            out.copy_to_host().reshape(rows, fan_in), expected, rtol=tolerance(dtype),
            atol=tolerance(dtype),
        )  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tile", TILES, ids=str)
def test_pre_activations_are_kept_for_a_derivative_that_needs_them(dtype, tile):
    m, n, k = 5, 3, 4
    rng = np.random.default_rng(5)
    a, b = (rng.standard_normal(s).astype(dtype) for s in [(m, k), (k, n)])
    bias, delta = rng.standard_normal(n).astype(dtype), rng.standard_normal((m, 2)).astype(dtype)
    hidden = ACTIVATIONS["relu"], SILU
    hidden = tuple(sorted(hidden, key=lambda entry: entry.epilogue is not None))
    out, kept = to_device(np.zeros(m * n, dtype)), to_device(np.full(m * n + 2, 7, dtype))
    to = Result(out, 0, to_device(bias), 0, kept, 1, hidden.index(SILU))
    launch("forward", dtype, tile, 2, (m, n, k), on_device(a), on_device(b), to, Cut(k, 0, 0),
           hidden=hidden)  # fmt: skip
    z = a @ b + bias
    sigmoid = 1 / (1 + np.exp(-z))
    limits = {"rtol": tolerance(dtype), "atol": tolerance(dtype)}
    got = kept.copy_to_host()
    np.testing.assert_allclose(got[1:-1].reshape(m, n), z, **limits)
    assert got[0] == got[-1] == 7
    np.testing.assert_allclose(out.copy_to_host().reshape(m, n), z * sigmoid, **limits)
    w = rng.standard_normal((n, 2)).astype(dtype)
    sent = to_device(np.zeros(m * n, dtype))
    to = Result(sent, 0, out, 0, kept, 1, hidden.index(SILU))
    matrices = on_device(delta), on_device(w, transposed=True)
    launch("input_gradient", dtype, tile, 3, (m, n, 2), *matrices, to, Cut(2, 0, 0), hidden=hidden)
    expected = (delta @ w.T) * (sigmoid + z * sigmoid * (1 - sigmoid))
    np.testing.assert_allclose(sent.copy_to_host().reshape(m, n), expected, **limits)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_do_not_depend_on_tile_or_blocks(dtype):
    m, n, k = 5, 4, 9
    rng = np.random.default_rng(4)
    a, b = (on_device(rng.standard_normal(s).astype(dtype)) for s in ((m, k), (k, n)))
    bias, results = to_device(rng.standard_normal(n).astype(dtype)), []
    for tile, blocks in [(TILES[0], 1), (TILES[1], 2), (TILES[2], 7)]:
        out = to_device(np.zeros(m * n, dtype))
        to = Result(out, 0, bias, 0, out, -1, 0)
        launch("forward", dtype, tile, blocks, (m, n, k), a, b, to, Cut(k, 0, 0), hidden=SOME)
        results.append(out.copy_to_host())
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_a_tile_needs_a_thread_for_each_column():
    with pytest.raises(ValueError, match="at least as many threads as columns"):
        make_products(True, Tile(1, 2, 1, 2, 2), ())
