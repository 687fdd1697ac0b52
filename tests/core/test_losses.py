"""Loss kernels and their gradients against the oracle."""

import numpy as np
import pytest

import naive
from nnjit.core.arrays import losses

# names of the oracle -> of the kernels
NAMES = {
    "squared_error": "squared_error",
    "poisson": "poisson",
    "bernoulli": "bernoulli",
    "multinomial": "categorical",
}
DTYPES = [np.float32, np.float64]
SHAPES = [(1, 1), (2, 3), (15, 1), (17, 7), (33, 2), (64, 10), (65, 100), (3, 5000), (9000, 1)]


def problem(name, shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if name == "squared_error":
        y, p = rng.normal(size=(2, *shape))
    elif name == "poisson":
        y, p = rng.poisson(1.0, shape), rng.uniform(0.1, 3, shape)
    else:
        y, p = rng.integers(0, 2, shape), rng.uniform(0.01, 0.99, shape)
    w = rng.uniform(0, 2, shape[0])
    return y.astype(dtype), p.astype(dtype), w.astype(dtype)


def value_unit(name, dtype):
    return losses.value_unit(NAMES[name], dtype == np.float32).address


def slope_unit(name, linked, dtype):
    return losses.slope_unit(NAMES[name], linked, dtype == np.float32).address


def blocks(shape):
    return -(-shape[0] // max(1, losses.BLOCK // shape[1]))


def total(name, y, p, w, twin="serial"):
    """Mean loss as the kernels compute it."""
    parts = np.full(blocks(p.shape), np.nan)
    kernel = getattr(losses.loss, twin)
    kernel(value_unit(name, p.dtype), y.ravel(), p.ravel(), w, parts)
    mean = losses.add_up(parts) / w.sum(dtype=np.float64)
    return mean / p.shape[1] if name == "squared_error" else mean


def gradient(name, linked, y, p, w, twin="serial"):
    out = np.empty_like(p)
    scale = 1 / w.sum(dtype=np.float64)
    scale /= p.shape[1] if name == "squared_error" else 1
    kernel = getattr(losses.loss_gradient, twin)
    unit = slope_unit(name, linked, p.dtype)
    kernel(unit, y.ravel(), p.ravel(), w, p.dtype.type(scale), False, out.ravel())
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(NAMES))
def test_loss(name, dtype):
    for shape in SHAPES:
        y, p, w = problem(name, shape, dtype)
        expected = naive.LOSSES[name](*(a.astype(np.float64) for a in (y, p, w)))
        assert total(name, y, p, w) == pytest.approx(
            expected, rel=1e-5 if dtype == np.float32 else 1e-13
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(NAMES))
def test_gradient(name, dtype):
    rtol = 1e-5 if dtype == np.float32 else 1e-12
    for shape in SHAPES:
        y, p, w = problem(name, shape, dtype)
        wide = [a.astype(np.float64) for a in (y, p, w)]
        actual = gradient(name, False, y, p, w)
        np.testing.assert_allclose(actual, naive.loss_gradient(name, *wide), rtol=rtol, atol=rtol)
        if name != "squared_error":
            actual = gradient(name, True, y, p, w)
            np.testing.assert_allclose(actual, naive.logits_gradient(*wide), rtol=rtol, atol=1e-9)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_gradient_is_that_of_the_loss(name):
    y, p, w = problem(name, (4, 3), np.float64)
    expected = naive.central_differences(lambda q: total(name, y, q, w), p, step=1e-5)
    np.testing.assert_allclose(gradient(name, False, y, p, w), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 2), (17, 3), (65, 10), (5000, 3)])
def test_class_numbers_are_columns_of_an_indicator(shape, dtype):
    """Labels give what a 0/1 matrix gives."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, shape[1], shape[0])
    y = np.eye(shape[1], dtype=dtype)[labels]
    _, p, w = problem("multinomial", shape, dtype)
    parts = np.empty(blocks((shape[0], 1)))
    losses.label_loss.serial(value_unit("multinomial", dtype), labels, p.ravel(), w, parts)
    mean = losses.add_up(parts) / w.sum(dtype=np.float64)
    assert mean == pytest.approx(total("multinomial", y, p, w), rel=1e-6)
    for linked in (False, True):
        out = np.empty_like(p)
        scale = dtype(1 / w.sum(dtype=np.float64))
        unit = slope_unit("multinomial", linked, dtype)
        arguments = (unit, labels, linked, p.ravel(), w, scale)
        losses.label_gradient.serial(*arguments, False, out.ravel())
        expected = gradient("multinomial", linked, y, p, w)
        np.testing.assert_allclose(out, expected, rtol=1e-6)
        losses.label_gradient.serial(*arguments, True, p.ravel())
        assert p.tobytes() == out.tobytes()
        _, p, _ = problem("multinomial", shape, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["bernoulli", "multinomial"])
def test_certain_and_wrong_is_clipped_not_infinite(name, dtype):
    y = np.array([[1, 0], [0, 1]], dtype)
    p = np.array([[0, 1], [0, 1]], dtype)
    w = np.ones(2, dtype)
    expected = naive.LOSSES[name](y, p)
    assert np.isfinite(expected)
    assert total(name, y, p, w) == pytest.approx(expected, rel=1e-6)
    assert np.isfinite(gradient(name, False, y, p, w)).all()


@pytest.mark.parametrize("name", sorted(NAMES))
def test_nan_is_seen(name):
    y, p, w = problem(name, (40, 3), np.float64)
    p[33, 1] = np.nan
    y[33, 1] = 1
    assert np.isnan(total(name, y, p, w))
    bad = np.isnan(gradient(name, False, y, p, w))
    assert bad[33, 1] and bad.sum() == 1


def test_twins_agree_to_the_bit():
    y, p, w = problem("bernoulli", (9000, 3), np.float32)
    arguments = ("bernoulli", y, p, w)
    assert total(*arguments) == total(*arguments, twin="parallel")
    arguments = ("bernoulli", False, y, p, w)
    assert gradient(*arguments).tobytes() == gradient(*arguments, twin="parallel").tobytes()


def test_twins_of_class_numbers_agree_to_the_bit():
    _, p, w = problem("multinomial", (9000, 3), np.float32)
    labels = np.random.default_rng(0).integers(0, 3, 9000)
    unit = value_unit("multinomial", np.float32)
    parts = np.empty((2, blocks((9000, 1))))
    losses.label_loss.serial(unit, labels, p.ravel(), w, parts[0])
    losses.label_loss.parallel(unit, labels, p.ravel(), w, parts[1])
    assert parts[0].tobytes() == parts[1].tobytes()
    out = np.empty((2, p.size), np.float32)
    unit = slope_unit("multinomial", False, np.float32)
    arguments = (unit, labels, False, p.ravel(), w, np.float32(1e-3), False)
    losses.label_gradient.serial(*arguments, out[0])
    losses.label_gradient.parallel(*arguments, out[1])
    assert out[0].tobytes() == out[1].tobytes()
