"""Softmax kernels against the oracle at sizes around the vectors' and blocks' edges."""

import numpy as np
import pytest

import naive
from nnjit.core.arrays import softmax as kernels

DTYPES = [np.float32, np.float64]
COLUMNS = [1, 2, 3, 7, 8, 9, 10, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100]
ROWS = [1, 2, 15, 16, 17, 33, 65, 257]


def matrix(rows, columns, dtype, seed=0):
    return np.random.default_rng(seed).normal(scale=4, size=(rows, columns)).astype(dtype)


def run(pair, *matrices, parallel=False):
    """Call a kernel on flat matrices; the result has guard elements that must survive."""
    x = matrices[0]
    rows, columns = x.shape
    size = x.size * (columns if pair is kernels.softmax_jacobian else 1)
    out = np.full(size + 64, -7, x.dtype)
    kernel = pair.parallel if parallel else pair.serial
    kernel(*(m.ravel() for m in matrices), columns, out[:size])
    assert (out[size:] == -7).all()
    return out[:size].reshape(x.shape + (columns,) * (pair is kernels.softmax_jacobian))


def wide(x):
    return x.astype(np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", COLUMNS)
def test_softmax_and_its_logarithm(columns, dtype):
    eps = np.finfo(dtype).eps
    for rows in ROWS:
        x = matrix(rows, columns, dtype)
        bound = (8 + columns / 4) * eps
        np.testing.assert_allclose(run(kernels.softmax, x), naive.softmax(wide(x)), rtol=bound)
        np.testing.assert_allclose(
            run(kernels.log_softmax, x), naive.log_softmax(wide(x)), rtol=bound, atol=40 * eps
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", COLUMNS)
def test_jacobian(columns, dtype):
    """Every element, however the overrunning vectors fall."""
    eps = np.finfo(dtype).eps
    for rows in (1, 2, 17, 33):
        x = matrix(rows, columns, dtype)
        actual = run(kernels.softmax_jacobian, x)
        expected = naive.softmax_jacobian(wide(x))
        np.testing.assert_allclose(actual, expected, rtol=0, atol=(4 + columns / 8) * eps)
        # off the diagonal there is no cancellation either
        off = ~np.eye(columns, dtype=bool)
        bound = (16 + columns / 2) * eps
        np.testing.assert_allclose(actual[:, off], expected[:, off], rtol=bound)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", COLUMNS)
def test_vjp(columns, dtype):
    eps = np.finfo(dtype).eps
    for rows in (1, 16, 17, 65):
        s = naive.softmax(matrix(rows, columns, dtype))
        v = matrix(rows, columns, dtype, seed=1)
        expected = naive.softmax_vjp(wide(s), wide(v))
        np.testing.assert_allclose(
            run(kernels.softmax_vjp, s, v), expected, rtol=0, atol=(32 + columns) * eps
        )


def test_in_place():
    x = matrix(70, 10, np.float64)
    for pair in (kernels.softmax, kernels.log_softmax):
        expected = run(pair, x)
        flat = x.ravel().copy()
        pair.serial(flat, 10, flat)
        assert flat.tobytes() == expected.tobytes()


@pytest.mark.parametrize("columns", [3, 10, 16, 40])
def test_twins_agree_to_the_bit(columns):
    x = matrix(700, columns, np.float32)
    for pair in (kernels.softmax, kernels.log_softmax, kernels.softmax_jacobian):
        assert run(pair, x).tobytes() == run(pair, x, parallel=True).tobytes()
    v = matrix(700, columns, np.float32, seed=1)
    s = naive.softmax(x)
    pair = kernels.softmax_vjp
    assert run(pair, s, v).tobytes() == run(pair, s, v, parallel=True).tobytes()


@pytest.mark.parametrize("columns", [3, 10, 33])
def test_a_row_does_not_depend_on_its_neighbours(columns):
    x = matrix(300, columns, np.float32)
    for pair in (kernels.softmax, kernels.log_softmax, kernels.softmax_jacobian):
        together = run(pair, x)
        for i in (0, 16, 255, 299):
            assert run(pair, x[i : i + 1].copy()).tobytes() == together[i : i + 1].tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_and_special_logits(dtype):
    big = np.finfo(dtype).max / 4
    x = np.array([[big, -big, 0], [big, big, -np.inf], [np.nan, 1, 2], [5, 5, 5]], dtype)
    expected = [[1, 0, 0], [0.5, 0.5, 0], [np.nan] * 3, [1 / 3] * 3]
    np.testing.assert_allclose(run(kernels.softmax, x), expected, rtol=1e-6)
    logs = run(kernels.log_softmax, x)
    np.testing.assert_allclose(logs[0], [0, -2 * big, -big], rtol=1e-6)
    np.testing.assert_allclose(logs[1], [-np.log(2), -np.log(2), -np.inf], rtol=1e-6)
    assert np.isnan(logs[2]).all()


def test_jacobian_is_the_derivative():
    x = matrix(1, 5, np.float64) / 4
    jacobian = run(kernels.softmax_jacobian, x)[0]
    for j in range(5):
        difference = naive.central_differences(lambda z, j=j: run(kernels.softmax, z)[0, j], x)
        np.testing.assert_allclose(jacobian[j], difference[0], rtol=1e-6, atol=1e-9)
