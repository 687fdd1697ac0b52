"""Layer values and gradients in NumPy, against the estimators and against differences."""

import numpy as np
import pytest
from sklearn import neural_network as peer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

import nnjit
from nnjit.inspection import _network, check_gradient
from nnjit.inspection.gradient_check import central_differences

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def problem(kind):
    rng = np.random.RandomState(3)
    X = rng.standard_normal((40, 6))
    signal = X @ rng.standard_normal((6, 3))
    targets = {
        "binary": (signal[:, 0] > 0).astype(int),
        "multiclass": np.array(["ape", "bee", "cow"])[signal.argmax(axis=1)],
        "multilabel": (signal > 0).astype(int),
        "regression": signal[:, 0],
        "multioutput": signal,
        "poisson": rng.poisson(np.exp(0.3 * signal[:, 0])).astype(float),
    }
    return X, targets[kind]


def fitted(kind, house=nnjit, **parameters):
    X, y = problem(kind)
    parameters = {"hidden_layer_sizes": (7, 5), "max_iter": 3, "random_state": 0, **parameters}
    if kind in ("binary", "multiclass", "multilabel"):
        network = house.MLPClassifier(**parameters)
    else:
        loss = "poisson" if kind == "poisson" else "squared_error"
        network = house.MLPRegressor(loss=loss, **parameters)
    return network.fit(X, y), X, y


KINDS = ["binary", "multiclass", "multilabel", "regression", "multioutput", "poisson"]


@pytest.mark.parametrize("house", [nnjit, peer], ids=["nnjit", "scikit-learn"])
@pytest.mark.parametrize("kind", KINDS)
def test_last_layer_is_the_prediction(kind, house):
    network, X, _ = fitted(kind, house, activation="logistic")
    values = _network.layer_values(network, X)
    assert [v.shape[1] for v in values] == _network.layer_units(network)
    predict = getattr(network, "predict_proba", network.predict)
    expected = predict(X).reshape(len(X), -1)
    np.testing.assert_allclose(values[-1], expected[:, -values[-1].shape[1] :], rtol=1e-6)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("kind", KINDS)
def test_gradient_is_that_of_the_engine(kind, activation):
    network, X, y = fitted(kind, activation=activation, alpha=0.0)
    ours = _network.loss_gradient(network, X, y)
    flat = np.concatenate([g.ravel() for g in (*ours.weights, *ours.biases)])
    # All parameters: without random draws the indices are 0..n-1.
    check = check_gradient(network, X, y, n_parameters=None)
    # The engine's full-batch squared error is a mean over the outputs, the minibatches' a sum.
    outputs = y.shape[1] if kind == "multioutput" else 1
    np.testing.assert_allclose(flat / outputs, check.gradient, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_check_gradient_agrees_with_differences(kind):
    network, X, y = fitted(kind, activation="tanh", alpha=0.1)
    weights = np.random.RandomState(1).uniform(0.5, 2.0, len(X))
    check = check_gradient(network, X, y, weights, n_parameters=30, random_state=0)
    assert len(check.indices) == 30
    assert check.error < 1e-6
    assert np.abs(check.gradient).max() > 1e-3


def test_check_gradient_sees_a_wrong_gradient(monkeypatch):
    from nnjit.backends.cpu import CpuEngine

    network, X, y = fitted("multiclass", activation="tanh")
    right = CpuEngine.loss_gradient

    def wrong(self, packed, dataset, alpha):
        loss, gradient = right(self, packed, dataset, alpha)
        return loss, gradient * 1.01

    monkeypatch.setattr(CpuEngine, "loss_gradient", wrong)
    assert check_gradient(network, X, y).error > 1e-3


def test_check_gradient_refuses_other_networks():
    network, X, y = fitted("binary", peer)
    with pytest.raises(TypeError, match="nnjit's networks"):
        check_gradient(network, X, y)


def test_central_differences_of_a_cubic():
    at = np.array([1.0, 2.0])
    slopes = central_differences(lambda x: x[0] ** 3 + 5 * x[1], at, np.array([1, 0]), 1e-4)
    np.testing.assert_allclose(slopes, [5.0, 3.0], rtol=1e-7)
    assert at.tolist() == [1.0, 2.0]


def test_network_is_found_in_pipelines_and_searches(classifier, wine):
    network, X = _network.find_network(classifier, wine.data)
    assert network is classifier[-1]
    np.testing.assert_allclose(X.mean(axis=0), 0.0, atol=1e-12)
    search = GridSearchCV(network, {"alpha": [1e-4]}, cv=2).fit(X, wine.target)
    assert _network.find_network(search)[0] is search.best_estimator_


def test_what_is_not_a_fitted_network_is_refused():
    with pytest.raises(TypeError, match="got LogisticRegression"):
        _network.find_network(LogisticRegression())
    with pytest.raises(NotFittedError):
        _network.find_network(nnjit.MLPClassifier())


def test_unknown_class_is_named():
    network, X, _ = fitted("multiclass")
    with pytest.raises(ValueError, match="dog"):
        _network.encode_target(network, np.array(["dog", "ape"]))
