"""The product of single layers: bits do not depend on threads or on the rows beside."""

import numpy as np
import pytest

import naive
from nnjit.core.arrays import dense
from nnjit.core.maps.activations import value_unit
from nnjit.core.simd import TILE
from nnjit.formulas import ACTIVATIONS


def affine(a, w, bias, activation, twin="serial"):
    (m, depth), n = a.shape, w.shape[1]
    lanes = TILE.bytes // a.itemsize
    reach = -(-n // lanes) * lanes
    padded = np.full((depth, reach), np.nan, a.dtype)  # the padding must not matter
    padded[:, :n] = w
    out = np.full(m * n + 64, -7, a.dtype)
    kernel = getattr(dense.affine, twin)
    unit = value_unit(activation, a.dtype == np.float32).address
    kernel(unit, depth, a.ravel(), depth, 1, padded.ravel(), reach, bias, out[: m * n])
    assert (out[m * n :] == -7).all()
    return out[: m * n].reshape(m, n)


def problem(m, depth, n, dtype=np.float32):
    rng = np.random.default_rng([m, depth, n])
    shapes = ((m, depth), (depth, n), (n,))
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS.keys() & naive.ACTIVATIONS.keys()))
def test_affine(activation, dtype):
    for m, depth, n in [(1, 1, 1), (31, 5, 16), (32, 16, 17), (33, 64, 3), (100, 7, 65)]:
        a, w, b = problem(m, depth, n, dtype)
        w /= np.sqrt(dtype(depth))
        expected = naive.dense_forward(
            *(x.astype(np.float64) for x in (a, w, b)), activation=activation
        )
        eps = np.finfo(dtype).eps
        bound = (8 + 4 * depth) * eps
        np.testing.assert_allclose(affine(a, w, b, activation), expected, rtol=bound, atol=bound)


@pytest.mark.parametrize("shape", [(200, 30, 17), (65, 100, 64), (70, 3, 1)])
def test_bits_are_the_same_in_parallel_and_alone(shape):
    a, w, b = problem(*shape)
    together = affine(a, w, b, "tanh")
    assert affine(a, w, b, "tanh", "parallel").tobytes() == together.tobytes()
    for i in (0, 31, 32, shape[0] - 1):
        alone = affine(a[i : i + 1].copy(), w, b, "tanh")
        assert alone.tobytes() == together[i : i + 1].tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_column_sums(dtype):
    for m, n in [(1, 1), (7, 16), (65, 33), (300, 10)]:
        x = np.random.default_rng([m, n]).normal(size=(m, n)).astype(dtype)
        out = np.empty(n, dtype)
        dense.column_sums(x.ravel(), n, out)
        expected = x.astype(np.float64).sum(axis=0)
        np.testing.assert_allclose(out, expected, rtol=0, atol=2 * m * np.finfo(dtype).eps)
