"""Array kernels of the activations against the oracle, in place, and as twins."""

import numba
import numpy as np
import pytest

import naive
from nnjit.core.arrays import activations
from nnjit.core.arrays.activations import PIECE
from nnjit.core.compiler.units import call
from nnjit.core.maps.activations import backward_unit, derivative_unit, value_unit
from nnjit.formulas import ACTIVATIONS

NAMES = sorted(ACTIVATIONS.keys() & naive.ACTIVATIONS.keys())

SIZES = [1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, PIECE - 1, PIECE, PIECE + 1]
DTYPES = [np.float32, np.float64]


def numbers(size, dtype, seed=0):
    return np.random.default_rng(seed).normal(scale=3, size=size).astype(dtype)


def transformed(make, name, x, twin="serial", out=None):
    """x by a unit that works in place; in x itself if that is `out`."""
    out = np.empty_like(x) if out is None else out
    unit = make(name, x.dtype == np.float32).address
    getattr(activations.transform, twin)(unit, x, out is x, out)
    return out


def by_output(name, h, twin="serial", out=None):
    out = np.empty_like(h) if out is None else out
    unit = backward_unit(name, h.dtype == np.float32).address
    getattr(activations.output_derivative, twin)(unit, h, out is h, out)
    return out


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=4 * np.finfo(actual.dtype).eps, atol=1e-37)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_activation(name, dtype):
    for size in SIZES:
        x = numbers(size, dtype)
        expected = naive.ACTIVATIONS[name](x.astype(np.float64))
        out = transformed(value_unit, name, x)
        close(out, expected)
        transformed(value_unit, name, x, out=x)
        assert x.tobytes() == out.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_derivative(name, dtype):
    """By the pre-activation; it does not cancel where phi saturates."""
    x = np.concatenate([numbers(201, dtype), np.array([-40, -20, 20, 40], dtype)])
    wide = x.astype(np.float64)
    out = transformed(derivative_unit, name, x)
    if name == "tanh":
        expected = np.cosh(wide) ** -2
    elif name == "logistic":
        expected = naive.logistic(wide) * naive.logistic(-wide)
    else:
        expected = naive.DERIVATIVES[name](naive.ACTIVATIONS[name](wide))
    np.testing.assert_allclose(out, expected, rtol=8 * np.finfo(dtype).eps)

    h = naive.ACTIVATIONS[name](x).astype(dtype)
    wide = h.astype(np.float64)
    np.testing.assert_allclose(
        by_output(name, h),
        naive.DERIVATIVES[name](wide),
        rtol=4 * np.finfo(dtype).eps,
        atol=np.finfo(dtype).eps,
    )


@pytest.mark.parametrize("name", NAMES)
def test_derivative_is_that_of_the_activation(name):
    x = numbers(50, np.float64) / 2
    x[np.abs(x) < 1e-3] = 0.5  # relu has no derivative at 0

    def value(x):
        return float(transformed(value_unit, name, x).sum())

    out = transformed(derivative_unit, name, x)
    np.testing.assert_allclose(out, naive.central_differences(value, x), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_backward(name, dtype):
    for size in SIZES:
        h = naive.ACTIVATIONS[name](numbers(size, dtype)).astype(dtype)
        delta = numbers(size, dtype, seed=1)
        out = np.empty_like(h)
        unit = backward_unit(name, dtype == np.float32).address
        activations.backward.serial(unit, h, delta, False, out)
        derivative = naive.DERIVATIVES[name](h.astype(np.float64))
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(out, delta * derivative, rtol=4 * eps, atol=30 * eps)
        activations.backward.serial(unit, h, delta, True, delta)
        assert delta.tobytes() == out.tobytes()


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_twins_agree_to_the_bit(name):
    x = numbers(3 * PIECE + 17, np.float32)
    for make in (value_unit, derivative_unit):
        serial, parallel = (transformed(make, name, x, twin) for twin in ("serial", "parallel"))
        assert serial.tobytes() == parallel.tobytes()
    if "z" in ACTIVATIONS[name].reads:
        return
    serial, parallel = (by_output(name, x, twin) for twin in ("serial", "parallel"))
    assert serial.tobytes() == parallel.tobytes()
    assert by_output(name, x, out=x).tobytes() == serial.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_value_does_not_depend_on_the_position(name, dtype):
    x = numbers(131, dtype)
    for make in (value_unit, derivative_unit):
        alone = [transformed(make, name, x[i : i + 1]) for i in range(len(x))]
        assert transformed(make, name, x).tobytes() == np.concatenate(alone).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(naive.MORE_ACTIVATIONS))
def test_activations_that_scikit_learn_does_not_have(name, dtype):
    """Value, derivative and backward by whatever they read, at all sizes."""
    value, slope = naive.MORE_ACTIVATIONS[name]
    limits = {"rtol": 16 * np.finfo(dtype).eps, "atol": 16 * np.finfo(dtype).eps}
    for size in SIZES:
        z, delta = numbers(size, dtype), numbers(size, dtype, seed=1)
        h = transformed(value_unit, name, z)
        np.testing.assert_allclose(h, value(z.astype(np.float64)), **limits)
        slopes = slope(z.astype(np.float64))
        np.testing.assert_allclose(transformed(derivative_unit, name, z), slopes, **limits)
        expected = delta * slopes
        backward_in_place(name, z, h, delta)
        np.testing.assert_allclose(delta, expected, **limits)


@numba.njit
def run_backward(unit, z_at, h_at, delta_at, n):
    call(unit, (z_at, h_at, delta_at, n))


def backward_in_place(name, z, h, delta):
    unit = backward_unit(name, z.dtype == np.float32).address
    run_backward(unit, z.ctypes.data, h.ctypes.data, delta.ctypes.data, len(delta))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(naive.MORE_ACTIVATIONS))
def test_backward_does_not_depend_on_the_position(name, dtype):
    z, delta = numbers(131, dtype), numbers(131, dtype, seed=1)
    h = transformed(value_unit, name, z)
    alone = delta.copy()
    for i in range(len(z)):
        backward_in_place(name, z[i : i + 1], h[i : i + 1], alone[i : i + 1])
    backward_in_place(name, z, h, delta)
    assert delta.tobytes() == alone.tobytes()


def test_relu_keeps_nan():
    x = np.array([np.nan, -1.0, 2.0])
    np.testing.assert_array_equal(transformed(value_unit, "relu", x), [np.nan, 0, 2])


def test_a_unit_is_made_once():
    assert value_unit("tanh", True) is value_unit("tanh", True)
    assert value_unit("tanh", True).address != value_unit("tanh", False).address
