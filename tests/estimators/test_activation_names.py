"""The parameter `activation`: one name or one for each hidden layer, in all that reads it."""

import pickle
import re

import numpy as np
import pytest
from problems import problem, quietly
from sklearn.base import clone

from nnjit import MLPClassifier, MLPRegressor, inspection
from nnjit.exceptions import TrainingWarning
from nnjit.formulas import hidden_activations
from nnjit.inspection._network import layer_values, loss_gradient
from nnjit.training.initialization import glorot_bound, glorot_uniform

MIXED = ("gelu", "relu", "selu")
NEW = [
    name for name in hidden_activations() if name not in ("identity", "logistic", "tanh", "relu")
]


def regressor(activation=MIXED, hidden=(6, 5, 4), **parameters):
    return MLPRegressor(
        hidden_layer_sizes=hidden,
        activation=activation,
        **{"max_iter": 8, "random_state": 0, **parameters},
    )


def fitted(*args, **parameters):
    X, y = problem("regression")
    return quietly(regressor(*args, **parameters).fit, X, y), X, y


@pytest.mark.parametrize("name", NEW)
def test_networks_of_every_activation_learn(name):
    model, X, y = fitted(name, solver="lbfgs", max_iter=200, alpha=0.0)
    assert model.score(X, y) > 0.9
    assert inspection.check_gradient(model, X, y, random_state=0).error < 1e-6
    single = clone(model).set_params(max_iter=5)
    single = quietly(single.fit, X.astype(np.float32), y.astype(np.float32))
    double = quietly(clone(single).fit, X, y)
    assert single.coefs_[0].dtype == np.float32
    np.testing.assert_allclose(single.loss_, double.loss_, rtol=0.05)


@pytest.mark.parametrize("activation", [MIXED, list(MIXED), np.array(MIXED)])
def test_each_layer_has_its_own(activation):
    model, X, y = fitted(activation)
    values = layer_values(model, X)
    np.testing.assert_allclose(model.predict(X), values[-1].ravel(), rtol=1e-10)
    assert values[1].min() < 0 == values[2].min() > values[3].min() < -0.5
    assert inspection.check_gradient(model, X, y, random_state=0).error < 1e-6
    again = clone(model)
    np.testing.assert_array_equal(again.get_params()["activation"], activation)
    np.testing.assert_array_equal(quietly(again.fit, X, y).predict(X), model.predict(X))


def test_a_sequence_of_one_name_is_that_name():
    """To the bit, initial weights included."""
    (one, X, _), (each, _, _) = fitted("tanh"), fitted(("tanh",) * 3)
    np.testing.assert_array_equal(one.predict(X), each.predict(X))


@pytest.mark.parametrize(
    "activation, error",
    [
        (("relu",), "activation has 1 names, ['relu'], but there are 3 hidden layers"),
        (["relu"] * 4, "but there are 3 hidden layers. Give one name for all of them"),
        ((), "activation has 0 names"),
        (("relu", "swish", "tanh"), "Got ('relu', 'swish', 'tanh') instead"),
        (("relu", None, "tanh"), "or a sequence of those, one for each hidden layer. Got"),
        ("swish", "must be a str among"),
        ("swish", "(nnjit.register_activation adds your own)"),
        (("exp",) * 3, "must be a str among"),
        (3, "must be a str among"),
        (np.array([["relu", "relu", "relu"]]), "must be a str among"),
    ],
)
def test_other_values_are_refused(activation, error):
    X, y = problem("regression")
    model = regressor(activation)
    with pytest.raises(ValueError, match=re.escape(error)):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")


def test_a_network_without_hidden_layers_takes_an_empty_sequence():
    model, X, _ = fitted((), hidden=())
    assert np.isfinite(model.predict(X)).all()


def test_what_is_assigned_after_a_fit_counts():
    model, X, _ = fitted(list(MIXED))
    before = model.predict(X)
    model.activation[0] = "relu"  # the very list that was there
    assert (model.predict(X) != before).any()
    model.activation = "relu"
    np.testing.assert_allclose(model.predict(X), layer_values(model, X)[-1].ravel())
    for wrong in (("relu",), ["relu", "swish", "relu"]):
        model.activation = wrong
        with pytest.raises(ValueError, match="activation"):
            model.predict(X)


