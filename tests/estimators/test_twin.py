"""Twin tests: the same trajectory as scikit-learn's estimators, from the same random_state."""

import numpy as np
import pytest
import scipy.sparse as sp
from problems import (
    CLASSIFICATION,
    REGRESSION,
    assert_same_network,
    pair,
    problem,
    quietly,
    weights,
)

import nnjit

KINDS = [*CLASSIFICATION, *REGRESSION]
ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]
SOLVERS = {
    "adam": {"solver": "adam", "learning_rate_init": 0.01},
    "sgd-constant": {"solver": "sgd", "learning_rate_init": 0.05},
    "sgd-invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1},
    # A tolerance that brings plateaus within 20 epochs, so that the rate falls.
    "sgd-adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "learning_rate_init": 0.2,
        "tol": 0.02,
        "n_iter_no_change": 2,
    },
}
COMMON = {
    "hidden_layer_sizes": (7, 5),
    "batch_size": 32,
    "max_iter": 20,
    "alpha": 0.01,
    "random_state": 3,
}


CONTAINERS = [np.asarray, sp.csr_matrix, sp.csc_array]


def compare(kind, parameters, sample_weight):
    """Fit ours on dense and sparse rows, and scikit-learn's once; compare everything."""
    X, y = problem(kind)
    _, theirs = pair(kind, **parameters)
    quietly(theirs.fit, X, y, sample_weight=sample_weight)
    for container in CONTAINERS:
        ours, _ = pair(kind, **parameters)
        quietly(ours.fit, container(X), y, sample_weight=sample_weight)
        assert_same_network(ours, theirs)
        assert_same_predictions(ours, theirs, X, container(X))


@pytest.mark.parametrize("early_stopping", [False, True], ids=["", "early"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "strings"])
def test_twenty_epochs(monkeypatch, kind, activation, solver, weighted, early_stopping):
    if early_stopping and kind == "multiclass":
        # The one exception: scikit-learn does not stratify here, although documented. See
        # test_defects.py; with its split the trajectories are equal.
        monkeypatch.setattr(nnjit.MLPClassifier, "_stratification", lambda self, y: None)
    parameters = {**COMMON, **SOLVERS[solver], "activation": activation}
    if kind in REGRESSION:
        parameters["learning_rate_init"] *= 0.1  # with more, identity and exp diverge
    parameters["early_stopping"] = early_stopping
    compare(kind, parameters, weights() if weighted else None)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
# Not 'multioutput': there scikit-learn's gradient is not its loss's. See test_defects.py.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "multioutput"])
def test_lbfgs(kind, activation, weighted):
    parameters = {**COMMON, "solver": "lbfgs", "alpha": 0.1, "activation": activation}
    compare(kind, parameters, weights() if weighted else None)


def assert_same_predictions(ours, theirs, X, rows):
    if hasattr(theirs, "predict_proba"):
        np.testing.assert_array_equal(ours.predict(rows), theirs.predict(X))
        assert ours.predict(rows).dtype == theirs.predict(X).dtype
        p = theirs.predict_proba(X)
        np.testing.assert_allclose(ours.predict_proba(rows), p, rtol=1e-6, atol=1e-14)
        # A small p is often 1 - q, of which few digits are left.
        sure = p > 1e-8
        np.testing.assert_allclose(
            ours.predict_log_proba(rows)[sure], np.log(p[sure]), rtol=1e-5, atol=1e-7
        )
    else:
        scale = np.abs(theirs.predict(X)).max()
        np.testing.assert_allclose(
            ours.predict(rows), theirs.predict(X), rtol=1e-6, atol=1e-9 * scale
        )


