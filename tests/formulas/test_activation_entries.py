"""Every registered activation: its formulas against differences, one another and the oracle."""

import json

import numpy as np
import pytest
import torch_activations
from targets import PRECISIONS, close, compiled, derivative

import naive
from nnjit.formulas import ACTIVATIONS

ENTRIES = list(ACTIVATIONS.values())
every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
every_precision = pytest.mark.parametrize("dtype", PRECISIONS)


def points(dtype=np.float64):
    """Numbers that are no kinks: none nearer than 0.01 to 0, 1 or -1."""
    z = np.random.default_rng(0).normal(scale=3, size=200)
    kinks = (np.abs(z) < 0.01) | (np.abs(np.abs(z) - 1) < 0.01)
    return np.where(kinks, 0.5, z).astype(dtype)


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
    rest = np.finfo(dtype).eps / 2  # of a derivative that changes its sign, of a tail by math.erfc
    close(code.value(z), arrays.value(wide), dtype, atol=rest)
    close(code.derivative(z), arrays.derivative(wide), dtype, atol=rest)
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
    z = points(dtype)
    wide, formulas = z.astype(np.float64), compiled(entry, dtype)
    if entry.name in naive.MORE_ACTIVATIONS:
        value, slope = (function(wide) for function in naive.MORE_ACTIVATIONS[entry.name])
    elif entry.name in naive.ACTIVATIONS:
        value = naive.ACTIVATIONS[entry.name](wide)
        slope = naive.DERIVATIVES[entry.name](value)
    else:
        pytest.skip("the oracle does not have it")
    close(formulas.value(z), value, dtype)
    close(formulas.derivative(z), slope, dtype, atol=np.finfo(dtype).eps)


@every_entry
@every_precision
def test_nan_stays_nan(entry, dtype):
    assert np.isnan(compiled(entry, dtype).value(np.array([np.nan], dtype))[0])
    assert np.isnan(entry.numpy(dtype).value(np.array([np.nan], dtype)))[0]


@every_entry
def test_values_lie_within_the_range(entry):
    low, high = entry.range
    with np.errstate(over="ignore"):
        values = entry.numpy().value(np.append(np.linspace(-20, 20, 4001), [-1e3, 1e3]))
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


MORE = [entry for entry in ENTRIES if entry.name in naive.MORE_ACTIVATIONS]
every_other_entry = pytest.mark.parametrize("entry", MORE, ids=lambda entry: entry.name)


@every_other_entry
@every_precision
def test_values_are_accurate_wherever_they_saturate_or_vanish(entry, dtype):
    """Relative to the value itself, from the subnormal numbers to the largest."""
    z = np.concatenate([10.0 ** np.arange(-30.0, 30.0), -np.geomspace(1e-30, 80.0, 80)])
    z = z.astype(dtype)
    value, slope = naive.MORE_ACTIVATIONS[entry.name]
    with np.errstate(all="ignore"):
        expected, slopes = value(z.astype(np.float64)), slope(z.astype(np.float64))
    formulas, tiny = compiled(entry, dtype), np.finfo(dtype).tiny
    close(formulas.value(z), expected, dtype, atol=tiny, ulps=16)
    known = np.isfinite(slopes)  # those of the oracle
    atol = 4 * np.finfo(dtype).eps  # about the point where it changes its sign
    close(formulas.derivative(z)[known], slopes[known], dtype, atol=atol, ulps=16)
    close(backward(formulas, entry, np.ones_like(z), z)[known], slopes[known], dtype,
          atol=16 * np.finfo(dtype).eps, ulps=16)  # fmt: skip


@every_entry
@every_precision
def test_infinite_and_huge_numbers_do_not_become_nan(entry, dtype):
    z = np.array([-np.inf, np.finfo(dtype).min, np.finfo(dtype).max, np.inf], dtype)
    if entry.name == "exp":  # whose derivative is infinite as well
        z = z[:2]
    formulas = compiled(entry, dtype)
    values, slopes = formulas.value(z), formulas.derivative(z)
    assert not np.isnan([values, slopes]).any()
    assert not np.isnan(backward(formulas, entry, np.ones_like(z), z)).any()
    low, high = entry.range
    assert (values >= low).all() and (values <= high).all()


@every_other_entry
def test_values_and_derivatives_are_those_of_pytorch(entry):
    z = np.array(torch_activations.POINTS)
    kept = json.loads(torch_activations.KEPT.read_text(encoding="utf-8"))
    assert list(kept) == list(torch_activations.FUNCTIONS) == sorted(naive.MORE_ACTIVATIONS)
    formulas, (values, slopes) = compiled(entry, np.float64), kept[entry.name]
    # PyTorch's softplus is z itself from z = 20 on
    np.testing.assert_allclose(formulas.value(z), values, rtol=1e-12, atol=1e-15)
    limits = {"rtol": 1e-8 if entry.name == "softplus" else 1e-11, "atol": 1e-15}
    np.testing.assert_allclose(formulas.derivative(z), slopes, **limits)
    np.testing.assert_allclose(backward(formulas, entry, np.ones_like(z), z), slopes, **limits)


def test_what_is_kept_of_pytorch_is_what_it_computes():
    pytest.importorskip("torch", reason="compares with PyTorch where it is installed")
    kept = json.loads(torch_activations.KEPT.read_text(encoding="utf-8"))
    for name, expected in torch_activations.computed().items():
        np.testing.assert_allclose(kept[name], expected, rtol=1e-14)