def test_pickles_and_partial_fits_go_on():
    model, X, y = fitted()
    again = pickle.loads(pickle.dumps(model))
    assert again.activation == MIXED
    for one in (model, again):
        one.partial_fit(X, y)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_a_warm_start_refuses_other_activations_only_by_what_they_are():
    model, X, y = fitted(warm_start=True)
    model.set_params(activation=("relu", "relu"))
    with pytest.raises(ValueError, match="activation has 2 names"):
        model.fit(X, y)
    quietly(model.set_params(activation="mish").fit, X, y)
    assert np.isfinite(model.predict(X)).all()


def test_checkpoints_know_the_activation_of_each_layer(tmp_path):
    X, y = problem("regression")
    whole = quietly(regressor().fit, X, y)
    part = regressor(checkpoint=tmp_path / "half", max_iter=3)
    quietly(part.fit, X, y)
    resumed = quietly(part.set_params(max_iter=8).fit, X, y)
    np.testing.assert_array_equal(resumed.predict(X), whole.predict(X))
    with pytest.raises(ValueError, match="checkpoint|parameters"):
        quietly(part.set_params(activation="gelu", max_iter=9).fit, X, y)


def test_scikit_learn_refuses_what_it_does_not_have_by_name():
    for activation in (MIXED, "gelu"):
        model, _, _ = fitted(activation)
        with pytest.raises(ValueError, match="cannot take the parameters over.*activation.*gelu"):
            model.to_sklearn()


@pytest.mark.parametrize("name", hidden_activations())
def test_initial_weights_have_the_bound_of_their_rule(name):
    expected = {"logistic": np.sqrt(2 / 90), "selu": np.sqrt(3 / 40)}
    he = {"elu", "gelu", "silu", "mish", "softplus"}
    bound = expected.get(name, np.sqrt(6 / 40) if name in he else np.sqrt(6 / 90))
    if name == "leaky_relu":
        bound = np.sqrt(6 / (1 + 0.01**2) / 40)
    assert glorot_bound(40, 50, name) == pytest.approx(bound, rel=1e-12)
    for array in glorot_uniform(np.random.RandomState(0), 40, 50, name, np.dtype("f8")):
        assert 0.9 * bound < np.abs(array).max() < bound


def test_layers_start_by_the_rule_of_their_activation_and_the_output_by_that_of_the_last():
    model = regressor(("tanh", "selu"), hidden=(40, 50), max_iter=1, learning_rate_init=1e-12)
    X, y = problem("regression")
    coefs = quietly(model.fit, X, y).coefs_
    bounds = np.sqrt([6 / 48, 3 / 40, 3 / 50])
    for weights, bound in zip(coefs, bounds, strict=True):
        assert 0.9 * bound < np.abs(weights).max() < bound


def test_displays_look_at_each_layer_by_its_own():
    pytest.importorskip("matplotlib").use("Agg")
    model, X, y = fitted()
    display = inspection.ActivationDisplay.from_estimator(model, X)
    assert np.isnan(display.inactive_values_).tolist() == [True, False, True]
    assert display.ax_.get_xlabel() == "activation (gelu, relu, selu)"
    norms = [np.linalg.norm(g) for g in loss_gradient(model, X, y).weights]
    flow = inspection.GradientFlowDisplay.from_estimator(model, X, y)
    np.testing.assert_allclose(flow.weight_norms, norms)
    inspection.NetworkDisplay.from_estimator(model, X[0])
    with pytest.raises(ValueError, match="2 names"):
        inspection.ActivationDisplay([X], ("relu", "tanh")).plot()


@pytest.mark.parametrize(
    "activation, told", [("relu", True), (("gelu", "relu"), True), ("leaky_relu", False)]
)
def test_only_what_can_die_is_called_dead(activation, told, monkeypatch):
    from nnjit.estimators import _advice

    monkeypatch.setattr(_advice, "_said", set())
    X, y = problem("regression")
    model = regressor(activation, hidden=(4, 4), max_iter=1, warm_start=True)
    quietly(model.fit, X, y)
    model.intercepts_ = [model.intercepts_[0], np.full(4, -1e3), model.intercepts_[2]]
    with pytest.warns() as caught:
        model.set_params(max_iter=7, learning_rate_init=1e-6).fit(X, y)
    texts = [str(one.message) for one in caught if issubclass(one.category, TrainingWarning)]
    assert any("hidden layer 2 are 0" in text for text in texts) == told


def test_classifiers_take_them_too():
    X, y = problem("multiclass")
    model = MLPClassifier((6, 5), ("mish", "softsign"), max_iter=99, random_state=0)
    model.set_params(learning_rate_init=0.02)
    assert quietly(model.fit, X, y).score(X, y) > 0.8
