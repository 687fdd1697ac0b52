"""Every registered solver: its steps in every target, and against the oracle."""

import numpy as np
import pytest
from targets import PRECISIONS, close, compiled

import naive
from nnjit.formulas import SOLVERS, find_solver, offered_solvers

ENTRIES = list(SOLVERS.values())
every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
every_precision = pytest.mark.parametrize("dtype", PRECISIONS)
N, STEPS, RATE = 7, 5, 0.01


def gradients(dtype=np.float64):
    return np.random.default_rng(0).normal(size=(STEPS, N)).astype(dtype)


def run(entry, formulas, dtype, **hyperparameters):
    """Parameters after each of some steps, in the way that drivers take them."""
    settings = {**entry.hyperparameters, **hyperparameters}
    powers = dict.fromkeys(entry.powers, 1.0)
    w, vectors, seen = np.ones(N, dtype), [np.zeros(N, dtype) for _ in entry.vectors], []
    for gradient in gradients(dtype):
        powers = {name: power * settings[name] for name, power in powers.items()}
        rates = map(dtype, entry.step_rates(RATE, settings, powers.values()))
        reals = [dtype(value) for value in settings.values()]
        w, *vectors = formulas.step(w, gradient, *vectors, *rates, *reals)
        seen.append(w)
    return np.array(seen)


@every_entry
@every_precision
def test_compiled_steps_are_those_of_arrays(entry, dtype):
    code = run(entry, compiled(entry, dtype), dtype)
    arrays = run(entry, entry.numpy(dtype), dtype)
    assert arrays.dtype == dtype
    close(code, arrays, dtype, ulps=16)
    # rounded alike: 1 - beta is exact then
    rounded = {name: float(dtype(value)) for name, value in entry.hyperparameters.items()}
    close(code, run(entry, entry.numpy(), np.float64, **rounded), dtype, ulps=64)


@every_entry
def test_steps_go_down(entry):
    """A gradient that stays the same moves the parameter against it."""
    settings = dict(entry.hyperparameters)
    rates = entry.step_rates(RATE, settings, [settings[name] for name in entry.powers])
    assert len(rates) == len(entry.rates)
    w, g = np.zeros(2), np.array([1.0, -1.0])
    vectors = [np.zeros(2) for _ in entry.vectors]
    stepped, *moved = entry.numpy().step(w, g, *vectors, *rates, *settings.values())
    assert (np.sign(stepped) == [-1, 1]).all()
    assert len(moved) == len(entry.vectors)


def oracle_run(solver, shape=(N,)):
    w, seen = np.ones(shape), []
    for gradient in gradients():
        solver.step([w], [gradient.reshape(shape)])
        seen.append(w.ravel().copy())
    return np.array(seen)


@every_precision
@pytest.mark.parametrize("nesterov", [0.0, 1.0])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_is_the_oracles(momentum, nesterov, dtype):
    entry = SOLVERS["sgd"]
    steps = run(entry, compiled(entry, dtype), dtype, momentum=momentum, nesterov=nesterov)
    close(steps, oracle_run(naive.SGD(RATE, momentum, bool(nesterov))), dtype, ulps=64)


@every_precision
def test_adam_is_the_oracles(dtype):
    entry = SOLVERS["adam"]
    steps = run(entry, compiled(entry, dtype), dtype, beta_1=0.8, beta_2=0.95, epsilon=1e-6)
    close(steps, oracle_run(naive.Adam(RATE, 0.8, 0.95, 1e-6)), dtype, ulps=64)


# in one vector there is no telling weights from biases: all are of weights
@every_precision
@pytest.mark.parametrize(
    "name, kind, settings",
    [
        ("amsgrad", naive.AMSGrad, {"beta_1": 0.8, "beta_2": 0.75, "epsilon": 1e-6}),
        ("adamw", naive.AdamW,
         {"beta_1": 0.75, "beta_2": 0.875, "epsilon": 1e-3, "weight_decay": 0.5}),
        ("rmsprop", naive.RMSProp, {"beta_2": 0.75, "epsilon": 1e-4}),
        ("lion", naive.Lion, {"beta_1": 0.5, "beta_2": 0.75, "weight_decay": 0.5}),
        ("adagrad", naive.AdaGrad, {"epsilon": 1e-4}),
    ],
)  # fmt: skip
def test_the_others_are_the_oracles(name, kind, settings, dtype):
    entry = SOLVERS[name]
    assert set(settings) == set(entry.hyperparameters)
    steps = run(entry, compiled(entry, dtype), dtype, **settings)
    close(steps, oracle_run(kind(RATE, **settings), (1, N)), dtype, ulps=64)


@every_precision
def test_the_sign_of_lion_is_zero_at_zero_and_nan_at_nan(dtype):
    """Padding has to stay zero, and what is no number is not to be trained on."""
    g = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-40])
    zeros, settings = np.zeros(g.size, dtype), (dtype(0.01), dtype(0.5), dtype(0.5), dtype(0.25))
    w, _ = compiled(SOLVERS["lion"], dtype).step(zeros, g.astype(dtype), zeros, *settings)
    expected = np.array([0, 0, np.nan, -0.01, 0.01, -0.01], dtype)
    np.testing.assert_array_equal(w, expected)


@every_entry
def test_what_stays_zero_where_gradient_and_parameter_do(entry):
    """Rows of the flat parameters are padded, and the padding gets the same steps."""
    zeros = np.zeros(1)
    rates = entry.step_rates(RATE, entry.hyperparameters, [0.5] * len(entry.powers))
    moved = entry.numpy().step(
        zeros, zeros, *[zeros] * len(entry.vectors), *rates, *entry.hyperparameters.values()
    )
    assert not np.any(moved)


def test_options_of_a_solver_are_not_offered_as_solvers():
    assert "amsgrad" in SOLVERS and "amsgrad" not in offered_solvers()
    assert find_solver("amsgrad").variant_of in offered_solvers()
