"""Every registered activation: its formulas against differences, one another and the oracle."""

import numpy as np
import pytest
from targets import PRECISIONS, close, compiled, derivative

import naive
from nnjit.formulas import ACTIVATIONS

ENTRIES = list(ACTIVATIONS.values())
every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
every_precision = pytest.mark.parametrize("dtype", PRECISIONS)


def points(dtype=np.float64):
    """Numbers that are no kinks: none nearer than 0.01 to 0."""
    z = np.random.default_rng(0).normal(scale=3, size=200)
    return np.where(np.abs(z) < 0.01, 0.5, z).astype(dtype)


def backward(formulas, entry, delta, z):
    values = {"z": z, "h": formulas.value(z)}
    return formulas.backward(delta, *[values[name] for name in entry.reads])


@every_entry
def test_derivative_is_that_of_the_value(entry):
    formulas, z = entry.numpy(), points()
    expected = derivative(formulas.value, z)
    np.testing.assert_allclose(
        np.broadcast_to(formulas.derivative(z), z.shape), expected, rtol=1e-6, atol=1e-8
    )


@every_entry
@every_precision
def test_backward_multiplies_by_the_derivative(entry, dtype):
    formulas, z = compiled(entry, dtype), points(dtype)
    delta = np.random.default_rng(1).normal(size=z.size).astype(dtype)
    close(
        backward(formulas, entry, delta, z),
        delta * formulas.derivative(z),
        dtype,
        atol=16 * np.finfo(dtype).eps,  # of derivatives by an output that is nearly saturated
    )


@every_entry
@every_precision
def test_compiled_formulas_are_those_of_arrays(entry, dtype):
    z = points(dtype)
    code, arrays = compiled(entry, dtype), entry.numpy()
    wide = z.astype(np.float64)
    close(code.value(z), arrays.value(wide), dtype)
    close(code.derivative(z), arrays.derivative(wide), dtype)
    close(backward(code, entry, wide, z), backward(arrays, entry, wide, wide), dtype,
          atol=64 * np.finfo(dtype).eps)  # fmt: skip


@every_entry
@every_precision
def test_arrays_keep_their_type(entry, dtype):
    z = points(dtype)
    assert entry.numpy(dtype).value(z).dtype == dtype
    assert np.asarray(entry.numpy(dtype).derivative(z)).dtype == dtype


@every_entry
@every_precision
def test_values_and_derivatives_are_the_oracles(entry, dtype):
    if entry.name not in naive.ACTIVATIONS:
        pytest.skip("the oracle does not have it")
    z = points(dtype)
    wide, formulas = z.astype(np.float64), compiled(entry, dtype)
    expected = naive.ACTIVATIONS[entry.name](wide)
    close(formulas.value(z), expected, dtype)
    slope = naive.DERIVATIVES[entry.name](expected)
    close(formulas.derivative(z), slope, dtype, atol=np.finfo(np.float64).eps)


@every_entry
@every_precision
def test_nan_stays_nan(entry, dtype):
    assert np.isnan(compiled(entry, dtype).value(np.array([np.nan], dtype))[0])
    assert np.isnan(entry.numpy(dtype).value(np.array([np.nan], dtype)))[0]


@every_entry
def test_values_lie_within_the_range(entry):
    low, high = entry.range
    with np.errstate(over="ignore"):
        values = entry.numpy().value(np.array([-1e3, -20.0, -1.0, 0.0, 1.0, 20.0, 1e3]))
    assert low <= values.min() and values.max() <= high
    if np.isfinite(low):
        assert values.min() == pytest.approx(low, abs=1e-3)
    if np.isfinite(high):
        assert values.max() == pytest.approx(high, abs=1e-3)


@pytest.mark.parametrize("name", ["logistic", "tanh"])
@every_precision
def test_derivative_does_not_cancel_where_the_value_saturates(name, dtype):
    z = np.array([-40.0, -20.0, 20.0, 40.0], dtype)
    half = z.astype(np.float64) * (1 if name == "tanh" else 0.5)
    expected = np.cosh(half) ** -2 * (1 if name == "tanh" else 0.25)
    close(compiled(ACTIVATIONS[name], dtype).derivative(z), expected, dtype)
