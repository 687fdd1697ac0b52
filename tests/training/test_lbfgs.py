"""L-BFGS on problems whose answer is known."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge

from nnjit.layers.network import mlp
from nnjit.training.lbfgs import minimize_lbfgs, objective_of
from nnjit.training.members import fit_members
from numpy_engine import make_engine

OPTIONS = {"max_iter": 500, "max_fun": 5000, "tol": 1e-10, "verbose": False}


def linear_problem():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((40, 3))
    y = X @ rng.standard_normal((3, 2)) + 0.1 * rng.standard_normal((40, 2)) + 1.0
    engine = make_engine(mlp(3, (), 2, "identity", "squared_error", "identity"), "f8")
    return engine, X, y


@pytest.mark.parametrize("alpha", [0.0, 5.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_linear_network_is_ridge_regression(alpha, weighted):
    engine, X, y = linear_problem()
    weight = np.random.RandomState(1).uniform(0.5, 2, len(X)) if weighted else None
    outcome = minimize_lbfgs(
        objective_of(engine, engine.dataset(X, y, weight), alpha), np.zeros(8), **OPTIONS
    )
    # The squared error is averaged over two outputs and the penalty is not: half the alpha.
    ridge = Ridge(alpha=2 * alpha, tol=1e-12).fit(X, y, sample_weight=weight)
    (coef,), (intercept,) = engine.layers(outcome.parameters)
    np.testing.assert_allclose(coef, ridge.coef_.T, atol=1e-6)
    np.testing.assert_allclose(intercept, ridge.intercept_, atol=1e-6)
    assert 1 < outcome.n_iter < 500
    loss, gradient = engine.loss_gradient(outcome.parameters, engine.dataset(X, y, weight), alpha)
    assert outcome.loss == loss
    assert np.abs(gradient).max() < 1e-6


@pytest.mark.parametrize("limit", [{"max_iter": 2}, {"max_fun": 2}])
def test_bounds_are_kept_and_warned_about(limit):
    engine, X, y = linear_problem()
    with pytest.warns(ConvergenceWarning, match="failed to converge"):
        outcome = minimize_lbfgs(
            objective_of(engine, engine.dataset(X, y), 0.0), np.zeros(8), **{**OPTIONS, **limit}
        )
    assert outcome.n_iter <= 2


def test_interrupt_returns_the_last_iterate():
    engine, X, y = linear_problem()
    dataset = engine.dataset(X, y)
    original, calls = engine.loss_gradient, []

    def interrupted(packed, *args):
        calls.append(packed.copy())
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(packed, *args)

    engine.loss_gradient = interrupted
    with pytest.warns(UserWarning, match=r"^Training interrupted by user\.$"):
        outcome = minimize_lbfgs(objective_of(engine, dataset, 0.0), np.zeros(8), **OPTIONS)
    assert any(np.array_equal(outcome.parameters, point) for point in calls[1:4])
    assert outcome.loss == original(outcome.parameters, dataset, 0.0)[0]
    assert outcome.loss < original(np.zeros(8), dataset, 0.0)[0]
    assert 1 <= outcome.n_iter <= 3


def test_time_that_is_over_returns_the_first_iterate():
    engine, X, y = linear_problem()
    dataset = engine.dataset(X, y)

    def fit():
        return minimize_lbfgs(objective_of(engine, dataset, 0.0), np.zeros(8), **OPTIONS)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit_members([fit, fit], max_time=0.0)
    assert found.complete == [False]
    assert found.results[0].n_iter == 1
    assert found.results[0].loss < engine.loss_gradient(np.zeros(8), dataset, 0.0)[0]
