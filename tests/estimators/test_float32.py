"""float32 input is computed in float32, and comes near to the float64 result."""

import numpy as np
import pytest
import scipy.sparse as sp
from problems import CLASSIFICATION, pair, problem, quietly, weights
from sklearn.datasets import load_digits

import nnjit

KINDS = ["binary", "multiclass", "multilabel", "regression", "multioutput", "poisson"]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("kind", KINDS)
def test_dtype_and_nearness(kind, solver, sparse):
    X, y = problem(kind)
    X32 = X.astype(np.float32)
    parameters = {
        "solver": solver,
        "hidden_layer_sizes": (7, 5),
        "activation": "tanh",
        "batch_size": 32,
        "max_iter": 6,
        "random_state": 0,
    }
    single, double = pair(kind, **parameters)[0], pair(kind, **parameters)[0]
    quietly(single.fit, sp.csr_matrix(X32) if sparse else X32, y, sample_weight=weights())
    quietly(double.fit, X32.astype(np.float64), y, sample_weight=weights())
    for a, b in zip(single.coefs_ + single.intercepts_, double.coefs_ + double.intercepts_):
        assert a.dtype == np.float32
        assert b.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)
    assert isinstance(single.loss_, float)
    np.testing.assert_allclose(single.loss_, double.loss_, rtol=1e-4)
    if kind in CLASSIFICATION:
        assert single.predict_proba(X32).dtype == np.float32
        assert single.predict_log_proba(X32).dtype == np.float32
        np.testing.assert_allclose(single.predict_proba(X32), double.predict_proba(X), atol=1e-3)
    else:
        assert single.predict(X32).dtype == np.float32
        np.testing.assert_allclose(single.predict(X32), double.predict(X), atol=3e-3)


def test_initial_weights_are_those_of_float64_rounded():
    X, y = problem("regression")
    models = []
    for dtype in (np.float32, np.float64):
        model = nnjit.MLPRegressor(max_iter=1, learning_rate_init=1e-300, random_state=0)
        models.append(quietly(model.fit, X.astype(dtype), y))
    for a, b in zip(models[0].coefs_, models[1].coefs_):
        np.testing.assert_array_equal(a, b.astype(np.float32))


def test_warm_start_keeps_the_precision_of_the_network():
    X, y = problem("binary")
    for first, then in ((np.float32, np.float64), (np.float64, np.float32)):
        model = nnjit.MLPClassifier(max_iter=2, warm_start=True, random_state=0)
        quietly(model.fit, X.astype(first), y)
        quietly(model.fit, X.astype(then), y)
        model.partial_fit(X.astype(then), y)
        assert {w.dtype for w in model.coefs_ + model.intercepts_} == {np.dtype(first)}
        assert model.predict_proba(X.astype(then)).dtype == first


def test_accuracy_on_digits_is_that_of_float64():
    X, y = load_digits(return_X_y=True)
    X /= 16.0
    scores = []
    for dtype in (np.float32, np.float64):
        model = nnjit.MLPClassifier(max_iter=30, random_state=0)
        quietly(model.fit, X[:1200].astype(dtype), y[:1200])
        scores.append(model.score(X[1200:].astype(dtype), y[1200:]))
    assert scores[0] > 0.9
    assert abs(scores[0] - scores[1]) < 0.01
