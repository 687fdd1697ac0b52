"""Every registered loss: slope against differences, targets against one another and the oracle."""

import numpy as np
import pytest
from targets import PRECISIONS, close, compiled, derivative, slope

import naive
from entries_of_tests import JOINED
from nnjit.formulas import ACTIVATIONS, LOSSES, find_loss

ELEMENTWISE = [(n, o) for n, o in JOINED if o != "softmax"]
OF_CLASSES = [(name, output) for (name, output), entry in LOSSES.items() if entry.classes]


def entries(classes):
    chosen = [find_loss(*pair) for pair in (OF_CLASSES if classes else ELEMENTWISE)]
    ids = [f"{entry.name}-{entry.output}" for entry in chosen]
    return pytest.mark.parametrize("entry", chosen, ids=ids)


every_precision = pytest.mark.parametrize("dtype", PRECISIONS)


def points(entry, dtype=np.float64):
    """Targets inside the domain and logits, by the names that formulas have for them."""
    y = np.array([-2.0, -1.0, 0.0, 0.25, 0.5, 1.0, 3.0])
    if entry.domain is not None:
        y = y[entry.domain.holds(y)]
    if entry.name.startswith("masked"):
        y = np.append(y, np.nan)
    z = np.linspace(-3.1, 3.3, 17)
    y, z = (grid.ravel().astype(dtype) for grid in np.meshgrid(y, z))
    return with_outputs(entry, y, z)


def with_outputs(entry, y, z):
    p = ACTIVATIONS[entry.output].numpy(z.dtype).value(z)
    return {"y": y, "z": z, "p": p, "choices": 2.0, **entry.parameters}


def value(entry, formulas, columns):
    return formulas.value(*[columns[name] for name in entry.value_reads])


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
    atol *= 32 if entry.name in ("gamma", "poisson") else 1  # 1 - y / p, and that over p
    close(slope(entry, code, columns, dtype), slope(entry, arrays, wide), dtype, atol=atol)


@entries(classes=False)
@every_precision
def test_values_are_the_oracles(entry, dtype):
    if entry.name not in naive.ELEMENTS:
        pytest.skip("the oracle does not have it")
    columns = points(entry, dtype)
    losses = value(entry, compiled(entry, dtype), columns)
    y, p = (columns[name].astype(np.float64) for name in "yp")
    expected = naive.ELEMENTS[entry.name](y, p, **entry.parameters)
    close(losses, expected, dtype, atol=64 * np.finfo(dtype).eps)


@entries(classes=False)
def test_loss_is_nowhere_below_that_of_the_best_output(entry):
    """Inside the domain; and nothing there is infinite."""
    columns, formulas = points(entry), entry.numpy()
    losses = value(entry, formulas, columns)
    assert np.isfinite(losses).all() and losses.min() >= -1e-12


def of_class(entry, formulas, p):
    """Value and factor at the entry's parameters."""
    known = {"p": p, **entry.parameters}
    value = formulas.value(*[known[name] for name in entry.value_reads])
    if formulas.factor is None:
        return value, np.ones_like(p)
    return value, formulas.factor(*[known[name] for name in entry.slope_reads])


@entries(classes=True)
def test_factor_is_the_derivative_by_the_probability(entry):
    p, formulas = np.linspace(0.02, 0.98, 49), entry.numpy()
    expected = -p * derivative(lambda p: of_class(entry, formulas, p)[0], p)
    np.testing.assert_allclose(of_class(entry, formulas, p)[1], expected, rtol=1e-6, atol=1e-8)


@entries(classes=True)
@every_precision
def test_compiled_formulas_of_classes_are_those_of_arrays(entry, dtype):
    p = np.linspace(0.0, 1.0, 51).astype(dtype)
    code, arrays = of_class(entry, compiled(entry, dtype), p), entry.numpy(dtype)
    ulps = 16 if not entry.parameters else 256  # a power multiplies the errors of its logarithm
    atol = 16 * np.finfo(dtype).eps
    for ours, theirs in zip(code, of_class(entry, arrays, p), strict=True):
        close(ours, theirs, dtype, ulps=ulps, atol=atol)


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
        ("gamma", "exp", [1e-30, 0.5, 1e30], [0.0, -1.0, np.nan]),
        ("log_loss", "logistic", [0.0, 1.0], [-0.1, 0.5, 1.1, np.nan]),
    ],
)
def test_domain_says_which_targets_a_loss_takes(loss, output, inside, outside):
    domain = find_loss(loss, output).domain
    assert domain.holds(np.array(inside)).all()
    assert not domain.holds(np.array(outside)).any()
    assert "y" in domain.text and domain.outside


