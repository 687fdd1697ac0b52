"""Every registered loss: slope against differences, targets against one another and the oracle."""

import numpy as np
import pytest
from targets import PRECISIONS, close, compiled, derivative

import naive
from nnjit.formulas import ACTIVATIONS, LOSSES, find_loss


def entries(classes):
    chosen = [entry for entry in LOSSES.values() if entry.classes == classes]
    ids = [f"{entry.name}-{entry.output}" for entry in chosen]
    return pytest.mark.parametrize("entry", chosen, ids=ids)


every_precision = pytest.mark.parametrize("dtype", PRECISIONS)
# (loss, output) -> the oracle
ORACLES = {
    ("squared_error", "identity"): naive.squared_error,
    ("poisson", "exp"): naive.poisson,
    ("log_loss", "logistic"): naive.bernoulli,
}


def points(entry, dtype=np.float64):
    """Targets inside the domain and logits, by the names that formulas have for them."""
    y = np.array([-2.0, -1.0, 0.0, 0.25, 0.5, 1.0, 3.0])
    if entry.domain is not None:
        y = y[entry.domain.holds(y)]
    z = np.linspace(-3.1, 3.3, 17)
    y, z = (grid.ravel().astype(dtype) for grid in np.meshgrid(y, z))
    return with_outputs(entry, y, z)


def with_outputs(entry, y, z):
    p = ACTIVATIONS[entry.output].numpy(z.dtype).value(z)
    return {"y": y, "z": z, "p": p, **entry.parameters}


def value(entry, formulas, columns):
    return formulas.value(*[columns[name] for name in entry.value_reads])


def slope(entry, formulas, columns):
    return formulas.slope(*[columns[name] for name in entry.slope_reads])


@entries(classes=False)
def test_slope_is_the_derivative_by_the_pre_activation(entry):
    columns, formulas = points(entry), entry.numpy()
    y, z = columns["y"], columns["z"]
    expected = derivative(lambda z: value(entry, formulas, with_outputs(entry, y, z)), z)
    np.testing.assert_allclose(slope(entry, formulas, columns), expected, rtol=1e-6, atol=1e-7)


@entries(classes=False)
@every_precision
def test_compiled_formulas_are_those_of_arrays(entry, dtype):
    columns = points(entry, dtype)
    wide = {name: np.asarray(column, np.float64) for name, column in columns.items()}
    code, arrays = compiled(entry, dtype), entry.numpy()
    atol = 32 * np.finfo(dtype).eps  # terms of some ten cancel
    close(value(entry, code, columns), value(entry, arrays, wide), dtype, atol=atol)
    close(slope(entry, code, columns), slope(entry, arrays, wide), dtype, atol=atol)


@entries(classes=False)
@every_precision
def test_values_are_the_oracles(entry, dtype):
    if (entry.name, entry.output) not in ORACLES:
        pytest.skip("the oracle does not have it")
    columns = points(entry, dtype)
    losses = value(entry, compiled(entry, dtype), columns)
    y, p = (columns[name].astype(np.float64)[:, np.newaxis] for name in "yp")
    oracle = ORACLES[entry.name, entry.output]
    expected = [oracle(y[i : i + 1], p[i : i + 1]) for i in range(len(y))]
    close(losses, expected, dtype, atol=32 * np.finfo(dtype).eps)


@entries(classes=False)
def test_loss_is_nowhere_below_that_of_the_best_output(entry):
    """Inside the domain; and nothing there is infinite."""
    columns, formulas = points(entry), entry.numpy()
    losses = value(entry, formulas, columns)
    assert np.isfinite(losses).all() and losses.min() >= -1e-12


def factor(formulas, p):
    return np.ones_like(p) if formulas.factor is None else formulas.factor(p)


@entries(classes=True)
def test_factor_is_the_derivative_by_the_probability(entry):
    p, formulas = np.linspace(0.02, 0.98, 49), entry.numpy()
    expected = -p * derivative(formulas.value, p)
    np.testing.assert_allclose(
        np.broadcast_to(factor(formulas, p), p.shape), expected, rtol=1e-6, atol=1e-8
    )


@entries(classes=True)
@every_precision
def test_compiled_formulas_of_classes_are_those_of_arrays(entry, dtype):
    p = np.linspace(0.0, 1.0, 51).astype(dtype)
    code = compiled(entry, dtype)
    arrays = entry.numpy(dtype)
    close(code.value(p), arrays.value(p), dtype, ulps=16)
    close(factor(code, p), factor(arrays, p), dtype)


@every_precision
def test_log_loss_of_a_class_is_the_oracles(dtype):
    p = np.array([[0.0], [1e-12], [0.3], [1.0]], dtype)
    losses = compiled(find_loss("log_loss", "softmax"), dtype).value(p[:, 0])
    expected = -np.log(naive.clip(p).astype(np.float64))[:, 0]
    close(losses, expected, dtype)


@every_precision
def test_probabilities_are_clipped(dtype):
    eps = np.finfo(dtype).eps
    losses = compiled(find_loss("log_loss", "logistic"), dtype).value([1, 0, 1, 0], [0, 1, 1, 0])
    close(losses, [-np.log(eps), -np.log(eps), eps, eps], dtype)


@every_precision
def test_a_mean_that_underflowed_is_not_infinitely_bad(dtype):
    losses = compiled(find_loss("poisson", "exp"), dtype).value([2, 0], [0, 0])
    tiny = float(np.finfo(dtype).tiny)
    close(losses, [2 * np.log(2 / tiny) - 2, 0], dtype)


@pytest.mark.parametrize(
    ("loss", "output", "inside", "outside"),
    [
        ("poisson", "exp", [0.0, 0.5, 1e30], [-1e-30, -1.0, np.nan]),
        ("log_loss", "logistic", [0.0, 1.0], [-0.1, 0.5, 1.1, np.nan]),
    ],
)
def test_domain_says_which_targets_a_loss_takes(loss, output, inside, outside):
    domain = find_loss(loss, output).domain
    assert domain.holds(np.array(inside)).all()
    assert not domain.holds(np.array(outside)).any()
    assert "y" in domain.text and domain.outside
