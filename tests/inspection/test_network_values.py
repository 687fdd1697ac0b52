"""Layer values and gradients in NumPy, against the estimators and against differences."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn import neural_network as peer
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import nnjit
from nnjit.inspection import (
    ActivationDisplay,
    GradientFlowDisplay,
    LossCurveDisplay,
    NetworkDisplay,
    WeightsDisplay,
    _network,
    check_gradient,
)
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


@pytest.mark.parametrize("method, residual", [("batch", True), ("layer", False), (None, True)])
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_values_and_gradient_of_other_layers_are_those_of_the_engine(kind, method, residual):
    network, X, y = fitted(
        kind, hidden_layer_sizes=(6, 5, 5), activation="tanh", alpha=0.0, normalization=method,
        residual=residual,
    )  # fmt: skip
    outputs = _network.layer_values(network, X)[-1]
    expected = getattr(network, "predict_proba", network.predict)(X).reshape(len(X), -1)
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)
    ours = _network.loss_gradient(network, X, y)
    flat = np.concatenate([g.ravel() for g in (*ours.weights, *ours.biases)])
    check = check_gradient(network, X, y, n_parameters=None)
    assert check.error < 1e-6 and len(check.indices) == network._give_parameters()[0].n_parameters
    found = check.gradient  # weights first, then biases among scales and shifts
    n_weights = sum(g.size for g in ours.weights)
    np.testing.assert_allclose(flat[:n_weights], found[:n_weights], rtol=1e-7, atol=1e-10)
    if method is None:
        np.testing.assert_allclose(flat, found, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("residual", [False, True])
def test_displays_take_normalized_networks(residual):
    network, X, y = fitted(
        "multiclass", hidden_layer_sizes=(6, 5, 5), normalization="batch", residual=residual
    )
    values = ActivationDisplay.from_estimator(network, X).values
    assert [v.shape[1] for v in values] == [6, 5, 5]
    assert all((v >= 0).all() for v in values)  # ReLU's, without the inputs that are added
    assert len(NetworkDisplay.from_estimator(network, X[:1]).units_) == 5
    assert len(GradientFlowDisplay.from_estimator(network, X, y).weight_points_.get_ydata()) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_check_gradient_agrees_with_differences(kind):
    network, X, y = fitted(kind, activation="tanh", alpha=0.1)
    weights = np.random.RandomState(1).uniform(0.5, 2.0, len(X))
    check = check_gradient(network, X, y, weights, n_parameters=30, random_state=0)
    assert len(check.indices) == 30
    assert check.error < 1e-6
    assert np.abs(check.gradient).max() > 1e-3


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression", "poisson"])
def test_check_gradient_agrees_with_differences_of_other_kinds_of_networks(kind, normalized):
    """By centres, widths and the output layer."""
    X, y = problem(kind)
    loss = {"loss": "poisson"} if kind == "poisson" else {}
    house = nnjit.RBFClassifier if kind in ("binary", "multiclass") else nnjit.RBFRegressor
    network = house(n_centers=6, normalized=normalized, max_iter=3, random_state=0, **loss)
    network.fit(X, y)
    check = check_gradient(network, X, y, n_parameters=None)
    assert len(check.indices) == 6 * (X.shape[1] + 1 + network.n_outputs_) + network.n_outputs_
    assert check.error < 1e-6
    assert check.worst.startswith(("coefs_[", "intercepts_[", "layer 0: "))
    LossCurveDisplay.from_estimator(network)


def test_displays_of_layers_refuse_other_kinds_of_networks():
    X, y = problem("regression")
    network = nnjit.RBFRegressor(n_centers=3, max_iter=1, random_state=0).fit(X, y)
    with pytest.raises(TypeError, match="multi-layer perceptron is needed.*got RBFRegressor"):
        _network.find_network(network, X)


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
    network, X, _ = _network.find_network(classifier, wine.data)
    assert network is classifier[-1]
    np.testing.assert_allclose(X.mean(axis=0), 0.0, atol=1e-12)
    search = GridSearchCV(network, {"alpha": [1e-4]}, cv=2).fit(X, wine.target)
    assert _network.find_network(search)[0] is search.best_estimator_


def nested(kind, house=nnjit):
    """A fitted regressor whose target is transformed somewhere, with its rows and target."""
    X, y = problem("multioutput" if kind == "several outputs" else "regression")
    y = 1e3 * y + 5e3
    network = house.MLPRegressor(
        hidden_layer_sizes=(4, 3), activation="tanh", max_iter=20, random_state=0
    )
    pipeline = make_pipeline(StandardScaler(), network)
    scaled = TransformedTargetRegressor(pipeline, transformer=StandardScaler())
    search = GridSearchCV(network, {"alpha": [1e-4]}, cv=2)
    estimator = {
        "alone": TransformedTargetRegressor(network, func=np.log, inverse_func=np.exp),
        "around a pipeline": scaled,
        "several outputs": scaled,
        "in a pipeline": make_pipeline(StandardScaler(), scaled),
        "in a search": GridSearchCV(scaled, {"regressor__mlpregressor__alpha": [1e-4]}, cv=2),
        "around a search": TransformedTargetRegressor(search, transformer=StandardScaler()),
        "twice": TransformedTargetRegressor(scaled, func=np.sqrt, inverse_func=np.square),
    }[kind]
    return estimator.fit(X, np.abs(y)), X, np.abs(y)


NESTED = [
    "alone", "around a pipeline", "several outputs", "in a pipeline", "in a search",
    "around a search", "twice",
]  # fmt: skip


@pytest.mark.parametrize("house", [nnjit, peer], ids=["nnjit", "scikit-learn"])
@pytest.mark.parametrize("kind", NESTED)
def test_target_is_transformed_as_the_network_saw_it(kind, house, monkeypatch):
    seen = []
    fit = house.MLPRegressor.fit

    def remember(self, X, y):
        seen.append((X, y))
        return fit(self, X, y)

    monkeypatch.setattr(house.MLPRegressor, "fit", remember)
    estimator, X, y = nested(kind, house)
    network, rows, target = _network.find_network(estimator, X, y)
    assert isinstance(network, house.MLPRegressor)
    np.testing.assert_array_equal(rows, seen[-1][0])
    np.testing.assert_array_equal(target, seen[-1][1])


@pytest.mark.parametrize("kind", NESTED)
def test_gradient_is_checked_through_a_transformed_target(kind):
    estimator, X, y = nested(kind)
    check = check_gradient(estimator, X, y, n_parameters=None)
    assert check.error < 1e-6
    inner = check_gradient(*_network.find_network(estimator, X, y), n_parameters=None)
    np.testing.assert_array_equal(check.gradient, inner.gradient)
    assert np.abs(check.gradient).max() < 10  # that of the scaled target, not of thousands


def test_a_transformed_target_of_no_network_or_an_unfitted_one_is_refused():
    with pytest.raises(NotFittedError):
        _network.find_network(TransformedTargetRegressor(nnjit.MLPRegressor()))
    X, y = problem("regression")
    with pytest.raises(TypeError, match="got LinearRegression"):
        _network.find_network(TransformedTargetRegressor().fit(X, y))


def test_names_are_followed_through_nested_estimators():
    X, y = problem("regression")
    frame = pd.DataFrame(X, columns=list("abcdef"))
    network = nnjit.MLPRegressor(hidden_layer_sizes=(3,), max_iter=2)

    def names(*steps, end=network):
        return _network.known_names(make_pipeline(*steps, end).fit(frame, y))

    target = TransformedTargetRegressor(make_pipeline(StandardScaler(), network))
    assert list(names(StandardScaler())) == list("abcdef")
    assert list(names(StandardScaler(), end=target)) == list("abcdef")
    assert list(_network.known_names(target.fit(frame, y))) == list("abcdef")
    inner = make_pipeline(PCA(2), network)
    assert list(names(StandardScaler(), end=inner)) == ["pca0", "pca1"]
    assert names(FunctionTransformer(np.asarray)) is None
    assert _network.known_names(make_pipeline(StandardScaler(), network).fit(X, y)) is None


def test_outcome_of_a_gradient_check_is_short(capsys):
    network, X, y = fitted("multiclass", hidden_layer_sizes=(300,), activation="tanh")
    check = check_gradient(network, X, y, n_parameters=None)
    text = repr(check)
    assert len(text) < 120
    assert f"error={check.error:.3g}, {7 * 300 + 301 * 3} parameters checked" in text
    print(check)
    assert capsys.readouterr().out == text + "\n"


@pytest.mark.parametrize("name", ["coefs_", "intercepts_"])
@pytest.mark.parametrize("layer", [0, 2])
def test_the_worst_place_is_named(name, layer, monkeypatch):
    from nnjit.backends.cpu import CpuEngine

    network, X, y = fitted("multiclass", activation="tanh")
    right = CpuEngine.loss_gradient
    arrays = [np.zeros_like(a) for a in (*network.coefs_, *network.intercepts_)]
    array = arrays[layer if name == "coefs_" else len(network.coefs_) + layer]
    place = tuple(n - 1 for n in array.shape)
    array[place] = 1.0
    mistake = np.concatenate([a.ravel() for a in arrays])

    def wrong(self, packed, dataset, alpha):
        loss, gradient = right(self, packed, dataset, alpha)
        return loss, gradient + mistake

    monkeypatch.setattr(CpuEngine, "loss_gradient", wrong)
    check = check_gradient(network, X, y, n_parameters=None)
    assert check.worst == f"{name}[{layer}][{', '.join(map(str, place))}]"
    assert f"worst: {check.worst}" in repr(check)
    assert eval(f"network.{check.worst}") == getattr(network, name)[layer][place]


def test_what_is_not_a_fitted_network_is_refused():
    with pytest.raises(TypeError, match="got LogisticRegression"):
        _network.find_network(LogisticRegression())
    with pytest.raises(NotFittedError):
        _network.find_network(nnjit.MLPClassifier())


def test_unknown_class_is_named():
    network, X, _ = fitted("multiclass")
    with pytest.raises(ValueError, match="dog"):
        _network.encode_target(network, np.array(["dog", "ape"]))


@pytest.mark.parametrize("house", [nnjit, peer], ids=["nnjit", "scikit-learn"])
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_what_is_no_network_cannot_be_looked_at(kind, house):
    network, X, y = fitted(kind, house)
    n_outputs = network.n_outputs_
    good = dict(network.__dict__)
    for change in (
        {"coefs_": [np.ones((6, 8)), *network.coefs_[1:]]},
        {"coefs_": [network.coefs_[0], np.ones((100_000, 5)), network.coefs_[2]]},
        {"coefs_": network.coefs_[:-1]},
        {"coefs_": None},
        {"intercepts_": [np.ones(1), *network.intercepts_[1:]]},
        {"intercepts_": [b * np.nan for b in network.intercepts_]},
        {"coefs_": [w + 1j for w in network.coefs_]},
        {"n_layers_": 2},
        {"out_activation_": "swish"},
    ):
        network.__dict__.update(change)
        calls = [
            lambda: _network.find_network(network, X),
            lambda: WeightsDisplay.from_estimator(network),
            lambda: NetworkDisplay.from_estimator(network, X[:1]),
            lambda: ActivationDisplay.from_estimator(network, X),
            lambda: GradientFlowDisplay.from_estimator(network, X, y),
        ]
        if house is nnjit:
            calls.append(lambda: check_gradient(network, X, y))
        for call in calls:
            with pytest.raises(ValueError, match="coefs_|intercepts_|n_layers_|out_activation_"):
                call()
        network.__dict__.update(good)
    network.coefs_ = [np.ones((7, 7)), *network.coefs_[1:]]
    with pytest.raises(ValueError, match=r"X has 6 features, but coefs_\[0\] has shape \(7, 7\)"):
        _network.find_network(network, X)
    network.__dict__.update(good)
    if kind == "regression":
        network.loss = "poisson"  # of outputs that are not negative
    else:
        network.out_activation_ = "tanh"
    for gradient in (_network.loss_gradient, check_gradient)[: 1 + (house is nnjit)]:
        with pytest.raises(ValueError, match="does not go with loss"):
            gradient(network, X, y)
    network.__dict__.update(good)
    network.coefs_ = [*network.coefs_[:-1], np.ones((5, n_outputs + 1))]
    network.intercepts_ = [*network.intercepts_[:-1], np.ones(n_outputs + 1)]
    network.n_outputs_ += 1
    with pytest.raises(ValueError, match=f"the network {n_outputs + 1} outputs"):
        _network.loss_gradient(network, X, y)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_in_another_form_are_looked_at_as_the_numbers_they_are(kind):
    network, X, y = fitted(kind, activation="tanh")
    network.coefs_ = [np.round(8 * w) / 8 for w in network.coefs_]
    expected = check_gradient(network, X, y, random_state=0)
    flow = _network.loss_gradient(network, X, y)
    network.coefs_ = [sp.csr_matrix(network.coefs_[0]), *(w.tolist() for w in network.coefs_[1:])]
    check = check_gradient(network, X, y, random_state=0)
    assert check.error < 1e-6
    np.testing.assert_array_equal(check.gradient, expected.gradient)
    looked_at, rows, _ = _network.find_network(network, X)
    assert sp.issparse(network.coefs_[0])  # it is left as it is
    for a, b in zip(_network.loss_gradient(looked_at, rows, y).weights, flow.weights):
        np.testing.assert_array_equal(a, b)


def test_a_gradient_that_overflows_cannot_be_checked():
    network, X, y = fitted("regression", activation="identity")
    with pytest.raises(ValueError, match="overflows"):
        check_gradient(network, 1e200 * X, y)


def test_a_softmax_of_two_units_tells_two_classes_apart():
    network, X, y = fitted("binary", activation="tanh")
    rng = np.random.default_rng(0)
    network.coefs_[-1], network.intercepts_[-1] = rng.standard_normal((5, 2)), np.zeros(2)
    network.n_outputs_, network.out_activation_ = 2, "softmax"
    assert check_gradient(network, X, y, random_state=0).error < 1e-6
