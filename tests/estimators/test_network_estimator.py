"""Whatever kind of network: one that is no MLP gets all that estimators have from their base.

The kind is one dense layer whose arrays are named and shaped as scikit-learn's linear models have
them, so that an MLP without hidden layers tells what has to come out.
"""

import pickle

import numpy as np
import pytest
from problems import problem, quietly
from sklearn.base import clone

import nnjit
from nnjit.estimators._base import NetworkEstimator
from nnjit.estimators._declaration import parameter_group, with_parameters
from nnjit.estimators.classifier import BaseClassifier
from nnjit.estimators.parameters import RegressionLoss, Training
from nnjit.estimators.regressor import BaseRegressor
from nnjit.layers.network import mlp
from nnjit.training.initialization import glorot_uniform

SETTINGS = {"max_iter": 12, "random_state": 3, "batch_size": 16, "n_iter_no_change": 100}
KINDS = ["binary", "multiclass", "multilabel", "regression", "multioutput", "poisson"]


class Linear(NetworkEstimator):
    """One dense layer: `coefs_` (outputs, features) and `bias_`."""

    def _network(self, inputs, outputs):
        return mlp(inputs, (), outputs, "identity", self._engine_loss(), self.out_activation_)

    def _initial_parameters(self, network, X, target, sample_weight, dtype):
        return list(glorot_uniform(self._random_state, *network.sizes, "relu", dtype))

    def _as_attributes(self, arrays):
        weights, biases = arrays
        return {"coefs_": weights.T, "bias_": biases}

    def _give_parameters(self, n_features=None):
        if n_features not in (None, self.coefs_.shape[1]):
            raise ValueError(f"X has {n_features} features.")
        network = self._network(self.coefs_.shape[1], len(self.coefs_))
        return network, [self.coefs_.T, self.bias_]


@with_parameters
class LinearClassifier(BaseClassifier, Linear):
    pass


@parameter_group
class _Parameters(Training, RegressionLoss):
    pass


@with_parameters
class LinearRegressor(_Parameters, BaseRegressor, Linear):
    pass


def pair(kind, **parameters):
    """The linear network and the MLP that it equals."""
    parameters = {**SETTINGS, **parameters}
    if kind == "poisson":
        parameters["loss"] = "poisson"
    regression = kind in ("regression", "multioutput", "poisson")
    classes = (LinearRegressor, nnjit.MLPRegressor)
    if not regression:
        classes = (LinearClassifier, nnjit.MLPClassifier)
    return classes[0](**parameters), classes[1](hidden_layer_sizes=(), **parameters)


def assert_same(linear, perceptron):
    np.testing.assert_array_equal(linear.coefs_, perceptron.coefs_[0].T)
    np.testing.assert_array_equal(linear.bias_, perceptron.intercepts_[0])


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_and_predicts_as_the_same_mlp(kind, early_stopping, solver):
    X, y = problem(kind)
    models = pair(kind, solver=solver, early_stopping=early_stopping)
    for model in models:
        quietly(model.fit, X, y)
    assert_same(*models)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(models[0], method):
            outputs = [getattr(model, method)(X) for model in models]
            np.testing.assert_array_equal(*map(np.asarray, outputs))
    assert models[0].score(X, y) == models[1].score(X, y)
    assert models[0].n_layers_ == 2 and models[0].n_iter_ == models[1].n_iter_


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_sample_weights_warm_start_and_partial_fit(kind):
    X, y = problem(kind)
    weights = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
    models = pair(kind, warm_start=True)
    for model in models:
        quietly(model.fit, X, y, sample_weight=weights)
        quietly(model.fit, X, y)
        quietly(model.partial_fit, X, y)
    assert_same(*models)
    assert models[0].loss_curve_ == models[1].loss_curve_


def test_a_failed_fit_leaves_it_as_it_was():
    X, y = problem("regression")
    model, _ = pair("regression")
    quietly(model.fit, X, y)
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match="non-finite"):
        quietly(model.fit, X * 1e200, y)
    assert pickle.dumps(model) == before


def test_another_network_is_not_trained_on():
    X, y = problem("regression")
    model, _ = pair("regression", warm_start=True)
    quietly(model.fit, X, y)
    outputs = f"The fitted network is {X.shape[1]} -> dense.1.* but .* ask for .* -> dense.2"
    with pytest.raises(ValueError, match=outputs):
        model.fit(X, np.column_stack([y, y]))


def test_a_run_that_was_cut_off_goes_on(tmp_path):
    X, y = problem("multiclass")
    whole, _ = pair("multiclass", early_stopping=True)
    cut = clone(whole).set_params(checkpoint=tmp_path / "run", max_iter=5)
    quietly(whole.fit, X, y)
    quietly(cut.fit, X, y)
    resumed = quietly(clone(cut).set_params(max_iter=SETTINGS["max_iter"]).fit, X, y)
    np.testing.assert_array_equal(resumed.coefs_, whole.coefs_)
    assert resumed.validation_scores_ == whole.validation_scores_


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_see_its_attributes(solver):
    pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")
    seen = []

    class Recorder:
        def setup(self, estimator, context):
            pass

        teardown = on_fit_task_begin = setup

        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            seen.append(fitted_estimator)

    X, y = problem("regression")
    model, _ = pair("regression", solver=solver)
    model.set_callbacks(Recorder())
    quietly(model.fit, X, y)
    last = [one for one in seen if one is not None and hasattr(one, "bias_")][-1]
    np.testing.assert_array_equal(last.coefs_, model.coefs_)
    np.testing.assert_array_equal(last.bias_, model.bias_)


def test_pickles_and_messages_have_its_attributes():
    X, y = problem("regression")
    model, _ = pair("regression")
    quietly(model.fit, X.astype(np.float32), y)
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    model.coefs_ = np.full_like(model.coefs_, 1e30)
    with pytest.raises(ValueError, match="overflows.*or assign coefs_ and bias_ in float64"):
        model.predict(np.full((1, X.shape[1]), 1e30, np.float32))
    model.bias_ = np.full_like(model.bias_, np.nan)
    with pytest.raises(ValueError, match="bias_ contains NaN or infinity"):
        model.predict(X.astype(np.float32))