@pytest.mark.parametrize(
    "parameters",
    [
        {"solver": "sgd", "momentum": 0.0},
        {"solver": "sgd", "momentum": 1.0, "learning_rate_init": 0.001},
        {"solver": "sgd", "nesterovs_momentum": False},
        {"solver": "adam", "beta_1": 0.0, "beta_2": 0.5, "epsilon": 1e-3},
        {"solver": "adam", "beta_1": 0.5, "beta_2": 0.3},
        {"shuffle": False},
        {"alpha": 0.0},
        {"alpha": 3.0},
        {"batch_size": 1, "max_iter": 3},
        {"batch_size": 96},
        {"batch_size": "auto"},
        {"batch_size": 95},
        {"hidden_layer_sizes": ()},
        {"hidden_layer_sizes": 6},
        {"hidden_layer_sizes": [6]},
        {"hidden_layer_sizes": np.array([3, 2])},
        {"hidden_layer_sizes": (1, 17, 1, 33)},
        {"max_iter": 200, "tol": 0.01, "n_iter_no_change": 3, "learning_rate_init": 0.02},
        {"max_iter": 400, "tol": 0.01, "solver": "sgd", "learning_rate": "adaptive"},
        {"n_iter_no_change": np.inf, "tol": 10.0},
        {"early_stopping": True, "max_iter": 100, "tol": 0.01, "validation_fraction": 0.3},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["binary", "multilabel", "multioutput"])
def test_parameters(kind, parameters):
    X, y = problem(kind)
    ours, theirs = pair(kind, **{**COMMON, "learning_rate_init": 0.01, **parameters})
    for estimator in (ours, theirs):
        quietly(estimator.fit, X, y)
    assert_same_network(ours, theirs)
    assert ours._no_improvement_count == theirs._no_improvement_count
    np.testing.assert_allclose(
        ours._optimizer.learning_rate, theirs._optimizer.learning_rate, rtol=1e-12
    )


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", KINDS)
def test_partial_fit(kind, solver):
    """Five calls on different rows; a RandomState, since an int begins anew in scikit-learn."""
    X, y = problem(kind)
    ours, theirs = (
        estimator.set_params(random_state=np.random.RandomState(4))
        for estimator in pair(kind, **{**COMMON, **SOLVERS[solver], "learning_rate_init": 0.01})
    )
    for start in (0, 20, 0, 40, 10):
        for estimator in (ours, theirs):
            classes = {"classes": np.unique(y)} if kind in CLASSIFICATION else {}
            if kind == "multilabel":
                classes = {"classes": [0, 1, 2]}
            estimator.partial_fit(
                X[start : start + 50], y[start : start + 50], weights()[:50], **classes
            )
        assert_same_network(ours, theirs)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression", "poisson"])
def test_warm_start_without_convergence(kind, solver):
    X, y = problem(kind)
    ours, theirs = pair(kind, **{**COMMON, "solver": solver, "max_iter": 4}, warm_start=True)
    for _ in range(3):
        for estimator in (ours, theirs):
            quietly(estimator.fit, X, y)
        assert_same_network(ours, theirs)


def test_warm_start_of_lbfgs_goes_on_from_the_weights_alone():
    X, y = problem("multiclass")
    short = {**COMMON, "solver": "lbfgs", "max_iter": 5, "tol": 1e-7, "warm_start": True}
    ours, other = pair("multiclass", **short)[0], pair("multiclass", **short)[0]
    quietly(ours.fit, X, y)
    quietly(other.fit, X[::-1], y[::-1])
    other.coefs_, other.intercepts_ = ours.coefs_, ours.intercepts_
    for estimator in (ours, other):
        quietly(estimator.fit, X, y)
    assert other.loss_ == ours.loss_
    np.testing.assert_array_equal(other.coefs_[0], ours.coefs_[0])


@pytest.mark.parametrize("seed", [None, 0, "RandomState"])
def test_random_state_is_used_as_scikit_learn_does(seed):
    X, y = problem("regression")
    fitted = []
    for estimator in pair("regression", **COMMON):
        np.random.seed(11)  # what random_state=None draws from
        state = np.random.RandomState(7) if seed == "RandomState" else seed
        quietly(estimator.set_params(random_state=state).fit, X, y)
        after = state if seed == "RandomState" else np.random
        fitted.append((estimator, after.uniform()))
    (ours, draw), (theirs, their_draw) = fitted
    assert_same_network(ours, theirs)
    assert draw == their_draw


def test_global_random_state_is_untouched_with_a_seed():
    X, y = problem("binary")
    before = np.random.get_state()
    quietly(nnjit.MLPClassifier(**COMMON, early_stopping=True).fit, X, y)
    after = np.random.get_state()
    assert before[2] == after[2]
    np.testing.assert_array_equal(before[1], after[1])


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("learning_rate", ["constant", "adaptive"])
@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_verbose_prints_the_same_text(capsys, kind, learning_rate, early_stopping):
    X, y = problem(kind)
    printed = []
    for estimator in pair(
        kind,
        **{**COMMON, "max_iter": 300, "tol": 0.02, "n_iter_no_change": 2},
        solver="sgd",
        learning_rate=learning_rate,
        early_stopping=early_stopping,
        verbose=True,
    ):
        quietly(estimator.fit, X, y)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "Stopping." in printed[0]