@every_precision
@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0, 40.0])
@pytest.mark.parametrize("output", ["softmax", "logistic"])
def test_focal_loss_is_finite_at_every_probability_and_exponent(output, gamma, dtype):
    entry = find_loss("focal", output)
    p = np.array([0.0, 1e-30, 0.5, 1 - 1e-7, 1.0], dtype)
    columns = {"y": np.ones_like(p), "p": p, "focal_gamma": np.full_like(p, gamma)}
    for formula, reads in zip(
        compiled(entry, dtype), (entry.value_reads, entry.slope_reads), strict=True
    ):
        assert np.isfinite(formula(*[columns[name] for name in reads])).all()


@every_precision
@pytest.mark.parametrize("output", ["softmax", "logistic"])
def test_focal_loss_with_exponent_0_is_the_log_loss(output, dtype):
    focal, plain = (compiled(find_loss(name, output), dtype) for name in ("focal", "log_loss"))
    p, zeros = np.linspace(0, 1, 33).astype(dtype), np.zeros(33, dtype)
    if output == "softmax":
        np.testing.assert_array_equal(focal.value(p, zeros), plain.value(p))
        np.testing.assert_array_equal(focal.factor(p, zeros), np.ones(33))
        return
    for y in (zeros, zeros + 1):
        np.testing.assert_array_equal(focal.slope(y, p, zeros), plain.slope(y, p))
        close(focal.value(y, p, zeros), plain.value(y, p), dtype)


@every_precision
def test_kinks_have_a_slope_of_0(dtype):
    for name, parameters in (("absolute_error", ()), ("quantile", (0.9,)), ("huber", (1.35,))):
        slopes = compiled(find_loss(name, "identity"), dtype).slope([2.0], [2.0], *parameters)
        assert slopes == [0.0]


@every_precision
def test_a_target_that_is_not_known_counts_nothing(dtype):
    """Whatever the output is, and the losses of the others are those of the plain entries."""
    unknown, p = np.full(4, np.nan, dtype), np.array([0.0, -3.0, np.inf, np.nan], dtype)
    y, others = np.array([1.0, -2.0, 4.0], dtype), np.array([0.5, 3.0, 4.0], dtype)
    for name, plain, parameters in (
        ("masked_squared_error", "squared_error", ()),
        ("masked_huber", "huber", (0.7,)),
    ):
        ours, theirs = (compiled(find_loss(one, "identity"), dtype) for one in (name, plain))
        for formula, expected in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(formula(unknown, p, *parameters), np.zeros(4))
            np.testing.assert_array_equal(
                formula(y, others, *parameters), expected(y, others, *parameters)
            )


@every_precision
def test_log_cosh_of_a_large_error_does_not_overflow(dtype):
    formulas = compiled(find_loss("log_cosh", "identity"), dtype)
    close(formulas.value([1e4, -1e4], [-1e4, 1e4]), 2e4 - np.log(2.0), dtype)
    assert list(formulas.slope([1e4, -1e4], [-1e4, 1e4])) == [-1.0, 1.0]


@every_precision
@pytest.mark.parametrize("name", ["gamma", "poisson"])
@pytest.mark.parametrize("output", ["exp", "softplus"])
def test_loss_and_slope_of_a_positive_output_that_underflowed_are_finite(name, output, dtype):
    entry, zero = find_loss(name, output), np.zeros(1, dtype)
    columns = {"y": zero + 3, "z": zero - 1000, "p": zero}
    code = compiled(entry, dtype)
    assert np.isfinite(value(entry, code, columns)).all()
    assert np.isfinite(slope(entry, code, columns, dtype)).all()
