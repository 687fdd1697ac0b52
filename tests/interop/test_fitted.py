"""Fitted networks read as data for export: nothing that a prediction needs is left out."""

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import naive
import naive_networks
import nnjit
from nnjit import interop
from nnjit.interop.fitted import fitted_network
from nnjit.layers import Dense, TiedDense

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 6))
LABELS = (X[:, 0] > 0).astype(int)


@pytest.mark.parametrize(
    "model",
    [
        nnjit.MLPClassifier((5, 5), max_iter=2, normalization="batch", residual=True),
        nnjit.ConvClassifier(max_iter=2),
        nnjit.RecurrentClassifier(max_iter=2),
    ],
    ids=lambda model: type(model).__name__,
)
def test_the_oracle_makes_the_same_of_what_is_read(model):
    model.set_params(random_state=0).fit(X, LABELS)
    fitted = fitted_network(model)
    arrays = [array for layer in fitted.layers for array in layer.parameters.values()]
    values, _ = naive_networks.forward(fitted.network, arrays, X, training=False)
    p = naive.ACTIVATIONS[fitted.output](values[-1])
    np.testing.assert_allclose(p[:, 0], model.predict_proba(X)[:, 1], rtol=1e-9)


def test_types_and_targets_are_read():
    y = np.array(["a", "b", "c"])[np.arange(60) % 3]
    model = nnjit.MLPClassifier(max_iter=2).fit(X.astype(np.float32), y)
    fitted = fitted_network(model)
    assert fitted.dtype == np.float32 and fitted.target == "multiclass"
    assert fitted.classes[0].tolist() == ["a", "b", "c"] and fitted.output == "softmax"
    columns = fitted_network(nnjit.MLPClassifier(max_iter=2).fit(X, np.c_[y, LABELS.astype(str)]))
    assert columns.target == "columns" and columns.groups == (3, 2)
    quantile = nnjit.MLPRegressor("quantile", quantile=[0.1, 0.9], max_iter=2).fit(X, X[:, 0])
    assert fitted_network(quantile).quantiles == (0.1, 0.9)


def test_tied_weights_are_those_of_the_other_layer():
    model = nnjit.NetworkRegressor([Dense(3), TiedDense(1)], max_iter=2).fit(X, X[:, 0])
    fitted = fitted_network(model)
    assert set(fitted.layers[1].parameters) == {"biases"}
    np.testing.assert_array_equal(fitted.tied_weights(1), model.coefs_[0].T)


def test_an_autoencoder_has_its_code_and_members():
    model = nnjit.AutoEncoder(2, max_iter=2, n_members=2, random_state=0).fit(X)
    fitted = fitted_network(model)
    assert fitted.target == "reconstruction" and len(fitted.members) == 1
    assert fitted.layers[fitted.code_layer].outputs == 2


def test_what_is_no_fitted_network_is_refused():
    with pytest.raises(NotFittedError):
        fitted_network(nnjit.MLPClassifier())
    with pytest.raises(TypeError, match="StandardScaler is none"):
        fitted_network(StandardScaler().fit(X))
    model = nnjit.MLPClassifier(max_iter=2).fit(X, LABELS)
    model._label_binarizer = None
    with pytest.raises(ValueError, match="_label_binarizer"):
        fitted_network(model)


def test_weights_that_are_not_finite_are_refused_by_name_as_in_a_prediction():
    model = nnjit.MLPClassifier((3,), max_iter=2).fit(X, LABELS)
    model.coefs_[1][0, 0] = np.nan
    for refuses in (fitted_network, lambda given: given.predict(X)):
        with pytest.raises(ValueError, match=r"coefs_\[1\] contains NaN or infinity"):
            refuses(model)


class Renamed(nnjit.MLPClassifier):
    """Nothing of it is other than in the class that it is made of."""

    def explain(self, X):
        return self.predict_proba(X)


class Careful(nnjit.MLPClassifier):
    """It says yes where its base says no."""

    def predict(self, X):
        return np.where(self.predict_proba(X)[:, 1] > 0.1, *self.classes_[::-1])


class Flipped(neural_network.MLPClassifier):
    def predict_proba(self, X):
        return super().predict_proba(X)[:, ::-1]


@pytest.mark.parametrize("name", ["to_onnx", "export_c", "to_torch", "to_sklearn"])
def test_a_subclass_that_predicts_by_itself_is_refused(name):
    needed = {"to_onnx": "onnx", "to_torch": "torch"}.get(name, "numpy")
    pytest.importorskip(needed, reason=f"{name} needs {needed}")
    export = getattr(interop, name)
    model = Careful((3,), max_iter=2).fit(X, LABELS)
    pipeline = Pipeline([("network", model)])
    for given in (model,) if name == "to_sklearn" else (model, pipeline):
        with pytest.raises(ValueError, match="Careful has a predict of its own, which would be lo"):
            export(given)
    model.__class__ = nnjit.MLPClassifier
    assert export(model) is not None
    assert export(Renamed((3,), max_iter=2).fit(X, LABELS)) is not None


def test_nor_is_one_of_scikit_learns_taken_over():
    model = Flipped((3,), max_iter=2).fit(X, LABELS)
    with pytest.raises(ValueError, match="Flipped has a predict_proba of its own"):
        nnjit.MLPClassifier.from_sklearn(model)
