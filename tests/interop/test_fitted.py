"""Fitted networks read as data for export: nothing that a prediction needs is left out."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

import naive
import naive_networks
import nnjit
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
