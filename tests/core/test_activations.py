"""Array kernels of the activations against the oracle, in place, and as twins."""

import numpy as np
import pytest

import naive
from nnjit.core import activations
from nnjit.core.activations import CODES, PIECE

SIZES = [1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, PIECE - 1, PIECE, PIECE + 1]
DTYPES = [np.float32, np.float64]


def numbers(size, dtype, seed=0):
    return np.random.default_rng(seed).normal(scale=3, size=size).astype(dtype)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=4 * np.finfo(actual.dtype).eps, atol=1e-37)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(CODES))
def test_activation(name, dtype):
    for size in SIZES:
        x = numbers(size, dtype)
        expected = naive.ACTIVATIONS[name](x.astype(np.float64))
        out = np.empty_like(x)
        activations.activate.serial(CODES[name], x, False, out)
        close(out, expected)
        activations.activate.serial(CODES[name], x, True, x)
        assert x.tobytes() == out.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(CODES))
def test_derivative(name, dtype):
    """By the pre-activation and by the output; the first does not cancel where phi saturates."""
    x = np.concatenate([numbers(201, dtype), np.array([-40, -20, 20, 40], dtype)])
    wide = x.astype(np.float64)
    out = np.empty_like(x)
    activations.activation_derivative.serial(CODES[name], x, False, out)
    if name == "tanh":
        expected = np.cosh(wide) ** -2
    elif name == "logistic":
        expected = naive.logistic(wide) * naive.logistic(-wide)
    else:
        expected = naive.DERIVATIVES[name](naive.ACTIVATIONS[name](wide))
    np.testing.assert_allclose(out, expected, rtol=8 * np.finfo(dtype).eps)

    h = naive.ACTIVATIONS[name](x).astype(dtype)
    activations.output_derivative.serial(CODES[name], h, False, out)
    wide = h.astype(np.float64)
    np.testing.assert_allclose(
        out, naive.DERIVATIVES[name](wide), rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps
    )


@pytest.mark.parametrize("name", sorted(CODES))
def test_derivative_is_that_of_the_activation(name):
    x = numbers(50, np.float64) / 2
    x[np.abs(x) < 1e-3] = 0.5  # relu has no derivative at 0

    def value(x):
        out = np.empty_like(x)
        activations.activate.serial(CODES[name], x, False, out)
        return float(out.sum())

    out = np.empty_like(x)
    activations.activation_derivative.serial(CODES[name], x, False, out)
    np.testing.assert_allclose(out, naive.central_differences(value, x), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(CODES))
def test_backward(name, dtype):
    for size in SIZES:
        h = naive.ACTIVATIONS[name](numbers(size, dtype)).astype(dtype)
        delta = numbers(size, dtype, seed=1)
        out = np.empty_like(h)
        activations.activation_backward.serial(CODES[name], h, delta, False, out)
        derivative = naive.DERIVATIVES[name](h.astype(np.float64))
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(out, delta * derivative, rtol=4 * eps, atol=30 * eps)
        activations.activation_backward.serial(CODES[name], h, delta, True, delta)
        assert delta.tobytes() == out.tobytes()


@pytest.mark.parametrize("name", sorted(CODES))
def test_twins_agree_to_the_bit(name):
    x = numbers(3 * PIECE + 17, np.float32)
    for pair in (
        activations.activate,
        activations.activation_derivative,
        activations.output_derivative,
    ):
        serial, parallel = np.empty_like(x), np.empty_like(x)
        pair.serial(CODES[name], x, False, serial)
        pair.parallel(CODES[name], x, False, parallel)
        assert serial.tobytes() == parallel.tobytes()


def test_relu_keeps_nan():
    x = np.array([np.nan, -1.0, 2.0])
    activations.activate.serial(activations.RELU, x, True, x)
    np.testing.assert_array_equal(x, [np.nan, 0, 2])
